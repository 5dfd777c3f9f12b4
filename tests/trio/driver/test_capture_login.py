"""Logins at the server that keeps messages."""

from __future__ import annotations

from base64 import b64encode

import pytest

from sansio_smtp import Command
from sansio_smtp.wire.commands import auth_line
from trio_proxy.driver.capture_login import CaptureLogin

PLAIN = b64encode(b"\0ann\0secret").decode()
ANN, SECRET = b64encode(b"ann").decode(), b64encode(b"secret").decode()
BEARER = b64encode(b"n,a=ann@me.example,\1auth=Bearer secret\1\1").decode()
XOAUTH2 = b64encode(b"user=ann\1auth=Bearer secret\1\1").decode()


def codes(login: CaptureLogin, first: str, *lines: str) -> list[str]:
    """The replies to the lines of an exchange: code and first word."""
    replies = [login.begin(Command.of(first), in_mail=False)]
    replies += [login.go_on(auth_line(line.encode())) for line in lines]
    return [" ".join(str(reply).split()[:2]) for reply in replies]


@pytest.mark.parametrize(
    ("lines", "replies", "name"),
    [
        ([f"AUTH PLAIN {PLAIN}"], ["235 2.7.0"], "ann"),
        ([f"auth plain {PLAIN}"], ["235 2.7.0"], "ann"),
        (["AUTH PLAIN", PLAIN], ["334", "235 2.7.0"], "ann"),
        (["AUTH PLAIN ="], ["235 2.7.0"], None),
        (["AUTH PLAIN", ""], ["334", "235 2.7.0"], None),
        (["AUTH LOGIN", ANN, SECRET], ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0"], "ann"),
        ([f"AUTH LOGIN {ANN}", SECRET], ["334 UGFzc3dvcmQ6", "235 2.7.0"], "ann"),
        ([f"AUTH XOAUTH2 {XOAUTH2}"], ["235 2.7.0"], "ann"),
        (["AUTH OAUTHBEARER", BEARER], ["334", "235 2.7.0"], "ann@me.example"),
    ],
)
def test_any_login_is_accepted(lines: list[str], replies: list[str], name: str | None) -> None:
    login = CaptureLogin()
    assert codes(login, *lines) == replies
    assert (login.name, login.mechanism) == (name, lines[0].split()[1].upper())
    assert "secret" not in repr(login)
    assert SECRET not in repr(login)
    assert codes(login, *lines[:1]) == ["503 5.5.1"]


@pytest.mark.parametrize(
    ("lines", "replies"),
    [
        (["AUTH"], ["504 5.5.4"]),
        (["AUTH GSSAPI"], ["504 5.5.4"]),
        (["AUTH PLAIN ***"], ["501 5.5.2"]),
        (["AUTH PLAIN", "*"], ["334", "501 5.7.0"]),
        (["AUTH LOGIN", ANN, "*"], ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "501 5.7.0"]),
        (["AUTH LOGIN", "\xff"], ["334 VXNlcm5hbWU6", "501 5.5.2"]),
    ],
)
def test_a_login_that_fails_may_be_tried_again(lines: list[str], replies: list[str]) -> None:
    login = CaptureLogin()
    assert codes(login, *lines) == replies
    assert (login.name, login.mechanism) == (None, None)
    assert codes(login, f"AUTH PLAIN {PLAIN}") == ["235 2.7.0"]


def test_not_in_a_mail_transaction() -> None:
    login = CaptureLogin()
    assert login.begin(Command.of(f"AUTH PLAIN {PLAIN}"), in_mail=True).code == 503
    assert login.mechanism is None
