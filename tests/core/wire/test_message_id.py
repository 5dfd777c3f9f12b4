"""The Message-ID is found however the message is cut, and only in the header section."""

from __future__ import annotations

from each import each

from sansio_smtp.wire.message_id import LONGEST, MOST, MessageIdReader

HEADER = b"Received: by mx.example\r\n\tfor <b@mx.example>\r\n"
BODY = b"\r\nMessage-ID: <no@x>\r\n"


def found(*segments: bytes) -> bytes:
    reader = MessageIdReader()
    for segment in segments:
        reader.feed(segment)
    return reader.value


@each(
    ("message", "value"),
    [
        (HEADER + b"Message-ID: <a@x>\r\nSubject: hi\r\n" + BODY, b"<a@x>"),
        (b"Message-Id:<a@x> \r\n" + HEADER + BODY, b"<a@x>"),
        (HEADER + b"MESSAGE-ID \t:\r\n <a@x>\r\n" + BODY, b"<a@x>"),
        (HEADER + b"Message-ID: <a@x>\r\nMessage-ID: <b@x>\r\n" + BODY, b"<a@x>"),
        (HEADER + b"Message-ID:\r\n" + BODY, b""),
        (HEADER + b"X-Message-ID: <a@x>\r\n Message-ID: <b@x>\r\n" + BODY, b""),
        (HEADER + BODY, b""),
        (BODY, b""),
        (b"Message-ID: <" + b"a" * LONGEST + b">\r\n" + BODY, b"<" + b"a" * (LONGEST - 1)),
    ],
)
def test_value(message: bytes, value: bytes) -> None:
    assert found(message) == value
    assert found(*(message[at : at + 1] for at in range(len(message)))) == value
    for cut in range(len(message)):
        assert found(message[:cut], message[cut:]) == value


def test_it_is_not_looked_for_without_end() -> None:
    line = b"X: " + b"x" * 995 + b"\r\n"
    reader = MessageIdReader()
    for _ in range(MOST // len(line)):
        reader.feed(line)
    assert not reader.is_over
    reader.feed(line)
    reader.feed(b"Message-ID: <a@x>\r\n")
    assert (reader.is_over, reader.value) == (True, b"")
