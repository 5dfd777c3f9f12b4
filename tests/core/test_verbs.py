"""What each verb means: framing, the mail transaction, routes, and whether it is carried."""

from __future__ import annotations

from each import each

from sansio_smtp.rules.phases import PHASES
from sansio_smtp.states import LINE_STEPS
from sansio_smtp.verbs import UNKNOWN, VERBS, Effect, Kind, Support, Verb

NO_VERB = {Kind.AUTH_LINE, Kind.END_OF_DATA, Kind.VIOLATION, Kind.LAST_CHUNK, Kind.DROPPED_CHUNK}
"""Kinds of what is no command line, or none that can be read."""


def verbs(**wanted: object) -> set[str]:
    """The verbs of the table whose columns hold these values."""
    return {
        name.decode()
        for name, verb in VERBS.items()
        if all(getattr(verb, column) is value for column, value in wanted.items())
    }


def test_framing() -> None:
    """RFC 5321 §4.1.1, RFC 4954 §4."""
    found = {kind: verbs(kind=kind, support=Support.FORWARDED) for kind in Kind}
    assert found[Kind.HELLO] == {"EHLO", "HELO", "LHLO"}
    assert found[Kind.DATA] == {"DATA"}
    assert found[Kind.CHUNK] == {"BDAT"}
    assert found[Kind.AUTH] == {"AUTH"}
    assert found[Kind.QUIT] == {"QUIT"}
    assert found[Kind.GROUP] == {"MAIL", "RCPT", "RSET", "SEND", "SOML", "SAML"}
    assert found[Kind.PLAIN] == {"NOOP", "VRFY", "EXPN", "HELP"}
    assert all(not found[kind] for kind in NO_VERB)


def test_effects() -> None:
    """RFC 5321 §3.3, §4.1.1.5, §4.1.4."""
    found = {effect: verbs(effect=effect) for effect in Effect}
    assert found == {
        Effect.BEGIN: {"MAIL", "SEND", "SOML", "SAML"},
        Effect.ADD_RECIPIENT: {"RCPT"},
        Effect.END: {"RSET", "EHLO", "HELO", "LHLO", "STARTTLS", "XCLIENT"},
    }


def test_what_may_go_to_another_server() -> None:
    assert verbs(routed=True) == {"EHLO", "HELO", "LHLO", "AUTH", "MAIL", "SEND", "SOML", "SAML", "RCPT"}


def test_what_is_not_carried_has_no_other_meaning() -> None:
    """It is refused as a plain line is; nobody must ask what else it does."""
    for verb in VERBS.values():
        if verb.support in (Support.REFUSED, Support.FOREIGN):
            assert (verb.kind, verb.effect, verb.routed, verb.phase) == (Kind.PLAIN, None, False, None)


def test_what_changes_framing_or_roles_is_refused() -> None:
    """RFC 4468, 2645, 1985; the header of a balancer; private verbs of Exchange."""
    refused = verbs(support=Support.REFUSED)
    assert {"BURL", "ATRN", "ETRN", "TURN", "PROXY"} <= refused
    assert refused & {"NOOP", "X-ANY"} == set()


def test_what_begins_a_transaction_is_seen_as_mail_is() -> None:
    assert verbs(phase="mail") == verbs(effect=Effect.BEGIN)


def test_what_the_proxy_answers_itself() -> None:
    """RFC 3207; XCLIENT and XFORWARD of Postfix. No server sees them."""
    assert verbs(support=Support.OWN) == {"STARTTLS", "XCLIENT", "XFORWARD"}
    assert verbs(kind=Kind.STARTTLS) == {"STARTTLS"}
    assert verbs(kind=Kind.IDENTITY) == {"XCLIENT", "XFORWARD"}


def test_what_may_come_before_tls() -> None:
    """RFC 3207 §4, and HELO: its reply does no harm."""
    assert verbs(before_tls=True) == {"EHLO", "HELO", "LHLO", "NOOP", "STARTTLS", "QUIT"}


def test_http_is_foreign() -> None:
    assert {"GET", "POST", "CONNECT"} <= verbs(support=Support.FOREIGN)


def test_an_unknown_verb_is_the_servers_to_judge() -> None:
    assert (UNKNOWN.kind, UNKNOWN.effect, UNKNOWN.routed) == (Kind.PLAIN, None, False)
    assert UNKNOWN.support is Support.FORWARDED


def test_the_phases_of_rules_are_those_that_exist() -> None:
    named = {verb.phase for verb in VERBS.values() if verb.phase is not None}
    assert named == {"helo", "auth", "mail", "rcpt", "data"}
    assert named <= PHASES.keys()


def test_every_kind_has_a_step() -> None:
    assert {verb.kind for verb in VERBS.values()} | NO_VERB == set(Kind) == set(LINE_STEPS)


@each("name", VERBS)
def test_names_are_upper_case_words(name: bytes) -> None:
    assert name == name.upper()
    assert name.split() == [name]


def test_rows_are_compared_by_identity() -> None:
    """Two verbs that mean the same are two verbs."""
    assert VERBS[b"EHLO"] is not VERBS[b"HELO"]
    assert Verb() != Verb()


def test_members_are_keys_by_identity() -> None:
    """Their hash is the cheap one of objects, as in `states`."""
    for enum in (Kind, Effect):
        assert all(hash(member) == object.__hash__(member) for member in enum)
