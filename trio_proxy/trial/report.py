"""Writes the results of trials as text for people or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sansio_smtp.rules import Accept, Hold, Redirect
from sansio_smtp.rules.verdicts import Verdict
from sansio_smtp.wire.replies import Reply
from trio_proxy.text.addresses import Address, AddressError
from trio_proxy.text.transcript import printable

from .diff import breaks_signatures, differences
from .host import Asked
from .model import Named, Step, Trial

__all__ = ["as_json", "as_text", "coloured", "complaints"]

_BROKEN: Final = {
    "SIZE": "larger now than what MAIL declared; a server may refuse that (RFC 1870, 6.3)",
    "8BITMIME": "8-bit octets now, but MAIL declared no BODY=8BITMIME (RFC 6152)",
    "SMTPUTF8": "UTF-8 in header fields now, but MAIL declared no SMTPUTF8 (RFC 6531)",
}
_UNSAID: Final = {"connect": "(a client connects from {})", "disconnect": "(the connection is over)"}
_COLOURS: Final = {
    "1": re.compile(r"--- |\+\+\+ |(?!DATA)\S.*, [0-9,]+ octets\Z|delivered|held|discarded|not delivered"),
    "32": re.compile(r"\+|.*: met\Z"),
    "31": re.compile(r"-|.*: NOT MET\Z|  [a-z_]+ +[0-9.]+ ms .*  FAILED "),
    "36": re.compile(r"@@ "),
    "33": re.compile(r"warning: "),
}
"""Colour code of a terminal → the beginnings of lines that get it."""
_SIGNATURE: Final = "the edit breaks a signature that the message came with"


def as_text(rules: str, trials: Sequence[Trial]) -> Iterator[str]:
    """Lines of text, with an empty line before each message."""
    yield f"rules  {rules}"
    for trial in trials:
        yield ""
        yield from _trial_text(trial)


def coloured(line: str) -> str:
    """A line of `as_text` for a terminal."""
    for code, pattern in _COLOURS.items():
        if pattern.match(line):
            return f"\x1b[{code}m{line}\x1b[0m"
    return line


def complaints(trials: Iterable[Trial]) -> Iterator[str]:
    """Lines about failed rules and unmet expectations only."""
    for trial in trials:
        for asked in trial.asked:
            if asked.failure:
                yield _plain(f"{trial.name}: {asked.rule.where} {asked.rule.name} failed: {asked.failure}")
        for expectation in trial.case.expectations:
            if not trial.meets(expectation):
                yield _plain(f"{trial.name}: expected {expectation.text}; {_result(trial)}")


def as_json(rules: str, trials: Sequence[Trial]) -> str:
    """One object, indented."""
    ok = all(trial.ok for trial in trials)
    return json.dumps(
        {"rules": rules, "ok": ok, "trials": [_trial_json(trial) for trial in trials]}, indent=1
    )


# As text


def _trial_text(trial: Trial) -> Iterator[str]:
    yield _plain(f"{trial.name}, {len(trial.content):,} octets")
    names = [len(asked.rule.name) for asked in trial.asked]
    places = [len(asked.rule.where) for asked in trial.asked]
    widths = max(names, default=0), max(places, default=0)
    for step in trial.steps:
        if step.asked or step.phase in ("auth", "mail", "rcpt", "message") or not _is_ok(step):
            yield from _step_text(step, trial, widths)
    yield ""
    yield from _end_text(trial)


def _step_text(step: Step, trial: Trial, widths: tuple[int, int]) -> Iterator[str]:
    yield _plain(step.said or _UNSAID[step.phase].format(trial.case.ip))
    for asked in step.asked:
        yield from _asked_text(asked, widths)
    if step.reply is not None:
        yield _plain(f"  -> {_reply_text(step.reply)}")


def _asked_text(asked: Asked, widths: tuple[int, int]) -> Iterator[str]:
    rule = asked.rule
    said = f"FAILED {asked.failure}" if asked.failure else _verdict_text(asked.verdict)
    changes = [*asked.changes]
    if not said:
        said = changes.pop(0) if changes else "-"
    start = f"  {rule.phase:<10} {asked.seconds * 1000:8.2f} ms  "
    start += f"{rule.name:<{widths[0]}}  {rule.where:<{widths[1]}}  "
    yield _plain(start + said).rstrip()
    for change in changes:
        yield _plain(" " * len(start) + change)
    for line in asked.traceback.splitlines():
        yield _plain(f"    {line}")


def _verdict_text(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    name = type(verdict).__name__
    if isinstance(verdict, Redirect):
        return f"{name} {verdict.upstream}"
    if isinstance(verdict, Hold) and verdict.reason:
        name += f' "{verdict.reason}"'
    return name if isinstance(verdict, Accept) else f"{name} {verdict.reply}"


def _reply_text(reply: Reply) -> str:
    first = reply.lines[0].decode("utf-8", "backslashreplace")
    more = " ..." if len(reply.lines) > 1 else ""
    return f"{reply.code} {first}{more}".rstrip()


def _end_text(trial: Trial) -> Iterator[str]:
    yield _plain(_result(trial))
    if trial.delivered is not None or trial.held is not None:
        yield from map(_plain, _recipients_text(trial))
    yield from _diff_of(trial)
    yield from (_plain(f"warning: {text}") for text in _warnings(trial).values())
    for expectation in trial.case.expectations:
        met = "met" if trial.meets(expectation) else "NOT MET"
        yield _plain(f"expected {expectation.text}: {met}")


def _result(trial: Trial) -> str:
    if trial.delivered is not None:
        through = f" through {trial.upstream}" if trial.upstream is not None else ""
        return f"delivered{through} from <{trial.delivered.sender}>{_was(trial)}"
    if trial.held is not None:
        sender = trial.held.tx.mail_from
        reason = f" ({trial.held.verdict.reason})" if trial.held.verdict.reason else ""
        return f"held{reason} from <{sender.address if sender else ''}>{_was(trial)}"
    refused = [(step, reply) for step in trial.steps for reply in step.replies if reply.severity >= 4]
    if refused and not _is_discarded(trial):
        step, reply = refused[-1]
        return f"not delivered: {step.phase} was answered {_reply_text(reply)}"
    return "discarded: nothing is delivered"


def _is_discarded(trial: Trial) -> bool:
    """True if the client was told that the message is accepted."""
    return any(step.phase == "message" and _is_ok(step) for step in trial.steps)


def _was(trial: Trial) -> str:
    given = trial.case.mail_from
    return "" if _sender(trial) == given else f", rewritten from <{given}>"


def _sender(trial: Trial) -> str:
    if trial.delivered is not None:
        return trial.delivered.sender
    sender = trial.held.tx.mail_from if trial.held is not None else None
    return sender.address if sender else ""


def _recipients_text(trial: Trial) -> Iterator[str]:
    for named in trial.named:
        if named.discarded:
            yield f"  not to <{named.address}>, discarded"
        elif named.reply.severity != 2:
            yield f"  not to <{named.address}>, {_reply_text(named.reply)}"
        elif named.sent_as != named.address:
            yield f"  to <{named.sent_as}>, rewritten from <{named.address}>"
        else:
            yield f"  to <{named.address}>"
    for address in trial.added:
        yield f"  to <{address}>, added"


def _diff_of(trial: Trial) -> list[str]:
    if trial.delivered is not None:
        return differences(trial.content, trial.delivered.content, (trial.name, "delivered"))
    if trial.held is not None:
        return differences(trial.content, trial.held.message, (trial.name, "held"))
    return []


def _warnings(trial: Trial) -> dict[str, str]:
    """Keyword → a warning about something that is no longer true after the edits."""
    found = {name: f"{name}: {_BROKEN.get(name, name)}" for name in trial.broken}
    if trial.delivered is not None and breaks_signatures(trial.content, trial.delivered.content):
        found["SIGNATURE"] = _SIGNATURE
    try:
        Address.parse(trial.upstream or "unused", default_port=25)
    except AddressError as error:
        found["REDIRECT"] = f"this server cannot be used: {error}"
    return found


def _is_ok(step: Step) -> bool:
    return step.reply is None or step.reply.severity == 2


def _plain(text: str) -> str:
    """The text without control characters, which a terminal would obey."""
    return printable(text.encode("utf-8", "surrogateescape"))


# As JSON


def _trial_json(trial: Trial) -> dict[str, Any]:
    return {
        "message": trial.name,
        "size": len(trial.content),
        "ok": trial.ok,
        "result": _result(trial),
        "steps": [_step_json(step) for step in trial.steps],
        "mail_from": _sender(trial) if trial.delivered is not None or trial.held is not None else None,
        "recipients": [_named_json(named) for named in trial.named],
        "added": trial.added,
        "delivered": trial.delivered is not None,
        "upstream": trial.upstream,
        "held": trial.held.verdict.reason if trial.held is not None else None,
        "discarded": trial.delivered is None and trial.held is None and _is_discarded(trial),
        "diff": _diff_of(trial),
        "warnings": _warnings(trial),
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
