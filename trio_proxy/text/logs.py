"""Configures the log: lines on standard error, one for each event, for people or as JSON.

A line never ends a session. The time of a line has its zone.
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
    """``verbosity``: -1 logs errors, 0 warnings and what became of mail, 1 more of it, 2 everything.
    ``form``: auto is text on a terminal, else JSON. ``hide``: what stands in the place of an address.
    ``lines``: for an event by its text, what makes the whole line of a text log.

    May be called again: loggers that are bound already, as those of sessions, stay as they are."""
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
        cache_logger_on_first_use=False,  # or nothing that has logged once would notice a second call
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


class JsonLines:
    """Makes lines of JSON. Everything but ASCII is escaped, so no control character is in them.

    A message has a line of its own, so this is what a default log costs: `line` does in one pass what a chain
    of processors would do in several."""

    def __init__(self) -> None:
        self._clock = _Clock("T")
        self._keys = _Keys()

    def __call__(self, logger: object, method: str, values: _Values) -> str:
        """As a processor of structlog, the last one."""
        values.pop(_ORDERED, None)
        return self._line("error" if method == "exception" else method, values.pop("event", None), "", values)

    def named(self, values: Mapping[str, Any]) -> str:
        """These values as `line` takes them."""
        return "".join(_members(values, self._keys))

    def line(self, event: str, named: str, values: Mapping[str, Any]) -> str:
        """A line at the level INFO. ``named``: values that stand in many lines, as `named` has made them."""
        return self._line("info", event, named, values)

    def _line(self, level: str, event: Any, named: str, values: Mapping[str, Any]) -> str:
        now, keys = time.time(), self._keys
        words, zone = self._clock.parts(now)
        stamp = f"{words}.{int(now * 1000) % 1000:03}{zone}"
        event = _encoded(event, keys)
        members = "".join(_members(values, keys))
        return f'{{"time": "{stamp}", "level": "{level}", "event": {event}{named}{members}}}'


class _Keys(dict[str, str]):
    """Key → how it stands in an object after another one. Most are names in the code, and so are few."""

    def __missing__(self, key: str) -> str:
        made = f", {_quoted(key)}: "
        if len(self) < _MOST_KEYS:
            self[key] = made
        return made


def _encoded(value: object, keys: _Keys) -> str:
    """JSON of a value. The encoder of the library does the same in three times the time: it makes itself anew
    for each text."""
    if (encode := _PLAIN.get(type(value))) is not None:
        return encode(value)
    if isinstance(value, dict):
        return f"{{{''.join(_members(cast('Mapping[str, object]', value), keys))[2:]}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join([_encoded(each, keys) for each in cast('list[object]', value)])}]"
    if isinstance(value, int | float):  # of a class that may show itself as it likes
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
    """Writes a line even if a value in it cannot be shown: its ``__repr__`` or ``__str__`` raises."""

    _context: dict[str, Any]
    tells: bool
    """True if `tell` writes lines."""
    lowest: int
    """The lowest level, as in `logging`, whose lines are written."""
    json: JsonLines | None
    """Makes lines about mail that need no processor: `SessionLog` writes these without a logger."""

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
