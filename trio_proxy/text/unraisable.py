"""Logs exceptions that Python cannot raise in one line, in place of a traceback on standard error. A peer can
cause such an error: Python decodes the name in a TLS handshake (SNI) in a callback that cannot raise, and
fails if the name is not ASCII. The handshake fails and has its own log line. Without this module any stranger
could write a traceback with each connection.
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
    """Logs such exceptions in this context, for the whole process."""
    before = sys.unraisablehook
    sys.unraisablehook = _tell
    try:
        yield
    finally:
        sys.unraisablehook = before


def _tell(unraisable: UnraisableHookArgs) -> None:
    error = unraisable.exc_value
    if isinstance(error, UnicodeDecodeError) and isinstance(unraisable.object, bytes):
        return  # the name in a client's handshake, which fails and is logged
    log.error("internal error, which goes no further", exc_info=error, where=repr(unraisable.object)[:200])
