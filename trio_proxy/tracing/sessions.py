"""`Tracing`: makes the traces of sessions, and the objects that fill them."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.trace import SpanKind, TracerProvider

from sansio_smtp import ClientInfo, Dialect, __version__
from trio_proxy.account.account import Account, Tell, UpstreamServer
from trio_proxy.account.kept import KeptMail
from trio_proxy.rulebook.host import RuleAccount, RuleHost, RuleSettings
from trio_proxy.text.session_log import Log, SessionLog
from trio_proxy.text.transcript import Transcript

from .attributes import of_client
from .spans import NOBODY, SessionSpans
from .traced import TracedAccount, TracedHost

__all__ = ["SessionTrace", "Tracing"]


class Tracing:
    """Makes the traces of sessions."""

    def __init__(self, *, shows_addresses: bool, provider: TracerProvider | None = None) -> None:
        """``shows_addresses``: mail addresses become attributes. ``provider``: None means the provider of the
        process, which may be set later."""
        self._tracer = trace.get_tracer("sansio-smtp", __version__, provider)
        self._shows_addresses = shows_addresses

    def session(self, number: int, client: ClientInfo, dialect: Dialect) -> SessionTrace | None:
        """The trace of a session that begins now; None if it is not recorded."""
        attributes = of_client(number, client, dialect)
        span = self._tracer.start_span("SMTP session", NOBODY, SpanKind.SERVER, attributes)
        if not span.is_recording():
            return None
        return SessionTrace(self._tracer, span, shows_addresses=self._shows_addresses)


class SessionTrace(SessionSpans):
    """The trace of one session, and the objects that fill it."""

    __slots__ = ()

    def account(
        self, log: SessionLog, server: UpstreamServer, others: Tell | None, kept: KeptMail | None
    ) -> Account:
        """The account of the session."""
        return TracedAccount(self, log, server, others, kept)

    def host(
        self,
        settings: RuleSettings,
        log: Log,
        transcript: Transcript | None,
        account: RuleAccount | None = None,
    ) -> RuleHost:
        """The host of its rules."""
        return TracedHost(self, settings, log, transcript, account)
