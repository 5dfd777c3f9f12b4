"""`RuleSet`: rules in order, and the questions that the core must ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.names import did_you_mean
from sansio_smtp.questions import (
    BODY_LINES,
    CLIENT_CHANGED,
    COMMAND,
    HEADERS,
    IN_TURN,
    LOGIN,
    MESSAGE,
    OTHER_VERBS,
    REPLY,
    Inspect,
    Unasked,
)
from sansio_smtp.verbs import VERBS
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.paths import USUAL

from .decorators import OnError
from .patterns import patterns_of
from .phases import CONTENT_PHASES, PHASES

__all__ = ["ENVELOPE_PHASES", "Rule", "RuleSet"]


def _verbs(*phases: str) -> frozenset[str]:
    """The verbs of these phases, without BDAT, which has the same question as DATA."""
    return frozenset(
        name.decode() for name, verb in VERBS.items() if verb.phase in phases and name != b"BDAT"
    )


ENVELOPE_PHASES: Final = ("mail", "rcpt", "data")
"""The phases of commands that matter to all rules that see a mail transaction."""
_ENVELOPE: Final = _verbs(*ENVELOPE_PHASES) | {OTHER_VERBS}
_PLACES: Final[dict[str, frozenset[str]]] = {
    "connect": frozenset((CLIENT_CHANGED,)),
    "helo": _verbs("helo"),
    "auth": _verbs("auth"),
    "login": frozenset((LOGIN,)),
    "mail": _ENVELOPE,
    "rcpt": _ENVELOPE,
    "data": _ENVELOPE,
    "headers": _ENVELOPE | {HEADERS},
    # Where the body begins is known only after the header section.
    "body_line": _ENVELOPE | {HEADERS, BODY_LINES},
    "body": _ENVELOPE | {HEADERS, BODY_LINES},
    "message": _ENVELOPE | {MESSAGE},
    "reply": _ENVELOPE | {REPLY},
    "delivered": _ENVELOPE,
    "disconnect": frozenset(),
    "command": frozenset((COMMAND,)),
}
"""Phase → the questions that the core must ask. For a rule that sees a mail transaction it must ask about all
commands of the envelope, so that paths with two readings are refused, and about unknown verbs, which could
add a recipient. At DATA the verdicts on MAIL and RCPT take effect, and the content places for this message
are chosen."""

_CONTENT_PLACES: Final = frozenset((HEADERS, BODY_LINES, MESSAGE))


@attrs.define(eq=False)
class Rule:
    """One function that is asked in one phase. Immutable, except for `move_to_thread`."""

    phase: str
    function: Callable[..., Any]
    """The function, with the parameters in `sansio_smtp.rules.phases`; a method is bound."""
    name: str
    """The name for logs, such as ``"my_rules.rcpt"`` or ``"Greylist.check"``."""
    file: str = ""
    line: int = 0
    is_async: bool = False
    threaded: bool = False
    match: str | None = None
    """A pattern for addresses: see `sansio_smtp.rules.patterns`."""
    timeout: float | None = None
    """The time limit of one call in seconds; None: the driver's setting."""
    on_error: OnError | None = None
    """The policy for a failure; None: the driver's setting."""
    guards: bool = False
    """True: if the rule fails, nothing passes without a verdict. If ``on_error`` or the driver's setting is
    "accept", a failure means "defer"."""

    def __attrs_post_init__(self) -> None:
        if self.phase not in PHASES:  # it would never be asked
            raise LocalProtocolError(f"no such phase: {self.phase!r}{did_you_mean(str(self.phase), PHASES)}")

    def move_to_thread(self) -> None:
        """From now on the rule is called in a thread, because a driver has noticed that it blocks."""
        self.threaded = True

    def policy(self, setting: OnError) -> OnError:
        """The policy for a failure of this rule; ``setting`` is the driver's."""
        policy = self.on_error or setting
        return "defer" if self.guards and policy == "accept" else policy

    @property
    def waits(self) -> bool:
        """True if the rule must be awaited."""
        return self.is_async or self.threaded

    @property
    def where(self) -> str:
        """``file:line``"""
        return f"{self.file}:{self.line}" if self.file else self.name

    def fits(self, address: str) -> bool:
        """Returns True if the rule applies to this address, which is in normal form."""
        return self.match is None or patterns_of((self.match,), classes=True).fits(address)


def _as_tuple(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(rules)


@attrs.frozen(eq=False)
class RuleSet:
    """Rules in the order in which they are asked. Shared by all connections; nothing in it changes."""

    rules: tuple[Rule, ...] = attrs.field(default=(), converter=_as_tuple)
    by_phase: dict[str, tuple[Rule, ...]] = attrs.field(init=False, repr=False)
    ask: frozenset[str] = attrs.field(init=False)
    """For ``Proxy(ask=...)``: the hook places and verbs for which some rule must be asked."""
    sees_transactions: bool = attrs.field(init=False, repr=False)
    """True if some rule gets a mail transaction, so that each path must be read."""
    phase_of_verb: dict[bytes, str] = attrs.field(init=False, repr=False)
    """Verb → phase, for the commands that some rule needs, if there is no rule of phase ``command``."""
    usual_inspection: Inspect | None = attrs.field(default=None, init=False, repr=False)
    """The verdict on DATA, if it does not depend on the recipients; made once."""
    unasked: Unasked = attrs.field(init=False, repr=False)
    """For `Proxy.ask_ahead`. If no rule is asked about a MAIL or RCPT, a usual path passes, and the
    transaction can be made from the envelope later. The verdict on DATA is known if no rule can have given a
    verdict before."""

    def __attrs_post_init__(self) -> None:
        by_phase = {name: tuple(rule for rule in self.rules if rule.phase == name) for name in PHASES}
        object.__setattr__(self, "by_phase", by_phase)
        places = _union(_PLACES[name] for name, rules in by_phase.items() if rules)
        object.__setattr__(self, "ask", places | {IN_TURN} if places - {CLIENT_CHANGED} else places)
        sees = self.ask >= _ENVELOPE
        object.__setattr__(self, "sees_transactions", sees)
        concerned = {
            name: verb.phase
            for name, verb in VERBS.items()
            if verb.phase is not None and (by_phase[verb.phase] or (sees and verb.phase in ENVELOPE_PHASES))
        }
        object.__setattr__(self, "phase_of_verb", {} if by_phase["command"] else concerned)
        content = [rule for name in CONTENT_PHASES for rule in by_phase[name]]
        if all(rule.match is None for rule in content):
            object.__setattr__(self, "usual_inspection", Inspect(places & _CONTENT_PLACES))
        free = [name for name in ENVELOPE_PHASES if sees and not (by_phase[name] or by_phase["command"])]
        lines = {name: USUAL for name in (b"MAIL", b"RCPT") if VERBS[name].phase in free}
        inspect = self.usual_inspection if len(free) == len(ENVELOPE_PHASES) else None
        object.__setattr__(self, "unasked", Unasked(lines, inspect))

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that have a rule, in the order of a dialogue."""
        return tuple(name for name, rules in self.by_phase.items() if rules)

    def content_places(self, addresses: Iterable[str]) -> frozenset[str]:
        """The content places at which the core must ask about a message to these recipients. Empty if no rule
        applies; then the message passes as if there were no rules."""
        recipients = tuple(addresses)
        wanted = (
            _PLACES[name] & _CONTENT_PLACES
            for name in CONTENT_PHASES
            if any(meant(rule, recipients) for rule in self.by_phase[name])
        )
        return _union(wanted)

    def inspection(self, addresses: Iterable[str], recipients: tuple[Command, ...] = ()) -> Inspect:
        """The verdict on DATA that selects the content places for a message to these addresses."""
        if self.usual_inspection is not None and not recipients:
            return self.usual_inspection
        return Inspect(self.content_places(addresses), recipients)


def meant(rule: Rule, recipients: Iterable[str]) -> bool:
    """Returns True if a rule about content applies to a message to these recipients."""
    return rule.match is None or any(rule.fits(address) for address in recipients)


def _union(places: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset(name for group in places for name in group)
