"""Messages that come in chunks (RFC 3030): passed on, kept whole, refused, and given up."""

from __future__ import annotations

from typing import Any

import pytest

from core.scene import PIPELINING, Scene
from core.spools import MemorySpool
from sansio_smtp.config import BareNewline, Chunking, Config, Dialect, Tap
from sansio_smtp.events import CLIENT, MessageAnswered
from sansio_smtp.questions import Answer, Continue, Disconnect, Inspect, Replace, ReplaceCommand, Swallow
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

NO, OK = Reply.of(550, "no"), Reply.of(250, "ok")
COPY = Command.of("RCPT TO:<x@archive.example>")
CHUNKING = ("250-mx", "250-PIPELINING", "250 CHUNKING")
BINARY = ("250-mx", "250-PIPELINING", "250-BINARYMIME", "250 CHUNKING")
BINARY_MAIL = "MAIL FROM:<a@me> BODY=BINARYMIME"
NO_COPY = "C: 451 4.3.0 a recipient that this proxy adds was refused"
OVER = "C: 503 5.5.1 the message of this chunk was refused"


def with_recipient(
    *ask: str, ehlo: tuple[str, ...] = CHUNKING, mail: str = "MAIL FROM:<a@me>", **settings: Any
) -> Scene:
    return Scene(*ask, config=Config(**settings)).with_recipient(*ehlo, mail=mail)


def took(size: int) -> str:
    return f"C: 250 2.0.0 {size} octets received"


def goes_on(scene: Scene) -> None:
    """The client is served as before: a next message passes, and nothing of this one is left."""
    assert scene.proxy.buffered == 0
    for line in ("MAIL FROM:<c>", "RCPT TO:<d>"):
        assert scene.client(line) == [f"S: {line}"]
        assert scene.server("250 next") == ["C: 250 next"]
    assert scene.client("BDAT 6 LAST", "next") == ["complete 6", "S: BDAT 6 LAST", "S: next"]
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken"]


# Passed on


def test_chunks_pass_as_they_come() -> None:
    scene = with_recipient()
    assert scene.client("BDAT 7", "Hello") == ["S: BDAT 7", "S: Hello"]
    assert scene.server("250 seven") == ["C: 250 seven"]
    assert scene.client("BDAT 3 LAST", ".") == ["complete 10", "S: BDAT 3 LAST", "S: ."]
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken"]
    goes_on(scene)


def test_a_chunk_that_is_too_large_leaves_in_several() -> None:
    """The replies to the first parts are not the client's, which has sent one command."""
    scene = with_recipient(max_chunk=3)
    sent = ["S: BDAT 3", "S: Hel", "S: BDAT 2", "S: lo", "S: NOOP"]
    assert scene.took(scene.proxy.receive_from(CLIENT, b"BDAT 5\r\nHelloNOOP\r\n")) == sent
    assert scene.server("250 part", "250 whole", "250 noop") == ["C: 250 whole", "C: 250 noop"]
    assert scene.client("BDAT 3 LAST", "!") == ["complete 8", "S: BDAT 3 LAST", "S: !"]
    scene = with_recipient(max_chunk=2)
    scene.client("BDAT 3 LAST", "!")
    assert scene.server("250 part", "250 taken") == ["answered 250", "C: 250 taken"]


def test_content_is_shown() -> None:
    scene = with_recipient(tap=Tap.LINES)
    assert scene.client("BDAT 3 LAST", ".")[:2] == ["chunk b'.\\r\\n'", "complete 3"]


# Kept whole


@pytest.mark.parametrize("settings", [{"chunking": Chunking.ALWAYS}, {}])
def test_a_message_that_is_converted(settings: dict[str, Any]) -> None:
    """Because the server takes no chunks, or since a rule wants it whole: it leaves after DATA, dotted."""
    held = not settings
    ehlo = CHUNKING if held else PIPELINING
    scene = with_recipient(*(["MESSAGE"] if held else []), ehlo=ehlo, **settings)
    assert scene.client("BDAT 3", ".") == [took(3)]
    ended = scene.client("BDAT 4 LAST", "..")
    if held:
        assert ended == ["? MessageQuestion"]
        assert scene.question.data == b".\r\n..\r\n"
        ended = scene.answer(Continue())
    assert ended == ["complete 7", "S: DATA"]
    assert scene.server("354 go") == ["S: ..|...", "S: ."]
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken"]


def test_a_message_for_recipients_that_only_rules_accepted() -> None:
    """DATA without a recipient could only be refused by the server, or worse."""
    scene = Scene("RCPT", config=Config(chunking=Chunking.ALWAYS)).greeted()
    scene.client("MAIL FROM:<a>")
    scene.server("250 ok")
    scene.client("RCPT TO:<b>")
    scene.answer(Answer(OK))
    assert scene.client("BDAT 3 LAST", "x") == [
        "complete 3",
        "S: RSET",
        "answered 554",
        "C: 554 5.5.1 the server has accepted no recipient of this message",
    ]


@pytest.mark.parametrize(("ask", "ehlo"), [((), PIPELINING), (("HEADERS",), PIPELINING)])
def test_a_binary_message_never_leaves_after_data(ask: tuple[str, ...], ehlo: tuple[str, ...]) -> None:
    scene = with_recipient(*ask, ehlo=ehlo, mail=BINARY_MAIL, chunking=Chunking.ALWAYS)
    assert scene.client("BDAT 3", "x") == [
        "S: RSET",
        "answered 554",
        "C: 554 5.6.1 a binary message cannot be sent to the server from here",
    ]
    scene.server("250 reset")
    assert scene.client("BDAT 3 LAST", "x")[0].startswith("C: 503")


def test_a_binary_message_passes_as_it_is() -> None:
    scene = with_recipient("BODY_CHUNK", ehlo=BINARY, mail=BINARY_MAIL, bare_newline=BareNewline.REJECT)
    assert scene.took(scene.proxy.receive_from(CLIENT, b"BDAT 4\r\n\r\0\n\r")) == ["? BodyQuestion"]
    assert scene.answer(Replace(b"\n\r\0")) == ["S: BDAT 3", "S: \n\r\0"]


# A binary message that is held

OCTETS = b"\r\0\n.\0\r\n.\n\r"


def held(ask: str = "MESSAGE", spool: MemorySpool | None = None, **settings: Any) -> Scene:
    """A question is open about it."""
    config = Config(**settings, **({"max_held": 4} if spool is not None else {}))
    make_spool = (lambda: spool) if spool is not None else None
    scene = Scene(ask, config=config, make_spool=make_spool).with_recipient(*BINARY, mail=BINARY_MAIL)
    assert scene.took(scene.proxy.receive_from(CLIENT, b"BDAT 4\r\n" + OCTETS[:4])) == [took(4)]
    last = b"BDAT 6 LAST\r\n" + OCTETS[4:] + b"NOOP\r\n"
    assert scene.took(scene.proxy.receive_from(CLIENT, last)) == ["? MessageQuestion"]
    assert bytes(scene.question.data) == OCTETS
    return scene


def sent(octets: bytes) -> str:
    return "S: " + octets.decode("latin-1").removesuffix("\r\n").replace("\r\n", "|")


@pytest.mark.parametrize("spooled", [False, True])
def test_it_leaves_in_chunks_when_its_verdict_is_known(spooled: bool) -> None:
    spool = MemorySpool() if spooled else None
    scene = held(spool=spool)
    last = ["complete 10", "S: BDAT 10 LAST", sent(OCTETS), "S: NOOP"]
    assert scene.answer(Continue()) == last
    assert scene.server("250 taken", "250 noop") == ["answered 250", "C: 250 taken", "C: 250 noop"]
    assert spool is None or spool.closed


@pytest.mark.parametrize("spooled", [False, True])
def test_a_large_one_leaves_part_by_part(spooled: bool) -> None:
    """Each waits for the reply to the one before; the client's next command comes after the last one."""
    scene = held(spool=MemorySpool() if spooled else None, max_chunk=4)
    assert scene.answer(Continue()) == [
        "complete 10",
        "S: BDAT 4",
        sent(OCTETS[:4]),
        "S: BDAT 4",
        sent(OCTETS[4:8]),
    ]
    assert scene.server("250 part") == []
    assert scene.server("250 part") == ["S: BDAT 2 LAST", sent(OCTETS[8:]), "S: NOOP"]
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken"]


@pytest.mark.parametrize("accepted", [0, 1])
def test_a_part_of_it_that_is_refused(accepted: int) -> None:
    """Nothing more leaves, the server is reset, and the client gets one reply to the message."""
    scene = held(max_chunk=4)
    scene.answer(Continue())
    scene.server(*["250 part"] * accepted)
    refused = scene.server("452 full")
    assert refused[:3] == ["S: RSET", "answered 452", "C: 452 full"]
    scene.server(*["503 none"] * (1 - accepted), "250 reset", "250 noop")
    goes_on_binary(scene)


def goes_on_binary(scene: Scene) -> None:
    for line in ("MAIL FROM:<c>", "RCPT TO:<d>"):
        assert scene.client(line) == [f"S: {line}"]
        assert scene.server("250 next") == ["C: 250 next"]


def test_a_rule_refuses_it() -> None:
    assert held().answer(Answer(NO)) == ["S: RSET", "answered 550", "C: 550 no", "S: NOOP"]


@pytest.mark.parametrize(("rest", "left"), [(None, b"\n\r"), (2, b"\n\r" + OCTETS[2:])])
def test_what_a_rule_puts_in_its_place_is_not_put_right(rest: int | None, left: bytes) -> None:
    """A binary message has no lines."""
    scene = held()
    assert scene.answer(Replace(b"\n\r", rest=rest))[1:3] == [f"S: BDAT {len(left)} LAST", sent(left)]


def test_a_spool_that_cannot_be_read() -> None:
    spool = MemorySpool()
    scene = held(spool=spool)
    spool.readable = False
    assert scene.answer(Continue()) == [
        "complete 10",
        "S: RSET",
        "answered 451",
        "C: 451 4.3.0 the message cannot be kept here, try again later",
        "S: NOOP",
    ]


@pytest.mark.parametrize("code", [250, 550])
def test_a_recipient_for_it(code: int) -> None:
    scene = held()
    assert scene.answer(Continue((COPY,))) == ["complete 10", "S: RCPT TO:<x@archive.example>"]
    if code == 250:
        assert scene.server("250 copy") == ["S: BDAT 10 LAST", sent(OCTETS), "S: NOOP"]
    else:
        assert scene.server("550 no copy")[:3] == ["S: RSET", "answered 451", NO_COPY]


def test_a_server_that_was_told_of_no_binary_message() -> None:
    """A rule has taken the declaration out of MAIL."""
    scene = Scene("MAIL", "MESSAGE").greeted(*BINARY)
    scene.client(BINARY_MAIL)
    scene.answer(ReplaceCommand(Command.of("MAIL FROM:<a@me>")))
    scene.server("250 ok")
    scene.client("RCPT TO:<b>")
    scene.server("250 ok")
    assert scene.client("BDAT 3 LAST", "x")[-1].startswith("C: 554 5.6.1")


# Refused


def test_no_transaction_no_recipient() -> None:
    scene = Scene().greeted(*CHUNKING)
    no_mail = "C: 503 5.5.1 there is no mail transaction, send MAIL first"
    assert scene.client("BDAT 6 LAST", "RSET") == [no_mail]
    scene.client("MAIL FROM:<a>")
    scene.server("250 ok")
    assert scene.client("BDAT 6 LAST", "RSET") == ["C: 554 5.5.1 no valid recipients"]
    assert scene.client("RCPT TO:<b>") == ["S: RCPT TO:<b>"]  # the transaction goes on
    scene.server("250 ok")
    assert scene.client("BDAT 6", "RSET") == ["S: BDAT 6", "S: RSET"]


@pytest.mark.parametrize("last", [False, True])
def test_a_stray_chunk_does_not_use_up_what_a_rule_has_said_of_the_next_message(last: bool) -> None:
    """A message that is swallowed is that of the BDAT which was asked about."""
    scene = with_recipient("DATA")
    assert scene.client("BDAT 3 LAST" if last else "BDAT 3", "x") == ["? CommandQuestion"]
    expected = ["S: RSET", "answered 250", "C: 250 ok"] if last else ["S: RSET", took(3)]
    assert scene.answer(Swallow(OK)) == expected
    scene.server("250 reset")
    if not last:
        assert scene.client("BDAT 0 LAST") == ["answered 250", "C: 250 ok"]
    assert scene.client("BDAT 3 LAST", "x")[-1].startswith("C: 503 5.5.1 there is no mail transaction")


@pytest.mark.parametrize("place", ["HEADERS", "BODY_CHUNK"])
def test_a_message_refused_by_a_rule(place: str) -> None:
    """The server is reset, and both connections live; what comes of the chunk is dropped."""
    scene = with_recipient(place)
    scene.client("BDAT 14", "A: b", "")
    assert scene.answer(Answer(NO)) == ["S: RSET"]
    assert scene.client("QUIT") == ["answered 550", "C: 550 no"]
    scene.server("250 reset")
    assert scene.client("QUIT") == ["S: QUIT"]


def test_a_message_accepted_by_a_rule_at_its_end() -> None:
    """The server has been sent a chunk of it, and must not take it."""
    scene = with_recipient("BODY_CHUNK")
    scene.client("BDAT 3", "x")
    assert scene.answer(Continue()) == ["S: BDAT 3", "S: x"]
    assert scene.client("BDAT 0 LAST") == ["? BodyQuestion"]
    assert scene.answer(Answer(OK)) == ["S: RSET", took(3), "answered 250", "C: 250 ok"]
    assert scene.server("250 three", "250 reset") == []
    goes_on_asked(scene)


def test_a_message_accepted_by_a_rule_before_its_end() -> None:
    """The rest is dropped, its last chunk gets the reply of the rule; a refusal by the server is no news."""
    scene = with_recipient("BODY_CHUNK")
    scene.client("BDAT 3", "x")
    scene.answer(Continue())
    assert scene.client("BDAT 3", "y") == ["? BodyQuestion"]
    assert scene.answer(Answer(OK)) == ["S: RSET", took(3), took(3)]
    assert scene.server("452 full", "250 reset") == []
    assert scene.client("BDAT 3", "z") == [took(3)]
    assert scene.client("BDAT 0 LAST") == ["answered 250", "C: 250 ok"]
    goes_on_asked(scene)


def goes_on_asked(scene: Scene) -> None:
    for line in ("MAIL FROM:<c>", "RCPT TO:<d>"):
        assert scene.client(line) == [f"S: {line}"]
        scene.server("250 next")
    assert scene.client("BDAT 3 LAST", "n") == ["? BodyQuestion"]


def test_content_that_is_refused_after_a_rule_has_accepted_the_message() -> None:
    scene = with_recipient("BODY_CHUNK", max_message_size=3)
    scene.client("BDAT 3", "x")
    scene.answer(Answer(OK))
    scene.server("250 reset")
    assert scene.client("BDAT 3", "y") == [
        "violation CLIENT",
        "answered 552",
        "C: 552 5.3.4 message is larger than 3 octets",
    ]
    assert scene.client("BDAT 0 LAST")[0].startswith("C: 503")


def test_the_server_refuses_while_a_verdict_is_awaited() -> None:
    """The verdict comes too late: the message is over."""
    scene = with_recipient("BODY_CHUNK")
    scene.client("BDAT 3", "x")
    scene.answer(Continue())
    assert scene.client("BDAT 3", "y") == ["? BodyQuestion"]
    assert scene.server("452 full") == ["S: RSET", "answered 452", "C: 452 full"]
    assert scene.answer(Continue()) == [OVER]
    scene.server("250 reset")
    assert scene.client("NOOP") == ["S: NOOP"]


def test_the_server_refuses_a_chunk_when_the_last_waits_to_be_sent() -> None:
    scene = with_recipient(ehlo=("250-mx", "250 CHUNKING"))
    scene.client("BDAT 3", "x")
    assert scene.client("BDAT 0 LAST") == ["complete 3"]
    assert scene.server("452 full") == ["S: RSET", "answered 452", "C: 452 full", OVER]
    assert scene.event(MessageAnswered).reply.code == 452
    scene.server("250 reset")
    assert scene.client("NOOP") == ["S: NOOP"]


def test_the_server_refuses_a_part_of_the_last_chunk() -> None:
    """It gets one reply."""
    scene = with_recipient(ehlo=("250-mx", "250 CHUNKING"), max_chunk=2)
    assert scene.client("BDAT 3 LAST", "x") == ["S: BDAT 2", "S: x\r", "complete 3"]
    assert scene.server("452 full") == ["S: RSET", "answered 452", "C: 452 full"]
    scene.server("250 reset")
    assert scene.client("NOOP") == ["S: NOOP"]


def test_the_server_refuses_a_chunk_while_the_next_arrives() -> None:
    scene = with_recipient()
    scene.client("BDAT 3", "x")
    assert scene.client("BDAT 100", "y") == []
    assert scene.server("452 full") == ["S: RSET", "answered 452", "C: 452 full"]
    assert scene.client("x" * 95) == [OVER]
    scene.server("250 reset")
    goes_on(scene)


def test_the_server_refuses_a_part_of_the_chunk_that_arrives() -> None:
    scene = with_recipient(max_chunk=3)
    assert scene.client("BDAT 12 LAST", "x" * 4) == ["S: BDAT 3", "S: xxx"]
    assert scene.server("552 big") == ["S: RSET"]  # the octets are still to come
    assert scene.client("RSET") == ["answered 552", "C: 552 big"]


def test_the_server_refuses_chunks_one_after_the_other() -> None:
    """The message is answered once, and the server reset once."""
    scene = with_recipient()
    scene.client("BDAT 3", "x", "BDAT 3", "y", "BDAT 3", "z")
    assert scene.server("452 full") == ["S: RSET", "answered 452", "C: 452 full"]
    assert scene.server("503 none", "503 none", "250 reset") == ["C: 503 none", OVER]
    assert scene.client("NOOP") == ["S: NOOP"]


def test_421_to_a_chunk_ends_both_sides() -> None:
    scene = with_recipient("BODY_CHUNK")
    scene.client("BDAT 3", "x")
    assert scene.answer(Answer(Reply.of(421, "bye"))) == ["answered 421", "C: 421 bye", "close S", "close C"]


@pytest.mark.parametrize("last", ["", " LAST"])
def test_a_verdict_that_ends_the_session(last: str) -> None:
    scene = with_recipient("BODY_CHUNK")
    scene.client(f"BDAT 3{last}", "x")
    assert scene.answer(Disconnect(NO)) == ["answered 550", "C: 550 no", "close S", "close C"]


# Recipients that a rule adds


def test_a_recipient_that_a_rule_adds_comes_before_the_first_chunk() -> None:
    scene = with_recipient("DATA")
    assert scene.client("BDAT 3 LAST", "x") == ["? CommandQuestion"]
    assert scene.answer(Continue((COPY,))) == ["complete 3", "S: RCPT TO:<x@archive.example>"]
    assert scene.server("250 copy") == ["S: BDAT 3 LAST", "S: x"]


@pytest.mark.parametrize("last", ["", " LAST"])
def test_a_recipient_that_is_refused_takes_the_message_with_it(last: str) -> None:
    """It must not go without it."""
    scene = with_recipient("DATA")
    scene.client(f"BDAT 3{last}", "x")
    scene.answer(Continue((COPY,)))
    assert scene.server("550 no copy") == ["S: RSET", "answered 451", NO_COPY]
    scene.server("250 reset")
    assert scene.client("NOOP") == ["S: NOOP"]


def test_a_recipient_for_a_held_message() -> None:
    scene = with_recipient("MESSAGE")
    scene.client("BDAT 3 LAST", "x")
    assert scene.answer(Continue((COPY,)))[-1] == "S: RCPT TO:<x@archive.example>"
    assert scene.server("550 no copy") == ["S: RSET", "answered 451", NO_COPY]


# Given up


@pytest.mark.parametrize("line", ["RSET", "EHLO me", "HELO me", "QUIT"])
def test_the_client_gives_the_message_up(line: str) -> None:
    scene = with_recipient()
    scene.client("BDAT 3", "x")
    assert scene.client(line)[0] == "S: RSET"
    assert not scene.proxy.buffered - len("BDAT 3") - len(line)


def test_a_message_that_is_dropped_is_given_up_without_another_reset() -> None:
    scene = with_recipient("DATA")
    scene.client("BDAT 3", "x")
    scene.answer(Swallow(OK))
    scene.server("250 reset")
    assert scene.client("RSET") == ["S: RSET"]
    assert scene.server("250 reset") == ["C: 250 reset"]


def test_content_of_a_message_that_is_given_up_is_not_in_the_next() -> None:
    scene = with_recipient("BODY_LINE")
    assert scene.took(scene.proxy.receive_from(CLIENT, b"BDAT 3\r\none")) == [took(3)]
    scene.client("RSET")
    scene.server("250 r", "250 r")
    for line in ("MAIL FROM:<c>", "RCPT TO:<d>"):
        scene.client(line)
        scene.server("250 next")
    assert scene.client("BDAT 5 LAST", "two") == ["? BodyQuestion"]
    assert scene.question.data == b"two\r\n"


# What rules say of one message


def test_a_rule_chooses_at_bdat_what_it_wants_to_see() -> None:
    scene = with_recipient("DATA")
    scene.client("BDAT 3 LAST", "x")
    assert scene.answer(Inspect(frozenset({"MESSAGE"}))) == ["? MessageQuestion"]
    assert scene.question.data == b"x\r\n"


def test_replies_for_each_recipient_become_one() -> None:
    """An SMTP client in front of an LMTP server."""
    scene = Scene(config=Config(upstream_dialect=Dialect.LMTP)).with_recipient(*CHUNKING)
    scene.client("RCPT TO:<c>")
    scene.server("250 ok")
    assert scene.client("BDAT 3 LAST", "x") == ["complete 3", "S: BDAT 3 LAST", "S: x"]
    assert scene.server("250 b", "452 c")[-1].startswith("C: 452")
