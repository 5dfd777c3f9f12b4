"""The tables of the proxy itself: the connection to a server, the gate, the message in flight."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import sansio_smtp
from sansio_smtp.errors import InternalError
from sansio_smtp.states import (
    FRAMING,
    GATE,
    MESSAGE,
    UPSTREAM,
    Gate,
    GateStep,
    Message,
    MessageStep,
    Phase,
    Step,
    UpstreamState,
    UpstreamStep,
    following,
)

Table = Mapping[Any, Mapping[Any, Any]]

TABLES: dict[str, tuple[Table, Any, type[Enum]]] = {
    "FRAMING": (FRAMING, Phase.GREETING, Step),
    "UPSTREAM": (UPSTREAM, UpstreamState.CONNECTING, UpstreamStep),
    "GATE": (GATE, Gate.OPEN, GateStep),
    "MESSAGE": (MESSAGE, Message.NONE, MessageStep),
}
SOURCES = {
    path.name: path.read_text("utf-8")
    for folder in (".", "ends", "proxy")
    for path in (Path(sansio_smtp.__file__).parent / folder).glob("*.py")
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_about_every_state_and_every_step(name: str) -> None:
    table, first, steps = TABLES[name]
    assert set(table) == set(type(first))
    assert {step for row in table.values() for step in row} == set(steps)


@pytest.mark.parametrize("name", TABLES)
def test_every_state_can_be_reached(name: str) -> None:
    table, first, _ = TABLES[name]
    reached, found = {first}, [first]
    while found:
        new = set(table[found.pop()].values()) - reached
        reached |= new
        found += new
    assert reached == set(type(first))


@pytest.mark.parametrize("name", TABLES)
def test_a_state_that_is_left_never_again_is_the_last_one(name: str) -> None:
    """From every other there is a way to the end: nothing is stuck."""
    table, first, _ = TABLES[name]
    ends = {state for state in type(first) if not table[state]}
    assert ends == {"MESSAGE": set()}.get(name, {list(type(first))[-1]})
    goal = ends or {first}
    leads = set(goal)
    while more := {state for state in table if leads & set(table[state].values())} - leads:
        leads |= more
    assert leads == set(type(first))


@pytest.mark.parametrize("name", TABLES)
def test_every_step_is_taken_by_some_module(name: str) -> None:
    """A step that nobody takes is a rule that nobody follows."""
    steps = TABLES[name][2]
    # Those of FRAMING that are a line or a reply are named in the tables beside it.
    sources = [text for file, text in SOURCES.items() if file != "states.py" or name == "FRAMING"]
    taken = {step for text in sources for step in re.findall(rf"\b{steps.__name__}\.([A-Z_]+)", text)}
    assert taken == set(steps.__members__)


@pytest.mark.parametrize("name", ["UPSTREAM", "GATE", "MESSAGE"])
def test_a_state_is_assigned_in_one_place(name: str) -> None:
    """Where the table is looked at."""
    places = [
        file
        for file, text in SOURCES.items()
        if re.search(rf"following\({name}, self|(TABLE|{name})\[self", text)
    ]
    module = {"UPSTREAM": "upstream.py", "GATE": "downstream.py", "MESSAGE": "message_flow.py"}[name]
    assert module in places
    attribute = "gate" if name == "GATE" else "state"
    assigned = re.findall(rf"\.{attribute} = (.*)", SOURCES[module])
    assert [value for value in assigned if "following(" not in value and value != "after"] == {
        "UPSTREAM": [],
        "GATE": ["Gate.OPEN"],
        "MESSAGE": ["Message.NONE"],
    }[name], "except the state in which it begins"
    assert len(assigned) == 1 + (name != "UPSTREAM")


def test_the_life_of_a_connection_to_a_server() -> None:
    """It is told what it must know before it hears the client; another server is another object."""
    before_ready = {state for state, row in UPSTREAM.items() if UpstreamState.READY in row.values()}
    assert before_ready == {UpstreamState.SETUP}
    assert {state for state, row in UPSTREAM.items() if UpstreamStep.CLOSE in row} == set(UpstreamState) - {
        UpstreamState.CLOSED
    }
    assert all(UpstreamState.CONNECTING not in row.values() for row in UPSTREAM.values())
    assert set(UPSTREAM[UpstreamState.DETACHED].values()) == {UpstreamState.CLOSED}


def test_the_gate_opens_by_an_answer_or_for_a_command_of_ours() -> None:
    ways = {(gate, step) for gate, row in GATE.items() for step, to in row.items() if to is Gate.OPEN}
    assert ways == {(Gate.ASKED, GateStep.ANSWER), (Gate.QUEUED, GateStep.TAKE)}


def test_a_session_that_is_to_end_never_opens_the_gate_again() -> None:
    assert set(GATE[Gate.ENDING].values()) == {Gate.ENDING, Gate.SHUT}
    ends = {gate for gate, row in GATE.items() if row.get(GateStep.END) is Gate.ENDING}
    assert ends == set(Gate) - {Gate.SHUT}


def test_the_client_is_asked_about_once_at_a_time() -> None:
    assert GateStep.ASK not in GATE[Gate.ASKED]
    assert GateStep.ASK_REPLY not in GATE[Gate.ASKED]


def test_a_message_leaves_once() -> None:
    """What was refused or has ended is not sent; what is being judged is not sent either."""
    sent = {state for state, row in MESSAGE.items() if MessageStep.ENDED in row}
    assert sent == {Message.STREAMING, Message.AWAITING_DATA, Message.SENDING}
    assert Message.SENDING not in MESSAGE[Message.DROPPING].values()
    assert {Message.DROPPING, Message.NONE} == set(MESSAGE[Message.DROPPING].values())


def test_a_dialogue_may_end_whatever_the_message_does() -> None:
    assert all(row[MessageStep.CLOSE] is Message.NONE for row in MESSAGE.values())


def test_following() -> None:
    assert following(GATE, Gate.OPEN, GateStep.ASK) is Gate.ASKED


@pytest.mark.parametrize("name", ["UPSTREAM", "GATE", "MESSAGE"])
def test_a_step_that_is_not_foreseen_is_a_fault_of_the_library(name: str) -> None:
    table, first, steps = TABLES[name]
    for state in type(first):
        for step in steps:
            if step in table[state]:
                assert following(table, state, step) is table[state][step]
            else:
                with pytest.raises(InternalError, match=f"{state.name}: not foreseen"):
                    following(table, state, step)
