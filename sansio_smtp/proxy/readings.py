"""The values that a driver may read from a proxy at any time: levels, and facts about the dialogue. Reading
changes nothing. A driver reads a level (`may_read`, `waiting_for`, `has_more`) when it needs it; changes are
not reported.
"""

from __future__ import annotations

from typing import Final

from sansio_smtp.client_info import ClientInfo, Forwarded, TlsInfo
from sansio_smtp.config import Config
from sansio_smtp.ends.received import Unfinished
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import CLIENT, SERVER, Side, WaitingFor
from sansio_smtp.joint_states import Snapshot
from sansio_smtp.members import (
    GATE_OPEN,
    GATE_SHUT,
    MESSAGE_SENDING,
    PHASE_CHUNK,
    PHASE_CONTENT,
    PHASE_GREETING,
    PHASE_TLS,
    UPSTREAM_CLOSED,
    UPSTREAM_DETACHED,
)
from sansio_smtp.states import Phase
from sansio_smtp.wire.commands import END_OF_DATA, Command
from sansio_smtp.wire.sasl import Login

from .downstream import Downstream
from .forwarding import Forwarding
from .lane import Lane
from .login_flow import LoginFlow
from .message_flow import MessageFlow
from .passing import Passing
from .shared import Shared
from .tally import Tally

__all__ = ["Readings"]

_COMMAND, _CONTENT = WaitingFor.COMMAND, WaitingFor.CONTENT  # as in `members`
_REPLY, _FINAL_REPLY = WaitingFor.REPLY, WaitingFor.FINAL_REPLY
_MAY_READ: Final = {
    (client, server): frozenset(side for side, may in ((CLIENT, client), (SERVER, server)) if may)
    for client in (False, True)
    for server in (False, True)
}


class Readings:
    """The readable part of `Proxy`."""

    __slots__ = ()

    config: Config
    _downstream: Downstream
    _forwarding: Forwarding
    _message: MessageFlow
    _client: ServerConnection
    _main: tuple[Downstream, Forwarding, ServerConnection, MessageFlow, LoginFlow | None, Lane | None]
    """The parts that each input needs, in one call."""
    _asked: Shared
    _given: ClientInfo
    _has_parts: bool
    _client_lost: bool
    _passing: Passing | None
    tally: Tally

    @property
    def _begins(self) -> bool:
        """True if neither side has sent anything, and `Passing` waits for the greeting."""
        return self._passing is not None and self._passing.begins

    def _catch_up(self) -> None:
        """Called before the ends are read: see `Passing`. After inputs that pass, both sides may always be
        read, so `may_read` need not call it."""
        passing = self._passing
        if passing is not None:
            passing.settle() if passing.rest else passing.catch_up()

    @property
    def may_read(self) -> frozenset[Side]:
        """The sides that may be read now. It may change with every input, so check it before each read."""
        return _MAY_READ[self.may_read_client(), self.may_read_server()]

    def may_read_client(self) -> bool:
        """Returns True if `may_read` has the client. For a driver that has just read this side."""
        if self._passing is not None:
            if (may := self._passing.may_read) is not None:
                return may
            if self._passing.rest:
                self._passing.settle()  # nothing more is read while lines wait
        client = self._client
        if (
            self._downstream.gate is not GATE_OPEN
            or client.eof
            or self._client_lost
            or client.phase is PHASE_TLS
            or self._forwarding.chunks_waiting
            or (len(client.exchanges) >= self.config.max_pipelined and client.arriving is None)
        ):
            return False
        # Never less than the longest line and its CRLF: otherwise a line that is too long would not be
        # noticed.
        return client.at_rest or client.buffered < max(self.config.read_ahead, self.config.max_line + 2)

    def may_read_server(self) -> bool:
        """Returns True if `may_read` has the server."""
        if self._passing is not None and (may := self._passing.may_read) is not None:
            return may
        leg = self._forwarding.leg
        if leg.state is UPSTREAM_DETACHED or leg.state is UPSTREAM_CLOSED or leg.end.eof:
            return False
        if leg.end.phase is PHASE_TLS:
            return False
        paused = self._asked.replies and self._downstream.question is not None
        return not paused or leg.end.buffered < self.config.read_ahead

    @property
    def waiting_for(self) -> WaitingFor:
        """What the session waits for: the driver's deadline depends on it."""
        if self._begins:
            return WaitingFor.GREETING
        self._catch_up()
        if self._downstream.gate is GATE_SHUT:
            return WaitingFor.NOTHING
        if self._downstream.question is not None:
            return WaitingFor.VERDICT
        client, server = self._client.phase, self._forwarding.leg.end
        if client is PHASE_TLS or server.phase is PHASE_TLS:
            return WaitingFor.HANDSHAKE
        if client is PHASE_GREETING or server.phase is PHASE_GREETING:
            return WaitingFor.GREETING
        if self._message.state is MESSAGE_SENDING:
            return _CONTENT
        if (awaiting := server.awaiting) is not None:
            return _FINAL_REPLY if awaiting is END_OF_DATA else _REPLY
        return _CONTENT if client is PHASE_CONTENT or client is PHASE_CHUNK else _COMMAND

    @property
    def counts(self) -> tuple[int, int]:
        """How many command lines and how many messages the client has sent; see `Tally`."""
        if self._passing is not None:
            self._passing.count()
        return self.tally.commands, self.tally.messages

    @property
    def receiving(self) -> int | None:
        """The number of octets of the message that the client is sending; None if the session does not wait
        for them, or drops them."""
        if self.waiting_for is not _CONTENT or self._message.state is MESSAGE_SENDING:
            return None
        return self._client.received

    @property
    def unfinished(self) -> Unfinished | None:
        """What has come of the message that the client is sending; None if it sends none."""
        self._catch_up()
        return self._client.unfinished

    @property
    def message_id(self) -> bytes:
        """The Message-ID of a message whose end has not come; empty if it has not come either, or if
        `Config.account` is not set. It stays after the end of the dialogue."""
        self._catch_up()
        return self._message.message_id

    @property
    def states(self) -> tuple[Phase, Phase]:
        """The framing phases of the end that faces the client and of the one that faces the server."""
        self._catch_up()
        return self._client.phase, self._forwarding.leg.end.phase

    def snapshot(self) -> Snapshot:
        """The joint state as one value, for tests, logs and transcripts."""
        self._catch_up()
        downstream, forwarding, client, message, *_ = self._main
        leg = forwarding.leg
        return Snapshot(
            client.phase,
            client.transaction.state,
            downstream.gate,
            message.state,
            leg.state,
            leg.end.phase,
            leg.end.transaction.state,
        )

    @property
    def envelope(self) -> Envelope:
        """The mail transaction as the client knows it from replies."""
        self._catch_up()
        return self._client.envelope

    @property
    def hello(self) -> Command | None:
        """The last EHLO or HELO that was answered with 2xx, as it was sent to the server."""
        self._catch_up()
        return self._downstream.hello

    @property
    def login(self) -> str | None:
        """The name with which the client has authenticated, prepared for comparing; None before, and if the
        name is unknown: see `ClientInfo.login`."""
        login = self._downstream.login if self._has_parts else None
        return None if login is None else login.name

    @property
    def accepted_login(self) -> Login | None:
        """The last accepted login; None if there is none. Its name is None if it is unknown."""
        return self._downstream.login

    @property
    def client_info(self) -> ClientInfo:
        """What is known about the client now."""
        self._catch_up()
        return self._downstream.client_info

    @property
    def identity(self) -> ClientInfo:
        """The client, without information from its own commands. It is a new object after STARTTLS and
        XCLIENT."""
        return self._downstream.identity if self._has_parts else self._given

    @property
    def forwarded(self) -> Forwarded | None:
        """The client of the mail transaction that a relay has named with XFORWARD; None if none has."""
        return self._downstream.forwarded

    @property
    def server_tls(self) -> TlsInfo | None:
        """The TLS of the connection to the server; None in plain text."""
        return self._forwarding.leg.tls

    @property
    def client_changes(self) -> int:
        """Counts the changes in what is known about the client, and of `server_tls`. While it does not
        change, `hello`, the login, `identity`, `forwarded` and `server_tls` do not change either."""
        if self._passing is not None and self._passing.begun:  # no other passed input is such a change
            self._passing.catch_up()
        return self.tally.client_changes

    @property
    def awaiting(self) -> Command | None:
        """The oldest command without a reply of the server; `END_OF_DATA` for a message; None if no reply is
        owed."""
        self._catch_up()
        return self._forwarding.leg.end.awaiting

    @property
    def has_more(self) -> bool:
        """True if `more` must be called after all octets for the server have been written."""
        return self._message.has_more

    @property
    def closed(self) -> bool:
        """True if both sides are closed. Every further input is ignored."""
        if self._passing is not None and self._passing.ended:
            return True
        return self._has_parts and self._downstream.gate is GATE_SHUT

    @property
    def passed_quit(self) -> bool:
        """True if the reply to QUIT was passed on. Then the session need not be read, which would cost more
        than the session."""
        return self._passing is not None and self._passing.ended

    @property
    def buffered(self) -> int:
        """Number of octets that are kept in memory."""
        self._catch_up()
        client, server = self._client, self._forwarding.leg.end
        owed = sum(len(exchange.command.raw) for exchange in client.exchanges)
        return client.buffered + server.buffered + owed + self._message.buffered
