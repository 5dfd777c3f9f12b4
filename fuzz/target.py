"""What a target is: a function that takes octets, and the octets with which the search begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

__all__ = ["Target"]


@attrs.frozen
class Target:
    """``try_octets`` raises `AssertionError` if a promise is broken, and anything else if something is wrong
    in another way. It returns False for octets that are not worth keeping. ``tell`` writes a finding as a
    dialogue script, if it is one."""

    name: str
    what: str
    """For people, in a few words."""
    try_octets: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    longest: int = 2_048
    """Octets of an input, at most."""
    words: tuple[bytes, ...] = ()
    """What the fuzzer may put in."""
    tell: Callable[[bytes], str] | None = None
