"""The server's end, which faces a client: chunks (RFC 3030)."""

from __future__ import annotations

from typing import Any

import pytest

from core.scene import few_cuts
from core.server_ends import REJECT, answered, drain, given, greeted, told
from sansio_smtp.config import Config
from sansio_smtp.ends.received import (
    END_OF_INPUT,
    NEED_DATA,
    ChunkEnded,
    ContentReceived,
    ContentRefused,
    EndOfData,
    Unfinished,
)
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.states import Phase
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import END_OF_CHUNKS, Command
from sansio_smtp.wire.content import Form
from sansio_smtp.wire.replies import Reply

OK, NO = Reply.of(250, "ok"), Reply.of(550, "no")


def in_transaction(mail: bytes = b"MAIL FROM:<a>\r\n", config: Config | None = None) -> ServerConnection:
    end = greeted(config) if config else greeted()
    answered(end, mail, 250)
    return end


def content(events: list[Any]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, ContentReceived))


def ends(events: list[Any]) -> list[Any]:
    return [event for event in events if not isinstance(event, ContentReceived)]


def test_a_message_in_chunks_in_any_cut() -> None:
    """RFC 3030 §2: the octets are counted, whatever they are; CRLF may be cut by the border of two chunks."""
    for pieces in few_cuts(b"BDAT 7\r\n.\r\nDATABDAT 3 LAST\r\n\nx.NOOP\r\n"):
        end = in_transaction()
        events = given(end, *pieces)
        assert content(events) == b".\r\nDATA\r\nx."[:7] + b"\r\nx."
        first, chunk, last, message, command, pause = ends(events)
        assert (first.kind, last.kind, command.raw, pause) == (
            Kind.CHUNK,
            Kind.LAST_CHUNK,
            b"NOOP",
            NEED_DATA,
        )
        assert isinstance(chunk, ChunkEnded)
        assert chunk.exchange.command is first
        assert isinstance(message, EndOfData)
        assert (message.size, end.unanswered, end.in_chunks, end.buffered) == (11, 3, False, 0)
        assert end.exchanges[1].command is END_OF_CHUNKS
        for _ in range(2):
            assert end.in_transaction
            end.send_reply(OK)
        assert not end.in_transaction


def test_the_form_of_chunks() -> None:
    first, second, _ = given(in_transaction(), b"BDAT 5\r\na\r\n", b".")[1:]
    assert (first.form, first.at_line_start) == (Form.PLAIN, True)
    assert (second.data, second.at_line_start) == (b".", True)


def test_octets_are_needed_before_the_end_of_a_chunk() -> None:
    end = in_transaction()
    assert given(end, b"BDAT 5\r\n")[1:] == [NEED_DATA]
    assert (end.phase, end.pending, end.reads_commands) == (Phase.CHUNK, False, False)
    end.receive_eof()
    assert drain(end) == [END_OF_INPUT]


def test_a_chunk_of_nothing_ends_at_once() -> None:
    end = in_transaction()
    end.receive_data(b"BDAT 0 LAST\r\n")
    assert isinstance(end.next_event(), Command)
    assert end.pending
    message, pause = drain(end)
    assert (message.size, pause) == (0, NEED_DATA)


def test_between_chunks_no_line_may_be_taken_elsewhere() -> None:
    end = in_transaction()
    given(end, b"BDAT 1\r\na")
    assert (end.phase, end.reads_commands) == (Phase.COMMAND, False)
    end.drop_chunk()
    assert end.reads_commands


def test_what_is_held_at_the_end_of_a_chunk() -> None:
    end = in_transaction()
    events = given(end, b"BDAT 2\r\na\r")
    assert (content(events), end.buffered, end.in_chunks) == (b"a", 1, True)
    assert content(given(end, b"BDAT 0 LAST\r\n")) == b" "


def test_a_dropped_chunk_takes_its_octets_along() -> None:
    """RFC 3030 §2: they follow at once, whatever the reply."""
    for pieces in few_cuts(b"QUIT\r\n\r\nNOOP\r\n"):
        end = in_transaction()
        given(end, b"BDAT 8 LAST\r\n")
        end.drop_chunk(stray=True)
        ended, command, pause = given(end, *pieces)
        assert isinstance(ended, ChunkEnded)
        assert (ended.exchange.command.kind, command.raw, pause) == (Kind.DROPPED_CHUNK, b"NOOP", NEED_DATA)
        end.send_reply(NO)
        assert end.in_transaction


def test_a_refused_chunk_ends_the_transaction() -> None:
    end = in_transaction()
    given(end, b"BDAT 1\r\na")
    end.send_reply(NO)
    assert not end.in_transaction


def test_replies_to_earlier_lines_while_a_chunk_arrives() -> None:
    end = greeted()
    given(end, b"RSET\r\nBDAT 5\r\nab")
    assert end.arriving is end.exchanges[1]
    end.send_reply(OK)
    assert end.phase is Phase.CHUNK
    end.close()
    assert (end.arriving, end.in_chunks, end.buffered) == (None, False, 0)


def test_a_bdat_is_not_answered_before_its_octets() -> None:
    """Only what ends the dialogue may be said: else the message would end without a reply that is owed."""
    for line in (b"BDAT 5\r\nab", b"BDAT 5 LAST\r\nab"):
        end = in_transaction()
        given(end, line)
        for reply in (OK, NO):
            with pytest.raises(LocalProtocolError, match=r"the octets of BDAT 5.* have not all come"):
                end.send_reply(reply)
        assert (end.unanswered, end.phase) == (1, Phase.CHUNK)
        end.send_reply(Reply.of(421, "bye"))
        assert end.phase is Phase.MUST_CLOSE


@pytest.mark.parametrize(
    ("octets", "passed"), [(b"BDAT 9\r\na\nb\r\nRSET", b"a"), (b"BDAT 2 LAST\r\na\r", b"a")]
)
def test_a_message_that_is_refused(octets: bytes, passed: bytes) -> None:
    """Once; and its octets stay octets."""
    for pieces in few_cuts(octets):
        end = in_transaction(config=REJECT)
        events = given(end, *pieces)
        assert content(events) == passed
        refused = [event for event in events if isinstance(event, ContentRefused)]
        assert [event.error.reply_hint.code for event in refused] == [550]
        assert refused[0].error.phase is Phase.CHUNK
        assert isinstance(events[-2], ChunkEnded)
        assert not end.in_chunks


def test_the_largest_message() -> None:
    end = in_transaction()
    end.limit_message(3)
    _, got, refused, _, pause = given(end, b"BDAT 4\r\nabcd")
    assert (got.data, refused.error.reply_hint.code, pause) == (b"abc", 552, NEED_DATA)


def test_a_refused_message_is_not_accepted() -> None:
    end = in_transaction()
    end.limit_message(3)
    *_, ended, _ = given(end, b"BDAT 4 LAST\r\nabcd")
    assert isinstance(ended, ChunkEnded)
    with pytest.raises(LocalProtocolError, match="the message was refused"):
        end.send_reply(OK)
    end.send_reply(NO)
    assert not end.in_transaction


def test_a_binary_message_is_not_checked() -> None:
    """RFC 3030 §3."""
    end = in_transaction(b"MAIL FROM:<a> BODY=binarymime\r\n", config=REJECT)
    assert content(given(end, b"BDAT 6 LAST\r\n\n\0.\0\r\r")) == b"\n\0.\0\r\r"


def test_what_may_be_a_credential_is_no_chunk() -> None:
    end = greeted()
    answered(end, b"AUTH LOGIN\r\n", 535)
    refused, _ = given(end, b"BDAT c2VjcmV0\r\n")
    assert told(refused)[0] == 501
    assert b"c2VjcmV0" not in refused.error.evidence + refused.command.shown


def test_a_dropped_chunk_may_be_refused_at_once() -> None:
    """So a server that does not offer CHUNKING need not wait for octets that it does not want."""
    end = in_transaction()
    given(end, b"BDAT 5\r\nNO")
    end.drop_chunk(stray=True)
    assert end.send_reply(NO) == NO.raw
    command, _ = given(end, b"OP\nNOOP\r\n")
    assert (command.verb, end.unanswered) == (b"NOOP", 1)
    assert end.in_transaction
    end.send_reply(OK)


def test_only_a_chunk_is_a_stray_one() -> None:
    """Else the reply to another command would be taken for the reply to a chunk."""
    end = in_transaction()
    with pytest.raises(LocalProtocolError, match="but no command awaits a reply"):
        end.drop_chunk(stray=True)
    given(end, b"DATA\r\n")
    with pytest.raises(LocalProtocolError, match="but the newest command is DATA: call it before"):
        end.drop_chunk(stray=True)
    with pytest.raises(LocalProtocolError, match="250 ok is no reply to DATA"):
        end.send_reply(OK)
    end = in_transaction()
    given(end, b"BDAT 2 LAST\r\nhi")
    with pytest.raises(LocalProtocolError, match="but the message has ended"):
        end.drop_chunk(stray=True)


def test_a_stray_chunk_may_be_dropped_twice() -> None:
    end = in_transaction()
    given(end, b"BDAT 5\r\n")
    end.drop_chunk(stray=True)
    end.drop_chunk(stray=True)
    assert end.send_reply(NO) == NO.raw


def test_a_refused_chunk_may_be_answered_at_once() -> None:
    end = greeted(Config(tls="encrypt"))  # type: ignore[arg-type]
    refused, _ = given(end, b"BDAT 2 LAST\r\n")
    assert end.send_reply(refused.error.reply_hint)[:4] == b"530 "
    assert given(end, b"hi") == [NEED_DATA]
    assert (end.phase, end.unanswered) == (Phase.COMMAND, 0)


def test_what_has_come_of_a_chunk() -> None:
    end = in_transaction()
    assert end.unfinished is None
    given(end, b"BDAT 5 LAST\r\n")
    assert end.unfinished == Unfinished(0, in_chunks=True)
    given(end, b"a\nb\r")
    assert end.unfinished == Unfinished(5, in_chunks=True)
    (message, _) = given(end, b"\n")[-2:]
    assert isinstance(message, EndOfData)
    assert (message.bare_lf, end.unfinished) == (True, None)
    end = in_transaction()
    given(end, b"BDAT 5\r\n")
    end.drop_chunk()
    assert end.unfinished == Unfinished(0, in_chunks=True)
