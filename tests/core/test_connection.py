"""The server's end, which faces a client."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_smtp.commands import END_OF_DATA, HTTP_VERBS, REFUSED_VERBS, Command, Kind
from sansio_smtp.config import BareNewline, Config, Nul
from sansio_smtp.connection import (
    END_OF_INPUT,
    NEED_DATA,
    PAUSED,
    ContentReceived,
    ContentRefused,
    EndOfData,
    Pause,
    Refused,
    ServerConnection,
)
from sansio_smtp.content import unstuff
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.replies import Reply
from sansio_smtp.states import FRAMING, LINE_STEPS, Phase, Step, reply_step

from .scene import every_cut, few_cuts

REJECT = Config(bare_newline=BareNewline.REJECT)


def greeted(config: Config | None = None) -> ServerConnection:
    end = ServerConnection(config or Config())
    end.send_reply(Reply.of(220, "mx"))
    return end


def drain(end: ServerConnection) -> list[Any]:
    events = []
    while not isinstance(event := end.next_event(), Pause):
        events.append(event)
    return [*events, event]


def given(end: ServerConnection, *pieces: bytes) -> list[Any]:
    """The events of some segments, but for the pauses between."""
    events: list[Any] = [NEED_DATA]
    for piece in pieces:
        end.receive_data(piece)
        events[-1:] = drain(end)
    return events


def answered(end: ServerConnection, line: bytes, *codes: int) -> None:
    """Takes some lines in a command group, and answers each."""
    given(end, line)
    for code in codes:
        end.send_reply(Reply.of(code))


def in_content(config: Config | None = None, limit: int | None = None) -> ServerConnection:
    end = greeted(config)
    end.max_message_size = limit
    answered(end, b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\n", 250, 250, 354)
    return end


def in_auth(config: Config | None = None) -> ServerConnection:
    end = greeted(config)
    answered(end, b"AUTH LOGIN\r\n", 334)
    return end


def told(event: Any) -> tuple[int, str]:
    """Code and text of a refusal."""
    assert isinstance(event, Refused)
    return event.error.reply_hint.code, str(event.error)


def test_nothing_is_parsed_before_the_greeting() -> None:
    """RFC 5321 §3.1. What came early is kept."""
    end = ServerConnection()
    assert given(end, b"EHLO me\r\n") == [PAUSED]
    assert end.buffered == 9
    assert end.send_reply(Reply.of(220, "mx")) == b"220 mx\r\n"
    command, pause = drain(end)
    assert (command.raw, pause) == (b"EHLO me", PAUSED)


@pytest.mark.parametrize("code", [421, 450, 554])
def test_a_refusing_greeting_is_the_last_reply(code: int) -> None:
    end = ServerConnection()
    end.send_reply(Reply.of(code))
    assert end.phase is Phase.MUST_CLOSE
    assert given(end, b"QUIT\r\n") == [PAUSED]
    with pytest.raises(LocalProtocolError):
        end.send_reply(Reply.of(250))


def test_a_greeting_is_no_3xx() -> None:
    with pytest.raises(LocalProtocolError, match="GREETING"):
        ServerConnection().send_reply(Reply.of(354))


def test_a_command_group_in_any_cut() -> None:
    """RFC 2920 §3.1: lines are given as they come, without waiting for replies."""
    group = b"RSET\r\nNOOP x\r\n"
    for pieces in every_cut(group):
        end = greeted()
        *commands, pause = given(end, *pieces)
        assert [command.raw for command in commands] == [b"RSET", b"NOOP x"]
        assert (pause, end.unanswered, end.phase) == (NEED_DATA, 2, Phase.COMMAND)


@pytest.mark.parametrize("line", [b"DATA", b"AUTH PLAIN", b"EHLO me", b"HELO me", b"QUIT", b"data "])
def test_a_blocking_line_ends_a_group(line: bytes) -> None:
    """What the next octets are depends on the reply to this one."""
    end = greeted()
    *commands, pause = given(end, b"RSET\r\n" + line + b"\r\nNOOP\r\n")
    assert ([command.raw for command in commands], pause) == ([b"RSET", line], PAUSED)
    end.send_reply(Reply.of(250))
    assert drain(end) == [PAUSED]
    end.send_reply(Reply.of(450))
    assert end.phase is Phase.COMMAND


def test_content_in_any_cut() -> None:
    for pieces in few_cuts(b"a\r\n..b\r\n.\r\nNOOP\r\n"):
        end = in_content()
        events = given(end, *pieces)
        command, pause = events.pop(-2), events.pop()
        assert (command.raw, pause) == (b"NOOP", NEED_DATA)
        message = events.pop()
        assert isinstance(message, EndOfData)
        assert message.size == 7
        assert all(isinstance(event, ContentReceived) for event in events)
        assert b"".join(event.data for event in events) == b"a\r\n..b\r\n"
        assert b"".join(unstuff(event.data, event.at_line_start) for event in events) == b"a\r\n.b\r\n"
        assert (end.unanswered, end.buffered) == (2, 0)
        end.send_reply(Reply.of(250))
        assert not end.in_transaction


def test_content_behind_data_in_one_segment_is_content_only_after_354() -> None:
    end = greeted()
    command, pause = given(end, b"DATA\r\nQUIT\r\n.\r\n")
    assert (command.kind, pause) == (Kind.DATA, PAUSED)
    end.send_reply(Reply.of(354))
    content, message, pause = drain(end)
    assert (content.data, message.size, pause) == (b"QUIT\r\n", 6, NEED_DATA)


def test_empty_message() -> None:
    message, pause = given(in_content(), b".\r\n")
    assert (message.size, pause) == (0, NEED_DATA)


def test_repr_does_not_show_content() -> None:
    (content, _) = given(in_content(), b"dear all\r\n")
    assert "<10 octets>" in repr(content)
    assert "dear" not in repr(content)


@pytest.mark.parametrize(
    ("config", "limit", "bad", "code"),
    [
        (REJECT, None, b"a\nb", 550),
        (Config(nul=Nul.REFUSE), None, b"a\0b", 550),
        (Config(), 3, b"abcd", 552),
    ],
)
def test_refused_content_is_dropped_to_its_end(
    config: Config, limit: int | None, bad: bytes, code: int
) -> None:
    """What is left of it must not be read as commands."""
    for pieces in few_cuts(bad + b"\r\nQUIT\r\n.\r\nNOOP\r\n"):
        end = in_content(config, limit)
        events = given(end, *pieces)
        kinds = [type(event) for event in events if not isinstance(event, ContentReceived)]
        assert kinds == [ContentRefused, EndOfData, Command, Pause]
        (refused,) = [event for event in events if isinstance(event, ContentRefused)]
        assert refused.error.reply_hint.code == code
        assert refused.error.phase is Phase.CONTENT
        assert events[-2].raw == b"NOOP"


def test_a_refusal_is_of_one_message() -> None:
    end = in_content(REJECT)
    assert ContentRefused in [type(event) for event in given(end, b"a\nb\r\n.\r\n")]
    end.send_reply(Reply.of(550))
    answered(end, b"DATA\r\n", 354)
    assert [type(event) for event in given(end, b"a\r\n.\r\n")] == [ContentReceived, EndOfData, Pause]


def test_limit_is_read_when_content_opens() -> None:
    end = in_content(limit=None)
    end.max_message_size = 1
    assert ContentRefused not in [type(event) for event in given(end, b"abc\r\n.\r\n")]


def test_auth_exchange() -> None:
    """RFC 4954 §4: as many lines as there are challenges, all of them opaque and secret."""
    end = in_auth()
    for line in (b"QUIT", b"*", b"", b"=", b"\x16\xff", b"x" * 12_288):
        command, pause = given(end, line + b"\r\n")
        assert (command.raw, command.kind, command.secret, pause) == (line, Kind.AUTH_LINE, True, PAUSED)
        end.send_reply(Reply.of(334))
    given(end, b"last\r\n")
    end.send_reply(Reply.of(235))
    assert end.phase is Phase.COMMAND


@pytest.mark.parametrize("line", [b"c2VjcmV0\0\r\n", b"c2VjcmV0\rx\r\n", b"c2VjcmV0" * 2000, b"c2VjcmV0\n"])
def test_an_auth_line_that_is_none_ends_the_session_and_is_not_shown(line: bytes) -> None:
    end = in_auth(REJECT)
    refused, pause = given(end, line)
    assert (refused.command.kind, refused.error.reply_hint.code, pause) == (Kind.VIOLATION, 500, PAUSED)
    assert refused.error.phase is Phase.AUTH_LINE
    assert refused.error.evidence == b""
    assert "c2Vj" not in repr(refused) + str(refused.error)


@pytest.mark.parametrize("lines", [b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n|x\r\n"])
def test_a_credential_behind_a_refused_auth_is_not_shown(lines: bytes) -> None:
    for late in (b"c2VjcmV0", b"c2VjcmV0==", b"HEAD c2VjcmV0", b"BDAT c2VjcmV0", b"c2VjcmV0\0"):
        end = greeted()
        first, _, second = lines.partition(b"|")
        answered(end, first, 334 if second else 504)
        if second:
            answered(end, second, 535)
        event = given(end, late + b"\r\n")[0]
        shown = event.command.shown + str(event.error).encode() if isinstance(event, Refused) else event.shown
        assert b"c2Vj" not in shown
        assert b"c2Vj" not in repr(event).encode()


def test_a_command_behind_a_refused_auth_is_shown() -> None:
    end = greeted()
    answered(end, b"AUTH X\r\n", 504)
    first, second, _ = given(end, b"MAIL FROM:<a>\r\nodd\r\n")
    assert (first.secret, second.secret) == (False, False)


@pytest.mark.parametrize("code", [250, 450, 503, 554])
def test_content_behind_a_refused_data_is_never_read_as_commands(code: int) -> None:
    """RFC 2920 §3.1. Already there when the refusal is sent: not even what looks like a command."""
    end = greeted()
    given(end, b"DATA\r\nRSET\r\nQUIT\r\n")
    end.send_reply(Reply.of(code))
    refused, pause = drain(end)
    assert (told(refused)[0], refused.command.kind, pause) == (503, Kind.VIOLATION, PAUSED)
    end.send_reply(refused.error.reply_hint)
    assert end.phase is Phase.MUST_CLOSE


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"From: a", 503),
        (b"Hello there", 503),
        (b".", 503),
        (b"", 503),
        (b"MAIL FROM:<a>", 0),
        (b"rset", 0),
        (b"STARTTLS", 502),
        (b"BDAT 5", 502),
    ],
)
def test_what_comes_later_behind_a_refused_data(line: bytes, code: int) -> None:
    """One line is looked at: who speaks commands goes on, who sends a message is stopped."""
    end = greeted()
    answered(end, b"DATA\r\n", 503)
    event, _ = given(end, line + b"\r\n")
    assert (told(event)[0] if isinstance(event, Refused) else 0) == code
    assert (event.command.kind if code == 503 else Kind.PLAIN) is (
        Kind.VIOLATION if code == 503 else Kind.PLAIN
    )


def test_only_the_first_line_behind_a_refused_data_is_suspect() -> None:
    end = greeted()
    answered(end, b"DATA\r\n", 503)
    answered(end, b"RSET\r\n", 250)
    assert given(end, b"X-ODD\r\n")[0].raw == b"X-ODD"


@pytest.mark.parametrize("verb", sorted(REFUSED_VERBS - {b"BDAT"}))
def test_verbs_that_change_framing_are_refused(verb: bytes) -> None:
    end = greeted()
    refused, command, pause = given(end, verb.lower() + b" x\r\nNOOP\r\n")
    code, text = told(refused)
    assert (code, verb.decode() in text, refused.command.kind) == (502, True, Kind.PLAIN)
    assert (command.raw, pause, end.unanswered) == (b"NOOP", NEED_DATA, 2)
    assert refused.error.phase is Phase.COMMAND


def test_refused_bdat_takes_its_octets_along() -> None:
    """RFC 3030 §2: the octets follow at once, whatever the reply; they are no commands."""
    for pieces in few_cuts(b"BDAT 8 LAST\r\nQUIT\r\n\r\nNOOP\r\n"):
        end = greeted()
        refused, command, pause = given(end, *pieces)
        assert told(refused)[0] == 502
        assert (command.raw, pause, end.unanswered) == (b"NOOP", NEED_DATA, 2)


def test_replies_may_be_sent_while_a_chunk_is_dropped() -> None:
    end = greeted()
    given(end, b"RSET\r\nBDAT 5\r\nab")
    assert end.phase is Phase.CHUNK
    end.send_reply(Reply.of(250))
    end.send_reply(Reply.of(502))
    assert given(end, b"cd") == [NEED_DATA]
    end.receive_eof()
    assert drain(end) == [END_OF_INPUT]


def test_bdat_of_nothing() -> None:
    end = greeted()
    refused, command, _ = given(end, b"BDAT 0 LAST\r\nNOOP\r\n")
    assert (told(refused)[0], command.raw) == (502, b"NOOP")


@pytest.mark.parametrize("argument", [b"", b" LAST", b" +5", b" 5_0", b" 99999999999999999999", b" x"])
def test_bdat_without_a_count_ends_the_session(argument: bytes) -> None:
    end = greeted()
    refused, pause = given(end, b"BDAT" + argument + b"\r\nNOOP\r\n")
    assert (told(refused)[0], refused.command.kind, pause) == (501, Kind.VIOLATION, PAUSED)


@pytest.mark.parametrize("verb", sorted(HTTP_VERBS))
def test_http_ends_the_session(verb: bytes) -> None:
    """A forged request of a browser; the headers behind it might be commands."""
    end = greeted()
    refused, pause = given(end, verb + b" / HTTP/1.1\r\nMAIL FROM:<a>\r\n")
    assert (told(refused)[0], refused.command.kind, pause) == (500, Kind.VIOLATION, PAUSED)


def test_a_tls_handshake_ends_the_session() -> None:
    for pieces in every_cut(b"\x16\x03\x01\r\nNOOP\r\n"):
        refused, pause = given(greeted(), *pieces)
        assert ("TLS" in told(refused)[1], refused.command.kind, pause) == (True, Kind.VIOLATION, PAUSED)


@pytest.mark.parametrize(
    "line", [b"", b" ", b"!", b"Subject: x", b"NOOP a\0b", b"QUIT a\rb", b"DATA \0", b"AUTH\0"]
)
def test_a_line_that_is_no_command_is_refused_and_the_session_goes_on(line: bytes) -> None:
    end = greeted()
    refused, command, _ = given(end, line + b"\r\nNOOP\r\n")
    assert (told(refused)[0], refused.command.raw, command.raw) == (500, line, b"NOOP")
    assert refused.command.kind is Kind.PLAIN
    assert end.phase is Phase.COMMAND


def test_a_bare_lf_ends_a_command_line_or_the_session() -> None:
    command, _ = given(greeted(), b"NOOP x\n")
    assert command.raw == b"NOOP x"
    refused, pause = given(greeted(REJECT), b"NOOP x\nNOOP\r\n")
    assert ("bare LF" in told(refused)[1], refused.command.kind, pause) == (True, Kind.VIOLATION, PAUSED)


@pytest.mark.parametrize(
    "config", [Config(max_line=10), Config(max_line=10, bare_newline=BareNewline.REJECT)]
)
@pytest.mark.parametrize("end_of_line", [b"\r\n", b"\n", b""])
def test_a_line_that_is_too_long_ends_the_session(config: Config, end_of_line: bytes) -> None:
    """RFC 5321 §4.5.3.1.4, whatever the cuts."""
    for pieces in few_cuts(b"NOOP 67890ab" + end_of_line):
        refused, pause = given(greeted(config), *pieces)
        code, text = told(refused)
        assert (code, text.startswith("line too long: b'NOOP 67890")) == (500, True)
        assert (refused.command.kind, pause) == (Kind.VIOLATION, PAUSED)


@pytest.mark.parametrize("end_of_line", [b"\r\n", b"\n"])
def test_the_longest_line(end_of_line: bytes) -> None:
    for pieces in few_cuts(b"NOOP 67890" + end_of_line):
        command, _ = given(greeted(Config(max_line=10)), *pieces)
        assert command.raw == b"NOOP 67890"


@pytest.mark.parametrize(
    "line", [b"AUTH PLAIN c2VjcmV0\n", b"AUTH PLAIN c2VjcmV0\r\n", b"AUTH PLAIN c2VjcmV0" * 9]
)
def test_evidence_holds_no_credential(line: bytes) -> None:
    refused = given(greeted(Config(max_line=11, bare_newline=BareNewline.REJECT)), line)[0]
    assert told(refused)[1].endswith("b'AUTH PLAIN ********'")


def test_envelope_is_what_the_client_was_told() -> None:
    end = greeted()
    given(end, b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\nRCPT TO:<c>\r\n")
    assert not end.in_transaction
    for code in (250, 550, 250):
        end.send_reply(Reply.of(code))
    assert end.in_transaction
    assert [path.address for path in end.envelope.forward_paths] == ["c"]


def test_a_reply_that_nothing_asked_for() -> None:
    end = greeted()
    for code in (220, 250, 354, 450, 554):
        with pytest.raises(LocalProtocolError, match="no command awaits"):
            end.send_reply(Reply.of(code))
    assert end.send_reply(Reply.of(421, "bye")) == b"421 bye\r\n"
    assert end.phase is Phase.MUST_CLOSE


def test_mail_data_may_be_cut_off_by_a_refusal_only() -> None:
    for code in (250, 354):
        with pytest.raises(LocalProtocolError):
            in_content().send_reply(Reply.of(code))
    for code in (421, 450, 552):
        end = in_content()
        end.send_reply(Reply.of(code))
        assert end.phase is Phase.MUST_CLOSE


def test_a_reply_that_fails_leaves_all_as_it_was() -> None:
    end = greeted()
    given(end, b"RSET\r\n")
    with pytest.raises(LocalProtocolError):
        end.send_reply(Reply.of(354))
    assert end.unanswered == 1
    end.send_reply(Reply.of(250))
    assert end.unanswered == 0


def test_end_of_input_comes_behind_what_arrived() -> None:
    end = greeted()
    end.receive_data(b"NOOP\r\nRSE")
    end.receive_eof()
    command, pause = drain(end)
    assert (command.raw, pause) == (b"NOOP", END_OF_INPUT)
    end = in_content()
    end.receive_data(b"a\r\n.")
    end.receive_eof()
    content, pause = drain(end)
    assert (content.data, pause) == (b"a\r\n", END_OF_INPUT)


def test_pending_and_buffered() -> None:
    end = greeted()
    assert (end.pending, end.buffered) == (False, 0)
    given(end, b"NOO")
    assert (end.pending, end.buffered) == (True, 3)
    end = in_content(REJECT)
    given(end, b"a\r\n.")
    assert (end.pending, end.buffered) == (False, 1)
    end.receive_data(b"\r\n")
    assert end.next_event().__class__ is EndOfData
    assert (end.pending, end.buffered) == (False, 0)
    end = in_content(REJECT)
    end.receive_data(b"a\nb")
    assert isinstance(end.next_event(), ContentReceived)
    assert end.pending
    assert isinstance(end.next_event(), ContentRefused)
    end = in_content()
    end.receive_eof()
    assert end.pending


def test_close_forgets_all() -> None:
    end = in_content()
    given(end, b"a\r\n.")
    end.close()
    end.receive_data(b"more")
    assert (end.buffered, end.unanswered, drain(end)) == (0, 0, [PAUSED])
    with pytest.raises(LocalProtocolError):
        end.send_reply(Reply.of(421))


LINES = {
    Kind.PLAIN: b"NOOP\r\n",
    Kind.GROUP: b"RSET\r\n",
    Kind.HELLO: b"EHLO x\r\n",
    Kind.DATA: b"DATA\r\n",
    Kind.AUTH: b"AUTH X\r\n",
    Kind.QUIT: b"QUIT\r\n",
    Kind.VIOLATION: b"\x16\r\n",
    Kind.AUTH_LINE: b"x\r\n",
    Kind.END_OF_DATA: b".\r\n",
}


def owing(kind: Kind) -> ServerConnection:
    """An end that owes a reply to one line of a kind."""
    end = in_auth() if kind is Kind.AUTH_LINE else in_content() if kind is Kind.END_OF_DATA else greeted()
    given(end, LINES[kind])
    assert end.unanswered == 1
    return end


@pytest.mark.parametrize("code", [150, 250, 354, 421, 450, 550, 650])
@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("phase", Phase)
def test_closed_world_of_replies(phase: Phase, kind: Kind, code: int) -> None:
    """A reply whose step is not in the table for this phase cannot be sent."""
    end = owing(kind)
    end.phase = phase
    step = reply_step(None if phase is Phase.GREETING else kind, code)
    to = FRAMING[phase].get(step) if step else None
    if to is None:
        with pytest.raises(LocalProtocolError):
            end.send_reply(Reply(code, b"%d x\r\n" % code))
        assert end.phase is phase
    else:
        end.send_reply(Reply(code, b"%d x\r\n" % code))
        assert end.phase is to


@pytest.mark.parametrize("kind", LINES)
def test_every_line_takes_its_step(kind: Kind) -> None:
    before = {Kind.AUTH_LINE: Phase.AUTH_LINE, Kind.END_OF_DATA: Phase.CONTENT}.get(kind, Phase.COMMAND)
    assert owing(kind).phase is FRAMING[before][LINE_STEPS[kind]]


def test_end_of_data_is_one_command() -> None:
    """Whoever matches replies to commands finds the same object on both ends."""
    assert END_OF_DATA.kind is Kind.END_OF_DATA
    assert FRAMING[Phase.CONTENT][Step.END_OF_DATA] is Phase.COMMAND
