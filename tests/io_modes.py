"""How the drivers under test read sockets: one reactor, or a pair of tasks for each session.

``pytest --io tasks`` runs all tests in the other mode. It is said in a variable of the environment, which the
service reads, and which the processes that tests start inherit.
"""

from __future__ import annotations

import os
import select
from typing import Final

__all__ = ["MODES", "VARIABLE", "io_mode", "say_io_mode"]

VARIABLE: Final = "SMTP_PROXY_IO"
MODES: Final = ("reactor", "tasks") if hasattr(select, "epoll") else ("tasks",)
"""Those of this system; the first is the service's default."""


def say_io_mode(mode: str) -> None:
    """For the whole run. The default is not said, so that it is tested that it is one."""
    os.environ.pop(VARIABLE, None)
    if mode != MODES[0]:
        os.environ[VARIABLE] = mode


def io_mode() -> str:
    """The mode of this run."""
    return os.environ.get(VARIABLE, MODES[0])
