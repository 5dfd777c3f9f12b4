"""Strategies for plans: what a client says, the verdict on each line, and what becomes of each server.

A plan says more than a `Dialogue`: its verdicts belong to lines. So 2xx by a verdict, `Route`, RSET, EHLO and
lost servers meet in every order, and what Hypothesis leaves of a failing plan is short.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs
from hypothesis import strategies as st

from sansio_smtp import (
    Answer,
    Command,
    CommandQuestion,
    Config,
    Continue,
    Disconnect,
    Inspect,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    Reply,
    ReplyQuestion,
    Route,
    Swallow,
)
from sansio_smtp.questions import COMMAND, HEADERS, IN_TURN, MESSAGE, REPLY, AnyQuestion, AnyVerdict

from .dialogues import SECRET, Dialogue, Later
from .peers import Style, Unit
from .verdicts import ADDED

__all__ = ["Act", "Plan", "PlannedJudge", "plans"]


@attrs.frozen
class Act:
    """A line of the client, with the verdicts on it and on the content that follows it."""

    unit: Unit
    verdict: AnyVerdict = attrs.field(factory=Continue)
    on_content: AnyVerdict = attrs.field(factory=Continue)


@attrs.frozen
class Plan:
    """All that is drawn of a dialogue, besides its cuts and turns."""

    acts: list[Act]
    style: Style = Style.LOCKSTEP
    ask: frozenset[str] = frozenset({COMMAND})
    choices: list[int] = attrs.field(factory=list[int])
    later: list[Later] = attrs.field(factory=list[Later])
    on_replies: list[int] = attrs.field(factory=list[int])
    """For the questions about replies, in turn: 0 lets the reply pass, 1 replaces it, 2 disconnects."""
    pipelining: bool = True
    reconnect: bool = False

    @property
    def dialogue(self) -> Dialogue:
        """What both peers do."""
        units = [act.unit for act in self.acts]
        config = Config(reconnect=self.reconnect)
        return Dialogue(units, self.style, self.choices, self.pipelining, b"", config, self.later)

    def judge(self) -> PlannedJudge:
        """Who gives the verdicts in one dialogue."""
        return PlannedJudge(self)


@attrs.define
class PlannedJudge:
    """Gives the verdicts of a plan, each to the line that it is for."""

    plan: Plan
    _next: int = 0
    _on_content: AnyVerdict = attrs.field(factory=Continue)
    _replies: int = 0

    def __call__(self, question: AnyQuestion) -> AnyVerdict:
        if isinstance(question, CommandQuestion):
            return self._on_command(question.command)
        if isinstance(question, ReplyQuestion):
            return self._on_reply(question.reply)
        verdict, self._on_content = self._on_content, Continue()
        return verdict

    def _on_command(self, command: Command) -> AnyVerdict:
        for number, act in enumerate(self.plan.acts[self._next :], self._next + 1):
            if act.unit.line[:-2] == command.raw:
                self._next, self._on_content = number, act.on_content
                return act.verdict
        return Continue()

    def _on_reply(self, reply: Reply) -> AnyVerdict:
        drawn = self.plan.on_replies[self._replies : self._replies + 1]
        self._replies += 1
        if drawn == [1]:
            return ReplaceReply(Reply.of(reply.code, b"rule " + b" ".join(reply.lines)))
        return Disconnect(Reply.of(550, "rule says no")) if drawn == [2] else Continue()


_Follows: TypeAlias = dict[bytes, list[bytes]]
_USUAL: Final[_Follows] = {
    b"": [b"MAIL"] * 8 + [b"RSET", b"RSET", b"NOOP", b"EHLO", b"HELO", b"AUTH", b"RCPT", b"DATA"],
    b"MAIL": [b"RCPT"] * 10 + [b"RSET", b"RSET", b"EHLO", b"HELO", b"NOOP", b"MAIL", b"DATA", b"AUTH"],
    b"RCPT": [b"DATA"] * 6 + [b"RCPT"] * 4 + [b"RSET"] * 3 + [b"EHLO", b"HELO", b"NOOP", b"MAIL"],
    b"DATA": [b"MAIL"] * 5 + [b"RCPT", b"RCPT", b"DATA", b"RSET", b"EHLO", b"NOOP", b"HELO"],
}
"""The verb of the last line that counts → likely verbs of the next: most dialogues get somewhere, and some go
where nobody goes. RSET and the like count as a new beginning; NOOP does not count."""
_RESTLESS: Final[_Follows] = {
    b"": [b"MAIL"] * 8 + [b"RSET", b"EHLO", b"HELO", b"RCPT"],
    b"MAIL": [b"RCPT"] * 8 + [b"RSET"] * 3 + [b"EHLO", b"HELO", b"MAIL"],
    b"RCPT": [b"RSET"] * 5 + [b"DATA"] * 4 + [b"RCPT"] * 3 + [b"EHLO", b"HELO", b"MAIL", b"MAIL"],
    b"DATA": [b"MAIL"] * 4 + [b"RCPT"] * 2 + [b"RSET"] * 3 + [b"EHLO", b"HELO", b"DATA"],
}
"""Of a client that gives up what it has begun."""
_BEGINS: Final = (b"RSET", b"EHLO", b"HELO", b"AUTH")

_NO: Final = Answer(Reply.of(550, "rule says no"))
_YES: Final = Answer(Reply.of(250, "rule says yes"))
_ENDS: Final = (Answer(Reply.of(421, "rule says bye")), Disconnect(Reply.of(550, "rule says no")))
_ROUTES: Final = (Route("b"), Route("b"), Route("b"), Route("c"), Route(None), Route(None))
_ON_DATA: Final[list[AnyVerdict]] = [
    *[Continue()] * 16,
    *[_NO] * 2,
    Swallow(Reply.of(250, "rule ate it")),
    Swallow(Reply.of(550, "rule says no")),
    Inspect(frozenset({MESSAGE})),
    Inspect(frozenset({HEADERS})),
    Inspect(frozenset(), ADDED),
    Continue(ADDED),
    *_ENDS,
]
_ON_AUTH: Final[list[AnyVerdict]] = [
    *[Continue()] * 8,
    *_ROUTES,
    Answer(Reply.of(235, "rule says yes")),
    Answer(Reply.of(535, "rule says no")),
]
_ON_OTHERS: Final[list[AnyVerdict]] = [*[_YES] * 4, _NO]
_ON_CONTENT: Final[list[AnyVerdict]] = [
    *[Continue()] * 6,
    Replace(b"A: c\r\n\r\n"),
    Answer(Reply.of(550, "rule says no")),
    Answer(Reply.of(250, "rule took it")),
    Answer(Reply.of(421, "rule says bye")),
]
_MESSAGES: Final = (b".\r\n", b"x\r\n.\r\n", b"A: b\r\n\r\nx\r\n.\r\n")

_STAYS: Final = [*(0,) * 45, 6, 7, 8, 6, 7, 8, 2, 3, 5]
"""Choices of a server that is never lost (`SimServer`)."""
_GOES: Final = [*_STAYS, 9, 10, 11, 12]
_LATER: Final = {
    stays: st.one_of(
        *[st.builds(Later, st.lists(st.sampled_from(_STAYS if stays else _GOES), max_size=8))] * 2,
        st.sampled_from(
            [Later([0, 6]), Later([0, 6, 0, 0, 6]), Later([0, 7, 0, 8]), Later([0, 0, 6]), Later([6])]
        ),
        st.sampled_from(
            [
                Later(greeting=b"554 no\r\n"),
                *([] if stays else [Later(greeting=b"421 later\r\n"), Later(greeting=None), Later([0, 9])]),
                Later(reachable=False),
            ]
        ),
    )
    for stays in (True, False)
}
_ASKS: Final = [
    *[frozenset({COMMAND})] * 3,
    *[frozenset({COMMAND, IN_TURN})] * 3,
    frozenset({COMMAND, MESSAGE}),
    frozenset({COMMAND, HEADERS, IN_TURN}),
    frozenset({COMMAND, REPLY}),
    frozenset({COMMAND, REPLY, IN_TURN, MESSAGE}),
    frozenset({"MAIL", "RCPT", "RSET"}),
    frozenset({"EHLO", "HELO", "MAIL", "DATA"}),
]


@st.composite
def plans(draw: st.DrawFn, *, waiting: bool = False, stays: bool = False) -> Plan:
    """``waiting``: no client that waits for nothing. ``stays``: no server is lost after its greeting, so that
    nothing depends on the moment at which that is seen."""
    acts: list[Act] = []
    last = b""
    passes = draw(st.sampled_from([24, 12, 4]))
    follows = draw(st.sampled_from([_USUAL, _RESTLESS]))
    for number in range(draw(st.integers(2, 16))):
        verb = draw(st.sampled_from(follows[last] if number else [b"EHLO", b"EHLO", b"HELO"]))
        last = b"" if verb in _BEGINS else last if verb == b"NOOP" else verb
        acts.append(draw(_acts(verb, number, passes if number else 24)))
    return Plan(
        acts,
        draw(st.sampled_from([Style.LOCKSTEP, Style.GROUPS, *([] if waiting else [Style.EAGER])])),
        draw(st.sampled_from(_ASKS)),
        draw(st.one_of(st.just([]), st.lists(st.sampled_from(_STAYS if stays else _GOES), max_size=14))),
        draw(st.lists(_LATER[stays], min_size=draw(st.integers(0, 2)), max_size=3)),
        draw(st.lists(st.sampled_from([*(0,) * 8, 1, 1, 2]), max_size=10)),
        draw(st.booleans()),
        draw(st.booleans()),
    )


@st.composite
def _acts(draw: st.DrawFn, verb: bytes, number: int, passes: int) -> Act:
    """``passes``: how many of the verdicts on a command, besides about fifteen others, are `Continue`."""
    arguments = {b"MAIL": b" FROM:<a%d@x>", b"RCPT": b" TO:<b%d@x>", b"EHLO": b" c%d", b"HELO": b" c%d"}
    argument = arguments[verb] % number if verb in arguments else b""
    replaced = Command.of(verb + argument.replace(b"@x", b"@rule").replace(b" c", b" rule"))
    if verb == b"DATA":
        unit = Unit(b"DATA\r\n", content=draw(st.sampled_from(_MESSAGES)))
        return Act(unit, draw(st.sampled_from(_ON_DATA)), draw(st.sampled_from(_ON_CONTENT)))
    if verb == b"AUTH":
        unit = Unit(b"AUTH PLAIN " + SECRET + b"\r\n", responses=(SECRET + b"\r\n",))
        return Act(unit, draw(st.sampled_from(_ON_AUTH)))
    group = verb in (b"MAIL", b"RCPT", b"RSET") or (verb == b"NOOP" and draw(st.booleans()))
    verdicts = [*[Continue()] * passes, *_ON_OTHERS]
    if verb in arguments:
        verdicts += [*_ROUTES, Route("b", replaced), ReplaceCommand(replaced)]
    return Act(Unit(verb + argument + b"\r\n", group), draw(st.sampled_from(verdicts)))
