"""Another server takes the place of the one that is connected."""

from __future__ import annotations

import pytest

from core.scene import PIPELINING, PLAIN, Scene
from core.spools import MemorySpool
from sansio_smtp.config import Config
from sansio_smtp.events import CLIENT, SERVER, SendToServer
from sansio_smtp.questions import Answer, Continue, Inspect, Route
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
LEFT = ["S: QUIT", "close S", "connect other"]
UNREACHABLE = [
    "C: 421 4.4.1 upstream server cannot be reached, try again later",
    "close S",
    "close C",
]


def leaving(*ask: str, ehlo: tuple[str, ...] = PIPELINING) -> Scene:
    """After a recipient that is to go elsewhere."""
    scene = Scene("RCPT", *ask).greeted(*ehlo)
    scene.client("MAIL FROM:<a> SIZE=3")
    scene.server("250 a")
    scene.client("RCPT TO:<b>")
    assert scene.answer(Route("other")) == LEFT
    return scene


def joined(*ask: str, ehlo: tuple[str, ...] = PLAIN) -> Scene:
    scene = leaving(*ask)
    scene.server("220 other")
    assert scene.server(*ehlo) == ["S: MAIL FROM:<a> SIZE=3"]
    assert scene.server("250 a") == ["S: RCPT TO:<b>"]
    assert scene.server("250 b") == ["C: 250 b"]
    return scene


def test_quit_is_shown_as_all_commands_are() -> None:
    scene = leaving()
    assert scene.event(SendToServer) == SendToServer(b"QUIT\r\n")
    assert scene.event(SendToServer).shown == b"QUIT\r\n"


def test_what_the_server_that_was_left_says_is_not_heard() -> None:
    """Half of a reply does not run into the greeting of the next."""
    scene = Scene("RCPT").greeted()
    scene.client("MAIL FROM:<a>")
    scene.server("250 a")
    scene.client("RCPT TO:<b>")
    scene.proxy.receive_from(SERVER, b"250-half ")
    assert scene.answer(Route("other")) == LEFT
    assert scene.server("220 other") == ["S: EHLO me"]


def test_the_limits_are_those_of_the_new_server() -> None:
    scene = joined(ehlo=("250-other", "250 SIZE 5"))
    scene.client("DATA")
    scene.server("354 go")
    assert "violation CLIENT" in scene.client("123456")


def test_it_takes_groups_or_not() -> None:
    scene = joined()
    scene.client("RSET", "NOOP")
    assert scene.server("250 reset") == ["C: 250 reset", "S: NOOP"]
    scene = joined(ehlo=PIPELINING)
    assert scene.client("RSET", "NOOP") == ["S: RSET", "S: NOOP"]


def test_nothing_is_sent_while_it_is_being_joined() -> None:
    scene = leaving()
    assert scene.client("RCPT TO:<c>") == ["? CommandQuestion"]
    assert scene.answer(Route("other")) == []
    scene.server("220 other")
    scene.server(*PIPELINING)
    assert scene.server("250 a") == ["S: RCPT TO:<b>", "S: RCPT TO:<c>"]


@pytest.mark.parametrize("helo", [False, True])
def test_the_greeting_command_is_said_as_the_client_said_it(helo: bool) -> None:
    scene = Scene("MAIL")
    scene.server("220 mx")
    if helo:
        scene.client("HELO me")
        scene.server("250 mx")
    scene.client("MAIL FROM:<a>")
    assert scene.answer(Route("other")) == LEFT
    assert scene.server("220 other") == ["S: HELO me" if helo else "S: MAIL FROM:<a>"]


def test_the_server_is_left_when_it_owes_nothing() -> None:
    scene = Scene("RCPT").greeted()
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>")
    assert scene.answer(Route("other")) == []
    assert scene.server("250 a") == ["C: 250 a", *LEFT]


def test_nor_while_it_is_being_reset() -> None:
    scene = Scene("DATA", "MAIL").greeted()
    scene.client("MAIL FROM:<a>")
    scene.answer(Continue())
    scene.server("250 a")
    scene.client("RCPT TO:<b>")
    scene.server("250 b")
    scene.client("DATA")
    assert scene.answer(Answer(NO)) == ["S: RSET", "C: 550 no"]
    scene.client("MAIL FROM:<c>")
    assert scene.answer(Route("other")) == []
    assert scene.server("250 reset") == LEFT


@pytest.mark.parametrize("step", range(3))
@pytest.mark.parametrize("how", ["lost", "421", "unreachable"])
def test_it_goes_while_it_is_being_joined(how: str, step: int) -> None:
    scene = leaving()
    for line in ("220 other", "250 other", "250 a")[:step]:
        scene.server(line)
    if how == "lost":
        shown = scene.took(scene.proxy.eof_from(SERVER))
        assert shown[0] == "C: 421 4.4.2 upstream server closed the connection"
        assert shown[1:] == UNREACHABLE[1:]
    elif how == "421":
        why, *told = scene.server("421 bye")
        assert why.startswith(
            "unusable: its greeting was 421" if step == 0 else "unusable: it said 421 bye to "
        )
        assert told == UNREACHABLE
    else:
        assert scene.took(scene.proxy.server_unreachable()) == UNREACHABLE


@pytest.mark.parametrize("reply", ["550 no", "451 later"])
def test_it_refuses_the_greeting_command(reply: str) -> None:
    scene = leaving()
    scene.server("220 other")
    assert scene.server(reply) == [f"unusable: it refused EHLO me: {reply}", *UNREACHABLE]


def mail_refused() -> Scene:
    scene = leaving()
    scene.server("220 other")
    scene.server("250 other")
    assert scene.server("451 later") == ["C: 451 later"]
    return scene


def test_it_refuses_mail() -> None:
    """The client hears it in reply to RCPT; MAIL is said again for the next one."""
    scene = mail_refused()
    for reply, shown in (("451 still", "C: 451 still"), ("250 a", "S: RCPT TO:<c>")):
        scene.client("RCPT TO:<c>")
        assert scene.answer(Route("other")) == ["S: MAIL FROM:<a> SIZE=3"]
        assert scene.server(reply) == [shown]
    assert scene.server("250 c") == ["C: 250 c"]
    scene.client("RCPT TO:<d>")
    assert scene.answer(Route("other")) == ["S: RCPT TO:<d>"]


def test_it_refuses_mail_and_the_next_recipient_goes_home() -> None:
    scene = mail_refused()
    scene.client("RCPT TO:<c>")
    assert scene.answer(Continue()) == ["S: QUIT", "close S", "connect home"]
    scene.server("220 mx")
    assert scene.server("250 mx") == ["S: MAIL FROM:<a> SIZE=3"]
    assert scene.server("250 a") == ["S: RCPT TO:<c>"]


def test_it_refuses_mail_and_the_client_begins_again() -> None:
    scene = mail_refused()
    scene.client("RSET")
    scene.server("250 reset")
    scene.client("RCPT TO:<c>")
    assert scene.answer(Continue()) == ["S: QUIT", "close S", "connect home"]
    scene = mail_refused()
    scene.client("RSET")
    scene.server("250 reset")
    scene.client("RCPT TO:<c>")
    assert scene.answer(Route("other")) == ["S: RCPT TO:<c>"], "there is no transaction, as it will say"


ELSEWHERE = "C: 452 4.5.3 send this recipient in a transaction of its own"


@pytest.mark.parametrize("upstream", [None, "third"])
def test_a_transaction_goes_to_one_server(upstream: str | None) -> None:
    """Where its first recipient was accepted."""
    scene = joined()
    for verdict in (Route(upstream), Continue()):
        scene.client("RCPT TO:<c>")
        assert scene.answer(verdict) == [ELSEWHERE]
    scene.client("RCPT TO:<d>")
    assert scene.answer(Route("other")) == ["S: RCPT TO:<d>"]
    assert scene.server("250 d") == ["C: 250 d"]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("reply", "shown"),
    [("250 b", ["C: 250 b", ELSEWHERE]), ("550 b", ["C: 550 b", *LEFT])],
)
def test_it_does_not_matter_when_the_server_answers(reply: str, shown: list[str], late: bool) -> None:
    """A recipient that goes elsewhere waits until those before it are answered."""
    scene = Scene("RCPT").greeted()
    scene.client("MAIL FROM:<a>")
    scene.server("250 a")
    scene.client("RCPT TO:<b>", "RCPT TO:<c>")
    scene.answer(Continue())
    if late:
        assert scene.server(reply) + scene.answer(Route("other")) == shown
    else:
        assert scene.answer(Route("other")) + scene.server(reply) == shown


def test_the_mail_that_is_said_again_is_the_one_that_was_taken() -> None:
    scene = Scene("RCPT").greeted()
    for line, reply in (("MAIL FROM:<a>", "250 a"), ("MAIL FROM:<b>", "503 nested")):
        scene.client(line)
        scene.server(reply)
    scene.client("RCPT TO:<c>")
    scene.answer(Route("other"))
    scene.server("220 other")
    assert scene.server("250 other") == ["S: MAIL FROM:<a>"]


def test_no_mail_is_said_where_there_is_none() -> None:
    scene = Scene("AUTH").greeted()
    scene.client("AUTH PLAIN AGFubgBz")
    assert scene.answer(Route("other")) == LEFT
    assert scene.server("220 other") == ["S: EHLO me"]
    assert scene.server("250 other") == ["S: AUTH PLAIN AGFubgBz"]


def test_a_greeting_command_is_not_said_twice() -> None:
    scene = Scene("EHLO")
    scene.server("220 mx")
    scene.client("EHLO me")
    scene.answer(Route("other"))
    assert scene.server("220 other") == ["S: EHLO me"]
    assert scene.server("250 other") == ["C: 250-other|250 PIPELINING"]


def detached(*ask: str) -> Scene:
    """After a message that was refused while it streamed."""
    scene = Scene("HEADERS", *ask, config=Config(reconnect=True)).greeted()
    for line, reply in (("MAIL FROM:<a>", "250 a"), ("RCPT TO:<b>", "250 b"), ("DATA", "354 go")):
        scene.client(line)
        scene.settle()
        scene.server(reply)
    scene.client("A: b", "", ".")
    assert scene.answer(Answer(NO)) == ["abort S", "answered 550", "C: 550 no"]
    return scene


@pytest.mark.parametrize("line", ["MAIL FROM:<c>", "RSET", "NOOP"])
def test_a_new_connection_to_the_same_server(line: str) -> None:
    scene = detached()
    assert scene.client(line) == ["connect home"]
    assert scene.server("220 mx") == ["S: EHLO me"]
    assert scene.server("250 mx") == [f"S: {line}"]
    assert scene.server("250 ok") == ["C: 250 ok"]


def test_a_new_connection_for_a_greeting_command() -> None:
    scene = detached()
    assert scene.client("EHLO you") == ["connect home"]
    assert scene.server("220 mx") == ["S: EHLO you"]


def test_a_new_connection_to_another_server() -> None:
    scene = detached("MAIL")
    scene.client("MAIL FROM:<c>")
    assert scene.answer(Route("other")) == ["connect other"]


def test_nothing_is_reset_where_no_server_is() -> None:
    """A rule refuses the next DATA as well, and there is no server that holds an envelope."""
    spool = MemorySpool()
    config = Config(max_held=10)
    scene = Scene("MESSAGE", "DATA", "IN_TURN", config=config, make_spool=lambda: spool).in_content()
    scene.client("x" * 50, ".", "DATA")
    scene.answer(Continue())
    spool.readable = False
    assert scene.server("354 go")[-1] == "? CommandQuestion"
    assert scene.answer(Answer(NO)) == ["C: 550 no"]
    assert scene.took(scene.proxy.eof_from(CLIENT)) == ["close C"]


def test_the_server_that_was_left_is_not_heard() -> None:
    scene = Scene("HEADERS").in_content()
    scene.client("")
    scene.answer(Answer(NO))
    assert scene.server("552 too late") == []
    assert scene.took(scene.proxy.eof_from(SERVER)) == []
    assert not scene.proxy.closed


COPY = Command.of("RCPT TO:<x>")


def test_recipients_are_added_in_front_of_data() -> None:
    scene = Scene("DATA", "MESSAGE").with_recipient()
    scene.client("DATA")
    assert scene.answer(Inspect(frozenset(("MESSAGE",)), (COPY,))) == ["S: RCPT TO:<x>"]
    assert scene.server("250 x") == ["C: 354 end data with <CR><LF>.<CR><LF>"]


def test_data_is_taken_back_with_the_recipients_in_front_of_it() -> None:
    """The first is refused: the second is not said any more, nor DATA, which can be sent again."""
    scene = Scene("DATA").with_recipient(*PLAIN)
    scene.client("DATA")
    assert scene.answer(Continue((COPY, COPY))) == ["S: RCPT TO:<x>"]
    no_copy = "C: 451 4.3.0 a recipient that this proxy adds was refused"
    assert scene.server("550 x") == ["S: RSET", no_copy]
    assert scene.server("250 reset") == []
    assert scene.client("NOOP") == ["S: NOOP"]


@pytest.mark.parametrize(
    ("reconnect", "lines", "shown"),
    [
        (False, ("QUIT",), ["C: 221 2.0.0 bye", "close C"]),
        (
            False,
            ("MAIL FROM:<c>", "RCPT TO:<d>"),
            ["C: 421 4.3.2 upstream connection ended with the refused message", "close C"],
        ),
        (True, ("MAIL FROM:<c>", "RCPT TO:<d>"), ["connect home"]),
    ],
)
def test_what_was_sent_behind_a_message_that_was_lost_on_its_way(
    reconnect: bool, lines: tuple[str, ...], shown: list[str]
) -> None:
    """A held message fails while it leaves, and commands wait for it: none is forgotten."""
    spool = MemorySpool()
    config = Config(max_held=10, reconnect=reconnect)
    scene = Scene("MESSAGE", config=config, make_spool=lambda: spool).in_content()
    scene.client("x" * 50, ".", *lines)
    scene.answer(Continue())
    spool.readable = False
    lost = "C: 451 4.3.0 the message cannot be kept here, try again later"
    assert scene.server("354 go") == ["abort S", "answered 451", lost, *shown]
    if reconnect and len(lines) > 1:
        assert scene.server("220 mx") == ["S: EHLO me"]
        assert scene.server(*PLAIN) == ["S: MAIL FROM:<c>"]
        assert scene.server("250 c") == ["C: 250 c", "S: RCPT TO:<d>"]


def test_a_reset_of_our_own_is_of_no_use_to_a_server_that_was_left() -> None:
    """A rule has answered RSET while the message before it leaves, which then fails."""
    spool = MemorySpool()
    config = Config(max_held=10, reconnect=True)
    scene = Scene("MESSAGE", "RSET", config=config, make_spool=lambda: spool).in_content()
    scene.client("x" * 50, ".", "RSET", "NOOP")
    scene.answer(Continue())
    scene.answer(Answer(Reply.of(250, "ok")))
    spool.readable = False
    shown = scene.server("354 go")
    assert shown[0] == "abort S"
    assert shown[-2:] == ["C: 250 ok", "connect home"]
    scene.server("220 mx")
    assert scene.server(*PLAIN) == ["S: NOOP"]


def test_a_reset_of_our_own_goes_with_the_commands_before_it() -> None:
    """A rule has answered RSET after a MAIL that waits for the message before it, which then fails."""
    spool = MemorySpool()
    config = Config(max_held=10, reconnect=True)
    scene = Scene("MESSAGE", "RSET", config=config, make_spool=lambda: spool).in_content()
    scene.client("x" * 50, ".", "MAIL FROM:<c>", "RSET")
    scene.answer(Continue())
    scene.answer(Answer(Reply.of(250, "ok")))
    spool.readable = False
    assert scene.server("354 go")[-1] == "connect home"
    scene.server("220 mx")
    assert scene.server(*PLAIN) == ["S: MAIL FROM:<c>"]
    assert scene.server("250 c") == ["C: 250 c", "C: 250 ok", "S: RSET"]
