"""The state machines of the code as pictures, and as the regions of pages that show them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pictures import image, states

from sansio_smtp.states import FRAMING, GATE, MESSAGE, TRANSACTION, UPSTREAM, Phase, Step
from sansio_smtp.verbs import Effect

__all__ = ["ENDS", "PICTURES", "REGIONS", "anywhere", "causes"]

ENDS = (Phase.MUST_CLOSE, Phase.CLOSED)

_MACHINES: dict[str, tuple[Mapping[Any, Mapping[Any, Any]], str]] = {
    "upstream": (UPSTREAM, "The states of the connection to the server"),
    "gate": (GATE, "The states of the gate"),
    "message": (MESSAGE, "The states of the message in flight"),
}


def anywhere() -> dict[Step, Phase]:
    """The steps that lead from every open phase to one and the same."""
    first, *others = (steps for phase, steps in FRAMING.items() if phase not in ENDS)
    return {step: phase for step, phase in first.items() if all(other.get(step) is phase for other in others)}


def causes(effect: Effect) -> list[str]:
    """The replies that do this to a transaction."""
    digits: dict[str, list[str]] = defaultdict(list)
    for (verb, digit), caused in TRANSACTION.items():
        if caused is effect:
            digits["end of data" if verb == b"." else verb.decode()].append(f"{digit}xx")
    return [f"{verb} {', '.join(answers)}" for verb, answers in digits.items()]


def framing() -> str:
    edges: dict[tuple[Phase, Phase], list[str]] = defaultdict(list)
    for phase, steps in FRAMING.items():
        for step, following in steps.items():
            if step not in anywhere() or phase in ENDS:
                edges[phase, following].append(step.value)
    ends = [phase.name for phase, steps in FRAMING.items() if not steps]
    return states(next(iter(FRAMING)).name, [(a.name, b.name, of) for (a, b), of in edges.items()], ends)


def framing_region() -> str:
    everywhere = "; ".join(f"{step.value} → {phase.name}" for step, phase in anywhere().items())
    return (
        image("framing", "The phases of framing, and what leads from one to another")
        + f"\n\nNot drawn, since they lead away from every open phase: {everywhere}."
    )


def transaction() -> str:
    arrows = {
        Effect.BEGIN: ("NONE", "OPEN"),
        Effect.ADD_RECIPIENT: ("OPEN", "OPEN"),
        Effect.END: ("OPEN", "NONE"),
    }
    return states("NONE", [(*arrows[effect], causes(effect)) for effect in Effect])


def transaction_region() -> str:
    return image("transaction", "A mail transaction begins and ends with replies of the server")


def machine(name: str) -> str:
    """One of the proxy's own tables; ways that lead from everywhere are named below it, not drawn."""
    table, _ = _MACHINES[name]
    everywhere = _everywhere(table)
    edges: dict[tuple[Any, Any], list[str]] = defaultdict(list)
    for state, row in table.items():
        for step, to in row.items():
            if (step, to) not in everywhere:
                edges[state, to].append(step.value)
    return states(next(iter(table)).name, [(a.name, b.name, steps) for (a, b), steps in edges.items()])


def machine_region(name: str) -> str:
    table, about = _MACHINES[name]
    note = "; ".join(f"{step.value} → {to.name}" for step, to in _everywhere(table))
    return image(name, about) + (
        f"\n\nNot drawn, since they lead away from every state: {note}." if note else ""
    )


def _everywhere(table: Mapping[Any, Mapping[Any, Any]]) -> list[tuple[Any, Any]]:
    rows = [row for row in table.values() if row]
    return [(step, to) for step, to in rows[0].items() if all(row.get(step) is to for row in rows)]


PICTURES: dict[str, Callable[[], str]] = {
    "framing": framing,
    "transaction": transaction,
    **{name: partial(machine, name) for name in _MACHINES},
}
REGIONS: dict[str, Callable[[], str]] = {
    "framing": framing_region,
    "transaction": transaction_region,
    **{name: partial(machine_region, name) for name in _MACHINES},
}
