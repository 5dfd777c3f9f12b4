"""Reads replies (RFC 5321 §4.2) from a stream of octets, within a bound."""

from __future__ import annotations

import re
from typing import Final

import attrs

from .replies import Reply
from .violations import server_violation

__all__ = ["ReplyReader"]

# RFC 5321 §4.2: three digits, then SP, "-" or nothing. [0-9], not \d: the latter takes other digits in str.
_REPLY_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?:([ -])[^\r\n\0]*)?")
_SINGLE: Final = re.compile(rb"([2-5][0-9][0-9])(?: [^\r\n\0]*)?\r\n")


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
