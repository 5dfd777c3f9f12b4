"""`each` runs all cases, and says which fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from each import each

ran: list[object] = []


@each("one", [1, 2, 3])
@each(("two", "three"), [("a", "b"), ("c", "d")])
def test_all_run(one: int, two: str, three: str, tmp_path: Path) -> None:
    """With fixtures, and with tables above each other."""
    assert tmp_path.is_dir()
    ran.append((one, two + three))


def test_and_have_run() -> None:
    assert ran == [(one, two) for one in (1, 2, 3) for two in ("ab", "cd")]


def test_one_fails() -> None:
    @each("number", [1, 2, 3])
    @each("text", ["a", "b"])
    def small(number: int, text: str) -> None:
        assert number < 3 or text == "a"

    with pytest.raises(AssertionError) as failure:
        small()
    assert failure.value.__notes__ == ["with text='b'", "with number=3"]


def test_several_fail() -> None:
    @each("number", [1, 2, 3])
    def small(number: int) -> None:
        if number > 1:
            pytest.fail("too large")

    with pytest.raises(BaseExceptionGroup, match="2 of 3 cases fail") as failures:
        small()
    assert [one.__notes__ for one in failures.value.exceptions] == [["with number=2"], ["with number=3"]]


def test_a_skip_is_a_skip() -> None:
    @each("number", [1, 2])
    def small(number: int) -> None:
        pytest.skip("not here")

    with pytest.raises(pytest.skip.Exception):
        small()


def test_a_table_that_tests_nothing() -> None:
    with pytest.raises(ValueError, match="empty"):
        each("number", [])


def test_a_row_of_another_length() -> None:
    with pytest.raises(ValueError, match="zip"):
        each(("one", "two"), [(1, 2), (3,)])
