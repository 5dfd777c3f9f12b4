"""Ask-sets and verdicts."""

from __future__ import annotations

import zlib

import attrs
from hypothesis import strategies as st

from sansio_smtp import (
    Answer,
    BodyQuestion,
    Command,
    CommandQuestion,
    Continue,
    Disconnect,
    HeadersQuestion,
    Kind,
    MessageQuestion,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    Reply,
    ReplyQuestion,
)
from sansio_smtp.questions import (
    BODY_CHUNK,
    BODY_LINE,
    COMMAND,
    HEADERS,
    MESSAGE,
    REPLY,
    AnyQuestion,
    AnyVerdict,
)

_CONTENT = [HEADERS, BODY_CHUNK, BODY_LINE, MESSAGE]
_COMMANDS = [COMMAND, REPLY, "RCPT", "DATA", "AUTH", "QUIT"]
ASKS: st.SearchStrategy[frozenset[str]] = st.one_of(
    st.just(frozenset()),
    st.sampled_from([frozenset({place}) for place in (*_CONTENT, *_COMMANDS)]),
    st.frozensets(st.sampled_from(_CONTENT), min_size=1, max_size=3),
    st.frozensets(st.sampled_from([*_CONTENT, *_COMMANDS]), max_size=4),
)


def legal_verdicts(question: AnyQuestion) -> list[AnyVerdict]:
    """One of each sort that `Proxy.answer` takes here; the first lets everything pass."""
    refuse = Reply.of(550, "rule says no")
    ends: list[AnyVerdict] = [Answer(refuse), Answer(Reply.of(451, "later")), Disconnect(refuse)]
    if isinstance(question, CommandQuestion):
        return [Continue(), *ends, *_command_verdicts(question)]
    if isinstance(question, ReplyQuestion):
        code = question.reply.code if question.reply.code == 421 else question.reply.severity * 100 + 50
        other = Reply.of(code, "rule", "says so")
        return [Continue(), ReplaceReply(other), Disconnect(refuse)]
    assert isinstance(question, HeadersQuestion | BodyQuestion | MessageQuestion)
    replacements = [b"", b".", b"A: b\r\n", b"\n.\r\n\r.\n", question.data + b"\n.\n", question.data.upper()]
    accepted: list[AnyVerdict] = [Answer(Reply.of(250, "rule took it"))]
    return [Continue(), *ends, *accepted, *[Replace(data) for data in replacements]]


def _command_verdicts(question: CommandQuestion) -> list[AnyVerdict]:
    command = question.command
    verdicts: list[AnyVerdict] = []
    if command.verb and command.kind is not Kind.AUTH:
        verdicts.append(ReplaceCommand(Command.of(command.verb + b" replaced")))
    if command.kind is not Kind.DATA:
        verdicts.append(Answer(Reply.of(250, "rule says yes")))
    verdicts.append(Answer(Reply.of(421, "rule says bye")))
    return verdicts


@attrs.frozen
class DrawnJudge:
    """The verdict is a function of what is asked, never of when; so a late answer must change nothing.

    A piece of content is cut anywhere: its verdict goes octet by octet, so that cuts do not matter.
    """

    salt: int
    pieces: bool

    def __call__(self, question: AnyQuestion) -> AnyVerdict:
        if isinstance(question, BodyQuestion) and self.pieces:
            return self._on_piece(question)
        verdicts = legal_verdicts(question)
        if isinstance(question, CommandQuestion):
            text = question.command.raw
        elif isinstance(question, ReplyQuestion):
            text = question.reply.raw
        else:
            text = question.data
        drawn = zlib.crc32(text + b"%d" % self.salt) % (4 * len(verdicts))
        return verdicts[drawn] if drawn < len(verdicts) else Continue()

    def _on_piece(self, question: BodyQuestion) -> AnyVerdict:
        if question.last and self.salt % 3 == 0:
            return Replace(question.data + b"tail")
        if question.last and self.salt % 3 == 1:
            return Answer(Reply.of(550, "rule says no"))
        return Replace(question.data.replace(b"x", b".\n")) if self.salt % 2 else Continue()


@attrs.define
class FirstVerdict:
    """The verdict on the first question; all others pass."""

    verdict: AnyVerdict
    asked: int = 0

    def __call__(self, question: AnyQuestion) -> AnyVerdict:
        self.asked += 1
        return self.verdict if self.asked == 1 else Continue()


salts = st.integers(0, 1000)
