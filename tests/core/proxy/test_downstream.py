"""The leg to the client: replies in their order, one question at a time, and how a dialogue ends."""

from __future__ import annotations

import pytest

from core.scene import Scene, spell
from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import Config, Dialect
from sansio_smtp.ends.fan_out import FanOut
from sansio_smtp.ends.received import Pause
from sansio_smtp.errors import InternalError
from sansio_smtp.events import CLIENT, SERVER, Event, MessageAnswered, SendToClient, SendToServer
from sansio_smtp.proxy import own_replies
from sansio_smtp.proxy.downstream import Downstream
from sansio_smtp.questions import Answer, CommandQuestion, Continue, Disconnect
from sansio_smtp.states import Gate, Phase
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Origin, Reply
from sansio_smtp.wire.sasl import UNKNOWN_LOGIN, Login

NO = Reply.of(550, "no")


def test_replies_leave_in_the_order_of_the_commands() -> None:
    """RFC 2920 §3.2, though the rule answers before the server does."""
    scene = Scene("RCPT").greeted()
    assert scene.client("MAIL FROM:<a>", "RCPT TO:<b>") == ["S: MAIL FROM:<a>", "? CommandQuestion"]
    assert scene.answer(Answer(NO)) == []
    assert scene.server("250 ok") == ["C: 250 ok", "C: 550 no"]


def test_a_reply_says_who_has_decided_it() -> None:
    """The EHLO reply is the server's, whatever is left out of it."""
    scene = Scene("RCPT").greeted()
    assert scene.event(SendToClient).origin is Origin.SERVER
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>")
    scene.answer(Answer(Reply.of(550, "no", origin=Origin.RULE)))
    scene.server("250 ok")
    sent = [event.origin for event in scene.last if isinstance(event, SendToClient)]
    assert sent == [Origin.SERVER, Origin.RULE]
    scene.took(scene.proxy.timed_out())
    assert scene.event(SendToClient).origin is Origin.PROXY


def test_credentials_are_shown_nowhere_not_even_when_they_are_said_back() -> None:
    scene = Scene(config=Config(trace=True)).greeted()
    shown = scene.client("AUTH PLAIN c2VjcmV0")
    assert scene.event(SendToServer).data == b"AUTH PLAIN c2VjcmV0\r\n"
    assert scene.event(SendToServer).shown == b"AUTH PLAIN ********\r\n"
    assert shown == ["received CLIENT AUTH PLAIN ********", "S: AUTH PLAIN c2VjcmV0"]
    assert "c2VjcmV0" not in repr(scene.last)
    shown = scene.server("535 c2VjcmV0 is wrong")
    assert shown == ["received SERVER 535 ******** is wrong", "C: 535 c2VjcmV0 is wrong"]
    assert scene.event(SendToClient).shown == b"535 ******** is wrong\r\n"
    assert "c2VjcmV0" not in repr(scene.last)


def test_words_too_short_to_tell_anything_are_not_masked() -> None:
    scene = Scene().greeted()
    scene.client("AUTH PLAIN =")
    scene.server("535 5.7.8 a=b")
    assert scene.event(SendToClient).shown == b"535 5.7.8 a=b\r\n"


def test_only_the_latest_credentials_are_remembered() -> None:
    """What a client sends must not fill the memory."""
    scene = Scene().greeted()
    for number in range(10):
        scene.client(f"AUTH PLAIN secret{number}x")
        scene.server("535 no")
    scene.client("NOOP")
    scene.server("250 secret0x secret9x")
    assert scene.event(SendToClient).shown == b"250 secret0x ********\r\n"


def test_trace_is_off_by_default() -> None:
    assert Scene().greeted().client("NOOP") == ["S: NOOP"]


@pytest.mark.parametrize(
    ("client", "before", "spelled"),
    [
        ((), (), ["C: 421 4.4.2 upstream server closed the connection"]),
        (("NOOP",), (), ["C: 421 4.4.2 upstream server closed the connection"]),
        (("QUIT",), (), ["C: 221 2.0.0 bye"]),
        (
            ("MAIL FROM:<a>", "RCPT TO:<b>", "DATA", "x", "."),
            ("250 a", "250 b", "354 go"),
            ["answered 451", "C: 451 4.4.2 upstream server was lost before it accepted the message"],
        ),
    ],
)
def test_the_server_goes_without_a_word(
    client: tuple[str, ...], before: tuple[str, ...], spelled: list[str]
) -> None:
    """RFC 5321 §3.8: the client is told what that means for what it waits for."""
    scene = Scene().greeted()
    scene.client(*client)
    scene.server(*before)
    assert scene.took(scene.proxy.eof_from(SERVER)) == [*spelled, "close S", "close C"]
    assert scene.proxy.closed


def test_the_server_leaves_with_421() -> None:
    """RFC 5321 §3.8: its own words are passed on, asked for or not."""
    for before in ((), ("NOOP",)):
        scene = Scene().greeted()
        scene.client(*before)
        assert scene.server("421 going down") == ["C: 421 going down", "close S", "close C"]


def test_the_server_is_aborted_in_the_middle_of_mail_data() -> None:
    """A message that has no end-of-data must in no way look complete."""
    scene = Scene().in_content()
    scene.client("half")
    assert scene.took(scene.proxy.eof_from(CLIENT)) == ["abort S", "close C"]


def test_disconnect_ends_both_sides_behind_its_reply() -> None:
    scene = Scene("RCPT").greeted()
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>")
    assert scene.answer(Disconnect(NO)) == []
    assert scene.server("250 a") == ["C: 250 a", "C: 550 no", "close S", "close C"]


def test_a_session_that_is_to_end_goes_on_with_nothing() -> None:
    """What was sent after the line that ends the session is not even parsed."""
    for verdict in (Disconnect(NO), Answer(Reply.of(421, "go"))):
        scene = Scene("RCPT").greeted()
        scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "RSET", "MAIL FROM:<c>")
        assert scene.answer(verdict) == []
        assert CLIENT not in scene.proxy.may_read
        assert scene.client("QUIT") == []
        assert [text[:2] for text in scene.server("250 a")] == ["C:", "C:", "cl", "cl"]


def test_disconnect_at_the_greeting() -> None:
    scene = Scene("REPLY")
    scene.server("220 mx")
    assert scene.answer(Disconnect(Reply.of(554, "no"))) == ["C: 554 no", "close S", "close C"]


def test_detached_the_client_is_still_served() -> None:
    """The message was refused while it streamed: the server is gone, and the client gets its reply."""
    scene = Scene("HEADERS").in_content()
    scene.client("A: b", "")
    assert scene.answer(Answer(NO)) == ["abort S"]
    assert scene.client("rest", ".") == ["answered 550", "C: 550 no"]
    assert scene.client("QUIT") == ["C: 221 2.0.0 bye", "close C"]


def test_close_forgets_the_commands_that_wait() -> None:
    scene = Scene().greeted()
    scene.client("NOOP one", "NOOP two")
    assert scene.proxy.buffered == 16
    scene.took(scene.proxy.timed_out())
    assert scene.proxy.buffered == 0


def test_close_happens_once() -> None:
    scene = Scene().greeted()
    assert scene.took(scene.proxy.eof_from(CLIENT)) == ["close S", "close C"]
    for again in (scene.proxy.timed_out, scene.proxy.server_unreachable, scene.proxy.client_lost):
        assert scene.took(again()) == []
    assert scene.took(scene.proxy.eof_from(SERVER)) == []


def test_close_forgets_the_question() -> None:
    scene = Scene("RCPT").greeted()
    scene.client("RCPT TO:<b>")
    scene.took(scene.proxy.timed_out())
    assert spell(scene.proxy.answer(scene.question, Continue())) == []


def test_a_command_is_due_when_all_before_it_is_answered() -> None:
    """Except recipients, which do not depend on each other (RFC 2920 §3.1)."""
    scene = Scene("RCPT", "DATA", "IN_TURN").greeted()
    assert scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>", "DATA") == ["S: MAIL FROM:<a>"]
    assert scene.server("250 a") == ["C: 250 a", "? CommandQuestion"]
    assert scene.answer(Continue()) == ["S: RCPT TO:<b>", "? CommandQuestion"]
    assert scene.answer(Continue()) == ["S: RCPT TO:<c>"]
    assert scene.server("250 b") == ["C: 250 b"]
    assert scene.server("250 c") == ["C: 250 c", "? CommandQuestion"]


# The leg by itself


class Leg:
    """A leg after the greeting, and what it has been called to do."""

    def __init__(self, *lines: str) -> None:
        self.out: list[Event] = []
        self.over = self.room = 0
        self.leg = Downstream(Config(), self.out)
        self.leg.call(on_over=self.close, on_room=self.make_room, waiting=[object()])
        self.leg.send_reply(Reply.of(220, "mx"))
        self.leg.end.receive_data(b"".join(line.encode() + b"\r\n" for line in lines))
        while not isinstance(self.leg.end.next_event(), Pause):
            pass
        self.out.clear()

    def close(self) -> None:
        self.over += 1
        self.leg.close()

    def make_room(self) -> None:
        self.room += 1

    def fill(self, index: int, *replies: Reply) -> list[str]:
        exchange = self.leg.end.exchanges[index]
        for reply in replies:
            self.leg.fill(exchange, reply)
        shown = spell(self.out)
        self.out.clear()
        return shown

    def message(self, owes: int) -> None:
        """The client has sent a message that is owed several replies (RFC 2033 §4.2)."""
        for code in (250, 250, 250, 354):
            self.fill(0, Reply.of(code))
        self.leg.end.receive_data(b"x\r\n.\r\nNOOP\r\n")
        while not isinstance(self.leg.end.next_event(), Pause):
            pass
        self.leg.end.exchanges[0].owes = owes


LMTP = ("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>", "DATA")
OK = Reply.of(250, "ok")


def test_any_reply_may_be_known_first_and_the_oldest_leaves() -> None:
    leg = Leg("MAIL FROM:<a>", "RCPT TO:<b>", "RSET")
    assert leg.fill(2, OK) == []
    assert leg.fill(1, NO) == []
    assert leg.fill(0, OK) == ["C: 250 ok", "C: 550 no", "C: 250 ok"]
    assert leg.room == 3


def test_one_reply_for_each_recipient() -> None:
    """The message is accounted for once, and what came after it waits for all of them."""
    leg = Leg(*LMTP)
    leg.message(owes=2)
    assert leg.fill(1, OK) == []
    assert leg.fill(0, OK) == ["C: 250 ok"]
    assert leg.fill(0, NO) == ["answered 550", "C: 550 no", "C: 250 ok"]


def test_both_replies_for_the_recipients_are_known_before_their_turn() -> None:
    leg = Leg(*LMTP)
    leg.message(owes=2)
    first, second = leg.leg.end.exchanges
    second.owes = 1
    leg.leg.fill(second, OK)
    assert leg.fill(0, NO, OK) == ["C: 550 no", "answered 250", "C: 250 ok", "C: 250 ok"]
    assert first.owes == 1


def test_a_session_that_is_to_end_ends_after_the_last_of_them() -> None:
    """RFC 2033 §4.2: the client counts them."""
    leg = Leg(*LMTP)
    leg.message(owes=2)
    leg.leg.end_with(leg.leg.end.exchanges[0])
    assert leg.fill(0, OK) == ["C: 250 ok"]
    assert leg.over == 0
    assert leg.fill(0, NO) == ["answered 550", "C: 550 no"]
    assert leg.over == 1


def test_end_with_forgets_the_question() -> None:
    leg = Leg("NOOP", "RSET")
    leg.leg.ask(CommandQuestion(leg.leg.end.newest.command, leg.leg.end.envelope), lambda _: None)
    leg.leg.end_with(leg.leg.end.exchanges[0])
    assert leg.leg.question is None
    assert leg.leg.gate is Gate.ENDING
    assert leg.fill(0, OK) == ["? CommandQuestion", "C: 250 ok"]
    assert (leg.over, leg.leg.gate) == (1, Gate.SHUT)


def test_what_becomes_known_when_all_is_over_is_told_nobody() -> None:
    leg = Leg("NOOP", "RSET")
    first, second = leg.leg.end.exchanges
    leg.close()
    leg.leg.fill(first, OK)
    leg.leg.fill(second, Reply.of(421, "bye"))
    assert leg.out == []


def test_the_greeting_command_is_what_the_client_was_told_was_accepted() -> None:
    leg = Leg("EHLO me")
    leg.leg.end.newest.went_as(put_in := Command.of("EHLO proxy"))
    leg.fill(0, OK)
    assert leg.leg.hello is put_in
    leg = Leg("HELO me")
    leg.fill(0, NO)
    assert leg.leg.hello is None


def test_who_has_logged_in() -> None:
    leg = Leg().leg
    assert (leg.authenticated, leg.login) == (False, None)
    leg.log_in([Command.of("AUTH GSSAPI")])
    assert (leg.authenticated, leg.login) == (True, UNKNOWN_LOGIN), "the mechanism does not tell"
    assert leg.client_info == ClientInfo(login_unknown=True)
    leg.log_in([Command.of("AUTH PLAIN AEFubgBz")])
    assert leg.login == Login("ann", "Ann")


def test_a_login_that_a_verdict_has_accepted_is_not_known_to_the_server() -> None:
    leg = Leg().leg
    leg.log_in([Command.of("AUTH PLAIN AEFubgBz")], by_server=False)
    assert (leg.authenticated, leg.login) == (False, Login("ann", "Ann"))


def test_logins_may_be_case_sensitive() -> None:
    leg = Downstream(Config(case_sensitive_logins=True), [])
    leg.log_in([Command.of("AUTH PLAIN AEFubgBz")])
    assert leg.login == Login("Ann", "Ann", case_sensitive=True)


def test_a_leg_that_stands_alone_calls_nobody() -> None:
    leg = Downstream(Config(), [])
    leg.send_reply(Reply.of(554, "no"))
    assert leg.end.phase is Phase.MUST_CLOSE


def test_no_verdict_is_taken_if_no_question_is_open() -> None:
    with pytest.raises(TypeError, match="answer takes a question"):
        Downstream(Config(), []).take_resume()


def test_the_gate_is_shut_to_a_second_question() -> None:
    """One is open at a time: a second is a fault of the library."""
    leg = Leg("NOOP")
    question = CommandQuestion(leg.leg.end.newest.command, leg.leg.end.envelope)
    leg.leg.ask(question, lambda _: None)
    with pytest.raises(InternalError, match="ASKED"):
        leg.leg.ask(question, lambda _: None)


def test_what_is_known_of_the_client_is_what_the_driver_knows_and_what_was_accepted() -> None:
    leg = Downstream(Config(), [], ClientInfo(address="192.0.2.1:51000"))
    assert leg.client_info == ClientInfo(address="192.0.2.1:51000")
    leg.log_in([Command.of("AUTH PLAIN AEFubgBz")])
    assert leg.client_info == ClientInfo(address="192.0.2.1:51000", login="ann", login_given="Ann")


def test_helo_is_that_of_the_greeting_command_that_was_accepted() -> None:
    scene = Scene()
    scene.server("220 mx")
    scene.client("EHLO me.example ")
    assert scene.proxy.client_info.helo == ""
    scene.server("250 mx")
    assert scene.proxy.client_info.helo == "me.example"


def test_a_password_is_shown_in_no_later_reply_either() -> None:
    """Decoded, and also where the reply to a message goes to a log."""
    scene = Scene().greeted()
    scene.client("AUTH PLAIN AGFubgBodW50ZXIy")
    scene.server("235 welcome, hunter2")
    assert scene.event(SendToClient).shown == b"235 welcome, ********\r\n"
    for line in ("MAIL FROM:<a>", "RCPT TO:<b>"):
        scene.client(line)
        scene.server("250 ok")
    scene.client("DATA")
    scene.server("354 go")
    scene.client("hi", ".")
    scene.server("250-kept for hunt", "250 er2")
    assert scene.event(MessageAnswered).shown == "250-kept for ********"


def test_the_replies_of_a_server_are_shared_out() -> None:
    """The account of the message has them all, and says what is true of all."""
    leg = Leg(*LMTP)
    leg.message(owes=2)
    end = leg.leg.end
    exchange = end.exchanges[0]
    exchange.share(fan_out := FanOut(end.envelope, by_recipient=True))
    fan_out.sent_to(end.envelope.recipients, by_recipient=True)
    leg.leg.share(exchange, OK)
    leg.leg.share(exchange, NO)
    assert spell(leg.out) == ["C: 250 ok", "answered 550", "C: 550 no"]
    (answered,) = (event for event in leg.out if isinstance(event, MessageAnswered))
    assert [reply for _, reply in answered.results] == [OK, NO]


def test_results_hold_no_secret() -> None:
    scene = Scene(config=Config(upstream_dialect=Dialect.LMTP)).greeted()
    scene.client("AUTH PLAIN AGFubgBodW50ZXIy")
    scene.server("235 welcome")
    for line in ("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>"):
        scene.client(line)
        scene.server("250 ok")
    scene.client("DATA")
    scene.server("354 go")
    scene.client("hi", ".")
    scene.server("250 kept", "552 full, hunter2")
    assert [str(reply) for _, reply in scene.event(MessageAnswered).results] == [
        "250 kept",
        "552 full, ********",
    ]


def test_421_is_the_last_of_them() -> None:
    leg = Leg(*LMTP)
    leg.message(owes=2)
    exchange = leg.leg.end.exchanges[0]
    exchange.share(FanOut(leg.leg.end.envelope, by_recipient=True))
    leg.leg.share(exchange, Reply.of(421, "bye"))
    assert (spell(leg.out), leg.over) == (["answered 421", "C: 421 bye"], 1)


def test_a_server_that_is_lost_leaves_no_recipient_without_a_reply() -> None:
    leg = Leg(*LMTP)
    leg.message(owes=2)
    leg.leg.fail(own_replies.LOST)
    assert [text[:6] for text in spell(leg.out)] == ["answer", "C: 451", "C: 451"]


def test_the_same_reply_as_often_as_it_is_owed() -> None:
    leg = Leg(*LMTP)
    leg.message(owes=2)
    leg.leg.fill_all(leg.leg.end.exchanges[0], NO)
    assert spell(leg.out) == ["C: 550 no", "answered 550", "C: 550 no"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("250 kept", ["answered 250", "C: 250 kept", "C: 421 4.3.0 no decision in time, try again later"]),
        ("421 going down", ["answered 421", "C: 421 going down"]),
    ],
)
def test_what_the_server_has_said_of_a_message_is_told_before_all_ends(said: str, told: list[str]) -> None:
    """A rule thinks about that reply for too long; without it the client would send the message again."""
    scene = Scene("REPLY")
    for client, server in (
        ((), "220 mx"),
        (("HELO me",), "250 mx"),
        (("MAIL FROM:<a>",), "250 a"),
        (("RCPT TO:<b>",), "250 b"),
        (("DATA",), "354 go"),
    ):
        scene.client(*client)
        scene.server(server)
        scene.answer(Continue())
    scene.client("x", ".")
    assert scene.server(said) == ["? ReplyQuestion"]
    assert scene.took(scene.proxy.timed_out()) == [*told, "close S", "close C"]


def test_the_reply_to_a_command_is_of_no_use_when_all_ends() -> None:
    for client, server in (((), "220 mx"), (("HELO me",), "250 mx")):
        scene = Scene("REPLY")
        if client:
            scene.server("220 mx")
            scene.answer(Continue())
            scene.client(*client)
        assert scene.server(server) == ["? ReplyQuestion"]
        told = scene.took(scene.proxy.timed_out())
        assert told == ["C: 421 4.3.0 no decision in time, try again later", "close S", "close C"]
