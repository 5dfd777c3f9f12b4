"""Checks that a verdict fits its question, and that a replacement does not change the framing."""

from __future__ import annotations

from types import NoneType
from typing import Any, Final

from sansio_smtp.arguments import check_type, named, wrong_type
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import Ask
from sansio_smtp.questions import (
    Answer,
    AttemptQuestion,
    CommandQuestion,
    Continue,
    Inspect,
    LoginQuestion,
    MessageQuestion,
    Question,
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

__all__ = ["check", "not_open"]

_BEGIN_MESSAGE: Final = frozenset((Kind.DATA, Kind.CHUNK, Kind.LAST_CHUNK))
"""The kinds of commands that begin a message."""
_CHUNKS: Final = frozenset((Kind.CHUNK, Kind.LAST_CHUNK))


def check(question: Any, verdict: object) -> None:
    """Raises `LocalProtocolError` if the verdict does not fit the question."""
    try:
        verdicts = question.verdicts
    except AttributeError:  # it is None, as the open question is if there is none
        raise not_open(question, None) from None
    if not isinstance(verdict, verdicts):
        names = ", ".join(kind.__name__ for kind in verdicts)
        raise LocalProtocolError(
            f"{named(verdict)} does not answer a {named(question)}; {names} do{_meant(verdict)}"
        )
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
    elif isinstance(verdict, Replace):
        check_type(
            verdict.data, (bytes, bytearray, memoryview), "Replace takes bytes", "encode the text first"
        )
    if isinstance(verdict, Continue | Inspect | Replace) and verdict.recipients:
        _check_recipients(question, verdict.recipients)


def not_open(question: object, opened: object) -> Exception:
    """The error for a verdict on another question than the one that is open, which is None if there is
    none."""
    if isinstance(question, Ask):
        return TypeError("answer takes the question of the event: write answer(event.question, verdict)")
    if not isinstance(question, Question):
        return wrong_type("answer takes a question, then its verdict", question)
    now = "" if opened is None else f"; a {named(opened)} is open"
    return LocalProtocolError(
        f"this question is not open: it has been answered already, or another proxy has asked it{now}"
    )


def _meant(verdict: object) -> str:
    """What the caller may have meant."""
    if verdict is None:
        return ". To let it pass, give Continue()"
    if isinstance(verdict, type):
        return f". Give an object of the class: {verdict.__name__}(...)"
    if isinstance(verdict, Reply):
        return f". To answer with this reply, give Answer(reply): {verdict}"
    if isinstance(verdict, str | bytes | int):
        return ". Give an object of one of these classes: Continue() lets it pass"
    return ""


def _check_reply(given: Reply, put_in: Reply) -> None:
    """The first digit must stay: it decides what the next octets are (RFC 5321 §4.2.1)."""
    if put_in.severity != given.severity:
        raise LocalProtocolError(f"{given} cannot become {put_in}: the first digit must stay")
    if given.code == 421 != put_in.code:
        raise LocalProtocolError("the server is leaving; its 421 can only become another 421")


def _check_command(command: Command, verdict: object) -> None:
    if isinstance(verdict, ReplaceCommand) and command.kind in _CHUNKS:
        raise LocalProtocolError(f"{command} cannot be replaced: it counts octets")
    put_in = verdict.command if isinstance(verdict, ReplaceCommand | Route) else None
    if isinstance(verdict, Route):
        right = "Route takes the name of a server as a str, or None"
        check_type(verdict.upstream, (str, NoneType), right)
    if put_in is not None:
        _check_is_command(put_in)
        put_in.check()
        if Command.parse(put_in.raw).verb != command.verb:
            raise LocalProtocolError(f"{command} cannot become {put_in}: the verb must stay")
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
        _check_is_command(command)
        command.check()
        if VERBS.get(Command.parse(command.raw).verb, UNKNOWN).effect is not Effect.ADD_RECIPIENT:
            raise LocalProtocolError(f"a recipient is added by a RCPT command, not {command}")


def _check_is_command(command: object) -> None:
    if not isinstance(command, Command):
        raise wrong_type(
            "a verdict takes a Command", command, 'such as Command.of("RCPT TO:<ann@example.com>")'
        )
