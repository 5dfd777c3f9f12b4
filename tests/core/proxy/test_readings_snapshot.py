"""The joint state as one value, along whole dialogues."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.scene import Scene
from core.spools import MemorySpool
from sansio_smtp.config import Config
from sansio_smtp.events import CLIENT, SERVER
from sansio_smtp.joint_states import contradiction
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import Answer, Continue, Disconnect, Route, Swallow
from sansio_smtp.states import Gate, Message, Phase, TransactionState, UpstreamState
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")


def test_at_the_start_and_at_the_end() -> None:
    scene = Scene()
    first = scene.proxy.snapshot()
    assert (first.client, first.server, first.gate) == (Phase.GREETING, Phase.GREETING, Gate.OPEN)
    assert (first.upstream, first.message) == (UpstreamState.CONNECTING, Message.NONE)
    scene.took(scene.proxy.eof_from(CLIENT))
    last = scene.proxy.snapshot()
    assert (last.client, last.server, last.gate) == (Phase.CLOSED, Phase.CLOSED, Gate.SHUT)
    assert last.upstream is UpstreamState.CLOSED


def test_a_transaction_on_both_sides() -> None:
    scene = Scene("RCPT").greeted()
    scene.client("MAIL FROM:<a>")
    scene.server("250 a")
    seen = scene.proxy.snapshot()
    assert {seen.client_transaction, seen.server_transaction} == {TransactionState.OPEN}
    scene.client("RCPT TO:<b>")
    scene.answer(Route("other"))
    seen = scene.proxy.snapshot()
    assert (seen.client_transaction, seen.server_transaction) == (
        TransactionState.OPEN,
        TransactionState.NONE,
    )
    assert seen.upstream is UpstreamState.CONNECTING
    scene.server("220 other")
    assert scene.proxy.snapshot().upstream is UpstreamState.SETUP
    scene.server("250 other")
    scene.server("250 a")
    seen = scene.proxy.snapshot()
    assert (seen.upstream, seen.server_transaction) == (UpstreamState.READY, TransactionState.OPEN)


def test_a_server_that_has_said_half_a_greeting_is_connected() -> None:
    scene = Scene()
    scene.proxy.receive_from(SERVER, b"22")
    assert scene.proxy.snapshot().upstream is UpstreamState.GREETING


def test_a_server_that_goes_without_a_word_was_connected() -> None:
    scene = Scene()
    shown = scene.took(scene.proxy.eof_from(SERVER))
    assert shown == ["C: 421 4.4.2 upstream server closed the connection", "close S", "close C"]


def gate(*ask: str) -> Callable[..., Gate]:
    scene = Scene(*ask).greeted()

    def at(*lines: str, server: tuple[str, ...] = ()) -> Gate:
        scene.client(*lines)
        scene.server(*server)
        return scene.proxy.snapshot().gate

    return at


def test_the_gate() -> None:
    assert gate()("NOOP") is Gate.OPEN
    assert gate("NOOP")("NOOP") is Gate.ASKED
    assert gate("DATA", "IN_TURN")("MAIL FROM:<a>", "DATA") is Gate.QUEUED
    assert gate("DATA", "IN_TURN")("MAIL FROM:<a>", "DATA", server=("250 a",)) is Gate.ASKED
    assert gate("REPLY")("NOOP", server=("250 ok",)) is Gate.ASKED
    assert gate()("NOOP", "GET / HTTP/1.1") is Gate.OPEN, "the phase stops the parser"


def test_a_reply_is_asked_about_while_a_command_waits_for_its_turn() -> None:
    """The command waits for the verdict too."""
    scene = Scene("REPLY", "DATA", "IN_TURN")
    scene.server("220 mx")
    scene.answer(Continue())
    scene.client("MAIL FROM:<a>", "DATA")
    assert scene.proxy.snapshot().gate is Gate.QUEUED
    assert scene.server("250 a") == ["? ReplyQuestion"]
    assert scene.proxy.snapshot().gate is Gate.QUEUED
    assert scene.answer(Continue()) == ["C: 250 a", "? CommandQuestion"]
    assert scene.proxy.snapshot().gate is Gate.ASKED


def test_a_reply_is_asked_about_while_the_session_waits_for_its_end() -> None:
    scene = Scene("REPLY", "RCPT")
    scene.server("220 mx")
    scene.answer(Continue())
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>")
    assert scene.answer(Disconnect(NO)) == []
    assert scene.proxy.snapshot().gate is Gate.ENDING
    assert scene.server("250 a") == ["? ReplyQuestion"]
    assert scene.proxy.snapshot().gate is Gate.ENDING
    assert scene.answer(Continue()) == ["C: 250 a", "C: 550 no", "close S", "close C"]


def test_a_session_that_is_to_end_twice_ends_once() -> None:
    """A verdict ends it with a later line, and the server leaves before."""
    scene = Scene("RCPT").greeted()
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>")
    scene.answer(Disconnect(NO))
    assert scene.server("421 bye") == ["C: 421 bye", "close S", "close C"]


def test_the_message() -> None:
    spool = MemorySpool()
    scene = Scene("MESSAGE", config=Config(max_held=10), make_spool=lambda: spool).in_content()
    seen = []
    for do in (
        lambda: scene.client("x" * 100),
        lambda: scene.client("."),
        lambda: scene.answer(Continue()),
        lambda: scene.server("354 go"),
        lambda: scene.took(scene.proxy.more()),
    ):
        do()
        seen.append(scene.proxy.snapshot().message)
    assert seen == [
        Message.STREAMING,
        Message.JUDGING,
        Message.AWAITING_DATA,
        Message.SENDING,
        Message.NONE,
    ]


@pytest.mark.parametrize("end", ["timeout", "421"])
def test_a_message_that_waits_or_leaves_when_the_dialogue_ends(end: str) -> None:
    for steps in (1, 2):
        spool = MemorySpool()
        scene = Scene(
            "MESSAGE", config=Config(max_held=10), make_spool=lambda spool=spool: spool
        ).in_content()
        scene.client("x" * 100, ".")
        scene.answer(Continue())
        if steps == 2:
            scene.server("354 go")
        assert scene.took(scene.proxy.timed_out()) if end == "timeout" else scene.server("421 bye")
        assert scene.proxy.snapshot().message is Message.NONE
        assert spool.closed


def test_a_message_is_dropped() -> None:
    scene = Scene("HEADERS").in_content()
    scene.client("")
    scene.answer(Answer(NO))
    assert scene.proxy.snapshot().message is Message.DROPPING
    assert scene.proxy.snapshot().upstream is UpstreamState.DETACHED
    scene = Scene("DATA").with_recipient()
    scene.client("DATA")
    scene.answer(Swallow(Reply.of(250, "ok")))
    assert scene.proxy.snapshot().message is Message.NONE
    scene.client("x")
    assert scene.proxy.snapshot().message is Message.DROPPING


def test_no_state_of_a_dialogue_is_a_contradiction() -> None:
    """The tables say so themselves; this proxy has just begun."""
    assert contradiction(Proxy().snapshot()) is None
