"""Limits the messages and recipients that a client may send in a minute, an hour or a day."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar, Final, Literal

import attrs

from sansio_smtp.rules import (
    Connection,
    Defer,
    MailVerdict,
    RcptVerdict,
    Recipient,
    Reject,
    Sender,
    Transaction,
)
from sansio_smtp.rules.lint.patterns import wrong_address_pattern

from ._logins import fits_login, unread
from ._patterns import fits, may_permit
from ._settings import exempt_patterns

__all__ = ["RateLimit", "is_exempt", "possible_limits", "rules"]

Period = Literal["minute", "hour", "day", "second"]
"""The first is the example in the message about a wrong setting."""
Limits = dict[Period, int]
Bucket = tuple[str, str, str, str]
SECONDS: Final[Limits] = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}


def is_exempt(conn: Connection, sender: Sender | None, kind: str, patterns: tuple[str, ...]) -> bool:
    """Returns True if a client is on a list of logins, IP addresses or senders, whichever ``kind`` counts."""
    if kind == "login":
        return fits_login(conn, patterns)
    return fits(conn.ip, patterns) if sender is None else may_permit(sender, _of_addresses(patterns))


@lru_cache(maxsize=100)
def _of_addresses(patterns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(pattern for pattern in patterns if not wrong_address_pattern(pattern))


def possible_limits(rule: object, attribute: object, limits: Limits) -> None:
    """A validator. Raises ValueError for a limit that would let nothing pass."""
    for period, limit in limits.items():
        if limit < 1:
            raise ValueError(f"{period} = {limit}: a limit is at least 1")


@attrs.define
class RateLimit:
    """Answers 450 to a client that sends too much, so that it tries again later. ::

        [rules.rate_limit]
        per = "login"                          # or "ip", or "sender": the reverse-path
        messages = { minute = 30, day = 1000 }
        recipients = { hour = 200 }
        exempt = ["newsletter", "127.0.0.1"]   # logins, IP addresses or senders, with * and ?
        text = "4.7.1 slow down"               # of the reply; how long to wait is added

    Each limit is a bucket: 30 a minute means 30 at once, and then one every two seconds. Clients without a
    login, and the null reverse-path, are counted by IP address. All spellings of a login share one bucket; a
    login whose name cannot be read gets 550. Each MAIL and each RCPT that earlier rules let pass counts, even
    if the server refuses it; so a message whose recipients are all refused counts too. Counts are kept in
    memory, for the ``max_keys`` that sent last: each process has its own, also each of several workers, and
    reloading rules resets them.
    """

    guards: ClassVar[bool] = True
    counts_in: ClassVar[str] = "process"
    """Each process has its own counts: the service warns of that if it has workers."""
    per: Literal["ip", "login", "sender"] = "ip"
    messages: Limits = attrs.field(factory=Limits, validator=possible_limits)
    recipients: Limits = attrs.field(factory=Limits, validator=possible_limits)
    exempt: tuple[str, ...] = attrs.field(default=(), validator=exempt_patterns)
    text: str = "4.7.1 sending rate exceeded"
    max_keys: int = attrs.field(default=100_000, validator=attrs.validators.ge(1))
    clock: Callable[[], float] = attrs.field(default=time.monotonic, init=False, repr=False)
    used: dict[Bucket, tuple[float, float]] = attrs.field(
        factory=dict[Bucket, tuple[float, float]], init=False
    )
    """Bucket → its level, and the time when it had that level. The most recently used bucket is the last."""

    def __attrs_post_init__(self) -> None:
        if not (self.messages or self.recipients):
            raise ValueError("neither messages nor recipients have a limit, as in messages = { minute = 30 }")
        Defer(450, self.text)  # raises if this cannot be a reply

    def mail(self, tx: Transaction, sender: Sender) -> MailVerdict:
        return self._count(tx, sender, "messages", self.messages)

    def rcpt(self, tx: Transaction, to: Recipient) -> RcptVerdict:
        return self._count(tx, tx.mail_from, "recipients", self.recipients)

    def _count(
        self, tx: Transaction, sender: Sender | None, what: str, limits: Limits
    ) -> Defer | Reject | None:
        if self.per == "login" and tx.conn.login_unknown:
            return unread("its rate cannot be limited")
        address = sender.address.lower() if sender else ""
        known = {"login": tx.conn.login, "sender": address}.get(self.per)
        kind, who = (str(self.per), known) if known else ("ip", tx.conn.ip)
        if is_exempt(tx.conn, sender if kind == "sender" else None, kind, self.exempt):
            return None
        now, filled, wait = self.clock(), dict[Bucket, float](), 0.0
        for period, limit in limits.items():
            rate = limit / SECONDS[period]
            bucket: Bucket = (kind, who, what, period)
            level, since = self.used.get(bucket, (0.0, now))
            filled[bucket] = max(0.0, level - (now - since) * rate) + 1
            wait = max(wait, (filled[bucket] - limit) / rate - 1e-6)  # ignores rounding errors
        if wait > 0:
            return Defer(450, f"{self.text}, try again in {math.ceil(wait)} s")
        for bucket, level in filled.items():
            self.used.pop(bucket, None)
            self.used[bucket] = (level, now)
        while len(self.used) > self.max_keys:
            del self.used[next(iter(self.used))]
        return None


rules = [RateLimit]
