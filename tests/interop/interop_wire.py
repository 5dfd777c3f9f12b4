"""An SMTP client that sends precisely the bytes it is told to, and messages worth sending."""

import random
import re
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

LINE = re.compile(rb"(\d{3})([ -])([^\r\n]*)\r\n")


@dataclass(frozen=True)
class Reply:
    code: int
    lines: tuple[bytes, ...]

    @property
    def text(self) -> bytes:
        return b"\n".join(self.lines)


class RawClient:
    """Every read has a deadline; an answer that does not come is a failure, not a hang."""

    def __init__(
        self,
        port: int | socket.socket,
        seconds: float = 20,
        *,
        greet: bool = True,
        greeted: bool = False,
        source: str = "127.0.0.1",
        first: bytes = b"",
    ) -> None:
        """`port` of 127.0.0.1, to which it connects from the address `source`, or a socket; `first` is sent
        before the greeting is read, which somebody else has read if `greeted`. Unless `greet`, EHLO is left
        to the caller."""
        self._seconds = seconds
        self._buffer = b""
        if isinstance(port, int):
            port = socket.create_connection(("127.0.0.1", port), seconds, (source, 0))
            port.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = port
        try:
            if first:
                self.send(first)
            if not greeted:
                greeting = self.reply()
                assert greeting.code == 220, greeting
            self.extensions = self.command(b"EHLO client.test", 250).lines[1:] if greet else ()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_byte_by_byte(self, data: bytes) -> None:
        for index in range(len(data)):
            self._socket.sendall(data[index : index + 1])

    def reply(self) -> Reply:
        """The next reply, all its lines; a reply that is not well-formed SMTP is a failure."""
        deadline = time.monotonic() + self._seconds
        lines: list[bytes] = []
        codes: set[bytes] = set()
        while True:
            while b"\n" not in self._buffer:
                self._receive(deadline)
            match = LINE.match(self._buffer)
            assert match, f"not a reply line: {self._buffer[:200]!r}"
            self._buffer = self._buffer[match.end() :]
            codes.add(match[1])
            lines.append(match[3])
            assert len(codes) == 1, f"one reply, several codes: {codes}"
            if match[2] == b" ":
                return Reply(int(match[1]), tuple(lines))

    def _receive(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        assert left > 0, f"no reply in {self._seconds} s; so far: {self._buffer!r}"
        self._socket.settimeout(left)
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            raise AssertionError(f"no reply in {self._seconds} s; so far: {self._buffer!r}") from None
        if not data:
            raise EOFError(f"closed by the peer; so far: {self._buffer!r}")
        self._buffer += data

    def replies(self, count: int) -> list[int]:
        return [self.reply().code for _ in range(count)]

    def replies_until_closed(self) -> list[Reply]:
        """All replies until the peer closes, and it must close."""
        replies: list[Reply] = []
        while True:
            try:
                replies.append(self.reply())
            except (EOFError, ConnectionResetError):
                assert not self._buffer, f"closed in the middle of a reply: {self._buffer!r}"
                return replies

    def half_close(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave without a farewell: with this option the kernel sends RST in place of FIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def command(self, line: bytes, *expected: int) -> Reply:
        self.send(line + b"\r\n")
        reply = self.reply()
        assert not expected or reply.code in expected, f"{line!r}: {reply}"
        return reply

    def envelope(self, sender: str, *recipients: str) -> None:
        """As far as the 354 that asks for the message."""
        self.command(b"MAIL FROM:<%b>" % sender.encode(), 250)
        for recipient in recipients:
            self.command(b"RCPT TO:<%b>" % recipient.encode(), 250)
        self.command(b"DATA", 354)

    def quit(self) -> None:
        self.command(b"QUIT", 221)
        assert self.replies_until_closed() == []

    def start_tls(self, context: ssl.SSLContext) -> None:
        """STARTTLS, and EHLO under TLS."""
        self.command(b"STARTTLS", 220)
        assert not self._buffer
        self._socket = context.wrap_socket(self._socket, server_hostname="localhost")
        self.extensions = self.command(b"EHLO client.test", 250).lines[1:]

    def cut(self) -> None:
        """The end of the connection, without a word: TLS says no farewell either."""
        self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def keywords(self) -> set[bytes]:
        return {line.split()[0].upper() for line in self.extensions}


def dot_stuffed(content: bytes) -> bytes:
    """The message as it travels after DATA, without the end."""
    return (b"." if content.startswith(b".") else b"") + content.replace(b"\r\n.", b"\r\n..")


def as_kept(content: bytes) -> bytes:
    """The message as a Maildir keeps it."""
    return content.replace(b"\r\n", b"\n")


OCTETS = bytes(set(range(256)) - set(b"\r\n"))


def message(number: int, *, longest_line: int = 998) -> bytes:
    """A message like no other: any octet but CR and LF in its lines, many of them starting with dots."""
    source = random.Random(number)
    lines = [b"X-Interop-Id: %d" % number, b"Subject: message %d" % number, b"MIME-Version: 1.0"]
    lines += [b"Content-Type: application/octet-stream", b"Content-Transfer-Encoding: 8bit", b""]
    for _ in range(source.randrange(40)):
        start = source.choice((b"", b"", b".", b"..", b". ", b"From ", b"MAIL FROM:<x@example.test>"))
        length = source.choice((0, 1, 2, 30, 76, 300, longest_line)) - len(start)
        lines.append(start + bytes(source.choices(OCTETS, k=max(0, length))))
    # The most delicate place of all: what comes right before the final dot.
    lines += source.choice(([], [b""], [b"."], [b".."], [b"", b".", b""]))
    return b"\r\n".join(lines) + b"\r\n"


def number_of(content: bytes) -> int:
    match = re.match(rb"X-Interop-Id: (\d+)\r?\n", content)
    assert match, f"a foreign message: {content[:200]!r}"
    return int(match[1])


@contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """The block must end in time; what it waits for has deadlines of its own."""
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < seconds, f"{what} took {took:.1f} s, more than {seconds} s"
