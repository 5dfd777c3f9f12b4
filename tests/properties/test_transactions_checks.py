"""The checks of transactions see what they are for: each fails if one thing of a good dialogue is changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .dialogues import Dialogue
from .harness import World
from .peers import Style, Unit
from .transactions import assert_envelopes_as_told, assert_legal_order, assert_said_again

LINES = [b"EHLO c", b"MAIL FROM:<a@x>", b"RCPT TO:<b@x>", b"RCPT TO:<c@x>", b"DATA"]
EHLO, MAIL, RCPT, OTHER_RCPT, DATA, MESSAGE = range(6)
"""The numbers of the server's replies. The client's first reply is the greeting."""


def good() -> World:
    units = [Unit(line + b"\r\n", content=b".\r\n" if line == b"DATA" else None) for line in LINES]
    return World(Dialogue(units, Style.LOCKSTEP, [])).run()


def complaints(world: World) -> str:
    """What the checks say, one line each."""
    found: list[str] = []
    for check in (assert_legal_order, assert_said_again, assert_envelopes_as_told):
        try:
            check(world)
        except AssertionError as error:
            found.append(str(error).partition("\n")[0])
    return "\n".join(found)


def told(place: int, reply: bytes) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.client.replies[place + 1] = reply
        world.read = None

    return change


def judged_misplaced(*numbers: int) -> Callable[[World], None]:
    return lambda world: world.server.misplaced.extend(numbers)


def arrived(number: int, line: bytes) -> Callable[[World], None]:
    def change(world: World) -> None:
        items = world.server.receiver.items
        items[number] = items[number]._replace(data=line)

    return change


def refused(number: int) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.server.codes[number] = 550

    return change


def test_a_good_dialogue_passes() -> None:
    assert not complaints(good())


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ([told(RCPT, b"550 rule\r\n")], "a recipient that the client was not told of"),
        ([refused(RCPT)], "without a recipient"),
        ([told(MAIL, b"550 rule\r\n")], "a transaction that the client was told is over"),
        ([told(RCPT, b"250 rule\r\n"), arrived(RCPT, b"MAIL FROM:<z@x>")], "MAIL is said again"),
        ([told(OTHER_RCPT, b"250 rule\r\n"), arrived(OTHER_RCPT, b"RSET")], "without a recipient"),
        ([judged_misplaced(RCPT)], "RCPT comes without the MAIL"),
        ([judged_misplaced(DATA)], "DATA comes without the RCPT"),
        ([judged_misplaced(MAIL), arrived(EHLO, b"NOOP")], "MAIL comes before EHLO"),
        ([told(RCPT, b"452 send this recipient in a transaction of its own\r\n")], "and is the first"),
        ([told(RCPT, b"250 rule\r\n"), arrived(RCPT, b"EHLO z")], "EHLO is said again"),
        ([told(MAIL, b"250 rule\r\n"), arrived(MAIL, b"MAIL FROM:<z@x>")], "another reverse-path"),
    ],
)
def test_a_bad_one_does_not(changes: list[Callable[[World], None]], what: str) -> None:
    world = good()
    for change in changes:
        change(world)
    assert what in complaints(world)


def test_two_transactions_are_told_apart() -> None:
    """The server's second MAIL came in the transaction that it still holds, and the client's was over."""
    units = [Unit(line + b"\r\n") for line in (b"EHLO c", b"MAIL FROM:<a@x>", b"RSET", b"MAIL FROM:<b@x>")]
    world = World(Dialogue(units, Style.LOCKSTEP, [])).run()
    assert not complaints(world)
    arrived(2, b"NOOP")(world)
    judged_misplaced(3)(world)
    assert "the server holds a transaction that the client was told is over" in complaints(world)
