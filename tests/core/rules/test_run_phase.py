"""Rules of one phase are asked in their order; those that fail are verdicts by policy."""

from __future__ import annotations

from typing import Any

import pytest
from each import each

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules.connection import Connection
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.later import at_once
from sansio_smtp.rules.phases import PHASES
from sansio_smtp.rules.ruleset import Rule
from sansio_smtp.rules.run_phase import Asker, check_result
from sansio_smtp.rules.verdicts import Accept, Close, Defer, Discard, Hold, Redirect, Reject
from sansio_smtp.rules.views import Recipient, Transaction
from sansio_smtp.wire.commands import Command

from .asked import Notes, pause, says, says_later

NO = Reject(550, "5.7.1 no")
CONN = Connection()


def ask(*rules: Rule, on_error: OnError = "defer", **options: Any) -> tuple[Any, Notes]:
    """The verdict on a recipient, and what the host was told."""
    host = Notes()
    tx = options.pop("tx", None) or Transaction(CONN)
    options.setdefault("subject", Recipient.of("b@mx"))
    return at_once(Asker(host, on_error).first_verdict(rules, tx, **options)), host


def test_the_first_verdict_wins() -> None:
    verdict, host = ask(says("rcpt", None, "a"), says("rcpt", NO, "b"), says("rcpt", Discard(), "c"))
    assert verdict == NO
    assert host.notes == ["enter a", "leave", "enter b", "leave", "decided b Reject"]


def test_any_number_of_rules_may_be_awaited_one_after_the_other() -> None:
    """More than Python nests calls."""
    waits = says_later("rcpt", lambda tx, to: None)
    asked = Asker(Notes()).first_verdict(
        [waits] * 2000 + [says("rcpt", NO)], Transaction(CONN), subject=Recipient.of("b@mx")
    )
    assert at_once(asked) == NO


def test_all_may_let_it_pass() -> None:
    assert ask()[0] is None
    assert ask(says("rcpt", None), says("rcpt", None))[0] is None


def test_accept_ends_the_asking() -> None:
    verdict, host = ask(says("rcpt", Accept(), "a"), says("rcpt", NO, "b"))
    assert verdict is None
    assert host.notes == ["enter a", "leave", "decided a Accept"]


@pytest.mark.parametrize(
    "verdict",
    [NO, Defer(), Discard(), Hold("why"), Close(), Redirect("other")],
    ids=lambda v: type(v).__name__,
)
def test_each_verdict_is_given_as_it_is(verdict: Any) -> None:
    assert ask(says("rcpt", verdict))[0] is verdict


class Told(Notes):
    """Notes what verdicts and failures are about."""

    def about(self, tx: Transaction | None, subject: object) -> None:
        super().about(tx, subject)
        self.notes.append(f"about {'a mail' if tx else 'none'}, {subject}")

    def failed(self, rule: Rule, error: BaseException) -> str:
        self.notes.append("failed")
        return super().failed(rule, error)


@pytest.mark.parametrize("makes", [says, says_later])
def test_a_host_is_told_what_a_verdict_and_a_failure_are_about(makes: Any) -> None:
    def fails(*arguments: object) -> None:
        raise ValueError

    def refuses(*arguments: object) -> Reject:
        return NO

    for function, told in ((refuses, "decided rule Reject"), (fails, "failed")):
        for arguments, subject, about in (
            ((Transaction(CONN),), "to", "about a mail, to"),
            ((Transaction(CONN),), None, "about a mail, None"),
            ((CONN,), None, "about none, None"),
        ):
            host = Told()
            subject_or_none: Any = None if subject is None else Named(subject)
            at_once(Asker(host).first_verdict([makes("rcpt", function)], *arguments, subject=subject_or_none))
            assert host.notes[-2:] == [about, told]


class Named(Recipient):
    def __init__(self, name: str) -> None:
        super().__init__(Command.of("RCPT TO:<b@mx.example>"))
        self.name = name

    def __str__(self) -> str:
        return self.name


def test_rules_are_given_their_arguments() -> None:
    given: list[tuple[Any, ...]] = []
    rule = Rule("rcpt", lambda *arguments: given.append(arguments), "rule")
    tx, to = Transaction(CONN), Recipient.of("b@mx")
    ask(rule, tx=tx, subject=to)
    assert given == [(tx, to)]
    at_once(Asker(Notes()).first_verdict([says("disconnect", given.append)], CONN))
    assert given[-1] is CONN  # type: ignore[comparison-overlap]


def test_edits_are_seen_by_the_rules_behind_and_told() -> None:
    to = Recipient.of("b@mx")
    seen: list[str] = []
    rules = [
        says("rcpt", lambda tx, to: to.rewrite("c@mx"), "a"),
        says("rcpt", lambda tx, to: seen.append(to.address), "b"),
        says("rcpt", lambda tx, to: to.rewrite("d@mx"), "c"),
    ]
    verdict, host = ask(*rules, subject=to)
    assert (verdict, seen, to.address) == (None, ["c@mx"], "d@mx")
    assert [note for note in host.notes if note.startswith("edited")] == [
        "edited a <b@mx> -> <c@mx>",
        "edited c <c@mx> -> <d@mx>",
    ]


def test_only_rules_that_fit_are_asked() -> None:
    """As things are when their turn comes."""
    to = Recipient.of("b@old")
    rules = [
        says("rcpt", NO, "a", match="*@new"),
        says("rcpt", lambda tx, to: to.rewrite("b@new"), "b", match="*@old"),
        says("rcpt", NO, "c", match="*@old"),
        says("rcpt", Discard(), "d", match="*@new"),
    ]
    verdict, host = ask(*rules, subject=to, fits=lambda rule: rule.fits(to.address))
    assert verdict == Discard()
    assert [note for note in host.notes if note.startswith("enter")] == ["enter b", "enter d"]


# Failures


def test_what_a_phase_does_not_take_is_a_failure() -> None:
    verdict, _ = ask(says("rcpt", 7))
    assert isinstance(verdict, Defer)


@each("error", [ValueError("secret"), SystemExit(3), StopIteration(), LocalProtocolError("x")])
@each(
    ("policy", "verdict"),
    [
        ("defer", Defer(451, "4.3.0 a rule of this proxy failed, try again later (incident 1)")),
        ("reject", Reject(550, "5.3.0 a rule of this proxy failed (incident 1)")),
        ("accept", None),
    ],
)
@each("of_rule", [False, True])
def test_a_failure_is_a_verdict_by_policy(
    policy: OnError, verdict: Any, error: BaseException, of_rule: bool
) -> None:
    """Nothing of the failure itself is in it."""
    other: OnError = "accept" if policy != "accept" else "reject"
    rule = says("rcpt", error, on_error=policy if of_rule else None)
    said, host = ask(rule, on_error=other if of_rule else policy)
    assert said == verdict
    (failure,) = host.failures
    assert failure.rule is rule
    assert host.notes == ["enter rule", "leave"]


@pytest.mark.parametrize(
    ("of_rule", "setting", "kind"),
    [
        (None, "accept", Defer),
        ("accept", "accept", Defer),
        ("accept", "reject", Defer),
        (None, "reject", Reject),
        ("reject", "accept", Reject),
        (None, "defer", Defer),
    ],
)
def test_a_rule_that_guards_fails_closed(of_rule: OnError | None, setting: OnError, kind: type) -> None:
    rule = says("rcpt", ValueError(), on_error=of_rule, guards=True)
    assert isinstance(ask(rule, on_error=setting)[0], kind)


def test_what_is_no_failure_of_the_rule() -> None:
    with pytest.raises(KeyboardInterrupt):
        ask(says("rcpt", KeyboardInterrupt()))


@pytest.mark.parametrize("error", [GeneratorExit(), BaseException("of its own")])
def test_whatever_else_a_rule_raises_is_its_failure(error: BaseException) -> None:
    said, host = ask(says("rcpt", error))
    assert isinstance(said, Defer)
    assert [failure.error for failure in host.failures] == [error]


def test_a_failure_that_is_let_pass_leaves_nothing_behind() -> None:
    """Neither edits nor recipients; the rules after it are asked, and what those before did stays."""
    to, tx = Recipient.of("b@mx"), Transaction(CONN, may_add=True)

    def good(tx: Transaction, to: Recipient) -> None:
        to.rewrite("c@mx")
        tx.add_rcpt("x@mx")

    def bad(tx: Transaction, to: Recipient) -> None:
        to.rewrite("d@mx")
        tx.add_rcpt("y@mx")
        raise ValueError

    rules = [says("rcpt", good), says("rcpt", bad), says("rcpt", lambda tx, to: NO)]
    verdict, host = ask(*rules, on_error="accept", subject=to, tx=tx)
    assert verdict == NO
    assert to.address == "c@mx"
    assert [command.raw for command in tx.added] == [b"RCPT TO:<x@mx>"]
    assert len([note for note in host.notes if note.startswith("edited")]) == 1


def test_where_no_failure_may_stop_anything() -> None:
    """Whatever the policy is."""
    answered: list[Connection] = []
    rules = [says("disconnect", ValueError(), on_error="reject"), says("disconnect", answered.append)]
    host = Notes()
    said = at_once(Asker(host).first_verdict(rules, CONN, fails_open=True))
    assert said is None
    assert answered == [CONN]
    assert host.errors == [ValueError]


class Broken:
    """A subject that a rule has broken."""

    @property
    def revision(self) -> object:
        return object()

    def snapshot(self) -> Any:
        return None

    def restore(self, snapshot: Any) -> None:
        pass

    def changes_since(self, snapshot: Any) -> list[str]:
        raise AttributeError("what was here?")


def test_each_rule_is_told_of_with_its_own_changes() -> None:
    def rewrites(_tx: Any, to: Recipient) -> None:
        to.rewrite("new@mx")

    rules = [Rule("rcpt", rewrites, "first"), says("rcpt", None, "second")]
    _, host = ask(*rules)
    assert [note for note in host.notes if note.startswith("edited")] == ["edited first <b@mx> -> <new@mx>"]


def test_a_subject_that_is_broken_is_a_failure() -> None:
    verdict, host = ask(says("rcpt", None), subject=Broken())
    assert verdict.code == 451
    assert host.errors == [AttributeError]


# What may be returned


@each("phase", PHASES)
def test_each_phase_takes_its_verdicts(phase: str) -> None:
    rule = says(phase, None)
    everything = (Accept(), NO, Defer(), Discard(), Hold(), Close(), Redirect("other"))
    for result in (None, *everything, b"octets"):
        info = PHASES[phase]
        if result is None or isinstance(result, info.verdicts) or (info.octets and result == b"octets"):
            check_result(rule, result)
        else:
            with pytest.raises(LocalProtocolError, match=f"rule returned .*; {phase} takes None"):
                check_result(rule, result)


def test_the_message_names_what_is_legal() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        check_result(says("body", None, "my_rules.body"), "x" * 1000)
    text = str(caught.value)
    assert text.endswith("body takes None, bytes, Accept, Reject, Defer, Discard, Close")
    assert text.startswith("my_rules.body returned 'xxx")
    assert len(text) < 200


@pytest.mark.filterwarnings("error")
def test_a_coroutine_that_nobody_awaits_is_closed() -> None:
    async def forgotten() -> None:
        raise AssertionError("this is never run")

    with pytest.raises(LocalProtocolError, match="returned a coroutine; write async def"):
        check_result(says("rcpt", None), forgotten())


# Waiting


def test_a_rule_that_waits_is_the_hosts_to_call() -> None:
    verdict, host = ask(says_later("rcpt", lambda tx, to: NO, "a"))
    assert verdict == NO
    assert host.notes == ["call a", "changes a", "decided a Reject"]
    verdict, host = ask(says("rcpt", NO, "a", threaded=True))
    assert host.notes == ["call a", "changes a", "decided a Reject"]


def test_a_rule_that_waits_may_have_nothing_to_edit() -> None:
    verdict, host = ask(says_later("data", lambda tx: NO, "a"), subject=None)
    assert verdict == NO
    assert host.notes == ["call a", "decided a Reject"]


def test_what_waits_cannot_be_had_at_once() -> None:
    async def waits(*arguments: Any) -> None:
        await pause()

    with pytest.raises(LocalProtocolError, match=r"RuleSession\.judge"):
        ask(Rule("rcpt", waits, "rule", is_async=True))


def test_rules_that_wait_and_rules_that_do_not_are_asked_in_turn() -> None:
    """Each sees what those before it left, and the first verdict wins."""
    to = Recipient.of("a@mx")
    seen: list[str] = []

    def hears(tx: Transaction, to: Recipient) -> None:
        seen.append(to.address)
        to.rewrite(f"{to.local}+@mx")

    rules = [
        says("rcpt", hears, "a"),
        says_later("rcpt", hears, "b"),
        says("rcpt", NO, "c", match="*@other"),
        says("rcpt", hears, "d"),
        says("rcpt", hears, "e", threaded=True),
        says_later("rcpt", lambda tx, to: Accept(), "f"),
        says("rcpt", NO, "g"),
    ]
    verdict, host = ask(*rules, subject=to, fits=lambda rule: rule.fits(to.address))
    assert verdict is None
    assert seen == ["a@mx", "a+@mx", "a++@mx", "a+++@mx"]
    assert [note for note in host.notes if not note.startswith(("leave", "edited", "changes"))] == [
        "enter a", "call b", "enter d", "call e", "call f", "decided f Accept",
    ]  # fmt: skip


def test_all_rules_may_wait_and_let_it_pass() -> None:
    assert ask(says_later("rcpt", lambda tx, to: None), says_later("rcpt", lambda tx, to: None))[0] is None
    assert ask(says_later("rcpt", lambda tx, to: None), says("rcpt", None))[0] is None


def test_a_failure_of_a_rule_that_waits_leaves_nothing_behind() -> None:
    to, tx = Recipient.of("b@mx"), Transaction(CONN, may_add=True)

    def bad(tx: Transaction, to: Recipient) -> None:
        to.rewrite("d@mx")
        tx.add_rcpt("y@mx")
        raise ValueError

    verdict, host = ask(says_later("rcpt", bad), says("rcpt", None), on_error="accept", subject=to, tx=tx)
    assert (verdict, to.address, tx.added) == (None, "b@mx", [])
    assert host.errors == [ValueError]


def test_where_no_transaction_and_nothing_to_edit_is_there() -> None:
    rule = says_later("disconnect", lambda conn: 7)
    host = Notes()
    assert at_once(Asker(host).first_verdict([rule], CONN, fails_open=True)) is None
    assert host.errors == [LocalProtocolError]
