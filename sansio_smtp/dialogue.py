"""What the parts of a proxy share: the two ends, the exchanges between them, the open question, and the
list of events in the making. How a dialogue goes on, and the few ways in which it ends, are here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from . import canned
from .commands import Command, Kind
from .config import Config
from .connection import ClientConnection, ServerConnection
from .events import (
    CLIENT,
    SERVER,
    Ask,
    AwaitReply,
    Close,
    Event,
    MessageAnswered,
    Received,
    SendToClient,
    SendToServer,
    Side,
)
from .exchanges import Exchange, Exchanges, Internal
from .questions import MESSAGE, AnyQuestion
from .replies import Reply
from .states import Phase

__all__ = ["Dialogue"]

_RSET: Final = Command.of("RSET")
_SECRETS_KEPT: Final = 8


class Dialogue:
    """Two ends in step."""

    def __init__(self, config: Config, ask: frozenset[str]) -> None:
        self.config = config
        self.ask = ask
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
            if command.kind is not Kind.AUTH_LINE and not self.server.may_send():
                return
            if command.kind is Kind.DATA and MESSAGE in self.ask and isinstance(entry, Exchange):
                # HOLD. Whether there is a recipient is known when every reply before this one is.
                if self.exchanges.waiting[0] is not entry:
                    return
                if self.client.envelope.recipients:
                    del unsent[0]
                    self.fill(entry, canned.GO_AHEAD)
                    return
            del unsent[0]
            self._send_command(command, entry)

    def reset_server(self, *, first: bool = False) -> None:
        """The server forgets an envelope whose message was refused without it; ``first``: before it sees
        what the client has sent behind that message."""
        unsent = self.exchanges.unsent
        unsent.insert(0 if first else len(unsent), (_RSET, Internal.RESET))
        self.send_unsent()

    def _send_command(self, command: Command, entry: Exchange | Internal) -> None:
        self.exchanges.forwarded.append(entry)
        data = shown = self.server.send_command(command)
        if command.secret:
            shown = command.shown + b"\r\n"
            self._secrets = [*self._secrets, *command.secrets][-_SECRETS_KEPT:]
        self.out.append(SendToServer(data, shown))
        self.out.append(AwaitReply(command))

    # Ending

    def detach(self) -> None:
        """The server is closed in the middle of mail data, the only way out that does not end the message
        (RFC 5321 §4.1.1.4). The client is still served its replies."""
        self.out.append(Close(SERVER, abort=True))
        self.server.close()
        self.exchanges.unsent.clear()
        self.exchanges.forwarded.clear()
        self.detached = True

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
            if reply is canned.LOST:
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


_LOST_REPLIES: Final = {Kind.END_OF_DATA: canned.LOST_MESSAGE, Kind.QUIT: canned.BYE}
"""What the client is told where the server went without a word, if it is not 421."""
