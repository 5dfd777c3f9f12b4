"""`SessionLog`: the log of one session, whose lines name its connection and its client."""

from __future__ import annotations

from typing import Any, Protocol

import structlog

from sansio_smtp import ClientInfo

__all__ = ["Log", "SessionLog"]

log = structlog.stdlib.get_logger("smtp_proxy")


class Log(Protocol):
    """What a session and its rules log with."""

    def debug(self, event: str, **values: Any) -> Any: ...
    def info(self, event: str, **values: Any) -> Any: ...
    def warning(self, event: str, **values: Any) -> Any: ...
    def error(self, event: str, **values: Any) -> Any: ...


class SessionLog:
    """Log lines of a session. ``quiet``: nothing less than a warning is logged, as of a health check, which
    comes every few seconds."""

    def __init__(self, connection: str, client: ClientInfo, *, quiet: bool = False) -> None:
        self._connection = connection
        self._quiet = quiet
        self._log = log
        self.name(client)

    def name(self, client: ClientInfo) -> None:
        """From now on lines name this client: its address, and the proxy and the TLS between it and us, if
        there are."""
        values = {"peer": client.address, "proxy": client.proxy_ip, "tls": client.tls and client.tls.version}
        named = {key: value for key, value in values.items() if value}
        self._log = log.bind(conn=self._connection, **named)

    def is_enabled_for(self, level: int) -> bool:
        """Returns True if lines of this level, as in `logging`, are logged."""
        return not self._quiet and self._log.is_enabled_for(level)

    def debug(self, event: str, **values: Any) -> None:
        if not self._quiet:
            self._log.debug(event, **values)

    def info(self, event: str, **values: Any) -> None:
        if not self._quiet:
            self._log.info(event, **values)

    def warning(self, event: str, **values: Any) -> None:
        self._log.warning(event, **values)

    def error(self, event: str, **values: Any) -> None:
        self._log.error(event, **values)
