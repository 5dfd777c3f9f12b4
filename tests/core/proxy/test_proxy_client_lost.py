"""The client's connection is reset: both sides are closed at once, in every phase but one.

While the server owes the reply to a message, that is awaited for the account (RFC 1047).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.scene import PLAIN, Scene
from core.spools import MemorySpool
from sansio_smtp.config import Config
from sansio_smtp.events import CLIENT, SERVER, MessageAnswered, WaitingFor
from sansio_smtp.questions import Answer, Continue, Disconnect, ReplaceReply, Route, Swallow
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
OK = Reply.of(250, "ok")
CLOSED = ["close S", "close C"]
ABORTED = ["abort S", "close C"]


def said(*lines: str, ask: tuple[str, ...] = ()) -> Callable[[], Scene]:
    """After EHLO and these lines, to which no server has replied."""

    def make() -> Scene:
        scene = Scene(*ask).greeted()
        scene.client(*lines)
        return scene

    return make


def content(*lines: str, ask: tuple[str, ...] = ()) -> Callable[[], Scene]:
    """After 354 and these lines of a message."""

    def make() -> Scene:
        scene = Scene(*ask).in_content()
        scene.client(*lines)
        return scene

    return make


def challenged() -> Scene:
    scene = said("AUTH LOGIN")()
    scene.server("334 VXNlcm5hbWU6")
    return scene


def detached() -> Scene:
    scene = content("", ask=("HEADERS",))()
    scene.answer(Answer(NO))
    return scene


def routed() -> Scene:
    scene = said("MAIL FROM:<a>", ask=("MAIL",))()
    assert scene.answer(Route("other"))[-1] == "connect other"
    return scene


def in_setup() -> Scene:
    scene = routed()
    scene.server("220 other")
    return scene


def swallowed() -> Scene:
    scene = Scene("DATA").with_recipient()
    scene.client("DATA")
    scene.answer(Swallow(OK))
    scene.client("x")
    return scene


def awaiting_data() -> Scene:
    scene = content("x", ".", ask=("MESSAGE",))()
    assert scene.answer(Continue())[-1] == "S: DATA"
    return scene


def refused_early() -> Scene:
    """The server has refused the message while it was held; RSET is unanswered."""
    scene = awaiting_data()
    scene.server("451 later")
    return scene


def with_half_a_line() -> Scene:
    scene = said()()
    scene.proxy.receive_from(CLIENT, b"NOO")
    return scene


PHASES: dict[str, tuple[Callable[[], Scene], list[str]]] = {
    "before the greeting": (Scene, CLOSED),
    "idle": (said(), CLOSED),
    "a reply is owed": (said("NOOP"), CLOSED),
    "several replies are owed": (said("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>", "DATA"), CLOSED),
    "half a line": (with_half_a_line, CLOSED),
    "a command is asked about": (said("NOOP", ask=("NOOP",)), CLOSED),
    "a command waits to be asked about": (said("MAIL FROM:<a>", "DATA", ask=("DATA", "IN_TURN")), CLOSED),
    "in an AUTH exchange": (challenged, CLOSED),
    "in mail data": (content("half"), ABORTED),
    "its header section is asked about": (content("A: b", "", ask=("HEADERS",)), ABORTED),
    "its last piece is asked about": (content(".", ask=("BODY_LINE",)), ABORTED),
    "in a held message": (content("half", ask=("MESSAGE",)), CLOSED),
    "a held message is asked about": (content("x", ".", ask=("MESSAGE",)), CLOSED),
    "a held message awaits the reply to DATA": (awaiting_data, ["close S", "close C"]),
    "a held message was refused": (refused_early, CLOSED),
    "a message is swallowed": (swallowed, CLOSED),
    "the server was reset": (detached, ["close C"]),
    "another server is being connected": (routed, CLOSED),
    "another server is being told": (in_setup, CLOSED),
}


@pytest.mark.parametrize("phase", PHASES)
def test_both_sides_are_closed_at_once(phase: str) -> None:
    make, expected = PHASES[phase]
    scene = make()
    assert scene.took(scene.proxy.client_lost()) == expected
    assert scene.proxy.closed
    assert (scene.proxy.may_read, scene.proxy.buffered) == (set(), 0)
    assert scene.proxy.waiting_for is WaitingFor.NOTHING


@pytest.mark.parametrize("phase", PHASES)
def test_it_happens_once(phase: str) -> None:
    scene = PHASES[phase][0]()
    scene.took(scene.proxy.client_lost())
    assert scene.took(scene.proxy.client_lost()) == []
    assert scene.took(scene.proxy.eof_from(CLIENT)) == []
    assert scene.server("250 ok") == []


@pytest.mark.parametrize("phase", [name for name, (make, _) in PHASES.items() if make().question is not None])
def test_a_verdict_that_comes_too_late_is_ignored(phase: str) -> None:
    scene = PHASES[phase][0]()
    scene.took(scene.proxy.client_lost())
    assert scene.answer(Continue()) == []


# A message that the server has all of


@pytest.mark.parametrize(("reply", "told"), [("250 taken", 250), ("554 no", 554), ("421 bye", 421)])
def test_the_reply_to_a_message_is_awaited(reply: str, told: int) -> None:
    scene = content("x", ".")()
    assert scene.took(scene.proxy.client_lost()) == []
    assert scene.proxy.may_read == {SERVER}
    assert scene.proxy.waiting_for is WaitingFor.FINAL_REPLY
    assert scene.server(reply) == [f"answered {told}", f"C: {reply}", *CLOSED]


def test_a_server_that_goes_meanwhile() -> None:
    scene = content("x", ".")()
    scene.took(scene.proxy.client_lost())
    shown = scene.took(scene.proxy.eof_from(SERVER))
    assert (shown[0], shown[2:]) == ("answered 451", CLOSED)


def test_a_server_that_takes_too_long() -> None:
    scene = content("x", ".")()
    scene.took(scene.proxy.client_lost())
    shown = scene.took(scene.proxy.timed_out())
    assert (shown[0], shown[2:]) == ("answered 451", CLOSED)


def test_what_the_server_had_not_seen_is_not_said_any_more() -> None:
    scene = Scene().in_content(*PLAIN)
    scene.client("x", ".", "MAIL FROM:<c>", "RCPT TO:<d>")
    assert scene.took(scene.proxy.client_lost()) == []
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken", *CLOSED]


def test_what_the_server_had_seen_is_not_awaited() -> None:
    scene = content("x", ".", "MAIL FROM:<c>")()
    scene.took(scene.proxy.client_lost())
    assert scene.server("250 taken", "250 c") == ["answered 250", "C: 250 taken", *CLOSED]


@pytest.mark.parametrize("in_turn", [(), ("IN_TURN",)])
def test_nobody_is_asked_about_what_came_after_the_message(in_turn: tuple[str, ...]) -> None:
    """A question that is open is closed; a command that waits for its turn never has it."""
    scene = Scene("MAIL", *in_turn).in_content()
    scene.client("x", ".", "MAIL FROM:<c>")
    question = scene.question
    assert scene.took(scene.proxy.client_lost()) == []
    assert scene.took(scene.proxy.answer(question, Continue())) == []
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken", *CLOSED]


def test_the_reply_to_a_message_is_being_asked_about() -> None:
    """The server has said what became of it: that is the account, and nobody waits for the verdict."""
    scene = Scene("REPLY").in_content()
    scene.client("x", ".")
    scene.server("250 taken")
    assert scene.took(scene.proxy.client_lost()) == ["answered 250", *CLOSED]
    assert [command.raw for command in scene.event(MessageAnswered).envelope.recipients] == [
        b"RCPT TO:<b@mx>"
    ]
    assert scene.answer(ReplaceReply(Reply.of(299, "fine"))) == []


def test_the_reply_to_a_message_is_asked_about_afterwards() -> None:
    """Rules see it, as they see each reply."""
    scene = Scene("REPLY").in_content()
    scene.client("x", ".")
    assert scene.took(scene.proxy.client_lost()) == []
    assert scene.server("250 taken") == ["? ReplyQuestion"]
    assert scene.answer(Continue()) == ["answered 250", "C: 250 taken", *CLOSED]
    scene = Scene("REPLY").in_content()
    scene.client("x", ".")
    scene.took(scene.proxy.client_lost())
    scene.server("250 taken")
    assert scene.answer(Disconnect(NO)) == ["answered 550", "C: 550 no", *CLOSED]


def test_a_reply_before_that_of_the_message_is_asked_about() -> None:
    """RSET was refused while it was unanswered: the order stays."""
    scene = Scene("REPLY", "MAIL").in_content()
    scene.client("x", ".", "NOOP")
    scene.took(scene.proxy.client_lost())
    assert scene.server("250 taken", "250 ok") == ["? ReplyQuestion"]
    assert scene.answer(Continue()) == ["answered 250", "C: 250 taken", *CLOSED]


def test_the_service_stops_meanwhile() -> None:
    scene = content("x", ".")()
    scene.took(scene.proxy.client_lost())
    assert scene.took(scene.proxy.shutdown()) == []
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken", *CLOSED]


# A message in a spool


def spooled() -> tuple[Scene, MemorySpool]:
    spool = MemorySpool()
    scene = Scene("MESSAGE", config=Config(max_held=10), make_spool=lambda: spool).in_content()
    scene.client("x" * 100, ".")
    return scene, spool


def test_a_spool_is_closed() -> None:
    scene, spool = spooled()
    assert scene.took(scene.proxy.client_lost()) == CLOSED
    assert spool.closed


def test_a_message_that_is_leaving_a_spool() -> None:
    """Its end has not left: the server must not take it."""
    scene, spool = spooled()
    scene.answer(Continue())
    scene.server("354 go")
    assert scene.proxy.has_more
    assert scene.took(scene.proxy.client_lost()) == ABORTED
    assert spool.closed
    assert not scene.proxy.has_more
