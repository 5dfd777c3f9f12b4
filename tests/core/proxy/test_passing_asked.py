"""Passing in a session with rules: what passes after a verdict, and that nothing is asked twice or of another
command. That the state is that of the general path, `Twins` compare in all tests that ask."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st
from twins import Twins

from core.scene import lines
from sansio_smtp.config import Config
from sansio_smtp.ends.exchanges import Content
from sansio_smtp.events import CLIENT, SERVER, Ask, SendToClient, SendToServer, Side
from sansio_smtp.proxy.passing_asked import AskedPassing, may_ask_ahead
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.proxy.shared import shared
from sansio_smtp.questions import (
    HEADERS,
    MESSAGE,
    Answer,
    CommandQuestion,
    Continue,
    Disconnect,
    HeadersQuestion,
    Inspect,
    ReplaceCommand,
    Route,
    Swallow,
    Unasked,
)
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.paths import USUAL
from sansio_smtp.wire.replies import Reply

ENVELOPE = frozenset(("MAIL", "RCPT", "DATA", "IN_TURN"))
NO = Reply.of(550, "no")
COPY = Command.of("RCPT TO:<copy@x>")
MAIL = ("MAIL FROM:<a@me>", "250 ok")
RCPT = ("RCPT TO:<b@mx>", "250 ok")
DATA = ("DATA", "354 go")
LETTER = b"Subject: hi\r\n\r\ntext\r\n.\r\n"


class Session:
    """A proxy that is driven by `pass_on` after EHLO, with a verdict for each question in its turn."""

    def __init__(
        self,
        *verdicts: Any,
        ask: Iterable[str] = ENVELOPE,
        of_content: Any = None,
        unasked: Unasked | None = None,
        **choices: Any,
    ) -> None:
        self.verdicts = list(verdicts)
        self.asked: list[Any] = []
        self.proxy = Proxy(Config(**choices), ask)
        self.proxy.ask_ahead(self.ahead, of_content, unasked)
        for side, text in ((SERVER, "220 mx"), (CLIENT, "EHLO me"), (SERVER, "250 mx")):
            assert not self.passes(side, text)

    def ahead(self, question: Any) -> Any:
        self.asked.append(question)
        return self.verdicts.pop(0)

    def passes(self, side: Side, data: str | bytes) -> bool:
        """Returns True if it is passed on as it is; else the general path has it now."""
        octets = lines(data) if isinstance(data, str) else data
        given = self.proxy.pass_on(side, octets)
        if given is None:
            self.events = self.proxy.receive_from(side, octets)
        assert given in (None, octets)
        return given is not None

    def says(self, *pairs: tuple[str, str]) -> None:
        """Commands and their replies, which pass."""
        for line, reply in pairs:
            assert self.passes(CLIENT, line)
            assert self.passes(SERVER, reply)

    @property
    def question(self) -> Any:
        """What is asked by the events of the last input."""
        (event,) = self.events
        assert isinstance(event, Ask)
        return event.question


@pytest.mark.parametrize("looks", [False, True])
def test_a_message_that_the_rules_let_pass(looks: bool) -> None:
    """The envelope names the commands that were asked about, whenever it is read."""
    session = Session(*(Continue(), Continue(), Continue(), Inspect(frozenset())) * 2)
    for _ in range(2):
        session.asked.clear()
        session.says(MAIL, RCPT)
        assert session.passes(CLIENT, "RCPT TO:<c@mx>")
        assert not session.passes(SERVER, "550 no"), "refusals are counted elsewhere"
        session.says(DATA)
        mail, rcpt, _, data = session.asked
        if looks:
            assert session.proxy.envelope.mail is mail.command
            assert session.proxy.envelope.recipients[0] is rcpt.command
        assert data.envelope.recipients == [rcpt.command]
        assert session.passes(CLIENT, LETTER)
        assert session.passes(SERVER, "250 taken")
        answered = session.proxy.take_answered()
        assert answered.envelope.mail is mail.command
        assert answered.envelope.recipients == [rcpt.command]
        assert session.proxy.envelope.mail is None
    assert not session.verdicts


IN_HEADERS, IN_MESSAGE = Inspect(frozenset((HEADERS,))), Inspect(frozenset((MESSAGE,)))
LINES = {b"MAIL": USUAL, b"RCPT": USUAL}


def test_what_need_not_be_asked_about() -> None:
    session = Session(Continue(), unasked=Unasked(LINES, IN_HEADERS))
    progress = session.proxy.progress
    session.says(MAIL, RCPT, DATA)
    assert session.proxy.progress == progress + 9  # each verdict counts
    assert not session.asked
    assert session.passes(CLIENT, LETTER)
    (question,) = session.asked
    assert question.envelope.mail.raw == MAIL[0].encode()
    assert [each.raw for each in question.envelope.recipients] == [RCPT[0].encode()]
    assert session.proxy.envelope.recipients == question.envelope.recipients
    assert session.proxy.envelope.recipients[0] is question.envelope.recipients[0]
    assert session.passes(SERVER, "250 taken")
    assert session.proxy.take_answered().envelope.recipients == question.envelope.recipients


def test_what_has_to_be_asked_about_all_the_same() -> None:
    """A path that is not usual, RCPT and DATA without a transaction, DATA without recipients."""
    unasked = Unasked(LINES, IN_HEADERS)
    for line in ("MAIL FROM:<>", RCPT[0], DATA[0]):
        session = Session(Continue() if line != DATA[0] else IN_HEADERS, unasked=unasked)
        assert session.passes(CLIENT, line)
        assert [question.command.raw for question in session.asked] == [line.encode()]
    session = Session(IN_HEADERS, unasked=unasked)
    session.says(MAIL)
    assert session.passes(CLIENT, DATA[0])
    assert len(session.asked) == 1


@pytest.mark.parametrize("known", [None, IN_MESSAGE, IN_HEADERS])
def test_the_verdict_on_data_may_be_known(known: Inspect | None) -> None:
    """If it is not, or the message has to be asked about whole, DATA is asked about."""
    envelopes: list[Any] = []

    def of_content(envelope: Any) -> Inspect | None:
        envelopes.append(envelope)
        return known

    session = Session(IN_HEADERS, of_content=of_content, unasked=Unasked(LINES))
    session.says(MAIL, RCPT)
    assert session.passes(CLIENT, DATA[0])
    assert [each.raw for each in envelopes[0].recipients] == [RCPT[0].encode()]
    assert len(session.asked) == (known != IN_HEADERS)


def test_messages_without_a_question_about_a_line() -> None:
    session = Session(Continue(), Continue(), unasked=Unasked(LINES, IN_HEADERS))
    for _ in range(2):
        session.says(MAIL, RCPT, DATA)
        assert session.passes(CLIENT, LETTER)
        assert session.passes(SERVER, "250 taken")
        assert len(session.proxy.take_answered().envelope.recipients) == 1


def test_data_that_nobody_asks_about() -> None:
    session = Session(Continue(), Continue(), ask=("MAIL", "RCPT"))
    session.says(MAIL, RCPT, DATA)
    assert session.passes(CLIENT, LETTER)
    assert session.passes(SERVER, "250 taken")
    assert [each.raw for each in session.proxy.take_answered().envelope.recipients] == [RCPT[0].encode()]


def test_a_line_in_place_of_one_that_has_its_turn() -> None:
    session = Session(Continue())
    assert session.proxy.pass_on(CLIENT, lines(MAIL[0], RCPT[0])) == lines(MAIL[0])
    assert session.passes(SERVER, "250 ok")
    assert not session.passes(CLIENT, "NOOP")
    assert session.question.command.raw == RCPT[0].encode()


def test_a_message_that_has_to_be_asked_about_whole() -> None:
    session = Session(Inspect(frozenset()), unasked=Unasked(LINES, IN_MESSAGE))
    session.says(MAIL, RCPT, DATA)
    assert len(session.asked) == 1


def test_a_message_of_which_nobody_wants_to_know() -> None:
    session = Session(Continue(), Continue(), Inspect(frozenset()), Continue())
    session.says(MAIL, RCPT, DATA)
    assert session.passes(CLIENT, LETTER)
    assert session.passes(SERVER, "250 taken")
    session.proxy.forget_answered()
    session.says(MAIL)
    assert session.proxy.envelope.mail is session.asked[-1].command


def test_commands_that_nobody_asks_about() -> None:
    session = Session(Continue())
    session.says(("NOOP", "250 ok"), MAIL, ("RSET", "250 ok"))
    assert session.proxy.envelope.mail is None
    assert session.passes(CLIENT, "QUIT")


@pytest.mark.parametrize(
    "verdict",
    [None, Answer(NO), Disconnect(NO), Route("other"), ReplaceCommand(Command.of("MAIL FROM:<z@me>"))],
)
def test_another_verdict_on_a_command(verdict: Any) -> None:
    """The command comes as a question, and as the same object."""
    session = Session(verdict)
    assert not session.passes(CLIENT, MAIL[0])
    assert session.question.command is session.asked[0].command
    assert session.proxy.answer(session.question, verdict or Continue())
    assert len(session.asked) == 1


def test_nobody_is_asked_after_it_was_let_go() -> None:
    session = Session(Continue())
    session.says(MAIL)
    session.proxy.let_go()
    assert session.proxy.pass_on(CLIENT, lines(RCPT[0])) is None
    assert len(session.asked) == 1


@pytest.mark.parametrize(
    "verdict",
    [
        *(None, Continue(), Continue((COPY,)), Swallow(NO), Inspect(frozenset(("MESSAGE",)))),
        *(Inspect(frozenset(("HEADERS", "BODY_LINES"))), Inspect(frozenset(), (COPY,))),
    ],
)
def test_another_verdict_on_data(verdict: Any) -> None:
    session = Session(Continue(), Continue(), verdict, ask=ENVELOPE | {"HEADERS"})
    session.says(MAIL, RCPT)
    assert not session.passes(CLIENT, "DATA")
    assert session.question.command is session.asked[-1].command
    assert session.question.envelope.mail is session.asked[0].command
    session.proxy.answer(session.question, verdict or Continue())
    assert len(session.asked) == 3


def test_a_recipient_that_a_verdict_adds_to_another_command_than_data() -> None:
    session = Session(Continue((COPY,)))
    assert not session.passes(CLIENT, MAIL[0])


IN_HEADERS = Inspect(frozenset(("HEADERS",)))


def in_content(*verdicts: Any, **choices: Any) -> Session:
    """After 354, with the header section to be asked about."""
    ask = ENVELOPE | {"HEADERS"}
    session = Session(Continue(), Continue(), IN_HEADERS, *verdicts, ask=ask, **choices)
    session.says(MAIL, RCPT, DATA)
    return session


def test_a_header_section_that_the_rules_let_pass() -> None:
    session = in_content(Continue(), Continue())
    assert session.passes(CLIENT, LETTER)
    question = session.asked[-1]
    assert isinstance(question, HeadersQuestion)
    assert question.data == b"Subject: hi\r\n\r\n"
    assert question.envelope.mail is session.asked[0].command
    assert session.passes(SERVER, "250 taken")
    assert session.proxy.take_answered().envelope.mail is session.asked[0].command
    session.says(MAIL)


@pytest.mark.parametrize("verdict", [None, Answer(NO), Continue((COPY,))])
def test_another_verdict_on_a_header_section(verdict: Any) -> None:
    session = in_content(verdict)
    assert not session.passes(CLIENT, LETTER)
    assert session.question.data == session.asked[-1].data
    assert len(session.asked) == 4


@pytest.mark.parametrize(
    ("data", "choices"),
    [
        (b"A: b\r\ntext\r\n.\r\n", {}),
        (b"\r\ntext\r\n\r\n.\r\n", {}),
        (b"A: b\r\n..: b\r\n\r\ntext\r\n.\r\n", {}),
        (b"A: b\r\n\r\ntext\r\n", {}),
        (b"A: b\r\n\r\nte\nxt\r\n.\r\n", {}),
        (b"A: %s\r\n\r\ntext\r\n.\r\n" % (b"b" * 70_000), {"max_header_section": 65_536}),
    ],
)
def test_content_that_is_asked_about_by_events_alone(data: bytes, choices: dict[str, Any]) -> None:
    session = in_content(**choices)
    assert not session.passes(CLIENT, data)
    assert len(session.asked) == 3


def test_stuffed_dots_in_the_body() -> None:
    session = in_content(Continue())
    assert session.passes(CLIENT, b"A: b\r\n\r\n..text\r\n.\r\n")


def test_a_message_in_pieces() -> None:
    """Without a question about it, it passes; with one, that is asked by an event."""
    session = Session(Continue(), Continue(), Inspect(frozenset()))
    session.says(MAIL, RCPT, DATA)
    assert session.passes(CLIENT, b"A: b\r\n")
    assert session.passes(CLIENT, b"\r\ntext\r\n.\r\n")
    assert session.passes(SERVER, "250 taken")
    assert session.proxy.take_answered().envelope.mail is session.asked[0].command
    session = in_content()
    assert not session.passes(CLIENT, b"A: b\r\n\r\n")
    assert isinstance(session.question, HeadersQuestion)


GROUP = lines(MAIL[0], RCPT[0], DATA[0])


def group(*verdicts: Any, **choices: Any) -> Session:
    """A session whose client has sent a whole group, of which MAIL has been passed on."""
    session = Session(Continue(), *verdicts, **choices)
    assert session.proxy.pass_on(CLIENT, GROUP) == lines(MAIL[0])
    assert session.proxy.has_rest
    return session


def test_each_line_of_a_group_waits_for_the_reply_before_it() -> None:
    session = group(Continue(), Inspect(frozenset()))
    for reply, line in (("250 ok", RCPT[0]), ("250 ok", DATA[0])):
        assert session.passes(SERVER, reply)
        assert session.proxy.pass_rest() == lines(line)
    assert not session.proxy.has_rest
    assert session.passes(SERVER, "354 go")
    assert session.passes(CLIENT, LETTER)
    assert session.passes(SERVER, "250 taken")
    answered = session.proxy.take_answered()
    assert [command.raw for command in answered.envelope.recipients] == [b"RCPT TO:<b@mx>"]


@pytest.mark.parametrize(
    "data",
    [
        lines(MAIL[0], RCPT[0], RCPT[0]),  # none of them waits for the other
        lines(MAIL[0], "NOOP"),  # nobody asks about it
        lines(DATA[0], MAIL[0]),  # DATA ends a group
        lines(MAIL[0], "rcpt to:<b@mx>"),
        lines(MAIL[0])[:-1] + lines(RCPT[0]),
        lines(MAIL[0]) + b"RCPT TO:<b@mx>",
        lines(*[MAIL[0]] * 100),
    ],
)
def test_groups_for_the_general_path(data: bytes) -> None:
    session = Session()
    assert not session.passes(CLIENT, data)
    assert not session.asked


def test_a_group_that_is_not_asked_about_in_turn() -> None:
    session = Session(ask=ENVELOPE - {"IN_TURN"})
    assert not session.passes(CLIENT, GROUP)
    assert not session.asked


def test_a_group_whose_first_line_does_not_pass() -> None:
    """The others follow it, and it is asked about with the command that is known."""
    session = Session(Answer(NO))
    assert not session.passes(CLIENT, GROUP)
    assert session.question.command is session.asked[0].command
    events = session.proxy.answer(session.question, Answer(NO))
    assert isinstance(events[0], SendToClient)
    assert isinstance(events[-1], Ask)
    assert events[-1].question.command.raw == RCPT[0].encode()


def test_a_line_of_the_rest_that_does_not_pass() -> None:
    session = group(Answer(NO))
    assert session.passes(SERVER, "250 ok")
    assert session.proxy.pass_rest() is None
    session.events = session.proxy.receive_rest()
    assert session.question.command is session.asked[1].command
    events = session.proxy.answer(session.question, Answer(NO))
    assert events[-1].question.command.raw == DATA[0].encode()
    assert not session.proxy.has_rest


def test_a_rest_that_cannot_pass_now() -> None:
    """The session has taken the general path by then."""
    session = group()
    assert session.proxy.pass_rest() is None  # before the reply
    assert session.proxy.has_rest
    session.events = session.proxy.receive_from(SERVER, lines("250 ok"))
    assert session.events[-1].question.command.raw == RCPT[0].encode()


def test_a_refused_line_before_the_rest() -> None:
    session = group()
    assert not session.passes(SERVER, "550 no")
    assert isinstance(session.events[0], SendToClient)
    assert session.events[-1].question.command.raw == RCPT[0].encode()


def test_more_of_the_client_than_the_rest() -> None:
    session = group()
    assert not session.passes(CLIENT, "RSET")
    assert session.events == []
    assert session.proxy.may_read == {SERVER}
    session.events = session.proxy.receive_from(SERVER, lines("250 ok"))
    assert session.events[-1].question.command.raw == RCPT[0].encode()


def test_a_client_is_not_read_while_lines_wait() -> None:
    session = group()
    assert session.proxy.may_read == {SERVER}
    assert not session.proxy.has_rest  # the general path has it now
    assert session.proxy.buffered


def test_a_server_that_says_two_replies_while_lines_wait() -> None:
    session = group()
    assert not session.passes(SERVER, lines("250 ok", "250 ok"))
    assert session.proxy.closed


def test_input_of_the_server_when_a_line_has_its_turn() -> None:
    """A driver that does not call `pass_rest` loses nothing."""
    session = group()
    assert session.passes(SERVER, "250 ok")
    events = session.proxy.receive_rest()
    assert isinstance(events[-1], Ask)
    assert events[-1].question.command.raw == RCPT[0].encode()


def test_a_shutdown_while_lines_wait() -> None:
    session = group()
    assert session.proxy.shutdown() == []  # in a mail transaction, as soon as MAIL is accepted
    session.events = session.proxy.receive_from(SERVER, lines("250 ok"))
    assert session.events[-1].question.command.raw == RCPT[0].encode()


def test_another_line_than_the_one_that_was_asked_about() -> None:
    """A driver that breaks its word is asked anew."""
    session = Session(None)
    assert session.proxy.pass_on(CLIENT, lines(MAIL[0])) is None
    (event,) = session.proxy.receive_from(CLIENT, lines("MAIL FROM:<other@me>"))
    assert isinstance(event, Ask)
    assert event.question.command is not session.asked[0].command


def test_a_server_that_a_verdict_has_said() -> None:
    """A MAIL that no verdict sends elsewhere is for the usual server again: that is not what passes."""
    session = Session(Route("other"), Continue())
    assert not session.passes(CLIENT, MAIL[0])
    session.proxy.answer(session.question, Route("other"))
    for side, text in ((SERVER, "220 other"), (SERVER, "250 other"), (SERVER, "250 ok"), (CLIENT, "RSET")):
        assert not session.passes(side, text)
    assert not session.passes(SERVER, "250 ok")
    assert not session.passes(CLIENT, MAIL[0])
    assert len(session.asked) == 1


def test_a_transaction_that_began_by_events() -> None:
    session = Session(None, Continue(), Inspect(frozenset()))
    assert not session.passes(CLIENT, MAIL[0])
    session.proxy.answer(session.question, ReplaceCommand(Command.of("MAIL FROM:<z@me>")))
    assert not session.passes(SERVER, "250 ok")
    session.says(RCPT, DATA)
    assert session.asked[-1].envelope.mail is session.asked[0].command
    assert session.passes(CLIENT, LETTER)
    assert session.passes(SERVER, "250 taken")
    assert session.proxy.take_answered().envelope.mail is session.asked[0].command


def test_what_is_asked_while_levels_are_read() -> None:
    """A function that looks at the proxy sees it as it is before the line."""
    proxy = Proxy(ask=ENVELOPE)
    seen: list[Any] = []

    def ahead(question: Any) -> Any:
        seen.append((proxy.envelope.mail, proxy.waiting_for.value, proxy.client_changes))
        return Continue()

    proxy.ask_ahead(ahead)
    for side, text in ((SERVER, "220 mx"), (CLIENT, "EHLO me"), (SERVER, "250 mx")):
        proxy.receive_from(side, lines(text))
    for line, reply in (MAIL, RCPT):
        assert proxy.pass_on(CLIENT, lines(line))
        assert proxy.pass_on(SERVER, lines(reply))
    assert [(mail and mail.raw, level) for mail, level, _ in seen] == [
        (None, "command"),
        (b"MAIL FROM:<a@me>", "command"),
    ]


@each(
    ("ask", "may"),
    [
        *(({"MAIL"}, True), ({"MAIL", "IN_TURN", "OTHER_VERBS"}, True), (ENVELOPE | {"MESSAGE"}, True)),
        *((set(), False), ({"EHLO"}, False), ({"COMMAND"}, False), (ENVELOPE | {"REPLY"}, False)),
        *(({"MAIL", "HEADERS"}, False), ({"MAIL", "NOOP"}, False)),
    ],
)
def test_where_it_is_used(ask: set[str], may: bool) -> None:
    assert may_ask_ahead(shared(Config(), frozenset(ask))) is may
    proxy = Proxy(ask=ask)
    proxy.ask_ahead(lambda _: None)
    assert isinstance(proxy._passing, AskedPassing) is may


def test_it_is_not_used_where_nothing_passes() -> None:
    proxy = Proxy(Config(lane=False), ENVELOPE)
    proxy.ask_ahead(lambda _: None)
    assert proxy.pass_on(CLIENT, lines("NOOP")) is None


VERDICTS: dict[str, Any] = {
    "pass": Continue(),
    "refuse": Answer(NO),
    "accept": Answer(Reply.of(250, "ok")),
    "inspect": Inspect(frozenset()),
    "headers": IN_HEADERS,
    "lines": Inspect(frozenset(("BODY_LINES",))),
    "swallow": Swallow(NO),
    "other": Route("other"),
}
COMMANDS = st.sampled_from(
    (
        *("MAIL FROM:<a@me>", "RCPT TO:<b@mx>", "RCPT TO:<c@mx>", "DATA", "RSET", "NOOP", "QUIT"),
        *("x\r\n.", ".", "A: b\r\n\r\nx\r\n.", "EHLO me", "RCPT TO:<b@mx>\r\nDATA", "BDAT 1 LAST\r\n"),
    )
)
REPLIES = st.sampled_from(("250 ok", "354 go", "550 no", "421 bye"))
STEPS = st.one_of(st.tuples(st.just(CLIENT), COMMANDS), st.tuples(st.just(SERVER), REPLIES))


@given(st.lists(STEPS, max_size=14), st.lists(st.sampled_from(sorted(VERDICTS)), min_size=1, max_size=6))
def test_whatever_comes(steps: list[tuple[Side, str]], verdicts: list[str]) -> None:
    twins = Twins(Config(reconnect=True), ENVELOPE | {"HEADERS"})
    for side, text in ((SERVER, "220 mx"), (CLIENT, "EHLO me"), (SERVER, "250 mx"), *steps):
        events = twins.receive_from(side, lines(text))
        while events and isinstance(events[-1], Ask):
            verdicts.append(verdicts.pop(0))
            question: Any = events[-1].question
            verdict = VERDICTS[verdicts[0]]
            fits = isinstance(verdict, question.verdicts) and (
                not isinstance(verdict, Inspect | Swallow) or question.command.verb in (b"DATA", b"BDAT")
            )
            events = twins.answer(
                question, verdict if fits and not _is_late(question, verdict) else Continue()
            )


def _is_late(question: Any, verdict: Any) -> bool:
    """Returns True for a success that DATA does not take."""
    data = isinstance(question, CommandQuestion) and question.command.verb in (b"DATA", b"BDAT")
    return data and isinstance(verdict, Answer | Route) and verdict is not VERDICTS["refuse"]


def test_what_is_sent_when_the_verdict_comes_late() -> None:
    session = Session(None)
    assert not session.passes(CLIENT, MAIL[0])
    events = session.proxy.answer(session.question, Continue())
    assert [event.data for event in events if isinstance(event, SendToServer)] == [lines(MAIL[0])]


def test_what_is_known_of_a_message_that_was_asked_about() -> None:
    """See `Config.account`."""
    session = Session(*(Continue(), Continue(), Inspect(frozenset((HEADERS,))), Continue()), account=True)
    session.says(MAIL, RCPT, DATA)
    assert session.passes(CLIENT, b"Message-ID: <1@me>\r\n" + LETTER)
    assert session.passes(SERVER, "250 taken")
    content = session.proxy.take_answered().content
    assert content == Content(len(LETTER) + 17, len(LETTER) + 17, b"<1@me>")
