"""The server's end, which faces a client: what is not read as commands. Content, AUTH lines, chunks."""

from __future__ import annotations

import pytest
from each import each

from core.scene import few_cuts
from core.server_ends import REJECT, answered, drain, given, greeted, in_auth, in_content, told
from sansio_smtp.config import BareNewline, Config, Nul
from sansio_smtp.ends.received import (
    NEED_DATA,
    PAUSED,
    ContentReceived,
    ContentRefused,
    EndOfData,
    Pause,
    Refused,
    Unfinished,
)
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.states import Phase
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.content import unstuff
from sansio_smtp.wire.replies import Reply


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
    end.pass_reply(Reply.of(code))
    refused, pause = drain(end)
    assert (told(refused)[0], refused.command.kind, pause) == (503, Kind.VIOLATION, PAUSED)
    end.send_reply(refused.error.reply_hint)
    assert end.phase is Phase.MUST_CLOSE


@each(
    ("line", "code"),
    [
        (b"From: a", 503),
        (b"Hello there", 503),
        (b".", 503),
        (b"", 503),
        (b"MAIL FROM:<a>", 0),
        (b"rset", 0),
        (b"STARTTLS", 502),
        (b"BDAT 5", 0),
    ],
)
def test_what_comes_later_behind_a_refused_data(line: bytes, code: int) -> None:
    """One line is looked at: who speaks commands goes on, who sends a message is stopped."""
    end = greeted()
    answered(end, b"DATA\r\n", 503)
    event, _ = given(end, line + b"\r\n")
    assert (told(event)[0] if isinstance(event, Refused) else 0) == code
    assert not isinstance(event, Refused) or (event.command.kind is Kind.VIOLATION) is (code == 503)


def test_only_the_first_line_behind_a_refused_data_is_suspect() -> None:
    end = greeted()
    answered(end, b"DATA\r\n", 503)
    answered(end, b"RSET\r\n", 250)
    assert given(end, b"X-ODD\r\n")[0].raw == b"X-ODD"


@each(
    "argument",
    [b"", b" LAST", b" +5", b" 5_0", b" 99999999999999999999", b" x", b" 5\r", b" 9999999999999999999 LAST"],
)
def test_bdat_without_a_count_ends_the_session(argument: bytes) -> None:
    end = greeted()
    refused, pause = given(end, b"BDAT" + argument + b"\r\nNOOP\r\n")
    assert (told(refused)[0], refused.command.kind, pause) == (501, Kind.VIOLATION, PAUSED)


@pytest.mark.parametrize(
    "line", [b"AUTH PLAIN c2VjcmV0\n", b"AUTH PLAIN c2VjcmV0\r\n", b"AUTH PLAIN c2VjcmV0" * 9]
)
def test_evidence_holds_no_credential(line: bytes) -> None:
    refused = given(greeted(Config(max_line=11, bare_newline=BareNewline.REJECT)), line)[0]
    assert told(refused)[1].endswith("b'AUTH PLAIN ********'")


def test_how_much_has_come() -> None:
    end = in_content(limit=10)
    assert end.received == 0
    given(end, b"..x\r\n")
    assert end.received == 4
    given(end, b"y" * 20)
    assert end.received is None
    assert greeted().received == 0


def test_a_refused_message_is_not_accepted() -> None:
    """A caller that forgets to look at `ContentRefused` loses no mail by it."""
    end = in_content(limit=3)
    *_, refused, ended, _ = given(end, b"abcd\r\n.\r\n")
    assert (type(refused), type(ended)) == (ContentRefused, EndOfData)
    with pytest.raises(LocalProtocolError, match=r"the message was refused.*of the event ContentRefused"):
        end.send_reply("250 taken")
    assert end.send_reply(refused.error.reply_hint).startswith(b"552")
    assert not end.in_transaction


def test_what_has_come_of_a_message() -> None:
    end = greeted()
    assert end.unfinished is None
    end = in_content()
    assert end.unfinished == Unfinished(0)
    given(end, b"..a\r\nb\r")
    assert end.unfinished == Unfinished(6)
    given(end, b"\n\n.\n")
    assert end.unfinished == Unfinished(11, bare_lf=True, lf_dot=True)
    (message, _) = given(end, b"\r\n.\r\n")[-2:]
    assert isinstance(message, EndOfData)
    assert (message.bare_lf, end.unfinished) == (True, None)
