"""How the proxy logs in, as the settings say it; what is wrong with them; and what ``check`` says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checks import Capture, checked
from commands import upstream
from drivers import Peer

from sansio_smtp import LoginMode
from trio_proxy.commands.logins import PASSWORD, logins_or_problems
from trio_proxy.settings.options import Options
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination

NEAR, FAR = ((Destination(Address(host, 25)),) for host in ("127.0.0.1", "mail.example.net"))
INJECT: dict[str, Any] = {"login_mode": "inject", "upstream_user": "scanner", "upstream": NEAR}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(PASSWORD, raising=False)
    Path("password").write_text("sesame\n")
    Path("empty").write_text("\n")


def test_nobody_logs_in() -> None:
    assert logins_or_problems(Options()) == (None, [])


def test_the_password_of_a_file_is_read_each_time() -> None:
    logins, problems = logins_or_problems(Options(**INJECT, upstream_password_file=Path("password")))
    assert logins is not None
    assert problems == []
    assert logins.read_password is not None
    assert logins.read_password() == "sesame"
    Path("password").write_text("other")
    assert logins.read_password() == "other"


def test_a_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "from the environment")
    logins, _ = logins_or_problems(Options(**INJECT))
    assert logins is not None
    assert logins.read_password is not None
    assert logins.read_password() == "from the environment"
    assert "environment" not in repr(logins)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            None,
            "--login inject needs a password: give --upstream-password-file FILE, or the variable SMTP_PROXY",
        ),
        (Path("nowhere"), "--upstream-password-file nowhere: cannot be read: there is no such file: /"),
        (Path("empty"), "--upstream-password-file empty is empty"),
    ],
)
def test_without_a_password(file: Path | None, text: str) -> None:
    logins, (problem,) = logins_or_problems(Options(**INJECT, upstream_password_file=file))
    assert logins is None
    assert problem.text.startswith(text)
    problems = logins_or_problems(Options(**INJECT, upstream_password_file=file), config_is_wrong=True)[1]
    assert len(problems) == (file is not None)  # the password may stand in the settings file


def test_for_clients_nothing_is_needed() -> None:
    logins, problems = logins_or_problems(Options(login_mode="translate", upstream=FAR))
    assert logins is not None
    assert (logins.mode, logins.account, problems) == (LoginMode.TRANSLATE, None, [])


@pytest.mark.parametrize(
    ("given", "usual", "near", "far"),
    [
        ({"upstream": NEAR}, True, True, False),
        ({"upstream": FAR}, False, True, False),
        ({"upstream": FAR, "upstream_tls": "none"}, True, True, True),
        ({"upstream": NEAR, "upstream_tls": "verify"}, True, True, False),
    ],
)
def test_where_a_secret_may_go_in_plain_text(
    given: dict[str, Any], usual: bool, near: bool, far: bool
) -> None:
    logins, _ = logins_or_problems(Options(login_mode="translate", **given))
    assert logins is not None
    found = [logins.may_be_plain(name) for name in (None, "127.0.0.1:26", "mail.example.org")]
    assert found == [usual, near, far]


def server(*replies: bytes) -> Any:
    """A server that offers PLAIN and LOGIN, and answers these to the lines after EHLO."""

    def script(peer: Peer) -> None:
        peer.send(b"220 mx.example")
        try:
            peer.line()
            peer.send(b"250-mx.example", b"250 AUTH PLAIN LOGIN")
            for reply in replies:
                peer.line()
                peer.send(reply)
            assert peer.line() == b"QUIT"
            peer.send(b"221 2.0.0 bye")
        except (EOFError, ConnectionError):
            return

    return script


@pytest.mark.parametrize(
    ("replies", "status", "text"),
    [
        ([b"235 2.7.0 ok"], 0, "accepts scanner, with PLAIN"),
        ([b"504 5.5.4 no", b"334 ", b"334 ", b"235 2.7.0 ok"], 0, "accepts scanner, with LOGIN"),
        (
            [b"535 5.7.8 not with sesame"],
            69,
            "the login of scanner fails: the server refuses the login: 535 5.7.8 not with ********",
        ),
        (
            [b"334 bW9yZQ==", b"235 ok"],
            69,
            "login of scanner fails: it accepted the login before PLAIN was",
        ),
        ([b"334 "] * 9, 69, "cannot be reached: its login has too many steps"),
    ],
)
def test_check_tries_the_login(capsys: Capture, replies: list[bytes], status: int, text: str) -> None:
    with upstream(server(*replies)) as peer:
        address = Address("127.0.0.1", peer.port)
        said = checked(capsys, **INJECT | {"upstream": address}, upstream_password_file=Path("password"))
    assert said.status == status
    assert any(text in line for line in (*said.out, *said.err)), said
