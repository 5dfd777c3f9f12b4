from __future__ import annotations

from itertools import product

import pytest
from each import each

from sansio_smtp.states import (
    FRAMING,
    LINE_STEPS,
    REPLY_CODES,
    REPLY_STEPS,
    TRANSACTION,
    Gate,
    GateStep,
    Message,
    MessageStep,
    Phase,
    Step,
    TransactionState,
    UpstreamState,
    UpstreamStep,
)
from sansio_smtp.verbs import VERBS, Effect, Kind

BLOCKING = (Kind.HELLO, Kind.DATA, Kind.AUTH, Kind.QUIT, Kind.STARTTLS, Kind.IDENTITY)

ENDING = (b"RSET", b"EHLO", b"HELO", b"LHLO", b"STARTTLS", b"XCLIENT")


def reply_step(kind: Kind | None, code: int) -> Step | None:
    """The step for a reply with this code, as the ends look it up."""
    return REPLY_STEPS.get((kind, code if code == 421 else code // 100))


def test_the_tables_are_about_every_phase_step_and_kind() -> None:
    assert set(FRAMING) == set(Phase)
    assert {step for steps in FRAMING.values() for step in steps} == set(Step)
    assert set(LINE_STEPS) == set(Kind)
    assert {kind for kind, _ in REPLY_STEPS} == {None, *Kind}
    assert set(LINE_STEPS.values()) | set(REPLY_STEPS.values()) <= set(Step)


def test_every_phase_can_be_reached_and_closed() -> None:
    reached, found = {Phase.GREETING}, [Phase.GREETING]
    while found:
        new = set(FRAMING[found.pop()].values()) - reached
        reached |= new
        found += new
    assert reached == set(Phase)
    assert all(Step.CLOSE in FRAMING[phase] for phase in Phase if phase is not Phase.CLOSED)


def test_nothing_follows_the_end() -> None:
    assert FRAMING[Phase.MUST_CLOSE] == {Step.CLOSE: Phase.CLOSED}
    assert FRAMING[Phase.CLOSED] == {}


def test_421_ends_the_dialogue_in_every_phase_before() -> None:
    """RFC 5321 §3.8. The greeting has a step of its own."""
    for phase in set(Phase) - {Phase.MUST_CLOSE, Phase.CLOSED}:
        assert FRAMING[phase][Step.GOODBYE] is Phase.MUST_CLOSE
    assert all(reply_step(kind, 421) is Step.GOODBYE for kind in Kind)
    assert reply_step(None, 421) is Step.GREETING_REFUSED


def test_mail_data_opens_with_354_and_with_nothing_else() -> None:
    """RFC 5321 §3.3: not with the DATA command, not with 2xx, not from another phase."""
    ways = [(phase, step) for phase in Phase for step, to in FRAMING[phase].items() if to is Phase.CONTENT]
    assert ways == [(Phase.BLOCKED, Step.GO_AHEAD)]
    assert [key for key, step in REPLY_STEPS.items() if step is Step.GO_AHEAD] == [(Kind.DATA, 3)]


def test_codes_are_those_of_replies_that_may_be() -> None:
    """Where no code is allowed, the first digit is one of a peer's replies all the same."""
    assert REPLY_CODES.keys() <= REPLY_STEPS.keys()
    assert all(code // 100 == digit for (_, digit), codes in REPLY_CODES.items() for code in codes)
    assert [kind for (kind, _), codes in REPLY_CODES.items() if not codes] == [Kind.DATA]


def test_an_auth_line_opens_with_334_and_with_nothing_else() -> None:
    ways = [(phase, step) for phase in Phase for step, to in FRAMING[phase].items() if to is Phase.AUTH_LINE]
    assert ways == [(Phase.BLOCKED, Step.CHALLENGE)]
    found = {key for key, step in REPLY_STEPS.items() if step is Step.CHALLENGE}
    assert found == {(Kind.AUTH, 3), (Kind.AUTH_LINE, 3)}


@each("kind", [None, *Kind])
def test_3xx_continues_data_and_auth_only(kind: Kind | None) -> None:
    may = kind in (Kind.DATA, Kind.AUTH, Kind.AUTH_LINE)
    assert (reply_step(kind, 354) is not None) is may


@pytest.mark.parametrize("code", [100, 199, 600, 999, 0])
def test_codes_that_are_none(code: int) -> None:
    """RFC 5321 §4.2.1: 1xx is not used in SMTP."""
    assert all(reply_step(kind, code) is None for kind in (None, *Kind))


@pytest.mark.parametrize(("one", "other"), [(250, 299), (400, 499), (500, 599)])
def test_only_the_first_digit_decides(one: int, other: int) -> None:
    for kind, code in product((None, *Kind), range(one, other + 1)):
        if code != 421:
            assert reply_step(kind, code) is reply_step(kind, one)


@pytest.mark.parametrize("severity", [2, 4, 5])
def test_a_final_reply_to_a_blocking_line_lets_commands_go_on(severity: int) -> None:
    for kind in (Kind.HELLO, Kind.DATA, Kind.AUTH, Kind.AUTH_LINE):
        step = reply_step(kind, severity * 100)
        assert step is Step.RELEASE
        assert FRAMING[Phase.BLOCKED][step] is Phase.COMMAND


def test_tls_begins_with_2xx_to_starttls_and_with_nothing_else() -> None:
    """RFC 3207 §4: and in that phase there is nothing but the handshake, or the end."""
    ways = [(phase, step) for phase in Phase for step, to in FRAMING[phase].items() if to is Phase.TLS]
    assert ways == [(Phase.BLOCKED, Step.START_TLS)]
    assert [key for key, step in REPLY_STEPS.items() if step is Step.START_TLS] == [(Kind.STARTTLS, 2)]
    assert {reply_step(Kind.STARTTLS, code) for code in (454, 501)} == {Step.RELEASE}
    assert FRAMING[Phase.TLS] == {
        Step.TLS_STARTED: Phase.COMMAND,
        Step.GOODBYE: Phase.MUST_CLOSE,
        Step.CLOSE: Phase.CLOSED,
    }


def test_quit_ends_the_dialogue_only_if_it_succeeds() -> None:
    assert reply_step(Kind.QUIT, 221) is Step.GOODBYE
    assert {reply_step(Kind.QUIT, code) for code in (450, 500)} == {Step.RELEASE}


def test_the_reply_to_a_violation_is_the_last_one() -> None:
    assert {reply_step(Kind.VIOLATION, code) for code in (421, 450, 500, 554)} == {Step.GOODBYE}
    assert reply_step(Kind.VIOLATION, 250) is None


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.GROUP, Kind.END_OF_DATA])
def test_every_final_reply_answers_a_line_that_does_not_block(kind: Kind) -> None:
    assert {reply_step(kind, code) for code in (200, 250, 299, 400, 450, 500, 550)} == {Step.REPLY}


def test_lines_that_block_and_lines_that_do_not() -> None:
    """RFC 2920 §3.1: what may end a command group blocks it here."""
    for verb in VERBS.values():
        phase = FRAMING[Phase.COMMAND][LINE_STEPS[verb.kind]]
        after = Phase.CHUNK if verb.kind is Kind.CHUNK else Phase.COMMAND
        assert phase is (Phase.BLOCKED if verb.kind in BLOCKING else after)


def test_replies_to_earlier_lines_change_nothing() -> None:
    for phase in (Phase.COMMAND, Phase.BLOCKED, Phase.CHUNK):
        assert FRAMING[phase][Step.REPLY] is phase


def test_the_mail_transaction() -> None:
    """RFC 5321 §3.3, §4.1.1.5: a refused command leaves it as it was; end-of-data ends it in any case.
    RFC 3030 §2: so does a chunk that is refused."""
    begin = {key for key, effect in TRANSACTION.items() if effect is Effect.BEGIN}
    add = {key for key, effect in TRANSACTION.items() if effect is Effect.ADD_RECIPIENT}
    end = {key for key, effect in TRANSACTION.items() if effect is Effect.END}
    assert (begin, add) == ({(verb, 2) for verb in (b"MAIL", b"SEND", b"SOML", b"SAML")}, {(b"RCPT", 2)})
    refused = {(b"BDAT n", 4), (b"BDAT n", 5)}
    assert end == {(b".", 2), (b".", 4), (b".", 5), *refused, *((verb, 2) for verb in ENDING)}


def test_members_are_keys_by_identity() -> None:
    """Their hash is the cheap one of objects; equal members stay equal keys."""
    proxys = (UpstreamState, UpstreamStep, Gate, GateStep, Message, MessageStep)
    for enum in (Phase, Step, TransactionState, *proxys):
        assert len(dict.fromkeys(enum)) == len(enum)
        assert all(
            enum(member.value) is member and hash(member) == object.__hash__(member) for member in enum
        )
