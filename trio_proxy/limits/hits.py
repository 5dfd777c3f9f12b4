"""`Hits`: counts how often each limit was hit, and logs it, but not every hit. There is at most one line in
ten seconds for each limit. It says how many hits were not logged since the line before, because an attack
must not fill the disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from .table import LIMITS, Limit

__all__ = ["Hits"]

log = structlog.stdlib.get_logger("smtp_proxy")

_SECONDS: Final = 10.0


class Hits:
    """Counts the hits of one service."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds that never go back."""
        self.counts: Counter[str] = Counter()
        """Label of a limit → how often it was hit."""
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}  # label → when it was logged, and which hit that was

    def readings(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Each limit with the number of hits, for a metric."""
        for limit in LIMITS:
            yield (limit.label,), self.counts[limit.label]

    def hit(self, limit: Limit, **details: object) -> None:
        """A limit was hit. ``details`` name the client."""
        label = limit.label
        self.counts[label] += 1
        now, hits = self._clock(), self.counts[label]
        when, which = self._said.get(label, (-_SECONDS, 0))
        if not which or now - when >= _SECONDS:
            self._said[label] = now, hits
            more = {"more": hits - which - 1} if hits - which > 1 else {}
            log.warning(limit.log, limit=label, **details, **more)
