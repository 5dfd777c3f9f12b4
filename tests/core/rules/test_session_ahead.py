"""Rules that are asked ahead (`Proxy.ask_ahead`): what passes, and that no rule is called twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.scene import lines
from sansio_smtp.config import Config
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import CLIENT, SERVER, Ask, Close, SendToClient, SendToServer, Side
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import Answer, CommandQuestion, Continue, HeadersQuestion
from sansio_smtp.rules.ruleset import Rule, RuleSet
from sansio_smtp.rules.session import RuleSession
from sansio_smtp.rules.verdicts import Close as CloseVerdict
from sansio_smtp.rules.verdicts import Discard, Hold, Redirect, Reject
from sansio_smtp.wire.commands import Command

from .asked import says, says_later

NO = Reject(550, "5.7.1 no")
LETTER = b"Subject: hi\r\n\r\ntext\r\n.\r\n"
TO_CONTENT = (
    *((CLIENT, "MAIL FROM:<a@me>"), (SERVER, "250 ok")),
    *((CLIENT, "RCPT TO:<b@mx>"), (SERVER, "250 ok")),
    *((CLIENT, "DATA"), (SERVER, "354 go")),
)


class Driven:
    """A session with these rules after EHLO, driven by `pass_on` with `ask_ahead`, or by events alone."""

    def __init__(self, *rules: Rule, ahead: bool = True, **choices: Any) -> None:
        ruleset = RuleSet(rules)
        self.proxy = Proxy(Config(reconnect=True, **choices), ruleset.ask)
        self.session = RuleSession(ruleset, self.proxy)
        self.passed = 0
        self.left: list[tuple[str, bytes]] = []
        if ahead:
            self.proxy.ask_ahead(self.session.ahead, self.session.ahead_of_content, ruleset.unasked)
        for side, text in ((SERVER, "220 mx"), (CLIENT, "EHLO me"), (SERVER, "250 mx")):
            self.takes(side, lines(text))
        self.passed = 0

    def takes(self, side: Side, data: bytes) -> None:
        octets = self.proxy.pass_on(side, data)
        if octets is not None:
            self.passed += 1
            self.left.append(("server" if side is CLIENT else "client", octets))
            if self.proxy.answers:
                self.session.delivered(self.proxy.take_answered())
            if side is CLIENT or not self.proxy.has_rest:
                return
            if (line := self.proxy.pass_rest()) is not None:
                self.passed += 1
                self.left.append(("server", line))
                return
            events = self.proxy.receive_rest()
        else:
            events = self.proxy.receive_from(side, data)
        while events:
            question: Any = None
            for event in events:
                if isinstance(event, SendToClient | SendToServer):
                    self.left.append(("client" if isinstance(event, SendToClient) else "server", event.data))
                elif isinstance(event, Close):
                    self.left.append(("close", b""))
                elif isinstance(event, Ask):
                    question = event.question
            if question is None:
                return
            events = self.proxy.answer(question, self.session.judge_now(question))

    def said(self, *steps: tuple[Side, str]) -> Driven:
        for side, text in steps:
            self.takes(side, lines(text))
        return self


def test_rules_that_let_all_pass() -> None:
    called: list[str] = []

    def notes(phase: str) -> Rule:
        return says(phase, lambda *arguments: called.append(f"{phase} {arguments[-1]}"))

    driven = Driven(notes("mail"), notes("rcpt"), says("data", None), says("headers", None)).said(*TO_CONTENT)
    driven.takes(CLIENT, LETTER)
    driven.takes(SERVER, lines("250 taken"))
    assert driven.passed == 8
    assert called == ["mail a@me", "rcpt b@mx"]
    assert [octets for _, octets in driven.left[-2:]] == [LETTER, b"250 taken\r\n"]


@pytest.mark.parametrize("declared", [False, True])
def test_what_a_rule_sees_of_lines_that_it_was_not_asked_about(declared: bool) -> None:
    seen: list[Any] = []

    def look(tx: Any, headers: Any) -> None:
        seen.append((tx.mail_from.address, [to.address for to in tx.rcpts], tx.utf8, headers.get("Subject")))
        seen.append(all(to.is_final for to in tx.rcpts))

    mail = "MAIL FROM:<a@me>" + " SMTPUTF8" * declared
    driven = Driven(Rule("headers", look, "look"))
    for _ in range(2):
        driven.said((CLIENT, mail), (SERVER, "250 ok"), (CLIENT, "RCPT TO:<b@mx>"), (SERVER, "250 ok"))
        driven.said((CLIENT, "RCPT TO:<c@mx>"), (SERVER, "550 no"), (CLIENT, "DATA"), (SERVER, "354 go"))
        driven.takes(CLIENT, LETTER)
        driven.takes(SERVER, lines("250 taken"))
    assert seen == [("a@me", ["b@mx"], declared, "hi"), True] * 2


def test_lines_that_no_rule_is_asked_about_and_that_do_not_pass() -> None:
    """No transaction, no recipients, a path that servers may read in two ways."""
    driven = Driven(says("headers", None)).said((CLIENT, "RCPT TO:<b@mx>"))
    assert driven.left[-1][1].startswith(b"503 5.5.1 there is no mail transaction"), driven.left
    driven.said((CLIENT, "MAIL FROM:<a@me>"), (SERVER, "250 ok"), (CLIENT, "DATA"))
    assert driven.left[-1] == ("client", b"554 5.5.1 no valid recipients\r\n")
    driven.said((CLIENT, "RCPT TO:<a b@mx>"))
    assert driven.left[-1][1].startswith(b"501 5.1.3 "), driven.left


def test_recipients_are_limited_wherever_they_have_passed() -> None:
    driven = Driven(says("headers", None), max_recipients=3).said(
        (CLIENT, "MAIL FROM:<a@me>"), (SERVER, "250 ok")
    )
    for line in ("RCPT TO:<b@mx>", "RCPT TO:<c@mx>", 'RCPT TO:<"d"@mx>'):
        driven.said((CLIENT, line), (SERVER, "250 ok"))
    driven.said((CLIENT, 'RCPT TO:<"e"@mx>'))
    assert driven.left[-1] == ("client", b"452 4.5.3 too many recipients\r\n")


@pytest.mark.parametrize(("verdict", "passes"), [(None, True), (Hold("why"), False)])
def test_a_rule_has_said_what_becomes_of_the_message(verdict: Any, passes: bool) -> None:
    driven = Driven(says("rcpt", verdict))
    driven.said(*TO_CONTENT[:4])
    before = driven.passed
    driven.said(TO_CONTENT[4])
    assert (driven.passed == before + 1) is passes


def test_the_recipients_that_were_accepted_are_known_after_data() -> None:
    kept: list[Any] = []
    driven = Driven(Rule("rcpt", lambda tx, to: kept.append(tx), "keeps"))
    driven.said(*TO_CONTENT[:2], (CLIENT, "RCPT TO:<b@mx>"), (SERVER, "450 later"))
    driven.said((CLIENT, "RCPT TO:<c@mx>"), (SERVER, "250 ok"), *TO_CONTENT[4:])
    assert [to.address for to in kept[0].rcpts] == ["c@mx"]


def test_a_group_that_passes_line_by_line() -> None:
    called: list[str] = []
    driven = Driven(says("rcpt", lambda _tx, to: called.append(to.address)))
    driven.said((CLIENT, GROUPS[0]))
    assert driven.left[-1] == ("server", b"MAIL FROM:<a@me>\r\n")
    driven.said((SERVER, "250 ok"), (SERVER, "250 ok"), (SERVER, "354 go"))
    driven.takes(CLIENT, LETTER)
    driven.takes(SERVER, lines("250 taken"))
    assert called == ["b@mx"]
    assert driven.passed == 8
    assert [octets for side, octets in driven.left if side == "server"][1:] == [
        b"MAIL FROM:<a@me>\r\n", b"RCPT TO:<b@mx>\r\n", b"DATA\r\n", LETTER,
    ]  # fmt: skip


def test_a_group_of_which_a_line_does_not_pass() -> None:
    """The lines after it take the same way, and no rule is called twice."""
    called: list[str] = []

    def refuses(_tx: Any, to: Any) -> Any:
        called.append(to.address)
        return NO

    driven = Driven(says("rcpt", refuses)).said((CLIENT, GROUPS[0]), (SERVER, "250 ok"))
    assert called == ["b@mx"]
    assert [octets for side, octets in driven.left if side == "client"][-2:] == [
        b"550 5.7.1 no\r\n", b"554 5.5.1 no valid recipients\r\n",
    ]  # fmt: skip


def test_recipients_of_a_group_do_not_wait_for_each_other() -> None:
    called: list[str] = []
    driven = Driven(says("rcpt", lambda _tx, to: called.append(to.address)))
    driven.said((CLIENT, GROUPS[1]), (SERVER, "250 ok"))
    assert called == ["b@mx", "c@mx"]


def test_a_header_section_that_is_edited() -> None:
    """The rule is called once, and its edit is in what leaves."""
    calls: list[Any] = []

    def edits(_tx: Any, headers: Any) -> None:
        calls.append(headers)
        headers.add("X-Seen", "yes")

    driven = Driven(says("headers", edits)).said(*TO_CONTENT)
    driven.takes(CLIENT, LETTER)
    assert len(calls) == 1
    assert b"X-Seen: yes\r\n" in b"".join(octets for _, octets in driven.left)


def test_a_recipient_that_is_refused() -> None:
    calls: list[str] = []

    def refuses(_tx: Any, to: Any) -> Any:
        calls.append(to.address)
        return NO if to.address == "no@mx" else None

    driven = Driven(says("rcpt", refuses)).said(*TO_CONTENT[:4], (CLIENT, "RCPT TO:<no@mx>"))
    assert driven.left[-1] == ("client", b"550 5.7.1 no\r\n")
    assert calls == ["b@mx", "no@mx"]
    driven.said(*TO_CONTENT[4:])
    assert driven.passed == 6


@pytest.mark.parametrize("waits", [False, True])
def test_a_rule_that_has_to_be_awaited(waits: bool) -> None:
    """It is asked by the event, and rules before it have been called once."""
    calls: list[str] = []
    first = says("rcpt", lambda *_: calls.append("first"))
    second = says_later("rcpt", lambda *_: calls.append("second"))
    driven = Driven(first, *([second] if waits else [])).said(*TO_CONTENT[:4])
    assert calls == ["first", "second"][: 1 + waits]
    assert driven.passed == (3 if waits else 4) - waits


def test_what_was_known_is_for_this_question_alone() -> None:
    ruleset = RuleSet((says("mail", NO), says("headers", None)))
    session = RuleSession(ruleset, Proxy(ask=ruleset.ask))
    mail, other = (CommandQuestion(Command.of("MAIL FROM:<a@me>"), Envelope()) for _ in range(2))
    assert session.ahead(mail) == Answer(NO.reply)
    assert session.judge_now(HeadersQuestion(b"A: b\r\n\r\n", Envelope())) == Continue()
    assert session.ahead(mail) == Answer(NO.reply)
    assert session.judge_now(other) == Answer(NO.reply)
    headers = HeadersQuestion(b"A: b\r\n\r\n", Envelope())
    assert session.ahead(headers) == Continue()
    assert session.judge_now(mail) == Answer(NO.reply)


VERDICTS: dict[str, Any] = {
    "nothing": None,
    "refuses": NO,
    "discards": Discard(),
    "redirects": Redirect("other"),
    "closes": CloseVerdict(554, "5.7.0 bye"),
}
LEGAL = {
    "mail": ("nothing", "refuses", "discards", "redirects", "closes"),
    "rcpt": ("nothing", "refuses", "discards", "redirects", "closes"),
    "data": ("nothing", "refuses", "discards", "closes"),
    "headers": ("nothing", "refuses", "closes"),
    "body_line": ("nothing", "refuses"),
}


class Told:
    """Rules of the phases that are drawn; each gives its verdicts in turn, and notes what it was asked."""

    def __init__(self, verdicts: dict[str, list[int]], rewrites: bool) -> None:
        self.notes: list[str] = []
        self.verdicts = {phase: list(turns) for phase, turns in verdicts.items()}
        self.rewrites = rewrites
        self.rules = [says(phase, lambda *given, phase=phase: self.say(phase, given)) for phase in verdicts]

    def say(self, phase: str, given: tuple[Any, ...]) -> Any:
        tx, subject = given
        of = [to.address for to in tx.rcpts]
        self.notes.append(f"{phase} {tx.mail_from} {of} {getattr(subject, 'raw', subject)}")
        turns = self.verdicts[phase]
        turns.append(turns.pop(0))
        if self.rewrites and phase in ("mail", "rcpt"):
            subject.rewrite("new@mx")
        if self.rewrites and phase == "headers":
            subject.add("X-Seen", "yes")
        return VERDICTS[LEGAL[phase][turns[0] % len(LEGAL[phase])]]


GROUPS = (
    "MAIL FROM:<a@me>\r\nRCPT TO:<b@mx>\r\nDATA",
    "MAIL FROM:<a@me>\r\nRCPT TO:<b@mx>\r\nRCPT TO:<c@mx>",
    "RCPT TO:<b@mx>\r\nRCPT TO:<b%c@mx>\r\nDATA",
    "RCPT TO:<b@mx>\r\nRSET\r\nDATA",
    "MAIL FROM:<a@me>\r\nRCPT TO:<b@mx>\r\nDATA\r\nA: b\r\n\r\nx\r\n.",
)

STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just(CLIENT),
            st.sampled_from(
                (
                    *("MAIL FROM:<a@me>", "RCPT TO:<b@mx>", "RCPT TO:<c@mx>", "RCPT TO:<b%c@mx>", "DATA"),
                    *("RSET", "A: b\r\n\r\nx\r\n.", ".", "EHLO me", "DATA", "RCPT TO:<b@mx>", "QUIT"),
                    *GROUPS,
                )
            ),
        ),
        st.tuples(st.just(SERVER), st.sampled_from(("250 ok", "250 ok", "354 go", "354 go", "550 no"))),
    ),
    max_size=20,
)


@given(
    st.dictionaries(
        st.sampled_from(sorted(LEGAL)),
        st.lists(st.sampled_from((0, 0, 0, 1, 2, 3, 4)), min_size=1, max_size=4),
    ),
    st.booleans(),
    STEPS,
)
def test_rules_see_and_do_the_same(
    verdicts: dict[str, list[int]], rewrites: bool, steps: list[tuple[Side, str]]
) -> None:
    told = [Told(verdicts, rewrites) for _ in range(2)]
    ahead, events = (Driven(*each.rules, ahead=number == 0) for number, each in enumerate(told))
    for side, text in (*TO_CONTENT[:3], *steps):
        for driven in (ahead, events):
            driven.takes(side, lines(text))
        assert told[0].notes == told[1].notes
        assert _joined(ahead.left) == _joined(events.left)


def _joined(left: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """What goes to each side, however it is cut."""
    ends = [side for side, _ in left if side == "close"]
    return [
        *(
            (side, b"".join(octets for whose, octets in left if whose == side))
            for side in ("client", "server")
        ),
        *((end, b"") for end in ends),
    ]


def test_a_question_that_breaks_the_session_of_the_rules() -> None:
    """It is asked again, so that the error comes where it is looked for."""
    ruleset = RuleSet((says("mail", None),))
    session = RuleSession(ruleset, Proxy(ask=ruleset.ask))
    unknown: Any = object()
    assert session.ahead(unknown) is None
    with pytest.raises(KeyError):
        session.start(unknown)
