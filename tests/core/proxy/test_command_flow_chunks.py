"""BDAT: when it is taken, when it is asked about, and what may be said between two chunks (RFC 3030)."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.config import Chunking, ClientTls, Config
from sansio_smtp.events import CLIENT
from sansio_smtp.questions import Answer, Continue, Inspect, Swallow
from sansio_smtp.wire.replies import Reply

NO, OK = Reply.of(550, "no"), Reply.of(250, "ok")
CHUNKING = ("250-mx", "250-PIPELINING", "250 CHUNKING")
NOT_HERE = ["violation CLIENT", "C: 502 5.5.1 BDAT is not supported here, use DATA"]
GROUP = ("MAIL FROM:<a>", "RCPT TO:<b>", "BDAT 6", "RSET", "BDAT 0 LAST")


def with_recipient(*ask: str) -> Scene:
    return Scene(*ask).with_recipient(*CHUNKING)


# When it is taken


@pytest.mark.parametrize("ask", [(), ("HEADERS",)])
def test_the_first_chunk_waits_for_the_replies_before_it(ask: tuple[str, ...]) -> None:
    """Until then it is not known if there is a recipient."""
    scene = Scene(*ask).greeted(*CHUNKING)
    assert scene.client(*GROUP) == ["S: MAIL FROM:<a>", "S: RCPT TO:<b>"]
    assert scene.server("250 a") == ["C: 250 a"]
    begun = scene.server("250 b")
    assert begun[0] == "C: 250 b"
    if not ask:
        assert begun[1:] == ["S: BDAT 6", "S: RSET", "complete 6", "S: BDAT 0 LAST"]


def test_its_octets_are_no_commands_when_mail_is_refused() -> None:
    scene = Scene().greeted(*CHUNKING)
    scene.client(*GROUP)
    no_mail = "C: 503 5.5.1 there is no mail transaction, send MAIL first"
    assert scene.server("550 a", "503 b") == ["C: 550 a", "C: 503 b", no_mail, no_mail]
    assert scene.client("NOOP") == ["S: NOOP"]


@pytest.mark.parametrize("hello", ["HELO me", "EHLO me"])
@pytest.mark.parametrize("chunking", ["server", "never"])
def test_a_client_that_was_not_offered_it(hello: str, chunking: str) -> None:
    """The octets are dropped, whatever they look like."""
    scene = Scene(config=Config(chunking=Chunking(chunking)))
    scene.server("220 mx")
    scene.client(hello)
    scene.server(*(CHUNKING if chunking == "never" else ["250 mx"]))
    assert scene.client("BDAT 6 LAST", "RSET", "NOOP") == [*NOT_HERE, "S: NOOP"]


def test_what_was_offered_before_tls_counts_no_more() -> None:
    """What was said in plain text is forgotten (RFC 3207 §4.2)."""
    scene = Scene(config=Config(tls=ClientTls.MAY)).greeted(*CHUNKING)
    scene.client("STARTTLS")
    scene.encrypted(CLIENT)
    assert scene.client("BDAT 6", "RSET") == NOT_HERE


@pytest.mark.parametrize("reconnect", [True, False])
def test_after_the_server_was_reset_in_mail_data(reconnect: bool) -> None:
    scene = Scene("BODY_CHUNK", config=Config(reconnect=reconnect)).in_content(*CHUNKING)
    scene.client("x")
    scene.answer(Answer(NO))
    scene.client(".")
    answered = scene.client("BDAT 6 LAST", "RSET")
    if reconnect:
        assert answered == ["C: 503 5.5.1 there is no mail transaction, send MAIL first"]
    else:
        assert answered[0] == "C: 421 4.3.2 upstream connection ended with the refused message"


# Questions


def test_the_first_chunk_is_asked_about_as_data_is() -> None:
    scene = with_recipient("DATA")
    assert scene.client("BDAT 3", "x") == ["? CommandQuestion"]
    assert scene.question.command.raw == b"BDAT 3"
    assert [command.raw for command in scene.question.envelope.recipients] == [b"RCPT TO:<b@mx>"]
    assert scene.answer(Continue()) == ["S: BDAT 3", "S: x"]
    assert scene.client("BDAT 0 LAST") == ["complete 3", "S: BDAT 0 LAST"]  # the others are not


@pytest.mark.parametrize("place", ["DATA", "BDAT", "COMMAND"])
def test_names_of_the_place(place: str) -> None:
    scene = with_recipient(place)
    assert scene.client("BDAT 3 LAST", "x") == ["? CommandQuestion"]


@pytest.mark.parametrize("ask", ["DATA", "IN_TURN"])
def test_a_chunk_that_has_waited_is_asked_about(ask: str) -> None:
    scene = Scene("DATA", *({ask} - {"DATA"})).greeted(*CHUNKING)
    scene.client(*GROUP)
    scene.server("250 a")
    assert scene.server("250 b") == ["C: 250 b", "? CommandQuestion"]
    no_mail = "C: 503 5.5.1 there is no mail transaction, send MAIL first"  # to the second
    assert scene.answer(Answer(NO)) == ["S: RSET", "answered 550", "C: 550 no", no_mail]
    assert scene.client("NOOP")[-1] == "S: NOOP"


@pytest.mark.parametrize("group", [True, False])
def test_nobody_is_asked_about_a_chunk_of_no_message(group: bool) -> None:
    scene = Scene("DATA").greeted(*CHUNKING)
    lines = ("BDAT 6 LAST", "RSET")
    no_mail = "C: 503 5.5.1 there is no mail transaction, send MAIL first"
    if group:
        scene.client("MAIL FROM:<a>", *lines)
        assert scene.server("550 a") == ["C: 550 a", no_mail]
    else:
        assert scene.client(*lines) == [no_mail]


@pytest.mark.parametrize("last", ["", " LAST"])
def test_a_chunk_answered_by_a_rule(last: str) -> None:
    """Its octets are dropped, and the next message is another."""
    scene = with_recipient("DATA")
    assert scene.client(f"BDAT 100{last}", "x" * 18) == ["? CommandQuestion"]
    assert scene.answer(Answer(NO)) == ["S: RSET"]
    assert scene.client("RSET\r\n" * 10, "x" * 16) == ["answered 550", "C: 550 no"]
    scene.server("250 reset")
    assert scene.client("BDAT 6", "RSET") == ["C: 503 5.5.1 there is no mail transaction, send MAIL first"]


@pytest.mark.parametrize("reply", [OK, NO])
def test_a_message_that_a_rule_drops(reply: Reply) -> None:
    scene = with_recipient("DATA")
    scene.client("BDAT 6", "RSET")
    assert scene.answer(Swallow(reply)) == ["S: RSET", "C: 250 2.0.0 6 octets received"]
    told = f"{reply.code} {reply.lines[0].decode()}"
    assert scene.client("BDAT 6 LAST", "RSET") == [f"answered {reply.code}", f"C: {told}"]


# Between two chunks


@pytest.mark.parametrize("place", ["HEADERS", "MESSAGE", "BODY_LINE"])
def test_data_between_two_chunks_does_not_change_what_a_rule_wants_to_see(place: str) -> None:
    """A client must not choose what rules see of its message."""
    scene = with_recipient("DATA")
    scene.client("BDAT 0")
    scene.answer(Inspect(frozenset({place})))
    in_message = ["C: 503 5.5.1 a message is being sent in chunks: BDAT or RSET"]
    assert scene.client("DATA") == in_message
    (asked,) = scene.client("BDAT 8 LAST", "A: b", "")
    assert asked in ("? HeadersQuestion", "? MessageQuestion", "? BodyQuestion")


@pytest.mark.parametrize("line", ["MAIL FROM:<x>", "RCPT TO:<x>", "DATA", "AUTH PLAIN x", "XANY", "TURN"])
def test_what_is_refused_between_two_chunks(line: str) -> None:
    scene = with_recipient()
    scene.client("BDAT 3", "x")
    scene.server("250 three")
    assert scene.client(line)[-1][:6] in ("C: 503", "C: 502")
    assert scene.client("BDAT 0 LAST") == ["complete 3", "S: BDAT 0 LAST"]


@pytest.mark.parametrize("line", ["NOOP", "VRFY x", "EXPN x", "HELP"])
def test_what_passes_between_two_chunks(line: str) -> None:
    scene = with_recipient()
    assert scene.client("BDAT 3", "x", line) == ["S: BDAT 3", "S: x", f"S: {line}"]


def test_rset_between_two_chunks_that_a_rule_answers() -> None:
    """The message is given up all the same: its rest must not become a message of its own."""
    scene = with_recipient("RSET")
    scene.client("BDAT 3", "x")
    assert scene.client("RSET") == ["S: RSET", "? CommandQuestion"]
    scene.answer(Answer(NO))
    assert scene.server("250 three", "250 reset") == ["C: 250 three", "C: 550 no"]
    assert scene.client("BDAT 0 LAST")[-1].startswith("C: 554")
