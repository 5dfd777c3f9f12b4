"""Mail data on the wire (RFC 5321 §4.1.1.4, §4.5.2): its end, dot-stuffing, and stray CR, LF and NUL.

*Wire form* is the form after 354: each line ends in CRLF, and a line that begins with a dot has one more dot
before it. *Decoded form* is the message itself. End-of-data is CRLF "." CRLF and nothing else; the CRLF of
the DATA line counts as its first half::

    decoded    Subject: x CRLF CRLF  .hidden CRLF
    wire       Subject: x CRLF CRLF ..hidden CRLF . CRLF
                                    ^             ^
                                    stuffed dot   end-of-data

What must never happen is that two receivers disagree on where the message ends: then one passes on text that
the other executes as commands (SMTP smuggling). Some receivers read a bare LF or CR as a line end, and some
drop NUL. So no octets pass that any of them could read as end-of-data:

    ======================  ==============================  ========================
    mail data holds         is end-of-data for              what passes
    ======================  ==============================  ========================
    LF . LF    LF . CRLF    a receiver that takes bare LF   CRLF .. CRLF, or 550
    CR . CR                 a receiver that takes bare CR   SP . SP, or 550
    CRLF NUL . NUL CRLF     a receiver that drops NUL       nothing after NUL: 550
    ======================  ==============================  ========================

("or 550": `BareNewline.REJECT`.) `ContentReader` reads what a client sends. Its result does not depend on how
the octets were cut into segments. It holds back up to three octets at the end of a segment, which may be half
of a CRLF or the beginning of end-of-data::

    segment ──> held back + segment ──> end-of-data? ──> bare CR, LF ──> NUL lines, size ──> passed on
                    ^                                                                            │
                    └────────────── the last octets, if they are an unfinished line end ─────────┘

After a refusal it passes nothing more, but it still looks for end-of-data: refused mail data must never be
read as commands. `ContentWriter` converts decoded octets from a verdict to wire form.

Python code never reads single octets: `scan` reports what is in a segment. Usually there is nothing special,
and the segment is passed on without a copy.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

import attrs

from sansio_smtp.arguments import Octets, octets
from sansio_smtp.config import BareNewline, Nul

from .content_checks import (
    BARE,
    BARE_LF,
    LF_DOT_LF,
    NulLines,
    bare_newline_error,
    is_open,
    nul_error,
    position,
    too_big_error,
)
from .scan import dotted_lines, is_canonical, scan
from .violations import RemoteProtocolError

__all__ = ["ContentReader", "ContentWriter", "Form", "canonical", "decoded_size", "unstuff", "wire_prefix"]


class Form(Enum):
    """How content is sent."""

    __hash__ = object.__hash__  # members are singletons

    DOTTED = "dotted"
    """Wire form, as after DATA: a leading dot is doubled."""
    PLAIN = "plain"
    """Unchanged, with counted octets (RFC 3030)."""


_CRLF: Final = b"\r\n"
# Unfinished line ends: (suffix, octets of it that are held back). Held octets may be the start of
# end-of-data, or half of a CRLF; the others are context for the search. The usual one first, then the
# longest.
_SUFFIXES: Final = (
    (_CRLF, 0),
    (b"\r\n.\n.", 3),
    (b"\r\n.\r", 2),
    (b"\r\n.\n", 2),
    (b"\r\n.", 1),
    (b"\n.", 2),
    (b"\r", 1),
    (b"\n", 1),
)
_NOTHING: Final = (-1, 0, 0)  # the result of `scan` for octets that can be sent unchanged
_UNFINISHED: Final = b"\r\n."  # the possible last octets of these
_UNSTUFFED: Final = re.compile(rb"\n\.(?!\.)")
_STUFFED: Final = re.compile(rb"\r\n\.")


@attrs.define
class ContentReader:
    """Finds end-of-data in segments cut anywhere, and passes no ambiguous line end.

    `feed` returns wire form that is safe to pass on; the last piece ends before the dot of end-of-data. After
    an error (`error` is set, once) `feed` returns nothing more, but still looks for end-of-data: refused
    content must never be read as commands. ``max_size`` limits the decoded octets; None is no limit.
    """

    bare_newline: BareNewline = BareNewline.NORMALIZE
    nul: Nul = Nul.PASS
    max_size: int | None = None

    size: int = attrs.field(default=0, init=False)
    """The number of decoded octets so far (RFC 1870 §5: CRLF counts two, stuffed dots do not count)."""
    at_line_start: bool = attrs.field(default=True, init=False)
    """True if the piece that `feed` returned last begins at the start of a line."""
    finished: bool = attrs.field(default=False, init=False)
    """True once end-of-data has been found."""
    rest: bytes = attrs.field(default=b"", init=False, repr=False)
    """The octets after end-of-data."""
    error: RemoteProtocolError | None = attrs.field(default=None, init=False)
    """The reason why the message is refused; None if it is not."""
    bare_lf: bool = attrs.field(default=False, init=False)
    """True if a line ended in LF without CR."""
    lf_dot: bool = attrs.field(default=False, init=False)
    """True if a line of one dot ended in LF: the client may take it for end-of-data."""

    _context: bytes = attrs.field(default=_CRLF, init=False)
    _passed: int = attrs.field(default=2, init=False)  # octets of the context passed already
    _nul_lines: NulLines | None = attrs.field(default=None, init=False)  # made when the first NUL comes

    @property
    def held(self) -> int:
        """Number of octets that are held back until more arrive: at most three."""
        return len(self._context) - self._passed

    def feed(self, data: bytes) -> bytes:
        """Takes a segment as it came. Returns the octets that may be passed on, in wire form, maybe none. A
        segment that passes as a whole is returned itself, not copied."""
        context, passed = self._context, self._passed
        self.at_line_start = passed == 2
        if not context:
            octets = data
        elif context == _CRLF and data[:1] not in b".":  # a dot, or nothing
            octets, passed = data, 0  # the end of a line matters only before a dot
        else:
            octets = context + data
        end, dotted, suspect = scan(octets)
        if suspect:
            self._note_bare_lf(octets if end < 0 else octets[: end + 2])
        if end >= 0:
            self.finished = True
            self.rest = octets[end + 5 :]
            piece = octets[: end + 2]
            self._context, self._passed = b"", 0
        elif octets[-1:] in _UNFINISHED:
            piece = self._hold_back(octets)
            if dotted and self.held and self._passed:
                dotted -= 1  # its dot is held back
        else:
            piece = octets
            self._context, self._passed = b"", 0
        if self.error is not None:
            return b""
        size = self.size + len(piece) - passed - dotted
        if suspect or self._nul_lines is not None or (self.max_size is not None and size > self.max_size):
            if self.at_line_start and not passed:
                piece, passed = _CRLF + piece, 2
            piece, size = self._inspect(piece, passed, size)
        self.size = size
        return piece[passed:] if passed else piece

    def take_whole(self, data: bytes) -> bool:
        """Takes a segment that passes completely unchanged, with or without end-of-data at its end. Returns
        False, and takes nothing, for other segments: give them to `feed`."""
        if self._context and (self._passed != 2 or data[:1] in b"."):
            return False
        end, dotted, suspect = scan(data)
        size = self.size + len(data) - dotted
        if suspect or self.error is not None or self._nul_lines is not None:
            return False
        if end >= 0:
            if end + 5 != len(data):
                return False
            size -= 3
            at_line_end = False
        else:
            at_line_end = data[-2:] == _CRLF
            if not at_line_end and data[-1:] in _UNFINISHED:
                return False
        if self.max_size is not None and size > self.max_size:
            return False
        self.at_line_start = self._passed == 2
        self.finished = end >= 0
        self.size = size
        self._context, self._passed = (_CRLF, 2) if at_line_end else (b"", 0)
        return True

    def _note_bare_lf(self, octets: bytes) -> None:
        self.bare_lf = self.bare_lf or BARE_LF.search(octets) is not None
        self.lf_dot = self.lf_dot or LF_DOT_LF in octets

    def _hold_back(self, octets: bytes) -> bytes:
        for suffix, held in _SUFFIXES:
            if octets.endswith(suffix):
                self._context = suffix
                self._passed = len(suffix) - held
                return octets[: len(octets) - held] if held else octets
        self._context, self._passed = b"", 0
        return octets

    def _inspect(self, piece: bytes, passed: int, size: int) -> tuple[bytes, int]:
        """The octets that may be passed on of a piece with possible mistakes, and the decoded size including
        them."""
        clean = is_canonical(piece)
        if not clean and self.bare_newline is BareNewline.NORMALIZE:
            piece = _normalize(piece)
            size = self.size + len(piece) - passed - piece.count(b"\r\n.")
            clean = True
        nul = b"\0" in piece or is_open(self._nul_lines)
        if nul or not clean or (self.max_size is not None and size > self.max_size):
            return self._check(piece, passed, size)
        return piece, size

    def _check(self, piece: bytes, passed: int, size: int) -> tuple[bytes, int]:
        """The part of a piece before the first octet that must not be passed on, and the decoded size
        including it. Sets `error` for that octet. The result does not depend on the cuts between segments."""
        found: list[tuple[int, RemoteProtocolError]] = []
        if self.bare_newline is BareNewline.REJECT and (bare := BARE.search(piece)):
            found.append((bare.start(), bare_newline_error(piece, bare.start(), passed)))
        if (at := self._forbidden_nul(piece, passed)) >= 0:
            found.append((max(at, passed), nul_error(piece, at, passed)))
        if self.max_size is not None and size > self.max_size:
            at = _wire_index(piece, passed, self.max_size - self.size)
            found.append((at, too_big_error(self.max_size)))
        if not found:
            return piece, size
        at, self.error = min(found, key=position)
        piece = piece[:at]
        return piece, self.size + len(piece) - passed - piece.count(b"\r\n.")

    def _forbidden_nul(self, piece: bytes, passed: int) -> int:
        if self.nul is Nul.REFUSE:
            return piece.find(b"\0")
        if self._nul_lines is None:
            self._nul_lines = NulLines()
        return self._nul_lines.find_end(piece, passed == 2)


@attrs.define
class ContentWriter:
    """Turns a decoded message, in pieces cut anywhere, into wire form.

    Bare LF becomes CRLF and bare CR a space, so that no caller can send an ambiguous line end. A line that
    begins with NUL and holds only NULs and one dot cannot be made safe: then `error` is set, only the octets
    before the end of that line are returned, and the caller must not send end-of-data.
    """

    size: int = attrs.field(default=0, init=False)
    """The number of decoded octets so far, after normalising."""
    error: RemoteProtocolError | None = attrs.field(default=None, init=False)
    """The reason why the message must not be sent; None if it may be."""
    at_line_start: bool = attrs.field(default=True, init=False)
    """True if the next octet begins a line."""
    _held: bytes = attrs.field(default=b"", init=False)
    _nul_lines: NulLines | None = attrs.field(default=None, init=False)  # made when the first NUL comes

    def feed(self, decoded: Octets) -> bytes:
        """Takes a piece of the message, and returns the octets to send, in wire form."""
        if not isinstance(decoded, bytes):
            decoded = octets(decoded, "ContentWriter.feed")
        data = self._held + decoded if self._held else decoded
        self._held = b""
        if data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        if not data:
            return b""
        wire, nul = data, False
        if scan(data) != _NOTHING:
            data = canonical(data)
            wire = data.replace(b"\r\n.", b"\r\n..")
            nul = b"\0" in data
        self.size += len(data)
        if self.at_line_start and wire.startswith(b"."):
            wire = b"." + wire
        if nul or is_open(self._nul_lines):
            wire = self._check_nul(wire)
        self.at_line_start = wire.endswith(b"\r\n")
        return wire

    def count(self, size: int) -> None:
        """Adds to `size` the decoded octets of whole lines that were sent in wire form without `feed`."""
        self.size += size

    def _check_nul(self, wire: bytes) -> bytes:
        if self._nul_lines is None:
            self._nul_lines = NulLines()
        context = _CRLF if self.at_line_start else b""
        at = self._nul_lines.find_end(context + wire, self.at_line_start)
        if at < 0:
            return wire
        self.error = nul_error(wire, at - len(context))
        return wire[: at - len(context)]

    def finish(self) -> bytes:
        """The octets to send before end-of-data: those held back, and a CRLF if the last line has none. If
        `error` is set, end-of-data must not be sent."""
        tail = b" " if self._held else b""
        self._held = b""
        if tail or not self.at_line_start:
            tail += b"\r\n"
        if is_open(self._nul_lines):
            tail = self._check_nul(tail)
        self.size += len(tail)
        self.at_line_start = True
        return tail


def canonical(decoded: bytes) -> bytes:
    """Decoded octets with every bare LF changed to CRLF and every bare CR to a space."""
    if is_canonical(decoded):
        return decoded
    return b"\r\n".join(line.replace(b"\r", b" ").replace(b"\n", b"\r\n") for line in decoded.split(b"\r\n"))


def wire_prefix(wire: bytes, at_line_start: bool, count: int) -> bytes:
    """The beginning of a piece that decodes to ``count`` octets, or to one less if the cut would fall within
    a CRLF."""
    context = b"\r\n" if at_line_start else b""
    return wire[: _wire_index(context + wire, len(context), count) - len(context)]


def decoded_size(wire: bytes, at_line_start: bool) -> int:
    """The number of octets that `unstuff` would return."""
    return len(wire) - dotted_lines(wire) - (at_line_start and wire.startswith(b"."))


def unstuff(wire: bytes, at_line_start: bool) -> bytes:
    """Decodes a piece that `ContentReader.feed` returned: removes the stuffed dots."""
    if at_line_start and wire.startswith(b"."):
        wire = wire[1:]
    if b"." not in wire or wire.rfind(b"\r\n.") < 0:  # cheaper than a replace without effect
        return wire
    return wire.replace(b"\r\n.", b"\r\n")


def _normalize(piece: bytes) -> bytes:
    """Changes bare LF to CRLF and bare CR to SP. No line after a bare LF begins with a single dot.

    A client that stuffs dots after every LF (Python's smtplib, given bytes) has already sent two dots. A
    single dot comes from a client that does not stuff there; unchanged, it would end the message or be lost.
    """
    lines = piece.split(b"\r\n")
    for i, line in enumerate(lines):
        if b"\n" in line or b"\r" in line:
            # A stuffed dot, then a bare LF: if the dot were kept, its line would be end-of-data.
            kept = line[1:] if i and line.startswith(b".\n") else line
            lines[i] = _UNSTUFFED.sub(b"\n..", kept.replace(b"\r", b" ")).replace(b"\n", b"\r\n")
    return b"\r\n".join(lines)


def _wire_index(piece: bytes, start: int, count: int) -> int:
    """The index in wire form at which ``count`` decoded octets from ``start`` on end; never within a CRLF."""
    for stuffed in _STUFFED.finditer(piece):
        dot = stuffed.end() - 1
        if dot - start > count:
            break
        count -= dot - start
        start = dot + 1
    end = start + count
    return end - 1 if piece[end - 1 : end + 1] == b"\r\n" else end
