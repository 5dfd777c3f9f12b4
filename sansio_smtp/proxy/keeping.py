"""Keeps the server's connection for the next client (`Config.keep`), and takes one that was kept.

A client that sends one message and leaves costs the server a connection, a greeting, TLS. Instead the server
is sent RSET in place of the client's QUIT, and its connection is given back (`Release`); the driver gives it
to another session::

    QUIT ──> RSET ─┬─ 2xx: 221 to the client, Release          in the next session:
                   └─ else: the client's QUIT, Close           greeting, as it was ──> EHLO ─┬─ reply: in use
                                                                 gone, before any reply ──> Connect

What must never happen is that one client notices another, or speaks for it. So a connection is kept only if
no reply on it can depend on who has used it (`_is_clean`), and if nothing of the server lies here unread
after the reply to RSET: what comes later is found by the driver, which has the connection then. Each client,
or this proxy for a client that says neither EHLO nor HELO, is introduced to the server anew. A kept
connection may be gone: servers close idle ones. As long as it has answered nothing, another one takes its
place, and the client does not notice. After its first reply it is like any other connection: no command is
said again, and no message (RFC 1047).
"""

from __future__ import annotations

from typing import Any

from sansio_smtp.ends.client import ReplyReceived
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.ends.limits import MAILMAX
from sansio_smtp.members import UPSTREAM_READY
from sansio_smtp.verbs import VERBS
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .downstream import Downstream
from .forwarding import Forwarding

__all__ = ["Keeping"]


class Keeping:
    """Gives the server's connection back when the client quits, and replaces a kept one that is gone."""

    __slots__ = ("_downstream", "_forwarding", "_quit")

    def __init__(self, downstream: Downstream, forwarding: Forwarding) -> None:
        self._downstream = downstream
        self._forwarding = forwarding
        self._quit: Exchange | None = None

    @property
    def waits(self) -> bool:
        """True if the client has quit, and the server owes the reply to RSET, or is to be sent it."""
        return self._quit is not None

    # Keeping

    def sees(self, command: Command) -> None:
        """This command goes to the server. It is not known what one does that is not in the table of
        verbs."""
        if command.verb not in VERBS:
            self._forwarding.leg.spend()

    def quit(self, exchange: Exchange) -> bool:
        """The client has sent QUIT. Returns True if it is answered here, after the server has been reset."""
        if not self._is_clean():
            return False
        self._quit = exchange
        self._forwarding.reset_to_release()
        return True

    def reset_answered(self, reply: Reply) -> None:
        """Takes the reply to the RSET that was sent in place of QUIT."""
        exchange, self._quit = self._quit, None
        assert exchange is not None  # the RSET was sent for it
        leg = self._forwarding.leg
        if reply.code == 421:
            self._downstream.fill(exchange, own_replies.BYE)
        elif leg.state is UPSTREAM_READY and self._is_clean():
            leg.release()
            self._downstream.fill(exchange, own_replies.BYE)
        else:
            self._forwarding.forward(exchange.command, exchange)

    def _is_clean(self) -> bool:
        """Returns True if the next client cannot notice that another one has used this connection.

        It does if the server knows who that was (a login, XCLIENT, a PROXY header), and if the server counts:
        errors, after which servers become slow or leave, or transactions (RFC 9422 MAILMAX).
        """
        leg = self._forwarding.leg
        return not (
            self._downstream.authenticated
            or leg.spent
            or leg.named
            or leg.logged_in
            or leg.stale
            or leg.forwarded_for is not None
            or leg.greeting is None
            or leg.end.refusals
            or MAILMAX in leg.limits.announced
        )

    # Taking

    def takes_place(self, event: ReplyReceived) -> bool:
        """Looks at a reply of a connection that was kept, and has answered nothing yet. Returns True if the
        server leaves with this reply, and another connection takes its place."""
        if event.command is None and not event.unsolicited:
            return False  # the greeting, which is from then
        if event.reply.code != 421:
            self._forwarding.leg.prove()
            return False
        return self._replace(() if event.command is None else ((event.command, event.handle),))

    def lost(self) -> bool:
        """The server has closed its connection. Returns True if another one takes its place."""
        leg = self._forwarding.leg
        return leg.kept and self._replace(leg.end.owed)

    def _replace(self, owed: tuple[tuple[Command, Any], ...]) -> bool:
        if self.waits:
            return False  # nothing more is wanted of the server
        self._forwarding.replace(owed)
        return True
