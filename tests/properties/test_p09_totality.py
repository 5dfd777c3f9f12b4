"""P9 totality: any octets on any side at any time are events, never an exception."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twins import DRAWN

from sansio_smtp import CLIENT, SERVER, Close, Config, Connect, Disconnect, Event, Reply, WaitingFor
from sansio_smtp.events import Ask
from sansio_smtp.testing.strategies.octets import PIECES

from .dialogues import configs
from .harness import bound
from .verdicts import ASKS, legal_verdicts

_LINES = st.sampled_from(
    [
        b"EHLO x\r\n", b"MAIL FROM:<a@x>\r\n", b"RCPT TO:<b@x>\r\n", b"DATA\r\n", b".\r\n", b"QUIT\r\n",
        b"RSET\r\n", b"AUTH LOGIN\r\n", b"BDAT 3\r\n", b"NOOP x\rQUIT\r\n", b"NOOP \0\r\n", b"220 x\r\n",
        b"250 x\r\n", b"250-x\r\n250 PIPELINING\r\n", b"354 x\r\n", b"334 x\r\n", b"550 x\r\n", b"421 x\r\n",
        b"235 x\r\n", b"451\r\n", b"999 x\r\n", b"250-", b"\r\n",
    ]
)  # fmt: skip
_OCTETS = st.one_of(_LINES, _LINES, _LINES, st.sampled_from(PIECES), st.binary(max_size=40))
STEPS = st.one_of(
    st.tuples(st.just("client"), _OCTETS),
    st.tuples(st.just("client"), _OCTETS),
    st.tuples(st.just("server"), _OCTETS),
    st.tuples(st.just("server"), _OCTETS),
    st.tuples(st.just("answer"), st.integers(0, 9)),
    st.tuples(
        st.sampled_from(["client eof", "server eof", "timeout", "shutdown", "now", "unreachable"]), st.none()
    ),
)


@given(st.lists(STEPS, max_size=40), configs(), ASKS)
def test_p9_totality(steps: list[tuple[str, Any]], config: Config, ask: frozenset[str]) -> None:
    """Even a driver that does not look at `may_read` gets no exception."""
    proxy = DRAWN(config, ask)
    question = None
    seen: list[Event] = []
    for step, value in steps:
        was_closed = proxy.closed
        match step:
            case "client":
                events = proxy.receive_from(CLIENT, value)
            case "server":
                events = proxy.receive_from(SERVER, value)
            case "answer":
                events = []
                if question is not None:
                    verdicts = legal_verdicts(question, ask)
                    question, answered = None, question
                    events = proxy.answer(answered, verdicts[value % len(verdicts)])
            case "client eof":
                events = proxy.eof_from(CLIENT)
            case "server eof":
                events = proxy.eof_from(SERVER)
            case "timeout":
                events = proxy.timed_out()
            case "unreachable":
                events = proxy.server_unreachable()
            case _:
                events = proxy.shutdown(now=step == "now")
        assert not (was_closed and events)
        seen += events
        question = next((event.question for event in events if isinstance(event, Ask)), question)
        assert repr(events)
        assert proxy.buffered <= bound(
            config, sum(len(value) for _, value in steps if isinstance(value, bytes))
        )
        assert isinstance(proxy.waiting_for, WaitingFor)
        assert proxy.states
    # However it stands, it ends when both peers are gone.
    if question is not None and not proxy.closed:
        seen += proxy.answer(question, Disconnect(Reply.of(451, "enough")))
    seen += proxy.eof_from(SERVER) + proxy.eof_from(CLIENT)
    if not proxy.closed:
        seen += proxy.timed_out()
    assert proxy.closed
    closes = [event.side for event in seen if isinstance(event, Close)]
    assert closes.count(CLIENT) == 1
    assert closes.count(SERVER) == 1 + sum(isinstance(event, Connect) for event in seen)
