"""Two receivers of SMTP that share no code and no idea with the library: one octet at a time, straight
from RFC 5321. Nothing of `sansio_smtp` may be imported here: a mistake must not be made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple

CR, LF, DOT, NUL = 13, 10, 46, 0


class Item(NamedTuple):
    """What a receiver found: a command, a line of an AUTH exchange, or a decoded message."""

    kind: (
        str  # "command", "auth line", "message", or "chunk" for BDAT after which more of the message follows
    )
    data: bytes
    end: int  # octets that had been read when it was complete
    in_chunks: bool = False


Replier = Callable[[Item], int]
"""Gives the code of the reply to an item: 354 opens mail data, 334 an AUTH line, 0 ends the reading."""


class Bdat(Enum):
    """What BDAT is to a receiver (RFC 3030 §2)."""

    LINE = "a line without octets after it"
    SKIPPED = "a line with octets after it, which belong to no message"
    CHUNK = "its octets are a chunk, and the reply follows them"


class Receiver:
    """What both receivers do with lines and messages once they have found them."""

    def __init__(self, replier: Replier, bdat: Bdat = Bdat.LINE) -> None:
        self.items: list[Item] = []
        self.binary = False
        """True if the message is declared BINARYMIME."""
        self._bdat = bdat
        self._left = 0  # octets of a chunk that have not come
        self._last = False  # it is the last one
        self._chunk = bytearray()
        self._chunks = bytearray()  # those that were taken
        self.mode = "command"  # or "auth line", "content", "chunk", "stopped"
        self.refused = False
        """True if the last reply was 4xx or 5xx."""
        self._replier = replier
        self._read = 0

    def feed(self, data: bytes) -> None:
        for octet in data:
            self._read += 1
            if self.mode == "chunk":
                if self._ends_line(octet):
                    continue
                self._chunk.append(octet)
                self._left -= 1
                if not self._left:
                    self._end_chunk()
            elif self.mode != "stopped":
                self._octet(octet)

    def _octet(self, octet: int) -> None:
        raise NotImplementedError

    def _decoded(self, message: bytes) -> bytes:
        """A message that has come in chunks, as it must arrive."""
        return message

    def _ends_line(self, octet: int) -> bool:
        """Returns True if the octet belongs to the end of the BDAT line."""
        return False

    def _line_found(self, kind: str, line: bytes) -> None:
        """A whole line outside mail data."""
        words = line.split()
        counts = self._bdat is not Bdat.LINE and kind == "command" and self._is_bdat(line, words)
        if not counts or self._bdat is Bdat.SKIPPED:
            self._found(kind, line)
        if counts:
            self._left, self._last = int(words[1]), words[2:] != []
            self.mode = "chunk"
            if not self._left:
                self._end_chunk()

    def _is_bdat(self, line: bytes, words: list[bytes]) -> bool:
        """Returns True if the line is a BDAT with its count. Blanks before the verb are passed over, as by
        servers."""
        plain = b"\r" not in line and b"\0" not in line
        return plain and len(words) > 1 and words[0].upper() == b"BDAT" and words[1].isdigit()

    def _end_chunk(self) -> None:
        self.mode = "command"
        if self._bdat is Bdat.SKIPPED:
            self._chunk.clear()
            return
        self._chunks += self._chunk
        data = bytes(self._chunks if self._last else self._chunk)
        if self._last:
            data = self._decoded(data)
        self._chunk.clear()
        self._found("message" if self._last else "chunk", data, in_chunks=True)
        if self._last or self.refused:
            self._chunks.clear()

    def _found(self, kind: str, data: bytes, *, in_chunks: bool = False) -> None:
        item = Item(kind, data, self._read, in_chunks)
        self.items.append(item)
        code = self._replier(item)
        verb = data[:4].upper() if kind == "command" else b""
        self.refused = code >= 400
        if verb == b"MAIL" and code < 300:
            self.binary = b"BODY=BINARYMIME" in data.upper()
        elif verb in (b"RSET", b"EHLO", b"HELO"):
            self._chunks.clear()
        if verb == b"DATA" and 300 <= code <= 399:
            self.mode = "content"
        elif (verb == b"AUTH" or kind == "auth line") and 300 <= code <= 399:
            self.mode = "auth line"
        elif code == 0 and (verb in (b"DATA", b"AUTH") or kind == "auth line"):
            self.mode = "stopped"  # how to read on depends on a reply that was never given
        else:
            self.mode = "command"


class StrictReceiver(Receiver):
    """CRLF ends a line and CRLF "." CRLF a message; nothing else does.

    ``as_proxy`` reads what a *client* sent in the way a tolerant relay may: LF alone ends a command. A line
    with a blank before its verb is refused, so that it is no BDAT there.
    """

    def __init__(self, replier: Replier, bdat: Bdat = Bdat.LINE, *, as_proxy: bool = False) -> None:
        super().__init__(replier, bdat)
        self._as_proxy = as_proxy
        self._line = bytearray()
        self._message = bytearray()
        self._state = "start"  # of a line of mail data; or "text", "cr", "dot", "dot cr"

    @property
    def in_message(self) -> bool:
        """True if a message has begun that has not ended."""
        return self.mode == "content" and (self._state != "start" or len(self._message) > 0)

    def _is_bdat(self, line: bytes, words: list[bytes]) -> bool:
        refused = self._as_proxy and line[:1].isspace()
        return not refused and super()._is_bdat(line, words)

    def _decoded(self, message: bytes) -> bytes:
        return canonical_chunks(message) if self._as_proxy and not self.binary else message

    def _octet(self, octet: int) -> None:
        if self.mode == "content":
            self._content(octet)
        else:
            self._line.append(octet)
            if self._line.endswith(b"\r\n"):
                self._end_line(2)
            elif self._as_proxy and octet == LF:
                self._end_line(1)

    def _end_line(self, ending: int) -> None:
        line = bytes(self._line[:-ending])
        self._line.clear()
        self._line_found("auth line" if self.mode == "auth line" else "command", line)

    def _content(self, octet: int) -> None:
        state, self._state = self._state, "text"
        if state == "start" and octet == DOT:
            self._state = "dot"
            return
        if state == "dot" and octet == CR:
            self._state = "dot cr"
            return
        if state == "dot cr":
            if octet == LF:
                self._state = "start"
                message = bytes(self._message)
                self._message.clear()
                self._found("message", message)
                return
            self._message.append(CR)  # the dot was a stuffed one
            state = "cr"
        self._message.append(octet)
        if octet == CR:
            self._state = "cr"
        elif state == "cr" and octet == LF:
            self._state = "start"


class LenientReceiver(Receiver):
    """Reads every false end of line that some server takes: LF, CR, CRLF in any mixture end a line of
    any kind, NUL does not exist, and a line of one dot ends a message."""

    def __init__(self, replier: Replier, bdat: Bdat = Bdat.LINE) -> None:
        super().__init__(replier, bdat)
        self._line = bytearray()
        self._message = bytearray()
        self._after_cr = False

    def _ends_line(self, octet: int) -> bool:
        after_cr, self._after_cr = self._after_cr, False
        return after_cr and octet == LF

    def _octet(self, octet: int) -> None:
        if octet == NUL:
            return
        if octet == LF and self._after_cr:
            self._after_cr = False
            return
        self._after_cr = octet == CR
        if octet not in (CR, LF):
            self._line.append(octet)
            return
        line = bytes(self._line)
        self._line.clear()
        if self.mode != "content":
            self._line_found(self.mode, line)
        elif line == b".":
            message = bytes(self._message)
            self._message.clear()
            self._found("message", message)
        else:
            self._message += (line[1:] if line.startswith(b".") else line) + b"\r\n"


def canonical(decoded: bytes) -> bytes:
    """A message as it must arrive: bare LF is CRLF, bare CR is a space. After a bare LF two dots stand
    for one: who ends lines in LF stuffs them too (Python's smtplib does), but the strict reading of
    that line has not taken the dot away."""
    out = bytearray()
    skip = False
    for i, octet in enumerate(decoded):
        after = decoded[i + 1] if i + 1 < len(decoded) else None
        if skip:
            skip = False
        elif octet == CR and after != LF:
            out += b" "
        elif octet == LF and (i == 0 or decoded[i - 1] != CR):
            out += b"\r\n"
            skip = decoded[i + 1 : i + 3] == b".."
        else:
            out.append(octet)
    return bytes(out)


def fits(arrived: Item, said: Item) -> bool:
    """Returns True if a message is the one that a client has said. What came in chunks and left after DATA
    ends in a line end."""
    if not said.in_chunks:
        return arrived.data == canonical(said.data)
    ended = said.data if said.data[-2:] in (b"", b"\r\n") else said.data + b"\r\n"
    return arrived.data == (said.data if arrived.in_chunks else ended)


def canonical_chunks(octets: bytes) -> bytes:
    """The same as `canonical` for a message in chunks, where no dot is stuffed."""
    octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    return octets.replace(b"\n", b"\r\n")


def codes_in_turn(codes: Iterable[int]) -> Replier:
    """The codes that were given, in order; 0 when there are no more."""
    left = iter(codes)
    return lambda _: next(left, 0)


def replies_in(data: bytes) -> list[bytes]:
    """The replies in the octets that were sent to a client; an unfinished one is left out."""
    replies: list[bytes] = []
    current = b""
    for line in data.split(b"\r\n")[:-1]:
        current += line + b"\r\n"
        if line[3:4] != b"-":
            replies.append(current)
            current = b""
    return replies
