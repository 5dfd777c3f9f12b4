"""Ready rules made from settings, as `smtp-proxy --rules ready:NAME --config FILE` makes them."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from sansio_smtp.rules import RuleError
from sansio_smtp.testing import Session, session
from trio_proxy.rulebook.load import LoadedRules, load
from trio_proxy.settings.tables import RuleTable

_EMAIL_TESTS = importlib.util.find_spec("test.test_email")
SHIPPED = sorted(Path(str(_EMAIL_TESTS and _EMAIL_TESTS.origin)).parent.glob("data/msg_*.txt"))
"""The messages with which CPython tests its own library; empty if it came without its tests, as in Debian."""
needs_shipped = pytest.mark.skipif(_EMAIL_TESTS is None, reason="this Python came without its tests")
MESSAGE = b"From: ann@example.com\r\nSubject: hi\r\n\r\nhello\r\n"
MIXED = b"Content-Type: multipart/mixed; boundary=a\r\n"
PIECES = st.sampled_from(
    [
        *(
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"--a",
            b"--a--",
            b"--b",
            b"--b--",
            b"\r\n--a\r\n",
            b"\r\n--b\r\n",
            b"text",
        ),
        b"Content-Type: multipart/mixed; boundary=a\r\n",
        b'Content-Type: multipart/digest;\r\n boundary="b"\r\n',
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: multipart/mixed; boundary*0*=utf-8''%C3%; boundary*1=\r\n",
        b"Content-Type: text/plain; charset=punycode\r\n",
        b"content-type : TEXT/html; charset=utf-16; name*=idna'x'%ff\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b'Content-Disposition: attachment; filename="=?utf-8?b?ZXZpbC5leGU=?="; filename*1*=\'\r\n',
        *(b"QUJD", b"=", b"=3", b"\xff", b"\0", b" ", b'"', b"\\", b";"),
    ]
)
"""What messages are made of, whole or broken."""


def loaded(toml: str) -> LoadedRules:
    """The ready rules that ``[rules.NAME]`` tables name, in their order."""
    tables: dict[str, dict[str, Any]] = tomllib.loads(toml)["rules"]
    settings = {name: RuleTable(table, {}, "proxy.toml") for name, table in tables.items()}
    return load([f"ready:{name}" for name in tables], settings)


def configured(toml: str, **options: Any) -> Session:
    """A client of a proxy with these rules."""
    return session(loaded(toml).ruleset, **options)


def mistakes(toml: str) -> str:
    """What is wrong with the settings."""
    with pytest.raises(RuleError) as caught:
        loaded(toml)
    return str(caught.value)


def sent(s: Session, message: bytes = MESSAGE, *to: str, sender: str = "ann@example.com") -> bytes | None:
    """A message as it arrived at the server, None if it was refused."""
    before = len(s.delivered)
    s.mail(sender)
    for address in to or ("bob@example.com",):
        s.rcpt(address)
    s.message(message)
    return s.delivered[-1].content if len(s.delivered) > before else None


def nested(depth: int) -> bytes:
    """A multipart in a multipart in a multipart."""
    message = b"innermost\r\n"
    for level in range(depth):
        boundary = f"b{level}".encode()
        message = (
            b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n%b\r\n--%b--\r\n"
            % (boundary, boundary, message if level else b"\r\n" + message, boundary)
        )  # fmt: skip
    return message
