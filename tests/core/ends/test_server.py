"""The server's end, which faces a client: lines, replies and the closed world of its phases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from each import each

from core.scene import every_cut
from core.server_ends import REJECT, answered, drain, given, greeted, in_auth, in_content, told
from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import ClientTls, Config, Dialect
from sansio_smtp.ends.access import access_of
from sansio_smtp.ends.received import (
    END_OF_INPUT,
    NEED_DATA,
    PAUSED,
    ContentReceived,
    ContentRefused,
    EndOfData,
    Refused,
)
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.states import FRAMING, LINE_STEPS, REPLY_CODES, REPLY_STEPS, Phase, Step
from sansio_smtp.verbs import VERBS, Kind, Support
from sansio_smtp.wire.commands import END_OF_DATA, Command
from sansio_smtp.wire.replies import Reply


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


def supported(support: Support) -> list[bytes]:
    return [name for name, verb in VERBS.items() if verb.support is support]


@each("verb", [verb for verb in supported(Support.REFUSED) if verb != b"BDAT"])
def test_verbs_that_change_framing_are_refused(verb: bytes) -> None:
    end = greeted()
    refused, command, pause = given(end, verb.lower() + b" x\r\nNOOP\r\n")
    code, text = told(refused)
    assert (code, verb.decode() in text, refused.command.kind) == (502, True, Kind.PLAIN)
    assert (command.raw, pause, end.unanswered) == (b"NOOP", NEED_DATA, 2)
    assert refused.error.phase is Phase.COMMAND


@each("verb", supported(Support.FOREIGN))
def test_http_ends_the_session(verb: bytes) -> None:
    """A forged request of a browser; the header fields after it might be commands."""
    end = greeted()
    refused, pause = given(end, verb + b" / HTTP/1.1\r\nMAIL FROM:<a>\r\n")
    assert (told(refused)[0], refused.command.kind, pause) == (500, Kind.VIOLATION, PAUSED)


@each("line", [b"", b" ", b"!", b"Subject: x", b"NOOP a\0b", b"QUIT a\rb", b"DATA \0", b"AUTH\0"])
def test_a_line_that_is_no_command_is_refused_and_the_session_goes_on(line: bytes) -> None:
    end = greeted()
    refused, command, _ = given(end, line + b"\r\nNOOP\r\n")
    assert (told(refused)[0], refused.command.raw, command.raw) == (500, line, b"NOOP")
    assert refused.command.kind is Kind.PLAIN
    assert end.phase is Phase.COMMAND


def test_envelope_is_what_the_client_was_told() -> None:
    end = greeted()
    given(end, b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\nRCPT TO:<c>\r\n")
    assert not end.in_transaction
    for code in (250, 550, 250):
        end.send_reply(Reply.of(code))
    assert end.in_transaction
    assert end.transaction.envelope is end.envelope
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
    end = greeted()
    given(end, b"NOOP\r\nDATA\r\nmore")
    assert (end.buffered, end.unanswered) == (4, 2)
    end.close()
    assert (end.buffered, end.unanswered, end.pending) == (0, 0, False)


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


@pytest.mark.parametrize("phase", Phase)
def test_closed_world_of_replies(phase: Phase) -> None:
    """A reply whose step is not in the table for this phase cannot be sent."""
    for kind in LINES:
        check_replies(phase, kind)


def check_replies(phase: Phase, kind: Kind) -> None:
    for code in (150, 250, 354, 421, 450, 550, 650):
        end = owing(kind)
        end.phase = phase
        reply = Reply(code, b"%d x\r\n" % code)
        step = REPLY_STEPS.get(
            (None if phase is Phase.GREETING else kind, code if code == 421 else code // 100)
        )
        to = FRAMING[phase].get(step) if step else None
        if to is None:
            with pytest.raises(LocalProtocolError):
                end.pass_reply(reply)
            assert end.phase is phase
        else:
            assert end.pass_reply(reply) == reply.raw
            assert end.phase is to


@each("kind", LINES)
def test_closed_world_of_codes(kind: Kind) -> None:
    """A reply of our own has a code that the table has, and what was refused here is not accepted."""
    for code in (200, 220, 221, 235, 250, 251, 334, 354, 421, 450, 535, 550):
        end, passing = owing(kind), owing(kind)
        reply = Reply(code, b"%d x\r\n" % code)
        before = end.phase
        fits = code // 100 in (4, 5) or code in REPLY_CODES.get((kind, code // 100), (code,))
        if not fits:
            with pytest.raises(LocalProtocolError):
                end.send_reply(reply)
            assert (end.phase, end.unanswered) == (before, 1)
        elif (kind, code // 100) in REPLY_STEPS:
            assert end.send_reply(reply) == passing.pass_reply(reply) == reply.raw
            assert end.phase is passing.phase


@pytest.mark.parametrize("raw", ["x", b"550 x\r\n", b"x"])
def test_a_reply_that_was_made_by_hand(raw: Any) -> None:
    end = owing(Kind.PLAIN)
    with pytest.raises((TypeError, LocalProtocolError), match=r"make a reply with Reply\.of"):
        end.send_reply(Reply(250, raw))
    assert end.unanswered == 1
    assert end.send_reply(Reply(250, b"250 x\r\n")) == b"250 x\r\n"


REFUSED_LINES = [
    (Config(tls=ClientTls.ENCRYPT), b"AUTH PLAIN AGEAYg==", "235"),
    (Config(tls=ClientTls.ENCRYPT), b"AUTH PLAIN", "334 "),
    (Config(), b"STARTTLS", "220"),
    (Config(tls=ClientTls.ENCRYPT), b"RCPT TO:<b>", "250"),
    (Config(), b"RCPT TO:<b\r>", "250"),
    (Config(), b"LHLO x", "250"),
    (Config(), b"", "250"),
]


@each(("config", "line", "reply"), REFUSED_LINES)
def test_what_was_refused_is_not_accepted(config: Config, line: bytes, reply: str) -> None:
    end = greeted(config)
    (refused, _) = given(end, line + b"\r\n")
    assert isinstance(refused, Refused)
    phase = end.phase
    with pytest.raises(LocalProtocolError, match=r"was refused; send error\.reply_hint of the event Refused"):
        end.send_reply(reply)
    assert (end.phase, end.unanswered, end.envelope.recipients) == (phase, 1, [])
    assert end.send_reply(refused.error.reply_hint)
    assert end.phase is Phase.COMMAND


def test_what_another_server_has_said_is_passed() -> None:
    """Only its first digit counts."""
    end = greeted()
    given(end, b"AUTH PLAIN AGEAYg==\r\n")
    assert end.pass_reply(Reply.of(250, "fine")) == b"250 fine\r\n"


@each("kind", LINES)
def test_every_line_takes_its_step(kind: Kind) -> None:
    before = {Kind.AUTH_LINE: Phase.AUTH_LINE, Kind.END_OF_DATA: Phase.CONTENT}.get(kind, Phase.COMMAND)
    assert owing(kind).phase is FRAMING[before][LINE_STEPS[kind]]


def test_end_of_data_is_one_command() -> None:
    """The caller finds the same object on both ends, to match replies to commands."""
    assert END_OF_DATA.kind is Kind.END_OF_DATA
    assert FRAMING[Phase.CONTENT][Step.END_OF_DATA] is Phase.COMMAND


@each("phase", Phase)
def test_what_is_read_in_each_phase(phase: Phase) -> None:
    """Where no reader is, nothing is parsed."""
    blind = {Phase.GREETING, Phase.BLOCKED, Phase.MUST_CLOSE, Phase.CLOSED}
    assert (phase in ServerConnection.READERS) is (phase not in blind)


def test_the_exchanges_are_the_lines_that_are_owed_a_reply() -> None:
    end = greeted()
    one, two, _ = given(end, b"RSET\r\nSTARTTLS\r\n")
    assert [exchange.command for exchange in end.exchanges] == [one, two.command]
    assert end.newest is end.exchanges[1]
    end.send_reply(Reply.of(250))
    assert [exchange.command for exchange in end.exchanges] == [two.command]


def test_a_message_that_is_owed_several_replies() -> None:
    """RFC 2033 §4.2: what came after it waits for all of them; the transaction ends with the last."""
    end = in_content()
    given(end, b"a\r\n.\r\nNOOP\r\n")
    end.exchanges[0].owes = 2
    end.send_reply(Reply.of(250))
    assert (end.unanswered, end.in_transaction) == (2, True)
    end.send_reply(Reply.of(452))
    assert not end.in_transaction
    assert [exchange.command.raw for exchange in end.exchanges] == [b"NOOP"]


def test_the_last_reply_ends_the_dialogue_whatever_its_code() -> None:
    end = greeted()
    given(end, b"RSET\r\nNOOP\r\n")
    end.send_reply(Reply.of(550), last=True)
    assert end.phase is Phase.MUST_CLOSE


def test_the_limit_of_a_message_is_set_for_the_next() -> None:
    end = greeted()
    end.limit_message(3)
    answered(end, b"DATA\r\n", 354)
    end.limit_message(None)
    assert ContentRefused in [type(event) for event in given(end, b"abcd\r\n.\r\n")]
    end.send_reply(Reply.of(552))
    answered(end, b"DATA\r\n", 354)
    assert ContentRefused not in [type(event) for event in given(end, b"abcd\r\n.\r\n")]


def test_close_twice() -> None:
    end = greeted()
    end.close()
    end.close()
    assert end.phase is Phase.CLOSED


def test_what_is_held_back_does_not_wait_to_be_parsed() -> None:
    end = in_content()
    given(end, b"x\r\n.\r")
    assert (end.at_rest, end.buffered) == (True, 2)
    end.receive_data(b"\nNOOP")
    assert (end.at_rest, end.buffered) == (False, 7)


# Lines that the caller reads itself


def test_commands_may_be_read_elsewhere() -> None:
    end = greeted()
    assert end.reads_commands
    exchange = end.take_line(Command.of("DATA"))
    assert (end.exchanges, end.phase, end.reads_commands) == ([exchange], Phase.BLOCKED, False)
    end.send_reply(Reply.of(354, "go"))
    assert end.content is not None
    assert end.content.feed(b"x\r\n.\r\n") == b"x\r\n"
    message = end.take_end_of_data()
    assert (end.exchanges, end.phase, end.content) == ([message], Phase.COMMAND, None)
    assert message.command is END_OF_DATA
    assert end.reads_commands


@pytest.mark.parametrize(
    "change",
    [
        lambda end: end.receive_data(b"NO"),
        lambda end: end.receive_eof(),
        lambda end: end.allow(access_of(Config(tls=ClientTls.ENCRYPT), ClientInfo())),
        lambda end: (end.take_line(Command.of("DATA")), end.send_reply(Reply.of(503, "no"))),
    ],
)
def test_commands_may_not_be_read_elsewhere_if_anything_is_in_doubt(
    change: Callable[[ServerConnection], Any],
) -> None:
    end = greeted()
    change(end)
    assert (end.phase, end.reads_commands) == (Phase.COMMAND, False)


def test_a_message_over_lmtp_is_owed_a_reply_for_each_recipient() -> None:
    """RFC 2033 §4.2. A verdict may have replaced what a server was sent."""
    end = greeted(Config(client_dialect=Dialect.LMTP))
    given(end, b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\nRCPT TO:<c>\r\nDATA\r\n")
    end.exchanges[1].went_as(other := Command.of("RCPT TO:<z>"))
    for code in (250, 250, 250, 354):
        end.send_reply(Reply.of(code))
    given(end, b".\r\n")
    envelope = end.envelope
    assert [envelope.sent_for(command) for command in envelope.recipients] == [other, envelope.recipients[1]]
    for unanswered in (1, 0):
        end.send_reply(Reply.of(250))
        assert end.unanswered == unanswered


def test_a_reply_may_be_text() -> None:
    for reply in ("250 2.0.0 ok", b"250 2.0.0 ok", Reply.of(250, "ok", enhanced="2.0.0")):
        end = greeted()
        given(end, b"NOOP\r\n")
        assert end.send_reply(reply) == b"250 2.0.0 ok\r\n"


@pytest.mark.parametrize(
    ("reply", "error", "text"),
    [
        (250, TypeError, "a reply is a str, bytes or Reply, not int"),
        ("ok", LocalProtocolError, "it begins with a code from 200 to 599"),
        ("354 go", LocalProtocolError, "it is no reply to NOOP; only DATA and AUTH take 3xx"),
    ],
)
def test_what_is_no_reply(reply: Any, error: type[Exception], text: str) -> None:
    end = greeted()
    given(end, b"NOOP\r\n")
    with pytest.raises(error, match=text):
        end.send_reply(reply)
    assert end.unanswered == 1


def test_what_is_no_greeting() -> None:
    with pytest.raises(LocalProtocolError, match="a greeting is 220, or 4xx or 5xx"):
        ServerConnection().send_reply("334 x")


def test_a_buffer_may_be_used_again() -> None:
    end, buffer = greeted(), bytearray(b"NOOP\r\n")
    end.receive_data(buffer)
    buffer[:4] = b"QUIT"
    assert drain(end)[0].verb == b"NOOP"


def test_wrong_types_are_named() -> None:
    for use, text in (
        (lambda: greeted().receive_data("x"), "receive_data takes bytes, not str"),  # type: ignore[arg-type]
        (lambda: ServerConnection(Config), "takes a Config, not the class Config"),  # type: ignore[arg-type]
        (lambda: greeted().allow("STARTTLS"), "allow takes an Access, not str"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=text):
            use()


def test_a_reply_is_one_text() -> None:
    end = greeted()
    for reply in (250, Reply.of(250)):
        with pytest.raises(TypeError, match="send_reply takes one reply: write "):
            end.send_reply(reply, "ok")  # type: ignore[arg-type]


def test_the_limit_of_a_message_is_a_number() -> None:
    assert ServerConnection(max_message_size=5).max_message_size == 5
    for size in ("25M", 0):
        with pytest.raises(ValueError, match="max_message_size"):
            ServerConnection(max_message_size=size)  # type: ignore[arg-type]


def test_the_limit_of_a_message_is_that_of_the_settings() -> None:
    end = ServerConnection(Config(max_message_size=5))
    assert end.max_message_size == 5
    assert "SIZE 5" in end.offers
    assert ServerConnection(Config(max_message_size=5), max_message_size=7).max_message_size == 7
    end.limit_message(None)
    assert end.max_message_size is None


def test_no_octets_are_the_end_of_input() -> None:
    assert given(greeted(), b"") == [END_OF_INPUT]
    command, pause = given(greeted(), b"NOOP\r\nNO", b"")
    assert (command.verb, pause) == (b"NOOP", END_OF_INPUT)


def test_what_a_server_offers() -> None:
    assert greeted().offers == ("PIPELINING", "8BITMIME")
    end = ServerConnection(Config(tls="may"), max_message_size=1000)  # type: ignore[arg-type]
    assert end.offers == ("PIPELINING", "8BITMIME", "SIZE 1000", "STARTTLS")


def test_a_server_shows_its_phase() -> None:
    assert repr(greeted()) == "<ServerConnection in phase COMMAND>"


def test_nothing_comes_after_the_end_of_input() -> None:
    end = greeted()
    end.receive_eof()
    with pytest.raises(LocalProtocolError, match="the peer's input has ended"):
        end.receive_data(b"NOOP\r\n")
    assert drain(end) == [END_OF_INPUT]
    end.close()
    end.receive_data(b"NOOP\r\n")
    assert end.buffered == 0
