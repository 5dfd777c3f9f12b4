"""Configures the log: lines for people on standard error, one for each event."""

from __future__ import annotations

import logging
import sys

import structlog

__all__ = ["configure"]


def configure(verbosity: int) -> None:
    """``verbosity``: -1 logs errors, 0 warnings too, 1 the outcome of each message, 2 everything."""
    levels = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels.get(verbosity, logging.DEBUG)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
