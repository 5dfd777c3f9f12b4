"""Checks of mail data, the same for wire form and chunks: stray CR and LF, lines of NULs, size."""

from __future__ import annotations

import re
from typing import Final

import attrs

from .replies import Reply
from .violations import RemoteProtocolError

__all__ = [
    "BARE",
    "BARE_LF",
    "LF_DOT_LF",
    "NulLines",
    "bare_newline_error",
    "is_open",
    "nul_error",
    "position",
    "too_big_error",
]

BARE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")
BARE_LF: Final = re.compile(rb"(?<!\r)\n")
LF_DOT_LF: Final = b"\n.\n"
"""A line of one dot that ended in LF: what a client sends as end-of-data if it ends lines in LF."""
# A line of one dot and some NULs. Receivers that drop NUL read it as end-of-data.
_NUL_END: Final = re.compile(rb"\r\n(?:\0+\.\0*|\.\0+)\r\n")
_NUL_LINE: Final = re.compile(rb"\r\n(\0*\.?\0*)\Z")


@attrs.define
class NulLines:
    """Finds lines of one dot and some NULs, such as ``NUL . NUL``: a receiver that drops NUL reads such a
    line as end-of-data."""

    unfinished: bytes | None = attrs.field(default=None, init=False)
    """The unfinished line at the end of the last piece, with the CRLF before it, if it may become such a
    line; else None. Several NULs are kept as one, so that it stays short."""

    def find_end(self, octets: bytes, at_line_start: bool) -> int:
        """The index of the CRLF that ends such a line and must not be passed on; -1 if there is none. If
        ``at_line_start``, the octets begin with the CRLF of the line before."""
        before = b"" if at_line_start or self.unfinished is None else self.unfinished
        octets = before + octets
        if line := _NUL_END.search(octets):
            return line.end() - 2 - len(before)
        rest = _NUL_LINE.search(octets)
        self.unfinished = b"\r\n" + re.sub(rb"\0+", b"\0", rest[1]) if rest else None
        return -1


def is_open(lines: NulLines | None) -> bool:
    """True if the last piece ended in a line that may become one of a dot and NULs."""
    return lines is not None and lines.unfinished is not None


def position(found: tuple[int, RemoteProtocolError]) -> int:
    return found[0]


def bare_newline_error(piece: bytes, at: int, begin: int = 0) -> RemoteProtocolError:
    """``begin``: the octets of the piece before it are not part of the error's evidence."""
    name = "LF" if piece[at : at + 1] == b"\n" else "CR"
    hint = Reply.of(
        550, f"message holds a bare {name}; lines must end in CRLF (RFC 5321 section 2.3.8)", enhanced="5.5.2"
    )
    return RemoteProtocolError(f"bare {name} in mail data", hint, piece[max(begin, at - 16) : at + 16])


def nul_error(piece: bytes, at: int, begin: int = 0) -> RemoteProtocolError:
    """``begin``: as for `bare_newline_error`."""
    hint = Reply.of(550, "message holds a NUL octet, which is not accepted", enhanced="5.6.0")
    return RemoteProtocolError("NUL in mail data", hint, piece[max(begin, at - 16) : at + 16])


def too_big_error(limit: int) -> RemoteProtocolError:
    hint = Reply.of(552, f"message is larger than {limit} octets", enhanced="5.3.4")
    return RemoteProtocolError(f"message larger than {limit} octets", hint, limit="max_message_size")
