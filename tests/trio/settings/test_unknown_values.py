"""What a class checks about several fields is said together with what is wrong with single ones."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest
from each import each

from trio_proxy.settings.tables import structure


@attrs.frozen
class Range:
    low: int = 1
    high: int = 10
    name: str = attrs.field(default="x", converter=str)
    known: dict[str, int] = attrs.field(factory=dict[str, int])
    made: int = attrs.field(default=attrs.Factory(lambda self: self.low, takes_self=True), init=False)

    def __attrs_post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")
        if self.name == "bad":
            raise ValueError("a bad name")


@attrs.frozen
class Needed(Range):
    path: str = attrs.field(kw_only=True)


def said(cls: type[Any], table: dict[str, Any], base: Any = None) -> list[str]:
    made, problems = structure(cls, table, file="", table_name="t", lines={}, base=base)
    assert (made is None) == bool(problems)
    return [problem.text.removeprefix("[t] ") for problem in problems]


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        ({"low": 20}, ["low is above high"]),
        ({"low": 20, "nmae": "y"}, ['unknown key "nmae"; did you mean "name"?', "low is above high"]),
        ({"low": 20, "known": 5}, ["known = 5: expected a table such as { name = 30 }", "low is above high"]),
        ({"low": 20, "high": "y"}, ['high = "y": expected a whole number']),
        ({"high": "y", "name": "bad"}, ['high = "y": expected a whole number']),
        ({"known": 5, "name": "bad"}, ["known = 5: expected a table such as { name = 30 }", "a bad name"]),
    ],
)
def test_late_mistakes_are_said_with_the_others(table: dict[str, Any], texts: list[str]) -> None:
    assert said(Range, table) == texts


def test_what_is_missing_is_not_known() -> None:
    assert said(Needed, {"low": 20}) == [
        'missing key "path": expected a text in quotes',
        "low is above high",
    ]


A_TABLE = "known = 5: expected a table such as { name = 30 }"


def test_what_an_instance_says_counts() -> None:
    assert said(Range, {"known": 5}, base=Range(low=2)) == [
        "known = 5: expected a table such as { name = 30 }"
    ]
    assert said(Range, {"low": 20, "known": 5}, base=Range(high=30)) == [
        "known = 5: expected a table such as { name = 30 }"
    ]
    assert said(Range, {"low": 40, "known": 5}, base=Range(high=30))[1:] == ["low is above high"]


@each(
    "use",
    [
        bool,
        len,
        str,
        int,
        iter,
        lambda x: x == 1,
        lambda x: 1 in x,
        lambda x: isinstance(x, str),
        lambda x: x.strip,
        lambda x: x(),
        lambda x: f"{x}",
        lambda x: x + 1,
        re.compile,
        "".join,
        lambda x: {x: 1},
    ],
)
def test_nothing_is_said_if_the_check_looks_at_an_unknown_value(use: Any) -> None:
    @attrs.frozen
    class Careful:
        value: int = 1

        def __attrs_post_init__(self) -> None:
            if not isinstance(self.value, int):
                raise ValueError("not an int")  # noqa: TRY004 - it is to look like a mistake in settings
            use(self.value)
            raise ValueError("nonsense")

    assert said(Careful, {"value": "x"}) == ['value = "x": expected a whole number']


def test_a_class_without_such_a_check_says_no_more() -> None:
    @attrs.frozen
    class Plain:
        value: int = 1

    assert said(Plain, {"value": "x"}) == ['value = "x": expected a whole number']
