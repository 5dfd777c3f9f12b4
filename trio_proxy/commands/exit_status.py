"""Exit statuses of ``smtp-proxy``; those above 60 are the numbers of sysexits.h."""

from __future__ import annotations

from typing import Final

__all__ = ["CONFIG", "FAILED", "INTERRUPTED", "NO_PERMISSION", "UNAVAILABLE"]

FAILED: Final = 1
"""``demo``: a message did not arrive as it was sent; ``show``: there is no such message; ``test``: an
expectation is not met or a rule failed."""
UNAVAILABLE: Final = 69
"""The address cannot be listened on; ``check``: the upstream server cannot be used."""
NO_PERMISSION: Final = 77
CONFIG: Final = 78
"""Settings, rules, files of certificates or the key of the log are wrong."""
INTERRUPTED: Final = 130
"""A second signal."""
