"""The phases of a dialogue."""

from __future__ import annotations

from typing import get_args

from each import each

from sansio_smtp.rules.phases import CONTENT_PHASES, PHASES
from sansio_smtp.rules.verdicts import Accept, Close, Defer, Discard, Hold, Redirect, Reject, Verdict


def test_the_phases_in_the_order_of_a_dialogue() -> None:
    assert [phase.signature for phase in PHASES.values()] == [
        *("connect(conn)", "helo(conn, name)", "auth(conn, attempt)", "login(conn, attempt)"),
        *("mail(tx, sender)", "rcpt(tx, to)"),
        *("data(tx)", "headers(tx, headers)", "body_line(tx, line)", "body(tx, chunk)", "message(tx, msg)"),
        *("reply(tx, command, answer)", "delivered(tx, results)", "disconnect(conn)", "command(conn, cmd)"),
    ]
    assert all(name == phase.name for name, phase in PHASES.items())


LEGAL = {
    "connect": {Accept, Reject, Defer, Close, Redirect},
    "helo": {Accept, Reject, Defer, Close, Redirect},
    "auth": {Accept, Reject, Defer, Close, Redirect},
    "login": {Accept, Reject, Defer, Close},
    "mail": {Accept, Reject, Defer, Close, Redirect, Discard, Hold},
    "rcpt": {Accept, Reject, Defer, Close, Redirect, Discard, Hold},
    "data": {Accept, Reject, Defer, Close, Discard, Hold},
    "headers": {Accept, Reject, Defer, Close, Discard},
    "body_line": {Accept, Reject, Defer, Close, Discard},
    "body": {Accept, Reject, Defer, Close, Discard},
    "message": {Accept, Reject, Defer, Close, Discard, Hold},
    "reply": {Accept, Close},
    "delivered": set[type]([]),
    "disconnect": set[type]([]),
    "command": {Accept, Reject, Defer, Close},
}


@each("name", PHASES)
def test_what_makes_sense_in_a_phase(name: str) -> None:
    phase = PHASES[name]
    assert set(phase.verdicts) == LEGAL[name]
    assert len(set(phase.verdicts)) == len(phase.verdicts)
    assert set(phase.verdicts) <= set(get_args(Verdict))
    assert phase.octets == (name in ("body", "body_line"))


def test_hold_needs_the_whole_message_and_redirect_a_server_that_has_no_recipient() -> None:
    names = list(PHASES)
    redirects = [names.index(name) for name in names if Redirect in PHASES[name].verdicts]
    assert max(redirects) < names.index("data")
    streams = {name for name in CONTENT_PHASES if name != "message"}
    assert not any(Hold in PHASES[name].verdicts for name in streams)


def test_content() -> None:
    assert CONTENT_PHASES == ("headers", "body_line", "body", "message")
