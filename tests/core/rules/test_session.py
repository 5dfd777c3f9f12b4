"""Rules answer the questions about commands, replies and connections."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from each import each

from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import Addresses, Config, Dialect
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import MessageAnswered
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import (
    Answer,
    ClientQuestion,
    Continue,
    Disconnect,
    ReplaceCommand,
    ReplaceReply,
    Route,
)
from sansio_smtp.rules.connection import Connection
from sansio_smtp.rules.host import Host
from sansio_smtp.rules.later import run_at_once
from sansio_smtp.rules.ruleset import RuleSet
from sansio_smtp.rules.session import RuleSession
from sansio_smtp.rules.verdicts import Accept, Close, Defer, Discard, Redirect, Reject
from sansio_smtp.rules.views import AuthAttempt
from sansio_smtp.wire.replies import Reply

from .asked import Notes, says
from .talks import Talk

NO = Reject(550, "5.7.1 no")
TOLD = "C: 550 5.7.1 no"
BYE = Close(554, "5.7.0 bye")


def session(*rules: Any, host: Host | None = None) -> RuleSession:
    ruleset = RuleSet(rules)
    return RuleSession(ruleset, Proxy(ask=ruleset.ask), host=host)


# Connections


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (None, None),
        (Accept(), None),
        (NO, NO.reply),
        (Defer(), Defer().reply),
        (BYE, BYE.reply),
        (Redirect("other:25"), "other:25"),
    ],
)
def test_connect(verdict: Any, said: Any) -> None:
    assert run_at_once(session(says("connect", verdict)).connect()) == said


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        (None, Continue()),
        (Accept(), Continue()),
        (NO, Disconnect(NO.reply)),
        (Defer(), Disconnect(Defer().reply)),
        (BYE, Disconnect(BYE.reply)),
        (Redirect("other:25"), Route("other:25")),
    ],
)
def test_a_client_that_is_named_is_asked_about_as_one_that_connects(verdict: Any, answer: Any) -> None:
    question = ClientQuestion(ClientInfo(address="192.0.2.1:51000"), Envelope())
    made = session(says("connect", verdict))
    assert not made.waits_for(question)
    assert made.judge_now(question) == answer
    assert run_at_once(made.judge(question)) == answer


def test_without_rules() -> None:
    empty = session()
    assert run_at_once(empty.connect()) is None
    run_at_once(empty.disconnect())
    assert empty.conn.peer == ""
    assert empty.rules.rules == ()


def test_rules_share_the_connection() -> None:
    seen: list[Connection] = []
    rules = [says("connect", seen.append), says("disconnect", seen.append), says("disconnect", seen.append)]
    made = session(*rules)
    run_at_once(made.connect())
    run_at_once(made.disconnect())
    assert seen == [made.conn] * 3


def test_all_rules_hear_that_the_connection_is_over() -> None:
    """Whatever becomes of those before them."""
    heard: list[str] = []
    rules = [
        says("disconnect", ValueError(), on_error="reject"),
        says("disconnect", NO),
        says("disconnect", lambda conn: heard.append(conn.helo)),
    ]
    talk = Talk(*rules).said(("EHLO me", "220 mx")).said(("NOOP", "250 mx"))
    run_at_once(talk.session.disconnect())
    assert heard == ["me"]
    assert len(talk.host.failures) == 2


def test_rules_learn_what_became_of_a_message() -> None:
    seen: list[Any] = []
    rules = [
        says("delivered", ValueError()),
        says("delivered", lambda tx, results: seen.append(results[0].to), match="*@elsewhere"),
        says("delivered", lambda tx, results: seen.append((tx.mail_from.address, [*map(told, results)]))),
    ]
    talk = Talk(*rules).with_recipient()
    answered = MessageAnswered(Reply.of(452, "full"), talk.scene.proxy.envelope)
    talk.said(("DATA", "354 go"))
    assert talk.session.delivered(answered) is None
    assert seen == [("a@me", ["b@mx 452 full"])]
    assert [type(failure.error) for failure in talk.host.failures] == [ValueError]
    assert talk.session.delivered(MessageAnswered(Reply.of(250, "ok"), Envelope())) is None
    assert session().delivered(answered) is None
    slow = Talk(attrs.evolve(says("delivered", None), is_async=True)).with_recipient()
    answered = MessageAnswered(Reply.of(250, "ok"), slow.scene.proxy.envelope)
    assert slow.session.delivered(answered) is not None


def test_a_rule_learns_whose_reply_it_sees() -> None:
    seen: list[Any] = []
    rule = says("reply", lambda tx, command, answer: seen.append(answer.to and answer.to.address))
    both = Config(client_dialect=Dialect.LMTP, upstream_dialect=Dialect.LMTP)
    talk = Talk(rule, config=both).said(("LHLO me", "220 mx"))
    talk.server("250 mx")
    talk.said(("MAIL FROM:<a@me>", "250 ok"), ("RCPT TO:<b@mx>", "250 ok"), ("RCPT TO:<c@mx>", "250 ok"))
    talk.said(("DATA", "354 go"))
    talk.client("hi", ".")
    assert talk.server("552 full") == ["C: 552 full"]
    assert talk.server("250 ok") == ["answered 552", "C: 250 ok"]
    assert seen[-3:] == [None, "b@mx", "c@mx"]


def told(result: Any) -> str:
    return f"{result.to.address} {result.reply}"


def test_what_rules_see_of_the_connection() -> None:
    seen: list[tuple[str, str | None]] = []
    talk = Talk(says("mail", lambda tx, sender: seen.append((tx.conn.helo, tx.conn.login))))
    talk.server("220 mx")
    talk.client("MAIL FROM:<a@me>")
    talk.server("250 ok")
    talk.said(("HELO  me.example ", "250 mx"), ("AUTH PLAIN AGFubgBz", "235 ok"))
    talk.client("MAIL FROM:<a@me>")
    assert seen == [("", None), ("me.example", "ann")]


# Commands


def test_helo() -> None:
    """Each greeting command, with what the client calls itself."""
    seen: list[str] = []
    talk = Talk(says("helo", lambda conn, name: seen.append(name)))
    talk.server("220 mx")
    talk.said(("EHLO me", "250 mx"), ("HELO  you ", "250 mx"), ("ehlo", "501 no"))
    assert seen == ["me", "you", ""]


def test_auth() -> None:
    seen: list[AuthAttempt] = []
    talk = Talk(says("auth", lambda conn, attempt: seen.append(attempt))).greeted()
    talk.said(("AUTH plain AGFubgBz", "535 no"), ("AUTH LOGIN", "504 no"), ("AUTH", "501 no"))
    assert [(attempt.mechanism, attempt.identity) for attempt in seen] == [
        ("PLAIN", "ann"),
        ("LOGIN", None),
        ("", None),
    ]


@pytest.mark.parametrize(
    ("phase", "line"),
    [
        ("helo", "EHLO me"),
        ("auth", "AUTH PLAIN AGFubgBz"),
        ("mail", "MAIL FROM:<a@me>"),
        ("rcpt", "RCPT TO:<c@mx>"),
        ("data", "DATA"),
        ("command", "NOOP"),
    ],
)
def test_a_command_is_refused_or_ends_the_session(phase: str, line: str) -> None:
    for verdict, told in ((NO, [TOLD]), (BYE, ["C: 554 5.7.0 bye", "close S", "close C"])):
        said: list[Any] = [None]
        talk = Talk(says(phase, lambda *arguments, said=said: said[-1])).with_recipient()
        said.append(verdict)
        assert [text for text in talk.client(line) if text != "S: RSET"] == told


def test_a_session_goes_elsewhere() -> None:
    for phase, line in (("helo", "EHLO me"), ("auth", "AUTH PLAIN AGFubgBz"), ("mail", "MAIL FROM:<a@me>")):
        talk = Talk(says(phase, Redirect("other")))
        talk.server("220 mx")
        talk.client(line)
        assert talk.last == Route("other")


def test_the_command_phase_sees_every_command() -> None:
    seen: list[str] = []
    talk = Talk(says("command", lambda conn, cmd: seen.append(cmd.verb))).in_content()
    talk.client("Hi", ".")
    talk.server("250 ok")
    talk.said(("X-OWN", "250 ok"), ("QUIT", "221 bye"))
    assert seen == ["EHLO", "MAIL", "RCPT", "DATA", "X-OWN", "QUIT"]


def test_a_command_replaced_is_what_the_other_phases_see() -> None:
    seen: list[str] = []

    def command(conn: Any, cmd: Any) -> None:
        if cmd.verb in ("RCPT", "EHLO"):
            cmd.replace({"RCPT": "RCPT TO:<z@mx> NOTIFY=NEVER", "EHLO": "EHLO somebody"}[cmd.verb])

    rules = [says("command", command), says("rcpt", lambda tx, to: seen.append(to.address))]
    talk = Talk(*rules, says("helo", lambda conn, name: seen.append(name)))
    talk.server("220 mx")
    assert talk.client("EHLO me") == ["S: EHLO somebody"]
    talk.server("250 mx")
    talk.said(("MAIL FROM:<a@me>", "250 ok"))
    assert talk.client("RCPT TO:<b@mx>") == ["S: RCPT TO:<z@mx> NOTIFY=NEVER"]
    assert seen == ["somebody", "z@mx"]
    assert isinstance(talk.last, ReplaceCommand)
    assert talk.conn.helo == "somebody"


def test_a_command_replaced_is_what_the_message_rules_see() -> None:
    """Also where no rule of its own phase is loaded."""
    seen: list[tuple[str, list[str]]] = []

    def command(conn: Any, cmd: Any) -> None:
        if cmd.verb in ("MAIL", "RCPT"):
            cmd.replace({"MAIL": "MAIL FROM:<z@me>", "RCPT": "RCPT TO:<z@mx>"}[cmd.verb])

    def data(tx: Any) -> None:
        seen.append((tx.mail_from.address, [to.address for to in tx.rcpts]))

    Talk(says("command", command), says("data", data)).with_recipient().client("DATA")
    assert seen == [("z@me", ["z@mx"])]


def test_a_command_without_a_phase_of_its_own() -> None:
    talk = Talk(says("command", lambda conn, cmd: cmd.replace("NOOP twice")))
    talk.server("220 mx")
    assert talk.client("NOOP") == ["S: NOOP twice"]


def test_mail() -> None:
    def mail(tx: Any, sender: Any) -> None:
        assert tx.mail_from is sender
        sender.rewrite("z@me")

    talk = Talk(says("mail", mail)).greeted()
    assert talk.client("MAIL FROM:<a@me> SIZE=3") == ["S: MAIL FROM:<z@me> SIZE=3"]


def test_mail_that_goes_elsewhere_as_another() -> None:
    talk = Talk(says("mail", lambda tx, sender: sender.rewrite("z@me") or Redirect("other"))).greeted()
    talk.client("MAIL FROM:<a@me>")
    assert talk.last.upstream == "other"
    assert talk.last.command.raw == b"MAIL FROM:<z@me>"


def test_rules_are_asked_about_addresses_that_they_are_meant_for() -> None:
    rules = [
        says("mail", NO, match="*@bad.example"),
        says("rcpt", lambda tx, to: to.rewrite("b@new.example"), match="*@old.example"),
        says("rcpt", NO, match="*@new.example"),
    ]
    talk = Talk(*rules).greeted()
    assert talk.client("MAIL FROM:<a@BAD.example>") == [TOLD]
    talk.said(("MAIL FROM:<a@me>", "250 ok"))
    assert talk.client("RCPT TO:<b@mx>") == ["S: RCPT TO:<b@mx>"]
    talk.server("250 ok")
    assert talk.client("RCPT TO:<b@old.example>") == [TOLD]


@each("phase", ["mail", "rcpt", "data", "headers", "body", "body_line", "message", "reply"])
@each(
    ("line", "code"),
    [
        ("MAIL FROM:<a", "501 5.1.7"),
        ("SOML FROM:<a@me.>", "501 5.1.7"),
        ("RCPT TO:<b@mx", "501 5.1.3"),
        ("RCPT TO:<b@evil.example(@mx>", "501 5.1.3"),
        ("RCPT TO:<b@mx> <c@mx>", "501 5.1.3"),
    ],
)
def test_a_path_that_can_be_read_in_two_ways_gets_past_no_rule(phase: str, line: str, code: str) -> None:
    """Whatever rule sees the transaction, and whatever the server would do."""
    talk = Talk(says(phase, None)).greeted().said(("MAIL FROM:<a@me>", "250 ok"))
    (told,) = talk.client(line)
    assert told.startswith(f"C: {code} ")


@pytest.mark.parametrize("line", ["MAIL FROM:<a@me.>", "RCPT TO:<b@evil.example(@mx>"])
def test_it_passes_if_told_so(line: str) -> None:
    lenient = Config(addresses=Addresses.LENIENT)
    seen: list[tuple[str, bool]] = []
    rules = [
        says(phase, lambda tx, path: seen.append((path.address, path.is_clear))) for phase in ("mail", "rcpt")
    ]
    talk = Talk(*rules, config=lenient).greeted().said(("MAIL FROM:<a@me>", "250 ok"))
    assert talk.client(line) == [f"S: {line}"]
    assert seen[1:] in ([("a@me", False)], [("b@evil.example", False)])
    assert talk.server("250 ok") == ["C: 250 ok"]
    assert talk.client("RCPT TO :<b@mx>")[0].startswith("C: 501"), "there is no path in it at all"


def test_where_no_rule_sees_the_transaction_it_is_the_servers_to_judge() -> None:
    talk = Talk(says("helo", None), says("command", None)).greeted().said(("MAIL FROM:<a@me>", "250 ok"))
    assert talk.client("RCPT TO:<b@mx") == ["S: RCPT TO:<b@mx"]


# Verbs that begin a transaction


@pytest.mark.parametrize("verb", ["SOML", "SAML", "SEND"])
def test_what_begins_a_transaction_is_asked_about_as_mail_is(verb: str) -> None:
    seen: list[str] = []
    rules = [
        says("mail", lambda tx, sender: seen.append(sender.address)),
        says("rcpt", lambda tx, to: NO if to.local == "no" else None),
        says("data", lambda tx: seen.append(tx.mail_from.address)),
    ]
    talk = Talk(*rules).greeted().said((f"{verb} FROM:<a@me>", "250 ok"))
    assert talk.client("RCPT TO:<no@mx>") == [TOLD]
    talk.said(("RCPT TO:<b@mx>", "250 ok"))
    assert talk.client("DATA") == ["S: DATA"]
    assert seen == ["a@me", "a@me"]


def test_nothing_goes_on_in_a_transaction_that_no_rule_has_seen_begin() -> None:
    """The server took a verb that nobody knows here for MAIL."""
    talk = Talk(says("message", NO)).greeted().said(("XMAIL FROM:<a@me>", "250 ok"))
    missing = "C: 503 5.5.1 there is no mail transaction, send MAIL first"
    assert talk.client("RCPT TO:<b@mx>") == [missing]
    assert talk.client("DATA") == ["S: RSET", missing]


def test_in_a_transaction_no_verb_is_passed_that_could_add_a_recipient() -> None:
    talk = Talk(says("message", NO)).greeted().said(("XANY one", "250 ok"), ("MAIL FROM:<a@me>", "250 ok"))
    assert talk.client("XRCPT TO:<b@mx>") == [
        "C: 502 5.5.1 this command is not known here, in a mail transaction"
    ]
    assert talk.client("VRFY b") == ["S: VRFY b"]
    talk = Talk(says("command", None)).greeted().said(("MAIL FROM:<a@me>", "250 ok"))
    assert talk.client("XRCPT TO:<b@mx>") == ["S: XRCPT TO:<b@mx>"], "no rule sees the transaction"


def test_a_message_without_a_recipient_that_rules_have_seen() -> None:
    talk = Talk(says("message", NO)).greeted().said(("MAIL FROM:<a@me>", "250 ok"))
    talk.said(("RCPT TO:<b@mx>", "550 no"))
    assert talk.client("DATA") == ["S: RSET", "C: 554 5.5.1 no valid recipients"]
    talk = Talk(says("message", NO), config=Config(client_dialect=Dialect.LMTP))
    talk.server("220 mx")
    talk.said(("LHLO me", "250 mx"), ("MAIL FROM:<a@me>", "250 ok"), ("RCPT TO:<b@mx>", "550 no"))
    assert talk.client("DATA") == ["S: RSET", "C: 503 5.5.1 no valid recipients"], "RFC 2033 §4.2"


# Recipients


def test_recipients_that_were_named_before() -> None:
    seen: list[list[str]] = []
    answers = {"two@mx": NO, "three@mx": Discard(), "four@mx": Redirect("other")}

    def rcpt(tx: Any, to: Any) -> Any:
        seen.append([each.address for each in tx.rcpts])
        to.rewrite(f"x-{to.address}")
        return answers.get(to.original)

    talk = Talk(says("rcpt", rcpt)).greeted().said(("MAIL FROM:<a@me>", "250 ok"))
    assert talk.client("RCPT TO:<one@mx>") == ["S: RCPT TO:<x-one@mx>"]
    talk.server("250 ok")
    assert talk.client("RCPT TO:<two@mx>") == [TOLD]
    assert talk.client("RCPT TO:<three@mx>") == ["C: 250 2.0.0 ok"]
    assert talk.client("RCPT TO:<four@mx>")[-1].startswith("C: 452")
    assert talk.last.command.raw == b"RCPT TO:<x-four@mx>"
    assert talk.client("RCPT TO:<five@mx>") == ["S: RCPT TO:<x-five@mx>"]
    assert seen[:3] == [[], ["x-one@mx"], ["x-one@mx"]]
    assert "x-two@mx" not in seen[-1]
    assert "x-three@mx" not in seen[-1]


def test_no_more_recipients_are_asked_about_than_a_transaction_may_have() -> None:
    """However they are answered: a client must not fill the memory."""
    for verdict, told in ((Discard(), "C: 250 2.0.0 ok"), (None, "S: RCPT TO:<b@mx>")):
        talk = Talk(says("rcpt", verdict), config=Config(max_recipients=2)).greeted()
        talk.said(("MAIL FROM:<a@me>", "250 ok"))
        for _ in range(2):
            assert talk.client("RCPT TO:<b@mx>") == [told]
            if verdict is None:
                talk.server("550 no")
        assert talk.client("RCPT TO:<b@mx>") == ["C: 452 4.5.3 too many recipients"]
        talk.said(("MAIL FROM:<a@me>", "250 ok"))
        assert talk.client("RCPT TO:<b@mx>") == [told]


def test_smtputf8_holds_for_recipients() -> None:
    rule = says("rcpt", lambda tx, to: to.rewrite("grüße@mx"))
    talk = Talk(rule).greeted().said(("MAIL FROM:<a@me> SMTPUTF8", "250 ok"))
    assert talk.client("RCPT TO:<b@mx>")[0].startswith("S: RCPT TO:<gr")
    talk = Talk(rule).greeted().said(("MAIL FROM:<a@me>", "250 ok"))
    assert talk.client("RCPT TO:<b@mx>")[0].startswith("C: 451 4.3.0")


# Replies


def test_replies_with_what_they_answer() -> None:
    seen: list[tuple[str, int, str]] = []

    def reply(tx: Any, command: Any, answer: Any) -> None:
        seen.append((command.verb, answer.code, tx.mail_from.address if tx.mail_from else ""))

    talk = Talk(says("reply", reply), says("mail", lambda tx, sender: sender.rewrite("z@me"))).in_content()
    talk.client("Hi", ".")
    talk.server("250 taken")
    talk.said(("NOOP", "250 ok"))
    assert seen == [
        ("", 220, ""),
        ("EHLO", 250, ""),
        ("MAIL", 250, "z@me"),
        ("RCPT", 250, "z@me"),
        ("DATA", 354, "z@me"),
        (".", 250, "z@me"),
        ("NOOP", 250, ""),
    ]


def test_a_reply_replaced() -> None:
    talk = Talk(says("reply", lambda tx, command, answer: answer.replace(answer.code, "mine")))
    assert talk.server("220 theirs") == ["C: 220 mine"]
    assert isinstance(talk.last, ReplaceReply)


def test_a_reply_ends_the_session() -> None:
    talk = Talk(says("reply", BYE))
    assert talk.server("220 theirs") == ["C: 554 5.7.0 bye", "close S", "close C"]
    assert isinstance(talk.last, Disconnect)


@pytest.mark.parametrize("on_error", ["defer", "reject", "accept"])
def test_no_failure_hides_a_reply(on_error: Any) -> None:
    def breaks(tx: Any, command: Any, answer: Any) -> None:
        answer.replace(220, "half done")
        raise ValueError

    rules = [says("reply", breaks), says("reply", NO)]
    talk = Talk(*rules, on_error=on_error)
    assert talk.server("220 theirs") == ["C: 220 theirs"]
    assert len(talk.host.failures) == 2


# The host


def test_on_error() -> None:
    for policy, code in (("defer", "451"), ("reject", "550")):
        talk = Talk(says("mail", ValueError()), on_error=policy).greeted()  # type: ignore[arg-type]
        assert talk.client("MAIL FROM:<a@me>")[0].startswith(f"C: {code}")
        assert isinstance(talk.last, Answer)


def test_the_host_is_told() -> None:
    host = Notes()
    talk = Talk(
        says("mail", lambda tx, sender: sender.rewrite("z@me"), "a"), says("mail", NO, "b"), host=host
    )
    talk.greeted().client("MAIL FROM:<a@me>")
    assert host.notes == [
        "enter a",
        "leave",
        "edited a <a@me> -> <z@me>",
        "enter b",
        "leave",
        "decided b Reject",
    ]


def test_a_session_goes_on_behind_a_refused_message() -> None:
    talk = Talk(says("headers", NO), config=Config(reconnect=True)).in_content()
    assert talk.client("A: b", "", ".") == ["abort S", "answered 550", TOLD]
    assert talk.client("MAIL FROM:<c@me>") == ["connect home"]
