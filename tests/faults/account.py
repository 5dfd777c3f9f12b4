"""`Account`: what clients were told of each message, what servers have taken, and whether that fits.

What is counted is one *entry*: one recipient of one attempt to send a message. RFC 5321 §6.1 and RFC 1047
say what must hold:

===============================  =====================================================================
an entry that was told           is
===============================  =====================================================================
2xx                              in exactly one place: at a server, in quarantine, or discarded by a rule
4xx or 5xx, or saw a close       nowhere; or in one place, if nobody could know that: then it is *in doubt*
===============================  =====================================================================

In doubt is what a server has taken whose reply did not come whole, in time and alone, or whose client was
gone. A client sends it again, and nobody can help that. The same after a reply that arrived is a fault of
the proxy (`Balance.refused`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import attrs

__all__ = ["CLOSED", "STALLED", "Account", "Balance", "Entry", "Taken", "Told"]

Entry: TypeAlias = tuple[int, str]
"""The number of the attempt, and the recipient."""
Told: TypeAlias = int
"""The code of the last reply about an entry, or one of these."""
CLOSED: Final = 0
"""The client saw the connection end, or has ended it itself."""
STALLED: Final = -1
"""The client was told nothing, for longer than any time limit of the proxy."""


@attrs.frozen
class Taken:
    """A message that is in a place for good, for one recipient."""

    entry: Entry
    where: str
    is_whole: bool
    """True if it is what it should be, to the octet."""
    is_sure: bool = True
    """True if the proxy has, or must have, heard of it: else the entry may be in doubt."""


@attrs.frozen
class Balance:
    """What does not fit, and what does."""

    lost: list[Entry]
    """Told 2xx, and nowhere."""
    doubled: list[Entry]
    """In more than one place, or twice in one."""
    half: list[Entry]
    """In a place, and not what was sent."""
    refused: list[Entry]
    """Told 4xx or 5xx, and in a place, though the reply that said so has arrived."""
    unknown: list[Entry]
    """In a place, and never sent."""
    stalled: list[Entry]
    accepted: int
    in_doubt: int
    """Entries that nobody could know of."""

    @property
    def is_even(self) -> bool:
        return not any((self.lost, self.doubled, self.half, self.refused, self.unknown, self.stalled))


@attrs.define(eq=False)
class Account:
    """Kept while messages are sent; settled at the end, when all connections are closed."""

    told: dict[Entry, Told] = attrs.field(factory=dict[Entry, Told], init=False)
    taken: list[Taken] = attrs.field(factory=list[Taken], init=False)

    def tell(self, entries: Iterable[Entry], told: Told) -> None:
        """A client was told this of these entries, and nothing before."""
        for entry in entries:
            self.told.setdefault(entry, told)

    def take(self, taken: Taken) -> None:
        self.taken.append(taken)

    @property
    def messages(self) -> int:
        """Attempts of which a client was told something."""
        return len({number for number, _ in self.told})

    def settle(self) -> Balance:
        times = Counter(taken.entry for taken in self.taken)
        sure = {taken.entry for taken in self.taken if taken.is_sure}
        accepted = {entry for entry, told in self.told.items() if 200 <= told < 300}
        refused = {entry for entry, told in self.told.items() if told >= 400}
        others = times.keys() - accepted
        return Balance(
            lost=sorted(accepted - times.keys()),
            doubled=sorted(entry for entry, count in times.items() if count > 1),
            half=sorted(taken.entry for taken in self.taken if not taken.is_whole),
            refused=sorted(refused & sure),
            unknown=sorted(times.keys() - self.told.keys()),
            stalled=sorted(entry for entry, told in self.told.items() if told == STALLED),
            accepted=len(accepted),
            in_doubt=len(others - (refused & sure)),
        )

    def explain(self) -> Iterator[str]:
        """A line for each entry."""
        where: dict[Entry, list[str]] = {}
        for taken in self.taken:
            mark = f"{taken.where}{'' if taken.is_whole else ' (not whole)'}{'' if taken.is_sure else '?'}"
            where.setdefault(taken.entry, []).append(mark)
        names = {CLOSED: "closed", STALLED: "stalled"}
        for entry in sorted(self.told.keys() | where.keys()):
            told = self.told.get(entry)
            said = "nothing" if told is None else names.get(told, str(told))
            yield f"{entry[0]} {entry[1]}: told {said}; at {', '.join(where.get(entry, ['no place']))}"
