"""Draws what a client says in a whole session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.testing.dialogue import Dialogue, Turn

from .choice import either
from .commands import commands
from .envelopes import DOMAINS, envelopes
from .messages import messages

__all__ = ["dialogues"]


def dialogues(
    domains: Sequence[str] = DOMAINS, *, hostile: bool | None = None
) -> st.SearchStrategy[Dialogue]:
    """What a client says after EHLO: up to three messages (`envelopes`, `messages`), with other commands
    between them, and maybe QUIT. A hostile client also sends hostile commands, leaves commands out, says some
    twice, and sends all at once without waiting for a reply."""
    transaction = st.tuples(envelopes(domains, hostile=hostile), messages(hostile=hostile)).map(_transaction)
    place = st.integers(0, 20)
    between = st.tuples(place, st.sampled_from(_BETWEEN))
    usual = st.tuples(
        st.lists(transaction, min_size=1, max_size=3), st.lists(between, max_size=2), st.booleans()
    ).map(lambda drawn: _usual(*drawn))
    odd = st.tuples(place, commands(hostile=True))
    times = st.tuples(place, st.sampled_from((0, 2)))
    unusual = st.tuples(usual, st.lists(odd, max_size=3), st.lists(times, max_size=2), st.booleans()).map(
        lambda drawn: _unusual(*drawn)
    )
    return either(hostile, usual, unusual)


_BETWEEN: Final[tuple[bytes, ...]] = (b"RSET", b"NOOP", b"EHLO again.example", b"VRFY bob")


def _transaction(drawn: tuple[Envelope, bytes]) -> list[Turn]:
    envelope, content = drawn
    assert envelope.mail is not None
    turns = [Turn(command.raw) for command in (envelope.mail, *envelope.recipients)]
    return [*turns, Turn(b"DATA", content)]


def _usual(
    transactions: Sequence[Sequence[Turn]], between: Sequence[tuple[int, bytes]], quits: bool
) -> Dialogue:
    turns = [turn for each in transactions for turn in each]
    for place, line in between:
        turns.insert(place, Turn(line))
    return Dialogue((*turns, Turn(b"QUIT")) if quits else tuple(turns))


def _unusual(
    usual: Dialogue, odd: Sequence[tuple[int, bytes]], times: Sequence[tuple[int, int]], waits: bool
) -> Dialogue:
    turns = [*usual.turns]
    for place, line in odd:
        turns.insert(place, Turn(line))
    for place, count in times:
        turns[place : place + 1] *= count
    return Dialogue(tuple(turns), waits)
