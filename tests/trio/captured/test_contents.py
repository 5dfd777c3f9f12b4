"""Messages taken apart."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_proxy.captured.contents import Attachment, contents_of

MESSAGES = sorted((Path(__file__).parents[2] / "messages").rglob("*.eml"))


def full() -> bytes:
    message = EmailMessage()
    message["Subject"] = "Grüße"
    message.set_content("hello\n")
    message.add_alternative("<p>hello</p>", subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="Rechnung für Ann.pdf")
    message.add_attachment("notes", filename="notes.txt")
    message.add_attachment(EmailMessage())
    return message.as_bytes()


def test_fields_texts_and_attachments() -> None:
    contents = contents_of(full())
    assert contents.fields[0] == ("Subject", "Grüße")
    assert (contents.text, contents.html) == ("hello\n", "<p>hello</p>\n")
    assert contents.attachments == (
        Attachment("Rechnung für Ann.pdf", "application/pdf", 4),
        Attachment("notes.txt", "text/plain", 6),
        Attachment("", "message/rfc822", 1),
    )


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"", ""),
        (b"\r\nno fields\r\n", "no fields\n"),
        (b"A: b\r\n\r\none\rtwo\r\n", "one\ntwo\n"),
        (b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n\xfc", "ü"),
        (b"Content-Type: text/plain; charset=no-such\r\n\r\n\xc3\xbc", "ü"),
        (b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n", "hello"),
        (b"Content-Transfer-Encoding: none\r\n\r\nhello", "hello"),
        (b"Content-Type: multipart/mixed\r\n\r\nno boundary", "no boundary"),
        (b"Content-Type: ;;;\r\n\r\nhello", "hello"),
    ],
)
def test_texts(message: bytes, text: str) -> None:
    contents = contents_of(message)
    assert contents.text == text or [each.size for each in contents.attachments] == [len(text)]


def test_a_name_in_encoded_words() -> None:
    message = b'Content-Type: application/pdf; name="=?utf-8?q?=C3=BC.pdf?="\r\n\r\nx'
    assert contents_of(message).attachments == (Attachment("ü.pdf", "application/pdf", 1),)


def test_parts_in_parts_in_parts() -> None:
    message = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(100)
    )
    assert contents_of(message + b"\r\nhello").fields[0][0] == "Content-Type"


def test_a_great_many_parts_are_not_all_taken() -> None:
    parts = b"--b\r\nContent-Type: image/png\r\n\r\nx\r\n" * 1_100
    message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + parts + b"--b--\r\n"
    assert len(contents_of(message).attachments) == 999


def test_real_messages() -> None:
    assert MESSAGES
    for file in MESSAGES:
        contents_of(file.read_bytes())


@given(
    st.lists(
        st.sampled_from(
            [
                b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: text/html\r\n",
                b"Content-Transfer-Encoding: base64\r\n", b"Content-Type: message/rfc822\r\n",
                b"Content-Disposition: attachment; filename*=utf-8''%ff\r\n", b"\xff\0=",
                b"Content-Transfer-Encoding: uuencode\r\n", b"\r\n", b"--b\r\n", b"--b--\r\n",
            ]
        )
        | st.binary(max_size=5),
        max_size=20,
    )
)  # fmt: skip
def test_any_octets_can_be_taken_apart(octets: list[bytes]) -> None:
    contents_of(b"".join(octets))
