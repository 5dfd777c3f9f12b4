"""`SessionSpans`: the spans of one session, made from the reports of its account and its rules.

::

    SMTP session
     ├─ rule NAME             of phases without a message: connect, helo, auth, login, disconnect, ...
     └─ SMTP message          from the client's first command for it to the reply
         ├─ rule NAME         each call that is awaited, and each that takes a millisecond or more
         └─ final reply       from what the server was sent last to its reply to the message

The times of a message are those in its log line, so its span is made when its account is complete; or
earlier, when a rule is awaited, so that the rule's own calls become part of the trace. The spans go to the
tracer provider of the process, which the environment or a file of rules has set. If it records nothing, or
not this session, there is no `SessionSpans`.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic, time_ns
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from sansio_smtp import SERVER, Side
from trio_proxy.account.records import SERVER as BY_SERVER
from trio_proxy.account.records import MessageRecord, Record, RefusalRecord

from .attributes import of_message, of_refusal, of_session

__all__ = ["NOBODY", "SessionSpans"]

_SHORTEST: Final = 0.001
"""The least seconds of a rule that is not awaited: a shorter call gets no span."""
_TEMPORARY: Final = range(400, 500)
_WITHOUT_MESSAGE: Final = frozenset(("connect", "helo", "auth", "login", "delivered", "disconnect"))
"""Phases of rules that belong to the session."""
NOBODY: Final = Context()
"""No context: a session is not part of another trace."""


class SessionSpans:
    """The spans of one session."""

    __slots__ = (
        "_began",
        "_context",
        "_epoch",
        "_message",
        "_shows_addresses",
        "_span",
        "_tracer",
        "_waited",
    )

    def __init__(self, tracer: Tracer, span: Span, *, shows_addresses: bool) -> None:
        self._tracer = tracer
        self._span = span
        self._context = trace.set_span_in_context(span, NOBODY)
        self._shows_addresses = shows_addresses
        self._epoch = time_ns() - int(monotonic() * 1e9)
        self._message: Span | None = None
        self._began = 0.0  # the time at which the message began; 0: none yet
        self._waited: tuple[float, float] | None = None  # the wait for the last reply of the server

    # Called by the account

    def heard(self, side: Side | None, last: float, now: float) -> None:
        """A side has sent something at the time ``now``, or the rules have answered (None). ``last`` is the
        time of the last such call; 0 for none."""
        if not self._began:
            self._began = last or now
        if side is SERVER and last:
            self._waited = last, now

    def tell(self, record: Record) -> None:
        """A record of the account is complete."""
        if isinstance(record, MessageRecord):
            span = self._open_message()
            if record.code in _TEMPORARY:
                span.set_status(Status(StatusCode.ERROR))
            span.set_attributes(of_message(record, shows_addresses=self._shows_addresses))
            if self._waited is not None and BY_SERVER in (record.by, *(to.by for to in record.recipients)):
                began, ended = self._waited
                reply = self._tracer.start_span(
                    "final reply",
                    trace.set_span_in_context(span, self._context),
                    SpanKind.CLIENT,
                    {"smtp.upstream": record.upstream, "smtp.reply.code": record.code},
                    start_time=self._wall(began),
                )
                reply.end(self._wall(ended))
            self._end_message()
        elif isinstance(record, RefusalRecord):
            refusal = of_refusal(record, shows_addresses=self._shows_addresses)
            self._span.add_event(f"{record.verb} refused", refusal)
        else:
            self._span.set_attributes(of_session(record))
            if record.sender is not None:
                self._open_message()

    # Called for rules

    @contextmanager
    def rule(self, name: str, phase: str) -> Generator[None]:
        """A rule is awaited in this context. Its own calls belong to its span."""
        span = self._rule(name, phase, monotonic())
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield
            except Exception as error:  # its text may hold addresses
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def rule_took(self, name: str, phase: str, began: float) -> None:
        """A rule that was not awaited has run since ``began``."""
        ended = monotonic()
        if ended - began >= _SHORTEST:
            self._rule(name, phase, began).end(self._wall(ended))

    def decided(self, name: str, phase: str, verdict: str) -> None:
        """A rule has given a verdict, or has ``failed``."""
        span = self._message if self._message is not None and phase not in _WITHOUT_MESSAGE else self._span
        attributes = {"smtp.rule.name": name, "smtp.rule.phase": phase, "smtp.rule.verdict": verdict}
        span.add_event("rule decided", attributes)

    def _rule(self, name: str, phase: str, began: float) -> Span:
        context = self._context
        if phase not in _WITHOUT_MESSAGE:
            context = trace.set_span_in_context(self._open_message(), context)
        attributes = {"smtp.rule.name": name, "smtp.rule.phase": phase}
        return self._tracer.start_span(
            f"rule {name}", context, attributes=attributes, start_time=self._wall(began)
        )

    # The end

    def end(self) -> None:
        """The session is over."""
        if self._message is not None:
            self._message.set_attribute("smtp.message.fate", "not completed")
            self._end_message()
        self._span.end()

    def _open_message(self) -> Span:
        if self._message is None:
            began = self._wall(self._began or monotonic())
            self._message = self._tracer.start_span("SMTP message", self._context, start_time=began)
        return self._message

    def _end_message(self) -> None:
        if self._message is not None:
            self._message.end()
        self._message, self._began, self._waited = None, 0.0, None

    def _wall(self, time: float) -> int:
        return self._epoch + int(time * 1e9)
