"""Names for members of enums: each says which member it is."""

from __future__ import annotations

from enum import Enum

from each import each

from sansio_smtp import members
from sansio_smtp.config import Dialect
from sansio_smtp.states import Gate, Message, Phase, UpstreamState
from sansio_smtp.verbs import Effect, Kind, Support
from sansio_smtp.wire.content import Form

ENUMS: dict[str, type[Enum]] = {
    "DIALECT": Dialect,
    "EFFECT": Effect,
    "FORM": Form,
    "GATE": Gate,
    "KIND": Kind,
    "MESSAGE": Message,
    "PHASE": Phase,
    "SUPPORT": Support,
    "UPSTREAM": UpstreamState,
}


@each("name", members.__all__)
def test_a_name_says_which_member_it_is(name: str) -> None:
    enum, _, member = name.partition("_")
    assert getattr(members, name) is ENUMS[enum][member]
