"""What is wrong, said so that it can be put right."""

from __future__ import annotations

import pytest

from sansio_smtp.rules.lint.problems import Problem, RuleError


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("my_rules.py", 12, "no"), "my_rules.py:12: no"),
        (Problem("my_rules.py", 0, "no"), "my_rules.py: no"),
        (Problem("", 0, "no"), "no"),
    ],
)
def test_a_problem_says_where(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_an_error_holds_all_problems() -> None:
    problems = [Problem("a.py", 1, "no"), Problem("b.py", 2, "not at all")]
    error = RuleError(problem for problem in problems)
    assert error.problems == tuple(problems)
    assert str(error) == "a.py:1: no\nb.py:2: not at all"
