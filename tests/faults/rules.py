"""The rules of a proxy: one that edits or holds what passes, and one that fails in its phase, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, Final, TypeAlias

import attrs
import trio

from sansio_smtp.rules import Accept, Defer, Discard, Headers, Hold, Reject, RuleSet, Transaction
from sansio_smtp.rules.loading import collect

from .account import Account, Taken
from .dialogue import A, B, attempt_in
from .ways import LATE, SLOW

__all__ = ["RULE_PHASES", "RULE_TIMEOUT", "RULE_WAYS", "RuleFault", "edit", "rules_of"]

Fails: TypeAlias = Callable[[], Awaitable[Any]]

RULE_TIMEOUT: Final = 40.0
_SESSION: Final = ("connect", "helo")
_ENDS: Final = ("delivered", "disconnect", "reply")
_TEXT: Final = "5.7.1 no"


async def _raises() -> Any:
    raise ZeroDivisionError("a rule that fails")


async def _raises_exit() -> Any:
    raise SystemExit(3)


async def _raises_cancelled() -> Any:
    with trio.CancelScope() as scope:
        scope.cancel()
        await trio.sleep_forever()
    raise trio.TooSlowError


async def _hangs() -> Any:
    await trio.sleep_forever()


async def _is_deaf() -> Any:
    """Cannot be cancelled."""
    with trio.CancelScope(shield=True):
        await trio.sleep(LATE)


async def _is_slow() -> Any:
    await trio.sleep(SLOW)


async def _is_nonsense() -> Any:
    return 42


async def _rejects() -> Any:
    return Reject(550, _TEXT)


async def _defers() -> Any:
    return Defer(450, "4.7.1 later")


async def _discards() -> Any:
    return Discard()


async def _holds() -> Any:
    return Hold("a look at it")


RULE_WAYS: Final[Mapping[str, Fails]] = {
    "raise": _raises,
    "exit": _raises_exit,
    "timeout": _raises_cancelled,
    "hang": _hangs,
    "deaf": _is_deaf,
    "slow": _is_slow,
    "nonsense": _is_nonsense,
    "reject": _rejects,
    "defer": _defers,
    "discard": _discards,
    "hold": _holds,
}
_NO_VERDICT: Final = ("raise", "exit", "timeout", "hang", "deaf", "slow", "nonsense")
_VERDICTS: Final = (*_NO_VERDICT, "reject", "defer")
RULE_PHASES: Final[Mapping[str, tuple[str, ...]]] = {
    "connect": _VERDICTS,
    "helo": _VERDICTS,
    "mail": tuple(RULE_WAYS),
    "rcpt": tuple(RULE_WAYS),
    "data": tuple(RULE_WAYS),
    "headers": (*_VERDICTS, "discard"),
    "body": (*_VERDICTS, "discard"),
    "body_line": (*_VERDICTS, "discard"),
    "message": tuple(RULE_WAYS),
    "reply": _NO_VERDICT,
    "delivered": _NO_VERDICT,
    "disconnect": _NO_VERDICT,
}
"""Phase → ways that a rule has in it."""


@attrs.define(eq=False)
class RuleFault:
    """What goes wrong in a rule, once: at the first connection, or with one attempt."""

    phase: str
    name: str
    account: Account
    attempt: int
    chance: Random
    is_over: bool = False

    async def happen(self, attempt: int | None, *recipients: str) -> Any:
        """The rule is asked."""
        if self.is_over or attempt not in (None, self.attempt):
            return None
        self.is_over = True
        if self.name == "discard":
            for each in recipients:
                self.account.take(Taken((self.attempt, each), "discarded", True, False))
        return await RULE_WAYS[self.name]()


def _edits(tx: Transaction, headers: Headers) -> None:
    headers.add("X-Seen", "yes")


def edit(content: bytes) -> bytes:
    """What the rule that edits makes of a message."""
    return content.replace(b"\r\n\r\n", b"\r\nX-Seen: yes\r\n\r\n", 1)


async def _holds_all(tx: Transaction, msg: Any) -> None:
    await trio.lowlevel.checkpoint()


def _quarantines(attempt: int) -> Callable[[Transaction, Any], Awaitable[Any]]:
    async def holds(tx: Transaction, msg: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return Hold("a look at it") if _attempt(tx.mail_from) == attempt else None

    return holds


def rules_of(kind: str, attempt: int, fault: RuleFault | None) -> RuleSet:
    """The rules of a kind of proxy: see `World.rules`."""
    rules: list[Any] = []
    if kind == "login":
        rules.append(_named(_knows_all, "login"))
    if kind == "edited":
        rules.append(_named(_edits, "headers"))
    if kind in ("held", "spooled"):
        rules.append(_named(_holds_all, "message"))
    if kind == "quarantine":
        rules.append(_named(_quarantines(attempt), "message"))
    if fault is not None:
        rules.append(_failing(fault))
    return RuleSet(collect({"rules": rules}, file="").rules)


async def _knows_all(conn: Any, attempt: Any) -> Accept:
    """Passwords are checked here where the server is shown tokens."""
    await trio.lowlevel.checkpoint()
    return Accept()


def _named(function: Any, phase: str) -> Any:
    function.__name__ = phase
    return function


def _failing(fault: RuleFault) -> Any:
    async def of_session(conn: Any) -> Any:
        return await fault.happen(None)

    async def of_name(conn: Any, name: str) -> Any:
        return await fault.happen(None)

    async def of_mail(tx: Any, sender: Any) -> Any:
        return await fault.happen(_attempt(sender), A, B)

    async def of_one(tx: Any, to: Any) -> Any:
        return await fault.happen(_attempt(tx.mail_from), to.address)

    async def of_all(tx: Any) -> Any:
        return await fault.happen(_attempt(tx.mail_from), A, B)

    async def of_piece(tx: Any, piece: Any) -> Any:
        return await fault.happen(_attempt(tx.mail_from), A, B)

    async def of_reply(tx: Any, command: Any, answer: Any) -> Any:
        if command.verb != ".":
            return None
        return await fault.happen(_attempt(tx.mail_from))

    made = {
        "connect": of_session,
        "disconnect": of_session,
        "helo": of_name,
        "mail": of_mail,
        "rcpt": of_one,
        "data": of_all,
        "reply": of_reply,
    }
    return _named(made.get(fault.phase, of_piece), fault.phase)


def _attempt(sender: Any) -> int | None:
    """-1 for one that is none."""
    return attempt_in(b"<%b>" % sender.address.encode()) or -1
