"""Spellings of parts, names and encodings, drawn: what Python's email sees does not pass a guard.

Ordinary mail does. tests/interop/test_interop_mime.py asks other readers.
"""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
from harness import SHIPPED
from hypothesis import given
from hypothesis import strategies as st
from neighbours.mime import DRAWN, ORDINARY
from neighbours.mime_ordinary import FILES, composed
from neighbours.mime_seen import Seen, holds_the_secret, is_the_file, python_sees

from sansio_smtp.rules import Connection, Message, Transaction
from sansio_smtp.wire.content import canonical
from trio_proxy.ready.attachments import Attachments
from trio_proxy.ready.secret_scan import SecretScan

BROKEN_ON_PURPOSE = {
    *("msg_15", "msg_25", "msg_31", "msg_33", "msg_39", "msg_40", "msg_41"),
}
"""Tests of the library: parts after the end, no boundary, one that is cut in the middle, or encoded."""


def refusal(kind: str, raw: bytes, *, broken: bool = True) -> object:
    tx, message = Transaction(Connection()), Message(raw)
    if kind == "file":
        return Attachments(broken=broken).message(tx, message)
    return SecretScan(whole=True, broken=broken).search_whole(tx, message)


def python_sees_it(kind: str, raw: bytes) -> bool:
    is_it = is_the_file if kind == "file" else holds_the_secret
    parts: list[Seen] = [*python_sees(raw), *python_sees(raw.replace(b"\r\n", b"\n"))]
    return any(map(is_it, parts))


@pytest.mark.parametrize("kind", DRAWN)
def test_the_ordinary_message_is_seen_and_refused(kind: str) -> None:
    assert python_sees_it(kind, ORDINARY)
    assert refusal(kind, ORDINARY, broken=False)


@pytest.mark.parametrize("kind", DRAWN)
@given(seed=st.integers(0, 2**32))
def test_what_python_sees_is_refused(kind: str, seed: int) -> None:
    raw = re.sub(rb"\r?\n", b"\r\n", DRAWN[kind](Random(seed)))
    refused = [refusal(kind, raw, broken=broken) for broken in (True, False)]
    assert not python_sees_it(kind, raw) or all(refused)


@pytest.mark.parametrize("kind", DRAWN)
def test_many_of_the_drawn_are_seen(kind: str) -> None:
    """So that the property says something."""
    assert sum(python_sees_it(kind, DRAWN[kind](Random(seed))) for seed in range(100)) > 10


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_mail_as_programs_write_it_passes(path: Path, kind: str) -> None:
    assert refusal(kind, canonical(path.read_bytes())) is None


@pytest.mark.parametrize("kind", DRAWN)
def test_mail_that_python_writes_passes(kind: str) -> None:
    for message in composed():
        assert refusal(kind, canonical(message.as_bytes())) is None, message["Subject"]


@pytest.mark.parametrize("kind", DRAWN)
def test_the_messages_of_cpython_pass(kind: str) -> None:
    refused = {path.stem for path in SHIPPED if refusal(kind, canonical(path.read_bytes()))}
    assert refused <= BROKEN_ON_PURPOSE
