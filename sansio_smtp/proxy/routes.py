"""Which server a command is for, where verdicts choose (`Route`)."""

from __future__ import annotations

import attrs

from sansio_smtp.wire.commands import Kind

from .dialogue import Dialogue
from .exchanges import ANYWHERE, Exchange

__all__ = ["Routes"]


@attrs.define(eq=False)
class Routes:
    """Marks commands with the server that they are for; `Dialogue` sees to it that they get there."""

    _wanted: str | None = ANYWHERE  # what MAIL was for

    def mark(self, exchange: Exchange, upstream: str | None, dialogue: Dialogue) -> None:
        """``upstream`` is what the verdict on the command said, or `ANYWHERE`."""
        verb, kind = exchange.command.verb, exchange.command.kind
        if verb == b"MAIL":
            exchange.upstream = self._wanted = dialogue.home if upstream == ANYWHERE else upstream
        elif verb == b"RCPT":
            exchange.upstream = self._wanted if upstream == ANYWHERE else upstream
        elif kind is Kind.HELLO or kind is Kind.AUTH:
            if kind is Kind.HELLO:
                self._wanted = ANYWHERE  # no transaction is open any more
            if upstream != ANYWHERE:
                dialogue.home = exchange.upstream = upstream
