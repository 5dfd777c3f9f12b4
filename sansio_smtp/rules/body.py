"""Passes a body, while it streams, through the rules of the phases ``body`` and ``body_line``. The rules are
stages, in their order. Each gets the output of the stage before it::

    piece ──> stage: body_line ──> stage: body ──> stage: body_line ──> what is left goes to the server
              cut into lines                       cut into lines
              ^ the beginning of a line waits here until its end comes

A stage is done when its rule has returned `Accept`, or has failed and its failure is ignored; then octets
pass it unchanged. `Accept` also ends the later stages.

What must never happen is that a verdict or an edit depends on how the body was cut into pieces. So if a rule
gives a verdict about one line of a piece, the later stages still get the lines before it, as if each line had
come alone, and their verdict about an earlier line wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from io import BytesIO
from typing import Any, TypeAlias

import attrs

from .later import Later, Soon
from .ruleset import Rule
from .run_phase import Asker, check_result
from .verdicts import Accept, Verdict
from .views import Transaction

__all__ = ["BodyStream"]


@attrs.define(eq=False)
class _Stage:
    """One rule, and the octets that wait for it."""

    rule: Rule
    done: bool = False
    """True if the rule is not asked again about this message."""
    _rest: bytes = attrs.field(default=b"", init=False)
    """An incomplete line, for a rule that wants lines."""

    def whole(self, data: bytes, longest: int, *, last: bool) -> bytes:
        """The octets that the rule gets now. A rule that wants lines gets whole lines, and longer lines in
        pieces of ``longest`` octets. ``last``: nothing follows."""
        if self.rule.phase != "body_line":
            return data
        data = self.take_rest() + data
        unfinished = 0 if last else (len(data) - data.rfind(b"\n") - 1) % longest
        if unfinished:
            data, self._rest = data[:-unfinished], data[-unfinished:]
        return data

    def take_rest(self) -> bytes:
        """Takes the incomplete line that the rule has not got yet."""
        rest, self._rest = self._rest, b""
        return rest

    def finish(self) -> bytes:
        """Ends the stage for this message. Returns the octets that the rule has not got yet."""
        self.done = True
        return self.take_rest()


@attrs.frozen
class _Asked:
    """The result of one rule for some lines or pieces."""

    left: bytes
    """The octets for the stages after this one."""
    verdict: Verdict | None = None
    """The verdict that ended the stage; None if the rule let everything pass."""
    unasked: bytes = b""
    """The octets from the verdict's line on."""


@attrs.define(eq=False)
class _Flow:
    """A piece of the body between two stages."""

    data: bytes
    last: bool
    """True if nothing follows."""
    _verdict: Verdict | None = None
    _passed: bytes | None = None
    """The octets after a line for which a rule has returned `Accept`."""

    def take(self, stage: _Stage, asked: _Asked) -> None:
        """Takes the result of a stage. The next stages get the octets before its verdict, as if each line had
        come alone. Their verdict is about an earlier line, so it wins."""
        self.data = asked.left
        if isinstance(asked.verdict, Accept):
            self._passed = asked.unasked + (self._passed or b"")
            self.last = False
        elif asked.verdict is not None:
            self._verdict, self.last = asked.verdict, False
        if self._passed is not None:
            self.data += stage.finish()

    @property
    def left(self) -> bytes | Verdict:
        """The rest of the piece after the last stage, or the verdict on the message."""
        if self._verdict is not None:
            return self._verdict
        return self.data if self._passed is None else self.data + self._passed


class BodyStream:
    """The body of one message on its way through ``rules``. Rules get lines of more than ``longest_line``
    octets in pieces of that length."""

    def __init__(self, asker: Asker, tx: Transaction, rules: Iterable[Rule], longest_line: int) -> None:
        self._asker = asker
        self._tx = tx
        self._stages = [_Stage(rule) for rule in rules]
        self._longest_line = longest_line

    def feed(self, data: bytes, *, last: bool) -> Soon[bytes | Verdict]:
        """Takes a piece of the body. Returns its remaining octets, or the verdict on the message; or an
        awaitable for it. ``last``: it is the last piece."""
        flow = _Flow(data, last)
        for at, stage in enumerate(self._stages):
            if stage.done:
                continue
            if stage.rule.waits:
                return Later(self._feed_waiting, flow, self._stages[at:])
            flow.take(stage, self._ask(stage, flow))
        return flow.left

    async def _feed_waiting(self, flow: _Flow, stages: list[_Stage]) -> bytes | Verdict:
        for stage in stages:
            if stage.done:
                continue
            asked = await self._ask_waiting(stage, flow) if stage.rule.waits else self._ask(stage, flow)
            flow.take(stage, asked)
        return flow.left

    def _ask(self, stage: _Stage, flow: _Flow) -> _Asked:
        """Asks a rule about all present lines, in one loop. This takes 230 ns a line for a rule that checks
        its beginning; lists of lines and of their edits took 520."""
        rule, tx, host = stage.rule, self._tx, self._asker.host
        function = rule.function
        edits: list[_Edit] = []
        data, stream, pieces = self._cut(stage, flow)
        piece = b""
        host.enter(rule)  # once for all lines of the piece
        try:
            try:
                for piece in pieces:
                    if (result := function(tx, piece)) is not None:
                        if not isinstance(result, bytes):
                            check_result(rule, result)
                            break
                        edits.append((stream.tell() - len(piece), len(piece), result))
                else:
                    return _Asked(_edited(data, edits))
            except BaseException as error:
                return self._failed(stage, error, data, stream.tell() - len(piece), edits)
            return self._decided(stage, result, data, stream.tell() - len(piece), edits)
        finally:
            host.leave()

    async def _ask_waiting(self, stage: _Stage, flow: _Flow) -> _Asked:
        """The same for a rule that has to be awaited."""
        rule, tx, host = stage.rule, self._tx, self._asker.host
        edits: list[_Edit] = []
        data, stream, pieces = self._cut(stage, flow)
        piece = b""
        try:
            for piece in pieces:
                result: Any = await host.call(rule, tx, piece)
                if result is not None:
                    if not isinstance(result, bytes):
                        check_result(rule, result)
                        break
                    edits.append((stream.tell() - len(piece), len(piece), result))
            else:
                return _Asked(_edited(data, edits))
        except BaseException as error:
            return self._failed(stage, error, data, stream.tell() - len(piece), edits)
        return self._decided(stage, result, data, stream.tell() - len(piece), edits)

    def _cut(self, stage: _Stage, flow: _Flow) -> tuple[bytes, BytesIO, Iterable[bytes]]:
        """The octets that the rule gets now, a stream that tells how far they were read, and the pieces."""
        data = stage.whole(flow.data, self._longest_line, last=flow.last)
        stream = BytesIO(data)  # does not copy them
        if stage.rule.phase != "body_line":
            return data, stream, _chunks(stream, last=flow.last)
        if len(data) <= self._longest_line:
            return data, stream, stream
        return data, stream, iter(partial(stream.readline, self._longest_line), b"")

    def _failed(
        self, stage: _Stage, error: BaseException, data: bytes, at: int, edits: list[_Edit]
    ) -> _Asked:
        verdict = self._asker.failed(stage.rule, error, self._tx)
        if verdict is None:  # the failure is ignored: the rule is not asked again
            return _Asked(_edited(data, edits) + stage.finish())
        return _Asked(_edited(data[:at], edits), verdict, data[at:] + stage.take_rest())

    def _decided(self, stage: _Stage, verdict: Any, data: bytes, at: int, edits: list[_Edit]) -> _Asked:
        host = self._asker.host
        host.about(self._tx, None)
        host.decided(stage.rule, verdict)
        return _Asked(_edited(data[:at], edits), verdict, data[at:] + stage.take_rest())


_Edit: TypeAlias = tuple[int, int, bytes]
"""The offset of a line, its length, and its replacement."""


def _edited(data: bytes, edits: list[_Edit]) -> bytes:
    """Applies the edits. Unedited octets are copied in slices, not line by line; without any edit nothing is
    copied."""
    if not edits:
        return data
    left: list[bytes] = []
    start = 0
    for at, length, octets in edits:
        left += (data[start:at], octets)
        start = at + length
    return b"".join((*left, data[start:]))


def _chunks(stream: BytesIO, *, last: bool) -> Iterator[bytes]:
    """All octets in one piece, if there are any; and an empty piece at the end."""
    if octets := stream.read():
        yield octets
    if last:
        yield b""
