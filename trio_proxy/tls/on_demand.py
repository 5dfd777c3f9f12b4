"""A certificate that is made when the first client wants one: for a service that only keeps mail.

What makes it is not imported before, so that the start of the service costs nothing. It takes a fifth of a
second, once, while other clients wait.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from .server_side import ServerTls

__all__ = ["CertificateOnDemand"]


@attrs.define(eq=False)
class CertificateOnDemand:
    """Stands for a `ServerTls` whose certificate does not exist yet."""

    names: Sequence[str]
    """The host names and IP addresses that it will be for."""
    _tell: Callable[[ServerTls], None] | None = attrs.field(default=None, init=False)
    _made: ServerTls | None = attrs.field(default=None, init=False)

    def tell_with(self, tell: Callable[[ServerTls], None]) -> None:
        """Sets what is called when it has been made, while its files still exist."""
        self._tell = tell

    @property
    def is_slow(self) -> bool:
        """True if a handshake may take long: never."""
        return False

    @property
    def context(self) -> ssl.SSLContext:
        """For a handshake that begins now. Raises OSError if the files cannot be written."""
        return self.make().context

    def make(self) -> ServerTls:
        """Makes it, if that was not done before. Raises OSError if the files cannot be written."""
        if self._made is None:
            from .self_signed import self_signed
            from .server_side import ServerTls

            with self_signed(self.names) as pair:  # its key is in memory from here on, and in no file
                self._made = ServerTls.load([pair])
                if self._tell is not None:
                    self._tell(self._made)
        return self._made
