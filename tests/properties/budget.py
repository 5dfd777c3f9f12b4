"""How many examples a property gets, beside what the profile says."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

__all__ = ["FEW", "MORE"]

_IS_CI: Final = settings().derandomize

FEW: Final = settings(max_examples=settings().max_examples // 3)
"""For one promise alone, where another test looks at the same dialogues for all promises."""
MORE: Final = settings(max_examples=settings().max_examples * (2 if _IS_CI else 4))
"""For tests that look at all that happens: what they look for is seldom, and a dialogue is soon played."""
