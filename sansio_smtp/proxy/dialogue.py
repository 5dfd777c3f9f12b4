"""What the parts of a proxy share: the two ends, the exchanges between them, the open question, and the
list of events in the making. How a dialogue goes on, and the few ways in which it ends, are here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sansio_smtp.config import Config
from sansio_smtp.ends.client import ClientConnection
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    Ask,
    AwaitReply,
    Close,
    Connect,
    Event,
    MessageAnswered,
    Received,
    SendToClient,
    SendToServer,
    Side,
)
from sansio_smtp.questions import MESSAGE, AnyQuestion
from sansio_smtp.states import Phase
from sansio_smtp.wire.commands import Command, Kind
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .content_pipeline import CONTENT_PLACES
from .exchanges import ANYWHERE, Exchange, Exchanges, Internal
from .message_store import Spool

__all__ = ["Dialogue"]

_RSET: Final = Command.of("RSET")
_QUIT: Final = Command.of("QUIT")
_SECRETS_KEPT: Final = 8


class Dialogue:
    """Two ends in step."""

    def __init__(
        self, config: Config, ask: frozenset[str], make_spool: Callable[[], Spool] | None = None
    ) -> None:
        self.config = config
        self.ask = ask
        self.make_spool = make_spool
        self.client = ServerConnection(config)
        self.server = ClientConnection(config)
        self.exchanges = Exchanges()
        self.out: list[Event] = []
        self.question: AnyQuestion | None = None
        self.resume: Callable[[Any], None] | None = None
        self.detached = False
        """Whether the server was closed with a refused message while the client may still say QUIT."""
        self.ending = False
        """Whether a reply that ends the session waits for its turn: nothing behind it is parsed."""
        self.closed = False
        self.authenticated = False
        """Whether the server has accepted credentials."""
        self.places = ask & CONTENT_PLACES
        """Where the message that is in flight, or the next, is asked about."""
        self.hello: Command | None = None
        """The EHLO or HELO that the client was told it was heard with."""
        self.home: str | None = None
        """The server to use where nothing else is said; None is the one that the driver connected first."""
        self.current: str | None = None
        """The server that is connected."""
        self.mail: Command | None = None
        """The MAIL that was last taken by a server, as it was sent."""
        self.has_recipients = False
        """Whether the server has taken a recipient of the transaction that is open."""
        self._mail_refused = False  # by the server that is connected, while another has taken it
        self.joining = False
        """Whether a new server is being told what the client has said."""
        self._steps: list[Command] = []  # what is still to be said to it
        self._secrets: list[bytes] = []

    # Going on

    def ask_for(self, question: AnyQuestion, resume: Callable[[Any], None]) -> None:
        """Opens a question; ``resume`` takes its verdict."""
        self.question, self.resume = question, resume
        self.out.append(Ask(question))

    def trace(self, side: Side, shown: bytes) -> None:
        if self.config.trace:
            self.out.append(Received(side, self.masked(shown) if side is SERVER else shown))

    def masked(self, octets: bytes) -> bytes:
        """Without the credentials that the client sent: there are servers that say them back."""
        for secret in self._secrets:
            octets = octets.replace(secret, b"********")
        return octets

    def fill(self, exchange: Exchange, reply: Reply) -> None:
        """The reply to a line is known. It leaves when every reply before it has left."""
        exchange.reply = reply
        self.ending |= exchange.ends_session or reply.code == 421
        for head, ready in self.exchanges.deliverable():
            if head.command.kind is Kind.END_OF_DATA:
                self.out.append(MessageAnswered(ready, self.client.envelope))
            self.send_reply(ready)
            if head.ends_session:
                self.close()
        self.send_unsent()

    def send_reply(self, reply: Reply) -> None:
        """The reply to the oldest line goes to the client."""
        data = self.client.send_reply(reply)
        self.out.append(SendToClient(data, self.masked(data) if self._secrets else data))
        if self.client.phase is Phase.MUST_CLOSE:
            self.close()

    def forward(self, exchange: Exchange) -> None:
        self.exchanges.unsent.append((exchange.command, exchange))
        self.send_unsent()

    def send_unsent(self) -> None:
        """Commands go out as far as the server can take them now (RFC 2920 §3.1)."""
        unsent = self.exchanges.unsent
        while unsent:
            command, entry = unsent[0]
            if self.joining:
                return
            if isinstance(entry, Exchange) and self._is_elsewhere(entry):
                # Nothing may be owed by the server that is left, and what it was told must be known.
                if self.exchanges.waiting[0] is entry and not self.exchanges.forwarded:
                    self._go_elsewhere(entry)
                return
            if command.kind is not Kind.AUTH_LINE and not self.server.may_send():
                return
            if command.kind is Kind.DATA and not self._may_send_data(entry):
                return
            del unsent[0]
            self._send_command(command, entry)

    def reset_server(self, *, first: bool = False) -> None:
        """The server forgets an envelope whose message was refused without it; ``first``: before it sees
        what the client has sent behind that message."""
        if self.detached:
            return
        unsent = self.exchanges.unsent
        unsent.insert(0 if first else len(unsent), (_RSET, Internal.RESET))
        self.send_unsent()

    def add_recipients(self, commands: tuple[Command, ...]) -> None:
        """RCPT commands that are not the client's, to be sent before a DATA that is yet to be forwarded."""
        for command in commands:
            self.exchanges.unsent.append((command, Internal.ADDED_RECIPIENT))

    def take_unsent_data(self) -> Exchange | Internal | None:
        """Takes back a DATA that was not sent yet, and the recipients that were to be added to it."""
        unsent = self.exchanges.unsent
        data = next((entry for command, entry in unsent if command.kind is Kind.DATA), None)
        unsent[:] = [
            (command, entry)
            for command, entry in unsent
            if entry is not data and entry is not Internal.ADDED_RECIPIENT
        ]
        return data

    def learn_limits(self) -> None:
        """The server has said what it takes."""
        limits = (self.config.max_message_size, self.server.max_message_size)
        self.client.max_message_size = min((limit for limit in limits if limit), default=None)

    def _may_send_data(self, entry: Exchange | Internal) -> bool:
        """Whether DATA goes out now. In HOLD it is answered here instead, and goes out with the message."""
        if Internal.ADDED_RECIPIENT in self.exchanges.forwarded:
            return False
        if MESSAGE not in self.places or not isinstance(entry, Exchange):
            return True
        # Whether there is a recipient is known when every reply before this one is.
        if self.exchanges.waiting[0] is not entry:
            return False
        if self.client.envelope.recipients:
            del self.exchanges.unsent[0]
            self.fill(entry, own_replies.GO_AHEAD)
            return False
        return True

    def _send_command(self, command: Command, entry: Exchange | Internal) -> None:
        self.exchanges.forwarded.append(entry)
        data = shown = self.server.send_command(command)
        if command.secret:
            shown = command.shown + b"\r\n"
            self._secrets = [*self._secrets, *command.secrets][-_SECRETS_KEPT:]
        self.out.append(SendToServer(data, shown))
        self.out.append(AwaitReply(command))

    # Another server

    def joined(self, answered: Command | None, reply: Reply) -> None:
        """The reply of a server that is being joined, to its connection or to what was said again."""
        if reply.severity != 2:
            if answered is None or answered.verb != b"MAIL" or reply.code == 421:
                self.fail(own_replies.UNREACHABLE)
                return
            # It is RCPT that the client waits for.
            self.joining = False
            self._mail_refused = True
            _, entry = self.exchanges.unsent.pop(0)
            assert isinstance(entry, Exchange)
            self.fill(entry, reply)
        elif self._steps:
            self._send_command(self._steps.pop(0), Internal.JOIN)
        else:
            self.joining = self._mail_refused = False
            self.learn_limits()
            self.send_unsent()

    def mail_taken(self, command: Command) -> None:
        """The server has taken this MAIL."""
        self.mail = command
        self._mail_refused = self.has_recipients = False

    def _is_elsewhere(self, exchange: Exchange) -> bool:
        """Whether the server that the exchange is for has to be told something before."""
        upstream = exchange.upstream
        if self.detached or (upstream != ANYWHERE and upstream != self.current):
            return True
        return self._mail_refused and exchange.command.verb == b"RCPT" and self.client.in_transaction

    def _go_elsewhere(self, exchange: Exchange) -> None:
        if self.has_recipients and exchange.command.verb == b"RCPT":
            # A transaction goes to one server: there is no queue that could keep a message for a second one.
            del self.exchanges.unsent[0]
            self.fill(exchange, own_replies.OTHER_ROUTE)
        else:
            self._join(exchange)

    def _join(self, exchange: Exchange) -> None:
        """Leaves the server for the one that the exchange is for, or for a new connection."""
        if not self.detached and exchange.upstream in (ANYWHERE, self.current):
            assert self.mail is not None  # the client's transaction is open
            self.joining, self._steps = True, []
            self._send_command(self.mail, Internal.JOIN)
            return
        if not self.detached:
            self.out.append(SendToServer(self.server.send_command(_QUIT), _QUIT.raw + b"\r\n"))
            self.out.append(Close(SERVER))
        self.server.reopen()
        self.detached = self.has_recipients = False
        self.current = self.home if exchange.upstream == ANYWHERE else exchange.upstream
        self.joining, self._steps = True, []
        if exchange.command.kind is not Kind.HELLO:
            mail = self.mail if self.client.in_transaction else None
            self._steps = [command for command in (self.hello, mail) if command is not None]
        self.out.append(Connect(self.current))

    # Ending

    def detach(self) -> None:
        """The server is closed in the middle of mail data, the only way out that does not end the message
        (RFC 5321 §4.1.1.4). The client is still served its replies."""
        self.out.append(Close(SERVER, abort=True))
        self.server.close()
        self.exchanges.forwarded.clear()
        self.detached = True
        self.has_recipients = False
        unsent = self.exchanges.unsent
        left = [entry for _, entry in unsent if isinstance(entry, Exchange)]
        unsent.clear()
        for exchange in left:
            if reply := self.detached_reply(exchange.command):
                exchange.reply = reply
            else:
                unsent.append((exchange.command, exchange))

    @property
    def may_reconnect(self) -> bool:
        """Whether a new connection may take the place of one that was reset. Credentials are not kept, so it
        may not where the server had been shown some."""
        return self.config.reconnect and not self.authenticated

    def detached_reply(self, command: Command) -> Reply | None:
        """What a client is told that says something more when the server was closed; None if that needs a new
        connection."""
        if command.kind is Kind.QUIT:
            return own_replies.BYE
        return None if self.may_reconnect else own_replies.DETACHED

    def end_session(self, exchange: Exchange | None, reply: Reply) -> None:
        """This reply to this line, in its turn, or to whatever comes next; then both sides are closed."""
        if exchange is None:
            self.fail(reply)
        else:
            exchange.ends_session = True
            self.fill(exchange, reply)

    def fail(self, reply: Reply) -> None:
        """The dialogue cannot go on: the client is told once, now, and both sides are closed."""
        waiting = self.exchanges.waiting
        if waiting:
            kind = waiting[0].command.kind
            if reply is own_replies.LOST:
                reply = _LOST_REPLIES.get(kind, reply)
            if kind is Kind.END_OF_DATA:
                self.out.append(MessageAnswered(reply, self.client.envelope))
        self.send_reply(reply)
        self.close()

    def close(self) -> None:
        """Both sides, at once and once."""
        if self.closed:
            return
        self.closed = True
        if not self.detached:
            self.out.append(Close(SERVER, abort=self.server.in_content))
        self.out.append(Close(CLIENT))
        self.client.close()
        self.server.close()
        self.exchanges.clear()
        self.question = self.resume = None


_LOST_REPLIES: Final = {Kind.END_OF_DATA: own_replies.LOST_MESSAGE, Kind.QUIT: own_replies.BYE}
"""What the client is told where the server went without a word, if it is not 421."""
