"""Checks that a verdict fits its question, and that what it replaces does not change the framing."""

from __future__ import annotations

from typing import Any, Final

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.questions import (
    Answer,
    AttemptQuestion,
    CommandQuestion,
    Continue,
    Inspect,
    LoginQuestion,
    MessageQuestion,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    ReplyQuestion,
    Route,
    Swallow,
)
from sansio_smtp.verbs import UNKNOWN, VERBS, Effect, Kind
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

__all__ = ["check"]

_BEGIN_MESSAGE: Final = frozenset((Kind.DATA, Kind.CHUNK, Kind.LAST_CHUNK))
"""The kinds of commands that begin a message."""
_CHUNKS: Final = frozenset((Kind.CHUNK, Kind.LAST_CHUNK))


def check(question: Any, verdict: object) -> None:
    """Raises `LocalProtocolError` if the verdict does not fit the question."""
    if not isinstance(verdict, question.verdicts):
        names = ", ".join(kind.__name__ for kind in question.verdicts)
        raise LocalProtocolError(f"{type(verdict).__name__} does not answer this question; {names} do")
    if isinstance(question, ReplyQuestion) and isinstance(verdict, ReplaceReply):
        _check_reply(question.reply, verdict.reply)
    elif isinstance(question, CommandQuestion):
        _check_command(question.command, verdict)
    elif (
        isinstance(question, AttemptQuestion | LoginQuestion)
        and isinstance(verdict, Answer)
        and verdict.reply.severity == 2
    ):
        raise LocalProtocolError(f"{verdict.reply} would say that there is a login, and there is none")
    if isinstance(verdict, Continue | Inspect | Replace) and verdict.recipients:
        _check_recipients(question, verdict.recipients)


def _check_reply(given: Reply, put_in: Reply) -> None:
    """The first digit must stay: it decides what the next octets are (RFC 5321 §4.2.1)."""
    if put_in.severity != given.severity:
        raise LocalProtocolError(f"{given} cannot become {put_in}: another first digit")
    if given.code == 421 != put_in.code:
        raise LocalProtocolError("the server is leaving; its 421 can only become another 421")


def _check_command(command: Command, verdict: object) -> None:
    if isinstance(verdict, ReplaceCommand) and command.kind in _CHUNKS:
        raise LocalProtocolError(f"{command} cannot be replaced: it counts octets")
    put_in = verdict.command if isinstance(verdict, ReplaceCommand | Route) else None
    if put_in is not None:
        put_in.check()
        if Command.parse(put_in.raw).verb != command.verb:
            raise LocalProtocolError(f"{command} cannot become {put_in}: another verb")
    if isinstance(verdict, Route) and not VERBS.get(command.verb, UNKNOWN).routed:
        raise LocalProtocolError(f"{command} takes no Route; EHLO, HELO, AUTH, MAIL and RCPT do")
    if command.kind in _BEGIN_MESSAGE:
        if isinstance(verdict, Answer) and verdict.reply.severity == 2:
            raise LocalProtocolError(f"2xx to {command.verb.decode()} would leave the client no way to go on")
    elif isinstance(verdict, Inspect | Swallow):
        raise LocalProtocolError(f"{type(verdict).__name__} is for DATA and BDAT, not for {command}")


def _check_recipients(question: object, commands: tuple[Command, ...]) -> None:
    for_data = isinstance(question, CommandQuestion) and question.command.kind in _BEGIN_MESSAGE
    if not for_data and not isinstance(question, MessageQuestion):
        raise LocalProtocolError("recipients can be added at DATA or to a whole message only")
    for command in commands:
        command.check()
        if VERBS.get(Command.parse(command.raw).verb, UNKNOWN).effect is not Effect.ADD_RECIPIENT:
            raise LocalProtocolError(f"a recipient is added by a RCPT command, not {command}")
