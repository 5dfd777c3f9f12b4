"""How each strategy goes by ``hostile``."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

__all__ = ["either"]

T = TypeVar("T")


def either(
    hostile: bool | None, usual: st.SearchStrategy[T], unusual: st.SearchStrategy[T]
) -> st.SearchStrategy[T]:
    """One of the two strategies, or both. What fails is made smaller towards the usual one."""
    if hostile is None:
        return st.one_of(usual, unusual)
    return unusual if hostile else usual
