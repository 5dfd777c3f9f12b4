"""Configures the log: lines on standard error, one for each event, for people or as JSON.

A logging failure never ends a session. The time of a line includes the time zone.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from json.encoder import encode_basestring_ascii as _quoted
from math import isfinite
from types import MappingProxyType
from typing import Any, Final, Literal, cast

import structlog

from .escaping import escape_values
from .hiding import Hide, hidden
from .output import write_error_line

__all__ = ["JsonLines", "OwnLines", "configure"]

_ORDERED: Final = "_ordered"
_MOST_KEYS: Final = 1_000
_Values = MutableMapping[str, Any]
_Processor = Callable[[Any, str, _Values], Any]
OwnLines = Mapping[str, Callable[[Mapping[str, Any]], str | None]]
"""The text of an event → a function that is given the values of a line, with control characters escaped in
those that are texts. It returns the line; an empty text, and none is written; or None for the usual form."""
_NO_LINES: Final[OwnLines] = MappingProxyType({})


def configure(
    verbosity: int,
    *,
    form: Literal["text", "json", "auto"] = "text",
    hide: Hide | None = None,
    lines: OwnLines = _NO_LINES,
) -> None:
    """``verbosity``: -1 logs errors, 0 also warnings and results of mail, 1 more, 2 everything. ``form``:
    auto is text on a terminal, else JSON. ``hide`` returns the replacement of an address. ``lines``: the text
    of an event → the function that makes its whole line in a text log.

    May be called again: loggers that are already bound, such as those of sessions, do not change."""
    levels = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}
    lowest = levels.get(verbosity, logging.DEBUG)
    filtering = structlog.make_filtering_bound_logger(lowest)
    is_terminal = _is_terminal()
    as_text = form == "text" or (form == "auto" and is_terminal)
    hiding: list[_Processor] = [] if hide is None else [hidden(hide)]
    structlog.configure(
        processors=[
            structlog.processors.format_exc_info,
            *hiding,
            *(_text(lines, colors=is_terminal) if as_text else [JsonLines()]),
        ],
        wrapper_class=type(
            "Logger",
            (_Guarded, filtering),
            {
                "tells": verbosity >= 0,
                "json": None if as_text or hiding or verbosity < 0 else JsonLines(),
                "lowest": lowest,
            },
        ),
        logger_factory=_Lines,
        cache_logger_on_first_use=False,  # otherwise used loggers would not notice a second call
    )


def _text(lines: OwnLines, *, colors: bool) -> list[_Processor]:
    return [
        structlog.processors.add_log_level,
        _Stamper(),
        escape_values,
        _in_order,
        _Rendered(lines, structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, sort_keys=False)),
    ]


class _Rendered:
    """Makes a line of text."""

    def __init__(self, lines: OwnLines, usual: _Processor) -> None:
        self._lines = lines
        self._usual = usual

    def __call__(self, logger: object, method: str, values: _Values) -> Any:
        make = self._lines.get(values["event"])
        line = None if make is None else make(values)
        if line is None:
            return self._usual(logger, method, values)
        if not line:
            raise structlog.DropEvent
        return line


def _in_order(logger: object, method: str, values: _Values) -> _Values:
    """Sorts the values of a line by name, unless they are already in their final order."""
    if values.pop(_ORDERED, False):
        return values
    return dict(sorted(values.items()))


class _Clock:
    """The local time with its zone, as in RFC 3339. Each second is formatted only once."""

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


class JsonLines:
    """Makes lines of JSON. All characters outside printable ASCII are escaped. Each message has a log line,
    so this speed matters: `line` does in one pass what a chain of processors would do in several."""

    def __init__(self) -> None:
        self._clock = _Clock("T")
        self._keys = _Keys()

    def __call__(self, logger: object, method: str, values: _Values) -> str:
        """Runs as the last processor of structlog."""
        values.pop(_ORDERED, None)
        return self._line("error" if method == "exception" else method, values.pop("event", None), "", values)

    def named(self, values: Mapping[str, Any]) -> str:
        """These values as `line` takes them."""
        return "".join(_members(values, self._keys))

    def line(self, event: str, named: str, values: Mapping[str, Any]) -> str:
        """A line at the level INFO. ``named``: values that are the same in many lines, from `named`."""
        return self._line("info", event, named, values)

    def _line(self, level: str, event: Any, named: str, values: Mapping[str, Any]) -> str:
        now, keys = time.time(), self._keys
        words, zone = self._clock.parts(now)
        stamp = f"{words}.{int(now * 1000) % 1000:03}{zone}"
        event = _encoded(event, keys)
        members = "".join(_members(values, keys))
        return f'{{"time": "{stamp}", "level": "{level}", "event": {event}{named}{members}}}'


class _Keys(dict[str, str]):
    """Key → its text inside an object, after a comma. There are few keys, because most are names in the
    code."""

    def __missing__(self, key: str) -> str:
        made = f", {_quoted(key)}: "
        if len(self) < _MOST_KEYS:
            self[key] = made
        return made


def _encoded(value: object, keys: _Keys) -> str:
    """The JSON of a value. The library's encoder takes three times as long, because it makes a new object for
    each text."""
    if (encode := _PLAIN.get(type(value))) is not None:
        return encode(value)
    if isinstance(value, dict):
        return f"{{{''.join(_members(cast('Mapping[str, object]', value), keys))[2:]}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join([_encoded(each, keys) for each in cast('list[object]', value)])}]"
    if isinstance(value, int | float):  # a subclass may have its own __str__
        return _number(value + 0)
    return _quoted(value if isinstance(value, str) else repr(value))


def _members(values: Mapping[str, object], keys: _Keys) -> list[str]:
    """The members of an object, each after a comma."""
    members: list[str] = []
    for key, value in values.items():
        encode = _PLAIN.get(type(value))
        members += keys[str(key)], _encoded(value, keys) if encode is None else encode(value)
    return members


def _number(value: float) -> str:
    return repr(value) if isfinite(value) else _quoted(repr(value))


_PLAIN: Final[dict[type[object], Callable[[Any], str]]] = {
    str: _quoted,
    int: str,
    float: _number,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): lambda _: "null",
}


class _Guarded:
    """Writes a line even if the ``__repr__`` or ``__str__`` of a value raises."""

    _context: dict[str, Any]
    tells: bool
    """True if `tell` writes lines."""
    lowest: int
    """The lowest level, as in `logging`, whose lines are written."""
    json: JsonLines | None
    """Makes the lines about mail that need no processor, which `SessionLog` writes without a logger."""

    def tell(self, event: str, **values: Any) -> None:
        """Writes a line at the level INFO, unless only errors are logged."""
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
    """Takes the finished lines from structlog."""

    def __init__(self, *_: object) -> None: ...

    def msg(self, line: str) -> None:
        write_error_line(line)

    def urgent(self, line: str) -> None:
        write_error_line(line, urgent=True)

    debug = info = msg
    warning = error = critical = exception = urgent


def _shown(value: object) -> object:
    """Returns the value, or a replacement if it cannot be shown."""
    try:
        str(value)
        repr(value)
    except Exception as error:
        return f"<a {type(value).__name__} that cannot be shown: {type(error).__name__}>"
    return value


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is no standard error, or it is closed
        return False
