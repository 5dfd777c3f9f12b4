"""Cuts octets into segments, as a network may: what a peer sends in one piece may arrive in several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from random import Random

import attrs

__all__ = ["Chunker", "Sizes", "at", "bytewise", "drawn", "fixed", "whole"]

Chunker = Callable[[bytes], Iterable[bytes]]
"""Cuts octets into segments, none of them empty."""


def whole(data: bytes) -> Iterator[bytes]:
    """One segment."""
    if data:
        yield data


def bytewise(data: bytes) -> Iterator[bytes]:
    """One octet at a time."""
    yield from fixed(1)(data)


def fixed(size: int) -> Chunker:
    """Segments of ``size`` octets, the last one maybe shorter."""
    _check_size(size)

    def chunker(data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    return chunker


def at(positions: Callable[[int], Iterable[int]]) -> Chunker:
    """Cuts where ``positions(length)`` says; positions outside of the data, or given twice, do not cut."""

    def chunker(data: bytes) -> Iterator[bytes]:
        start = 0
        for end in [*sorted({cut for cut in positions(len(data)) if 0 < cut < len(data)}), len(data)]:
            if end > start:
                yield data[start:end]
                start = end

    return chunker


def drawn(random: Random, most: int = 8) -> Chunker:
    """Up to ``most`` cuts at drawn positions: ``drawn(Random(seed))`` gives the same ones again."""
    return at(
        lambda length: [random.randrange(length) for _ in range(random.randint(0, most))] if length else []
    )


@attrs.frozen
class Sizes:
    """A chunker: segments of these sizes in turn, again and again; without a size, one segment. Its repr says
    how it cuts."""

    sizes: tuple[int, ...] = attrs.field(default=())

    def __attrs_post_init__(self) -> None:
        for size in self.sizes:
            _check_size(size)

    def __call__(self, data: bytes) -> Iterator[bytes]:
        sizes = cycle(self.sizes or (max(1, len(data)),))
        start = 0
        while start < len(data):
            end = start + next(sizes)
            yield data[start:end]
            start = end


def _check_size(size: int) -> None:
    if size <= 0:
        raise ValueError(f"size must be positive, not {size}")
