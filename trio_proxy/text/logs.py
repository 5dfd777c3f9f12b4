"""Configures the log: lines for people on standard error, one for each event. A line never ends a session."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

from .escaping import escape_values
from .output import write_error_line

__all__ = ["configure"]

_ORDERED: Final = "_ordered"


def configure(verbosity: int) -> None:
    """``verbosity``: -1 logs errors, 0 warnings too, 1 the outcome of each message, 2 everything."""
    levels = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}
    filtering = structlog.make_filtering_bound_logger(levels.get(verbosity, logging.DEBUG))
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.processors.format_exc_info,
            escape_values,
            _in_order,
            structlog.dev.ConsoleRenderer(colors=_is_terminal(), pad_event_to=0, sort_keys=False),
        ],
        wrapper_class=type("Logger", (_Guarded, filtering), {"tells": verbosity >= 0}),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )


def _in_order(logger: object, method: str, values: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Sorts the values of a line by their names, unless they are in the order in which they are to stand."""
    if values.pop(_ORDERED, False):
        return values
    return dict(sorted(values.items()))


class _Guarded:
    """Writes a line even if a value in it cannot be shown: its ``__repr__`` or ``__str__`` raises."""

    _context: dict[str, Any]
    tells: bool

    def tell(self, event: str, **values: Any) -> None:
        """A line at the level INFO that is written unless only errors are."""
        if self.tells:
            self._proxy_to_logger("info", event, **{_ORDERED: True}, **values)

    def _proxy_to_logger(self, method_name: str, event: Any = None, **values: Any) -> None:
        log = super()._proxy_to_logger  # type: ignore[misc]  # of the class that stands after this one
        try:
            log(method_name, event, **values)
        except Exception:
            shown = {key: _shown(value) for key, value in {**self._context, **values}.items()}
            try:
                log(method_name, _shown(event), **shown)
            except Exception as error:
                write_error_line(f"{_shown(event)} [the rest cannot be logged: {type(error).__name__}]")


class _Lines:
    """What structlog hands the finished lines to."""

    def __init__(self, *_: object) -> None: ...

    def msg(self, line: str) -> None:
        write_error_line(line)

    debug = info = warning = error = critical = exception = msg


def _shown(value: object) -> object:
    """A value that can be shown, in the place of one that cannot."""
    try:
        str(value)
        repr(value)
    except Exception as error:
        return f"<a {type(value).__name__} that cannot be shown: {type(error).__name__}>"
    return value


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False
