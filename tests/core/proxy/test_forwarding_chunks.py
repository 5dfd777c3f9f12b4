"""Chunks on their way to a server (RFC 3030): in their order, and only when it can take them."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.config import Config
from sansio_smtp.events import CLIENT, AwaitReply, SendToServer
from sansio_smtp.questions import Continue
from sansio_smtp.wire.commands import END_OF_DATA, Command

CHUNKING = ("250-mx", "250-PIPELINING", "250 CHUNKING")
LOCK_STEP = ("250-mx", "250 CHUNKING")
BINARY = ("250-mx", "250-PIPELINING", "250-BINARYMIME", "250 CHUNKING")
COPY = Command.of("RCPT TO:<x@archive.example>")


def test_the_line_is_shown_and_the_octets_are_not() -> None:
    scene = Scene().with_recipient(*CHUNKING)
    scene.client("BDAT 3", "x")
    line, octets = [event for event in scene.last if isinstance(event, SendToServer)]
    assert (line.shown, octets.shown) == (b"BDAT 3\r\n", None)
    assert scene.event(AwaitReply).command.raw == b"BDAT 3"
    scene.client("BDAT 0 LAST")
    assert scene.event(SendToServer).data == b"BDAT 0 LAST\r\n"  # one event: there are no octets
    assert scene.event(AwaitReply).command is END_OF_DATA


def test_one_chunk_at_a_time_where_the_server_takes_no_groups() -> None:
    """The client is not parsed meanwhile, so that no more than one chunk is kept."""
    scene = Scene(config=Config(max_chunk=3)).with_recipient(*LOCK_STEP)
    sent = scene.took(scene.proxy.receive_from(CLIENT, b"BDAT 8\r\nabcdefghNOOP\r\n"))
    assert sent == ["S: BDAT 3", "S: abc"]
    assert scene.proxy.buffered >= len(b"defgh")
    assert scene.client("RSET") == []
    assert scene.server("250 part") == ["S: BDAT 3", "S: def"]
    assert scene.server("250 part") == ["S: BDAT 2", "S: gh"]
    assert scene.server("250 whole") == ["C: 250 whole", "S: NOOP"]


def test_a_chunk_that_is_expected_comes_before_the_next_command() -> None:
    """Those of a message that is held leave one by one."""
    config = Config(max_chunk=3)
    scene = Scene("MESSAGE", config=config).with_recipient(*BINARY, mail="MAIL FROM:<a> BODY=BINARYMIME")
    scene.client("BDAT 8 LAST", "abcdef", "NOOP")
    assert scene.answer(Continue())[-2:] == ["S: BDAT 3", "S: def"]
    assert scene.server("250 part", "250 part") == ["S: BDAT 2 LAST", "S: ", "S: NOOP"]


def test_chunks_wait_for_a_recipient_that_a_rule_adds() -> None:
    """If the server refuses it, the message must not go without it."""
    scene = Scene("DATA").with_recipient(*CHUNKING)
    scene.client("BDAT 3", "x")
    assert scene.answer(Continue((COPY,))) == ["S: RCPT TO:<x@archive.example>"]
    assert scene.client("BDAT 0 LAST") == []
    assert scene.server("250 copy") == ["S: BDAT 3", "S: x", "complete 3", "S: BDAT 0 LAST"]


@pytest.mark.parametrize("line", ["RSET", "EHLO me", "QUIT"])
def test_chunks_leave_before_what_gives_the_message_up(line: str) -> None:
    scene = Scene().with_recipient(*LOCK_STEP)
    scene.client("BDAT 3", "x", line)
    assert scene.server("250 three")[:2] == ["C: 250 three", "S: RSET"]


def test_chunks_that_were_not_sent_are_dropped_with_their_message() -> None:
    scene = Scene(config=Config(max_chunk=3)).with_recipient(*LOCK_STEP)
    scene.took(scene.proxy.receive_from(CLIENT, b"BDAT 8\r\nabcdefgh"))
    assert scene.server("452 full")[0] == "S: RSET"
    assert scene.server("250 reset") == []
    assert scene.client("NOOP") == ["S: NOOP"]


def test_the_end_of_the_session_drops_them_too() -> None:
    scene = Scene(config=Config(max_chunk=3)).with_recipient(*LOCK_STEP)
    scene.took(scene.proxy.receive_from(CLIENT, b"BDAT 8\r\nabcdefgh"))
    assert scene.took(scene.proxy.shutdown(now=True))[-1] == "close C"
    assert scene.proxy.buffered == 0
