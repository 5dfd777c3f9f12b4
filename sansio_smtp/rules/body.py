"""Passes a body, while it streams, through the rules of the phases ``body`` and ``body_line``.

The rules are stages, in their order. Each gets what the stages before it have left::

    piece ──> stage: body_line ──> stage: body ──> stage: body_line ──> what is left goes to the server
              cut into lines                       cut into lines
              ^ the beginning of a line waits here until its end comes

A stage is done when its rule has said `Accept`, or has failed and is let pass; then octets go through it as
they are. `Accept` ends the asking for the stages after it too.

What must never happen is that a verdict, or an edit, depends on how the body was cut into pieces. So if a
rule gives a verdict about one line of a piece, the stages after it still get the lines before that line: they
would have had them, if each line had come alone, and what they say of an earlier line wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import attrs

from .ruleset import Rule
from .run_phase import Asker, check_result, run_at_once
from .verdicts import Accept, Verdict
from .views import Transaction

__all__ = ["BodyStream"]

_LINE: Final = re.compile(rb"[^\n]*\n|[^\n]+")


@attrs.define(eq=False)
class _Stage:
    """One rule, and what waits for it."""

    rule: Rule
    done: bool = False
    """True if the rule is not asked again about this message."""
    _rest: bytes = attrs.field(default=b"", init=False)
    """The beginning of a line whose end has not come yet, for a rule that wants lines."""

    def cut(self, data: bytes, longest: int, *, last: bool) -> list[bytes]:
        """What the rule is asked about: pieces, with an empty one at the end; or whole lines. A line of more
        than ``longest`` octets is cut. ``last``: nothing follows."""
        if self.rule.phase != "body_line":
            return [*([data] if data else []), *([b""] if last else [])]
        lines: list[bytes] = _LINE.findall(self.take_rest() + data)
        if max(map(len, lines), default=0) > longest:
            # As they come if their end is not in the same piece, so that cuts change nothing.
            lines = [line[at : at + longest] for line in lines for at in range(0, len(line), longest)]
        if lines and not last and not lines[-1].endswith(b"\n") and len(lines[-1]) < longest:
            self._rest = lines.pop()
        return lines

    def take_rest(self) -> bytes:
        """Returns the beginning of a line that the rule was not asked about yet, and forgets it."""
        rest, self._rest = self._rest, b""
        return rest

    def finish(self) -> bytes:
        """The rule is not asked again about this message. Returns what it was not asked about yet."""
        self.done = True
        return self.take_rest()


@attrs.frozen
class _Asked:
    """The result of asking one rule about some lines or pieces."""

    left: bytes
    """The octets for the stages after this one."""
    verdict: Verdict | None = None
    """The verdict that ended the asking; None if the rule let all of it pass."""
    unasked: bytes = b""
    """The octets from the line on that the verdict is about."""


class BodyStream:
    """The body of one message on its way through ``rules``. Lines of more than ``longest_line`` octets come
    to rules in pieces of that length."""

    def __init__(self, asker: Asker, tx: Transaction, rules: Iterable[Rule], longest_line: int) -> None:
        self._asker = asker
        self._tx = tx
        self._stages = [_Stage(rule) for rule in rules]
        self._longest_line = longest_line

    async def feed(self, data: bytes, *, last: bool) -> bytes | Verdict:
        """Takes a piece of the body. Returns the octets that are left of it, or the verdict on the message.
        ``last``: it is the last piece."""
        verdict: Verdict | None = None
        passed: bytes | None = None
        for stage in self._stages:
            if stage.done:
                continue
            pieces = stage.cut(data, self._longest_line, last=last and passed is None)
            asked = await self._ask(stage, pieces)
            data = asked.left
            # The next stages get the octets before a verdict, as if each line had come alone. What they say
            # of them is about an earlier line, and wins.
            if isinstance(asked.verdict, Accept):
                passed = asked.unasked + (passed or b"")
            elif asked.verdict is not None:
                verdict, last = asked.verdict, False
            if passed is not None:
                data += stage.finish()
        if verdict is not None:
            return verdict
        return data if passed is None else data + passed

    async def _ask(self, stage: _Stage, pieces: list[bytes]) -> _Asked:
        if stage.rule.waits:
            return await self._ask_each(stage, pieces)
        host = self._asker.host
        host.enter(stage.rule)  # once for all lines of the piece
        try:
            asked: _Asked = run_at_once(self._ask_each(stage, pieces))
            return asked
        finally:
            host.leave()

    async def _ask_each(self, stage: _Stage, pieces: list[bytes]) -> _Asked:
        rule, tx = stage.rule, self._tx
        function, waits = rule.function, rule.waits
        left: list[bytes] = []
        for at, piece in enumerate(pieces):
            verdict: Verdict | None
            try:
                result: Any = await self._asker.call(rule, tx, piece) if waits else function(tx, piece)
                if result is None:
                    left.append(piece)
                    continue
                check_result(rule, result)
            except BaseException as error:
                verdict = self._asker.failed(rule, error)
                if verdict is None:  # the failure is let pass: the rule is not asked again
                    return _Asked(b"".join((*left, *pieces[at:], stage.finish())))
            else:
                if isinstance(result, bytes):
                    left.append(result)
                    continue
                verdict = result
                self._asker.host.decided(rule, result)
            return _Asked(b"".join(left), verdict, b"".join((*pieces[at:], stage.take_rest())))
        return _Asked(b"".join(left))
