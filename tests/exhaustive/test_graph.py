"""What makes two states one, and that a copy is a state by itself."""

from __future__ import annotations

import functools
from collections import deque
from enum import Enum
from typing import Any

import attrs
import pytest

from sansio_smtp import CLIENT, Command, Proxy, Reply

from .configurations import CONFIGURATIONS
from .graph import Uncopyable, cloned, fingerprint
from .search import replayed

PATH = ("S: 220 s greeting", "C: MAIL FROM:<m>", "! route b", "S: 220 s greeting", "C: RCPT TO:<r1>")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Plain:
    def __init__(self, **values: object) -> None:
        vars(self).update(values)

    def method(self) -> None:
        pass


@attrs.define(eq=False)
class Slotted:
    value: object
    other: object = attrs.field(init=False)


def closure(value: object) -> Any:
    return lambda: value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Plain(flag=True), Plain(flag=False)),
        (Plain(flag=True), Plain(flag=None)),
        (Plain(count=0), Plain(count=1)),
        (Plain(hidden=Plain(flag=True)), Plain(hidden=Plain(flag=False))),
        (Slotted(True), Slotted(False)),
        (Slotted(b"a"), Slotted(b"b")),
        (Slotted(bytearray(b"a")), Slotted(bytearray(b"b"))),
        (Slotted(Colour.RED), Slotted(Colour.BLUE)),
        (Slotted(Command.of("MAIL")), Slotted(Command.of("RCPT"))),
        (Slotted(Reply.of(250)), Slotted(Reply.of(550))),
        (Slotted(Reply.of(450)), Slotted(Reply.of(421))),
        (Slotted([1]), Slotted([])),
        (Slotted(deque([b"a"])), Slotted(deque([b"b"]))),
        (Slotted({"a": True}), Slotted({"a": False})),
        (Slotted({Colour.RED}), Slotted(set[Colour]())),
        (Slotted(closure(True)), Slotted(closure(False))),
        (Slotted(Plain(flag=True).method), Slotted(Plain(flag=False).method)),
        (Slotted(functools.partial(closure, True)), Slotted(functools.partial(closure, False))),
        (Slotted(x for x in "ab"), Slotted(x for x in "cd")),
    ],
)
def test_what_differs_tells_states_apart(one: object, other: object) -> None:
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Plain(count=1), Plain(count=7)),
        (Slotted(Command.of("MAIL FROM:<a>")), Slotted(Command.of("MAIL FROM:<b>"))),
        (Slotted(Reply.of(250, "a")), Slotted(Reply.of(251, "b"))),
        (Slotted(closure(True)), Slotted(closure(True))),
    ],
)
def test_what_does_not_count_is_merged(one: object, other: object) -> None:
    assert fingerprint(one) == fingerprint(other)


def test_it_counts_which_object_it_is() -> None:
    one, other = Plain(), Plain()
    assert fingerprint([one, one]) != fingerprint([one, other])
    assert fingerprint([one, other, one]) != fingerprint([one, other, other])


def test_a_slot_that_is_not_set_is_told_from_one_that_is() -> None:
    unset, is_set = Slotted(1), Slotted(1)
    is_set.other = None
    assert fingerprint(unset) != fingerprint(is_set)


def test_a_circle_ends() -> None:
    one = Plain()
    one.itself = one  # type: ignore[attr-defined]
    assert fingerprint(one) == fingerprint(cloned(one))


def test_octets_that_have_been_read_do_not_count() -> None:
    one, other = Proxy(), Proxy()
    for proxy, line in ((one, b"NOOP a\r\n"), (other, b"NOOP b\r\n")):
        proxy.receive_from(CLIENT, line)
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize("length", range(len(PATH) + 1))
def test_a_copy_goes_its_own_way(length: int) -> None:
    configuration = CONFIGURATIONS["routes"]
    world = replayed(configuration, PATH[:length])
    before = world.key()
    copy = cloned(world, configuration)
    assert copy.key() == before
    for text in list(copy.inputs()):
        again = cloned(copy, configuration)
        again.take(text)
        assert copy.key() == before
        assert again.proxy.closed or again.key() == replayed(configuration, (*PATH[:length], text)).key()
    assert world.key() == before


def test_a_generator_is_not_copied() -> None:
    with pytest.raises(Uncopyable):
        cloned(Slotted(x for x in "ab"))
