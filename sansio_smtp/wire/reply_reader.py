"""Reads replies (RFC 5321 §4.2) from a stream of octets, and finds the first octet that no reply can hold.

A reply is one or more lines with the same code. A hyphen after the code says that another line follows::

    250-mx.example CRLF
    250-SIZE CRLF
    250 DSN CRLF

    line start ─digit─digit─digit─┬─ "-" ─ text ─ CRLF ──> next line, which has the same code
                                  ├─ SP ── text ─ CRLF ──> the reply is complete
                                  └─────────────── CRLF ──> the reply is complete

What must never happen is that a client reads two replies where this reader has read one: then the client
would match each reply to the wrong command. So a line ends only in CRLF, and text holds no CR, LF or NUL.

An octet that no reply can have at its place is a violation by the server, as soon as it arrives. The reader
does not wait for the end of the line: a server that ends its lines with a bare LF never sends the CRLF, and
the client would wait until a timeout. So the violation and its text do not depend on how the stream was cut
into segments. The same is true for the limit on the length of a reply.

A complete reply is one match of `REPLY`. Only an incomplete or wrong reply is read line by line, and no line
is read again when more octets arrive.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from sansio_smtp.arguments import octets

from .replies import REPLY, Reply
from .violations import RemoteProtocolError, server_violation

__all__ = ["REPLY", "ReplyReader"]

# These two match the longest legal beginning of a line, which may be empty.
_LINE: Final = re.compile(rb"(?:[2-5](?:[0-9](?:[0-9](?:[ -][^\r\n\0]*)?(?:\r\n?)?)?)?)?")
_TEXT: Final = re.compile(rb"[^\r\n\0]*(?:\r\n?)?")

_NUL, _LF, _CR, _HYPHEN = b"\0\n\r-"
_BEFORE_TEXT: Final = 3
"""The length of a code in octets. The next octet is the separator; then comes text."""


@attrs.define
class ReplyReader:
    """Cuts a stream of octets into replies of at most ``max_size`` octets.

    A stray CR, LF or NUL, a malformed line, a code that changes between the lines of one reply, and a reply
    that is too long are violations by the server.
    """

    max_size: int
    empty: bool = attrs.field(default=True, init=False)
    """True if no octet waits to be read. It is an attribute because it is read before every step."""
    _buffer: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _line: int = attrs.field(default=0, init=False)  # where the unfinished line begins
    _checked: int = attrs.field(default=0, init=False)  # everything before this index is right
    _code: bytes = attrs.field(default=b"", init=False)  # the code of the lines before the unfinished one

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Takes octets as they came, cut anywhere."""
        self._buffer += data if isinstance(data, bytes) else octets(data, "ReplyReader.feed")
        self.empty = not self._buffer

    def next_reply(self) -> Reply | None:
        """The next whole reply, or None if more octets are needed. Raises `RemoteProtocolError`."""
        buffer = self._buffer
        if not self._checked and (whole := REPLY.match(buffer)) and whole.end() <= self.max_size:
            # The usual case.
            raw, code = bytes(whole[0]), whole[1]
            del whole, buffer[: len(raw)]
            self.empty = not buffer
            return Reply(int(code), raw)
        return self._read_lines() if buffer else None

    def _read_lines(self) -> Reply | None:
        """Continues to read line by line."""
        buffer = self._buffer
        while (end := self._legal_end()) <= self.max_size and end > self._line and buffer[end - 1] == _LF:
            if buffer[self._line + _BEFORE_TEXT] != _HYPHEN:
                return self._take(end)
            self._code = bytes(buffer[self._line : self._line + _BEFORE_TEXT])
            self._line = self._checked = end
        if end < len(buffer) or end > self.max_size:
            raise self._violation(end)
        # A CR is checked again, with the octet after it.
        self._checked = end - (end > 0 and buffer[end - 1] == _CR)
        return None

    def _legal_end(self) -> int:
        """The index of the end of the line; if it is incomplete or wrong, of the end of its legal part."""
        start, buffer = self._line, self._buffer
        if self._checked > start + _BEFORE_TEXT:
            return _end(_TEXT, buffer, self._checked)
        end = _end(_LINE, buffer, start)
        code = bytes(buffer[start : min(start + _BEFORE_TEXT, end)])
        if self._code and not self._code.startswith(code):
            same = [mine == before for mine, before in zip(code, self._code, strict=False)]
            return start + same.index(False)
        return end

    def _take(self, end: int) -> Reply:
        raw = bytes(self._buffer[:end])
        del self._buffer[:end]
        self.empty = not self._buffer
        self._line, self._checked, self._code = 0, 0, b""
        return Reply(int(raw[:_BEFORE_TEXT]), raw)

    def _violation(self, at: int) -> RemoteProtocolError:
        """The error that says what is wrong with the octet at this index. Its evidence ends with that
        octet."""
        buffer, place = self._buffer, at - self._line
        if at >= self.max_size:
            why = f"reply longer than {self.max_size} octets"
            return server_violation(why, bytes(buffer[:64]), "max_reply")
        if buffer[at] == _LF:
            what = "reply line ended by a bare LF, not CRLF"
        elif buffer[at] == _NUL:
            what = "reply holds a NUL"
        elif place and buffer[at - 1] == _CR:
            what = "reply holds a bare CR"
        elif place == _BEFORE_TEXT:
            what = "reply code followed by neither a space, a hyphen nor CRLF"
        elif self._code and _end(_LINE, buffer, self._line) > at:
            what = "reply code changes within one reply"
        else:
            what = "reply line does not begin with a code from 200 to 599"
        return server_violation(what, bytes(buffer[max(0, at - 63) : at + 1]))


def _end(pattern: re.Pattern[bytes], buffer: bytearray, start: int) -> int:
    match = pattern.match(buffer, start)
    assert match is not None  # it matches the empty string too
    return match.end()
