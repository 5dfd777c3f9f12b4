"""Sums up the trials of many messages: a line for each, and how many there are of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from .model import OUTCOMES, Trial
from .results import left_out, not_met, plain, reply_text, warnings

__all__ = ["Tally", "line_of"]

_WIDTH: Final = len("delivered, changed")
_MOST_NAMES: Final = 10
"""How many messages of one kind are named."""
_FAILED, _NOT_MET, _CHANGED = "with a rule that failed", "not as expected", "changed"
_MET = "as expected"
_KEPT: Final = "with the kept envelope"
_PARTLY: Final = "not to all recipients"
_NOT_NAMED: Final = ("delivered", _CHANGED, _MET, _KEPT)


def line_of(trial: Trial) -> Iterator[str]:
    """The line about one message, and one more for each thing that went wrong."""
    said = f"{trial.outcome}, {_CHANGED}" if trial.changed else trial.outcome
    yield plain(f"{said:<{_WIDTH}}  {trial.name}  {_more(trial)}").rstrip()
    for asked in trial.asked:
        if asked.failure:
            yield plain(f"    {asked.failed_at} {asked.rule.name} failed: {asked.failure}")
    yield from (plain(f"    warning: {text}") for text in warnings(trial).values())
    for expectation in trial.unmet:
        yield f"    {not_met(trial, expectation)}"


class Tally:
    """Counts the outcomes of trials, and keeps the names of those that need a look."""

    def __init__(self) -> None:
        self._total = 0
        self._counts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {}

    def add(self, trial: Trial) -> None:
        self._total += 1
        kinds: list[str] = [trial.outcome]
        kinds += [_PARTLY] * bool(left_out(trial)) + [_KEPT] * bool(trial.kept)
        kinds += [_CHANGED] * trial.changed + [_FAILED] * trial.failed + [_NOT_MET] * bool(trial.unmet)
        kinds += [_MET] * bool(trial.case.expectations and not trial.unmet and not trial.untried)
        self._counts.update(kinds)
        for kind in kinds:
            if kind not in _NOT_NAMED and self._counts[kind] <= _MOST_NAMES:
                self._names.setdefault(kind, []).append(trial.name)

    @property
    def counts(self) -> dict[str, int]:
        """For programs: each count, those of 0 too."""
        kinds = {kind.replace(" ", "_"): self._counts[kind] for kind in OUTCOMES}
        more = {
            "not_to_all_recipients": _PARTLY,
            "changed": _CHANGED,
            "rule_failed": _FAILED,
            "not_as_expected": _NOT_MET,
        }
        return {"messages": self._total} | kinds | {name: self._counts[kind] for name, kind in more.items()}

    def lines(self) -> Iterator[str]:
        """How many messages there are of each kind, and which those are that were not just delivered."""
        kinds = (*OUTCOMES, _CHANGED, _FAILED, _MET, _NOT_MET, _KEPT)
        counts = ", ".join(self._count(kind) for kind in kinds if self._counts[kind])
        what = "message" if self._total == 1 else "messages"
        yield f"{self._total:,} {what}: {counts}"
        for kind in (_PARTLY, *kinds):
            if kind in self._names:
                left = self._counts[kind] - len(self._names[kind])
                more = f" and {left:,} more" if left else ""
                yield plain(f"  {kind}: {', '.join(self._names[kind])}{more}")

    def _count(self, kind: str) -> str:
        said = f"{self._counts[kind]:,} {kind}"
        partly = self._counts[_PARTLY]
        return f"{said} ({partly:,} {_PARTLY})" if kind == "delivered" and partly else said


def _more(trial: Trial) -> str:
    """What is worth saying about the outcome; empty if there is nothing."""
    if trial.untried:
        return ", ".join(trial.untried)
    if trial.delivered is not None:
        return left_out(trial)
    if trial.held is not None:
        return trial.held.verdict.reason
    if trial.refusal is not None and trial.outcome != "discarded":
        step, reply = trial.refusal
        return f"{step.phase} was answered {reply_text(reply)}"
    return ""
