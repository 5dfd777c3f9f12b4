"""Rules answer the questions about messages: DATA, and what follows it."""

from __future__ import annotations

from typing import Any

import pytest

from core.spools import MemorySpool
from sansio_smtp.config import Config
from sansio_smtp.questions import Answer, Continue, Inspect, Replace, Swallow
from sansio_smtp.rules.host import Host
from sansio_smtp.rules.ruleset import Rule
from sansio_smtp.rules.verdicts import Close, Defer, Discard, Hold, Reject

from .asked import says
from .talks import Talk

NO = Reject(550, "5.7.1 no")
GONE = Discard("2.6.0 gone")
KEPT = Hold("why", 250, "2.6.0 kept")
TOLD = "C: 550 5.7.1 no"
GO_AHEAD = "C: 354 end data with <CR><LF>.<CR><LF>"
LETTER = ("Subject: hi", "", "one", "two", ".")
RAW = b"Subject: hi\r\n\r\none\r\ntwo\r\n"


def asked(*rules: Rule, **options: Any) -> Any:
    """The verdict on DATA."""
    talk = Talk(*rules, **options).with_recipient()
    talk.client("DATA")
    return talk.last


# DATA


def test_what_rules_see_at_data() -> None:
    """Recipients as the server has accepted them."""
    seen: list[tuple[str, int, list[str]]] = []

    def data(tx: Any) -> None:
        seen.append((tx.mail_from.address, tx.size, [to.address for to in tx.rcpts]))

    talk = Talk(says("data", data), says("rcpt", lambda tx, to: to.rewrite(f"x-{to.address}"))).greeted()
    talk.said(
        ("MAIL FROM:<a@me> SIZE=12", "250 ok"),
        ("RCPT TO:<one@mx>", "250 ok"),
        ("RCPT TO:<two@mx>", "550 no"),
        ("RCPT TO:<three@mx>", "251 ok"),
        ("DATA", "354 go"),
    )
    assert seen == [("a@me", 12, ["x-one@mx", "x-three@mx"])]


@pytest.mark.parametrize("verdict", [NO, Defer(), Close()])
def test_data_refused(verdict: Any) -> None:
    assert asked(says("data", verdict)).reply == verdict.reply


def test_data_discarded() -> None:
    assert asked(says("data", GONE)) == Swallow(GONE.reply)


@pytest.mark.parametrize("phase", ["mail", "rcpt"])
def test_a_message_is_discarded_that_was_so_before(phase: str) -> None:
    wanted = GONE if phase == "mail" else Discard()  # who discards the only recipient discards the message
    assert asked(says(phase, GONE), says("message", NO)) == Swallow(wanted.reply)


def test_a_message_to_some_recipients() -> None:
    rule = says("rcpt", lambda tx, to: GONE if to.local == "b" else None)
    seen: list[list[str]] = []
    data = says("data", lambda tx: seen.append([to.address for to in tx.rcpts]))
    talk = Talk(rule, data).with_recipient("MAIL FROM:<a@me>", "RCPT TO:<c@mx>")
    assert talk.client("DATA") == ["S: DATA"]
    assert seen == [["c@mx"]]


def test_data_rules_are_asked_though_all_recipients_were_discarded() -> None:
    assert asked(says("rcpt", GONE), says("data", Defer())) == Answer(Defer().reply)


def test_only_rules_that_are_meant_for_a_recipient_are_asked() -> None:
    assert asked(says("data", NO, match="*@else")) == Inspect(frozenset())
    assert asked(says("data", NO, match="*@mx")) == Answer(NO.reply)


def test_a_message_is_looked_at_only_where_a_rule_wants_it() -> None:
    for phase, places in (
        ("headers", {"HEADERS"}),
        ("body", {"HEADERS", "BODY_LINES"}),
        ("body_line", {"HEADERS", "BODY_LINES"}),
        ("message", {"MESSAGE"}),
    ):
        assert asked(says(phase, None)).places == places
        assert asked(says(phase, None, match="*@else")).places == frozenset()


def test_recipients_are_added_at_data() -> None:
    talk = Talk(says("data", lambda tx: tx.add_rcpt("x@archive"))).with_recipient()
    assert talk.client("DATA") == ["S: RCPT TO:<x@archive>"]
    assert talk.server("250 x") == ["S: DATA"]


def test_recipients_cannot_be_added_later() -> None:
    """The server is past it."""
    kept: list[Any] = []
    rules = [says("data", kept.append), says("headers", lambda tx, headers: tx.add_rcpt("x@archive"))]
    talk = Talk(*rules).in_content()
    assert talk.client(*LETTER)[-1].startswith("C: 451 4.3.0")
    with pytest.raises(Exception, match="data and message only"):
        kept[0].add_rcpt("x@archive")


# Quarantine


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "message"])
def test_a_message_is_held(phase: str) -> None:
    """Whichever rule says so; message rules are not asked about one that is to be held anyway."""
    talk = Talk(says(phase, KEPT), *([says("message", NO)] if phase != "message" else [])).with_recipient()
    assert talk.client("DATA") == [GO_AHEAD]
    assert talk.client(*LETTER) == ["S: RSET", "answered 250", "C: 250 2.6.0 kept"]
    (held,) = talk.host.held
    assert (held.message, held.verdict) == (RAW, KEPT)
    assert [to.address for to in held.tx.rcpts] == ["b@mx"]


def test_a_message_is_held_though_all_recipients_were_discarded() -> None:
    talk = Talk(says("mail", KEPT), says("rcpt", GONE)).with_recipient()
    talk.client("DATA")
    talk.client(*LETTER)
    (held,) = talk.host.held
    assert held.tx.rcpts == ()


def test_what_was_said_first_counts() -> None:
    for phases, held in ((("mail", "data"), 1), (("data", "mail"), 0)):
        first = says(phases[0], KEPT)
        talk = Talk(first, says(phases[1], GONE)).with_recipient()
        talk.client("DATA")
        talk.client(*LETTER)
        assert len(talk.host.held) == held


def test_a_held_message_is_as_rules_have_left_it() -> None:
    rules = [says("message", lambda tx, msg: msg.headers.add("X", "y")), says("message", KEPT)]
    talk = Talk(*rules).in_content()
    talk.client(*LETTER)
    assert talk.host.held[0].message == b"Subject: hi\r\nX: y\r\n\r\none\r\ntwo\r\n"


class FullHost(Host):
    async def hold(self, *arguments: Any) -> None:
        raise OSError("no space left")


def test_a_message_that_cannot_be_kept_is_not_accepted() -> None:
    talk = Talk(says("message", KEPT), host=FullHost()).in_content()
    assert talk.client(*LETTER)[-1] == "C: 451 4.3.0 the message cannot be kept here, try again later"


# Header sections


def test_headers() -> None:
    seen: list[str | None] = []
    talk = Talk(says("headers", lambda tx, headers: seen.append(headers.get("Subject")))).in_content()
    assert talk.client(*LETTER[:2]) == ["S: Subject: hi|"]
    assert seen == ["hi"]
    assert talk.last == Continue()


def test_headers_edited() -> None:
    talk = Talk(says("headers", lambda tx, headers: headers.add("X", "y"))).in_content()
    assert talk.client(*LETTER[:2]) == ["S: Subject: hi|X: y|"]
    assert isinstance(talk.last, Replace)


@pytest.mark.parametrize("verdict", [NO, Defer(), GONE])
def test_headers_refused(verdict: Any) -> None:
    talk = Talk(says("headers", verdict)).in_content()
    assert talk.client(*LETTER) == ["abort S", f"answered {verdict.code}", f"C: {verdict.reply}"]


def test_headers_may_end_the_session() -> None:
    talk = Talk(says("headers", Close(554, "5.7.0 bye"))).in_content()
    assert talk.client(*LETTER[:2]) == ["C: 554 5.7.0 bye", "abort S", "close C"]


@pytest.mark.parametrize(
    ("mail", "code"), [("MAIL FROM:<a@me>", "451"), ("MAIL FROM:<a@me> SMTPUTF8", "250")]
)
@pytest.mark.parametrize("phase", ["headers", "message"])
def test_smtputf8_holds_for_headers(phase: str, mail: str, code: str) -> None:
    """RFC 6531 §3.4: raw UTF-8 in a field name or an address is possible only where it was declared."""
    seen: list[bool] = []

    def rule(tx: Any, given: Any) -> None:
        seen.append(given.headers.utf8 if phase == "message" else given.utf8)

    Talk(says(phase, rule)).in_content(mail).client(*LETTER)
    assert seen == [code == "250"]


# Bodies


def test_a_body_as_it_streams() -> None:
    seen: list[bytes] = []
    talk = Talk(says("body_line", lambda tx, line: seen.append(line))).in_content()
    assert talk.client(*LETTER) == ["S: Subject: hi|", "S: one|two", "complete 25", "S: ."]
    assert seen == [b"one\r\n", b"two\r\n"]


def test_a_body_edited() -> None:
    rules = [
        says("body_line", lambda tx, line: line.replace(b"one", b"eins")),
        says("body", lambda tx, chunk: None if chunk else b"-- \r\n"),
    ]
    talk = Talk(*rules).in_content()
    assert talk.client(*LETTER)[1:] == ["S: eins|two", "S: -- ", "complete 31 edited", "S: ."]


def test_a_body_refused() -> None:
    talk = Talk(says("body_line", lambda tx, line: NO if b"two" in line else None)).in_content()
    assert talk.client(*LETTER) == ["S: Subject: hi|", "abort S", "answered 550", TOLD]


def test_rules_about_another_recipient_do_not_see_the_body() -> None:
    rules = [says("body_line", NO, match="*@else"), says("body", None)]
    talk = Talk(*rules).in_content()
    assert "S: one|two" in talk.client(*LETTER)


def test_each_body_is_a_new_one() -> None:
    """A rule that was done with the first message is asked about the second."""
    failures = says("body_line", ValueError(), on_error="accept")
    talk = Talk(failures).in_content()
    for _ in range(2):
        talk.client(*LETTER)
        talk.server("250 taken")
        talk.said(("MAIL FROM:<a@me>", "250 ok"), ("RCPT TO:<b@mx>", "250 ok"), ("DATA", "354 go"))
    assert len(talk.host.failures) == 2


def test_a_long_line_comes_in_pieces() -> None:
    seen: list[bytes] = []
    rule = says("body_line", lambda tx, line: seen.append(line))
    Talk(rule, config=Config(max_body_line=8)).in_content().client("", "0123456789", ".")
    assert seen == [b"01234567", b"89\r\n"]


# Whole messages


def test_a_message() -> None:
    seen: list[bytes] = []
    talk = Talk(says("message", lambda tx, msg: seen.append(bytes(msg.raw)))).in_content()
    assert talk.client(*LETTER) == ["complete 25", "S: DATA"]
    assert seen == [RAW]
    assert talk.last == Continue()


@pytest.mark.parametrize("verdict", [NO, Defer(), GONE])
def test_a_message_refused(verdict: Any) -> None:
    talk = Talk(says("message", verdict)).in_content()
    assert talk.client(*LETTER) == ["S: RSET", f"answered {verdict.code}", f"C: {verdict.reply}"]


def test_the_section_of_a_message_edited() -> None:
    """The body is not copied."""
    talk = Talk(says("message", lambda tx, msg: msg.headers.add("X", "y"))).in_content()
    talk.client(*LETTER)
    assert talk.last.rest == len(b"Subject: hi\r\n\r\n")
    assert talk.last.data == b"Subject: hi\r\nX: y\r\n\r\n"
    assert talk.server("354 go") == ["S: Subject: hi|X: y||one|two", "S: ."]


def test_the_body_of_a_message_edited() -> None:
    def message(tx: Any, msg: Any) -> None:
        msg.body = b"new\r\n"

    talk = Talk(says("message", message)).in_content()
    talk.client(*LETTER)
    assert talk.last == Replace(b"Subject: hi\r\n\r\nnew\r\n")


def test_a_header_section_that_is_too_large_is_shown_to_no_rule() -> None:
    rule = says("message", ValueError())
    talk = Talk(rule, config=Config(max_header_section=10)).in_content()
    assert talk.client(*LETTER)[-1].startswith("C: 552 5.3.4 header section is larger than 10 octets")
    assert talk.host.failures == []


def test_recipients_are_added_to_a_message() -> None:
    def message(tx: Any, msg: Any) -> None:
        msg.headers.add("X", "y")
        tx.add_rcpt("x@archive")

    for rule in (says("message", lambda tx, msg: tx.add_rcpt("x@archive")), says("message", message)):
        talk = Talk(rule).in_content()
        assert talk.client(*LETTER)[-1] == "S: RCPT TO:<x@archive>"
        assert len(talk.last.recipients) == 1


def test_a_failing_rule_adds_nobody() -> None:
    def message(tx: Any, msg: Any) -> None:
        tx.add_rcpt("x@archive")
        raise ValueError

    for phase in ("message", "data"):
        rule = says(phase, (lambda tx: message(tx, None)) if phase == "data" else message, on_error="accept")
        talk = Talk(rule).in_content()
        assert not any("archive" in text for text in talk.client(*LETTER))


def test_a_message_that_is_too_large_for_memory() -> None:
    spool = MemorySpool()
    rule = says("message", lambda tx, msg: msg.headers.add("X", "y"))
    talk = Talk(rule, config=Config(max_held=10), make_spool=lambda: spool).in_content()
    talk.client(*LETTER)
    assert talk.server("354 go") == ["S: Subject: hi|X: y|"]
    assert talk.scene.took(talk.scene.proxy.more()) == ["S: one|two"]


def test_the_transaction_is_the_same_from_mail_to_the_reply() -> None:
    seen: list[Any] = []
    phases = ("mail", "rcpt", "data", "headers", "body", "body_line", "message", "reply")
    talk = Talk(*(says(phase, lambda tx, *rest: seen.append(tx)) for phase in phases))
    talk.server("220 mx")
    seen.clear()
    talk.said(("MAIL FROM:<a@me>", "250 ok"), ("RCPT TO:<b@mx>", "250 ok"))
    talk.client("DATA")
    talk.client(*LETTER)
    talk.server("354 go")
    talk.server("250 taken")
    assert len(seen) > 8
    assert {id(tx) for tx in seen} == {id(seen[0])}


def test_a_transaction_that_no_rule_was_asked_about_before() -> None:
    seen: list[Any] = []
    talk = Talk(
        says("message", lambda tx, msg: seen.append((tx.mail_from.address, len(tx.rcpts))))
    ).in_content()
    talk.client(*LETTER)
    assert seen == [("a@me", 1)]
