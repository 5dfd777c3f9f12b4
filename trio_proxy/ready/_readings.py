"""Everything that any mail program may see in a message: file names, content types, contents; each with a
limit.

All mail programs agree on `Part`. Fields and encoded texts that only some of them find (`_anywhere`) are
added. In a message with a doubtful structure they are searched in all that may be a part (``loosely``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ._anywhere import coded_anywhere, names_anywhere, types_anywhere
from ._contents import TooMuch, uuencoded
from ._fields import CODED
from ._names import MOST_NAMES, count_in, names_in
from ._parts import TOO_MANY, Part

__all__ = ["contents_of", "doubt_of", "names_of", "types_of"]

MOST: Final = 5_000_000
"""The most characters of names that are examined in one message: about a second."""
NAME: Final = 50
"""A shorter name counts as this many characters."""


def doubt_of(root: Part) -> str:
    """The first doubt in a message, or the text that it holds too much; empty if there is none."""
    doubts = [part.doubt for part in root.walk() if part.doubt]
    return TOO_MANY if TOO_MANY in doubts else (doubts or [""])[0]


def names_of(root: Part, *, loosely: bool = False) -> Iterator[str]:
    """Every file name in any reading, some of them several times. Raises `TooMuch`."""
    return _limited(_names(root, loosely))


def types_of(root: Part, *, loosely: bool = False) -> Iterator[str]:
    """Every content type, in lower case. Raises `TooMuch`."""
    if not loosely:
        yield from (part.content_type for part in root.walk())
        return
    for octets in (root.raw, *coded_anywhere(root.raw, in_sections=True)):
        yield from types_anywhere(octets)


def contents_of(root: Part, *, loosely: bool = False) -> Iterator[bytes]:
    """The message, and everything decoded from it, in any reading. Raises `TooMuch`."""
    for octets in root.texts():
        yield octets
        yield from (content for _, content in uuencoded(octets))
        yield from coded_anywhere(octets, in_sections=False, decoded=_decoded(root, octets))
    if loosely:
        for octets in coded_anywhere(root.raw, in_sections=True):
            yield octets
            yield from (content for _, content in uuencoded(octets))
            if b"content-" in octets.lower():
                yield from coded_anywhere(octets, in_sections=True)


def _decoded(root: Part, octets: bytes) -> dict[int, int]:
    """Where in these octets the bodies without doubt begin and end that `Part.texts` decodes."""
    return {
        part.body: part.end
        for part in root.walk()
        if part.raw is octets and part.encoding in CODED and not (part.doubt or part.parts)
    }


def _names(root: Part, loosely: bool) -> Iterator[str]:
    for part in root.walk():
        if count_in(part.naming) > MOST_NAMES:
            raise TooMuch(f"more than {MOST_NAMES} names in one part")
        yield from names_in(part.naming)
        yield from part.locations
    for octets in root.texts():
        yield from _names_in_text(octets, loosely)
    if loosely:
        for octets in coded_anywhere(root.raw, in_sections=True):
            yield from _names_in_text(octets, loosely)


def _names_in_text(octets: bytes, loosely: bool) -> Iterator[str]:
    yield from names_anywhere(octets, loosely=loosely)
    yield from (name.decode("utf-8", "surrogateescape") for name, _ in uuencoded(octets))


def _limited(names: Iterable[str]) -> Iterator[str]:
    left = MOST
    for name in names:
        left -= NAME + len(name)
        if left < 0:
            raise TooMuch("more names than are looked at")
        yield name
