"""Spellings of parts, names and encodings, drawn: what Python's email sees does not pass a guard.

Ordinary mail does. tests/interop/test_interop_mime.py asks other readers.
"""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
from each import each
from harness import SHIPPED
from hypothesis import given
from hypothesis import strategies as st
from neighbours.mime_ordinary import FILES, composed
from neighbours.mime_seen import Seen, holds_the_secret, is_the_file, python_sees

from sansio_smtp.rules import Connection, Message, Transaction
from sansio_smtp.testing.strategies.hidden import DRAWN, ORDINARY
from sansio_smtp.wire.content import canonical
from trio_proxy.ready.attachments import Attachments
from trio_proxy.ready.secret_scan import SecretScan

MESSAGES = sorted((Path(__file__).parents[2] / "messages").glob("*.eml"))
READ_IN_TWO_WAYS = {
    "msg_15": "the inner boundary begins like the outer one: three readers lose a picture",
    "msg_25": "a boundary cut off in its quotes: parts for two readers, a text for three",
    "msg_31": "a boundary that never comes: a text for three readers, nothing for five",
    "msg_33": "a boundary in pieces: four readers see parts, three a text",
    "msg_39": "parts after the end, which some readers see",
    "msg_40": "a boundary in text/html: two readers split it",
    "msg_41": "a multipart without a boundary: a text for three readers, nothing for five",
    "boundary_never_comes": "a text for three readers, nothing for five",
    "boundary_repeated": "two fields Content-Type: each boundary is that of some readers",
    "broken_mime_fields": "a quote that is not closed: what follows belongs to it, or not",
    "multipart_without_boundary": "a text for three readers, nothing for four, parts for one",
}
"""Messages that are broken on purpose in the tests of CPython and of this proxy."""


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


@each("kind", DRAWN)
@each("path", FILES)
def test_mail_as_programs_write_it_passes(path: Path, kind: str) -> None:
    assert refusal(kind, canonical(path.read_bytes())) is None


@pytest.mark.parametrize("kind", DRAWN)
def test_mail_that_python_writes_passes(kind: str) -> None:
    for message in composed():
        assert refusal(kind, canonical(message.as_bytes())) is None, message["Subject"]


@pytest.mark.parametrize("kind", DRAWN)
def test_odd_messages_pass_that_all_read_alike(kind: str) -> None:
    """Those of CPython's tests, and of `tests/messages`."""
    paths = [*SHIPPED, *MESSAGES]
    refused = {path.stem for path in paths if refusal(kind, canonical(path.read_bytes()))}
    assert MESSAGES
    assert refused == set(READ_IN_TWO_WAYS) & {path.stem for path in paths}


@pytest.mark.parametrize(
    "field",
    [
        "Content-Disposition: =?utf-8?Q?attachment=3B_filename=3D=22evil=2Eexe=22?=",
        "Content-Disposition: =?utf-8?B?YXR0YWNobWVudDtmaWxlbmFtZT1ldmlsLmV4ZQ==?=",
        "Content-Disposition: attachment; filename=x\r\nContent-Transfer-Encoding: base64 x",
        'Content-Type: multipart/mixed; boundary="b" (x)',
        'Content-Type: a/b; name="x" (evil.exe)',
        "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: quoted printable",
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64;",
    ],
)
def test_what_is_almost_a_harmless_mistake_is_refused(field: str) -> None:
    raw = f"{field}\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n".encode()
    assert refusal("file", raw)


def test_uuencoded_text_ends_where_a_line_holds_nothing() -> None:
    """Some readers stop there, others at ``end``: what follows must not hide what stands before."""
    raw = b"\r\nBEGIN 644 x\r\n7;7D@04M)04E/4T9/1$Y.-T5804U03$4 \r\n`\r\n----\r\n"
    assert refusal("secret", raw, broken=False)


def test_hostile_messages_are_refused_early() -> None:
    """Each takes a fraction of a second for 25 MB: there is a limit to what is looked at."""
    head = b"Content-Type: text/plain\r\n"
    coded = b"Content-Transfer-Encoding: base64\r\n\r\n"
    for raw in (
        head + b"x\r\n" * 200_000 + b"\r\n",
        head + b"a:b\r\n" * 200_000 + b"\r\n",
        head + coded + b"YQ==\r\n" * 300_000,
        head + b"\r\n" + b"content-transfer-encoding: base64\r\n" * 100_001,
    ):
        for kind in DRAWN:
            assert "more than" in str(refusal(kind, raw, broken=False))
