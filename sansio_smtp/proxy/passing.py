"""Passing: one usual input whose octets go to the other side as they are, without events.

A session that is relayed says a line, gets the reply, says the next line. While nothing is asked and nothing
has gone wrong, all that comes of such an input are the same octets for the other side::

    client  ── one whole line ───────────────────────────> server
            <──────────────────────────── its whole reply ──
            ── a segment of mail data, or the last one ───>

`Proxy.pass_on` gives each input to `Passing` first. It takes an input as a whole, or returns None and has
changed nothing: then the input is for `Proxy.receive_from`, where the `Lane` comes next.

What must never happen is that a check is skipped. There are two kinds of checks. Those of the input itself
are made each time. Those of the state are made once, at rest: when neither side owes the other anything
(`_look`). From then on only inputs that are taken here move the state, and none of them changes what was
looked at; every other input ends that (`stop`), and the next one at rest is looked at anew. So the reply to
DATA is taken only if it is 354: after another one it is in doubt what the client sends next.

CPU time of a message of 4 KiB, one command at a time, in the core and in the driver without its system calls:
71 µs with the lane alone, 27 µs with this.

Nothing is decided here: what is not passed on at once by `CommandFlow`, `Forwarding`, `Downstream` and
`MessageFlow` is not taken. States move by the tables of `sansio_smtp.states`, in methods of the ends.
"""

from __future__ import annotations

from typing import Final

from sansio_smtp.config import Config
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.events import MessageAnswered
from sansio_smtp.members import (
    EFFECT_ADD_RECIPIENT,
    EFFECT_BEGIN,
    KIND_DATA,
    PHASE_CONTENT,
)
from sansio_smtp.verbs import VERBS, Effect, Kind
from sansio_smtp.wire.commands import END_OF_DATA, Command
from sansio_smtp.wire.replies import Reply

from .downstream import Downstream
from .forwarding import Forwarding
from .message_flow import MessageFlow
from .reply_flow import LOGGED_IN

__all__ = ["Passing"]

_CR, _LF = b"\r\n"
_LINES: Final[dict[bytes, tuple[bytes, Kind, Effect | None]]] = {
    line[:5]: (verb := line[:4], VERBS[verb].kind, VERBS[verb].effect)
    for line in (b"MAIL ", b"RCPT ", b"DATA\r\n", b"RSET\r\n", b"NOOP\r\n")
}
"""First five octets of a usual line → verb, kind, effect. Lower-case verbs are not usual."""
_CODES: Final = {b"%d " % code: code for code in range(200, 600) if code not in (421, LOGGED_IN)}
"""First four octets of a reply of one line → its code; those that end the session or log in are left out."""


class Passing:
    """Takes a usual input as a whole, and gives the octets for the other side."""

    __slots__ = (
        "_awaited",
        "_client",
        "_config",
        "_downstream",
        "_forwarding",
        "_max_line",
        "_message",
        "_server",
        "answered",
        "calm",
        "taken",
    )

    def __init__(
        self, config: Config, downstream: Downstream, forwarding: Forwarding, message: MessageFlow
    ) -> None:
        self.taken = 1
        """The number of commands, replies and pieces of content in the last input that was taken."""
        self.answered: MessageAnswered | None = None
        """What the last reply that was taken means for a message; None if it answers none."""
        self._config = config
        self._max_line = config.max_line
        self._downstream = downstream
        self._forwarding = forwarding
        self._message = message
        self._client = downstream.end
        self._server = forwarding.leg.end
        self.calm = False
        """True if the state has been looked at, and only inputs that were taken here have moved it since."""
        self._awaited: Exchange | None = None  # the only line that is owed a reply, while it is calm

    def stop(self) -> None:
        """An input is about to be taken elsewhere."""
        self.calm = False

    def _look(self) -> bool:
        """Returns True if nothing is owed or asked, and a usual line would be passed on at once."""
        forwarding = self._forwarding
        self._server = forwarding.leg.end
        self._awaited = None
        self.calm = (
            self._downstream.relays
            and not self._client.exchanges
            and self._client.reads_commands
            and forwarding.relays
            and self._message.relays
        )
        return self.calm

    def take_answered(self) -> MessageAnswered | None:
        """See `Proxy.take_answered`."""
        answered, self.answered = self.answered, None
        return answered

    def from_client(self, data: bytes) -> bytes | None:
        """Takes one line, or a segment of mail data. Returns what goes to the server; None if it is not
        taken."""
        client = self._client
        if client.phase is PHASE_CONTENT:
            return self._content(data)
        usual, size = _LINES.get(data[:5]), len(data) - 2
        if (
            usual is None
            or data.find(_CR) != size
            or data.find(_LF) != size + 1
            or size > self._max_line
            or 0 in data
            or not (self.calm or self._look())
            or self._awaited is not None
        ):
            return None
        verb, kind, effect = usual
        command = Command(verb, data[:-2], kind)
        if effect is EFFECT_ADD_RECIPIENT:
            if len(client.transaction.envelope.recipients) >= self._config.max_recipients:
                return None
        elif effect is EFFECT_BEGIN and (
            b"REQUIRETLS" in data.upper()
            or ((limit := self._config.max_message_size) and command.declared_size > limit)
        ):
            return None
        self._awaited = exchange = client.take_line(command)
        self.taken = 1
        return self._server.send_command(command, exchange)

    def _content(self, data: bytes) -> bytes | None:
        reader = self._client.content
        if not self.calm or reader is None or not reader.take_whole(data):
            return None
        if reader.finished:
            exchange = self._client.take_end_of_data()
            self._awaited = exchange
            self._message.passed_end()
            self._server.send_end_of_data(exchange)
            self.taken = 2
        else:
            self._message.passed()
            self.taken = 1
        return data

    def from_server(self, data: bytes) -> bytes | None:
        """Takes one reply. Returns what goes to the client; None if it is not taken."""
        exchange, code, size = self._awaited, _CODES.get(data[:4]), len(data) - 2
        if (
            not self.calm
            or exchange is None
            or code is None
            or data.find(_CR) != size
            or data.find(_LF) != size + 1
            or size + 2 > self._config.max_reply
            or 0 in data
        ):
            return None
        command = exchange.command
        if command.kind is KIND_DATA and code // 100 != 3:
            return None  # what comes next is in doubt
        reply = Reply(code, data)
        if not self._server.take_reply(command, reply):
            return None
        self.answered = (
            MessageAnswered(reply, self._client.transaction.envelope) if command is END_OF_DATA else None
        )
        self._awaited = None
        self._client.send_reply(reply)
        self.taken = 1
        return data
