"""The client's end, which faces a server."""

from __future__ import annotations

from typing import Any

import pytest
from each import each

from core.scene import few_cuts
from sansio_smtp.config import Config, Dialect
from sansio_smtp.ends.client import ClientConnection, ReplyReceived
from sansio_smtp.ends.received import END_OF_INPUT, NEED_DATA, PAUSED, EndOfData, Pause
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.states import FRAMING, LINE_STEPS, REPLY_STEPS, Phase, Step
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import END_OF_DATA, Command, auth_line
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.violations import RemoteProtocolError

LINES = {
    Kind.PLAIN: Command.of("NOOP"),
    Kind.GROUP: Command.of("RSET"),
    Kind.HELLO: Command.of("EHLO x"),
    Kind.DATA: Command.of("DATA"),
    Kind.AUTH: Command.of("AUTH LOGIN"),
    Kind.QUIT: Command.of("QUIT"),
    Kind.AUTH_LINE: auth_line(b"eA=="),
    Kind.END_OF_DATA: END_OF_DATA,
    Kind.STARTTLS: Command.of("STARTTLS"),
    Kind.IDENTITY: Command.of("XCLIENT ADDR=192.0.2.1"),
    Kind.VIOLATION: Command(b"", b"", Kind.VIOLATION),
    Kind.CHUNK: Command.of("BDAT 5"),
    Kind.LAST_CHUNK: Command.of("BDAT 5 LAST"),
    Kind.DROPPED_CHUNK: Command.of("BDAT 5").as_dropped(),
}


def given(end: ClientConnection, *pieces: bytes) -> list[Any]:
    events: list[Any] = [NEED_DATA]
    for piece in pieces:
        end.receive_data(piece)
        events.pop()
        while not isinstance(event := end.next_event(), Pause):
            events.append(event)
        events.append(event)
    return events


def greeted(*ehlo: bytes, config: Config | None = None) -> ClientConnection:
    end = ClientConnection(config or Config())
    given(end, b"220 mx\r\n")
    if ehlo:
        end.send_command(Command.of("EHLO me"))
        given(end, b"".join(line + b"\r\n" for line in ehlo))
    return end


def in_content() -> ClientConnection:
    end = greeted()
    end.send_command(Command.of("DATA"))
    given(end, b"354 go\r\n")
    return end


@pytest.mark.parametrize(("greeting", "phase"), [(b"220 mx", Phase.COMMAND), (b"554 no", Phase.MUST_CLOSE)])
def test_greeting(greeting: bytes, phase: Phase) -> None:
    """RFC 5321 §3.1."""
    end = ClientConnection()
    with pytest.raises(LocalProtocolError, match="GREETING"):
        end.send_command(Command.of("NOOP"))
    assert not end.may_send()
    event = given(end, greeting + b"\r\n")[0]
    assert (event.reply.raw, event.command, event.unsolicited) == (greeting + b"\r\n", None, False)
    assert end.phase is phase


@pytest.mark.parametrize("greeting", [b"354 go", b"SSH-2.0-OpenSSH_9.6", b"* OK IMAP4rev1", b"120 wait"])
def test_a_greeting_that_is_none(greeting: bytes) -> None:
    end = ClientConnection()
    error, pause = given(end, greeting + b"\r\n")
    assert isinstance(error, RemoteProtocolError)
    assert (error.reply_hint.code, error.phase, pause) == (421, Phase.GREETING, PAUSED)
    assert (end.phase, end.in_content) == (Phase.MUST_CLOSE, False)


def test_replies_are_matched_to_their_commands_in_any_cut() -> None:
    for pieces in few_cuts(b"250 a\r\n550-b\r\n550 c\r\n"):
        end = greeted(b"250-mx", b"250 PIPELINING")
        first, second = Command.of("MAIL FROM:<a>"), Command.of("RCPT TO:<b>")
        assert end.send_command(first) + end.send_command(second) == b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\n"
        assert (end.awaiting, end.unanswered) == (first, 2)
        one, two, _ = given(end, *pieces)
        assert (one.command, one.reply.code, two.command, two.reply.code) == (first, 250, second, 550)
        assert (end.awaiting, end.unanswered) == (None, 0)


def test_keywords_are_those_of_the_last_hello() -> None:
    end = greeted(b"250-mx", b"250-SIZE 10", b"250 PIPELINING")
    assert end.keywords == {"SIZE": "10", "PIPELINING": ""}
    end.send_command(Command.of("EHLO me"))
    given(end, b"502 no\r\n")
    assert end.keywords == {"SIZE": "10", "PIPELINING": ""}
    end.send_command(Command.of("NOOP"))
    given(end, b"250-x\r\n250 DSN\r\n")
    assert end.keywords == {"SIZE": "10", "PIPELINING": ""}
    end.send_command(Command.of("HELO me"))
    given(end, b"250-mx\r\n250 SIZE 5\r\n")
    assert end.keywords == {}


@each(
    ("size", "limit"),
    [
        (b"SIZE 10", 10),
        (b"SIZE 0", None),
        (b"SIZE", None),
        (b"SIZE +5", None),
        (b"SIZE -5", None),
        (b"SIZE 5_0", None),
        ("SIZE ٣".encode(), None),
        (b"SIZE " + b"9" * 5000, None),
        (b"DSN", None),
    ],
)
def test_max_message_size(size: bytes, limit: int | None) -> None:
    """RFC 1870 §4."""
    assert greeted(b"250-mx", b"250 " + size).max_message_size == limit


@pytest.mark.parametrize("offered", [True, False])
@pytest.mark.parametrize("kind", [Kind.GROUP, Kind.PLAIN])
def test_may_send_behind_an_unanswered_command(kind: Kind, offered: bool) -> None:
    """RFC 2920 §3.1: a group is of MAIL, RCPT, RSET and the like, and needs PIPELINING."""
    end = greeted(b"250-mx", b"250 PIPELINING" if offered else b"250 DSN")
    assert end.may_send()
    end.send_command(LINES[kind])
    assert end.may_send() is (offered and kind is Kind.GROUP)
    given(end, b"250 ok\r\n")
    assert end.may_send()


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.DATA, Kind.AUTH, Kind.QUIT])
def test_may_not_send_behind_a_blocking_command(kind: Kind) -> None:
    end = greeted(b"250-mx", b"250 PIPELINING")
    end.send_command(LINES[kind])
    assert not end.may_send()
    with pytest.raises(LocalProtocolError, match="BLOCKED"):
        end.send_command(Command.of("NOOP"))


@pytest.mark.parametrize("offered", [True, False])
def test_may_send_behind_end_of_data(offered: bool) -> None:
    """RFC 2920 §3.1: end-of-data may be followed by the next group."""
    end = greeted(b"250-mx", b"250 PIPELINING" if offered else b"250 DSN")
    end.send_command(Command.of("DATA"))
    given(end, b"354 go\r\n")
    assert not end.may_send()
    end.send_end_of_data()
    assert end.may_send() is offered


@pytest.mark.parametrize("raw", [b"NOOP\r\nQUIT", b"NOOP\n", b"NOOP \0"])
def test_a_command_that_is_two_cannot_be_sent(raw: bytes) -> None:
    end = greeted()
    with pytest.raises(LocalProtocolError):
        end.send_command(Command.parse(raw))
    assert end.unanswered == 0


def test_message() -> None:
    end = in_content()
    assert (end.phase, end.in_content) == (Phase.CONTENT, True)
    assert end.send_content(b"a\r\n") == b"a\r\n"
    assert end.send_end_of_data() == b".\r\n"
    assert (end.phase, end.in_content, end.awaiting) == (Phase.COMMAND, False, END_OF_DATA)
    event, _ = given(end, b"250 taken\r\n")
    assert event.command is END_OF_DATA


def test_content_that_would_not_end_the_message_or_end_it_early() -> None:
    end = in_content()
    end.send_content(b"no line end")
    with pytest.raises(LocalProtocolError, match="does not end in CRLF"):
        end.send_end_of_data()
    with pytest.raises(LocalProtocolError, match="would end the message"):
        end.send_content(b"\r\n.\r\nMAIL FROM:<x@y>\r\n")
    assert (end.phase, end.unanswered) == (Phase.CONTENT, 0)
    end.send_content(b"\r\n")
    assert end.send_end_of_data() == b".\r\n"


def test_a_server_that_leaves_in_the_middle_of_a_line() -> None:
    end = in_content()
    end.send_content(b"half a line")
    given(end, b"421 bye\r\n")
    with pytest.raises(LocalProtocolError, match="in phase MUST_CLOSE: the dialogue is over"):
        end.send_end_of_data()


def test_each_message_is_checked_by_itself() -> None:
    end = in_content()
    end.send_content(b"half a line")
    assert end.pass_end_of_data() == b".\r\n"
    given(end, b"250 taken\r\n")
    end.send_command("DATA")
    given(end, b"354 go\r\n")
    assert end.send_message(b"a") == b"a\r\n.\r\n"


def test_content_that_is_passed_is_not_checked() -> None:
    end = in_content()
    assert end.pass_content(b"half a line") == b"half a line"
    assert end.pass_end_of_data() == b".\r\n"
    with pytest.raises(LocalProtocolError):
        end.pass_content(b"a\r\n")


def test_content_needs_354() -> None:
    end = greeted()
    end.send_command(Command.of("DATA"))
    for _ in range(2):
        with pytest.raises(LocalProtocolError):
            end.send_content(b"a\r\n")
        with pytest.raises(LocalProtocolError):
            end.send_end_of_data()
        given(end, b"554 no\r\n") if end.unanswered else None


def test_auth() -> None:
    """RFC 4954 §4."""
    end = greeted()
    with pytest.raises(LocalProtocolError):
        end.send_command(auth_line(b"eA=="))
    end.send_command(Command.of("AUTH LOGIN"))
    for _ in range(2):
        given(end, b"334 VXNlcm5hbWU6\r\n")
        assert not end.may_send()
        assert end.send_command(auth_line(b"eA==")) == b"eA==\r\n"
    given(end, b"235 ok\r\n")
    assert end.phase is Phase.COMMAND


@pytest.mark.parametrize("line", ["NOOP", "MAIL FROM:<a>", "EHLO x", "QUIT"])
def test_3xx_to_what_has_no_continuation(line: str) -> None:
    """It may open framing that nobody knows of."""
    end = greeted()
    end.send_command(Command.of(line))
    error, pause = given(end, b"354 go\r\n")
    assert isinstance(error, RemoteProtocolError)
    assert (error.phase is not Phase.MUST_CLOSE, pause, end.phase) == (True, PAUSED, Phase.MUST_CLOSE)
    assert error.evidence == b"354 go\r\n"


def test_421_ends_the_dialogue_asked_for_or_not() -> None:
    """RFC 5321 §3.8."""
    end = greeted()
    command = Command.of("NOOP")
    end.send_command(command)
    event, pause = given(end, b"421 bye\r\n")
    assert (event.command, event.unsolicited, pause, end.phase) == (command, False, PAUSED, Phase.MUST_CLOSE)
    end = greeted()
    event, pause = given(end, b"421 bye\r\n")
    assert (event.command, event.unsolicited, pause, end.phase) == (None, True, PAUSED, Phase.MUST_CLOSE)


@pytest.mark.parametrize("raw", [b"250 ok", b"354 go", b"450 later", b"554 no", b"220 again"])
def test_a_reply_that_nothing_asked_for(raw: bytes) -> None:
    end = greeted()
    error, _ = given(end, raw + b"\r\n")
    assert isinstance(error, RemoteProtocolError)
    assert "nothing asked for" in str(error)


@pytest.mark.parametrize(("raw", "polite"), [(b"250", 0), (b"354", 0), (b"421", 1), (b"452", 1), (b"552", 1)])
def test_a_reply_in_the_middle_of_mail_data(raw: bytes, polite: int) -> None:
    """A refusal answers the message early and is the last reply; anything else is a violation. The
    server may still take what comes for mail data."""
    end = in_content()
    event, pause = given(end, raw + b" x\r\n")
    assert isinstance(event, ReplyReceived if polite else RemoteProtocolError)
    assert (pause, end.phase, end.in_content) == (PAUSED, Phase.MUST_CLOSE, True)


def test_garbage_ends_the_dialogue() -> None:
    end = in_content()
    error, pause = given(end, b"hello\r\n250 ok\r\n")
    assert isinstance(error, RemoteProtocolError)
    assert (error.phase, pause, end.phase, end.in_content) == (
        Phase.CONTENT,
        PAUSED,
        Phase.MUST_CLOSE,
        True,
    )


def test_replies_are_bounded() -> None:
    end = ClientConnection(Config(max_reply=10))
    error, _ = given(end, b"220-12345678")
    assert isinstance(error, RemoteProtocolError)


def test_end_of_input_comes_behind_what_arrived() -> None:
    end = greeted()
    end.send_command(Command.of("NOOP"))
    end.receive_data(b"250 ok\r\n25")
    end.receive_eof()
    event = end.next_event()
    assert isinstance(event, ReplyReceived)
    assert (event.reply.code, end.next_event()) == (250, END_OF_INPUT)


def test_nothing_comes_after_the_end_of_input() -> None:
    end = greeted()
    end.receive_eof()
    with pytest.raises(LocalProtocolError, match="the peer's input has ended"):
        end.receive_data(b"250 ok\r\n")
    end.receive_eof()
    assert end.next_event() is END_OF_INPUT


def test_pending_and_buffered() -> None:
    end = ClientConnection()
    assert (end.pending, end.buffered) == (False, 0)
    given(end, b"220-mx\r\n")
    assert (end.pending, end.buffered) == (True, 8)
    end = ClientConnection()
    end.receive_eof()
    assert end.pending


def test_close_forgets_all() -> None:
    end = greeted()
    end.send_command(Command.of("NOOP"))
    given(end, b"25")
    end.close()
    end.receive_data(b"0 ok\r\n")
    assert (end.buffered, end.unanswered, end.next_event()) == (0, 0, PAUSED)
    with pytest.raises(LocalProtocolError):
        end.send_command(Command.of("QUIT"))


@each("phase", Phase)
def test_closed_world_of_lines(phase: Phase) -> None:
    """A line whose step is not in the table for this phase cannot be sent."""
    for kind in Kind:
        check_line(phase, kind)


def check_line(phase: Phase, kind: Kind) -> None:
    end = greeted()
    end.phase = phase
    to = FRAMING[phase].get(LINE_STEPS[kind])
    if to is None:
        with pytest.raises(LocalProtocolError):
            end.send_command(LINES[kind])
        assert (end.phase, end.unanswered) == (phase, 0)
    else:
        end.send_command(LINES[kind])
        assert (end.phase, end.unanswered) == (to, 1)


@pytest.mark.parametrize("phase", [phase for phase in Phase if FRAMING[phase].get(Step.GOODBYE)])
def test_closed_world_of_replies(phase: Phase) -> None:
    """A reply whose step is not in the table for this phase is the server's violation."""
    for kind in Kind:
        check_replies(phase, kind)


def check_replies(phase: Phase, kind: Kind) -> None:
    for code in (250, 354, 421, 450, 550):
        end = greeted()
        end.phase = next(before for before in Phase if LINE_STEPS[kind] in FRAMING[before])
        end.send_command(LINES[kind])
        end.phase = phase
        step = REPLY_STEPS.get(
            (None if phase is Phase.GREETING else kind, code if code == 421 else code // 100)
        )
        to = FRAMING[phase].get(step) if step and phase is not Phase.TLS else None  # not before TLS
        event = given(end, b"%d x\r\n" % code)[0]
        if to is None:
            assert isinstance(event, RemoteProtocolError)
            assert (event.phase, end.phase) == (phase, Phase.MUST_CLOSE)
        else:
            assert isinstance(event, ReplyReceived)
            assert end.phase is to


def test_what_is_owed_and_what_was_refused() -> None:
    end = greeted(b"250-mx", b"250 PIPELINING")
    mail, rcpt = Command.of("MAIL FROM:<a>"), Command.of("RCPT TO:<b>")
    end.send_command(mail, handle=1)
    end.send_command(rcpt, handle=2)
    assert end.owed == ((mail, 1), (rcpt, 2))
    given(end, b"250 ok\r\n")
    assert (end.owed, end.refusals) == (((rcpt, 2),), 0)
    given(end, b"450 no\r\n")
    assert (end.owed, end.refusals) == ((), 1)


def test_a_handle_comes_back_with_the_reply() -> None:
    """The caller need not count what is unanswered."""
    end = greeted(b"250-mx", b"250 PIPELINING")
    mine, yours = object(), object()
    end.send_command(Command.of("MAIL FROM:<a>"), handle=mine)
    end.send_command(Command.of("RCPT TO:<b>"))
    end.send_command(Command.of("RCPT TO:<c>"), handle=yours)
    assert (end.awaits(mine), end.awaits(yours), end.awaits(object())) == (True, True, False)
    one, two, _ = given(end, b"250 a\r\n550 b\r\n")
    assert (one.handle, two.handle) == (mine, None)
    assert (end.awaits(mine), end.awaits(yours)) == (False, True)
    three, _ = given(end, b"250 c\r\n")
    assert three.handle is yours


def test_what_comes_unasked_has_no_handle() -> None:
    end = ClientConnection()
    greeting, _ = given(end, b"220 mx\r\n")
    assert greeting.handle is None
    goodbye, _ = given(end, b"421 bye\r\n")
    assert (goodbye.handle, goodbye.unsolicited) == (None, True)


def test_one_reply_for_each_recipient() -> None:
    """RFC 2033 §4.2: each comes with the handle of the message, and no other is taken for one of them."""
    end = greeted(b"250-mx", b"250 PIPELINING")
    end.speak(Dialect.LMTP)
    for line, code in (("MAIL FROM:<a>", 250), ("RCPT TO:<b>", 250), ("RCPT TO:<c>", 250), ("DATA", 354)):
        end.send_command(Command.of(line))
        given(end, b"%d ok\r\n" % code)
    message, noop = object(), object()
    assert end.send_end_of_data(handle=message) == b".\r\n"
    end.send_command(Command.of("NOOP"), handle=noop)
    one, _ = given(end, b"250 b\r\n")
    assert (one.command, one.handle, end.awaits(message), end.unanswered) == (END_OF_DATA, message, True, 2)
    two, three, _ = given(end, b"452 c\r\n250 fine\r\n")
    assert (two.command, two.handle, end.awaits(message)) == (END_OF_DATA, message, False)
    assert (three.handle, end.unanswered) == (noop, 0)


def test_a_message_for_nobody_would_have_no_reply() -> None:
    """RFC 2033 §4.2: an LMTP server must refuse DATA then."""
    end = ClientConnection(Config(upstream_dialect=Dialect.LMTP))
    given(end, b"220 mx\r\n")
    end.send_command(Command.of("DATA"))
    violation, _ = given(end, b"354 go\r\n")
    assert isinstance(violation, RemoteProtocolError)
    assert "354 in reply to DATA without a recipient" in str(violation)


def test_the_mail_transaction_is_what_this_server_has_accepted() -> None:
    end = greeted(b"250-mx", b"250 PIPELINING")
    assert not end.transaction.open
    end.send_command(Command.of("MAIL FROM:<a>"))
    assert not end.transaction.open
    given(end, b"550 no\r\n")
    assert not end.transaction.open
    end.send_command(mail := Command.of("MAIL FROM:<b>"))
    given(end, b"250 b\r\n")
    end.send_command(Command.of("NOOP"))
    assert end.transaction.envelope.mail is mail
    assert end.transaction.open
    given(end, b"250 ok\r\n")
    end.send_command(Command.of("RSET"))
    assert end.transaction.open, "until the reply"
    given(end, b"250 reset\r\n")
    assert not end.transaction.open


def test_hello_is_what_the_server_took_last() -> None:
    end = ClientConnection()
    given(end, b"220 mx\r\n")
    taken = []
    for line, code in (("EHLO me", 502), ("HELO me", 250), ("EHLO you", 250), ("EHLO it", 451)):
        end.send_command(Command.of(line))
        given(end, b"%d ok\r\n" % code)
        taken.append(end.hello.raw if end.hello else None)
    assert taken == [None, b"HELO me", b"EHLO you", b"EHLO you"]


def test_close_forgets_the_transaction() -> None:
    end = greeted()
    end.send_command(Command.of("MAIL FROM:<a>"))
    given(end, b"250 ok\r\n")
    end.send_command(Command.of("NOOP"), handle=(handle := object()))
    end.close()
    end.close()
    assert (end.phase, end.transaction.open, end.awaits(handle)) == (Phase.CLOSED, False, False)


def test_the_two_ends_speak_with_each_other() -> None:
    """One message from end to end, and nothing between them but octets."""
    client, server = ClientConnection(), ServerConnection()
    client.receive_data(server.send_reply(Reply.of(220, "mx")))
    assert isinstance(client.next_event(), ReplyReceived)
    for line, reply in (
        ("EHLO me", Reply.of(250, "mx", "PIPELINING")),
        ("MAIL FROM:<a@me>", Reply.of(250)),
        ("RCPT TO:<b@mx>", Reply.of(250)),
        ("DATA", Reply.of(354)),
    ):
        server.receive_data(client.send_command(Command.of(line)))
        command = server.next_event()
        assert isinstance(command, Command)
        assert command.raw == line.encode()
        client.receive_data(server.send_reply(reply))
        event = client.next_event()
        assert isinstance(event, ReplyReceived)
        assert event.reply == reply
        assert client.phase is server.phase
    server.receive_data(client.send_content(b"..\r\n") + client.send_end_of_data())
    content, message = server.next_event(), server.next_event()
    assert getattr(content, "data", None) == b"..\r\n"
    assert isinstance(message, EndOfData)
    client.receive_data(server.send_reply(Reply.of(250, "taken")))
    event = client.next_event()
    assert isinstance(event, ReplyReceived)
    assert event.command is END_OF_DATA
    assert (client.unanswered, server.unanswered, server.in_transaction) == (0, 0, False)


# Replies in advance


def test_a_reply_that_came_before_its_command_does_not_answer_it() -> None:
    for early, kept in ((b"250 early\r\n", b""), (b"550 ear", b"ly\r\n")):
        end = greeted(b"250 mx")
        end.send_command(Command.of("NOOP"))
        end.receive_data(b"250 ok\r\n" + early)
        assert isinstance(end.next_event(), ReplyReceived)
        end.send_command(Command.of("MAIL FROM:<a>"))
        (error, *_) = given(end, kept) if kept else [end.next_event()]
        assert isinstance(error, RemoteProtocolError)
        assert (error.args[0], end.phase) == ("a reply before MAIL FROM:<a> was sent", Phase.MUST_CLOSE)


def test_a_server_may_say_421_at_any_time() -> None:
    end = greeted(b"250 mx")
    end.send_command(Command.of("NOOP"))
    end.receive_data(b"250 ok\r\n421 bye\r\n")
    end.next_event()
    end.send_command(Command.of("MAIL FROM:<a>"))
    event = end.next_event()
    assert isinstance(event, ReplyReceived)
    assert (event.reply.code, end.phase) == (421, Phase.MUST_CLOSE)


@pytest.mark.parametrize(("code", "taken"), [(552, True), (452, True), (250, False)])
def test_a_message_may_be_refused_before_its_end(code: int, taken: bool) -> None:
    end = in_content()
    end.receive_data(b"%d early\r\n" % code)
    end.send_end_of_data()
    assert isinstance(end.next_event(), ReplyReceived) is taken


def test_what_comes_after_the_command_answers_it() -> None:
    end = greeted(b"250 mx")
    for _ in range(2):
        end.send_command(Command.of("NOOP"))
        assert isinstance(given(end, b"250 ok\r\n")[0], ReplyReceived)


# Replies that the caller reads itself


def test_replies_may_be_read_elsewhere() -> None:
    end, handle, command = greeted(), object(), Command.of("MAIL FROM:<a>")
    assert end.next_reply_to is None, "none is owed"
    end.send_command(command, handle=handle)
    assert end.next_reply_to == (command, handle)
    assert not end.take_reply(command, Reply.of(354, "go")), "this is no reply to it"
    assert end.next_reply_to == (command, handle)
    assert end.take_reply(command, Reply.of(250, "ok"))
    assert end.next_reply_to is None
    assert end.transaction.envelope.mail is command


def test_a_server_that_owes_nothing_is_quiet() -> None:
    end = greeted()
    assert end.is_quiet
    end.send_command(Command.of("NOOP"))
    assert not end.is_quiet
    given(end, b"250 ok\r\n")
    assert end.is_quiet
    end.receive_data(b"2")
    assert not end.is_quiet
    ended = greeted()
    ended.receive_eof()
    assert not ended.is_quiet
    assert not ClientConnection().is_quiet, "it has not greeted"


def test_replies_may_not_be_read_elsewhere_after_octets_that_lie_here() -> None:
    begun, ended = greeted(), greeted()
    for end in (begun, ended):
        end.send_command(Command.of("NOOP"))
    given(begun, b"2")
    ended.receive_eof()
    assert (begun.next_reply_to, ended.next_reply_to) == (None, None)


def test_what_the_server_owes_replies_to() -> None:
    end = ClientConnection()
    given(end, b"220 mx\r\n")
    assert end.owed == ()
    command = Command.of("RSET")
    end.send_command(command, handle="handle")
    assert end.owed == ((command, "handle"),)
    given(end, b"250 ok\r\n")
    assert end.owed == ()


def test_commands_may_be_sent_in_groups_if_the_server_offers_it() -> None:
    assert greeted(b"250-mx", b"250 PIPELINING").takes_groups
    assert not greeted(b"250 mx").takes_groups


def test_a_command_may_be_text() -> None:
    for line in ("NOOP", b"NOOP", Command.of("NOOP")):
        end = greeted()
        assert end.send_command(line, handle="handle") == b"NOOP\r\n"
        event, _ = given(end, b"250 ok\r\n")
        assert (event.command.raw, event.handle) == (b"NOOP", "handle")


def test_in_a_login_text_is_the_next_line() -> None:
    for line in ("eA==", b"eA=="):
        end = greeted()
        end.send_command("AUTH LOGIN")
        given(end, b"334 VXNlcm5hbWU6\r\n")
        assert end.send_command(line) == b"eA==\r\n"
        assert (end.phase, end.awaiting.secret) == (Phase.BLOCKED, True)  # type: ignore[union-attr]
        given(end, b"334 UGFzc3dvcmQ6\r\n")
        with pytest.raises(TypeError, match="a line of a login is a str or bytes, not int"):
            end.send_command(7)  # type: ignore[arg-type]
        with pytest.raises(LocalProtocolError, match="must not hold CR"):
            end.send_command("eA==\r\n")
        with pytest.raises(LocalProtocolError, match=r"the server waits for a line of the login"):
            end.send_command(Command.of("NOOP"))


@pytest.mark.parametrize(
    ("line", "error", "text"),
    [
        (7, TypeError, "a command is a str, bytes or Command, not int"),
        (None, TypeError, "a command is a str, bytes or Command, not None"),
        ("NOOP\r\n", LocalProtocolError, "send each line by itself, without its CRLF"),
        ("", LocalProtocolError, "a command begins with a verb"),
        ("BDAT 5", LocalProtocolError, "BDAT 5 is sent with its octets: call send_chunk"),
    ],
)
def test_what_cannot_be_sent_as_a_command(line: Any, error: type[Exception], text: str) -> None:
    end = greeted()
    with pytest.raises(error, match=text):
        end.send_command(line)
    assert (end.phase, end.unanswered) == (Phase.COMMAND, 0)


@pytest.mark.parametrize(
    "lines",
    [
        ("MAIL FROM:<a@b>",),
        ("RCPT TO:<c@d>",),
        ("STARTTLS",),
        ("AUTH PLAIN ann sesame",),
        ("NOOP", "NOOP"),
        ("MAIL FROM:<gr\xfc@b>",),
    ],
)
def test_what_the_page_says_that_is_not_checked(lines: tuple[str, ...]) -> None:
    """docs/how-to/own-server-and-client.md. Here EHLO was not said, and nothing was offered."""
    end = ClientConnection()
    given(end, b"220 mx\r\n")
    for line in lines:
        assert end.send_command(line) == line.encode() + b"\r\n"


def test_content_at_the_wrong_time() -> None:
    with pytest.raises(LocalProtocolError, match="in phase COMMAND: send DATA, and read its 354"):
        greeted().send_content(b"x\r\n")
    with pytest.raises(LocalProtocolError, match="mail data cannot be sent in phase GREETING"):
        ClientConnection().send_content(b"x\r\n")


def test_a_command_is_one_text() -> None:
    """A second one must not be taken for a handle: a command without its argument would be sent."""
    end = greeted()
    with pytest.raises(TypeError, match='the whole line as one text, such as "EHLO'):
        end.send_command("EHLO", "me.example")  # type: ignore[arg-type]
    assert end.unanswered == 0
    end = in_content()
    with pytest.raises(TypeError, match="the message alone: MAIL and RCPT, sent before DATA"):
        end.send_message("ann@me.example", ["bob@mx.example"], b"x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="1 positional argument"):
        end.send_end_of_data(b"x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert end.phase is Phase.CONTENT


@each("line", [".", "Subject: hello", "a\r\nb"])
def test_the_message_is_no_command(line: str) -> None:
    with pytest.raises(LocalProtocolError, match=r"a line of the message cannot be sent .*with send_message"):
        in_content().send_command(line)


def test_end_of_data_after_a_whole_message() -> None:
    end = in_content()
    with pytest.raises(LocalProtocolError, match=r"QUIT .*send the message with send_message"):
        end.send_command("QUIT")
    end.send_message(b"x")
    with pytest.raises(LocalProtocolError, match="ended already; send_message ends its message itself"):
        end.send_end_of_data()
    assert end.unanswered == 1


def test_octets_of_every_kind_are_taken() -> None:
    for kind in (bytes, bytearray, memoryview):
        end = in_content()
        assert end.send_content(kind(b"x\r\n")) == b"x\r\n"
        end.receive_data(kind(b"451 no\r\n"))
        assert isinstance(end.next_event(), ReplyReceived)


def test_lines_of_a_dot_and_nuls() -> None:
    """The first octet says if the writer can make the line safe: it doubles a dot."""
    for line in (b".\0\n", b"\0\n", b"..\0\n"):
        assert in_content().send_message(line).endswith(b"\0\r\n.\r\n")
    for line in (b"\0.\n", b"\0.\0\n", b"a\n\0\0.\n"):
        with pytest.raises(LocalProtocolError, match="this message cannot be sent: NUL in mail data"):
            in_content().send_message(line)


def test_wrong_types_are_named() -> None:
    for use, text in (
        (lambda: in_content().send_content("x"), "send_content takes bytes, not str"),  # type: ignore[arg-type]
        (lambda: greeted(b"250 CHUNKING").send_chunk("x"), "send_chunk takes bytes, not str"),  # type: ignore[arg-type]
        (lambda: greeted().receive_data("x"), "receive_data takes bytes, not str"),  # type: ignore[arg-type]
        (lambda: ClientConnection({}), "ClientConnection takes a Config, not dict"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=text):
            use()


def test_the_dialect_may_be_a_word() -> None:
    end = ClientConnection()
    end.speak("lmtp")
    assert end.dialect is Dialect.LMTP
    with pytest.raises(ValueError, match='this is "smtp" or "lmtp", not'):
        end.speak("imap")


def test_no_octets_are_the_end_of_input() -> None:
    assert given(greeted(), b"") == [END_OF_INPUT]
    assert given(greeted(), b"250 half a rep", b"") == [END_OF_INPUT]


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (b"", b".\r\n"),
        (b"Subject: x\n\n.hidden", b"Subject: x\r\n\r\n..hidden\r\n.\r\n"),
        (bytearray(b"x\r\n.\r\nQUIT\r\n"), b"x\r\n..\r\nQUIT\r\n.\r\n"),
    ],
)
def test_a_whole_message(message: bytes, wire: bytes) -> None:
    end = in_content()
    assert end.send_message(message, handle="handle") == wire
    event, _ = given(end, b"250 ok\r\n")
    assert (event.command, event.handle) == (END_OF_DATA, "handle")


def test_a_message_that_cannot_be_sent() -> None:
    end = in_content()
    for use, error, text in (
        (lambda: end.send_message("text"), TypeError, "send_message takes bytes, not str"),  # type: ignore[arg-type]
        (lambda: end.send_message(b"\0.\r\n"), LocalProtocolError, "this message cannot be sent: "),
        (lambda: greeted().send_message(b"x"), LocalProtocolError, "send DATA, and read its 354"),
    ):
        with pytest.raises(error, match=text):
            use()
    assert end.phase is Phase.CONTENT


def test_a_client_shows_its_phase() -> None:
    assert repr(greeted()) == "<ClientConnection in phase COMMAND>"
