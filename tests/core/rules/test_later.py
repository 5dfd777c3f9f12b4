"""What is there at once goes on at once; what is not is awaited, and then goes on."""

from __future__ import annotations

import pytest

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules.later import Later, Soon, at_once, awaited, run_at_once, then

from .asked import pause


async def later(value: int) -> int:
    return value


async def never(value: int) -> int:
    await pause()
    return value


def doubled(value: int, more: int = 0) -> Soon[int]:
    return 2 * value + more


def doubled_later(value: int) -> Soon[int]:
    return Later(later, 2 * value)


def test_a_value_that_is_there() -> None:
    assert at_once(7) == 7
    assert then(7, doubled) == 14
    assert then(7, doubled, 1) == 15
    assert run_at_once(awaited(7)) == 7


def test_a_value_that_is_awaited() -> None:
    assert at_once(Later(later, 7)) == 7
    assert run_at_once(awaited(Later(later, 7))) == 7
    for go_on in (doubled, doubled_later):
        assert at_once(then(7, go_on)) == 14
        said = then(Later(later, 7), go_on)
        assert isinstance(said, Later)
        assert at_once(said) == 14


def test_what_waits_cannot_be_had_at_once() -> None:
    for said in (
        Later(never, 7),
        then(Later(never, 7), doubled),
        then(Later(later, 7), lambda v: Later(never, v)),
    ):
        with pytest.raises(LocalProtocolError, match=r"RuleSession\.judge"):
            at_once(said)


def test_an_exception_comes_out() -> None:
    async def fails() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        at_once(Later(fails))
