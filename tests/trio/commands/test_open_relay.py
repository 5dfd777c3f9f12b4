"""The start and ``check`` warn of a service that strangers may use as a relay."""

from __future__ import annotations

import re
import socket
import tomllib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from checks import Capture, checked

from trio_proxy.commands import open_relay
from trio_proxy.commands.open_relay import open_relay_warning, route_warning
from trio_proxy.commands.reloading import Loading
from trio_proxy.commands.run import _load_all, _TokenHost  # pyright: ignore[reportPrivateUsage]
from trio_proxy.rulebook.load import load
from trio_proxy.settings.options import Options
from trio_proxy.settings.route_tables import RouteTable
from trio_proxy.settings.tables import RuleTable
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination

ROOT = Path(__file__).resolve().parents[3]
HOSTS = {"inside.example": "10.1.2.3", "outside.example": "93.184.216.34", "here.example": "127.0.1.1"}


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = socket.getaddrinfo

    def known(host: str, *rest: Any, **more: Any) -> Any:
        return ask(HOSTS.get(host, host), *rest, **more)

    monkeypatch.setattr(open_relay.socket, "getaddrinfo", known)


def options(listen: str, upstream: str | None, **more: Any) -> Options:
    server = Address.parse(upstream, default_port=25) if upstream else None
    return Options(
        listen=(Address.parse(listen),), upstream=() if server is None else (Destination(server),), **more
    )


@pytest.mark.parametrize(
    ("conditions", "warns"),
    [
        ({}, True),
        ({"sender": ("*@a.example",)}, True),
        ({"tls_name": ("mx.example",)}, True),
        ({"listen": (Address("0.0.0.0", 25),)}, True),
        ({"listen": (Address("127.0.0.1", 26),)}, False),
        ({"client": ("192.0.2.0/24",)}, False),
        ({"login": ("ann",)}, False),
        ({"recipient": ("*@a.example",)}, False),
    ],
)
def test_servers_of_routes(conditions: dict[str, Any], warns: bool) -> None:
    servers = (Destination.parse("outside.example"), Destination.parse("inside.example"))
    route = RouteTable(name="lists", upstream=servers, **conditions)
    text = open_relay_warning(options("0.0.0.0:25", "outside.example", routes=(route,)), None)
    said = (
        "0.0.0.0:25 can be reached from elsewhere, and the server inside.example:25 of the route lists is in"
    )
    assert (said in text) is warns
    assert bool(text) is warns


@pytest.mark.parametrize(
    ("listen", "upstream", "where"),
    [
        ("0.0.0.0:25", "127.0.0.1:2525", "on this machine"),
        (":25", "127.0.0.1:2525", "on this machine"),
        ("[::]:25", "[::1]:2525", "on this machine"),
        ("198.51.100.1:25", "localhost", "on this machine"),
        ("0.0.0.0:25", "unix:/run/lmtp.sock", "on this machine"),
        ("0.0.0.0:25", "0.0.0.0:2525", "on this machine"),
        ("0.0.0.0:25", "here.example", "on this machine"),
        ("0.0.0.0:25", "10.1.2.3", "in a private network"),
        ("0.0.0.0:25", "[::ffff:192.168.1.1]:25", "in a private network"),
        ("0.0.0.0:25", "[fd00::1]:25", "in a private network"),
        ("0.0.0.0:25", "inside.example:25", "in a private network"),
        ("outside.example:25", "10.1.2.3", "in a private network"),
        ("0.0.0.0:25", "93.184.216.34", ""),
        ("0.0.0.0:25", "outside.example", ""),
        ("0.0.0.0:25", "nosuchhost.invalid", ""),
        ("0.0.0.0:25", None, ""),
        ("127.0.0.1:25", "127.0.0.1:2525", ""),
        ("127.8.9.10:25", "127.0.0.1:2525", ""),
        ("[::1]:25", "10.1.2.3", ""),
        ("here.example:25", "10.1.2.3", ""),
        ("unix:/run/in.sock", "127.0.0.1:2525", ""),
    ],
)
def test_what_may_be_an_open_relay(listen: str, upstream: str | None, where: str) -> None:
    given = options(listen, upstream)
    warning = open_relay_warning(given, None)
    assert where in warning
    assert bool(warning) == bool(where)
    if upstream is not None:
        assert bool(route_warning(given, Address.parse(upstream, default_port=25))) == bool(where)
    if where:
        assert "ready:allow_list" in warning
        silent = options(listen, upstream, open_relay_warning=False)
        assert open_relay_warning(silent, None) == ""


@pytest.mark.parametrize(
    ("send_client", "warned"),
    [
        ("none", True),
        ("auto", True),
        ("xforward", True),
        ("xclient", False),
        ("proxy", False),
        ("proxy2", False),
    ],
)
def test_a_server_that_is_told_who_the_client_is(send_client: str, warned: bool) -> None:
    given = options("0.0.0.0:25", "127.0.0.1:2525", send_client=send_client)
    assert bool(open_relay_warning(given, None)) == warned
    assert bool(route_warning(given, Address("10.1.2.3", 25))) == warned
    assert "--send-client xclient" in open_relay_warning(options("0.0.0.0:25", "127.0.0.1:2525"), None)


@pytest.mark.parametrize("option", ["accept_proxy", "accept_xclient"])
def test_a_proxy_on_this_machine_brings_clients_from_elsewhere(option: str) -> None:
    given: dict[str, Any] = {option: ("127.0.0.1",)}
    warning = open_relay_warning(options("127.0.0.1:25", "127.0.0.1:2525", **given), None)
    assert "127.0.0.1:25 can be reached from elsewhere" in warning


@pytest.mark.parametrize(
    ("toml", "warned"),
    [
        ('[allow_list]\nrecipients = ["*@example.com"]', False),
        ('[allow_list]\nrecipients = ["*@example.com", "*"]', True),
        ('[staging]\nmailbox = "a@b.example"', False),
        ("[attachments]", True),
    ],
)
def test_rules_that_limit_recipients(toml: str, warned: bool) -> None:
    tables = tomllib.loads(toml)
    settings = {name: RuleTable(table, {}, "proxy.toml") for name, table in tables.items()}
    rules = load([f"ready:{name}" for name in tables], settings)
    assert bool(open_relay_warning(options("0.0.0.0:25", "127.0.0.1:2525"), rules)) == warned


def test_check_and_the_start_warn(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {
        "listen": (Address("0.0.0.0", 0),),
        "upstream": (Destination(Address("127.0.0.1", 1)),),
    }
    said = checked(capsys, **given)
    assert said.err[0].startswith("warning: this may be an open relay: 0.0.0.0:0 can be reached")
    assert checked(capsys, open_relay_warning=False, **given).err[0].startswith("upstream")
    warnings: list[str] = []
    monkeypatch.setattr("trio_proxy.commands.reloading.log.warning", warnings.append)
    with ExitStack() as stack:
        _load_all(found := Options(**given), Loading(found), stack, _TokenHost())
    assert warnings[0].startswith("this may be an open relay")


def test_no_sample_is_one() -> None:
    """Each command of the documentation."""
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for line in page.read_text("utf-8").replace("\\\n", " ").splitlines():
            if "smtp-proxy" in line and "--listen 0.0.0.0" in line and "--upstream " in line:
                assert re.search(r"--send-client (xclient|proxy2?)\b", line), (page, line)


CHECKED = "from sansio_smtp.rules import Accept\ndef login(conn, attempt):\n    return Accept()\n"


@pytest.mark.parametrize(
    ("listen", "rules", "more", "warned"),
    [
        ("0.0.0.0:25", "", {}, True),
        ("0.0.0.0:25", "", {"send_client": "xclient"}, True),
        ("0.0.0.0:25", CHECKED, {}, False),
        ("127.0.0.1:25", "", {}, False),
        ("0.0.0.0:25", "", {"open_relay_warning": False}, False),
        ("0.0.0.0:25", "", {"login_mode": "translate"}, False),
    ],
)
def test_a_login_for_all_who_come(
    listen: str, rules: str, more: dict[str, Any], warned: bool, tmp_path: Path
) -> None:
    file = tmp_path / "checks.py"
    file.write_text(rules or "def rcpt(tx, to):\n    return None\n")
    given = {"login_mode": "inject", "upstream_user": "scanner"} | more
    warning = open_relay_warning(options(listen, "outside.example:25", **given), load([str(file)]))
    assert warning.startswith("this may be an open relay: 0.0.0.0:25 can be") == warned
    assert ("logs in to outside.example:25 as scanner for all who come" in warning) == warned
    assert bool(warning) == warned
