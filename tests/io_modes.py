"""How the drivers under test read sockets: one reactor, or a pair of tasks for each session.

``pytest --io tasks`` runs all tests in the other mode. The mode is in an environment variable, which the
service reads, and which processes started by tests inherit.
"""

from __future__ import annotations

import os
import select
from typing import Final

__all__ = ["MODES", "VARIABLE", "io_mode", "say_io_mode"]

VARIABLE: Final = "SMTP_PROXY_IO"
MODES: Final = ("reactor", "tasks") if hasattr(select, "epoll") else ("tasks",)
"""The modes on this system; the first is the service's default."""


def say_io_mode(mode: str) -> None:
    """Sets the mode for the whole run. The default mode is not set, so that the default itself is tested."""
    os.environ.pop(VARIABLE, None)
    if mode != MODES[0]:
        os.environ[VARIABLE] = mode


def io_mode() -> str:
    """The mode of this run."""
    return os.environ.get(VARIABLE, MODES[0])
