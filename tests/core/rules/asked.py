"""Rules that say what a test wants, and a host that notes what it is told."""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import coroutine
from typing import Any

from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.host import Host
from sansio_smtp.rules.ruleset import Rule


class Notes(Host):
    """Notes all that it is told, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def enter(self, rule: Rule) -> None:
        self.notes.append(f"enter {rule.name}")

    def leave(self) -> None:
        self.notes.append("leave")

    async def call(self, rule: Rule, *arguments: object) -> object:
        self.notes.append(f"call {rule.name}")
        return await super().call(rule, *arguments)

    def changes(self, rule: Rule, find: Callable[[], list[str]]) -> list[str]:
        self.notes.append(f"changes {rule.name}")
        return super().changes(rule, find)

    def decided(self, rule: Rule, verdict: Any) -> None:
        self.notes.append(f"decided {rule.name} {type(verdict).__name__}")

    def edited(self, rule: Rule, change: str) -> None:
        self.notes.append(f"edited {rule.name} {change}")

    @property
    def errors(self) -> list[type[BaseException]]:
        return [type(failure.error) for failure in self.failures]


@coroutine
def pause() -> Generator[None, None, None]:
    """Waits once."""
    yield


def says(phase: str, result: Any, name: str = "rule", **options: Any) -> Rule:
    """A rule that returns, or raises, this; a function is called."""

    def function(*arguments: Any) -> Any:
        if isinstance(result, BaseException):
            raise result
        return result(*arguments) if callable(result) and not isinstance(result, type) else result

    return Rule(phase, function, name, **options)


def says_later(
    phase: str, result: Callable[..., Any], name: str = "rule", on_error: OnError | None = None
) -> Rule:
    """An async rule, which does not wait."""

    async def function(*arguments: Any) -> Any:
        return result(*arguments)

    return Rule(phase, function, name, is_async=True, on_error=on_error)
