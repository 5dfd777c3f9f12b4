"""Keeps the server's connection for the next client (`Config.keep`), and uses one that was kept. A client
that sends one message costs the server a connection, a greeting and TLS. To save this, the server gets RSET
in place of the client's QUIT, and the connection is released (`Release`); the driver gives it to another
session::

    QUIT ──> RSET ─┬─ 2xx: 221 to the client, Release          in the next session:
                   └─ else: the client's QUIT, Close           greeting, as it was ──> EHLO ─┬─ reply: in use
                                                                 gone, before any reply ──> Connect

What must never happen is that one client notices another, or acts for it. So a connection is kept only if no
reply on it can depend on its earlier users (`_is_clean`), and if nothing from the server is unread after the
reply to RSET; the driver, which then has the connection, finds later input. For each client the server gets a
new EHLO or HELO: the client's, or the proxy's own. A kept connection may be dead, because servers close idle
ones. If it is, before its first reply, another one takes its place, and the client does not notice. After its
first reply it is like any other connection: no command or message is sent again (RFC 1047).
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
    """Releases the server's connection when the client quits, and replaces a kept one that is dead."""

    __slots__ = ("_downstream", "_forwarding", "_quit")

    def __init__(self, downstream: Downstream, forwarding: Forwarding) -> None:
        self._downstream = downstream
        self._forwarding = forwarding
        self._quit: Exchange | None = None

    @property
    def waits(self) -> bool:
        """True if the client has quit, and the RSET is not yet sent or answered."""
        return self._quit is not None

    # Keeping

    def sees(self, command: Command) -> None:
        """This command goes to the server. If it is not in the table of verbs, its effect is not known."""
        if command.verb not in VERBS:
            self._forwarding.leg.spend()

    def quit(self, exchange: Exchange) -> bool:
        """The client has sent QUIT. Returns True if the proxy answers it after a RSET to the server."""
        if not self._is_clean():
            return False
        self._quit = exchange
        self._forwarding.reset_to_release()
        return True

    def reset_answered(self, reply: Reply) -> None:
        """Takes the reply to the RSET that was sent in place of QUIT."""
        exchange, self._quit = self._quit, None
        assert exchange is not None  # the RSET was for this exchange
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

        It could if the server knows the earlier client (a login, XCLIENT, a PROXY header), or if the server
        counts: errors, which make servers slow or end the session, or transactions (RFC 9422 MAILMAX).
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
        """Checks the first reply of a kept connection. Returns True if the server leaves with this reply, and
        another connection takes its place."""
        if event.command is None and not event.unsolicited:
            return False  # the old greeting
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
            return False  # the server is not needed any more
        self._forwarding.replace(owed)
        return True
