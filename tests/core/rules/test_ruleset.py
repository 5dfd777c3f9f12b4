"""Rules in their order, and what they want to be asked about."""

from __future__ import annotations

from typing import Any

import pytest
from each import each

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import (
    BODY_LINES,
    CLIENT_CHANGED,
    COMMAND,
    HEADERS,
    IN_TURN,
    LOGIN,
    MESSAGE,
    OTHER_VERBS,
    REPLY,
    Inspect,
)
from sansio_smtp.rules.phases import CONTENT_PHASES, PHASES
from sansio_smtp.rules.ruleset import Rule, RuleSet, meant
from sansio_smtp.wire.commands import Command


def rule(phase: str, **more: Any) -> Rule:
    return Rule(phase=phase, function=lambda *arguments: None, name=f"rules.{phase}", **more)


# One rule


def test_a_rule_that_blocks_goes_to_a_thread() -> None:
    rule = Rule("mail", print, "r.mail")
    rule.move_to_thread()
    assert (rule.threaded, rule.waits) == (True, True)


@pytest.mark.parametrize(
    ("more", "waits"), [({}, False), ({"is_async": True}, True), ({"threaded": True}, True)]
)
def test_what_has_to_be_awaited(more: Any, waits: bool) -> None:
    assert rule("rcpt", **more).waits == waits


def test_where_it_is_written() -> None:
    assert rule("rcpt", file="my_rules.py", line=12).where == "my_rules.py:12"
    assert rule("rcpt").where == "rules.rcpt"


@each(
    ("match", "address", "fits"),
    [
        (None, "bob@example.com", True),
        (None, "", True),
        ("*@example.com", "Bob@EXAMPLE.com", True),
        ("*@example.com", "bob@example.org", False),
        ("*@example.com", "bob@sub.example.com", False),
        ("*@*.example.com", "bob@sub.example.com", True),
        ("bob@*", "bobby@example.com", False),
        ("bob x@example.com", '"bob x"@example.com', True),
        ("*@BÜCHER.example.", "bob@xn--bcher-kva.example", True),
        ("*@[192.0.2.1]", "bob@[192.0.2.1]", True),
        ("[ab]ob@?", "bob@x", True),
        ("*", "", True),
        ("*@*", "", False),
    ],
)
def test_for_whom_it_is_meant(match: str | None, address: str, fits: bool) -> None:
    assert rule("rcpt", match=match).fits(address) == fits


def test_a_rule_about_content_is_meant_for_any_of_the_recipients() -> None:
    some = rule("message", match="*@example.com")
    assert meant(some, ["a@example.org", "b@example.com"])
    assert not meant(some, ["a@example.org"])
    assert not meant(some, [])
    assert meant(rule("message"), [])


# Many

ENVELOPE = {"MAIL", "SEND", "SOML", "SAML", "RCPT", "DATA", OTHER_VERBS}
PLACES: dict[str, set[str]] = {
    "connect": {CLIENT_CHANGED},
    "helo": {"EHLO", "HELO", "LHLO"},
    "auth": {"AUTH"},
    "login": {LOGIN},
    "mail": ENVELOPE,
    "rcpt": ENVELOPE,
    "data": ENVELOPE,
    "headers": ENVELOPE | {HEADERS},
    "body_line": ENVELOPE | {HEADERS, BODY_LINES},
    "body": ENVELOPE | {HEADERS, BODY_LINES},
    "message": ENVELOPE | {MESSAGE},
    "reply": ENVELOPE | {REPLY},
    "delivered": ENVELOPE,
    "disconnect": set(),
    "command": {COMMAND},
}
"""phase → where the core has to ask"""


@each("phase", PHASES)
def test_the_core_is_to_ask_what_the_rules_need_and_no_more(phase: str) -> None:
    rules = RuleSet([rule(phase)])
    expected = {*PLACES[phase], *[IN_TURN] * bool(PLACES[phase] - {CLIENT_CHANGED})}
    assert rules.ask == expected
    Proxy(ask=rules.ask)  # knows these places
    assert rules.sees_transactions == (PLACES[phase] >= ENVELOPE)


def test_places_add_up() -> None:
    rules = RuleSet([rule("message"), rule("auth"), rule("connect")])
    assert rules.ask == {"AUTH", *ENVELOPE, MESSAGE, CLIENT_CHANGED, IN_TURN}
    assert RuleSet().ask == frozenset()


def test_rules_keep_their_order() -> None:
    first, second, third = rule("rcpt"), rule("connect"), rule("rcpt")
    rules = RuleSet(each for each in (first, second, third))
    assert rules.rules == (first, second, third)
    assert rules.by_phase["rcpt"] == (first, third)
    assert rules.by_phase["connect"] == (second,)
    assert list(rules.by_phase) == list(PHASES)
    assert rules.phases == ("connect", "rcpt")
    assert RuleSet().phases == ()


@each("phase", PHASES)
def test_what_of_a_message_is_looked_at(phase: str) -> None:
    everywhere = RuleSet([rule(phase)])
    content = PLACES[phase] & {HEADERS, BODY_LINES, MESSAGE} if phase in CONTENT_PHASES else set[str]()
    assert everywhere.content_places(["bob@example.com"]) == content
    assert everywhere.content_places([]) == content
    some = RuleSet([rule(phase, match="*@example.com")])
    assert some.content_places(iter(["a@example.org", "bob@example.com"])) == content
    assert some.content_places(["a@example.org"]) == set()


def test_places_of_content_add_up() -> None:
    rules = RuleSet(
        [rule("headers"), rule("message", match="*@example.com"), rule("body", match="*@example.org")]
    )
    assert rules.content_places(["a@example.com"]) == {HEADERS, MESSAGE}
    assert rules.content_places(["a@example.org"]) == {HEADERS, BODY_LINES}
    assert rules.content_places(["a@example.com", "a@example.org"]) == {HEADERS, MESSAGE, BODY_LINES}
    assert rules.content_places(["a@example.net"]) == {HEADERS}


@pytest.mark.parametrize(
    ("phase", "hint"), [("rctp", '; did you mean "rcpt"?'), ("RCPT", '"rcpt"'), ("", "''")]
)
def test_a_rule_of_no_phase_would_never_be_asked(phase: str, hint: str) -> None:
    with pytest.raises(LocalProtocolError, match=hint.replace("?", r"\?")):
        Rule(phase, print, "a.b")


def test_case_does_not_matter_in_a_pattern() -> None:
    assert Rule("rcpt", print, "a.b", match="*@Example.com").fits("bob@EXAMPLE.com")


@pytest.mark.parametrize(
    ("guards", "of_rule", "setting", "policy"),
    [
        (False, None, "accept", "accept"),
        (False, "accept", "defer", "accept"),
        (True, None, "accept", "defer"),
        (True, "accept", "reject", "defer"),
        (True, None, "reject", "reject"),
    ],
)
def test_what_a_failure_means(guards: bool, of_rule: Any, setting: Any, policy: str) -> None:
    assert Rule("rcpt", print, "a.b", on_error=of_rule, guards=guards).policy(setting) == policy


def test_the_verdict_on_data_is_made_once_if_it_depends_on_no_recipient() -> None:
    plain = RuleSet([rule("headers"), rule("rcpt", match="*@mx")])
    assert plain.inspection(["a@mx"]) == Inspect(frozenset({"HEADERS"}))
    assert plain.inspection(["a@mx"]) is plain.inspection(["b@other"])
    copy = Command.of("RCPT TO:<c@mx>")
    assert plain.inspection(["a@mx"], (copy,)) == Inspect(frozenset({"HEADERS"}), (copy,))
    some = RuleSet([rule("headers"), rule("message", match="*@mx")])
    assert some.inspection(["a@mx"]) == Inspect(frozenset({"HEADERS", "MESSAGE"}))
    assert some.inspection(["b@other"]) == Inspect(frozenset({"HEADERS"}))
    assert RuleSet().inspection(["a@mx"]) == Inspect(frozenset())


def test_what_need_not_be_asked_about() -> None:
    """Where no rule is asked about a MAIL or RCPT, usual paths pass; and DATA, if none can have said what
    becomes of it."""
    known = Inspect(frozenset((HEADERS,)))
    for phases, verbs, inspect in (
        (("headers",), {b"MAIL", b"RCPT"}, known),
        (("headers", "rcpt"), {b"MAIL"}, None),
        (("headers", "mail"), {b"RCPT"}, None),
        (("headers", "data"), {b"MAIL", b"RCPT"}, None),
        (("headers", "command"), set(), None),
        (("helo",), set(), None),
    ):
        unasked = RuleSet(map(rule, phases)).unasked
        assert unasked.lines.keys() == verbs, phases
        assert unasked.inspect == inspect, phases
        for pattern in unasked.lines.values():
            assert pattern.fullmatch(b"RCPT TO:<b@mx>")
            assert not pattern.fullmatch(b"RCPT TO:<b c@mx>")
    assert RuleSet([rule("headers", match="@mx")]).unasked.inspect is None


def test_the_commands_that_concern_some_rule() -> None:
    assert RuleSet().phase_of_verb == {}
    assert RuleSet([rule("helo")]).phase_of_verb == dict.fromkeys((b"EHLO", b"HELO", b"LHLO"), "helo")
    assert set(RuleSet([rule("headers")]).phase_of_verb.values()) == {"mail", "rcpt", "data"}
    assert RuleSet([rule("rcpt"), rule("command")]).phase_of_verb == {}, "which may replace the command"
