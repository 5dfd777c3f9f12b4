"""`Tally`: counts what a client does in its session, and checks the limits. A session that sends mail is not
limited: each accepted message resets the counts of refusals and junk. A session without accepted messages is
slowed down by the driver, then ended::

    refusals   0 ───────── soft_errors ───────────────── max_refusals ── the next command
                           the driver reads it slower                    gets 421
    junk       0 ─────────────────────────────────────── max_junk ────── one more gets 421

A trusted client (`Tally.lenient`) has no such limits: a list server on the same machine names many recipients
that no longer exist, and would be cut off at each attempt.

Refusals are replies 4xx and 5xx of the server, a rule or the proxy. Junk are commands without mail: NOOP,
RSET, VRFY, EXPN, HELP and unknown commands.
"""

from __future__ import annotations

from typing import Final

from sansio_smtp.config import Config
from sansio_smtp.verbs import VERBS
from sansio_smtp.wire.replies import Reply

from . import own_replies

__all__ = ["JUNK", "Tally"]

JUNK: Final = frozenset(b"NOOP RSET VRFY EXPN HELP".split())
"""The known verbs that count as junk."""
_ENDLESS: Final = 2**62
_MOST_HITS: Final = 100
"""The most hits that are kept for a driver, which may never ask for them."""


class Tally:
    """The counts of one session. Counting is cheap, because most sessions never reach a limit."""

    __slots__ = (
        "_max_junk",
        "_max_refusals",
        "_soft_errors",
        "client_changes",
        "commands",
        "early",
        "hits",
        "junk",
        "lenient",
        "messages",
        "over",
        "refusals",
        "slow",
    )

    def __init__(self, config: Config) -> None:
        self._max_junk = config.max_junk
        self._max_refusals = config.max_refusals
        self._soft_errors = config.soft_errors
        self.client_changes = 0
        """The number of changes in what is known about the client, and of `Proxy.server_tls`."""
        self.commands = 0
        """The number of the client's command lines."""
        self.messages = 0
        """The number of answered messages, accepted or not."""
        self.refusals = 0
        """The number of replies 4xx and 5xx since the last accepted message."""
        self.junk = 0
        """The number of junk commands since the last accepted message."""
        self.early = False
        """True if the client has sent something before its greeting."""
        self.lenient = False
        """True: no number of refusals or junk slows the client down or ends it. Read only: see `trust`."""
        self.slow = False
        """True if the client must be read slower: it has had `Config.soft_errors` refusals."""
        self.over: Reply | None = None
        """The reply to the next command, if a limit is reached: the session ends with it."""
        self.hits: tuple[str, ...] = ()
        """The limits that were hit, by the names of their fields in `Config`; see `take_hits`."""

    def trust(self, trusted: bool) -> None:
        """Sets if the driver trusts the client."""
        self.lenient = trusted

    def client_changed(self) -> None:
        """What is known about the client has changed, or `Proxy.server_tls`."""
        self.client_changes += 1

    def line(self) -> None:
        """The client has sent an invalid line, which the proxy refuses."""
        self.commands += 1

    def passed(self, commands: int, junk: int, messages: int = 0) -> None:
        """Counts commands and messages that were passed on; all messages were accepted. ``junk`` is the
        number of junk commands after the last message."""
        if messages:
            self.answered(accepted=True)
        self.messages += messages - 1 if messages else 0
        self.commands += commands
        self.junk += junk

    def count_no_further_than(self, commands: int) -> None:
        """Limits the count, because the last commands were counted before."""
        self.commands = commands

    def spoke_early(self) -> None:
        """The client has sent something before its greeting."""
        self.early = True
        self.hit("early_talkers")

    def command(self, verb: bytes) -> None:
        """The client has sent a command."""
        self.commands += 1
        if verb in JUNK or verb not in VERBS:
            self.junk += 1
            if self.junk > self._max_junk and self.over is None and not self.lenient:
                self.over = own_replies.TOO_MUCH_JUNK
                self.hit("max_junk")

    @property
    def room_for_junk(self) -> int:
        """The number of junk commands that are still allowed."""
        return _ENDLESS if self.lenient else self._max_junk - self.junk

    def refused(self) -> None:
        """The client was sent a reply 4xx or 5xx."""
        self.refusals += 1
        if self.lenient:
            return
        if self.refusals == self._soft_errors:
            self.slow = True
            self.hit("soft_errors")
        if self.refusals > self._max_refusals and self.over is None:
            self.over = own_replies.TOO_MANY_ERRORS
            self.hit("max_refusals")

    def answered(self, *, accepted: bool) -> None:
        """A message was answered."""
        self.messages += 1
        if accepted:
            self.refusals = self.junk = 0
            self.slow, self.over = False, None

    def hit(self, name: str) -> None:
        """A limit was hit. ``name`` is its field of `Config`, or ``"max_held_total"``."""
        if name and len(self.hits) < _MOST_HITS:
            self.hits += (name,)

    def take_hits(self) -> tuple[str, ...]:
        """The limits that were hit since the last call."""
        hits, self.hits = self.hits, ()
        return hits
