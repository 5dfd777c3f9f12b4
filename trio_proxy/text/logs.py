"""Configures the log: lines on standard error, one for each event, for people or as JSON.

A line never ends a session. The time of a line has its zone.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from json.encoder import encode_basestring_ascii as _quoted
from math import isfinite
from typing import Any, Final, Literal, cast

import structlog

from .escaping import escape_values
from .hiding import Hide, hidden
from .output import write_error_line

__all__ = ["configure"]

_ORDERED: Final = "_ordered"
_Values = MutableMapping[str, Any]
_Processor = Callable[[Any, str, _Values], Any]


def configure(
    verbosity: int, *, form: Literal["text", "json", "auto"] = "text", hide: Hide | None = None
) -> None:
    """``verbosity``: -1 logs errors, 0 warnings and what became of mail, 1 more of it, 2 everything.
    ``form``: auto is text on a terminal, else JSON. ``hide``: what stands in the place of an address.

    May be called again: loggers that are bound already, as those of sessions, stay as they are."""
    levels = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}
    filtering = structlog.make_filtering_bound_logger(levels.get(verbosity, logging.DEBUG))
    is_terminal = _is_terminal()
    as_text = form == "text" or (form == "auto" and is_terminal)
    hiding: list[_Processor] = [] if hide is None else [hidden(hide)]
    structlog.configure(
        processors=[
            structlog.processors.format_exc_info,
            *hiding,
            *(_text(colors=is_terminal) if as_text else [_Json()]),
        ],
        wrapper_class=type(
            "Logger",
            (_Guarded, filtering),
            {"tells": verbosity >= 0, "json": None if as_text or hiding else _Json()},
        ),
        logger_factory=_Lines,
        cache_logger_on_first_use=False,  # or nothing that has logged once would notice a second call
    )


def _text(*, colors: bool) -> list[_Processor]:
    return [
        structlog.processors.add_log_level,
        _Stamper(),
        escape_values,
        _in_order,
        structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, sort_keys=False),
    ]


def _in_order(logger: object, method: str, values: _Values) -> _Values:
    """Sorts the values of a line by their names, unless they are in the order in which they are to stand."""
    if values.pop(_ORDERED, False):
        return values
    return dict(sorted(values.items()))


class _Clock:
    """The local time with its zone, as in RFC 3339. A second is put into words once."""

    def __init__(self, separator: str) -> None:
        self._format = f"%Y-%m-%d{separator}%H:%M:%S"
        self._second = -1
        self._words = ("", "")

    def parts(self, now: float) -> tuple[str, str]:
        """Date and time up to the second, and the zone."""
        second = int(now)
        if second != self._second:
            local = time.localtime(second)
            zone = time.strftime("%z", local)
            self._second, self._words = second, (time.strftime(self._format, local), f"{zone[:3]}:{zone[3:]}")
        return self._words


class _Stamper:
    """Puts the time into a line of text."""

    def __init__(self) -> None:
        self._clock = _Clock(" ")

    def __call__(self, logger: object, method: str, values: _Values) -> _Values:
        values["timestamp"] = "".join(self._clock.parts(time.time()))
        return values


class _Json:
    """Makes a line of JSON. Everything but ASCII is escaped, so no control character is in it."""

    def __init__(self) -> None:
        self._clock = _Clock("T")

    def __call__(self, logger: object, method: str, values: _Values) -> str:
        now = time.time()
        words, zone = self._clock.parts(now)
        values.pop(_ORDERED, None)
        level = "error" if method == "exception" else method
        event = _encoded(values.pop("event", None))
        time_and_level = f'"time": "{words}.{int(now * 1000) % 1000:03}{zone}", "level": "{level}"'
        rest = "".join(
            [
                f", {_quoted(key)}: {_quoted(value) if type(value) is str else _encoded(value)}"
                for key, value in values.items()
            ]
        )
        return f'{{{time_and_level}, "event": {event}{rest}}}'


def _encoded(value: Any) -> str:
    """JSON of a value. The encoder of the library does the same in three times the time: it makes itself anew
    for each text."""
    if type(value) is str:
        return _quoted(value)
    if isinstance(value, bool | None):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return repr(value) if isfinite(value) else _quoted(repr(value))
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        return (
            "{" + ", ".join([f"{_quoted(str(key))}: {_encoded(each)}" for key, each in found.items()]) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join([_encoded(each) for each in cast("list[Any]", value)]) + "]"
    return _quoted(value if isinstance(value, str) else repr(value))


class _Guarded:
    """Writes a line even if a value in it cannot be shown: its ``__repr__`` or ``__str__`` raises."""

    _context: dict[str, Any]
    tells: bool
    json: _Json | None
    """Makes lines about mail without the processors, which these do not need: 10 µs less for each message."""

    def tell(self, event: str, **values: Any) -> None:
        """A line at the level INFO that is written unless only errors are."""
        if not self.tells:
            return
        if self.json is not None:
            try:
                line = self.json(None, "info", {**self._context, "event": event, **values})
            except Exception:
                pass  # a value cannot be shown: as below
            else:
                write_error_line(line)
                return
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

    def urgent(self, line: str) -> None:
        write_error_line(line, urgent=True)

    debug = info = msg
    warning = error = critical = exception = urgent


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
