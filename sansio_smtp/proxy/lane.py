"""The lane: handles usual input in few calls, and leaves everything else to the general path. It takes the
usual beginning of an input::

    input ──> [ usual ][ usual ][ what is not ─────────── ]
                 │        │        └─> the ends and the flows, as if this were an input by itself
                 └────────┴─> events

    of the client    whole lines of known verbs that are forwarded, without bare CR, bare LF or NUL, and no
                     AUTH; mail data
    of the server    whole replies to such commands and to messages, which only have to be passed on

What must never happen is that a check is skipped, or that the two paths differ. The lane is safe because it
only *reads* in another way: one pattern match in place of an inbox, one for a whole reply, and no object for
the input. It decides nothing. For both paths, `CommandFlow` and `Forwarding` decide about a command
(question, limits, server, turn), `ContentReader` and `MessageFlow` about content, and `Downstream` about a
reply; and states move by the tables of `sansio_smtp.states`, in methods of the ends. A partly taken input is
not a special case: the result of the general path does not depend on cuts (promise P1), and the rest is an
input that was cut there. If the joint state is not that of plain relaying, the general path runs last, and
checks it.

Python calls for a message of 4 KiB, and CPU time on one machine:

======================================  =====  =====
one command at a time                   calls     µs
======================================  =====  =====
before there was a lane                   254     97
the general path (`Config.lane` False)    208     87
with the lane                             119     56
======================================  =====  =====

Tests compare the two paths: the same events, states and levels after each input.
"""

from __future__ import annotations

import re
from typing import Final

from sansio_smtp.config import Config, Dialect
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.members import (
    DIALECT_LMTP,
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
from .tally import JUNK

__all__ = ["Lane"]

_LINE: Final = re.compile(rb"(([A-Za-z]+)(?:[ \t][^\r\n\0]*)?)\r\n")
"""A whole line. Its groups: the line without its CRLF, and the verb."""
_USUAL: Final = {
    name: verb.kind
    for name, verb in VERBS.items()
    if verb.support is Support.FORWARDED and verb.kind not in (Kind.AUTH, Kind.CHUNK) and name != b"LHLO"
}
"""Verb → kind, for the commands that the lane takes. None of them holds a credential, counts octets, or
belongs only to LMTP."""
_PASSED: Final = frozenset((Kind.PLAIN, Kind.GROUP, Kind.DATA, Kind.END_OF_DATA))
"""The kinds of commands whose replies change nothing else, except for a refused DATA."""


class Lane:
    """Takes the usual beginning of an input."""

    __slots__ = (
        "_asked",
        "_asks_all",
        "_by_recipient",
        "_client",
        "_commands",
        "_downstream",
        "_forwarding",
        "_max_line",
        "_max_pipelined",
        "_max_reply",
        "_message",
        "_takes_replies",
        "_tally",
        "flows",
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
        """The number of commands, replies and pieces of content that were taken from the last input."""
        self.flows = False
        """True if the client may be read again, after a client's input that was taken as a whole."""
        self._client = downstream.end
        self._downstream = downstream
        self._forwarding = forwarding
        self._message = message
        self._commands = commands
        self._asked = commands.verbs
        self._max_line = config.max_line
        self._max_pipelined = config.max_pipelined
        self._max_reply = config.max_reply
        self._by_recipient = config.client_dialect is Dialect.LMTP
        self._asks_all = commands.asks_all
        self._takes_replies = not asks_replies
        self._tally = downstream.tally

    def from_client(self, data: bytes) -> bytes | None:
        """Takes the usual beginning of the client's input. Returns the rest for the general path; None if
        nothing is left to do."""
        client = self._client
        if client.phase is PHASE_CONTENT:
            return self._content(data)
        downstream, commands, leg = self._downstream, self._commands, self._forwarding.leg
        self.taken = taken = at = 0
        if leg.state is not UPSTREAM_READY or self._by_recipient or self._forwarding.chunks_waiting:
            return data  # without a server, commands with a question may be answered here
        size, tally, junk = len(data), self._tally, 0
        while at < size and downstream.gate is GATE_OPEN and client.reads_commands and tally.over is None:
            line = _LINE.match(data, at)
            if line is None:
                break
            raw, verb = line.groups()
            verb = verb.upper()
            kind = _USUAL.get(verb)
            if kind is None or len(raw) > self._max_line or len(client.exchanges) >= self._max_pipelined:
                break
            if verb in JUNK:
                if tally.room_for_junk <= junk:
                    break
                junk += 1
            at = line.end()
            taken += 1
            command = Command(verb, raw, kind)
            exchange = client.take_line(command)
            if self._asks_all or verb in self._asked:
                commands.ask(exchange, command)
            elif kind is KIND_DATA:
                commands.data(exchange, command)
            else:
                commands.forward(exchange, command)
        self.taken = taken
        if taken:
            tally.passed(taken, junk)
        if (
            at == size
            and (downstream.gate is GATE_OPEN or downstream.gate is GATE_ASKED)
            and self._forwarding.leg.state is UPSTREAM_READY
            and self._message.state is MESSAGE_NONE
        ):
            self.flows = downstream.gate is GATE_OPEN and len(client.exchanges) < self._max_pipelined
            return None
        return data[at:]

    def _content(self, data: bytes) -> bytes | None:
        client, downstream, forwarding, message = (
            self._client,
            self._downstream,
            self._forwarding,
            self._message,
        )
        reader, gate = client.content, downstream.gate
        self.taken = taken = 0
        if reader is None or gate is not GATE_OPEN or client.pending:
            return data
        piece = reader.feed(bytes(data))  # other types may change later; a bytes object is not copied
        if piece:
            self.taken = taken = 1
            message.content(piece, reader.at_line_start)
        if downstream.gate is GATE_OPEN and reader.error is None:
            if reader.finished:
                client.take_end_of_data()
                message.end_of_data(reader.size, reader.bare_lf)
                if reader.rest:
                    left = self.from_client(reader.rest)
                    self.taken += taken + 1
                    return left
                self.taken = taken + 1
            if forwarding.leg.state is UPSTREAM_READY and (
                message.state is MESSAGE_NONE or message.state is MESSAGE_STREAMING
            ):
                self.flows = len(client.exchanges) < self._max_pipelined
                return None
        return reader.rest

    def from_server(self, data: bytes) -> bytes | None:
        """Takes the usual beginning of the server's input. Returns the rest for the general path; None if
        nothing is left to do."""
        downstream, forwarding, message = self._downstream, self._forwarding, self._message
        gate, leg = downstream.gate, forwarding.leg
        self.taken = 0
        if (
            not self._takes_replies
            or self._by_recipient
            or leg.end.dialect is DIALECT_LMTP
            or self._client.pending
            or (gate is not GATE_OPEN and gate is not GATE_ASKED)
            or (message.state is not MESSAGE_NONE and message.state is not MESSAGE_STREAMING)
        ):
            return data
        at, size, end = 0, len(data), leg.end
        while at < size and (owed := end.next_reply_to) is not None:
            command, handle = owed
            kind = command.kind
            if kind not in _PASSED or not isinstance(handle, Exchange):
                break
            found = REPLY.match(data, at)
            if found is None:
                break
            code, after = int(found[1]), found.end()
            if (
                code == 421
                or code == LOGGED_IN
                or (kind is KIND_DATA and code >= 400)
                or after - at > self._max_reply
            ):
                break
            reply = Reply(code, found[0])
            if not end.take_reply(command, reply):
                break
            at = after
            self.taken += 1
            downstream.fill(handle, reply)
        if at == size and downstream.gate is gate and leg.state is UPSTREAM_READY:
            return None
        return data[at:]
