"""The lane: takes what usually comes, in few calls, and leaves everything else to the general path.

It takes the beginning of an input, as far as it is usual::

    input ──> [ usual ][ usual ][ what is not ─────────── ]
                 │        │        └─> the ends and the flows, as if this were an input by itself
                 └────────┴─> events

    of the client    whole lines of forwarded commands that nobody asks about; mail data
    of the server    whole replies to such commands and to messages, which only have to be passed on

What must never happen is that a check is skipped, or that the two paths differ. So the lane only *reads* in
another way: one match of a pattern in place of an inbox, one for a whole reply, no object for what was read.
It decides nothing. What becomes of a command (its server, its limits, its turn) is said by `CommandFlow` and
`Forwarding`, of content by `MessageFlow`, of a reply by `Downstream`, for both paths; and all states move by
the tables of `sansio_smtp.states`, in the methods that the general path calls too. An input that was taken
in part is no special case: the general path gives the same for any cuts (promise P1), and the rest is an
input that was cut there.

`Config.lane` switches it off, to compare: the events of each input must be the same.
"""

from __future__ import annotations

import re
from typing import Final

from sansio_smtp.config import Config
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.members import (
    GATE_ASKED,
    GATE_OPEN,
    KIND_DATA,
    MESSAGE_NONE,
    MESSAGE_STREAMING,
    PHASE_CONTENT,
    UPSTREAM_READY,
)
from sansio_smtp.verbs import VERBS, Kind, Support
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.reply_reader import REPLY

from .command_flow import CommandFlow
from .downstream import Downstream
from .forwarding import Forwarding
from .message_flow import MessageFlow
from .reply_flow import LOGGED_IN

__all__ = ["Lane"]

_LINE: Final = re.compile(rb"(([A-Za-z]+)(?:[ \t][^\r\n\0]*)?)\r\n")
"""A whole line. Its groups: the line without its CRLF, and the verb."""
_USUAL: Final = {
    name: verb.kind
    for name, verb in VERBS.items()
    if verb.support is Support.FORWARDED and verb.kind is not Kind.AUTH
}
"""verb → kind, of the commands that the lane takes. None of them holds a credential."""
_PASSED: Final = frozenset((Kind.PLAIN, Kind.GROUP, Kind.DATA, Kind.END_OF_DATA))
"""The kinds of commands from whose replies nothing is learnt, but from a DATA that is refused."""


class Lane:
    """Takes the beginning of an input that is usual."""

    __slots__ = (
        "_asked",
        "_client",
        "_commands",
        "_downstream",
        "_forwarding",
        "_max_line",
        "_max_pipelined",
        "_max_reply",
        "_message",
        "_takes_commands",
        "_takes_replies",
        "taken",
    )

    def __init__(
        self,
        config: Config,
        downstream: Downstream,
        forwarding: Forwarding,
        message: MessageFlow,
        commands: CommandFlow,
        *,
        asks_replies: bool,
    ) -> None:
        self.taken = 0
        """The number of commands, replies and pieces of content in what was taken of the last input."""
        self._client = downstream.end
        self._downstream = downstream
        self._forwarding = forwarding
        self._message = message
        self._commands = commands
        self._asked = commands.verbs
        self._max_line = config.max_line
        self._max_pipelined = config.max_pipelined
        self._max_reply = config.max_reply
        self._takes_commands = not commands.asks_all
        self._takes_replies = not asks_replies

    def from_client(self, data: bytes) -> bytes | None:
        """Takes the usual beginning of what the client sent. Returns the rest, which is for the general path;
        None if nothing is left to be done."""
        self.taken = 0
        if self._client.phase is PHASE_CONTENT:
            return self._content(data)
        return self._lines(data)

    def _lines(self, data: bytes) -> bytes | None:
        downstream, client = self._downstream, self._client
        if not self._takes_commands or self._forwarding.leg.state is not UPSTREAM_READY:
            return data
        at, size = 0, len(data)
        while at < size and downstream.gate is GATE_OPEN and client.reads_commands:
            line = _LINE.match(data, at)
            if line is None:
                break
            raw, verb = line.groups()
            verb = verb.upper()
            kind = _USUAL.get(verb)
            if (
                kind is None
                or verb in self._asked
                or len(raw) > self._max_line
                or len(client.exchanges) >= self._max_pipelined
            ):
                break
            at = line.end()
            self.taken += 1
            command = Command(verb, raw, kind)
            self._commands.usual(client.take_line(command), command)
        return None if at == size and self._plain() else data[at:]

    def _content(self, data: bytes) -> bytes | None:
        client, message, downstream = self._client, self._message, self._downstream
        reader, gate = client.content, downstream.gate
        if (
            reader is None
            or gate is not GATE_OPEN
            or self._forwarding.leg.state is not UPSTREAM_READY
            or client.pending
            or len(client.exchanges) >= self._max_pipelined
        ):
            return data
        piece = reader.feed(data)
        if piece:
            self.taken += 1
            message.content(piece, reader.at_line_start)
        if downstream.gate is not GATE_OPEN or reader.error is not None:
            return reader.rest
        if reader.finished:
            self.taken += 1
            client.take_end_of_data()
            message.end_of_data(reader.size)
        return self._lines(reader.rest)

    def from_server(self, data: bytes) -> bytes | None:
        """Takes the usual beginning of what the server sent. Returns the rest, which is for the general path;
        None if nothing is left to be done."""
        self.taken = 0
        if not self._takes_replies or not self._plain() or self._client.pending:
            return data
        at, size, end, downstream = 0, len(data), self._forwarding.leg.end, self._downstream
        while at < size and (owed := end.next_reply_to) is not None:
            command, handle = owed
            if command.kind not in _PASSED or not isinstance(handle, Exchange):
                break
            found = REPLY.match(data, at)
            if found is None:
                break
            code = int(found[1])
            reply = Reply(code, found[0])
            after = found.end()
            if (
                code in (421, LOGGED_IN)
                or (command.kind is KIND_DATA and code >= 400)
                or after - at > self._max_reply
                or not end.take_reply(command, reply)
            ):
                break
            at = after
            self.taken += 1
            downstream.fill(handle, reply)
        return None if at == size and self._plain() else data[at:]

    def _plain(self) -> bool:
        """Returns True if the joint state is one of plain relaying, which `Proxy` need not check."""
        gate, message = self._downstream.gate, self._message.state
        if gate is not GATE_OPEN and (gate is not GATE_ASKED or message is not MESSAGE_NONE):
            return False
        return self._forwarding.leg.state is UPSTREAM_READY and (
            message is MESSAGE_NONE or message is MESSAGE_STREAMING
        )
