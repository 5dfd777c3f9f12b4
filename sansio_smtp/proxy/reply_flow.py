"""Decides what to do with each reply of the server: it goes to the client, or answers the proxy's own
command. The handle of a reply says which command it answers. The first of these that applies::

    reply ─┬─ no command asked for it      the session ends with it
           ├─ the greeting                 of the first server: goes on as the client's; of another: its setup
           ├─ to a command of ours (`Own`) setup, RSET, DATA of a held message, an added RCPT; not sent to the
           │                               client
           ├─ a question is wanted         then as the verdict says
           └─ to a command of the client   limits and login are learnt from it; then `Downstream.fill`

What must never happen is that the client gets a reply to a command that it did not send.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from sansio_smtp.ends.client import ReplyReceived
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.events import SERVER
from sansio_smtp.members import (
    DIALECT_LMTP,
    KIND_AUTH,
    KIND_AUTH_LINE,
    KIND_CHUNK,
    KIND_DATA,
    KIND_HELLO,
    PHASE_GREETING,
)
from sansio_smtp.questions import AnyVerdict, Disconnect, ReplaceReply, ReplyQuestion
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .command_flow import CommandFlow
from .downstream import Downstream
from .failover import Failover
from .forwarding import Forwarding, Own, Part
from .keeping import Keeping
from .message_flow import MessageFlow
from .setup_flow import SetupFlow
from .shared import Shared

__all__ = ["LOGGED_IN", "ReplyFlow"]

LOGGED_IN: Final = 235
"""RFC 4954 §6: authentication succeeded."""


class ReplyFlow:
    """Takes the server's replies one by one."""

    __slots__ = (
        "_asks_replies",
        "_commands",
        "_downstream",
        "_failover",
        "_forwarding",
        "_keeping",
        "_message",
        "_offer",
        "_setup",
    )

    def __init__(
        self,
        asked: Shared,
        downstream: Downstream,
        forwarding: Forwarding,
        message: MessageFlow,
        commands: CommandFlow,
        setup: SetupFlow,
        keeping: Keeping | None = None,
        failover: Failover | None = None,
    ) -> None:
        self._keeping = keeping
        self._failover = failover
        self._downstream = downstream
        self._forwarding = forwarding
        self._message = message
        self._commands = commands
        self._setup = setup
        self._asks_replies = asked.replies
        self._offer = asked.offer

    def replied(self, event: ReplyReceived) -> None:
        """Takes a reply; the greeting is one too."""
        reply, handle, downstream = event.reply, event.handle, self._downstream
        if downstream.traces:
            downstream.trace(SERVER, reply.raw[:-2])
        if self._keeping is not None and self._forwarding.leg.kept and self._keeping.takes_place(event):
            return
        if self._failover is not None and self._left(self._failover, event):
            return
        if event.unsolicited:
            downstream.fail(reply)
        elif isinstance(handle, Part):
            self._part_answered(handle, reply)
        elif isinstance(handle, Own):
            self._own_answered(handle, event)
        elif handle is None and not self._greeted(reply):
            return
        elif self._asks_replies:
            fan_out = None if handle is None else handle.fan_out
            recipient = None if fan_out is None else fan_out.next_recipient
            question = ReplyQuestion(reply, event.command, downstream.end.envelope, recipient)
            downstream.ask(question, partial(self._reply_judged, event))
        else:
            self._reply(event, reply)

    def _left(self, failover: Failover, event: ReplyReceived) -> bool:
        """Returns True if this reply says that the server cannot be used now, and another one replaces it."""
        reply, command = event.reply, event.command
        if event.handle is Own.SETUP or event.handle is Own.LOGIN:
            return False  # its own flow handles it
        if command is None and not event.unsolicited:
            if reply.severity == 2 or self._downstream.end.phase is not PHASE_GREETING:
                return False
            return failover.takes(f"its greeting was {reply}", reply)
        if reply.code == 421 or (reply.severity == 4 and command is not None and command.kind is KIND_HELLO):
            to = "" if command is None else f" to {command}"
            return failover.takes(f"it said {reply}{to}", own_replies.UNREACHABLE, event)
        return False

    def _part_answered(self, part: Part, reply: Reply) -> None:
        """Takes the reply to a part of the client's chunk that is not the last."""
        if reply.code == 421:
            self._downstream.fail(reply)
            return
        if reply.code >= 400:
            self._message.chunk_answered(part.chunk, reply)
        else:
            self._message.part_taken(part.chunk)
        self._forwarding.advance()

    def _greeted(self, reply: Reply) -> bool:
        """A server has greeted. Returns True if the greeting goes to the client, which has not had one
        yet."""
        first = self._downstream.end.phase is PHASE_GREETING
        if self._keeping is not None:
            self._forwarding.leg.keep_greeting(reply)
        if reply.severity == 2:
            self._setup.greeted()
        elif not first:
            self._setup.not_greeted(reply)
        return first

    def _own_answered(self, handle: Own, event: ReplyReceived) -> None:
        reply, forwarding = event.reply, self._forwarding
        if handle is Own.SETUP:
            assert event.command is not None  # a step of the setup
            self._setup.answered(event.command, reply)
        elif handle is Own.LOGIN:
            assert self._setup.login is not None  # it has sent what is answered
            self._setup.login.answered(reply)
        elif handle is Own.RELEASE:
            assert self._keeping is not None  # it has sent what is answered
            self._keeping.reset_answered(reply)
        elif reply.code == 421:
            self._downstream.fail(reply)
        elif handle is Own.HELD_DATA:
            self._message.data_answered(reply)
        elif handle is Own.ADDED_RECIPIENT:
            if reply.code >= 400:
                self._addition_refused()
            forwarding.advance()
        elif reply.code >= 400:
            self._setup.not_reset(reply)
        else:
            forwarding.advance()

    def _addition_refused(self) -> None:
        """The server has refused a recipient that a verdict added: the message must not go without it."""
        data = self._forwarding.take_back_data()
        if data is Own.HELD_DATA:
            self._message.refuse(own_replies.NO_COPY, first=True)
        elif isinstance(data, Exchange):
            self._forwarding.reset_server()
            self._downstream.fill(data, own_replies.NO_COPY)
        else:
            self._message.addition_refused()

    def _reply_judged(self, event: ReplyReceived, verdict: AnyVerdict) -> None:
        if isinstance(verdict, Disconnect):
            self._downstream.end_session(event.handle, verdict.reply)
        else:
            self._reply(event, verdict.reply if isinstance(verdict, ReplaceReply) else event.reply)

    def _reply(self, event: ReplyReceived, reply: Reply) -> None:
        """Passes on a reply of the server, in the form for the client."""
        exchange, command = event.handle, event.command
        if command is None:
            self._downstream.greet(reply)
            return
        kind = command.kind
        if kind is KIND_HELLO:
            if reply.code < 300:
                self._forwarding.hello_answered()
                if command.verb != b"HELO":
                    reply = self._offered(reply)
                    if exchange.command.verb == b"HELO":  # an LMTP server got LHLO
                        reply = Reply.of(reply.code, reply.lines[0])
        elif kind is KIND_CHUNK:
            if reply.code == 421 and exchange not in self._downstream.end.exchanges:
                self._downstream.fail(reply)  # the message was already refused
            elif reply.code == 421:
                self._downstream.fill(exchange, reply)
            else:
                self._message.chunk_answered(exchange, reply)
                self._forwarding.advance()
            return
        elif kind is KIND_DATA:
            if reply.code >= 400:
                self._forwarding.data_refused()
            elif self._counts_recipients and not self._downstream.end.envelope.recipients:
                # LMTP gives no reply to a message without recipients (RFC 2033 §4.2).
                self._forwarding.detach()
                reply = own_replies.NO_RECIPIENT_LMTP
        elif (kind is KIND_AUTH or kind is KIND_AUTH_LINE) and reply.severity == 2:
            self._downstream.log_in(self._commands.login)
        elif reply.code == LOGGED_IN:
            # The server has read a line as AUTH that is not AUTH here. The login is unknown.
            self._downstream.log_in(())
        if exchange.fan_out is None:
            self._downstream.fill(exchange, reply)
        else:
            self._downstream.share(exchange, reply)

    @property
    def _counts_recipients(self) -> bool:
        return self._downstream.end.config.client_dialect is DIALECT_LMTP

    def _offered(self, reply: Reply) -> Reply:
        """The EHLO reply for the client."""
        leg, access, client = self._forwarding.leg, self._downstream.end.access, self._downstream.identity.tls
        if leg.tls is None and client is None:
            return self._offer.reply(reply, access)
        requires_tls = client is not None and leg.may_require_tls
        return self._offer.reply(reply, access, ends_tls=True, requires_tls=requires_tls)
