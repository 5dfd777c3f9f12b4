"""What SIGHUP does: rules, certificates and servers are replaced by new ones for new connections, all or
nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from sansio_smtp.rules import RuleSet
from sansio_smtp.rules.lint.problems import Problem, RuleError
from sansio_smtp.rules.loading import collect
from trio_proxy.rulebook.load import LoadedRules
from trio_proxy.rulebook.reload import RuleBook
from trio_proxy.tls.server_side import ServerTls

__all__ = ["Reloads"]


@attrs.define(eq=False)
class _Generation:
    """What one loading of the rules holds open."""

    wrong: list[str]
    is_open: bool = False

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        self.is_open = True
        yield
        self.is_open = False

    def ruleset(self, rules: RuleSet) -> RuleSet:
        """These rules, if there are any, and one that looks whether all is still open."""

        async def rcpt(tx: Any, to: Any) -> None:
            if not self.is_open:
                self.wrong.append("a rule was asked after what it needs was closed")

        return RuleSet((*rules.rules, *collect({"rules": [rcpt]}, file="").rules)) if rules.rules else rules


class Reloads:
    """Holds what is in force. `book` has to be served."""

    def __init__(self, rules: RuleSet, certificates: ServerTls) -> None:
        """The rules that are always loaded."""
        self.wrong: list[str] = []
        """What must not happen."""
        self.done = trio.Event()
        """Set after a reload."""
        self._rules = rules
        self._certificates = certificates
        self._use = self._replace = lambda: None
        self._is_broken = False
        self.book = RuleBook(self._load)

    def tell(self, replace: Callable[[], None]) -> None:
        """``replace`` is called when new connections are to have something else."""
        self._replace = replace
        self.book.tell(self._put_in_force)

    async def reload(self, broken: bool) -> None:
        """``broken``: the rules have a mistake."""
        self._is_broken = broken
        self._use = self._certificates.prepare()
        why_not = await self.book.reloaded()
        if bool(why_not) != broken:
            self.wrong.append(f"a reload has said {why_not!r}")
        self.done.set()

    def _load(self) -> LoadedRules:
        if self._is_broken:
            raise RuleError([Problem("rules.py", 1, "a mistake")])
        generation = _Generation(self.wrong)
        return LoadedRules(generation.ruleset(self._rules), objects=(generation,))

    def _put_in_force(self, loaded: LoadedRules) -> None:
        self._use()
        self._replace()
