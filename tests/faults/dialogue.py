"""The dialogue that all cells have: phases, the replies of a server that works, and messages."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

__all__ = [
    "NEXT",
    "PHASES",
    "REPLIES",
    "A",
    "B",
    "attempt_in",
    "chunks_of",
    "content_of",
    "sender_of",
    "stuffed",
    "unstuffed",
]

A: Final = "a@mx.example"
B: Final = "b@mx.example"
PHASES: Final = {
    "connect": "a connection",
    "header": "the PROXY header",
    "greeting": "the greeting",
    "ehlo": "EHLO, or LHLO",
    "starttls": "STARTTLS",
    "handshake": "the TLS handshake, before the greeting for SMTPS",
    "auth": "AUTH",
    "mail": "MAIL",
    "rcpt": "RCPT, the first",
    "data": "DATA",
    "content": "in the middle of the content",
    "dot": "end-of-data",
    "after": "after the reply to end-of-data, at once",
    "bdat": "BDAT, the first chunk of two",
    "last": "BDAT LAST",
    "rset": "RSET",
    "idle": "between two messages, when nothing is in flight",
    "quit": "QUIT",
}
REPLIES: Final = {
    "greeting": b"220 mx.example ESMTP\r\n",
    "starttls": b"220 2.0.0 begin TLS\r\n",
    "auth": b"235 2.7.0 welcome\r\n",
    "mail": b"250 2.1.0 ok\r\n",
    "rcpt": b"250 2.1.5 ok\r\n",
    "data": b"354 go on\r\n",
    "content": b"552 5.3.4 too much\r\n",
    "dot": b"250 2.0.0 kept\r\n",
    "bdat": b"250 2.0.0 octets received\r\n",
    "last": b"250 2.0.0 kept\r\n",
    "rset": b"250 2.0.0 ok\r\n",
    "noop": b"250 2.0.0 ok\r\n",
    "quit": b"221 2.0.0 bye\r\n",
}
"""What a server says that works; in the middle of content, what one says that has enough."""
NEXT: Final = {
    "greeting": "ehlo",
    "ehlo": "mail",
    "mail": "rcpt",
    "rcpt": "data",
    "data": "dot",
    "bdat": "last",
    "dot": "rset",
    "last": "rset",
}
"""The phase after this one, in which a reply of that phase is early."""
_TAG: Final = re.compile(rb"X-Attempt: (\d+)\r\n")
_SENDER: Final = re.compile(rb"<(\d+)@me\.example>")
_SMALL: Final = 4
_LARGE: Final = 2_500


def sender_of(attempt: int) -> str:
    return f"{attempt}@me.example"


def attempt_in(octets: bytes) -> int | None:
    """The number of the attempt, by its reverse-path or its content."""
    found = _SENDER.search(octets) or _TAG.search(octets)
    return int(found[1]) if found else None


@cache
def content_of(attempt: int, *, large: bool = False) -> bytes:
    """Lines of all kinds, of which each message has other ones. A large one does not fit into the buffers of
    a connection in one piece."""
    kinds = (b"line %d of %d\r\n", b".%d dot %d\r\n", b"..%d two dots %d\r\n", b". %d.%d\r\n")
    count = _LARGE if large else _SMALL
    lines = [
        kinds[number % 4] % (number, attempt) + b"x" * (number % 60) + b"\r\n" for number in range(count)
    ]
    head = b"X-Attempt: %d\r\nFrom: me@me.example\r\nSubject: attempt\r\n\r\n" % attempt
    return head + b"".join(lines) + b".\r\n"


def stuffed(content: bytes) -> bytes:
    """As it is sent after DATA, without end-of-data."""
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]


def unstuffed(data: bytes) -> bytes:
    return (b"\r\n" + data).replace(b"\r\n..", b"\r\n.")[2:]


def chunks_of(content: bytes) -> tuple[bytes, bytes]:
    """Two halves, cut in the middle of a line."""
    half = len(content) // 2 + 3
    return content[:half], content[half:]
