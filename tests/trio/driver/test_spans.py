"""The spans of sessions, as the SDK of OpenTelemetry gets them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import pytest
import trio
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from tcp_peers import TcpRunning, over_tcp
from trio.testing import MockClock

from sansio_smtp import ClientInfo, Config, Dialect
from sansio_smtp.rules import Recipient, Reject, Transaction
from sansio_smtp.rules.loading import rules_of
from trio_proxy.commands import tracing
from trio_proxy.commands.tracing import tracing_of, tracing_problems
from trio_proxy.settings.options import Options
from trio_proxy.tracing import spans as spans_of_session
from trio_proxy.tracing import traced
from trio_proxy.tracing.sessions import Tracing

ACCOUNT = Config(account=True)
UPSTREAM = "mx.example:25"
TEXT = b"Message-ID: <1@me.example>\r\nSubject: hi\r\n\r\none\r\n"


class Spans(InMemorySpanExporter):
    """What was exported, by name."""

    def __init__(self, **more: Any) -> None:
        super().__init__()
        self.provider = TracerProvider(shutdown_on_exit=False, **more)
        self.provider.add_span_processor(SimpleSpanProcessor(self))

    def tracing(self, *, shows_addresses: bool = True) -> Tracing:
        return Tracing(shows_addresses=shows_addresses, provider=self.provider)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


@pytest.fixture
def spans() -> Iterator[Spans]:
    made = Spans()
    yield made
    made.provider.shutdown()


def values(span: ReadableSpan) -> Mapping[str, Any]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def number(span: ReadableSpan) -> int:
    return span.get_span_context().span_id


def interval(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time


async def send(run: TcpRunning, reply: bytes) -> None:
    for command, answer in (
        (b"MAIL FROM:<a@me.example>", b"250 ok"),
        (b"RCPT TO:<b@mx.example>", b"250 ok"),
        (b"DATA", b"354 go"),
    ):
        await run.client.send(command)
        await run.server.expect(command)
        await run.server.send(answer)
        await run.client.expect(answer)
    await run.client.raw(TEXT + b".\r\n")
    await run.server.expect(*TEXT.splitlines(), b".")
    await run.server.send(reply)
    await run.client.expect(reply)


async def leave(run: TcpRunning) -> None:
    run.client.close()
    await run.server.rest()


async def test_two_messages_of_a_session(mock_clock: MockClock, spans: Spans) -> None:
    before = time.time_ns()
    settings: dict[str, Any] = {"config": ACCOUNT, "upstream_name": UPSTREAM, "tracing": spans.tracing()}
    async with over_tcp(mock_clock, peer="192.0.2.7:5100", **settings) as run:
        await run.hello()
        await send(run, b"250 2.0.0 Ok: queued as 4F1B2")
        await send(run, b"451 4.3.0 later")
        await leave(run)
    session = spans.one("SMTP session")
    assert (session.parent, session.kind) == (None, SpanKind.SERVER)
    assert values(session) == {
        "network.protocol.name": "smtp",
        "client.address": "192.0.2.7",
        "client.port": 5100,
        "smtp.session.id": "c1",
    }
    first, second = spans.named("SMTP message")
    assert values(first) == {
        "smtp.message.fate": "relayed",
        "smtp.by": "server",
        "smtp.reply.code": 250,
        "smtp.message.id": "<1@me.example>",
        "smtp.message.size": len(TEXT),
        "smtp.message.sent_size": len(TEXT),
        "smtp.message.queue_id": "4F1B2",
        "smtp.message.recipients": 1,
        "smtp.message.from": "a@me.example",
        "smtp.message.to": ("b@mx.example",),
        "smtp.upstream": UPSTREAM,
    }
    assert (first.status.status_code, second.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert (values(second)["smtp.message.fate"], values(second)["smtp.reply.code"]) == ("refused", 451)
    for message, reply in zip((first, second), spans.named("final reply"), strict=True):
        assert (parent(message), parent(reply)) == (number(session), number(message))
        assert interval(message)[0] <= interval(reply)[0] <= interval(reply)[1] <= interval(message)[1]
    assert before <= interval(session)[0] <= interval(first)[0]
    assert interval(first)[1] <= interval(second)[0]
    assert interval(second)[1] <= interval(session)[1] <= time.time_ns()


async def rcpt(tx: Transaction, to: Recipient) -> None:
    await trio.lowlevel.checkpoint()
    trace.get_current_span().add_event("inside")


def mail(tx: Transaction, sender: object) -> None:
    """Takes no time."""


async def test_rules_are_children_of_the_message(
    mock_clock: MockClock, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except those that are not awaited and take less than a millisecond."""
    now = time.monotonic()
    for module in (spans_of_session, traced):
        monkeypatch.setattr(module, "monotonic", lambda: now)

    def data(tx: Transaction) -> Reject | None:
        nonlocal now
        now += 0.002
        return Reject(550, "5.7.1 no") if tx.mail_from.address == "a@me.example" else None

    rules = rules_of(mail, rcpt, data)
    settings: dict[str, Any] = {"config": ACCOUNT, "tracing": spans.tracing()}
    async with over_tcp(mock_clock, rules=lambda: nullcontext(rules), **settings) as run:
        await run.hello()
        for command in (b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>"):
            await run.client.send(command)
            await run.server.expect(command)
            await run.server.send(b"250 ok")
            await run.client.expect(b"250 ok")
        await run.client.send(b"DATA")
        await run.client.expect(b"550 5.7.1 no")
        await leave(run)
    message = spans.one("SMTP message")
    assert values(message)["smtp.by"] == "rule:test_spans.data"
    assert values(message)["smtp.command"] == "DATA"
    assert [event.name for event in message.events] == ["rule decided"]
    awaited, slow = spans.one("rule test_spans.rcpt"), spans.one("rule test_spans.data")
    for span, phase in ((awaited, "rcpt"), (slow, "data")):
        assert parent(span) == number(message)
        assert values(span)["smtp.rule.phase"] == phase
    assert [event.name for event in awaited.events] == ["inside"]
    assert interval(slow)[1] - interval(slow)[0] == pytest.approx(2_000_000, rel=0.01)
    assert spans.named("rule test_spans.mail") == spans.named("final reply") == []


async def helo(conn: object, name: object) -> None:
    await trio.lowlevel.checkpoint()
    raise ValueError("ann@me.example is odd")


async def test_a_rule_that_fails(mock_clock: MockClock, spans: Spans) -> None:
    """It has no message, and what it says stays out of the trace."""
    rules = rules_of(helo)
    settings: dict[str, Any] = {"config": ACCOUNT, "tracing": spans.tracing()}
    async with over_tcp(mock_clock, rules=lambda: nullcontext(rules), **settings) as run:
        await run.server.send(b"220 mx")
        await run.client.expect(b"220 mx")
        await run.client.send(b"EHLO me.example")
        assert (await run.client.line())[:3] == b"451"
        await leave(run)
    failed, session = spans.one("rule test_spans.helo"), spans.one("SMTP session")
    assert parent(failed) == number(session)
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "ValueError")
    assert "ann@" not in "".join(span.to_json() for span in spans.get_finished_spans())
    assert [dict(event.attributes or {})["smtp.rule.verdict"] for event in session.events] == ["failed"]


@pytest.mark.parametrize("shows", [True, False])
async def test_addresses_and_what_is_not_completed(mock_clock: MockClock, spans: Spans, shows: bool) -> None:
    settings: dict[str, Any] = {"config": ACCOUNT, "tracing": spans.tracing(shows_addresses=shows)}
    async with over_tcp(mock_clock, upstream_name=UPSTREAM, **settings) as run:
        await run.hello()
        await send(run, b"250 ok")
        for command, reply in (
            (b"MAIL FROM:<>", b"250 ok"),
            (b"RCPT TO:<c@mx.example>", b"550 5.1.1 <c@mx.example>?"),
            (b"RCPT TO:<b@mx.example>", b"250 ok"),
        ):
            await run.client.send(command)
            await run.server.expect(command)
            await run.server.send(reply)
            await run.client.expect(reply)
        await leave(run)
    session, (_, last) = spans.one("SMTP session"), spans.named("SMTP message")
    assert values(last)["smtp.message.fate"] == "not completed"
    assert values(session)["smtp.helo"] == "me.example"
    (refused,) = session.events
    assert refused.name == "RCPT refused"
    assert dict(refused.attributes or {})["smtp.reply.code"] == 550
    everything = "".join(span.to_json() for span in spans.get_finished_spans())
    for address in ("a@me.example", "b@mx.example", "c@mx.example"):
        assert (address in everything) == shows


async def test_a_session_that_is_not_sampled_costs_nothing(mock_clock: MockClock) -> None:
    spans = Spans(sampler=ALWAYS_OFF)
    assert spans.tracing().session(1, ClientInfo(address="192.0.2.7:5100"), Dialect.SMTP) is None
    async with over_tcp(mock_clock, config=ACCOUNT, tracing=spans.tracing()) as run:
        await run.hello()
        await send(run, b"250 ok")
        await leave(run)
    assert spans.get_finished_spans() == ()


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Options(otel=True)
    assert tracing_problems(asked) == tracing_problems(Options()) == []
    assert tracing_of(Options()) is None

    def no_namespace(name: str) -> None:
        raise ModuleNotFoundError

    for missing in (lambda _: None, no_namespace):
        monkeypatch.setattr(tracing, "find_spec", missing)
        (problem,) = tracing_problems(asked)
        assert "pip install 'sansio-smtp[otel]'" in str(problem)
        assert tracing_problems(Options()) == []
