"""Ask-sets and verdicts."""

from __future__ import annotations

import re
import zlib
from typing import Final

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
    Inspect,
    Kind,
    MessageQuestion,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    Reply,
    ReplyQuestion,
    Route,
    Swallow,
)
from sansio_smtp.questions import (
    BODY_CHUNK,
    BODY_LINE,
    BODY_LINES,
    COMMAND,
    HEADERS,
    IN_TURN,
    MESSAGE,
    REPLY,
    AnyQuestion,
    AnyVerdict,
)

ADDED: Final = (Command.of("RCPT TO:<added-one@rule>"), Command.of("RCPT TO:<added-two@rule>"))
"""The recipients that verdicts add: both or none."""
_ROUTED: Final = (b"EHLO", b"HELO", b"AUTH", b"MAIL", b"RCPT")
_TAG: Final = re.compile(rb"srv[0-9]+")
_CONTENT = [HEADERS, BODY_CHUNK, BODY_LINE, BODY_LINES, MESSAGE]
_COMMANDS = [COMMAND, REPLY, "EHLO", "HELO", "MAIL", "RCPT", "RSET", "NOOP", "DATA", "AUTH", "QUIT"]
_ANY = st.frozensets(st.sampled_from([*_CONTENT, *_COMMANDS]), max_size=4)
ASKS: st.SearchStrategy[frozenset[str]] = st.one_of(
    st.just(frozenset()),
    st.sampled_from([frozenset({place}) for place in (*_CONTENT, *_COMMANDS)]),
    st.frozensets(st.sampled_from(_CONTENT), min_size=1, max_size=3),
    _ANY,
    _ANY.map(lambda ask: ask | {IN_TURN, "DATA"}),
    _ANY.map(lambda ask: ask | {IN_TURN, "MAIL", "RCPT", "DATA"}),
)


def legal_verdicts(question: AnyQuestion, ask: frozenset[str]) -> list[AnyVerdict]:
    """One of each sort that `Proxy.answer` takes here; the first lets everything pass."""
    refuse = Reply.of(550, "rule says no")
    ends: list[AnyVerdict] = [Answer(refuse), Answer(Reply.of(451, "later")), Disconnect(refuse)]
    if isinstance(question, CommandQuestion):
        return [Continue(), *ends, *_command_verdicts(question, ask)]
    if isinstance(question, ReplyQuestion):
        code = question.reply.code if question.reply.code == 421 else question.reply.severity * 100 + 50
        tag = _TAG.search(question.reply.raw)  # of the simulated server; by it checks know what was answered
        other = Reply.of(code, b"rule " + (tag[0] if tag else b""), "says so")
        return [Continue(), ReplaceReply(other), Disconnect(refuse)]
    assert isinstance(question, HeadersQuestion | BodyQuestion | MessageQuestion)
    data = bytes(question.data)
    replacements = [b"", b".", b"A: b\r\n", b"\n.\r\n\r.\n", data + b"\n.\n", data.upper()]
    accepted: list[AnyVerdict] = [Answer(Reply.of(250, "rule took it"))]
    added: list[AnyVerdict] = []
    if isinstance(question, MessageQuestion):
        added = [Continue(ADDED), Replace(data.upper(), ADDED)]
    return [Continue(), *ends, *accepted, *added, *[Replace(data) for data in replacements]]


def _command_verdicts(question: CommandQuestion, ask: frozenset[str]) -> list[AnyVerdict]:
    command = question.command
    verdicts: list[AnyVerdict] = []
    if command.kind in _BEGIN_MESSAGE:
        verdicts += _data_verdicts(ADDED if IN_TURN in ask else ())
    if command.verb in _ROUTED:
        verdicts += [Route(None), Route("b"), Route("c")]
        if command.kind is not Kind.AUTH:
            verdicts.append(Route("b", Command.of(command.verb + b" replaced")))
    if command.verb and command.kind not in (Kind.AUTH, Kind.CHUNK, Kind.LAST_CHUNK):
        verdicts.append(ReplaceCommand(Command.of(command.verb + b" replaced")))
    if command.kind not in _BEGIN_MESSAGE:
        verdicts += [Answer(Reply.of(235 if command.kind is Kind.AUTH else 250, "rule says yes"))] * 2
    verdicts.append(Answer(Reply.of(421, "rule says bye")))
    return verdicts


def _data_verdicts(added: tuple[Command, ...]) -> list[AnyVerdict]:
    places = [{HEADERS}, {BODY_CHUNK}, {HEADERS, BODY_LINES}, {MESSAGE}, {MESSAGE, HEADERS}]
    verdicts: list[AnyVerdict] = [Inspect(frozenset(), added), Continue(added)]
    verdicts += [Inspect(frozenset(names)) for names in places]
    verdicts += [Inspect(frozenset({BODY_LINE}), added), Inspect(frozenset({MESSAGE}), added)]
    return [*verdicts, Swallow(Reply.of(250, "rule ate it")), Swallow(Reply.of(550, "rule says no"))]


@attrs.frozen
class DrawnJudge:
    """The verdict is a function of what is asked, never of when; so a late answer must change nothing.

    A piece of content is cut anywhere: its verdict goes octet by octet, so that cuts do not matter.
    """

    salt: int
    ask: frozenset[str]

    def __call__(self, question: AnyQuestion) -> AnyVerdict:
        if isinstance(question, BodyQuestion) and self.ask & _CUT_ANYWHERE:
            return self._on_piece(question)
        verdicts = legal_verdicts(question, self.ask)
        if isinstance(question, CommandQuestion):
            text = question.command.raw
        elif isinstance(question, ReplyQuestion):
            text = question.reply.raw
        else:
            text = bytes(question.data)
        drawn = zlib.crc32(text + b"%d" % self.salt) % (4 * len(verdicts))
        return verdicts[drawn] if drawn < len(verdicts) else Continue()

    def _on_piece(self, question: BodyQuestion) -> AnyVerdict:
        if question.last and self.salt % 3 == 0:
            return Replace(question.data + b"tail")
        if question.last and self.salt % 3 == 1:
            return Answer(Reply.of(550, "rule says no"))
        return Replace(question.data.replace(b"x", b".\n")) if self.salt % 2 else Continue()


_BEGIN_MESSAGE: Final = frozenset({Kind.DATA, Kind.CHUNK, Kind.LAST_CHUNK})
_CUT_ANYWHERE: Final = frozenset({BODY_CHUNK, BODY_LINES, COMMAND, "DATA"})
"""What makes, or may make by `Inspect`, body questions out of whatever has arrived."""


@attrs.define
class FirstVerdict:
    """The verdict on the first question; all others pass."""

    verdict: AnyVerdict
    asked: int = 0

    def __call__(self, question: AnyQuestion) -> AnyVerdict:
        self.asked += 1
        return self.verdict if self.asked == 1 else Continue()


salts = st.integers(0, 1000)
