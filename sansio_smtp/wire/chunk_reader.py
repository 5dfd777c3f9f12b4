"""Mail data in chunks (RFC 3030): counted octets without a final dot, checked like mail data after DATA. A
message in chunks has no wire form: its octets are sent unchanged. One reader reads all chunks of a message,
because a CRLF may be split between two chunks::

    BDAT 4     a b c CR  ──> reader ──> a b c       (CR is held back)
    BDAT 3     LF d e    ──> reader ──> CR LF d e

What must never happen is that a message in chunks is sent on as mail data that two receivers read
differently. So the checks are those of `ContentReader`: bare CR and LF, lines of one dot and NULs, the size.
Only a message that is declared ``BODY=BINARYMIME`` is not checked; it is never sent as mail data after DATA.
"""

from __future__ import annotations

from typing import Final

import attrs

from sansio_smtp.config import BareNewline, Nul

from .content import canonical, unstuff
from .content_checks import (
    BARE,
    BARE_LF,
    NulLines,
    bare_newline_error,
    is_open,
    nul_error,
    position,
    too_big_error,
)
from .scan import is_canonical, scan
from .violations import RemoteProtocolError

__all__ = ["ChunkReader", "ChunkWriter"]

_NOTHING: Final = (-1, 0, 0)  # the result of `scan` for octets without anything special


@attrs.define
class ChunkReader:
    """Checks the octets of all chunks of one message, in segments cut anywhere.

    `feed` returns octets that are safe to pass on, in decoded form. After an error (`error` is set, once) it
    returns nothing more. ``max_size`` limits the octets; None is no limit. ``binary``: the message is
    declared BINARYMIME, so only its size is checked.
    """

    bare_newline: BareNewline = BareNewline.NORMALIZE
    nul: Nul = Nul.PASS
    max_size: int | None = None
    binary: bool = False

    size: int = attrs.field(default=0, init=False)
    """The number of octets passed on so far."""
    at_line_start: bool = attrs.field(default=True, init=False)
    """True if the piece that was returned last begins at the start of a line."""
    ends_line: bool = attrs.field(default=True, init=False)
    """True if the next octet begins a line."""
    error: RemoteProtocolError | None = attrs.field(default=None, init=False)
    """The reason why the message is refused; None if it is not."""
    bare_lf: bool = attrs.field(default=False, init=False)
    """True if a line ended in LF without CR, and that was corrected."""
    _held: bytes = attrs.field(default=b"", init=False)  # a CR whose LF may follow
    _nul_lines: NulLines | None = attrs.field(default=None, init=False)  # made at the first NUL

    @property
    def held(self) -> int:
        """Number of octets that are held back until more arrive: at most one."""
        return len(self._held)

    def feed(self, octets: bytes) -> bytes:
        """Takes octets of a chunk. Returns the octets that may be passed on, maybe none."""
        if self._held:
            octets, self._held = self._held + octets, b""
        if not self.binary and octets.endswith(b"\r"):
            octets, self._held = octets[:-1], b"\r"
        return self._pass(octets)

    def finish(self) -> bytes:
        """The last chunk has ended. Returns the octets that were held back; may set `error`."""
        held, self._held = self._held, b""
        tail = self._pass(held)
        if self.error is None and is_open(self._nul_lines):
            self._find_nul(b"\r\n")  # as if the message ended with a line end
        return tail

    def _pass(self, octets: bytes) -> bytes:
        self.at_line_start = self.ends_line
        if not octets or self.error is not None:
            return b""
        size = self.size + len(octets)
        suspect = not self.binary and scan(octets) != _NOTHING
        if suspect or (self.max_size is not None and size > self.max_size) or is_open(self._nul_lines):
            octets = self._inspect(octets)
        self.size += len(octets)
        self.ends_line = octets.endswith(b"\n") if octets else self.ends_line
        return octets

    def _inspect(self, octets: bytes) -> bytes:
        """The part of a piece before the first octet that must not be passed on, with corrected line ends.
        Sets `error` for that octet. The result does not depend on the cuts between segments."""
        found: list[tuple[int, RemoteProtocolError]] = []
        if not self.binary:
            if self.bare_newline is BareNewline.NORMALIZE:
                self.bare_lf = self.bare_lf or BARE_LF.search(octets) is not None
                octets = canonical(octets)
            elif not is_canonical(octets):
                bare = BARE.search(octets)
                assert bare is not None  # it is not canonical
                found.append((bare.start(), bare_newline_error(octets, bare.start())))
            if self.nul is Nul.REFUSE:
                if (at := octets.find(b"\0")) >= 0:
                    found.append((at, nul_error(octets, at)))
            elif b"\0" in octets or is_open(self._nul_lines):
                self._find_nul(octets, found)
        if self.max_size is not None and self.size + len(octets) > self.max_size:
            at = self.max_size - self.size
            if not self.binary and octets[at - 1 : at + 1] == b"\r\n":
                at -= 1
            found.append((at, too_big_error(self.max_size)))
        if not found:
            return octets
        at, self.error = min(found, key=position)
        return octets[:at]

    def _find_nul(self, octets: bytes, found: list[tuple[int, RemoteProtocolError]] | None = None) -> None:
        """Finds a line that begins with NULs and is only a dot without them, in its form after DATA."""
        if self._nul_lines is None:
            self._nul_lines = NulLines()
        context = b"\r\n" if self.ends_line else b""
        wire = (context + octets).replace(b"\r\n.", b"\r\n..")
        end = self._nul_lines.find_end(wire, self.ends_line)
        if end < 0:
            return
        error = nul_error(wire, end, len(context))
        if found is None:
            self.error = error
        else:
            at = len(unstuff(wire[: max(end, 0)], at_line_start=False)) - len(context)
            found.append((max(at, 0), error))


@attrs.define
class ChunkWriter:
    """Makes octets from verdicts safe to be sent in chunks: the counterpart of `ContentWriter`.

    Bare LF becomes CRLF and bare CR a space, unless the message is ``binary``. A message may end within a
    line.
    """

    binary: bool = False
    _reader: ChunkReader = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = ChunkReader(binary=self.binary)

    @property
    def size(self) -> int:
        """The number of octets so far, after normalising."""
        return self._reader.size

    @property
    def error(self) -> RemoteProtocolError | None:
        """The reason why the message must not be sent; None if it may be."""
        return self._reader.error

    @property
    def at_line_start(self) -> bool:
        """True if the next octet begins a line."""
        return self._reader.ends_line and not self._reader.held

    def feed(self, decoded: bytes) -> bytes:
        """Takes a piece of the message, and returns the octets to send."""
        return self._reader.feed(decoded)

    def finish(self) -> bytes:
        """The last octets to send. If `error` is set, the message must not be completed."""
        return self._reader.finish()
