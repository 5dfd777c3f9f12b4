"""Log lines as data."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged, one mapping a line; ``event`` is its text."""
    with capture_logs() as entries:
        yield entries
