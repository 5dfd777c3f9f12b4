"""Tries the login of the proxy at the upstream server, as a session would log in."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from sansio_smtp import Command, Envelope, LogIn, LoginQuestion, Reply, TlsInfo
from sansio_smtp.ends.sasl_exchange import SaslExchange
from sansio_smtp.wire.credentials import Credentials
from trio_proxy.text.masking import plain

from .findings import Findings

if TYPE_CHECKING:
    from trio_proxy.login.logins import Logins

__all__ = ["TriedLogin", "try_login"]

Ask = Callable[[Command], Awaitable[Reply]]
"""Sends a line and gives the reply."""
_REFUSAL: Final = Reply.of(451, "not logged in", enhanced="4.7.0")
_MOST_ATTEMPTS: Final = 3


@attrs.frozen
class TriedLogin:
    """The result: why the login failed, or None; and the mechanism that was used."""

    account: str
    mechanism: str
    why: str | None = None

    def say(self, where: str, found: Findings) -> None:
        """Reports the result."""
        if self.why is None:
            found.good("login", f"{where} accepts {plain(self.account)}, with {self.mechanism}")
        else:
            found.unreached(f"{where}: the login of {plain(self.account)} fails: {plain(self.why)}")


@attrs.define
class _Notes:
    """A log that keeps its events in memory: they say why no login is possible."""

    last: str = ""

    def is_enabled_for(self, level: int) -> bool:
        """All that says why a login is not possible is of interest."""
        return level > logging.DEBUG

    def debug(self, event: str, **values: Any) -> None:
        """Ignores the event: no reason for a failed login is logged at this level."""

    def info(self, event: str, **values: Any) -> None:
        details = "; ".join(str(values[name]) for name in ("error", "reply", "said") if name in values)
        self.last = f"{event}: {details}" if details else event

    warning = error = info


async def try_login(logins: Logins, keywords: Mapping[str, str], tls: TlsInfo | None, ask: Ask) -> TriedLogin:
    """Logs in with the credentials that a session would use. Raises what ``ask`` raises."""
    account, notes = logins.account or "", _Notes()
    session = logins.of_session(notes)
    refused: Reply | None = None
    mechanism = ""
    said = Credentials()
    for _ in range(_MOST_ATTEMPTS):
        question = LoginQuestion(
            mechanisms=tuple(keywords.get("AUTH", "").upper().split()),
            upstream=None,
            tls=tls,
            login=None,
            attempt=None,
            refused=refused,
            refusal=_REFUSAL,
            envelope=Envelope(),
        )
        verdict = await session.answer(question)
        if not isinstance(verdict, LogIn):
            return TriedLogin(account, mechanism, notes.last)
        mechanism = verdict.client.name
        exchange = SaslExchange(verdict.client)
        try:
            reply = await _exchange(exchange, ask, said)
            trusted = exchange.trusted
        finally:
            exchange.forget()
        if reply.severity == 2:
            why = None if trusted else f"it accepted the login before {mechanism} was complete"
            return TriedLogin(account, mechanism, why)
        refused = Reply(reply.code, said.masked(reply.raw))
    return TriedLogin(account, mechanism, f"it said {refused}")


async def _exchange(exchange: SaslExchange, ask: Ask, said: Credentials) -> Reply:
    """The reply that ends the exchange. ``said`` remembers the secrets, because the server may repeat
    them."""
    line: Command | None = exchange.begin()
    while line is not None:
        said.keep(line)
        reply = await ask(line)
        if reply.severity != 3:
            return reply
        line = exchange.answer(reply)
    raise OSError("its login has too many steps")
