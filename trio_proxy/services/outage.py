"""Connects rules to a service that they ask, and decides on mail while that service is down."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

import attrs
import structlog
import trio

from sansio_smtp.rules import Defer
from trio_proxy.text.addresses import Address, AddressError
from trio_proxy.text.units import Reads

__all__ = ["OnDown", "Outage", "ServiceAddress", "folded", "open_stream", "service_address"]

log = structlog.stdlib.get_logger("smtp_proxy")


def service_address(text: str) -> Address:
    """Reads the address of a service. Raises `AddressError`, also for TLS, which is not supported for
    services."""
    address = Address.parse(text)
    if address.tls:
        raise AddressError(
            f"{text!r} means TLS, which is not spoken with this service; write HOST:PORT or unix:PATH"
        )
    return address


def _service(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected {_EXPECTED}")  # noqa: TRY004 - Reads asks for it
    service_address(value)
    return value


_EXPECTED: Final = 'an address such as "127.0.0.1:3310" or "unix:/run/x.sock"'
ServiceAddress: TypeAlias = Annotated[
    str, Reads(_EXPECTED, _service, lambda text, folder: str(service_address(text).below(folder)))
]
"""The address of a service. In a settings file the path of a unix socket is relative to the file's folder."""

OnDown: TypeAlias = Literal["accept", "defer"]
"""What happens to mail while the service is down: "accept" lets it pass, "defer" tells the client to try
later."""

_LATER = Defer(451, "4.3.0 a service that checks mail is not available, try again later")


async def open_stream(address: str) -> trio.abc.Stream:
    """Connects to ``host:port`` or ``unix:/path``. Raises OSError, and `AddressError` for any other text."""
    where = service_address(address)
    if where.path is not None:
        return await trio.open_unix_socket(where.path)
    return await trio.open_tcp_stream(where.host or "localhost", where.port)


@attrs.define
class Outage:
    """Remembers if a service is down. Logs the beginning and the end of each outage once."""

    service: str
    """The name for the log, such as ``"clamd"``."""
    down: bool = False

    def began(self, error: BaseException, on_down: OnDown) -> Defer | None:
        """The service could not be asked. Returns the verdict on this mail."""
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
    """Returns the value of a header field, which may have any kind of line ends, folded as in a message: with
    CRLF and white space between its lines."""
    first, *rest = re.split(rb"\r\n|\r|\n", value)
    folds = [line if line[:1] in (b" ", b"\t") else b"\t" + line for line in rest if line.strip()]
    return b"\r\n".join([first, *folds])
