"""The leg to the client: replies to chunks (RFC 3030) leave when all octets of the chunk have come."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.config import Config, Dialect
from sansio_smtp.events import CLIENT, MessageAnswered
from sansio_smtp.questions import Answer, Disconnect
from sansio_smtp.wire.replies import Reply

CHUNKING = ("250-mx", "250-PIPELINING", "250 CHUNKING")
NO = Reply.of(550, "no")


def in_transaction(*ask: str, config: Config | None = None) -> Scene:
    return Scene(*ask, config=config).with_recipient(*CHUNKING)


def test_a_reply_that_is_known_waits_for_the_octets() -> None:
    scene = in_transaction("BODY_CHUNK")
    scene.client("BDAT 6", "ab")
    assert scene.answer(Answer(NO)) == ["S: RSET"]
    assert scene.took(scene.proxy.receive_from(CLIENT, b"c")) == []
    rest = scene.took(scene.proxy.receive_from(CLIENT, b"dNOOP\r\n"))
    assert rest == ["answered 550", "C: 550 no", "S: NOOP"]


def test_replies_after_it_wait_with_it() -> None:
    scene = in_transaction()
    scene.client("BDAT 3", "x", "BDAT 8", "y")
    assert scene.server("452 full") == ["S: RSET", "answered 452", "C: 452 full"]
    over = "C: 503 5.5.1 the message of this chunk was refused"
    assert scene.client("abc", "RSET") == [over, "S: RSET"]


def test_the_end_of_a_chunk_lets_the_queue_go_on() -> None:
    """RSET waits for the reply to NOOP; the chunk that is over before it comes changes nothing of that."""
    scene = in_transaction()
    scene.client("BDAT 3", "x", "NOOP", "BDAT 8", "y")
    assert scene.server("452 full") == ["answered 452", "C: 452 full"]
    assert scene.client("abc") == []
    over = "C: 503 5.5.1 the message of this chunk was refused"
    assert scene.server("250 noop") == ["C: 250 noop", over, "S: RSET"]


@pytest.mark.parametrize("last", ["", " LAST"])
def test_the_last_reply_of_all_does_not_wait(last: str) -> None:
    """The client is not read any more."""
    scene = in_transaction("BODY_CHUNK")
    scene.client(f"BDAT 100{last}", "x")
    assert scene.answer(Disconnect(NO)) == ["answered 550", "C: 550 no", "close S", "close C"]


def test_a_message_in_chunks_is_accounted_for_once() -> None:
    """At the first reply that refuses it, and not at later ones."""
    scene = in_transaction()
    scene.client("BDAT 3", "x", "BDAT 3 LAST", "y")
    assert scene.server("452 full") == ["answered 452", "C: 452 full"]
    assert len(scene.event(MessageAnswered).envelope.recipients) == 1
    assert scene.server("503 none") == ["C: 503 none"]


def test_a_server_that_takes_the_end_after_it_has_refused_a_chunk_has_taken_a_message() -> None:
    scene = in_transaction()
    scene.client("BDAT 3", "x", "BDAT 3 LAST", "y")
    scene.server("452 full")
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken"]


@pytest.mark.parametrize(("code", "accounts"), [(250, False), (452, True)])
def test_a_chunk_that_is_taken_says_nothing_of_the_message(code: int, accounts: bool) -> None:
    scene = in_transaction()
    scene.client("BDAT 3", "x")
    assert (f"answered {code}" in scene.server(f"{code} x")) is accounts


@pytest.mark.parametrize(
    ("client", "server", "hello", "ehlo", "offered"),
    [
        (Dialect.SMTP, Dialect.SMTP, "EHLO me", CHUNKING, True),
        (Dialect.SMTP, Dialect.LMTP, "EHLO me", CHUNKING, True),
        (Dialect.SMTP, Dialect.LMTP, "HELO me", CHUNKING, False),
        (Dialect.LMTP, Dialect.SMTP, "LHLO me", CHUNKING, False),
        (Dialect.LMTP, Dialect.LMTP, "LHLO me", CHUNKING, False),
        (Dialect.SMTP, Dialect.SMTP, "EHLO me", ("250 mx",), False),
    ],
)
def test_what_a_client_was_offered_is_what_it_may_send(
    client: Dialect, server: Dialect, hello: str, ehlo: tuple[str, ...], offered: bool
) -> None:
    """Whatever the server speaks."""
    scene = Scene(config=Config(client_dialect=client, upstream_dialect=server))
    scene.server("220 mx")
    scene.client(hello)
    assert any("CHUNKING" in told for told in scene.server(*ehlo)) is offered
    refused = scene.client("BDAT 0")[-1]
    assert refused.startswith("C: 503" if offered else "C: 502")
