"""The values of a trial: the client and the message, the steps of the dialogue, and the outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from sansio_smtp.rules import Held
from sansio_smtp.testing import Accepted
from sansio_smtp.wire.replies import Reply

from .expectations import Expectation, Happened, happened
from .host import Asked

__all__ = ["Case", "Named", "Step", "Trial"]

_CONTENT: Final = ("data", "headers", "body_line", "body", "message")


@attrs.frozen(kw_only=True)
class Case:
    """What a client says besides the message, and what is expected to happen."""

    mail_from: str
    rcpt_to: tuple[str, ...]
    ip: str
    """Where the client connects from."""
    helo: str
    """The argument of EHLO."""
    login: str | None
    """The login of the client; None if it has not logged in."""
    expectations: tuple[Expectation, ...]


@attrs.define(eq=False)
class Step:
    """One thing that the client did, the rules that were asked about it, and the replies."""

    phase: str
    said: str
    asked: list[Asked] = attrs.field(factory=list[Asked])
    replies: list[Reply] = attrs.field(factory=list[Reply])
    forwarded: list[bytes] = attrs.field(factory=list[bytes])
    """The command lines that servers received."""

    @property
    def reply(self) -> Reply | None:
        return self.replies[-1] if self.replies else None


@attrs.define(eq=False)
class Named:
    """A recipient that the client named."""

    address: str
    reply: Reply
    sent_as: str | None
    """The address in the RCPT command to the server; None if there was none."""

    @property
    def discarded(self) -> bool:
        return self.reply.severity == 2 and self.sent_as is None


@attrs.define(eq=False)
class Trial:
    """One message, and everything that happened to it."""

    name: str
    content: bytes
    """As the client sends it, decoded."""
    case: Case
    steps: list[Step] = attrs.field(factory=list[Step])
    named: list[Named] = attrs.field(factory=list[Named])
    added: list[str] = attrs.field(factory=list[str])
    """Recipients that rules have added."""
    delivered: Accepted | None = None
    upstream: str | None = None
    """The server that a rule has chosen."""
    held: Held | None = None
    broken: tuple[str, ...] = ()
    """See `BodyComplete.broken`."""

    @property
    def asked(self) -> Iterator[Asked]:
        for step in self.steps:
            yield from step.asked

    @property
    def failed(self) -> bool:
        """True if a rule failed."""
        return any(asked.failure for asked in self.asked)

    @property
    def happened(self) -> list[Happened]:
        """The verdicts of rules, and the replies that refused something."""
        said = [(asked.rule.phase, asked.verdict) for asked in self.asked if asked.verdict is not None]
        told = [(step.phase, reply) for step in self.steps for reply in step.replies]
        return [found for phase, what in (*said, *told) if (found := happened(phase, what)) is not None]

    def step_taken(self, step: Step) -> None:
        """The client has done one more thing."""
        self.steps.append(step)

    def recipient_named(self, named: Named) -> None:
        """The client has named a recipient and was answered."""
        self.named.append(named)

    def recipients_added(self, addresses: Iterable[str]) -> None:
        """Rules have added recipients to those that the client named."""
        self.added.extend(addresses)

    def settle(
        self, *, upstream: str | None, delivered: Accepted | None, held: Held | None, broken: tuple[str, ...]
    ) -> None:
        """The dialogue has ended. The parameters are the fields."""
        self.upstream, self.delivered, self.held, self.broken = upstream, delivered, held, broken

    def meets(self, expectation: Expectation) -> bool:
        """Returns True if what was expected has happened."""
        reached = {phase for step in self.steps for phase in _phases_of(step.phase)}
        return expectation.met_by(self.happened, reached, delivered=self.delivered is not None)

    @property
    def ok(self) -> bool:
        """True if no rule failed, and every expectation is met."""
        return not self.failed and all(map(self.meets, self.case.expectations))


def _phases_of(step: str) -> tuple[str, ...]:
    return _CONTENT if step == "message" else (step, "command", "reply")
