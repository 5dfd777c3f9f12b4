"""Targets: the readers of mail: header sections, MIME as guards read it, and mail data on the wire."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from itertools import pairwise, product
from pathlib import Path
from typing import Final

from neighbours.mime_seen import holds_the_secret, is_the_file, python_sees
from properties.receivers import LenientReceiver, StrictReceiver
from test_header_edits import NEW, alterations, read

from sansio_smtp import BareNewline, Nul
from sansio_smtp.rules import Connection, Headers, Message, Transaction, mime
from sansio_smtp.testing.strategies.hidden import DRAWN, ORDINARY
from sansio_smtp.wire.content import ContentReader, ContentWriter, canonical
from sansio_smtp.wire.scan import scan_in_python
from trio_proxy.ready import _parts
from trio_proxy.ready._contents import TooMuch
from trio_proxy.ready._readings import contents_of, names_of
from trio_proxy.ready.attachments import Attachments
from trio_proxy.ready.secret_scan import SecretScan

from .target import Target

__all__ = ["CONTENT", "HEADERS", "MIME"]

_MESSAGES: Final = Path(__file__).resolve().parents[1] / "tests" / "messages"


def _messages() -> Iterator[bytes]:
    for file in sorted(_MESSAGES.glob("*.eml")):
        data = canonical(file.read_bytes())
        if len(data) <= 2_048:
            yield data


# Header sections


def _try_headers(data: bytes) -> bool:
    message = Message(data)
    assert message.headers.raw + message.body == data, "P4: a message that is not its parts"
    parts, rest = read(data)
    ours = [(field.name.lower().encode(), field.raw) for field in message.headers]
    assert ours == [(part.name, part.raw) for part in parts], "fields that are not those of the lines"
    assert rest.endswith(message.body)
    if NEW not in data and b": new" not in data.lower():  # which the edits put in
        for wrong in alterations(data):
            raise AssertionError(f"P4: an edit alters more than it says: {wrong}")
    for field in message.headers:
        _check_field(field.name or "Subject", field.octets)
    return True


def _check_field(name: str, octets: bytes) -> None:
    text = mime.decode(octets, name)
    assert not re.search(r"[\r\n\0\ud800-\udfff]", text), f"{text!r} may not stand in a field"
    headers = Headers(b"")
    headers.add("X-Copy", text)
    copy = headers.raw
    assert copy.count(b"\r\n") == len(re.findall(rb"\r\n[ \t]", copy)) + 2, "more than one field was written"
    assert (copy.isascii() and Headers(copy).get("X-Copy") == text.strip(" \t")) or "=?" in text


HEADERS: Final = Target(
    "headers",
    "header sections: read, edited, and read again",
    _try_headers,
    _messages,
    words=(
        b"=?utf-8?Q?",
        b"=?utf-8?B?",
        b"?=",
        b"\r\n ",
        b"\r\n\t",
        b"Subject: ",
        b"From: ",
        b"To: ",
        b"\r\n\r\n",
    ),
)

# MIME

_TX: Final = Transaction(Connection())
_NAMES: Final = Attachments(broken=False)
_SECRETS: Final = SecretScan(whole=True, broken=False)


def _try_mime(data: bytes) -> bool:
    root = _parts.read(data)
    count = 0
    for part in root.walk():
        count += 1
        assert 0 <= part.start <= part.body <= part.end <= len(part.raw), "a part that is not in its octets"
        own = [inner for inner in part.parts if inner.raw is part.raw]
        for one, other in pairwise(own):
            assert one.end <= other.start, "two parts that overlap"
        assert all(part.body <= inner.start and inner.end <= part.end for inner in own), "a part outside"
        assert isinstance(part.text, str) and isinstance(part.names, tuple)
    assert count <= _parts.MOST + 1, "P10: more parts than the limit"
    try:
        for loosely in (False, True):
            for _ in names_of(root, loosely=loosely):
                pass
            for _ in contents_of(root, loosely=loosely):
                pass
    except TooMuch:
        pass
    # A name or secret that another reader finds must not pass.
    raw = re.sub(rb"\r?\n", b"\r\n", data)
    seen = [*python_sees(raw), *python_sees(raw.replace(b"\r\n", b"\n"))]
    if any(map(is_the_file, seen)):
        assert _NAMES.message(_TX, Message(raw)), "Python sees the file, and it passes"
    if any(map(holds_the_secret, seen)):
        assert _SECRETS.search_whole(_TX, Message(raw)), "Python sees the secret, and it passes"
    message_from_bytes(data)
    return True


def _mime_messages() -> Iterator[bytes]:
    from random import Random

    yield ORDINARY
    yield from _messages()
    for draw in DRAWN.values():
        for seed in range(150):
            yield draw(Random(seed))


MIME: Final = Target(
    "mime",
    "MIME as guards read it, beside Python's email: what that sees does not pass",
    _try_mime,
    _mime_messages,
    words=(
        b"Content-Type: ", b"multipart/mixed; boundary=", b"Content-Disposition: attachment; filename=",
        b"Content-Transfer-Encoding: ", b"base64", b"quoted-printable", b"x-uuencode", b"evil.exe",
        b"name*0*=", b"filename*=utf-8''", b"message/rfc822", b"\r\n--b\r\n", b"\r\n--b--\r\n", b"\r\n\r\n",
        b"begin 644 evil.exe\r\n",
    ),
)  # fmt: skip

# Mail data


def _try_content(data: bytes) -> bool:
    """The first octet selects the cuts and the settings for reading."""
    if not data:
        return False
    how, wire = data[0], data[1:]
    bare = BareNewline.REJECT if how & 1 else BareNewline.NORMALIZE
    nul = Nul.REFUSE if how & 2 else Nul.PASS
    size = None if how & 4 else 200
    whole = _read(ContentReader(bare, nul, size), [wire])
    for pieces in ([wire[at : at + 1] for at in range(len(wire))], _cut_by(how >> 3, wire)):
        assert whole == _read(ContentReader(bare, nul, size), pieces), "P1: the cuts change what is read"
    _compare_scans(wire)
    passed, ended, refused, _ = whole
    if ended and not refused:
        _check_receivers(passed + b".\r\n")
    written = _written([wire])
    for pieces in ([wire[at : at + 1] for at in range(len(wire))], _cut_by(how >> 3, wire)):
        assert written == _written(pieces), "P1: the cuts change what is written"
    if written is not None:
        _check_receivers(written + b".\r\n")
    return True


def _written(pieces: list[bytes]) -> bytes | None:
    """The written wire form; None if it must not be sent."""
    writer = ContentWriter()
    wire = b"".join(map(writer.feed, pieces)) + writer.finish()
    return None if writer.error is not None else wire


def _cut_by(step: int, wire: bytes) -> list[bytes]:
    return [wire[at : at + step + 2] for at in range(0, len(wire), step + 2)]


def _read(reader: ContentReader, pieces: list[bytes]) -> tuple[bytes, bool, bool, bytes]:
    out, rest = b"", b""
    for number, piece in enumerate(pieces):
        out += reader.feed(piece)
        assert reader.held <= 3, "P10: more is held than the beginning of end-of-data"
        if reader.finished:
            rest = reader.rest + b"".join(pieces[number + 1 :])
            break
    refused = reader.error is not None
    return b"" if refused else out, reader.finished, refused, rest


def _check_receivers(wire: bytes) -> None:
    """Checks P5: every receiver finds exactly one message, at the end of the octets, and all find the
    same."""
    found = []
    for receiver in (StrictReceiver(lambda _: 354), LenientReceiver(lambda _: 354)):
        receiver.feed(b"DATA\r\n" + wire)
        found.append([item.data for item in receiver.items[1:]])
    assert [len(items) for items in found] == [1, 1], f"{found} in {wire!r}"
    assert found[0] == found[1] or b"\0" in wire


def _compare_scans(wire: bytes) -> None:
    try:
        from sansio_smtp.wire._scan import scan as scan_in_c  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return
    assert scan_in_c(wire) == scan_in_python(wire), "C and Python disagree"


def _contents() -> Iterator[bytes]:
    for how in (0, 1, 2, 4, 0x1C):
        yield bytes((how,)) + b"A: b\r\n\r\n.hello\r\n..\r\n.\r\nMAIL"
        yield bytes((how,)) + b"x\n.\ny\r.\rz\r\n.\n\r\n.\r\0\r\n\0.\r\n.\0\r\n.\r\n"
    for octets in product((b"\r", b"\n", b".", b"x", b"\0"), repeat=3):
        yield b"\x14" + b"".join(octets) + b"\r\n.\r\n"


CONTENT: Final = Target(
    "content",
    "mail data on the wire, read and written, in Python and in C",
    _try_content,
    _contents,
    longest=256,
    words=(b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\r\n.\n", b"\r\n\0.\r\n", b"..", b"\r\r\n"),
)
