"""Messages that the server does not see as they come: dropped, held and given recipients, or too large for
memory."""

from __future__ import annotations

import pytest

from core.scene import Scene, lines
from core.spools import MemoryRoom, MemorySpool
from sansio_smtp.config import BareNewline, Config, Tap
from sansio_smtp.events import AwaitReply, MessageAnswered, WaitingFor
from sansio_smtp.questions import Answer, Continue, Disconnect, Inspect, Replace, Swallow
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
OK = Reply.of(250, "ok")
COPY = Command.of("RCPT TO:<x>")
NO_COPY = "C: 451 4.3.0 a recipient that this proxy adds was refused"
NOT_KEPT = "C: 451 4.3.0 the message cannot be kept here, try again later"


def swallowed(reply: Reply, *, config: Config | None = None) -> Scene:
    scene = Scene("DATA", config=config).with_recipient()
    scene.client("DATA")
    assert scene.answer(Swallow(reply))[0] == "S: RSET"
    return scene


@pytest.mark.parametrize("reply", [OK, NO])
@pytest.mark.parametrize("tap", Tap)
def test_a_message_that_is_dropped(reply: Reply, tap: Tap) -> None:
    scene = swallowed(reply, config=Config(tap=tap))
    assert scene.client("Hi", "..") == []
    assert scene.proxy.buffered == 0
    assert scene.client(".") == [f"answered {reply.code}", f"C: {reply.code} {reply.lines[0].decode()}"]
    envelope = scene.event(MessageAnswered).envelope
    assert [command.raw for command in envelope.recipients] == [b"RCPT TO:<b@mx>"]
    assert scene.server("250 reset") == []


def test_the_message_behind_one_that_is_dropped_is_not() -> None:
    scene = swallowed(OK)
    scene.client("Hi", ".")
    scene.server("250 reset")
    for line in ("MAIL FROM:<a>", "RCPT TO:<b>"):
        scene.client(line)
        scene.server("250 ok")
    scene.client("DATA")
    assert scene.answer(Continue()) == ["S: DATA"]
    scene.server("354 go")
    assert scene.client("Hi", ".") == ["S: Hi", "complete 4", "S: ."]


def test_a_message_that_is_dropped_is_checked_and_the_server_reset_once() -> None:
    scene = swallowed(OK, config=Config(bare_newline=BareNewline.REJECT))
    assert scene.client("one\ntwo") == ["violation CLIENT"]
    assert scene.client(".")[0] == "answered 550"


def test_a_held_message_is_kept_until_the_server_has_taken_all_recipients() -> None:
    scene = Scene("MESSAGE").in_content()
    scene.client("Hi", ".")
    assert scene.answer(Replace(b"Ho", (COPY, COPY))) == [
        "complete 4 edited",
        "S: RCPT TO:<x>",
        "S: RCPT TO:<x>",
    ]
    assert scene.server("250 x") == []
    assert scene.server("250 x") == ["S: DATA"]
    assert scene.server("354 go") == ["S: Ho", "S: ."]


def test_a_recipient_that_comes_too_late() -> None:
    """No recipient was accepted, so DATA was the server's to judge, and it said 354."""
    scene = Scene("MESSAGE").greeted()
    scene.client("DATA")
    scene.server("354 go")
    scene.client("Hi", ".")
    assert scene.answer(Continue((COPY,))) == ["abort S", "answered 451", NO_COPY]


def test_a_held_message_whose_added_recipient_is_refused_is_forgotten() -> None:
    scene = Scene("MESSAGE").in_content()
    scene.client("Hi", ".")
    scene.answer(Continue((COPY,)))
    assert scene.server("550 x") == ["S: RSET", "answered 451", NO_COPY]
    assert scene.proxy.buffered == 0


# While the message before it is on its way


def pipelined(*, config: Config | None = None, spool: MemorySpool | None = None) -> Scene:
    """A held message may go, and the next transaction has come with it, up to its DATA."""
    make_spool = (lambda: spool) if spool is not None else None
    scene = Scene("MESSAGE", "DATA", config=config, make_spool=make_spool).with_recipient()
    scene.client("DATA")
    scene.answer(Continue())
    scene.client("x" * 20, ".", "MAIL FROM:<c>", "RCPT TO:<d>", "DATA")
    assert scene.answer(Continue()) == ["complete 22", "S: DATA", "? CommandQuestion"]
    return scene


@pytest.mark.parametrize("refused", [False, True])
def test_the_next_message_is_dropped_and_this_one_is_not(refused: bool) -> None:
    scene = pipelined()
    assert scene.answer(Swallow(OK)) == []
    if refused:
        assert scene.server("451 later")[0] == "S: RSET"
        scene.server("250 reset")
    else:
        assert scene.server("354 go") == ["S: " + "x" * 20, "S: ."]
        assert scene.server("250 taken")[:2] == ["answered 250", "C: 250 taken"]
    assert scene.server("250 c", "250 d")[-1] == "C: 354 end data with <CR><LF>.<CR><LF>"
    assert scene.client("y", ".") == ["answered 250", "C: 250 ok"]
    assert scene.server("250 reset") == []


def test_the_next_message_is_dropped_and_cannot_be_read_either() -> None:
    config = Config(bare_newline=BareNewline.REJECT)
    scene = Scene("DATA", config=config).with_recipient()
    scene.client("DATA")
    scene.answer(Swallow(OK))
    scene.server("250 reset")
    assert scene.client("\ny", ".")[:2] == ["violation CLIENT", "answered 550"]


FAILING = Config(max_held=10, reconnect=True)


def reconnected(scene: Scene, spool: MemorySpool) -> list[str]:
    """The message is lost on its way; the next transaction goes to a new connection. What that hears."""
    spool.readable = False
    assert scene.server("354 go")[-1] == "connect home"
    heard = scene.server("220 mx") + scene.server("250-mx", "250 PIPELINING")
    return [text for text in heard if text.startswith("S:")]


def test_the_recipients_of_the_next_message_go_with_it() -> None:
    """It never goes without one, whichever connection it goes to."""
    scene = pipelined(config=FAILING, spool=(spool := MemorySpool()))
    scene.answer(Inspect(frozenset(), (COPY,)))
    assert reconnected(scene, spool) == ["S: EHLO me", "S: MAIL FROM:<c>", "S: RCPT TO:<d>", "S: RCPT TO:<x>"]
    assert scene.server("250 c", "250 d", "250 x")[-1] == "S: DATA"


@pytest.mark.parametrize("verdict", [Swallow(OK), Answer(NO)])
def test_the_server_forgets_the_transaction_of_the_next_message(verdict: Swallow | Answer) -> None:
    scene = pipelined(config=FAILING, spool=(spool := MemorySpool()))
    scene.answer(verdict)
    assert reconnected(scene, spool) == ["S: EHLO me", "S: MAIL FROM:<c>", "S: RCPT TO:<d>", "S: RSET"]


# Too large for memory

BODY = b"0123456789" * 20_000
"""In one line; four pieces of 64 KiB."""


def spooled(spool: MemorySpool, *, ask: str = "MESSAGE") -> Scene:
    scene = Scene(ask, config=Config(max_held=1000), make_spool=lambda: spool).in_content()
    assert scene.client(BODY.decode()) == []
    assert scene.proxy.buffered < 1000
    assert scene.client(".") == ["? MessageQuestion"]
    assert bytes(scene.question.data) == BODY + b"\r\n"
    return scene


def test_a_spooled_message_leaves_piece_by_piece() -> None:
    spool = MemorySpool()
    scene = spooled(spool)
    scene.answer(Continue())
    sent = scene.server("354 go")
    while scene.proxy.has_more:
        assert scene.proxy.waiting_for is WaitingFor.CONTENT
        sent += scene.took(scene.proxy.more())
    assert scene.event(AwaitReply).command.kind.value == "end of data"
    assert len(sent) == 5
    assert "".join(text.removeprefix("S: ") for text in sent) == BODY.decode() + "."
    assert spool.closed
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken"]


def test_a_spooled_message_where_the_server_took_data_itself() -> None:
    scene = Scene("MESSAGE", config=Config(max_held=10), make_spool=MemorySpool).greeted()
    scene.client("DATA")
    scene.server("354 go")
    scene.client("x" * 20, ".")
    assert scene.answer(Continue()) == ["complete 22", "S: " + "x" * 20]
    assert scene.took(scene.proxy.more()) == ["S: ."]


@pytest.mark.parametrize("verdict", [Answer(NO), Disconnect(NO)])
def test_a_spooled_message_that_is_refused_is_forgotten(verdict: Answer | Disconnect) -> None:
    spool = MemorySpool()
    scene = spooled(spool)
    scene.answer(verdict)
    assert spool.closed


def test_a_spooled_message_that_is_lost_on_its_way() -> None:
    """In mid-message the server is left, for it must not take what has come so far."""
    spool = MemorySpool()
    scene = spooled(spool)
    scene.answer(Continue())
    scene.server("354 go")
    spool.readable = False
    assert scene.took(scene.proxy.more()) == ["abort S", "answered 451", NOT_KEPT]
    assert not scene.proxy.has_more
    assert spool.closed


def test_a_dialogue_that_ends_while_a_spooled_message_leaves() -> None:
    spool = MemorySpool()
    scene = spooled(spool)
    scene.answer(Continue())
    scene.server("354 go")
    assert scene.server("421 bye") == ["answered 421", "C: 421 bye", "abort S", "close C"]
    assert not scene.proxy.has_more
    assert spool.closed


def test_an_edited_section_in_front_of_a_spooled_message_that_is_stuffed() -> None:
    """Its pieces are stuffed as one message, wherever they are cut."""
    spool = MemorySpool()
    config = Config(max_held=10)
    scene = Scene("MESSAGE", config=config, make_spool=lambda: spool).in_content()
    text = ("A: b", "", *["..dots" + "x" * 58] * 2000)
    scene.client(*text, ".")
    scene.answer(Replace(b"N: o\r\n\r\n", rest=8))
    shown = scene.server("354 go")
    octets = b"".join(getattr(event, "data", b"") for event in scene.last)
    while scene.proxy.has_more:
        scene.took(scene.proxy.more())
        octets += b"".join(getattr(event, "data", b"") for event in scene.last)
    assert shown
    assert octets == lines("N: o", *text[1:], ".")


NO_ROOM = "452 4.3.1 no memory for this message now, try again later"
TOO_LARGE = "552 5.3.4 message is larger than 10 octets, which is all that is held"
LONG_HEADERS = "552 5.3.4 header section is larger than 10 octets"


@pytest.mark.parametrize(
    ("ask", "config", "room", "limit", "reply"),
    [
        ("MESSAGE", Config(), 10, "max_held_total", NO_ROOM),
        ("MESSAGE", Config(max_held=10), 99, "max_held", TOO_LARGE),
        ("HEADERS", Config(max_header_section=10), 99, "max_header_section", LONG_HEADERS),
    ],
)
def test_limits_of_what_is_kept(ask: str, config: Config, room: int, limit: str, reply: str) -> None:
    """All of the message is read before it is answered, and its memory is given back."""
    memory = MemoryRoom(room)
    scene = Scene(ask, config=config, room=memory).in_content()
    scene.client("Subject: long enough")
    assert memory.taken == 0
    assert scene.client(".")[-1] == f"C: {reply}"
    assert scene.proxy.tally.take_hits() == (limit,)
