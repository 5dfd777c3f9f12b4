"""A target: a function that takes octets, and the octets with which the search begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

__all__ = ["Target"]


@attrs.frozen
class Target:
    """``try_octets`` raises `AssertionError` if a promise is broken, and other exceptions for other faults.
    It returns False for octets that are not worth keeping. ``tell`` writes a finding as a dialogue script, if
    it is a dialogue."""

    name: str
    what: str
    """A short description for people."""
    try_octets: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    longest: int = 2_048
    """The most octets of an input."""
    words: tuple[bytes, ...] = ()
    """Words that the fuzzer may insert."""
    tell: Callable[[bytes], str] | None = None
