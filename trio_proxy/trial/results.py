"""What became of one message, in words."""

from __future__ import annotations

from typing import Final

from sansio_smtp.wire.replies import Origin, Reply
from trio_proxy.text.addresses import Address, AddressError
from trio_proxy.text.transcript import printable

from .diff import breaks_signatures
from .expectations import Expectation
from .model import Trial

__all__ = [
    "left_out",
    "no_rule_said",
    "not_met",
    "plain",
    "reply_text",
    "result",
    "sender",
    "summary_of",
    "warnings",
]

_BROKEN: Final = {
    "8BITMIME": "the message has 8-bit octets now, and MAIL declared no BODY=8BITMIME (RFC 6152)",
    "SMTPUTF8": "header fields have UTF-8 now, and MAIL declared no SMTPUTF8 (RFC 6531)",
}
_GREW: Final = (
    "the message has {:,} octets now, and MAIL declared {:,}; a server may refuse it (RFC 1870, 6.3). "
    "With --headroom the proxy declares more"
)
_SIGNATURE: Final = "the edit breaks a signature that the message came with"
_MOST_LEFT_OUT: Final = 3
"""How many recipients are named to which a message was not delivered."""
_SERVER: Final = "this server cannot be used: {}"

_NOTICED_SHARE: Final = 10
_NOTICED_OCTETS: Final = 4096
"""Servers compare the size in MAIL with a limit of megabytes. A message that grows by less than a tenth or
less than this does not come past the limit, unless it was close to it before."""


def result(trial: Trial) -> str:
    """One line without its end."""
    if trial.untried:
        return f"not tried: {', '.join(trial.untried)}"
    if trial.delivered is not None:
        through = f" through {trial.upstream}" if trial.upstream is not None else ""
        return f"delivered{through} from <{trial.delivered.sender}>{_was(trial)}"
    if trial.held is not None:
        reason = f" ({trial.held.verdict.reason})" if trial.held.verdict.reason else ""
        return f"held{reason} from <{sender(trial)}>{_was(trial)}"
    if trial.refusal is not None and trial.outcome != "discarded":
        step, reply = trial.refusal
        return f"not delivered: {step.phase} was answered {reply_text(reply)}"
    return "discarded: nothing is delivered"


def summary_of(trial: Trial) -> str:
    """The result, and what was refused although the message was delivered, in one line without its end."""
    if trial.delivered is None:
        return result(trial)
    left = left_out(trial)
    said = f"delivered {left}" if left else result(trial)
    if trial.refusal is not None and trial.refusal[0].phase != "rcpt":
        step, reply = trial.refusal
        said += f"; {step.phase} was answered {reply_text(reply)}"
    return said


def left_out(trial: Trial) -> str:
    """To how many recipients a message was delivered, and to which of those that the client named it was not;
    empty if it was delivered to all, or to none."""
    if trial.delivered is None:
        return ""
    left = [named for named in trial.named if named.sent_as is None]
    if not left:
        return ""
    names = [
        f"<{named.address}> ({'discarded' if named.discarded else reply_text(named.reply)})"
        for named in left[:_MOST_LEFT_OUT]
    ]
    more = f" and {len(left) - len(names):,} more" if len(left) > len(names) else ""
    total = len(trial.named)
    return f"to {total - len(left):,} of {total:,} recipients, not to {', '.join(names)}{more}"


def no_rule_said(trial: Trial, expectation: Expectation) -> str:
    """Who has given the reply that an unmet expectation would fit, if that was no rule; else empty."""
    found = trial.not_by_rule(expectation)
    if found is None:
        return ""
    step, reply = found
    by = "the server" if reply.origin is Origin.SERVER else "the proxy itself"
    return f"no rule said so: {by} answered {step.phase} with {reply_text(reply)}"


def not_met(trial: Trial, expectation: Expectation) -> str:
    """The line about an unmet expectation, without its end."""
    why = no_rule_said(trial, expectation)
    return plain(f"expected {expectation.text}: NOT MET{'; ' * bool(why)}{why}")


def sender(trial: Trial) -> str:
    """The sender of the message as it was delivered or held."""
    if trial.delivered is not None:
        return trial.delivered.sender
    address = trial.held.tx.mail_from if trial.held is not None else None
    return address.address if address else ""


def warnings(trial: Trial) -> dict[str, str]:
    """Keyword → a warning about something that can go wrong on the way to the next server."""
    found = {name: f"{name}: {_BROKEN[name]}" for name in trial.broken if name in _BROKEN}
    if "SIZE" in trial.broken and trial.final_content is not None:
        before, after = len(trial.content), len(trial.final_content)
        if after - before > max(before // _NOTICED_SHARE, _NOTICED_OCTETS):
            found["SIZE"] = f"SIZE: {_GREW.format(after, before)}"
    if trial.delivered is not None and breaks_signatures(trial.content, trial.delivered.content):
        found["SIGNATURE"] = _SIGNATURE
    try:
        Address.parse(trial.upstream or "unused", default_port=25)
    except AddressError as error:
        found["REDIRECT"] = _SERVER.format(error)
    return found


def reply_text(reply: Reply) -> str:
    """A reply in one line."""
    first = reply.lines[0].decode("utf-8", "backslashreplace")
    more = " ..." if len(reply.lines) > 1 else ""
    return f"{reply.code} {first}{more}".rstrip()


def plain(text: str) -> str:
    """The text without control characters, which a terminal would obey."""
    return printable(text.encode("utf-8", "surrogateescape"))


def _was(trial: Trial) -> str:
    given = trial.envelope.sender
    return "" if sender(trial) == given else f", rewritten from <{given}>"
