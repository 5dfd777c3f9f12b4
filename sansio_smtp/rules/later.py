"""`Soon`: a value that is known at once, or must be awaited. It needs no coroutine if no rule waits. Most
rules do not wait. A function that may have to wait for a rule returns `Soon`; the next steps are given to
`then`, so that they are written once for both cases::

    value ──────────> then(value, go_on) ──> go_on(value), now
    Later(function) ──> then(later, go_on) ──> Later, which awaits, and then calls go_on
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, TypeAlias, TypeVar, cast

from sansio_smtp.errors import LocalProtocolError

__all__ = ["Later", "Soon", "at_once", "awaited", "run_at_once", "then"]

T = TypeVar("T")
U = TypeVar("U")


class Later(Generic[T]):
    """A value that must be awaited once: the result of the function for the arguments. If it is not awaited,
    the function is not called."""

    __slots__ = ("_arguments", "_wait")

    def __init__(self, wait: Callable[..., Awaitable[T]], *arguments: Any) -> None:
        self._wait = wait
        self._arguments = arguments

    def __await__(self) -> Generator[Any, Any, T]:
        return self._wait(*self._arguments).__await__()

    def at_once(self) -> T:
        """The value. Raises `LocalProtocolError` if it needs waiting."""
        return run_at_once(_awaited(self))


Soon: TypeAlias = T | Later[T]
"""A value that is known at once, or must be awaited."""


def then(said: Soon[T], go_on: Callable[..., Soon[U]], *arguments: Any) -> Soon[U]:
    """Calls ``go_on`` with the value and the arguments: at once if the value is known."""
    if isinstance(said, Later):
        return Later(_later, said, go_on, arguments)
    return go_on(said, *arguments)


async def awaited(said: Soon[T]) -> T:
    """The value; awaits it if necessary."""
    return await cast("Later[T]", said) if isinstance(said, Later) else said


def at_once(said: Soon[T]) -> T:
    """The value. Raises `LocalProtocolError` if it needs waiting."""
    return cast("Later[T]", said).at_once() if isinstance(said, Later) else said


def run_at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that does not wait, and returns its result. Raises `LocalProtocolError` if it
    waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    coroutine.close()
    raise LocalProtocolError("a rule has to be awaited, but this driver does not wait: use RuleSession.judge")


async def _later(said: Later[T], go_on: Callable[..., Soon[U]], arguments: tuple[Any, ...]) -> U:
    return await awaited(go_on(await said, *arguments))


async def _awaited(said: Later[T]) -> T:
    return await said
