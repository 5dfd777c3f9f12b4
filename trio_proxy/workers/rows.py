"""`Rows`: gives each worker a row in the memory in which all workers count for limits. The parent has the
memory (`trio_proxy.limits.shared`). A worker has its row from its start to its end; then the row is cleared,
and a later worker may get it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog

from trio_proxy.limits.shared import SharedMemory

__all__ = ["Rows"]

log = structlog.stdlib.get_logger("smtp_proxy")

_ROWS_FOR_EACH: Final = 4
"""Rows for each worker: while workers are replaced, old ones exist too, maybe from several restarts."""
_FEWEST: Final = 64


class Rows:
    """The rows of the workers of one parent."""

    def __init__(self, workers: int) -> None:
        """``workers``: how many accept clients."""
        self._memory: SharedMemory | None = None
        self._descriptor = -1
        self._row_of: dict[int, int] = {}
        try:
            self._descriptor, self._memory = SharedMemory.create(max(_FEWEST, workers * _ROWS_FOR_EACH))
        except OSError as error:
            log.error("limits hold for each worker alone: there is no memory", error=str(error))

    def give(self, number: int) -> Mapping[str, Any]:
        """A row for the worker of this number: the descriptor that it must inherit, and the row. Empty if no
        row is free."""
        memory = self._memory
        if memory is None:
            return {}
        taken = set(self._row_of.values())
        row = next((row for row in range(memory.rows) if row not in taken), None)
        if row is None:
            log.error("limits hold for this worker alone: there are too many", worker=number)
            return {}
        self._row_of[number] = row
        memory.use(row)
        return {"descriptor": self._descriptor, "row": row}

    def gone(self, number: int) -> None:
        """The worker of this number has ended: clears its counts."""
        row = self._row_of.pop(number, None)
        if row is not None and self._memory is not None:
            self._memory.clear(row)
