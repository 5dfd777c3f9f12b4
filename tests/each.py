"""`each`: a test for each value of a table, run as one test.

`pytest.mark.parametrize` makes a test of each value, and a test costs pytest and its workers some four
milliseconds. That is too much for a value that takes microseconds, so many small cases run in a loop. All of
them run, and a failure names its values.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import pytest

__all__ = ["each"]

_Test: TypeAlias = Callable[..., None]


def each(names: str | Sequence[str], table: Iterable[Any]) -> Callable[[_Test], _Test]:
    """Decorates a test that takes these parameters, ``names``, as `pytest.mark.parametrize` does.

    The test may have fixtures, if it does not change them: all values get the same ones.
    """
    parameters = [names] if isinstance(names, str) else list(names)
    rows = [{names: value} if isinstance(names, str) else _row(parameters, value) for value in table]
    if not rows:
        raise ValueError("the table is empty: nothing would be tested")

    def decorate(test: _Test) -> _Test:
        signature = inspect.signature(test)

        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            failures: list[BaseException] = []
            for row in rows:
                try:
                    test(**row, **fixtures)
                except (Exception, pytest.fail.Exception) as failure:
                    failure.add_note("with " + ", ".join(f"{name}={value!r}" for name, value in row.items()))
                    failures.append(failure)
            if len(failures) > 1:
                raise BaseExceptionGroup(f"{len(failures)} of {len(rows)} cases fail", failures)
            if failures:
                raise failures[0]

        left = [one for name, one in signature.parameters.items() if name not in parameters]
        vars(run)["__signature__"] = signature.replace(parameters=left)
        return run

    return decorate


def _row(names: list[str], values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))
