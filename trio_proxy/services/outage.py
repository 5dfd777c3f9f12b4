"""What the rules have in common that ask a service: a connection to it, and what to do while it is down."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import attrs
import structlog
import trio

from sansio_smtp.rules import Defer
from trio_proxy.text.addresses import Address

__all__ = ["OnDown", "Outage", "folded", "open_stream"]

log = structlog.stdlib.get_logger("smtp_proxy")

OnDown: TypeAlias = Literal["accept", "defer"]
"""What becomes of mail while the service cannot be asked: it goes on, or the client tries again later."""

_LATER = Defer(451, "4.3.0 a service that checks mail is not available, try again later")


async def open_stream(address: str) -> trio.abc.Stream:
    """A connection to ``host:port`` or ``unix:/path``. Raises OSError; `AddressError` for what is neither."""
    where = Address.parse(address)
    if where.path is not None:
        return await trio.open_unix_socket(where.path)
    return await trio.open_tcp_stream(where.host or "localhost", where.port)


@attrs.define
class Outage:
    """Whether a service is down; it says so in the log when that begins and when it ends, once each."""

    service: str
    """For the log, as in ``"clamd"``."""
    down: bool = False

    def began(self, error: BaseException, on_down: OnDown) -> Defer | None:
        """The service could not be asked. The verdict on this mail."""
        if not self.down:
            self.down = True
            goes = "goes on without it" if on_down == "accept" else "is deferred"
            log.error(
                f"{self.service} cannot be asked, mail {goes}", error=str(error) or type(error).__name__
            )
        return _LATER if on_down == "defer" else None

    def ended(self) -> None:
        """The service has answered."""
        if self.down:
            self.down = False
            log.warning(f"{self.service} answers again")


def folded(value: bytes) -> bytes:
    """What follows the colon of a header field as a service gives it, with whatever line ends: with CRLF and
    white space between its lines."""
    first, *rest = re.split(rb"\r\n|\r|\n", value)
    folds = [line if line[:1] in (b" ", b"\t") else b"\t" + line for line in rest if line.strip()]
    return b"\r\n".join([first, *folds])
