"""Reads the verdicts of a script, the lines with ``!``, and fits them to the open question."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import attrs

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.questions import (
    Answer,
    AnyQuestion,
    CommandQuestion,
    Continue,
    Disconnect,
    Inspect,
    LogIn,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    ReplyQuestion,
    Route,
    Swallow,
)
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

from .notation import did_you_mean, octets

__all__ = ["HOME", "SERVER_LOGIN", "Replacement", "SaidVerdict", "ScriptedSasl", "said", "verdict_for"]

HOME: Final = "home"
"""The name in scripts of the server that was connected first."""

SERVER_LOGIN: Final = "SERVER_LOGIN"
"""The place in scripts of a `LoginQuestion`."""

_REPLY: Final = re.compile(r"([2-5][0-9][0-9])(?: (.*))?", re.DOTALL)


@attrs.frozen
class Replacement:
    """``! replace``, which is a different verdict for each kind of question."""

    data: bytes
    recipients: tuple[Command, ...] = ()


@attrs.frozen
class SaidLogin:
    """``! login``: the mechanism, the initial response if there is one, and the responses."""

    name: str
    initial: bytes | None
    responses: tuple[bytes, ...]


SaidVerdict: TypeAlias = Continue | Answer | Disconnect | Inspect | Swallow | Route | Replacement | SaidLogin


class ScriptedSasl:
    """A `SaslClient` that says what a script says. It is complete when it has said all of that."""

    def __init__(self, login: SaidLogin) -> None:
        self.login = login
        self.name, self.initial = login.name, login.initial
        self._left = list(login.responses)

    @property
    def complete(self) -> bool:
        return not self._left

    def respond(self, challenge: bytes) -> bytes:
        if not self._left:
            raise ValueError(f"the script has no response to {challenge!r}")
        return self._left.pop(0)

    def forget(self) -> None:
        self.initial = None


def said(text: str, recipients: tuple[Command, ...] = ()) -> SaidVerdict:
    """Reads a verdict; ``recipients``: those of ``! add`` in front of it.

    Raises ValueError, which `NotationError` is, or `LocalProtocolError`.
    """
    word, _, rest = text.partition(" ")
    read = _READERS.get(word)
    if read is None:
        raise ValueError(f"unknown verdict {text!r}{_instead_of(word, rest)}")
    verdict = read(rest)
    if not recipients:
        return verdict
    if isinstance(verdict, Continue | Inspect | Replacement):
        return attrs.evolve(verdict, recipients=recipients)
    raise ValueError(f"'! {word}' adds no recipient")


def verdict_for(question: AnyQuestion, verdict: SaidVerdict) -> Any:
    """The verdict as `Proxy.answer` takes it. Raises `LocalProtocolError`."""
    if isinstance(verdict, SaidLogin):
        return LogIn(ScriptedSasl(verdict))
    if not isinstance(verdict, Replacement):
        return verdict
    data = verdict.data
    if isinstance(question, CommandQuestion):
        return ReplaceCommand(Command.of(data.removesuffix(b"\r\n")))
    if isinstance(question, ReplyQuestion):
        lines = [line[4:] for line in data.removesuffix(b"\r\n").split(b"\r\n")]
        code = data[:3].decode("ascii", "replace")
        if not code.isdecimal():
            raise LocalProtocolError(f"not a reply: {data!r}")
        return ReplaceReply(Reply.of(int(code), *lines))
    return Replace(data, verdict.recipients)


def _instead_of(word: str, rest: str) -> str:
    """What a script says in place of an unknown verdict."""
    if stands_for := _OF_RULES.get(word.lower()):
        name = stands_for.partition(" ")[0]
        return (
            f": a script has the verdicts of the core; write '! {f'{name} {rest}' if rest else stands_for}'"
        )
    return did_you_mean(word, _READERS) or f"; the verdicts are {', '.join(_READERS)}"


def _continue(rest: str) -> Continue:
    if rest:
        raise ValueError(f"'! continue' stands alone, not with {rest!r}")
    return Continue()


def _inspect(rest: str) -> Inspect:
    return Inspect(frozenset(word.strip() for word in rest.split(",") if word.strip()))


def _route(rest: str) -> Route:
    upstream, _, line = rest.partition(" ")
    if not upstream:
        raise ValueError(f"'! route' needs a server, such as {HOME!r}")
    return Route(None if upstream == HOME else upstream, Command.of(line) if line else None)


def _login(rest: str) -> SaidLogin:
    name, *words = rest.split(" | ") if rest else [""]
    if not name:
        raise ValueError("'! login' needs a mechanism, such as PLAIN")
    initial, *responses = words or ["-"]
    said = tuple(_secret(word) for word in responses)
    return SaidLogin(name, None if initial == "-" else _secret(initial), said)


def _secret(word: str) -> bytes:
    return b"" if word == "empty" else octets(word).removesuffix(b"\r\n")


def _reply(text: str) -> Reply:
    match = _REPLY.fullmatch(text)
    if match is None:
        raise ValueError(f"not a reply: {text!r}")
    return Reply.of(int(match[1]), *octets(match[2] or "").removesuffix(b"\r\n").split(b"\r\n"))


_READERS: Final[dict[str, Callable[[str], SaidVerdict]]] = {
    "continue": _continue,
    "answer": lambda rest: Answer(_reply(rest)),
    "disconnect": lambda rest: Disconnect(_reply(rest)),
    "replace": lambda rest: Replacement(octets(rest)),
    "inspect": _inspect,
    "swallow": lambda rest: Swallow(_reply(rest)),
    "route": _route,
    "login": _login,
}
_OF_RULES: Final[dict[str, str]] = {
    "accept": "continue",
    "reject": "answer 550 5.7.1 no",
    "defer": "answer 451 4.7.1 later",
    "close": "disconnect 421 4.7.0 go away",
    "redirect": "route other",
    "discard": "swallow 250 ok",
    "hold": "swallow 250 ok",
}
"""The verdict of a rule → what stands for it in a script."""
