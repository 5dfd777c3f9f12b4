"""Reads servers as people type them: an address, and its weight in a list of servers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs

from .addresses import Address, AddressError

__all__ = ["Destination", "distinct"]

_WEIGHT: Final = re.compile(r",weight=([^,]*)\Z")
_DIGITS: Final = re.compile(r"[0-9]{1,4}")


@attrs.frozen
class Destination:
    """A server in a list. ``weight``: its share of the clients, relative to the other servers; None if not
    given."""

    address: Address
    weight: int | None = None

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Reads ``ADDRESS`` or ``ADDRESS,weight=N``. Raises `AddressError`."""
        if not text.strip():
            raise AddressError(f"{text!r}: the name of the server is missing; write HOST:PORT")
        found = _WEIGHT.search(text)
        if found is None:
            return cls(Address.parse(text, default_port=25))
        written = found[1]
        if not _DIGITS.fullmatch(written) or int(written) == 0:
            raise AddressError(f"{text!r}: a weight is a whole number from 1 to 9999, not {written!r}")
        return cls(Address.parse(text[: found.start()], default_port=25), int(written))

    def below(self, folder: Path) -> Destination:
        """The same server; the path of a unix socket is relative to this folder."""
        return attrs.evolve(self, address=self.address.below(folder))

    def __str__(self) -> str:
        """The server as `parse` reads it."""
        return f"{self.address}" if self.weight is None else f"{self.address},weight={self.weight}"


def distinct(destinations: Iterable[Destination]) -> tuple[Destination, ...]:
    """The servers of a list. Raises ValueError if the list names one twice, or is empty."""
    found = tuple(destinations)
    if not found:
        raise ValueError("expected at least one server")
    seen: set[Address] = set()
    for each in found:
        if each.address.endpoint in seen:
            raise ValueError(f"names {each.address} twice; for a larger share of the clients write a weight")
        seen.add(each.address.endpoint)
    return found
