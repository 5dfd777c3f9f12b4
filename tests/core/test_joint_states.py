"""The rules of what may occur at the same time: each is one that can be broken, and is found broken."""

from __future__ import annotations

from enum import Enum
from functools import cache
from itertools import product
from typing import Any

import attrs
import pytest
from each import each

from core.scene import Scene
from sansio_smtp.joint_states import TOGETHER, Snapshot, contradiction
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.states import Gate, Message, Phase, TransactionState, UpstreamState

FIELDS: dict[str, type[Enum]] = {
    "client": Phase,
    "client_transaction": TransactionState,
    "gate": Gate,
    "message": Message,
    "upstream": UpstreamState,
    "server": Phase,
    "server_transaction": TransactionState,
}
OWN = {Gate: "gate", Message: "message", UpstreamState: "upstream"}
"""The enums whose states have rules, and the field that holds one."""

RULES = [(state, field, allowed) for state, row in TOGETHER.items() for field, allowed in row.items()]


@cache
def everything() -> list[Snapshot]:
    return [Snapshot(*states) for states in product(*FIELDS.values())]


@cache
def legal() -> list[Snapshot]:
    return [snapshot for snapshot in everything() if contradiction(snapshot) is None]


def breaks(snapshot: Snapshot, state: Enum, field: str, allowed: frozenset[Any]) -> bool:
    return getattr(snapshot, OWN[type(state)]) is state and getattr(snapshot, field) not in allowed


def words(snapshot: Snapshot, state: Enum, field: str, _: frozenset[Any]) -> str:
    return f"{OWN[type(state)]} {state.name} does not go with {field} {getattr(snapshot, field).name}"


def test_the_fields_of_a_snapshot() -> None:
    assert [field.name for field in attrs.fields(Snapshot)] == list(FIELDS)


@each(("state", "field", "allowed"), RULES)
def test_a_rule_names_a_field_and_states_that_it_can_hold(
    state: Enum, field: str, allowed: frozenset[Any]
) -> None:
    assert type(state) in OWN
    assert field in set(FIELDS) - {OWN[type(state)]}
    assert allowed < set(FIELDS[field]), "a rule that allows everything is none"
    assert allowed


@pytest.mark.parametrize(("state", "field", "allowed"), RULES)
def test_each_rule_is_found_broken(state: Enum, field: str, allowed: frozenset[Any]) -> None:
    """In words that name what does not go together: this, or another rule that is broken as well."""
    good = next(snapshot for snapshot in legal() if getattr(snapshot, OWN[type(state)]) is state)
    for wrong in set(FIELDS[field]) - allowed:
        bad = attrs.evolve(good, **{field: wrong})
        assert breaks(bad, state, field, allowed)
        said = contradiction(bad)
        assert said is not None
        assert said in [words(bad, *rule) for rule in RULES if breaks(bad, *rule)]


def test_a_snapshot_is_legal_if_it_breaks_no_rule() -> None:
    for snapshot in everything()[::7]:
        assert (contradiction(snapshot) is None) is not any(breaks(snapshot, *rule) for rule in RULES)


@pytest.mark.parametrize("field", FIELDS)
def test_the_rules_leave_room_for_every_state(field: str) -> None:
    """Except two: both sides are closed as soon as the client gets its last reply, and BDAT goes nowhere."""
    never = {"client": {Phase.MUST_CLOSE}, "server": {Phase.CHUNK}}.get(field, set())
    found = {getattr(snapshot, field) for snapshot in legal()}
    assert found == set(FIELDS[field]) - never


def test_what_is_over_is_over() -> None:
    assert {
        (snapshot.client, snapshot.gate, snapshot.message, snapshot.upstream, snapshot.server)
        for snapshot in legal()
        if snapshot.gate is Gate.SHUT or snapshot.upstream is UpstreamState.CLOSED
    } == {(Phase.CLOSED, Gate.SHUT, Message.NONE, UpstreamState.CLOSED, Phase.CLOSED)}


def test_a_snapshot_is_a_value() -> None:
    """For sets of what was seen."""
    one, other = Proxy().snapshot(), Proxy().snapshot()
    assert one == other
    assert len({one, other, Scene().greeted().proxy.snapshot()}) == 2


def test_a_snapshot_in_words() -> None:
    assert str(Proxy().snapshot()) == (
        "client GREETING in none, gate OPEN, message NONE, upstream CONNECTING, server GREETING in none"
    )
    assert str(Scene().in_content().proxy.snapshot()) == (
        "client CONTENT in a transaction, gate OPEN, message NONE, "
        "upstream READY, server CONTENT in a transaction"
    )
