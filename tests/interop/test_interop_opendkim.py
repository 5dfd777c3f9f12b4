"""DKIM signatures that a real OpenDKIM verifies: made by ``ready:dkim_sign``, and made before a message came
through a proxy whose rules add header fields."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_aiosmtpd import Sink
from interop_daemon import open_directory
from interop_opendkim import DOMAIN, SELECTOR, OpenDKIM
from interop_postfix import Mailbox, Postfix
from interop_rules import MAIL, running_proxy, send

pytestmark = pytest.mark.interop

ADDING = """
async def message(tx, msg):
    msg.headers.add("X-Scanned-By", "smtp-proxy")
    msg.headers.prepend("X-First", "a value that is so long that it has to be folded, as lines are not")
"""
STREAMING = """
def headers(tx, headers):
    headers.add("X-Scanned-By", "smtp-proxy")
"""
SPOILING = """
def message(tx, msg):
    msg.headers.set("Subject", "another")
"""
CONTENTS = {
    "short": MAIL,
    "dots": MAIL + b".\r\n..a\r\n" + b"x" * 900 + b"\r\n\r\n\r\n",
    "eight bits": MAIL + bytes(range(128, 256)) + b"\r\n",
    # OpenDKIM that reads a file loses blanks after the colon; as a milter it does not: see its tests.
    "folded": MAIL.replace(b"Subject: hi", b"Subject: one  \r\n\t two\r\n \tthree "),
}


@pytest.fixture(scope="module")
def opendkim() -> Iterator[OpenDKIM]:
    with open_directory("opendkim") as directory:
        yield OpenDKIM.prepare(directory)


def signed(opendkim: OpenDKIM, content: bytes, canonicalization: bytes = b"simple/simple") -> bytes:
    """By dkimpy, as by a server before the proxy. Strict: no octet of a signed field may change."""
    names = [b"From", b"To", b"Subject", b"Date", b"Message-ID"]
    field: bytes = importlib.import_module("dkim").sign(
        content,
        SELECTOR.encode(),
        DOMAIN.encode(),
        opendkim.key.read_bytes(),
        canonicalize=tuple(canonicalization.split(b"/")),
        include_headers=names,
    )
    return field + content


def rule(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my_rules.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("adding", [ADDING, STREAMING], ids=["whole", "streaming"])
def test_a_signature_survives_rules_that_add_fields(
    opendkim: OpenDKIM, sink: Sink, tmp_path: Path, adding: str
) -> None:
    with running_proxy(tmp_path / "proxy", sink.port, rule(tmp_path, adding)) as proxy:
        for content in CONTENTS.values():
            assert send(proxy, signed(opendkim, content))[0] == 250
    for name, arrived in zip(CONTENTS, sink.contents(), strict=True):
        assert b"X-Scanned-By: smtp-proxy\r\n" in arrived
        assert (name, opendkim.verdict(arrived)) == (name, "succeeded")


def test_what_postfix_has_delivered_verifies(
    opendkim: OpenDKIM, postfix: Postfix, mailbox: Mailbox, tmp_path: Path
) -> None:
    sent = signed(opendkim, MAIL, b"relaxed/relaxed")
    with running_proxy(tmp_path / "proxy", postfix.port, rule(tmp_path, ADDING)) as proxy:
        assert send(proxy, sent, to=mailbox.address)[0] == 250
    delivered = mailbox.message()
    assert b"X-Scanned-By: smtp-proxy\n" in delivered.content
    assert opendkim.verdict((delivered.trace + delivered.content).replace(b"\n", b"\r\n")) == "succeeded"


def test_opendkim_sees_what_a_rule_has_spoilt(opendkim: OpenDKIM, sink: Sink, tmp_path: Path) -> None:
    """So that "succeeded" means something."""
    with running_proxy(tmp_path / "proxy", sink.port, rule(tmp_path, SPOILING)) as proxy:
        assert send(proxy, signed(opendkim, MAIL))[0] == 250
    (arrived,) = sink.contents()
    assert "signature verification failed" in opendkim.verdict(arrived)
    assert opendkim.verdict(MAIL) != "succeeded"


@pytest.mark.parametrize("canonicalization", ["relaxed/relaxed", "simple/simple"])
def test_opendkim_verifies_what_the_ready_rule_has_signed(
    opendkim: OpenDKIM, sink: Sink, tmp_path: Path, canonicalization: str
) -> None:
    settings = (
        f'[rules.dkim_sign]\ndomain = "{DOMAIN}"\nselector = "{SELECTOR}"\n'
        f'key_file = "{opendkim.key}"\ncanonicalization = "{canonicalization}"\n'
    )
    rules = (rule(tmp_path, ADDING), "ready:dkim_sign")
    with running_proxy(tmp_path / "proxy", sink.port, *rules, settings=settings) as proxy:
        for content in CONTENTS.values():
            assert send(proxy, content)[0] == 250
    for name, arrived in zip(CONTENTS, sink.contents(), strict=True):
        assert arrived.startswith(b"DKIM-Signature: v=1; a=rsa-sha256; c=" + canonicalization.encode())
        assert (name, opendkim.verdict(arrived)) == (name, "succeeded")
        assert "failed" in opendkim.verdict(arrived.replace(b"hello", b"hallo"))
