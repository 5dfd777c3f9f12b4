"""Messages on their way through a dialogue: content is relayed, shown, edited or held, end-of-data goes
out, and a refused message is dropped without the server taking it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sansio_smtp.config import Tap
from sansio_smtp.ends.server import ContentReceived, EndOfData
from sansio_smtp.events import AwaitReply, BodyChunk, BodyComplete, SendToServer
from sansio_smtp.questions import Answer, AnyVerdict, Continue, Disconnect, Replace
from sansio_smtp.states import Phase
from sansio_smtp.wire.commands import END_OF_DATA, Command
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .content_pipeline import Transfer
from .dialogue import Dialogue
from .exchanges import Exchange, Internal

__all__ = ["Delivery"]

_DATA: Final = Command.of("DATA")


class Delivery:
    """The message that is in flight, if one is."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._transfer: Transfer | None = None
        self._message: Exchange | None = None  # its end-of-data, once the client has sent that
        self._refusal: Reply | None = None  # what it will be answered, while the rest of it is dropped
        self._rest: Iterator[bytes] | None = None  # what is left to be sent of a message that is in a spool
        self._untapped = dialogue.config.tap is Tap.OFF

    @property
    def buffered(self) -> int:
        """Octets of content that are kept."""
        return self._transfer.buffered if self._transfer else 0

    def close(self) -> None:
        """The dialogue is over."""
        self._drop_transfer()
        self._message = self._refusal = self._rest = None

    @property
    def has_more(self) -> bool:
        """Whether more of a message is to be sent once what was sent before has left."""
        return self._rest is not None

    def more(self) -> None:
        """Sends one more piece of a message that is in a spool, or its end."""
        assert self._rest is not None
        try:
            wire = next(self._rest, None)
        except OSError:
            self._rest = None
            self.refuse(own_replies.NOT_KEPT)  # in mid-message: the server is reset
            return
        if wire is None:
            self._rest = None
            self._send_end_of_data(b"")
        else:
            self._send(wire)

    def content(self, event: ContentReceived) -> None:
        if self._refusal is not None:
            return
        if self._untapped and not self._dialogue.places:
            self._send(event.data)
            return
        transfer = self._open_transfer()
        if transfer.plain:
            self._send(event.data)
        else:
            transfer.receive(event.data, event.at_line_start)
            self._advance(transfer)

    def end_of_data(self, event: EndOfData) -> None:
        self._message = self._dialogue.exchanges.open(END_OF_DATA)
        if self._refusal is not None:
            self._answer(self._refusal)
            return
        if self._untapped and not self._dialogue.places:
            self._dialogue.out.append(BodyComplete(event.size, received=event.size))
            self._send_end_of_data(b"")
            return
        transfer = self._open_transfer()
        transfer.receive_end(event.size)
        self._advance(transfer)

    def swallow(self, reply: Reply) -> None:
        """The message that the client will send is dropped and answered with this reply."""
        self._refusal = reply
        self._dialogue.reset_server()

    def refuse(self, reply: Reply, *, first: bool = False) -> None:
        """The message will be answered with this reply, and the server must not take it. ``first``: see
        `Dialogue.reset_server`."""
        dialogue = self._dialogue
        self._drop_transfer()
        if self._refusal is not None:
            pass  # it has been seen to
        elif dialogue.server.phase is Phase.CONTENT:
            dialogue.detach()
        elif reply.code != 421:  # which ends both sides anyway
            dialogue.reset_server(first=first)
        if self._message is None:
            self._refusal = reply
        else:
            self._answer(reply)

    def data_answered(self, reply: Reply) -> None:
        """The server's reply to the DATA of a held message."""
        dialogue, transfer = self._dialogue, self._transfer
        assert transfer is not None  # it is held
        if dialogue.server.phase is Phase.CONTENT:
            self._send_held(transfer)
        else:
            # The client takes its transaction for ended; and 2xx to DATA is no promise to take a message.
            dialogue.reset_server(first=True)
            self._answer(reply if reply.code >= 400 else own_replies.NOT_TAKEN)

    def _open_transfer(self) -> Transfer:
        if self._transfer is None:
            dialogue = self._dialogue
            client = dialogue.client
            self._transfer = Transfer(
                dialogue.config,
                dialogue.places,
                client.envelope,
                client.max_message_size,
                dialogue.make_spool,
            )
        return self._transfer

    def _advance(self, transfer: Transfer) -> None:
        """Does what the transfer wants done, up to a question or the end of what it has."""
        while (action := transfer.next_action()) is not None:
            if isinstance(action, bytes):
                self._send(action)
            elif isinstance(action, BodyChunk):
                self._dialogue.out.append(action)
            elif isinstance(action, Reply):
                self.refuse(action)
                return
            else:
                self._dialogue.ask_for(action, self._judged)
                return
        if transfer.ended:
            self._finish(transfer)

    def _judged(self, verdict: AnyVerdict) -> None:
        if isinstance(verdict, Answer):
            self.refuse(verdict.reply)
        elif isinstance(verdict, Disconnect):
            self._dialogue.end_session(self._message, verdict.reply)
        else:
            assert isinstance(verdict, Continue | Replace)
            assert self._transfer is not None
            if verdict.recipients and self._dialogue.server.phase is Phase.CONTENT:
                self.refuse(own_replies.NO_COPY)  # the server is past recipients
                return
            self._dialogue.add_recipients(verdict.recipients)
            self._transfer.resume(verdict)
            self._advance(self._transfer)

    def _finish(self, transfer: Transfer) -> None:
        dialogue = self._dialogue
        dialogue.out.append(transfer.completed())
        if not transfer.held:
            self._send_end_of_data(b"")
        elif dialogue.server.phase is Phase.CONTENT:
            self._send_held(transfer)
        else:
            dialogue.exchanges.unsent.append((_DATA, Internal.HELD_DATA))
            dialogue.send_unsent()

    def _send_held(self, transfer: Transfer) -> None:
        if transfer.spooled:
            self._rest = transfer.held_wire()
            self.more()
        else:
            self._send_end_of_data(b"".join(transfer.held_wire()))

    def _drop_transfer(self) -> None:
        if self._transfer is not None:
            self._transfer.close()
            self._transfer = None

    def _send(self, wire: bytes) -> None:
        self._dialogue.out.append(SendToServer(self._dialogue.server.send_content(wire)))

    def _send_end_of_data(self, wire: bytes) -> None:
        dialogue = self._dialogue
        assert self._message is not None
        if wire:
            self._send(wire)
        dialogue.exchanges.forwarded.append(self._message)
        dialogue.out.append(SendToServer(dialogue.server.send_end_of_data()))
        dialogue.out.append(AwaitReply(END_OF_DATA))
        self._drop_transfer()
        self._message = None

    def _answer(self, reply: Reply) -> None:
        message, self._message = self._message, None
        assert message is not None
        self._drop_transfer()
        self._refusal = None
        self._dialogue.fill(message, reply)
