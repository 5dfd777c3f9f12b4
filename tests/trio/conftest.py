"""Log lines as data, and a log that is afterwards as it was before."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged, one mapping a line; ``event`` is its text."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def configured_anew() -> Iterator[None]:
    """For a test that configures the log: other tests find it as it was."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def log_is_left_as_it_was() -> Iterator[None]:
    """Else another test, which looks at log lines, would fail or wait for ever."""
    before = structlog.get_config()["processors"]
    yield
    if structlog.get_config()["processors"] is not before:
        structlog.reset_defaults()
        pytest.fail("this test configures the log: it needs the fixture configured_anew")
