"""`SessionLog`: the log of one session, whose lines name its connection and its client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog

from sansio_smtp import ClientInfo

from .logs import JsonLines
from .output import write_error_line

__all__ = ["Log", "SessionLog"]

log = structlog.stdlib.get_logger("smtp_proxy")


class Log(Protocol):
    """The logger of a session and its rules."""

    def is_enabled_for(self, level: int) -> bool: ...
    def debug(self, event: str, **values: Any) -> Any: ...
    def info(self, event: str, **values: Any) -> Any: ...
    def warning(self, event: str, **values: Any) -> Any: ...
    def error(self, event: str, **values: Any) -> Any: ...


class SessionLog:
    """Writes the log lines of a session. The values of the client are made for the first line: a session
    without lines, the usual case, takes 0.5 KB and 2 µs less."""

    __slots__ = ("_bound", "_client", "_is_quiet", "_json", "_named", "connection")

    def __init__(self, connection: str, client: ClientInfo) -> None:
        self.connection = connection
        """The number of the connection, such as ``c7``."""
        self._client = client
        self._is_quiet: Callable[[], bool] | None = None
        self._bound: Any = None
        self._json: JsonLines | None = None  # makes lines about mail, if it can
        self._named: str | None = None  # the client's values in lines; None before the first line

    def be_quiet_while(self, condition: Callable[[], bool]) -> None:
        """The session may be a health check, which comes every few seconds: while ``condition()`` is true,
        only warnings and errors are logged."""
        self._is_quiet = condition

    @property
    def may_be_check(self) -> bool:
        """True after `be_quiet_while`."""
        return self._is_quiet is not None

    def name(self, client: ClientInfo) -> None:
        """From now on lines name this client: its address, and its proxy and TLS, if any."""
        self._client, self._bound, self._named = client, None, None

    def is_enabled_for(self, level: int) -> bool:
        """Returns True if lines of this level, as in `logging`, are logged."""
        lowest = getattr(_logger_class(), "lowest", None)
        return bool(log.is_enabled_for(level) if lowest is None else level >= lowest)

    @property
    def tells(self) -> bool:
        """True if `tell` writes lines."""
        return bool(getattr(_logger_class(), "tells", True))

    def tell(self, event: str, values: Mapping[str, Any]) -> None:
        """Writes a line about mail, at every verbosity except ``-q``."""
        named = self._named
        if named is None:
            self._json = getattr(_logger_class(), "json", None)
            named = self._named = "" if self._json is None else self._json.named(self._names)
        if self._json is not None:
            try:
                line = self._json.line(event, named, values)
            except Exception:
                pass  # a value cannot be shown: the logger handles that
            else:
                write_error_line(line)
                return
        bound = self._log
        getattr(bound, "tell", bound.info)(event, **values)  # structlog may be configured by others

    @property
    def _log(self) -> Any:
        if self._bound is None:
            self._bound = log.bind(**self._names)
        return self._bound

    @property
    def _names(self) -> dict[str, str]:
        client = self._client
        tls = "" if client.tls is None else client.tls.version
        values = {"conn": self.connection, "peer": client.address, "proxy": client.proxy_ip, "tls": tls}
        return {key: value for key, value in values.items() if value}

    def debug(self, event: str, **values: Any) -> None:
        if self._is_quiet is None or not self._is_quiet():
            self._log.debug(event, **values)

    def info(self, event: str, **values: Any) -> None:
        if self._is_quiet is None or not self._is_quiet():
            self._log.info(event, **values)

    def warning(self, event: str, **values: Any) -> None:
        self._log.warning(event, **values)

    def error(self, event: str, **values: Any) -> None:
        self._log.error(event, **values)


def _logger_class() -> Any:
    """The current class of loggers: one of module `logs`, if that has configured the log."""
    return structlog.get_config()["wrapper_class"]
