"""The client's end, which faces a server: chunks (RFC 3030)."""

from __future__ import annotations

import pytest

from core.ends.test_client import given, greeted
from sansio_smtp.config import Config, Dialect
from sansio_smtp.ends.client import ClientConnection
from sansio_smtp.ends.received import PAUSED
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.states import Phase
from sansio_smtp.wire.commands import END_OF_DATA, Command

RECIPIENTS = ("RCPT TO:<b>", "RCPT TO:<c>")


def in_transaction(*ehlo: bytes, config: Config | None = None) -> ClientConnection:
    end = greeted(*(ehlo or (b"250-mx", b"250-PIPELINING", b"250 CHUNKING")), config=config)
    for line in ("MAIL FROM:<a>", *RECIPIENTS):
        end.send_command(Command.of(line))
        given(end, b"250 ok\r\n")
    return end


def test_a_message_in_chunks() -> None:
    end = in_transaction()
    first, last = object(), object()
    line, command = end.send_chunk(b"a\r\n", handle=first)
    assert (line, command.raw) == (b"BDAT 3\r\n", b"BDAT 3")
    assert end.may_send()  # commands and chunks may follow at once
    line, command = end.send_chunk(b"", handle=last, last=True)
    assert (line, command) == (b"BDAT 0 LAST\r\n", END_OF_DATA)
    events = given(end, b"250 3 octets\r\n250 queued\r\n")[:-1]
    assert [(event.command.raw, event.handle) for event in events] == [(b"BDAT 3", first), (b".", last)]
    assert not end.transaction.open
    assert end.phase is Phase.COMMAND


def test_a_refused_chunk_ends_the_transaction() -> None:
    end = in_transaction()
    end.send_chunk(b"a")
    given(end, b"452 full\r\n")
    assert not end.transaction.open
    assert end.refusals == 1


@pytest.mark.parametrize("hello", ["EHLO me", "HELO me"])
def test_a_server_that_has_not_offered_it_is_sent_none(hello: str) -> None:
    """It would read the octets as commands."""
    end = in_transaction(b"250-mx", b"250 PIPELINING") if hello[0] == "E" else in_transaction()
    if hello[0] == "H":
        end.send_command(Command.of(hello))
        given(end, b"250 mx\r\n")
    assert not end.takes_chunks
    with pytest.raises(LocalProtocolError, match="CHUNKING"):
        end.send_chunk(b"a")
    assert end.unanswered == 0


def test_no_chunk_within_mail_data() -> None:
    end = in_transaction()
    end.send_command(Command.of("DATA"))
    given(end, b"354 go\r\n")
    with pytest.raises(LocalProtocolError, match="CONTENT"):
        end.send_chunk(b"a")


def test_without_pipelining_one_chunk_at_a_time() -> None:
    end = in_transaction(b"250-mx", b"250 CHUNKING")
    end.send_chunk(b"a")
    assert not end.may_send()
    given(end, b"250 ok\r\n")
    assert end.may_send()


def test_the_last_chunk_of_lmtp_has_a_reply_for_each_recipient() -> None:
    end = in_transaction(config=Config(upstream_dialect=Dialect.LMTP))
    end.send_chunk(b"a", handle="chunk")
    end.send_chunk(b"b", handle="message", last=True)
    assert [handle for _, handle in end.owed] == ["chunk", "message", "message"]
    events = given(end, b"250 chunk\r\n250 b\r\n452 c\r\n")[:-1]
    assert [(event.reply.code, event.handle) for event in events] == [
        (250, "chunk"),
        (250, "message"),
        (452, "message"),
    ]


def test_354_is_no_reply_to_a_chunk() -> None:
    """A server that would read mail data now must not be sent a command."""
    end = in_transaction()
    end.send_chunk(b"a")
    violation, pause = given(end, b"354 go\r\n")
    assert "354 in reply to BDAT 1" in str(violation)
    assert pause is PAUSED
    assert end.phase is Phase.MUST_CLOSE
