"""The ``[[route]]`` tables: what they may hold, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_proxy.settings.config_file import read_config
from trio_proxy.settings.route_tables import RouteTable, route_problems
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination


def read(text: str, folder: Path) -> tuple[tuple[RouteTable, ...], list[str]]:
    file = folder / "proxy.toml"
    file.write_text(text)
    config, problems = read_config(file)
    assert config is not None
    return config.routes, [f"{problem.line}: {problem.text}" for problem in problems]


def test_all_that_a_route_may_say(tmp_path: Path) -> None:
    routes, problems = read(
        """
[[route]]
name = "lists"
listen = "unix:in.sock"
client = ["192.0.2.0/24", "unix"]
tls_name = ["MX.example", "*.shop.example"]
login = "ann@example.com"
sender = ["*@example.com", "<>"]
recipient = "*@lists.example"
upstream = ["mx1.example", "unix:out.sock,weight=2"]

[[route]]
upstream = "mx3.example:26"
""",
        tmp_path,
    )
    assert problems == []
    assert routes == (
        RouteTable(
            name="lists",
            upstream=(Destination.parse("mx1.example"), Destination(Address(path=f"{tmp_path}/out.sock"), 2)),
            listen=(Address(path=f"{tmp_path}/in.sock"),),
            client=("192.0.2.0/24", "unix"),
            tls_name=("MX.example", "*.shop.example"),
            login=("ann@example.com",),
            sender=("*@example.com", "<>"),
            recipient=("*@lists.example",),
        ),
        RouteTable(name="route-2", upstream=(Destination.parse("mx3.example:26"),)),
    )
    assert [(route.line, route.is_open) for route in routes] == [(2, False), (12, True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('recipient = "*@a.example"', '[[route]] missing key "upstream": expected an address such as'),
        ("upstream = []", "[[route]] upstream: expected at least one server"),
        ('upstream = ["a", "a:25"]', "[[route]] upstream: names a:25 twice"),
        ('upstream = "a,weight=0"', '[[route]] upstream = "a,weight=0": a weight is'),
        ('upstream = "a"\nreceiver = "b"', '3: [[route]] unknown key "receiver"'),
        ('upstream = "a"\nrecipent = "b"', 'unknown key "recipent"; did you mean "recipient"?'),
        ('upstream = "a"\nrecipient = []', "3: [[route]] recipient = [...]: an empty list fits no client"),
        ('upstream = "a"\nrecipient = "example.com"', "3: [[route]] recipient"),
        ('upstream = "a"\nsender = "@"', "3: [[route]] sender"),
        ('upstream = "a"\nclient = "192.0.2.0/99"', "3: [[route]] client"),
        ('upstream = "a"\ntlsname = "b"', 'unknown key "tlsname"; did you mean "tls_name"?'),
        ('upstream = "a"\ntls_name = "*"', "3: [[route]] tls_name"),
        ('upstream = "a"\ntls_name = "a.*.example"', "3: [[route]] tls_name"),
        ('upstream = "a"\ntls_name = "192.0.2.1"', "3: [[route]] tls_name"),
        ('upstream = "a"\ntls_name = "käse.example"', "3: [[route]] tls_name"),
        ('upstream = "a"\ntls_name = []', "3: [[route]] tls_name"),
        ('upstream = "a"\nlogin = ""', "3: [[route]] login"),
        ('upstream = "a"\nname = "two words"', "3: [[route]] name"),
        ('upstream = "a"\nlisten = "x"', "3: [[route]] listen"),
    ],
)
def test_mistakes(text: str, expected: str, tmp_path: Path) -> None:
    _, problems = read(f"[[route]]\n{text}\n", tmp_path)
    assert len(problems) == 1
    assert expected in problems[0].replace("[]", "[...]")


def test_all_mistakes_at_once_each_with_the_line_of_its_table(tmp_path: Path) -> None:
    _, problems = read(
        '[[route]]\nupstream = "a"\n[[route]]\nupstream = 1\n[[route]]\nname = "x"\nupstream = "b"\n'
        '[[route]]\nname = "x"\nupstream = "c"\nsender = "d"\n',
        tmp_path,
    )
    assert [problem.partition(" ")[0] for problem in problems] == ["4:", "5:", "11:"]
    assert "is never used: the route in line 1 before it fits everything" in problems[1]


def test_a_name_is_given_once(tmp_path: Path) -> None:
    table = '[[route]]\nname = "x"\nsender = "*@a.example"\nupstream = "b"\n'
    _, problems = read(table + table, tmp_path)
    assert problems == ['5: [[route]] name = "x": the route in line 1 has it']


@pytest.mark.parametrize("text", ['[route]\nupstream = "a"', 'route = "a"', "route = [1]"])
def test_a_route_is_written_in_two_brackets(text: str, tmp_path: Path) -> None:
    _, problems = read(text, tmp_path)
    assert problems == ["1: routes are tables; write [[route]], with two brackets"]


def test_listeners_that_there_are(tmp_path: Path) -> None:
    routes, _ = read('[[route]]\nlisten = "127.0.0.1:2526"\nupstream = "a"', tmp_path)
    found = [problem.text for problem in route_problems(routes, [Address("127.0.0.1", 2525)])]
    assert found == [
        '[[route]] listen = "127.0.0.1:2526": nothing listens there; did you mean "127.0.0.1:2525"?',
    ]


def test_names_in_tls_need_a_certificate(tmp_path: Path) -> None:
    routes, _ = read('[[route]]\ntls_name = "mx.example"\nupstream = "a"', tmp_path)
    assert not list(route_problems(routes, []))
    (problem,) = route_problems(routes, [], has_certificate=False)
    assert (
        problem.text == "[[route]] tls_name: no client can begin TLS here; name a certificate with tls_cert"
    )


def test_listeners_that_there_are_not_nearly(tmp_path: Path) -> None:
    routes, _ = read('[[route]]\nlisten = "127.0.0.1:2526"\nupstream = "a"', tmp_path)
    others = [Address(path="/run/x")]
    assert "nothing listens there; there are: unix:/run/x" in next(iter(route_problems(routes, others))).text
