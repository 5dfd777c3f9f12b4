"""A whole message: what is copied, what is replaced, and which signatures an edit breaks."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest
from each import each

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules.headers import Headers
from sansio_smtp.rules.message import Message

DATA = b"Subject: x\r\nTo: a@x\r\n\r\nbody\r\n\r\nmore\r\n"


@each(
    ("data", "section", "body"),
    [
        (DATA, b"Subject: x\r\nTo: a@x\r\n\r\n", b"body\r\n\r\nmore\r\n"),
        (b"", b"", b""),
        (b"\r\n", b"\r\n", b""),
        (b"\r\nbody", b"\r\n", b"body"),
        (b"\r\n\r\nbody", b"\r\n", b"\r\nbody"),
        (b"A: 1\r\n", b"A: 1\r\n", b""),
        (b"A: 1\r\n\r\n", b"A: 1\r\n\r\n", b""),
        (b"text\r\nmore", b"text\r\nmore", b""),
        (b"A: 1\n\nbody\r\n\r\n", b"A: 1\n\n", b"body\r\n\r\n"),
        (b"\nbody", b"\n", b"body"),
        (b"A: 1\r\n \r\nB: 2\r\n\r\nbody", b"A: 1\r\n \r\nB: 2\r\n\r\n", b"body"),
    ],
)
@each("of", [bytes, memoryview])
def test_the_first_empty_line_ends_the_header_section(
    data: bytes, section: bytes, body: bytes, of: Callable[[bytes], bytes]
) -> None:
    message = Message(of(data))
    assert message.headers.raw == section
    assert message.body == body
    assert message.raw == data
    assert message.size == len(data)
    assert not message.edited


def test_what_is_not_edited_is_not_copied() -> None:
    message = Message(DATA)
    assert message.headers.get("Subject") == "x"
    assert message.body.startswith(b"body")
    assert message.parsed()["subject"] == "x"
    assert message.raw is DATA
    assert not message.breaks_signatures
    assert repr(message) == "<Message of 37 octets>"


def test_a_message_may_lie_in_a_file() -> None:
    with mmap.mmap(-1, len(DATA)) as mapped:
        mapped[:] = DATA
        with memoryview(mapped) as view:
            message = Message(view)
            message.headers.add("X", "y")
            assert message.size == len(message.raw) == len(DATA) + 6
            assert message.raw == b"Subject: x\r\nTo: a@x\r\nX: y\r\n\r\nbody\r\n\r\nmore\r\n"
            assert message.parsed()["x"] == "y"
            del message


def test_edits() -> None:
    message = Message(DATA)
    message.headers.set("Subject", "y")
    assert message.raw == b"Subject: y\r\nTo: a@x\r\n\r\nbody\r\n\r\nmore\r\n"
    message.body = b"new\n"
    assert message.raw == b"Subject: y\r\nTo: a@x\r\n\r\nnew\n"
    assert message.size == len(message.raw)
    assert message.edited


def test_the_same_body_is_no_edit() -> None:
    message = Message(DATA)
    message.body = b"body\r\n\r\nmore\r\n"
    assert not message.edited
    assert message.raw is DATA


def test_a_body_may_be_removed() -> None:
    message = Message(DATA)
    message.body = b""
    assert message.edited
    assert message.raw == b"Subject: x\r\nTo: a@x\r\n\r\n"


@pytest.mark.parametrize("of", [bytes, memoryview])
def test_in_pieces(of: Callable[[bytes], bytes]) -> None:
    message = Message(of(DATA))
    assert list(message.chunks(5)) == [b"body\r", b"\n\r\nmo", b"re\r\n"]
    assert [type(chunk) for chunk in message.chunks()] == [bytes]
    assert (message.section, message.body_start) == (b"Subject: x\r\nTo: a@x\r\n\r\n", 23)
    message.headers.add("X", "y")
    assert message.section == b"Subject: x\r\nTo: a@x\r\nX: y\r\n\r\n"
    message.body = b"new"
    assert list(message.chunks(2)) == [b"ne", b"w"]
    assert message.body_start == 23


@pytest.mark.parametrize(
    ("data", "raw"),
    [
        (b"", b"\r\nnew"),
        (b"\r\n", b"\r\nnew"),
        (b"A: 1", b"A: 1\r\n\r\nnew"),
        (b"A: 1\r\n", b"A: 1\r\n\r\nnew"),
        (b"A: 1\r\n\r\n", b"A: 1\r\n\r\nnew"),
        (b"junk\r\n", b"junk\r\n\r\nnew"),
    ],
)
def test_a_body_follows_an_empty_line(data: bytes, raw: bytes) -> None:
    message = Message(data)
    message.body = b"new"
    assert message.raw == raw
    assert message.size == len(raw)
    assert Message(raw).body == b"new"


def test_an_empty_body_needs_no_empty_line() -> None:
    message = Message(b"A: 1\r\n")
    message.body = b"new"
    message.body = b""
    assert message.raw == b"A: 1\r\n"


@pytest.mark.parametrize("body", ["text", bytearray(b"x"), None])
def test_a_body_is_octets(body: Any) -> None:
    message = Message(DATA)
    with pytest.raises(
        LocalProtocolError, match=rf"^Message.body: octets \(bytes\), not {type(body).__name__}"
    ):
        message.body = body
    assert not message.edited


def test_whether_the_body_was_edited() -> None:
    message = Message(DATA)
    edited = [message.body_edited]
    message.headers.add("X", "y")
    edited.append(message.body_edited)
    message.body = b"new"
    edited.append(message.body_edited)
    assert edited == [False, False, True]


def test_it_is_parsed_once_until_it_is_edited() -> None:
    message = Message(DATA)
    first = message.parsed()
    assert message.parsed() is first
    message.headers.set("Subject", "y")
    second = message.parsed()
    assert second["subject"] == "y"
    assert message.parsed() is second
    message.body = b"new"
    assert message.parsed().get_content() == "new"


def test_replaced_by_octets() -> None:
    message = Message(DATA)
    message.replace(b"A: 1\r\n\r\nnew")
    assert message.raw == b"A: 1\r\n\r\nnew"
    assert message.headers.get("A") == "1"
    assert message.headers.changes == ["- Subject: x", "- To: a@x", "+ A: 1"]
    assert message.body == b"new"
    message.replace(b"A: 2")
    assert message.raw == b"A: 2"


def test_replaced_by_itself() -> None:
    message = Message(DATA)
    message.replace(DATA)
    assert not message.edited


def test_replaced_by_what_was_parsed_and_changed() -> None:
    message = Message(DATA)
    headers = message.headers
    new = message.parsed()
    new.replace_header("Subject", "Größe")
    new.set_content("für\n", cte="8bit")
    assert not message.edited
    message.replace(new)
    assert message.headers is headers
    assert headers.get("Subject") == "Größe"
    assert b"Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\r\n" in message.raw
    assert message.body == "für\r\n".encode()


def test_encoded_words_are_needless_in_an_smtputf8_transaction() -> None:
    message = Message(DATA, utf8=True)
    new = EmailMessage()
    new["Subject"] = "Größe"
    message.replace(new)
    assert "Subject: Größe\r\n".encode() in message.raw


def test_what_is_no_message_replaces_none() -> None:
    message = Message(DATA)
    text: Any = "Subject: x"
    with pytest.raises(LocalProtocolError, match=r"^Message\.replace: an EmailMessage or bytes, not str"):
        message.replace(text)
    assert not message.edited


def test_edits_can_be_taken_back() -> None:
    message = Message(DATA)
    snapshot = message.snapshot()
    message.headers.add("X", "y")
    assert message.changes_since(snapshot) == ["+ X: y"]
    message.body = b"new"
    assert message.changes_since(snapshot) == ["+ X: y", "body is now 3 octets"]
    assert message.parsed()["x"] == "y"
    message.restore(snapshot)
    assert message.raw is DATA
    assert message.changes_since(snapshot) == []
    # As many edits as before, but others.
    message.headers.add("Z", "y")
    message.body = b"old"
    assert message.parsed()["x"] is None
    assert message.parsed()["z"] == "y"


# Signatures

SIGNED = (
    b"ARC-Seal: i=1; cv=none\r\n"
    b"DKIM-Signature: v=1; bh=x; h=From : to:\r\n\tSubject:from; b=h=x\r\n"
    b"From: a@x\r\n"
    b"To: b@x\r\n"
    b"To: c@x\r\n"
    b"Date: now\r\n"
    b"\r\nbody\r\n"
)

Edit = Callable[[Message], object]


def set_body(message: Message) -> bytes:
    message.body = b"new\r\n"
    return message.body


@each(
    ("edit", "breaks"),
    [
        (lambda m: m.headers.add("X", "y"), False),
        (lambda m: m.headers.prepend("X", "y"), False),
        (lambda m: m.headers.set("Date", "then"), False),
        (lambda m: m.headers.remove("Date"), False),
        (lambda m: m.headers.set("From", "z@x"), True),
        (lambda m: m.headers.remove("From"), True),
        (lambda m: m.headers.add("FROM", "z@x"), True),
        # h= names it twice: there is no other.
        (lambda m: m.headers.prepend("From", "z@x"), True),
        (lambda m: m.headers.add("Subject", "x"), True),
        (lambda m: m.headers.prepend("Subject", "x"), True),
        # h= names one of the two: the last.
        (lambda m: m.headers.prepend("To", "z@x"), False),
        (lambda m: m.headers.add("To", "z@x"), True),
        (lambda m: m.headers.replace("To", lambda text: text.replace("b@", "z@")), False),
        (lambda m: m.headers.replace("To", lambda text: text.replace("c@", "z@")), True),
        # Changed and changed back.
        (lambda m: [m.headers.add("From", "z@x"), m.replace(SIGNED)], False),
        # What is not there any more is not broken, and what was added is the rule's own.
        (lambda m: [m.headers.remove("DKIM-Signature"), m.headers.set("From", "z@x")], False),
        (lambda m: [m.headers.remove("DKIM-Signature"), set_body(m)], False),
        (lambda m: [m.headers.prepend_raw(b"DKIM-Signature: h=x"), m.headers.add("X", "y")], False),
        (set_body, True),
        (lambda m: m.replace(SIGNED.replace(b"body", b"new")), True),
        (lambda m: m.replace(SIGNED.replace(b"Date: now", b"Date: then")), False),
        (lambda m: m.replace(b"From: a@x\r\n\r\nnew"), False),
    ],
)
def test_dkim(edit: Edit, breaks: bool) -> None:
    """RFC 6376 §5.4.2: fields are signed from the bottom up."""
    message = Message(SIGNED)
    assert not message.breaks_signatures
    edit(message)
    assert message.breaks_signatures is breaks


def test_a_signature_without_a_list_of_fields_covers_the_body_only() -> None:
    message = Message(b"DKIM-Signature: v=1; b=h=from\r\nFrom: a@x\r\n\r\nbody")
    message.headers.remove("From")
    assert not message.breaks_signatures
    set_body(message)
    assert message.breaks_signatures


@each("of", [bytes, memoryview])
@each(
    ("data", "breaks"),
    [
        (b"ARC-Message-Signature: i=1; h=from; bh=x\r\n\r\nbody", True),
        (b'Content-Type: multipart/signed; boundary="b"\r\n\r\n--b', True),
        (b'A: 1\r\ncontent-type:\r\n\tMultipart/Signed; boundary="b"\r\n\r\n--b', True),
        (b"A: 1\r\nContent-Type: application/pkcs7-mime\r\n\r\nMII", True),
        (b"A: 1\r\n\r\n--b\r\nContent-Type: application/x-pkcs7-signature\r\n\r\nMII", True),
        (b"A: 1\r\n\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\nbody", True),
        (b"A: 1\r\n\r\n> -----BEGIN PGP SIGNED MESSAGE-----\r\nbody", False),
        (b"A: 1\r\nContent-Type: multipart/mixed\r\n\r\nContent-Type: text/plain", False),
        (b"A: multipart/signed\r\n\r\n", False),
    ],
)
def test_a_new_body_breaks_signatures_over_it(
    data: bytes, breaks: bool, of: Callable[[bytes], bytes]
) -> None:
    message = Message(of(data))
    message.headers.add("X", "y")
    assert not message.breaks_signatures
    set_body(message)
    assert message.breaks_signatures is breaks


def test_each_change_gives_another_revision() -> None:
    message = Message(b"Subject: hi\r\n\r\ntext\r\n")
    seen = [message.revision]
    message.headers.add("X-One", "1")
    seen.append(message.revision)
    message.body = b"other\r\n"
    seen.append(message.revision)
    message.headers = Headers(message.headers.raw)
    seen.append(message.revision)
    assert len(set(seen)) == 4
    assert message.revision == seen[-1]
