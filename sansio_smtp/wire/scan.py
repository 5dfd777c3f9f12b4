"""Scans a segment of mail data: its end, lines that begin with a dot, stray CR, LF and NUL. Only `scan` has a
cost for each octet; everything else in the core costs per segment. Usual segments contain nothing special, so
each step is optimised to prove that quickly. The fastest search in Python is one for a single octet
(``memchr``), so such searches come first. *CRLF dot* is searched from the back, which is faster than from the
front. Large messages are mostly base64, with lines of one length: two slices hold all their CRs and LFs, and
the rest is searched for others::

    64 KiB, µs                              base64          text
    "." in segment                              0.9             0.3
    rfind(CRLF "."); find(CRLF ".")             22; 46          25; 52
    two replace and a comparison                29              31             bare CR and LF
    two slices, if lines are of one length      9
    NUL in segment                              1.3             1.3

    scan_in_python                              11              60
    in C                                        4.3             4.3

Text in which one line of twenty begins with a dot takes 109 µs, 6.0 in C; short lines with dots 210, and 8.
With AVX2 the function in C takes 0.7 to 0.8 of that.

`scan` is `scan_in_python`, or the same function in C (``_scan.c``), which does everything in one pass. The C
function is optional: it is built if there is a compiler, and used if it agrees with the Python function on
`SAMPLES`, so that a library built from other source is not used. The environment variable
``SANSIO_SMTP_PURE``, set to anything but an empty string when this module is imported, switches it off.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

__all__ = ["BARE", "NUL", "SAMPLES", "accelerated", "dotted_lines", "is_canonical", "scan", "scan_in_python"]

BARE: Final = 1
"""A CR without its LF, or an LF without its CR. A CR at the very end counts, and an LF at the beginning."""
NUL: Final = 2
"""A NUL octet."""

Found = tuple[int, int, int]
"""Index of the first end-of-data, CRLF "." CRLF, or -1; the number of lines that begin with a dot after CRLF;
and `BARE`, `NUL`, both or 0. The last two are about the octets before end-of-data, including its first CRLF;
about all octets if there is no end-of-data."""
Scan = Callable[[bytes], Found]

_END: Final = b"\r\n.\r\n"
_DOTTED: Final = b"\r\n."
_LARGE: Final = 16_384  # the number of octets that is worth another try
_SHORT: Final = 32  # the least length of a line: with many short lines a slice is not cheap

SAMPLES: Final = (
    b"",
    b"a\r\nb" * 99,
    b"a\r\n.\r\nb\n\0",
    b"a\n" + b"a" * 2000 + b"\r\n..\r\n\r\n.\r\n",
    b"a\r",
    b"\n",
    b"\0",
)
"""Octets for which any `Scan` must return the same as `scan_in_python`."""


def scan_in_python(octets: bytes) -> Found:
    """Scans a segment, in Python."""
    end, dotted = _dots(octets) if b"." in octets else (-1, 0)
    if end >= 0 and end + 5 != len(octets):
        octets = octets[: end + 2]
    suspect = 0 if is_canonical(octets) else BARE
    return end, dotted, suspect | NUL if b"\0" in octets else suspect


def is_canonical(octets: bytes) -> bool:
    """True if there is no bare CR and no bare LF."""
    if len(octets) >= _LARGE and _is_even(octets):
        return True
    return octets.replace(b"\r", b"").replace(b"\n", b"\r\n") == octets


def _is_even(octets: bytes) -> bool:
    """True if all lines end in CRLF and have one length, as in base64, and there is no other CR or LF. The
    first and the last may be shorter."""
    first = octets.find(b"\n")
    length = octets.find(b"\n", first + 1) - first
    if first < 1 or length < _SHORT:
        return False
    ends = octets[first::length]
    count = len(ends)
    if ends != b"\n" * count or octets[first - 1 :: length] != b"\r" * count:
        return False
    others = bytearray()
    others += octets
    others[first::length] = others[first - 1 :: length] = b" " * count
    return b"\r" not in others and b"\n" not in others


def dotted_lines(octets: bytes) -> int:
    """The number of lines that begin with a dot after CRLF, in octets without end-of-data."""
    return _dots(octets)[1] if b"." in octets else 0


def _dots(octets: bytes) -> tuple[int, int]:
    """End-of-data, and the number of lines before it that begin with a dot."""
    last = octets.rfind(_DOTTED)
    if last < 0:
        return -1, 0
    if octets.find(b".") == last + 2 or octets.rfind(_DOTTED, 0, last) < 0:
        return (last, 0) if octets.startswith(_END, last) else (-1, 1)
    # Without an end, the search from the back is twice as fast.
    if octets.rfind(_END) < 0:
        return -1, octets.count(_DOTTED)
    end = octets.find(_END)
    return end, octets.count(_DOTTED, 0, end)


def _fastest() -> Scan:
    """The function in C if it may be used."""
    if os.environ.get("SANSIO_SMTP_PURE"):
        return scan_in_python
    try:
        from ._scan import scan as scan_in_c
    except ImportError:
        return scan_in_python
    return scan_in_c if all(scan_in_c(each) == scan_in_python(each) for each in SAMPLES) else scan_in_python


scan: Final = _fastest()
accelerated: Final = scan is not scan_in_python
"""True if `scan` is the function in C."""
