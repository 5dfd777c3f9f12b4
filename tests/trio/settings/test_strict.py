"""Values of TOML into typed values: what fits, what does not, and how that is said."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st
from tables import Limits, made

from trio_proxy.settings.tables import Duration, Size
from trio_proxy.settings.toml_values import describe
from trio_proxy.text.units import Reads


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(int, enum.Enum):
    LOW = 1
    HIGH = 2


class Tag(enum.StrEnum):
    HAM = "ham"
    SPAM = "spam"


class Upper(str):
    def __new__(cls, text: str) -> Upper:
        if not text.isupper():
            raise ValueError("expected capitals")
        return super().__new__(cls, text)


UserId = NewType("UserId", int)


def even(value: Any) -> int:
    if not isinstance(value, int) or value % 2:
        raise ValueError("expected an even number" if isinstance(value, int) else f"{value!r} is odd indeed")
    return value


Even = Annotated[int, Reads("an even number", even)]


# What fits


@each(
    ("kind", "value", "expected"),
    [
        (str, "x", "x"), (str, "", ""), (bytes, "é", "é".encode()), (bool, True, True), (int, -5, -5),
        (float, 1.5, 1.5), (float, 2, 2.0), (Any, {"a": [1]}, {"a": [1]}), (None, 3, 3),
        (Path, "keys/dkim", Path("conf/keys/dkim")), (Path, "/etc/x", Path("/etc/x")),
        (datetime, datetime(2026, 1, 2, 3), datetime(2026, 1, 2, 3)),
        (date, date(2026, 1, 2), date(2026, 1, 2)),
        (time, time(3, 4), time(3, 4)),
        (Size, "25M", 25_000_000), (Size, 7, 7), (Duration, "5m", 300.0), (Duration, 30, 30.0), (Even, 4, 4),
        (Size | None, "1K", 1000), (Optional[str], "x", "x"),  # noqa: UP045
        (int | str, "5", "5"), (int | str, 5, 5),
        (float | int, 5, 5), (str | list[str], ["a"], ["a"]), (str | list[str], "a", "a"),
        (Colour, "red", Colour.RED), (Level, 2, Level.HIGH), (Tag, "spam", Tag.SPAM), (Upper, "ABC", "ABC"),
        (UserId, 5, 5), (Annotated[str, "a remark"], "x", "x"),
        (Literal["a", "b"], "b", "b"), (Literal[1, "x"], 1, 1),
        (list[int], [1, 2], [1, 2]), (list, [1, "x"], [1, "x"]), (tuple[str, ...], ["a"], ("a",)),
        (tuple[int, str], [1, "a"], (1, "a")), (tuple, [1], (1,)), (set[str], ["a", "a"], {"a"}),
        (frozenset[int], [1], frozenset((1,))), (Sequence[int], [1], (1,)),
        (AbstractSet[str], ["a"], frozenset("a")),
        (dict[str, int], {"a": 1}, {"a": 1}), (dict, {"a": 1}, {"a": 1}),
        (Mapping[str, list[Size]], {"a": ["1K"]}, {"a": [1000]}),
        (dict[Literal["a", "b"], bool], {"a": True}, {"a": True}),
        (dict[Colour, int], {"red": 1}, {Colour.RED: 1}),
        (Limits, {"per_minute": 3}, Limits(3)),
        (list[Limits], [{"per_minute": 3, "burst": 1}], [Limits(3, 1)]),
        (Limits | None, {"per_minute": 3}, Limits(3)),
    ],
)  # fmt: skip
def test_what_fits(kind: Any, value: Any, expected: Any) -> None:
    found = made(kind, value)
    assert found == expected
    assert type(found) is type(expected) or kind is Upper


def test_regular_expressions() -> None:
    assert made(re.Pattern[str], "a+") == re.compile("a+")
    assert made(re.Pattern, "a+") == re.compile("a+")
    assert made(re.Pattern[bytes], "é") == re.compile("é".encode())
    assert made(tuple[re.Pattern[str], ...], ["x", "y"]) == (re.compile("x"), re.compile("y"))


# What does not


@each(
    ("kind", "value", "problem"),
    [
        (str, 5, "it = 5: expected a text in quotes"),
        (str, True, "it = true: expected a text in quotes"),
        (str, ["x"], "it = [...]: expected a text in quotes"),
        (str, {}, "it = {}: expected a text in quotes"),
        (str, {"x": 1}, "it = {...}: expected a text in quotes"),
        (bytes, 5, "it = 5: expected a text in quotes"),
        (bool, 1, "it = 1: expected true or false; write true"),
        (bool, "true", 'it = "true": expected true or false; write it without quotes: true'),
        (int, "5", 'it = "5": expected a whole number; write it without quotes: 5'),
        (int, 5.0, "it = 5.0: expected a whole number"),
        (int, True, "it = true: expected a whole number"),
        (int, 2**63, "it = 9223372036854775808: expected a whole number"),
        (float, "5", 'it = "5": expected a number; write it without quotes: 5'),
        (float, True, "it = true: expected a number"),
        (float, float("nan"), "it = nan: expected a number"),
        (float, float("inf"), "it = inf: expected a number"),
        (Path, 5, "it = 5: expected a path in quotes"),
        (Path, "", 'it = "": expected a path in quotes'),
        (datetime, date(2026, 1, 2), "it = 2026-01-02: expected a date and time"),
        (date, datetime(2026, 1, 2), "it = 2026-01-02 00:00:00: expected a date"),
        (time, "12:00", 'it = "12:00": expected a time of day'),
        (Size, "ten", 'it = "ten": expected a number of bytes or a size such as "25M"'),
        (Duration, "5x", 'it = "5x": expected a number of seconds or a time such as "30s" or "5m"'),
        (Even, 3, "it = 3: expected an even number"),
        (Size | None, "ten", 'it = "ten": expected a number of bytes or a size such as "25M"'),
        (int | str, 1.5, "it = 1.5: expected a whole number or a text in quotes"),
        (str | list[str], 5, "it = 5: expected a text in quotes or a list of texts in quotes"),
        (str | list[str], ["x", 5], "it[1] = 5: expected a text in quotes"),
        (Even | list[str], "x", "it = \"x\": 'x' is odd indeed"),
        (Colour, "rde", 'it = "rde": expected "red" or "green"; did you mean "red"?'),
        (Colour, 5, 'it = 5: expected "red" or "green"'),
        (Level, "1", 'it = "1": expected 1 or 2'),
        (Level, True, "it = true: expected 1 or 2"),
        (Tag, "HAM", 'it = "HAM": expected "ham" or "spam"; did you mean "ham"?'),
        (Upper, "abc", 'it = "abc": expected capitals'),
        (Upper, 5, "it = 5: expected a text in quotes"),
        (UserId, "5", 'it = "5": expected a whole number; write it without quotes: 5'),
        (Literal["a"], "b", 'it = "b": expected "a"'),
        (Literal[1, 2], True, "it = true: expected 1 or 2"),
        (Literal["normalize", "reject"], "normalise",
         'it = "normalise": expected "normalize" or "reject"; did you mean "normalize"?'),
        (list[int], "12", 'it = "12": expected a list'),
        (list[str], "ab", 'it = "ab": expected a list of texts in quotes; write ["ab"]'),
        (tuple[int, str], [1], "it = [...]: expected a list of 2, not of 1"),
        (tuple[int, str], ["1", 1],
         'it[0] = "1": expected a whole number; write it without quotes: 1\n'
         'it[1] = 1: expected a text in quotes'),
        (set[str], {"a": 1}, "it = {...}: expected a list of texts in quotes"),
        (list[list[int]], [[1], ["x"]], 'it[1][0] = "x": expected a whole number'),
        (dict[str, int], ["a"], "it = [...]: expected a table such as { name = 30 }"),
        (dict[Literal["minute", "hour"], int], 5, "it = 5: expected a table such as { minute = 30 }"),
        (dict[str, Path], 5, "it = 5: expected a table"),
        (dict[str, int], {"a": "1", "b": 2, "c": None}, 'it.a = "1": expected a whole number; write it '
         "without quotes: 1\nit.c = None: expected a whole number"),
        (dict[Colour, int], {"blue": 1}, 'unknown key "blue"; expected "red" or "green"'),
        (dict[Colour, int], {"blue": 1, "red": "x"}, 'unknown key "blue"; expected "red" or "green"\n'
         'it.red = "x": expected a whole number'),
        (re.Pattern[str], "a(", 'it = "a(": not a regular expression: missing ), unterminated subpattern at '
         "position 1"),
        (re.Pattern[str], 5, "it = 5: expected a regular expression in quotes"),
        (Limits, 5, "it = 5: expected a table"),
        (Limits, {}, 'missing key "per_minute": expected a whole number'),
        (list[Limits], [{"per_minute": 1, "brust": 1}], 'unknown key "brust"; did you mean "burst"?'),
        (Callable[[], None], 5, "it = 5: a Callable cannot be written in a settings file"),
        (timedelta, "5m", 'it = "5m": a timedelta cannot be written in a settings file'),
        (timedelta | int, "5m", 'it = "5m": expected timedelta or a whole number'),
        (timedelta | None, "5m", 'it = "5m": a timedelta cannot be written in a settings file'),
    ],
)  # fmt: skip
def test_what_does_not_fit(kind: Any, value: Any, problem: str) -> None:
    with pytest.raises(ValueError, match="rules") as caught:
        made(kind, value)
    assert [line.partition("] ")[2] for line in str(caught.value).splitlines()] == problem.splitlines()


@pytest.mark.parametrize(
    ("kind", "expected"), [(int, "a whole number"), (float, "a number"), (str, "a text in quotes")]
)
def test_numbers_of_thousands_of_digits(kind: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=f"it = a very large number: expected {expected}$"):
        made(kind, 16**5000)
    assert made(Any, 16**5000) == 16**5000


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KINDS = [
    str, bytes, int, float, bool, Path, Size, Duration, re.Pattern[str], Colour, Level, Tag, Limits,
    list[Limits], tuple[int, str], dict[str, Size], Size | list[str] | None, Literal["a"], Even,
    date, frozenset[str],
]  # fmt: skip


@given(st.sampled_from(KINDS), VALUES)
def test_any_value_fits_or_is_a_problem_in_one_line(kind: Any, value: Any) -> None:
    problems = "[rules.rule"
    try:
        made(kind, value)
    except ValueError as error:
        problems = str(error)
    for line in problems.split("\n"):
        assert line.startswith("[rules.rule")
        assert line.isprintable()
    assert "Error" not in problems


# How values are shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('a "b"\n', '"a \\"b\\"\\n"'),
        ("é", '"é"'),
        ("\x7f\u202e", '"\\u007f\\u202e"'),
        ("x" * 61, '"' + "x" * 60 + '..."'),
        ([], "[]"),
        (-1.5, "-1.5"),
        (date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_values_are_shown_as_toml(value: Any, shown: str) -> None:
    with pytest.raises(ValueError, match=r"it = .*: expected true or false") as caught:
        made(bool, value)
    assert str(caught.value) == f"[rules.rule] it = {shown}: expected true or false"


def test_descriptions_of_kinds_without_a_value() -> None:
    assert describe(Annotated[int, "remark"]) == "a whole number"
    assert describe(int | None) == "a whole number"
    assert describe(Colour) == '"red" or "green"'
    assert describe(Literal["x"]) == '"x"'
    assert describe(dict[str, int]) == "a table such as { name = 30 }"
    assert describe(dict) == describe(Limits) == "a table"
