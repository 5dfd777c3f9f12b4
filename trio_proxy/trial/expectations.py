"""Reads and checks expectations of trials: ``reject:550``, ``rcpt=defer``, ``redirect:lists.example``."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import attrs

from sansio_smtp.rules.lint.problems import did_you_mean
from sansio_smtp.rules.phases import PHASES
from sansio_smtp.rules.verdicts import Accept, Redirect, Verdict
from sansio_smtp.wire.replies import Origin, Reply
from trio_proxy.text.addresses import Address, AddressError

__all__ = ["Expectation", "Happened", "happened"]

_SEVERITIES: Final = {"reject": "5", "defer": "4", "hold": "245", "close": "45"}
"""Verdict with a reply code → the digits with which that may begin."""
_KINDS: Final = ("accept", "reject", "defer", "discard", "hold", "close", "redirect")
_PHASES: Final = tuple(name for name, phase in PHASES.items() if phase.verdicts)


@attrs.frozen
class Happened:
    """A verdict of a rule, or a reply 4xx or 5xx."""

    phase: str
    kind: str
    code: int = 0
    upstream: str = ""
    by_rule: bool = True
    """False if the proxy itself or a server has decided the reply."""


def happened(phase: str, what: Verdict | Reply) -> Happened | None:
    """The verdict or reply as something that happened; None if it refused or changed nothing."""
    if isinstance(what, Reply):
        kind = {4: "defer", 5: "reject"}.get(what.severity)
        return Happened(phase, kind, what.code, by_rule=what.origin is Origin.RULE) if kind else None
    if isinstance(what, Accept):
        return None
    kind = type(what).__name__.lower()
    if isinstance(what, Redirect):
        return Happened(phase, kind, upstream=what.upstream)
    return Happened(phase, kind, what.code)


@attrs.frozen
class Expectation:
    """Something that is expected to happen, in ``phase`` or, if that is empty, in any phase."""

    text: str
    """As it was given."""
    phase: str
    kind: str
    detail: str = ""
    """A reply code, or the server of a redirect; empty: any."""

    @classmethod
    def parse(cls, text: str) -> Expectation:
        """Reads an expectation. Raises ValueError, whose text says what would be right."""
        if meant := _meant(text):
            raise ValueError(f"{text!r}: write {meant}")
        before, equals, after = text.partition("=")
        phase, verdict = (before, after) if equals and ":" not in before else (None, text)
        if phase is not None and phase not in _PHASES:
            hint = did_you_mean(phase, _PHASES) or f"; phases: {', '.join(_PHASES)}"
            raise ValueError(f"{text!r}: no phase {phase!r}{hint}")
        kind, _, detail = verdict.partition(":")
        if kind not in _KINDS:
            hint = did_you_mean(kind, _KINDS) or f"; there are {', '.join(_KINDS)}"
            raise ValueError(f"{text!r}: no verdict {kind!r}{hint}")
        if phase and kind not in {each.__name__.lower() for each in PHASES[phase].verdicts}:
            raise ValueError(f"{text!r}: a rule in {phase} cannot say {kind}")
        if detail:
            _check_detail(text, kind, detail)
        return cls(text, phase or "", kind, detail)

    def met_by(self, what: Iterable[Happened], reached: Collection[str], *, delivered: bool) -> bool:
        """Returns True if this has happened. ``reached``: the phases that the dialogue came to.

        One time is enough: with several recipients, ``rcpt=reject`` is met if a rule has refused one of them.
        What the proxy itself refuses does not count: see `fits`. But ``accept`` means that nothing was
        refused, deferred, discarded, held or closed, by anybody. Without a phase it applies to the whole
        dialogue, and the message must be delivered; with one, it must be reached.
        """
        if self.kind == "accept":
            mine = (each for each in what if not self.phase or each.phase == self.phase)
            calm = all(each.kind == "redirect" for each in mine)
            return calm and (self.phase in reached if self.phase else delivered)
        return any(each.by_rule and self.fits(each) for each in what)

    def fits(self, what: Happened) -> bool:
        """Returns True if this was expected, from a rule or from the proxy itself."""
        if (self.phase and what.phase != self.phase) or what.kind != self.kind:
            return False
        if not self.detail:
            return True
        if self.kind != "redirect":
            return self.detail == str(what.code)
        try:
            expected = Address.parse(self.detail, default_port=0)  # any
            actual = Address.parse(what.upstream, default_port=25)
        except AddressError:
            return self.detail == what.upstream
        return actual in (expected, attrs.evolve(expected, port=expected.port or actual.port))


def _meant(text: str) -> str:
    """What a text means that has a phase, or a reply code, in the wrong place or without a verdict; else
    empty."""
    first, _, rest = text.partition(":")
    if first in _PHASES and rest.partition(":")[0] in _KINDS:
        return f"{first}={rest}"
    kind, _, code = text.rpartition("=")
    if code in _PHASES and kind.partition(":")[0] in _KINDS:
        return f"{code}={kind}"
    if kind in _KINDS:
        return f"{kind}:{code}"
    if len(code) == 3 and code.isdecimal() and code[0] in "245":
        verdict = {"2": "accept", "4": f"defer:{code}", "5": f"reject:{code}"}[code[0]]
        return f"{kind}={verdict}" if kind else verdict
    return ""


def _check_detail(text: str, kind: str, detail: str) -> None:
    if kind == "redirect":
        try:
            Address.parse(detail, default_port=25)
        except AddressError as error:
            raise ValueError(f"{text!r}: {error}") from None
    elif kind not in _SEVERITIES:
        raise ValueError(f"{text!r}: {kind} has no reply code; write {kind}")
    elif not (
        len(detail) == 3 and detail.isdecimal() and detail.isascii() and detail[0] in _SEVERITIES[kind]
    ):
        ranges = " or ".join(f"from {digit}00 to {digit}99" for digit in _SEVERITIES[kind])
        example = f"{text.partition(':')[0]}:{_SEVERITIES[kind][-1]}50"
        raise ValueError(
            f"{text!r}: the reply code of {kind} is a number {ranges}, such as {example}; "
            "without it, any is meant"
        )
