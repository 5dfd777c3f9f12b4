"""What Python can raise nowhere goes to the log in one line, in place of a traceback on standard error.

A peer can cause such an error: a name that is not ASCII in a TLS handshake (SNI) is decoded by Python before
any code of ours, in a callback out of which nothing can be raised. The handshake fails and has a log line of
its own; a traceback for each such connection would be for any stranger to write.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["unraisable_in_log"]

log = structlog.stdlib.get_logger("smtp_proxy")


@contextmanager
def unraisable_in_log() -> Generator[None]:
    """This is so in this context, for the whole process."""
    before = sys.unraisablehook
    sys.unraisablehook = _tell
    try:
        yield
    finally:
        sys.unraisablehook = before


def _tell(unraisable: UnraisableHookArgs) -> None:
    error = unraisable.exc_value
    if isinstance(error, UnicodeDecodeError) and isinstance(unraisable.object, bytes):
        return  # the name that a client asks for: its handshake fails, which is logged
    log.error("internal error, which goes no further", exc_info=error, where=repr(unraisable.object)[:200])
