"""The host as it is: it calls, collects, and says nothing."""

from __future__ import annotations

import pytest

from sansio_smtp.rules.connection import Connection
from sansio_smtp.rules.host import Host
from sansio_smtp.rules.later import run_at_once
from sansio_smtp.rules.ruleset import Rule
from sansio_smtp.rules.verdicts import Accept, Hold
from sansio_smtp.rules.views import Transaction

from .asked import says, says_later

TX = Transaction(Connection())


def test_calls() -> None:
    host = Host()
    assert run_at_once(host.call(says("data", lambda tx: tx, threaded=True), TX)) is TX
    assert run_at_once(host.call(says_later("data", lambda tx: tx), TX)) is TX
    with pytest.raises(ZeroDivisionError):
        run_at_once(host.call(says("data", ZeroDivisionError(), threaded=True), TX))


def test_failures_have_numbers() -> None:
    host = Host()
    rule, errors = says("data", None), [ValueError(), SystemExit()]
    assert [host.failed(rule, error) for error in errors] == ["1", "2"]
    assert [(each.rule, each.error, each.incident) for each in host.failures] == [
        (rule, errors[0], "1"),
        (rule, errors[1], "2"),
    ]


def test_held_messages_are_kept() -> None:
    host = Host()
    verdict = Hold("why")
    run_at_once(host.hold(TX, b"dear all", verdict))
    (held,) = host.held
    assert (held.tx, held.message, held.verdict) == (TX, b"dear all", verdict)
    assert not host.waits


def test_what_it_is_told_it_takes_in_silence() -> None:
    host, rule = Host(), says("data", None)
    host.enter(rule)
    host.leave()
    host.about(TX, None)
    host.decided(rule, Accept())
    host.edited(rule, "a -> b")
    assert host.changes(rule, lambda: ["a -> b"]) == ["a -> b"]
    assert (host.failures, host.held) == ([], [])


def test_hosts_share_nothing() -> None:
    assert Host().failures is not Host().failures


class Cancelled(BaseException):
    """As frameworks have them."""


@pytest.mark.parametrize(
    ("error", "at_once", "awaited"),
    [
        (ValueError(), False, False),
        (SystemExit(), False, False),
        (KeyboardInterrupt(), True, True),
        (GeneratorExit(), False, True),
        (Cancelled(), False, True),
    ],
)
def test_what_is_the_cancellation_of_whoever_asks(error: BaseException, at_once: bool, awaited: bool) -> None:
    """A rule that is not awaited cannot be cancelled."""
    assert Host().passes_on(Rule("rcpt", print, "rule"), error) is at_once
    assert Host().passes_on(Rule("rcpt", print, "rule", is_async=True), error) is awaited
    assert Host().passes_on(Rule("rcpt", print, "rule", threaded=True), error) is awaited
