"""Replaces a server that fails with another, as long as the client was promised nothing (`Config.failover`).
A server may fail at any moment: it refuses in its greeting, sends 421, breaks the protocol, its TLS fails, or
its connection is lost. The reaction depends on what the client was told and waits for::

    the client ...                                then
    waits for the greeting, or for replies        another server is connected; what the failed one has not
    to commands of `_AGAIN`                       answered is sent to that one
    has had MAIL accepted, and no RCPT            the same; MAIL is said again (`Carried`)
    waits for nothing                             another one is connected for its next command
    has had a RCPT accepted; waits for the        the session ends, as it does without this
    reply to a message or to AUTH; has logged
    in at the server (`LoginMode.RELAY`)

What must never happen: a message is sent twice, or a command that may have had an effect is sent twice. The
commands of `_AGAIN` change only the transaction, which ended with the connection. End-of-data (RFC 1047),
AUTH and unknown commands must never be among them.

A command of the client is sent to at most `Config.failover` other servers. So the attempts end even if all
servers fail, whatever the driver does.
"""

from __future__ import annotations

from typing import Final

from sansio_smtp.config import Config
from sansio_smtp.ends.client import ReplyReceived
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.events import Event, ServerUnusable
from sansio_smtp.members import GATE_ASKED, GATE_OPEN, GATE_QUEUED, MESSAGE_NONE, UPSTREAM_READY
from sansio_smtp.questions import LoginQuestion
from sansio_smtp.states import Phase
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .downstream import Downstream
from .forwarding import Errand, Forwarding, Own
from .message_flow import MessageFlow

__all__ = ["Failover"]

_AGAIN: Final = frozenset(
    (b"EHLO", b"HELO", b"LHLO", b"MAIL", b"RCPT", b"DATA", b"RSET", b"NOOP", b"VRFY", b"EXPN", b"HELP")
)
"""Commands that may be sent to another server. DATA is among them, because without 354 a server has no
message."""
_FORGOTTEN: Final = frozenset((Own.SETUP, Own.RESET, Own.END_TRANSACTION))
"""The proxy's own commands that another server does not need."""
_PHASES: Final = frozenset((Phase.GREETING, Phase.COMMAND, Phase.BLOCKED))
_GATES: Final = frozenset((GATE_OPEN, GATE_ASKED, GATE_QUEUED))


class Failover:
    """Decides how a session continues after its server fails."""

    __slots__ = ("_config", "_downstream", "_forwarding", "_last", "_message", "_out", "_says", "_times")

    def __init__(
        self,
        config: Config,
        downstream: Downstream,
        forwarding: Forwarding,
        message: MessageFlow,
        out: list[Event],
    ) -> None:
        self._config = config
        self._downstream = downstream
        self._forwarding = forwarding
        self._message = message
        self._out = out
        self._last: object = self  # what the client waited for when a server failed; None is its greeting
        self._times = 0  # servers that have failed in a row for this
        self._says = own_replies.UNREACHABLE

    def takes(self, why: str, reply: Reply, answered: ReplyReceived | None = None) -> bool:
        """The server has failed. Returns True if it was left for another one. ``why`` is for the log.
        ``reply`` is for the client if no other server can be connected. ``answered``: the reply with which
        the server has failed, if it is a reply to a command of the client."""
        if not self._is_possible():
            return False
        forwarding, client = self._forwarding, self._downstream.end
        again = self._again(answered)
        if again is None:
            return False
        if forwarding.leg.state is UPSTREAM_READY and not again and not forwarding.waiting:
            forwarding.lose(client.envelope)
            return True
        if not self._count():
            return False
        self._says = reply
        self._out.append(ServerUnusable(why))
        forwarding.leave_failed(again, client.envelope)
        return True

    @property
    def unreachable(self) -> Reply:
        """The reply to the client if no server can be connected."""
        return self._says if self._last is self._awaited else own_replies.UNREACHABLE

    @property
    def _awaited(self) -> object:
        """The oldest line of the client without a reply; None before the greeting."""
        exchanges = self._downstream.end.exchanges
        return exchanges[0] if exchanges else None

    def _count(self) -> bool:
        """Counts the failures while the client waits for the same reply. Returns False if the limit is
        reached."""
        awaited = self._awaited
        self._times = self._times + 1 if awaited is self._last else 1
        self._last = awaited
        return self._times <= self._config.failover

    def _is_possible(self) -> bool:
        downstream, forwarding = self._downstream, self._forwarding
        envelope = downstream.end.envelope
        return (
            downstream.gate in _GATES
            and downstream.end.phase in _PHASES
            and self._message.state is MESSAGE_NONE
            and not isinstance(downstream.question, LoginQuestion)
            and forwarding.may_reconnect
            and (envelope.mail is None or forwarding.leg.transaction_for(envelope) is not None)
        )

    def _again(self, answered: ReplyReceived | None) -> list[Errand] | None:
        """The commands that the server has not answered, to send again; None if one of them must not be sent
        again, or if a recipient that a verdict has added would be lost."""
        forwarding = self._forwarding
        leg = forwarding.leg
        for errand in forwarding.waiting:
            if not isinstance(errand.handle, Exchange) and errand.handle not in _FORGOTTEN:
                return None
        owed = leg.end.owed
        if answered is not None and answered.command is not None:
            owed = ((answered.command, answered.handle), *owed)
        again: list[Errand] = []
        for command, handle in owed:
            if isinstance(handle, Exchange) and command.verb in _AGAIN:
                again.append(Errand(command, handle, leg.name))
            elif handle not in _FORGOTTEN:
                return None
        return again
