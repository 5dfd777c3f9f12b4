"""Makes verdicts for the core from the verdicts and edits of rules."""

from __future__ import annotations

from typing import Final

from sansio_smtp.questions import (
    Answer,
    AnyVerdict,
    BodyQuestion,
    CommandQuestion,
    Continue,
    Disconnect,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    Route,
)
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Origin, Reply

from .headers import Headers
from .run_phase import Asked
from .verdicts import Accept, Close, Defer, Discard, Hold, Redirect, Reject, Verdict
from .views import ServerReply

__all__ = ["PASS", "of_attempt", "of_body", "of_client", "of_command", "of_headers", "of_reply", "refusal"]

PASS: Final = Continue()
_WRONG_LOGIN: Final = Reply.of(535, "wrong name or password", enhanced="5.7.8", origin=Origin.RULE)
_NO_LOGIN_NOW: Final = Reply.of(
    454, "login is not possible now, try again later", enhanced="4.7.0", origin=Origin.RULE
)


def of_command(verdict: Asked, question: CommandQuestion, command: Command) -> AnyVerdict:
    """The core's verdict on a command, from the rules' verdict and edits."""
    replaced = command is not question.command
    if verdict is not None:
        if isinstance(verdict, Redirect):
            return Route(verdict.upstream, command if replaced else None)
        if not isinstance(verdict, Hold | Discard):
            return refusal(verdict)
    return ReplaceCommand(command) if replaced else PASS


def of_headers(verdict: Asked, headers: Headers) -> AnyVerdict:
    if verdict is not None:
        return refusal(verdict)
    return Replace(headers.raw) if headers.edited else PASS


def of_body(left: bytes | Verdict, question: BodyQuestion) -> AnyVerdict:
    if isinstance(left, bytes):
        return PASS if left == question.data else Replace(left)
    return refusal(left)


def of_reply(verdict: Asked, answer: ServerReply) -> AnyVerdict:
    if isinstance(verdict, Close):
        return Disconnect(verdict.reply)
    return ReplaceReply(answer.replacement) if answer.replacement is not None else PASS


def of_client(verdict: Asked) -> AnyVerdict:
    if isinstance(verdict, Redirect):
        return Route(verdict.upstream)
    return PASS if verdict is None else Disconnect(verdict.reply)


def of_attempt(verdict: Asked | Accept, server_decides: bool) -> AnyVerdict:
    """The core's verdict on a login of the client. A login that no rule has accepted is refused, unless the
    server decides. Verdicts of rules without a text become the replies of RFC 4954 §6."""
    if verdict is None:
        return PASS if server_decides else Answer(_WRONG_LOGIN)
    if isinstance(verdict, Accept):
        return PASS
    if verdict == Reject():
        return Answer(_WRONG_LOGIN)
    return Answer(_NO_LOGIN_NOW) if verdict == Defer() else refusal(verdict)


def refusal(verdict: Verdict) -> AnyVerdict:
    assert not isinstance(verdict, Accept | Redirect)  # no phase that comes here takes Redirect
    return Disconnect(verdict.reply) if isinstance(verdict, Close) else Answer(verdict.reply)
