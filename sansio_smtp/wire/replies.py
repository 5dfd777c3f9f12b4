"""Replies (RFC 5321 §4.2): a value type that keeps the octets it came in, and its bounded reader."""

from __future__ import annotations

import re
from typing import Final

import attrs

from sansio_smtp.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["Reply", "ReplyReader", "server_violation"]

# RFC 5321 §4.2: three digits, then SP, "-" or nothing. [0-9], not \d: the latter takes other digits in str.
_REPLY_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?:([ -])[^\r\n\0]*)?")
_SINGLE: Final = re.compile(rb"([2-5][0-9][0-9])(?: [^\r\n\0]*)?\r\n")
_ENHANCED: Final = re.compile(rb"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?=[ \r])")
_FORBIDDEN: Final = re.compile(rb"[\r\n\0]")


@attrs.define(eq=False, slots=True)
class Reply:
    """One reply: ``raw`` are its lines on the wire, each with its CRLF.

    Made by `Reply.of`, which checks what it is given, or by `ReplyReader`, which read it.
    Treat it as immutable.
    """

    code: int
    raw: bytes

    @classmethod
    def of(cls, code: int, *lines: str | bytes, enhanced: str = "") -> Reply:
        """A reply of our own: ``Reply.of(550, "not here", enhanced="5.7.1")``.

        Each line is one line of text without its CRLF; ``enhanced`` (RFC 2034) is put before each.
        Raises `LocalProtocolError` if the code is not 200..599 or a line holds CR, LF or NUL.
        """
        if not 200 <= code <= 599:
            raise LocalProtocolError(f"reply code {code} is not in 200..599 (RFC 5321 §4.2.1)")
        encoded = [line.encode() if isinstance(line, str) else line for line in lines] or [b""]
        if enhanced:
            encoded = [enhanced.encode() + b" " + line for line in encoded]
        for line in encoded:
            if _FORBIDDEN.search(line):
                raise LocalProtocolError(f"a reply line must not hold CR, LF or NUL: {line!r}")
        last = len(encoded) - 1
        raw = b"".join(
            b"%d%s%s\r\n" % (code, b"-" if i < last else b" " if line else b"", line)
            for i, line in enumerate(encoded)
        )
        return cls(code, raw)

    @property
    def severity(self) -> int:
        """The first digit: 2 completion, 3 intermediate, 4 transient, 5 permanent (RFC 5321 §4.2.1)."""
        return self.code // 100

    @property
    def lines(self) -> list[bytes]:
        """The text of each line, without code, separator and CRLF."""
        return [line[4:] for line in self.raw[:-2].split(b"\r\n")]

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code of the first line, such as ``"5.7.1"`` (RFC 2034), or None."""
        found = _ENHANCED.match(self.raw, 4)
        return found[1].decode() if found else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reply) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __str__(self) -> str:
        return self.raw[:-2].decode("utf-8", "backslashreplace").replace("\r\n", " / ")


@attrs.define
class ReplyReader:
    """Cuts a stream of octets into replies, within a bound.

    A reply line ends in CRLF and nothing else; a stray CR, LF or NUL, a malformed line, a code that
    changes between the lines of one reply, and too many octets are the server's violation: a reply
    that a lenient client could read as two must never be passed on.
    """

    max_size: int
    empty: bool = attrs.field(default=True, init=False)
    """Kept beside the length because it is asked for before every step."""
    _buffer: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _scanned: int = attrs.field(default=0, init=False)  # complete lines of the reply in progress
    _code: bytes = attrs.field(default=b"", init=False)

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        self._buffer += data
        self.empty = not self._buffer

    def next_reply(self) -> Reply | None:
        """The next whole reply, or None if more octets are needed. Raises `RemoteProtocolError`."""
        buffer = self._buffer
        if not self._scanned and (single := _SINGLE.match(buffer)) and single.end() <= self.max_size:
            # One line, whole: the usual case.
            raw = bytes(single[0])
            code = single[1]
            del single, buffer[: len(raw)]
            self.empty = not buffer
            return Reply(int(code), raw)
        while (end := buffer.find(b"\r\n", self._scanned)) >= 0:
            line = bytes(buffer[self._scanned : end])
            match = _REPLY_LINE.fullmatch(line)
            if match is None:
                raise server_violation("malformed reply line", line)
            code, separator = match.groups()
            if self._code and code != self._code:
                raise server_violation("reply code changes within one reply", line)
            self._scanned = end + 2
            if self._scanned > self.max_size:
                break
            if separator == b"-":
                self._code = code
                continue
            raw = bytes(buffer[: self._scanned])
            del buffer[: self._scanned]
            self.empty = not buffer
            self._scanned, self._code = 0, b""
            return Reply(int(code), raw)
        if len(buffer) > self.max_size:
            raise server_violation(f"reply longer than {self.max_size} octets", bytes(buffer[:64]))
        return None


def server_violation(what: str, evidence: bytes) -> RemoteProtocolError:
    """What a server did wrong, with the reply for the client that waits for it."""
    hint = Reply.of(421, "upstream server broke the protocol, closing", enhanced="4.3.0")
    return RemoteProtocolError(what, hint, evidence)
