"""Fields keep their order under edits, and an edit costs the same however many fields there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from each import each
from hypothesis import example, given
from hypothesis import strategies as st
from steps import steps

from sansio_smtp.rules.fields import Field, FieldList, is_plain

LINES = [b"From x\r\n", b" y\r\n", b"A: 1\r\n", b"B: 2\r\n", b"a : 3\r\n", b"no field\r\n"]
NEW = Field("A", b"A: new\r\n")


def field(raw: bytes) -> Field:
    name = raw.partition(b":")[0].strip() if b":" in raw else b""
    return Field(name.decode(), raw)


class Plainly:
    """The same, on a list, by the rules of `FieldList` word by word."""

    def __init__(self, fields: list[Field]) -> None:
        self.fields = fields

    def places(self, name: str) -> list[int]:
        return [i for i, each in enumerate(self.fields) if each.name.lower() == name.lower() and name]

    def top(self) -> int:
        first = self.fields[:1]
        return int(any(not each.name and each.raw.startswith((b"From ", b" ", b"\t")) for each in first))

    def add(self, new: Field) -> None:
        places = (i for i in range(self.top(), len(self.fields)) if not is_plain(self.fields[i]))
        self.insert(next(places, len(self.fields)), new)

    def prepend(self, new: Field) -> None:
        self.insert(self.top(), new)

    def insert(self, place: int, new: Field) -> None:
        if place and not self.fields[place - 1].raw.endswith(b"\n"):
            last = self.fields[place - 1]
            self.fields[place - 1] = Field(last.name, last.raw + b"\r\n")
        self.fields.insert(place, new)


EDIT = st.tuples(st.sampled_from(["add", "prepend", "delete", "put"]), st.sampled_from(["A", "B", "x"]))


@given(st.lists(st.sampled_from(LINES), max_size=6), st.booleans(), st.lists(EDIT, max_size=8))
@example([b"A: 1\r\n", b"no field\r\n"], True, [("add", "x"), ("add", "B")])
@example([b"a : 3\r\n"], True, [("put", "A"), ("add", "x")])
@example([b"From x\r\n", b"A: 1\r\n", b"no field\r\n"], True, [("add", "x"), ("delete", "A"), ("add", "B")])
def test_edits_are_those_of_a_list(lines: list[bytes], whole: bool, edits: list[tuple[str, str]]) -> None:
    fields = [field(line) for line in lines]
    if fields and not whole:
        fields[-1] = Field(fields[-1].name, fields[-1].raw[:-2])
    made, plain = FieldList(fields), Plainly(list(fields))
    for number, (edit, name) in enumerate(edits):
        new = Field(name, f"{name}: {number}\r\n".encode())
        if edit in ("add", "prepend"):
            getattr(made, edit)(new)
            getattr(plain, edit)(new)
        elif places := plain.places(name):
            where = made.places(name)[-1]
            if edit == "delete":
                assert made.delete(where) == plain.fields.pop(places[-1])
            else:
                made.put(where, new)
                plain.fields[places[-1]] = new
        assert list(made) == plain.fields
        assert len(made) == len(plain.fields)
        for one in ("A", "b", "x", ""):
            expected = [plain.fields[i] for i in plain.places(one)]
            assert [made[place] for place in made.places(one)] == expected
            assert made.first(one) == (expected[0] if expected else None)


def test_a_line_that_has_become_the_first_stays_in_front() -> None:
    made = FieldList([field(b"A: 1\r\n"), field(b"From x\r\n"), field(b"B: 2\r\n")])
    made.delete(made.places("A")[0])
    made.prepend(NEW)
    assert [each.raw for each in made] == [b"From x\r\n", NEW.raw, b"B: 2\r\n"]


def test_a_field_shows_its_value() -> None:
    assert str(field(b"A: =?utf-8?q?=C3=BC?=\r\n")) == "A: ü"
    assert str(field(b"no field\r\n")) == "no field"
    assert (field(b"A: b\r\n c\r\n").octets, field(b"A: b\n").octets) == (b" b\r\n c", b" b")


@each("first", [b"A: 1\r\n", b"From x\r\n", b"no field\r\n"])
@each(
    "edit",
    [
        lambda fields: fields.add(NEW),
        lambda fields: fields.prepend(NEW),
        lambda fields: (fields.delete(fields.places("B")[0]), fields.add(NEW)),
        lambda fields: (fields.delete(fields.places("B")[-1]), fields.prepend(NEW)),
        lambda fields: fields.put(fields.places("B")[0], NEW),
        lambda fields: fields.first("B"),
    ],
)
def test_an_edit_costs_the_same_in_a_long_section(edit: Callable[[FieldList], Any], first: bytes) -> None:
    def cost(count: int) -> int:
        made = FieldList([field(first), *[field(b"B: 2\r\n")] * count, *[field(b"no field\r\n")] * count])
        return steps(lambda: [edit(made) for _ in range(20)])

    assert cost(400) < 1.5 * cost(40)
