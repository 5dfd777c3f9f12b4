"""What is said at the start, and by ``check``, of a service that can start but may not be what is meant."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from checks import Capture, checked
from settings_files import options, written

from trio_proxy.commands import open_relay
from trio_proxy.commands.cautions import cautions, hidden_auth
from trio_proxy.commands.reloading import Loading
from trio_proxy.commands.run import (  # pyright: ignore[reportPrivateUsage]
    _load_all,
    _our_name,
    _TokenHost,
)
from trio_proxy.settings.choose import choose
from trio_proxy.settings.config_file import read_config
from trio_proxy.text.addresses import Address

HOSTS = {"outside.example": "93.184.216.34", "here.example": "127.0.1.1", "mx.example": "192.0.2.9"}
PAIR = ("--tls-cert", "a.pem", "--tls-key", "a.key")


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    def known(host: str, *_: Any, **__: Any) -> Any:
        if host in HOSTS or host.replace(".", "").isdecimal():
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOSTS.get(host, host), 0))]
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(open_relay.socket, "getaddrinfo", known)


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        (["-u", "outside.example"], True),
        (["-u", "smtps://outside.example"], True),
        (["-u", "192.0.2.9"], True),
        (["-u", "unknown.example"], True),
        (["-u", "outside.example", "--send-client", "none"], False),
        (["-u", "outside.example", "--send-client", "auto"], False),
        (["-u", "outside.example", "--send-client", "xforward"], False),
        (["-u", "here.example"], False),
        (["-u", "127.0.0.1"], False),
        (["-u", "unix:/run/x"], False),
        ([], False),
    ],
)
def test_a_server_elsewhere_takes_the_proxy_for_the_client(arguments: list[str], warned: bool) -> None:
    found = cautions(options(*arguments))
    assert bool(found) == warned
    if warned:
        assert "is not on this machine, and sees this proxy as the client of all mail" in found[0]
        assert "--send-client" in found[0]


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        (["-u", "mx.example"], "with --upstream-tls may the certificate"),
        (["-u", "mx.example", "--upstream-tls", "encrypt"], "with --upstream-tls encrypt the certificate"),
        (["-u", "smtps://mx.example", "--upstream-tls", "may"], "with --upstream-tls may the certificate"),
        (["-u", "mx.example", "--upstream-tls", "verify"], ""),
        (["-u", "smtps://mx.example"], ""),
        ([], ""),
    ],
)
def test_authorities_that_nobody_asks(arguments: list[str], warned: str) -> None:
    found = cautions(options(*arguments, "--upstream-ca", "ca.pem", "--send-client", "none"))
    assert bool(found) == bool(warned)
    assert warned in "".join(found)


@pytest.mark.parametrize("option", ["--accept-proxy", "--accept-xclient", "--accept-xforward"])
def test_everybody_is_no_network_to_trust(option: str) -> None:
    (found,) = cautions(options(option, "0.0.0.0/0", option, "10.0.0.0/8"))
    assert found.startswith(f"{option} 0.0.0.0/0: any client can claim another address")
    assert cautions(options(option, "10.0.0.0/8", option, "unix")) == []


@pytest.mark.parametrize(
    ("arguments", "hidden"),
    [
        (["-l", "0.0.0.0:25"], True),
        (["-l", ":25"], True),
        (["-l", "127.0.0.1:25", "-l", "192.0.2.9:25"], True),
        (["-l", "0.0.0.0:25", *PAIR, "--tls", "none"], True),
        (["-l", "127.0.0.1:25", "--accept-proxy", "127.0.0.1"], True),
        (["-l", "127.0.0.1:25", "-l", "unix:x"], False),
        (["-l", "0.0.0.0:25", *PAIR], False),
        (["-l", "0.0.0.0:25", "--self-signed"], False),
        (["-l", "0.0.0.0:25", "--auth-without-tls"], False),
        (["-l", "0.0.0.0:465", *PAIR, "--tls", "none"], False),
    ],
)
def test_auth_that_clients_do_not_see(arguments: list[str], hidden: bool) -> None:
    assert hidden_auth(options(*arguments)) == ""  # nothing is relayed
    found = hidden_auth(options(*arguments, "-u", "127.0.0.1:25"))
    assert found.startswith("hidden from clients on other machines that do not use TLS") == hidden
    assert bool(found) == hidden


def test_check_says_them(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr("trio_proxy.commands.check.check_upstream", nothing)
    said = checked(
        capsys, listen=(Address("0.0.0.0", 0),), upstream=Address("outside.example", 25), upstream_tls="none",
        accept_xforward=("::/0",), open_relay_warning=False,
    )  # fmt: skip
    assert [line for line in said.out if "AUTH" in line] == [
        f"  AUTH        {hidden_auth(options('-l', ':1', '-u', 'h'))}"
    ]
    assert [line.split()[1] for line in said.err if line.startswith("warning")] == [
        "the",
        "--accept-xforward",
    ]


def test_the_start_says_them(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("trio_proxy.commands.run.log.warning", warnings.append)
    with ExitStack() as stack:
        given = options("-u", "outside.example", "--upstream-tls", "none")
        _load_all(given, Loading(given), stack, _TokenHost())
    assert [text.partition(",")[0] for text in warnings] == [
        "the server outside.example:25 is not on this machine"
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mx", "mx"),
        ("mx.example.net", "mx.example.net"),
        ("mx_1", "localhost"),
        ("", "localhost"),
        ("m\u00fc", "localhost"),
        ("mx.", "localhost"),
    ],
)
def test_what_the_service_calls_itself(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    monkeypatch.setattr("trio_proxy.commands.run.socket.gethostname", lambda: name)
    assert _our_name() == said


@pytest.mark.parametrize(
    ("address", "warned"),
    [("127.0.0.1:9025", False), ("unix:/run/x", False), ("0.0.0.0:9025", True), (":9025", True)],
)
def test_pages_that_can_be_read_from_elsewhere(address: str, warned: bool) -> None:
    said = [text for text in cautions(options("--admin", address)) if "--admin" in text]
    assert bool(said) is warned


@pytest.mark.parametrize(
    ("rule", "table", "warning"),
    [
        ("rate_limit", 'exempt = ["*"]', "every client is exempt, so the rule limits nobody"),
        (
            "allow_list",
            'recipients = ["a@b", "*"]',
            "every recipient is on the list, so the rule refuses none",
        ),
        ("allow_list", 'recipients = ["*@b"]', ""),
    ],
)
def test_a_rule_that_does_nothing(
    rule: str, table: str, warning: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(f"[rules.{rule}]\n{table}\n")
    said = [text for text in cautions(options("-c", str(path))) if "[rules." in text]
    key = table.partition(" ")[0]
    assert said == ([f'{path}:2: [rules.{rule}] {key} = ["*"]: {warning}'] if warning else [])


@pytest.mark.parametrize(
    ("mistake", "is_said"),
    [("max_conections = 3", True), ('send_clint = "proxy"', False), ('send_client = "prxy"', False)],
)
def test_warnings_beside_a_mistake_in_the_file(
    mistake: str, is_said: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All that are certain: not those that a setting in the part which could not be read may prevent."""
    monkeypatch.chdir(tmp_path)
    server = 'listen = "127.0.0.1:0"\nadmin = "0.0.0.0:0"\nupstream = "192.0.2.9:0"\n'
    config, problems = read_config(written(f"[server]\n{server}{mistake}\n"))
    said = cautions(choose({}, config), config_is_wrong=bool(problems))
    begins = ["the server 192.0.2.9:0 is not on this machine"] * is_said
    begins.append('proxy.toml:3: [server] admin = "0.0.0.0:0": the pages have no password')
    assert len(said) == len(begins)
    assert all(map(str.startswith, said, begins))


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        (["--self-signed", "--tls", "encrypt", "--auth-without-tls"], "--auth-without-tls has no effect"),
        (["--quiet", "--verbose"], "--quiet and --verbose contradict each other"),
        ([*PAIR, "--tls", "none"], "--tls none offers no STARTTLS, and no --listen begins with TLS"),
        ([*PAIR, "--tls", "none", "-l", "smtps://127.0.0.1:465"], ""),
        (["--self-signed", "--tls", "encrypt"], ""),
        (["--quiet"], ""),
        (
            ["--soft-errors", "101"],
            "--soft-errors 101 has no effect: a session ends after --max-refusals 100, which counts the same "
            "replies; choose a smaller --soft-errors",
        ),
        (["--soft-errors", "100"], ""),
        (["--soft-errors", "30", "--max-errors", "20"], ""),  # they count different things
    ],
)
def test_a_setting_without_effect(arguments: list[str], begins: str) -> None:
    said = cautions(options(*arguments))
    assert len(said) == bool(begins)
    assert "".join(said).startswith(begins)
