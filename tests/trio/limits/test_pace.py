"""Octets within a window of time."""

from __future__ import annotations

import pytest

from trio_proxy.limits.pace import Pace
from trio_proxy.limits.rates import Rate


@pytest.mark.parametrize(
    ("seen", "slow_at"),
    [
        ([(0, 0), (30, 10), (59, 20), (60, 99), (61, 99)], 60),
        ([(0, 0), (30, 10), (60, 100), (90, 150), (120, 199)], 120),
        ([(0, 0), (30, 10), (60, 100), (90, 150), (120, 200)], None),
        ([(0, 0), (59, 0), (60, None), (61, 0), (120, 0)], None),
        ([(0, 0), (59, 0), (61, None), (62, 0), (122, 0)], 122),
        ([(0, 5_000), (59, 5_001), (60, 0), (119, 0), (120, 0)], 120),
        ([(0, None), (1_000, None), (2_000, 0), (2_059, 0)], None),
    ],
)
def test_who_is_too_slow(seen: list[tuple[float, int | None]], slow_at: float | None) -> None:
    """The last two: another message has begun; nothing is being sent."""
    pace = Pace(Rate(100, 60))
    slow = [now for now, octets in seen if pace.is_too_slow(now, octets)]
    assert slow[:1] == ([] if slow_at is None else [slow_at])
