"""The fields of a header section in order. The cost of an edit does not depend on the number of fields. Each
field has a *place*, a number that never changes: fields are in the order of their places. Between the places
of two original fields there is room for all fields that rules may insert, so nothing is numbered again::

    place   -3/4 gap              0        1 gap      1 gap + 1/2       2 gaps
            prepended fields ──┘  came     came       └── added fields  a line that is no field

Fields are added before the first line that is not a field, because for some parsers the section ends there,
and are prepended after an mbox ``From`` line. A table from names to places finds the fields of a name.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Final

import attrs

from sansio_smtp.rules import mime

__all__ = ["Field", "FieldList", "is_plain"]

# A field for every parser. With blanks before the colon (RFC 5322 §4.5.8) it is none for some.
_PLAIN: Final = re.compile(rb"[!-9;-~]+:")
_GAP: Final = 1 << 64


@attrs.frozen
class Field:
    """One header field; or a line that is not a field, which has the name ``""`` and stays where it is."""

    name: str
    """The name as written."""
    raw: bytes
    """The whole field, with its folds and its CRLF."""

    @property
    def octets(self) -> bytes:
        """The octets between the colon and the last CRLF."""
        value = self.raw.partition(b":")[2] if self.name else self.raw
        return value.removesuffix(b"\n").removesuffix(b"\r")

    @property
    def value(self) -> str:
        """The value as text: unfolded, encoded words decoded, no blanks around it; see `mime.decode`. Never
        raises."""
        return mime.decode(self.octets, self.name)

    def __str__(self) -> str:
        return f"{self.name}: {self.value}" if self.name else self.value


def is_plain(field: Field) -> bool:
    """Returns True if it is a field for every parser."""
    return _PLAIN.match(field.raw) is not None


def _is_lead(field: Field) -> bool:
    """Returns True for a line that must stay in front: an mbox ``From`` line, or a line that would continue a
    field."""
    return not field.name and field.raw.startswith((b"From ", b" ", b"\t"))


class FieldList:
    """The fields of a section, by their places."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self._fields = {number * _GAP: field for number, field in enumerate(fields)}
        self._order: list[int] | None = list(self._fields)
        self._last = (len(self._fields) - 1) * _GAP
        self._names: dict[str, list[int]] = {}
        for place, field in self._fields.items():
            self._names.setdefault(field.name.lower(), []).append(place)
        lines = [place for place, field in self._fields.items() if not is_plain(field)]
        self._leads = {place for place in lines if _is_lead(self._fields[place])}
        self._heap = list(self._fields) if self._leads else []
        """All places, to find the first one; also places of deleted fields."""
        self._lines = lines[::-1]
        """The places of lines that are not fields for some parsers, the first one last; also places of
        deleted lines."""
        self._above: dict[int, int] = {}
        """Place of an original field → the place before the fields that were prepended there."""
        self._below: dict[int, int] = {}
        """Place before which fields are added → the place after those that were added there."""

    def __iter__(self) -> Iterator[Field]:
        if self._order is None:
            self._order = sorted(self._fields)
        return iter([self._fields[place] for place in self._order])

    def __len__(self) -> int:
        return len(self._fields)

    def __getitem__(self, place: int) -> Field:
        return self._fields[place]

    def places(self, name: str) -> list[int]:
        """The places of the fields of that name, from the top; case does not matter."""
        return self._names.get(name.lower(), [])[:] if name else []

    def first(self, name: str) -> Field | None:
        """The topmost field of that name."""
        places = self._names.get(name.lower()) if name else None
        return self._fields[places[0]] if places else None

    def add(self, field: Field) -> None:
        """Adds a field after the others, but before the first line that is not a field."""
        before = self._end_of_fields()
        place = self._below.get(before, before - _GAP // 2)
        self._below[before] = place + 1
        self._insert(place, field)

    def prepend(self, field: Field) -> None:
        """Adds a field before the others, but after a line that must stay in front."""
        lead = self._lead()
        first = 0 if lead is None else lead + _GAP
        place = self._above.get(first, first - _GAP // 4 * 3)
        self._above[first] = place - 1
        self._insert(place, field)

    def put(self, place: int, field: Field) -> None:
        """Puts another field of the same name in this place."""
        self._fields[place] = field

    def delete(self, place: int) -> Field:
        """Removes the field in this place, and returns it."""
        field = self._fields.pop(place)
        places = self._names[field.name.lower()]
        del places[bisect_left(places, place)]
        self._order = None
        return field

    def _insert(self, place: int, field: Field) -> None:
        last = self._fields.get(self._last)
        if last is not None and place > self._last and not last.raw.endswith(b"\n"):
            self._fields[self._last] = Field(last.name, last.raw + b"\r\n")  # of a message that ends there
        self._fields[place] = field
        insort(self._names.setdefault(field.name.lower(), []), place)
        if self._leads:
            heappush(self._heap, place)
        self._order = None

    def _lead(self) -> int | None:
        """The place of the first line, if it must stay in front."""
        while self._heap and self._heap[0] not in self._fields:
            heappop(self._heap)
        return self._heap[0] if self._heap and self._heap[0] in self._leads else None

    def _end_of_fields(self) -> int:
        """The place of the first line that is not a field and need not stay in front; else the place after
        all fields."""
        lead, lines = self._lead(), self._lines
        at = len(lines) - 1
        while at >= 0:
            place = lines[at]
            if place not in self._fields or is_plain(self._fields[place]):
                del lines[at]
            elif place != lead:
                return place
            at -= 1
        return self._last + _GAP
