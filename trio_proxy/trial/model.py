"""The values of a trial: the client and the message, the steps of the dialogue, and the outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias, get_args

import attrs

from sansio_smtp.rules import Held
from sansio_smtp.testing import Accepted
from sansio_smtp.wire.replies import Reply

from .envelope import Envelope
from .expectations import Expectation, Happened, happened
from .host import Asked

__all__ = ["HELO", "OUTCOMES", "Case", "Named", "Outcome", "Step", "Trial"]

Outcome: TypeAlias = Literal["delivered", "refused", "deferred", "held", "discarded", "not tried"]
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
"""In the order of a summary."""

HELO: Final = "client.example"
"""What a client calls itself of which nothing else is known."""
_CONTENT: Final = ("data", "headers", "body_line", "body", "message")


@attrs.frozen(kw_only=True)
class Case:
    """What is said on the command line: who the client is, and what is expected to happen."""

    mail_from: str | None
    """None: the kept envelope or the message's own fields say it."""
    rcpt_to: tuple[str, ...]
    """Empty: the kept envelope or the message's own fields say it."""
    ip: str
    """Where the client connects from."""
    helo: str | None
    """The argument of EHLO; None: the kept envelope says it, or it is `HELO`."""
    login: str | None
    """The login of the client; None if it has not logged in, or if the kept envelope says it."""
    parameters: tuple[str, ...] = ()
    """The parameters of MAIL that the kept envelope has, without the size."""
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

    @property
    def reply_severity(self) -> int:
        """The first digit of the last reply; 2 if there is none."""
        return self.reply.severity if self.reply is not None else 2


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
    envelope: Envelope
    kept: tuple[str, ...] = ()
    """What of ``case`` is from the envelope that was kept with the message, in words."""
    unreadable: str = ""
    """Why the message could not be read; empty if it could."""
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
    def origin(self) -> str:
        """Where the envelope is from, in words; empty if all of it was given."""
        kept = f"from the kept envelope: {', '.join(self.kept)}" if self.kept else ""
        return "; ".join(filter(None, (kept, self.envelope.origin)))

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

    @property
    def untried(self) -> tuple[str, ...]:
        """Why the rules were not tried on the message; empty if they were."""
        if self.unreadable:
            return (f"cannot be read: {self.unreadable}",)
        return tuple(f"missing {each}" for each in self.envelope.missing)

    @property
    def outcome(self) -> Outcome:
        """What became of the message, in one word or two."""
        if self.untried:
            return "not tried"
        if self.delivered is not None:
            return "delivered"
        if self.held is not None:
            return "held"
        was_accepted = any(step.phase == "message" and step.reply_severity == 2 for step in self.steps)
        if was_accepted or self.refusal is None:
            return "discarded"
        _, reply = self.refusal
        return "refused" if reply.severity == 5 else "deferred"

    @property
    def refusal(self) -> tuple[Step, Reply] | None:
        """The last reply that refused something, and the step that it ended."""
        refused = [(step, reply) for step in self.steps for reply in step.replies if reply.severity >= 4]
        return refused[-1] if refused else None

    @property
    def final_content(self) -> bytes | None:
        """The message as it was delivered or held; None if it was neither."""
        if self.delivered is not None:
            return self.delivered.content
        return self.held.message if self.held is not None else None

    @property
    def changed(self) -> bool:
        """True if the message was delivered or held, and is not as it came."""
        return self.final_content not in (None, self.content)

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

    def not_by_rule(self, expectation: Expectation) -> tuple[Step, Reply] | None:
        """The reply that would have met the expectation if a rule had decided it, and its step; None if there
        is none."""
        for step in self.steps:
            for reply in step.replies:
                found = happened(step.phase, reply)
                if found is not None and not found.by_rule and expectation.fits(found):
                    return step, reply
        return None

    @property
    def unmet(self) -> list[Expectation]:
        """What was expected and has not happened; nothing if the rules were not tried."""
        if self.untried:
            return []
        return [each for each in self.case.expectations if not self.meets(each)]

    @property
    def ok(self) -> bool:
        """True if the rules were tried, none failed, and every expectation is met."""
        return not self.untried and not self.failed and not self.unmet


def _phases_of(step: str) -> tuple[str, ...]:
    return _CONTENT if step == "message" else (step, "command", "reply")
