"""Draws how octets are cut into segments on their way."""

from __future__ import annotations

from hypothesis import strategies as st

from sansio_smtp.testing.chunks import Sizes

__all__ = ["cuts"]


def cuts() -> st.SearchStrategy[Sizes]:
    """Chunkers: `whole` in most cases, octet by octet, or segments of drawn sizes, which fall between CR and
    LF, within a dot line, and within a command."""
    size = st.sampled_from((1, 1, 2, 3, 7, 16, 64, 300))
    sizes = st.lists(size, min_size=1, max_size=8).map(tuple[int, ...])
    return st.builds(Sizes, st.one_of(st.just(()), st.just((1,)), sizes))
