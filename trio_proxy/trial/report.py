"""The result of one trial, as text for people or as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from sansio_smtp.rules import Accept, Hold, Redirect
from sansio_smtp.rules.verdicts import Verdict

from .diff import differences
from .host import Asked
from .model import Named, Step, Trial
from .results import no_rule_said, not_met, plain, reply_text, result, sender, summary_of, warnings

__all__ = ["coloured", "complaints", "trial_json", "trial_text"]

_UNSAID: Final = {"connect": "(a client connects from {})", "disconnect": "(the connection is over)"}
_COLOURS: Final = {
    "1": re.compile(r"--- |\+\+\+ |(?!DATA)\S.*, [0-9,]+ octets\Z|delivered|held|discarded|not delivered"),
    "32": re.compile(r"\+|.*: met\Z"),
    "31": re.compile(r"-|expected .*: NOT MET|  [a-z_]+ +[0-9.]+ ms .*  FAILED "),
    "36": re.compile(r"@@ "),
    "33": re.compile(r"warning: "),
}
"""Colour code of a terminal → the beginnings of lines that get it."""


def trial_text(trial: Trial) -> Iterator[str]:
    """All about one message, in lines of text."""
    yield plain(f"{trial.name}, {len(trial.content):,} octets")
    if trial.origin:
        yield plain(trial.origin)
    names = [len(asked.rule.name) for asked in trial.asked]
    places = [len(asked.rule.where) for asked in trial.asked]
    widths = max(names, default=0), max(places, default=0)
    for step in trial.steps:
        if step.asked or step.phase in ("auth", "mail", "rcpt", "message") or not _is_ok(step):
            yield from _step_text(step, trial, widths)
    yield ""
    yield from _end_text(trial)


def coloured(line: str) -> str:
    """A line of a report for a terminal."""
    for code, pattern in _COLOURS.items():
        if pattern.match(line):
            return f"\x1b[{code}m{line}\x1b[0m"
    return line


def complaints(trial: Trial) -> Iterator[str]:
    """Lines about failed rules and unmet expectations only."""
    if trial.untried:
        yield plain(f"{trial.name}: {result(trial)}")
        return
    for asked in trial.asked:
        if asked.failure:
            yield plain(f"{trial.name}: {asked.failed_at} {asked.rule.name} failed: {asked.failure}")
    for expectation in trial.unmet:
        why = no_rule_said(trial, expectation) or summary_of(trial)
        yield plain(f"{trial.name}: expected {expectation.text}; {why}")


# As text


def _step_text(step: Step, trial: Trial, widths: tuple[int, int]) -> Iterator[str]:
    yield plain(step.said or _UNSAID[step.phase].format(trial.case.ip))
    for asked in step.asked:
        yield from _asked_text(asked, widths)
    if step.reply is not None:
        yield plain(f"  -> {reply_text(step.reply)}")


def _asked_text(asked: Asked, widths: tuple[int, int]) -> Iterator[str]:
    rule = asked.rule
    said = f"FAILED {asked.failure}" if asked.failure else _verdict_text(asked.verdict)
    changes = [*asked.changes]
    if not said:
        said = changes.pop(0) if changes else "-"
    start = f"  {rule.phase:<10} {asked.seconds * 1000:8.2f} ms  "
    start += f"{rule.name:<{widths[0]}}  {rule.where:<{widths[1]}}  "
    yield plain(start + said).rstrip()
    for change in changes:
        yield plain(" " * len(start) + change)
    for line in asked.traceback.splitlines():
        yield plain(f"    {line}")


def _verdict_text(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    name = type(verdict).__name__
    if isinstance(verdict, Redirect):
        return f"{name} {verdict.upstream}"
    if isinstance(verdict, Hold) and verdict.reason:
        name += f' "{verdict.reason}"'
    return name if isinstance(verdict, Accept) else f"{name} {verdict.reply}"


def _end_text(trial: Trial) -> Iterator[str]:
    yield plain(result(trial))
    if trial.delivered is not None or trial.held is not None:
        yield from map(plain, _recipients_text(trial))
    yield from _diff_of(trial)
    yield from (plain(f"warning: {text}") for text in warnings(trial).values())
    for expectation in trial.case.expectations:
        if trial.meets(expectation):
            yield plain(f"expected {expectation.text}: met")
        else:
            yield not_met(trial, expectation)


def _recipients_text(trial: Trial) -> Iterator[str]:
    for named in trial.named:
        if named.discarded:
            yield f"  not to <{named.address}>, discarded"
        elif named.reply.severity != 2:
            yield f"  not to <{named.address}>, {reply_text(named.reply)}"
        elif named.sent_as != named.address:
            yield f"  to <{named.sent_as}>, rewritten from <{named.address}>"
        else:
            yield f"  to <{named.address}>"
    for address in trial.added:
        yield f"  to <{address}>, added"


def _diff_of(trial: Trial) -> list[str]:
    if trial.final_content is None:
        return []
    return differences(trial.content, trial.final_content, (trial.name, trial.outcome))


def _is_ok(step: Step) -> bool:
    return step.reply is None or step.reply.severity == 2


# As JSON


def trial_json(trial: Trial) -> dict[str, Any]:
    """All about one message, for programs."""
    return {
        "message": trial.name,
        "size": len(trial.content),
        "ok": trial.ok,
        "outcome": trial.outcome,
        "result": result(trial),
        "steps": [_step_json(step) for step in trial.steps],
        "kept_envelope": list(trial.kept),
        "own_fields": {
            "mail_from": trial.envelope.sender_field or None,
            "rcpt_to": trial.envelope.recipient_fields,
        },
        "mail_from": sender(trial) if trial.delivered is not None or trial.held is not None else None,
        "recipients": [_named_json(named) for named in trial.named],
        "added": trial.added,
        "delivered": trial.delivered is not None,
        "upstream": trial.upstream,
        "held": trial.held.verdict.reason if trial.held is not None else None,
        "discarded": trial.outcome == "discarded",
        "diff": _diff_of(trial),
        "warnings": warnings(trial),
        "expected": {each.text: trial.meets(each) for each in trial.case.expectations},
    }


def _named_json(named: Named) -> dict[str, Any]:
    return {
        "address": named.address,
        "reply": str(named.reply),
        "sent_as": named.sent_as,
        "discarded": named.discarded,
    }


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "phase": step.phase,
        "said": step.said,
        "rules": [_asked_json(asked) for asked in step.asked],
        "replies": [str(reply) for reply in step.replies],
    }


def _asked_json(asked: Asked) -> dict[str, Any]:
    rule = asked.rule
    return {
        "phase": rule.phase,
        "rule": rule.name,
        "file": rule.file,
        "line": rule.line,
        "milliseconds": round(asked.seconds * 1000, 3),
        "verdict": _verdict_json(asked.verdict),
        "changes": asked.changes,
        "failure": asked.failure or None,
        "traceback": asked.traceback or None,
    }


def _verdict_json(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    names = ("code", "text", "reason", "upstream")
    found = {name: getattr(verdict, name) for name in names if hasattr(verdict, name)}
    return {"kind": type(verdict).__name__.lower(), **found}
