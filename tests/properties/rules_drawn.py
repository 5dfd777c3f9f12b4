"""Rules, drawn: small functions for every phase that edit, refuse, are slow, fail, or try to smuggle.

What one does is a function of what it sees, never of when; so neither cuts nor delays may change an octet.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final

import attrs

from sansio_smtp.rules import (
    Accept,
    Close,
    Defer,
    Discard,
    Hold,
    Redirect,
    Reject,
    Rule,
    RuleSet,
    Transaction,
)
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.phases import PHASES

from .verdicts import ADDED

__all__ = ["HALF_DONE", "HELD", "LET_PASS", "Drawn", "Pause", "actions_of", "look"]

Action = Callable[..., Any]
INJECTED: Final = "x\r\n.\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<v@x>\r\nDATA\r\nbad\r\n.\r\n"
HALF_DONE: Final = "half-done"
"""Is in each edit of a rule that then fails."""
HELD: Final = "2.0.0 rule keeps it"
"""The text of a `Hold` that says yes."""

_VERDICTS: Final[dict[type, tuple[Any, ...]]] = {
    Accept: (Accept(),),
    Reject: (Reject(550, "5.7.1 rule says no"), Reject(554, "rule")),
    Defer: (Defer(451, "4.7.1 rule says later"), Defer(421, "4.7.1 rule says bye")),
    Discard: (Discard("2.0.0 rule eats it"),),
    Hold: (Hold("why", 250, HELD), Hold("why", 550, "5.7.1 rule keeps it, too"), Hold("", 451, "rule")),
    Close: (Close(421, "4.7.0 rule closes"), Close(550, "rule closes")),
    Redirect: (Redirect("b"), Redirect("b"), Redirect("c")),
}


class Pause:
    """Waits until somebody goes on with the coroutine."""

    def __await__(self) -> Generator[None, None, None]:
        yield


# What rules edit. The last argument is what they are asked about, the first one leads to the rest.


def _rewrite(_: Any, path: Any) -> None:
    path.rewrite(f"rule-{path.local[:1]}@rule.example".replace("<", ""))


def _add_recipients(tx: Transaction, *_: Any) -> None:
    for command in ADDED:
        assert command.path is not None
        tx.add_rcpt(command.path.address)


def _add_field(_: Any, headers: Any) -> None:
    headers.add("X-Rule", "added ä" + "y" * 90)


def _edit_fields(_: Any, headers: Any) -> None:
    headers.prepend("Received", "by rule")
    headers.set("A", "set by a rule")
    headers.set("B", b"octets \xff")
    headers.remove("Subject")


def _remove_fields(_: Any, headers: Any) -> None:
    for field in headers:
        if field.name:
            headers.remove(field.name)


def _in_message(edit: Action) -> Action:
    def edits(tx: Any, message: Any) -> None:
        edit(tx, message.headers)

    return edits


def _set_body(_: Any, message: Any) -> None:
    message.body = message.body.upper() + b"\n.\nsigned\n.\r\n"


def _replace_message(_: Any, message: Any) -> None:
    message.replace(b"A: b\n\n.\n" + message.raw + b"\n..\n.")


def _cut_body(_: Any, message: Any) -> None:
    message.body = message.body[:3]


def _replace_reply(_: Any, __: Any, answer: Any) -> None:
    answer.replace(answer.code, b"rule " + b" ".join(answer.lines)[:100], "more")


def _replace_command(_: Any, command: Any) -> None:
    command.replace(command.verb + " <replaced@rule> rule")


_EDITS: Final[dict[str, tuple[Action, ...]]] = {
    "mail": (_rewrite,),
    "rcpt": (_rewrite,),
    "data": (_add_recipients,),
    "headers": (_add_field, _edit_fields, _remove_fields),
    "body_line": (
        lambda _, line: line.upper(),
        lambda _, line: b"",
        lambda _, line: line + b".\r\n" + line,
        lambda _, line: b".\n",
        lambda _, line: line.rstrip(b"\r\n"),
        lambda _, line: line.replace(b"x", b"\r.\r\n.\r"),
    ),
    "message": (
        _in_message(_add_field),
        _in_message(_edit_fields),
        _in_message(_remove_fields),
        _set_body,
        _replace_message,
        _cut_body,
        _add_recipients,
    ),
    "reply": (_replace_reply,),
    "command": (_replace_command,),
}
_PIECEWISE: Final[tuple[Action, ...]] = (
    lambda _, piece: piece.upper(),
    lambda _, piece: piece.replace(b"x", b".\n"),
    lambda _, piece: b"",
    lambda _, piece: piece or b"\r\n.\r\ntail",
)
"""For ``body``: one octet after the other, since pieces are cut anywhere."""

# Failures: each ends in an exception or a verdict that is none.


def _raise(*_: Any) -> None:
    raise ValueError("rule: a secret of the operator")


def _exit(*_: Any) -> None:
    raise SystemExit(3)


def _return_nonsense(*_: Any) -> Any:
    return object()


def _return_text(*_: Any) -> Any:
    return "550 no"


def _injected_verdict(*_: Any) -> Any:
    return Reject(550, INJECTED)


def _injected_edit(*arguments: Any) -> None:
    """The first that the subject has of these."""
    subject = arguments[-1]
    if hasattr(subject, "rewrite"):
        subject.rewrite(INJECTED)
    elif hasattr(subject, "add_rcpt"):
        subject.add_rcpt("a>\r\nDATA")
    elif hasattr(subject, "headers"):
        subject.headers.add("X", INJECTED)
    elif hasattr(subject, "prepend"):
        subject.prepend("X: y\r\n\r\nZ", "z")
    elif hasattr(subject, "code"):
        subject.replace(subject.code, INJECTED)
    elif hasattr(subject, "replace") and not isinstance(subject, bytes | str):
        subject.replace(subject.verb + INJECTED)
    raise ValueError("rule: no way in")


def _edit_and_fail(*arguments: Any) -> None:
    """Nothing of the edit may be left, whatever becomes of the failure."""
    subject = arguments[-1]
    if hasattr(subject, "rewrite"):
        subject.rewrite(f"{HALF_DONE}@rule.example")
    elif hasattr(subject, "add_rcpt"):
        subject.add_rcpt(f"{HALF_DONE}@rule.example")
    elif hasattr(subject, "body"):
        subject.headers.add("X", HALF_DONE)
        subject.body = HALF_DONE.encode()
        arguments[0].add_rcpt(f"{HALF_DONE}@rule.example")
    elif hasattr(subject, "prepend"):
        subject.prepend("X", HALF_DONE)
    elif hasattr(subject, "code"):
        subject.replace(subject.code, HALF_DONE)
    elif hasattr(subject, "verb"):
        subject.replace(f"{subject.verb} {HALF_DONE}")
    raise ValueError("rule: half done")


def _late_recipient(tx: Any, *_: Any) -> None:
    tx.conn  # noqa: B018 - a transaction, or this fails as well
    if tx.may_add:
        raise ValueError("rule: not late")
    tx.add_rcpt("late@rule.example")


_FAILURES: Final = (
    _raise,
    _exit,
    _return_nonsense,
    _return_text,
    _injected_verdict,
    _injected_edit,
    _edit_and_fail,
)
_AT_FIRST: Final = frozenset(("connect", "helo", "auth", "command", "disconnect", "reply"))


def _let_pass(*_: Any) -> None:
    return None


def _actions(phase: str) -> list[tuple[str, Action]]:
    """What a rule may do in a phase, with names that a failing example shows."""
    actions: list[tuple[str, Action]] = []
    for edit in _EDITS.get(phase, _PIECEWISE if phase == "body" else ()):
        name = getattr(edit, "__name__", "")
        actions.append((f"edit {len(actions)} {name}", edit))
    verdicts = [verdict for kind in PHASES[phase].verdicts for verdict in _VERDICTS[kind]]
    actions += [(str(verdict), _giving(verdict)) for verdict in verdicts]
    actions += [(failure.__name__, failure) for failure in _FAILURES]
    if phase not in _AT_FIRST:
        actions.append(("_late_recipient", _late_recipient))
    return actions


def _giving(verdict: Any) -> Action:
    return lambda *_: verdict


_ACTIONS: Final = {phase: dict(_actions(phase)) for phase in PHASES}


def actions_of(phase: str) -> tuple[str, ...]:
    """The names of all that a rule may do in a phase."""
    return (*_ACTIONS[phase], "let pass")


@attrs.frozen
class Drawn:
    """One rule; its repr is all there is to it."""

    phase: str
    action: str
    salt: int = 0
    one_in: int = 1
    """Of how many different things that it is asked about it acts on one."""
    pauses: int | None = None
    """How often it waits; None if it is not async."""
    on_error: OnError | None = None
    match: str | None = None

    def rule(self, pause: Callable[[], Awaitable[object]] = Pause) -> Rule:
        """``pause`` is what it awaits where it waits."""

        async def later(*arguments: Any) -> Any:
            before = _seen(self.phase, arguments)
            for _ in range(self.pauses or 0):
                await pause()
            assert _seen(self.phase, arguments) == before, "it has changed while the rule waited"
            return self._now(*arguments)

        waits = self.pauses is not None
        return Rule(
            self.phase,
            later if waits else self._now,
            self.action,
            is_async=waits,
            on_error=self.on_error,
            match=self.match,
        )

    def _now(self, *arguments: Any) -> Any:
        action = _ACTIONS[self.phase].get(self.action, _let_pass)
        if self.phase == "body":
            return self._on_piece(action, *arguments)
        seen = zlib.crc32(_seen(self.phase, arguments), self.salt)
        return action(*arguments) if seen % self.one_in == 0 else None

    def _on_piece(self, action: Action, tx: Transaction, piece: bytes) -> Any:
        """Octets one by one; everything else when all of them are known."""
        if action in _PIECEWISE:
            return action(tx, piece) if self.salt % self.one_in == 0 else None
        seen = zlib.crc32(piece, tx.data.get(repr(self), self.salt))
        tx.data[repr(self)] = seen
        return action(tx, piece) if not piece and seen % self.one_in == 0 else None


def look(*arguments: Any) -> list[object]:
    """All that can be had of what a rule is shown, without an edit."""
    seen: list[object] = list(arguments)
    for argument in arguments:
        names = [name for name in dir(argument) if not name.startswith("_")]
        seen += [getattr(argument, name) for name in names if name not in _UNSEEN]
        if hasattr(argument, "get_all"):
            seen += [argument.get("Subject"), argument.get_all("A"), *argument]
        if hasattr(argument, "parsed"):
            seen += [argument.parsed().get_content_type(), *argument.headers]
    return seen


def _look_and_pass(*arguments: Any) -> None:
    look(*arguments)


_UNSEEN: Final = frozenset(("command", "original_command"))
"""Commands as they came; they hold what they hold."""
LET_PASS: Final = RuleSet([Rule(phase, _look_and_pass, "let pass") for phase in PHASES])
"""A rule in every phase, which looks at everything and says nothing."""


def _seen(phase: str, arguments: tuple[Any, ...]) -> bytes:
    """All that a rule can see. What of a transaction has been named already when a reply comes depends on
    the part of it that has arrived."""
    first, *others = arguments
    shown: list[object] = [phase]
    if isinstance(first, Transaction):
        shown.append(first.mail_from and (first.mail_from.address, first.mail_from.original))
        if phase != "reply":
            shown.append([(to.address, to.original) for to in first.rcpts])
        first = first.conn
    shown += [first.helo, first.login]
    for other in others:
        shown += [
            getattr(other, name)
            for name in ("address", "mechanism", "identity", "raw", "line", "code", "lines")
            if hasattr(other, name)
        ]
        if isinstance(other, str | bytes):
            shown.append(other)
    return repr(shown).encode()
