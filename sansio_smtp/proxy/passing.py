"""Passing: usual inputs whose octets go to the other side unchanged, without events. In a relayed session the
client sends a line, gets the reply, and sends the next line. While there is no question and no error, the
only result of such an input is the same octets for the other side::

    BEGIN ── greeting ──> GREETED ── EHLO or HELO ──> HELLO ── its reply ──> REST
    REST ── a whole line ──> OWED ── its whole reply ──> REST      or a group of lines, and their replies
     │                            └─ 354 ──> CONTENT ── the whole message ──> OWED ── the reply ──> REST
     │                                         └─ a segment of it ──> STREAM ── the last one ──> OWED
     └─ QUIT ──> QUIT ── 221 ──> ENDED

`Proxy.pass_on` gives each input to `Passing` first. `Passing` takes a whole input, or returns None: then the
input is for `Proxy.receive_from`, which tries the `Lane` next.

What must never happen is that a check is skipped. There are two kinds of checks. Checks of the input itself
are made each time. Checks of the state are made once, at rest: when neither side owes the other anything
(`_look`). After that only inputs taken here move the state, and none of them changes what was checked. Every
other input ends this (`stop`), and the state is checked again at the next rest. So the reply to DATA is taken
only if it is 354: after another reply it is not certain what the client sends next. The results of a
session's opening are known from other sessions with the same opening (`Openings`).

The ends are told what was passed on only when they are needed: before any other input, and before a level is
read (`catch_up`). Then they get the same inputs in the same order. A whole message without a question does
not change the state, and is forgotten. The steps above come from the tables of `sansio_smtp.states`, which
also move the ends. The opening and the end of the session are given to the general path again, because it
holds everything that they change. Most sessions that send a message and quit are over before that is needed.
CPU time of a message of 4 KiB, one command at a time, in the core and in the driver without its system calls:
71 µs with the lane alone, 27 µs if the ends are told of each input at once, 10 µs with this module. Python
calls in the core for a session with one message, from the greeting to 221: 254 with opening and end on the
general path, 60 with this module.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from sansio_smtp.config import Config
from sansio_smtp.ends.exchanges import Content
from sansio_smtp.ends.transaction import Envelope, Transaction
from sansio_smtp.events import CLIENT, SERVER, MessageAnswered
from sansio_smtp.states import FRAMING, LINE_STEPS, REPLY_STEPS, Phase
from sansio_smtp.verbs import VERBS, Kind
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.message_id import MessageIdReader
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.scan import scan

from .command_flow import CommandFlow
from .downstream import Downstream
from .forwarding import Forwarding
from .message_flow import MessageFlow
from .openings import Input, Opened, Openings
from .reply_flow import LOGGED_IN
from .tally import Tally

__all__ = [
    "CONTENT",
    "LINES",
    "OWED",
    "REST",
    "TO_MESSAGE",
    "UNKNOWN",
    "WHOLE",
    "Line",
    "Passing",
    "Stage",
    "reply_of",
]

UNKNOWN: Final = 0
"""The state must be checked first."""
REST, OWED, CONTENT, _STREAM = 1, 2, 3, 4
_BEGIN, _GREETED, _HELLO, _QUIT, _ENDED = 5, 6, 7, 8, 9
""""Waiting for the greeting, for EHLO or HELO, for its reply; for the reply to QUIT; and after that."""
_AFTER: Final = {Phase.COMMAND: REST, Phase.CONTENT: CONTENT}

_CRLF: Final = b"\r\n"
_CR, _LF = _CRLF
_DOT: Final = ord(".")
_MOST: Final = 128
"""The most lines and replies that the ends are not told of yet. It limits the memory of sessions without
messages."""
_LONGEST: Final = 512
"""The most octets of a usual line or reply (RFC 5321 §4.5.3.1.4), so that kept ones are short."""


def _replies(kind: Kind) -> Mapping[bytes, int]:
    """First four octets of a usual reply of one line → the next mode. Refusals are left out because `Tally`
    counts them; so are replies that log in, and replies to DATA other than 354."""
    before = Phase.CONTENT if kind is Kind.END_OF_DATA else Phase.COMMAND
    owed = FRAMING[FRAMING[before][LINE_STEPS[kind]]]
    found: dict[bytes, int] = {}
    for code in range(200, 400):
        step = REPLY_STEPS.get((kind, code // 100))
        after = owed.get(step) if step is not None else None
        if after is not None and code != LOGGED_IN and (kind is Kind.DATA) is (after is Phase.CONTENT):
            found[b"%d " % code] = _AFTER[after]
    return found


@attrs.frozen(eq=False)
class Line:
    """A kind of usual line."""

    verb: bytes
    kind: Kind
    replies: Mapping[bytes, int]

    def command(self, line: bytes) -> Command:
        return Command(self.verb, line[:-2], self.kind)


LINES: Final = {
    line[:5]: Line(verb := line[:4], kind := VERBS[verb].kind, _replies(kind))
    for line in (b"MAIL ", b"RCPT ", b"DATA\r\n", b"RSET\r\n", b"NOOP\r\n")
}
"""First five octets of a usual line → its kind. Lower-case verbs are not usual."""
_MAIL, _RCPT, _DATA = LINES[b"MAIL "], LINES[b"RCPT "], LINES[b"DATA\r"]
_RSET, _NOOP = LINES[b"RSET\r"], LINES[b"NOOP\r"]
TO_MESSAGE: Final = _replies(Kind.END_OF_DATA)
_QUIT_LINE: Final = b"QUIT\r\n"
_HELLO_LINE: Final = re.compile(rb"(EHLO|HELO) [A-Za-z0-9.:\[\]-]{1,255}\r\n")
WHOLE: Final = b""
"""A placeholder for a whole message among the inputs that were passed."""


class Stage(Protocol):
    """The proxy, as `Passing` uses it."""

    def replay(self, inputs: tuple[Input, ...]) -> None:
        """Gives these inputs to the general path. Their output has already been passed on."""

    def rehearse(self, inputs: tuple[Input, ...]) -> Opened | None:
        """See `openings.Rehearse`."""
        ...

    @property
    def place(self) -> Hashable:
        """See `Openings`."""
        ...

    def answered(self, reply: Reply, envelope: Envelope, content: Content | None) -> MessageAnswered:
        """See `Downstream.answered`."""
        ...

    def take_up(self, lines: bytes) -> None:
        """Gives these lines of the client to the general path. They have no output yet, because the server
        owes a reply to an earlier line."""


class Passing:
    """Takes a whole usual input, and gives the octets for the other side."""

    __slots__ = (
        "_accounts",
        "_answered",
        "_asks",
        "_client",
        "_commands",
        "_content_known",
        "_downstream",
        "_ending",
        "_forwarding",
        "_from_rest",
        "_headroom",
        "_junk",
        "_keeps",
        "_lines",
        "_max_junk",
        "_max_line",
        "_max_pipelined",
        "_max_recipients",
        "_max_reply",
        "_max_size",
        "_message",
        "_messages",
        "_more",
        "_opening",
        "_openings",
        "_owed",
        "_passed",
        "_place",
        "_room",
        "_room_for_junk",
        "_server",
        "_size_limit",
        "_stage",
        "_takes_groups",
        "_tally",
        "answers",
        "begun",
        "failed",
        "mode",
        "rest",
        "taken",
    )

    def __init__(
        self,
        config: Config,
        openings: Openings | None,
        stage: Stage,
        tally: Tally,
    ) -> None:
        """``openings``: the known openings; None if an opening depends on more than they know. Until `use` is
        called, only the opening is taken, if it passes."""
        self.mode = UNKNOWN if openings is None else _BEGIN
        """The mode: what comes next. 0 if the state is not plain relaying, or was not checked."""
        self.taken = 1
        """The number of commands, replies and pieces of content in the last input that was taken."""
        self.answers = False
        """True after a reply to a message was taken, until `take_answered`."""
        self.failed = False
        """True after a fault in `catch_up`: the ends do not know all that has happened."""
        self.rest = b""
        """Lines of a command group that were not passed on: see `AskedPassing`. Always empty here, because a
        group is passed on as a whole."""
        self._max_line = min(config.max_line, _LONGEST - 2)
        self._max_pipelined = config.max_pipelined
        self._max_reply = min(config.max_reply, _LONGEST)
        self._max_recipients = config.max_recipients
        self._size_limit = config.max_message_size
        self._keeps = config.keep
        self._accounts = config.account
        self._headroom = config.headroom
        self._openings = openings
        self._asks = False  # True if lines have questions: see `AskedPassing`
        self._stage = stage
        self._tally = tally
        self._place: Hashable = None
        self._takes_groups = False  # of the server
        self._max_size = self._size_limit  # of the next message
        self._owed: Mapping[bytes, int] = TO_MESSAGE  # the expected replies
        self._more: tuple[Mapping[bytes, int], ...] = ()  # the replies to later lines of the group
        self._room = 0  # of recipients
        self._max_junk = config.max_junk
        self._room_for_junk = 0
        # Counts that the tally does not have yet; junk since the last message.
        self._lines = self._junk = self._messages = 0
        # Inputs that the ends do not have yet: those up to the reply to EHLO, the later ones, QUIT and 221.
        self.begun: tuple[Input, ...] = ()
        """Read only."""
        self._passed: list[bytes] = []
        self._ending: tuple[Input, ...] = ()
        self._opening: tuple[Input, ...] = ()  # the inputs up to the reply to EHLO, until it comes
        self._from_rest = False  # True if the later inputs begin at rest, outside a mail transaction
        self._answered: MessageAnswered | list[bytes] | None = None
        self._content_known: Content | None = None  # for the last whole message that has passed

    def use(
        self, downstream: Downstream, forwarding: Forwarding, message: MessageFlow, commands: CommandFlow
    ) -> None:
        """Sets the parts of the session. They are made when they are first needed."""
        self._downstream = downstream
        self._forwarding = forwarding
        self._message = message
        self._commands = commands
        self._client = downstream.end
        self._server = forwarding.leg.end

    def let_go(self) -> None:
        """Like `Downstream.let_go`. Inputs that have passed can still be read as long as the proxy exists."""
        self._stage = weakref.proxy(self._stage)

    def stop(self) -> None:
        """Called before an input is taken elsewhere."""
        if self.rest:
            self.settle()
        else:
            self.catch_up()  # saves a call
        self.count()
        self.mode = UNKNOWN

    def take_rest(self) -> bytes:
        """Gives ``rest`` to the general path."""
        rest, self.rest = self.rest, b""
        return rest

    def take_unpassed(self, line: bytes) -> Command | None:
        """The command of a line that had a question and was not passed on; it is for the general path. Always
        None here, because there are no questions."""
        return None

    def count(self) -> None:
        """Called before the tally is read, or counts another input."""
        if self._lines or self._messages:
            self._tally.passed(self._lines, self._junk, self._messages)
            self._lines = self._junk = self._messages = 0

    def catch_up(self) -> None:
        """Tells the ends what was passed. Called before the ends are read, or get another input."""
        if not (self._passed or self.begun or self._ending):
            return
        begun, self.begun, ending, self._ending = self.begun, (), self._ending, ()
        passed, self._passed, self.failed = self._passed, [], True
        if begun:
            self._stage.replay(begun)
            self._server = self._forwarding.leg.end
        client, server = self._client, self._server
        for octets in passed:
            if octets == WHOLE:
                self._message.passed_end()
                exchange = client.take_end_of_data()
                if self._content_known is not None:
                    exchange.came_with(self._content_known)
                server.pass_end_of_data(exchange)
            elif (line := LINES.get(octets[:5])) is not None:
                command = self._told(line, octets)
                server.pass_command(command, client.take_line(command))
            else:
                self._take_reply(octets)
        if ending:
            self._stage.replay(ending)
        self.failed = False
        self._from_rest = self.mode == REST and self._is_outside

    settle = catch_up
    """The same, also if there is a ``rest``, which then goes to the general path."""

    def _told(self, line: Line, octets: bytes) -> Command:
        """The command of a line that is now given to the ends."""
        return line.command(octets)

    def _take_reply(self, octets: bytes) -> None:
        reply, command = reply_of(octets), self._server.awaiting
        assert command is not None  # the line was passed before
        self._server.take_reply(command, reply)
        self._client.pass_reply(reply)

    @property
    def owes(self) -> bool:
        """True if the client waits for a reply to an input that was passed on."""
        return self.mode in (OWED, _HELLO, _QUIT)

    @property
    def may_read(self) -> bool | None:
        """True if both sides may be read, False if none; None if the ends know that."""
        if self.mode == _ENDED:
            return False
        return True if self.begun or self.mode == _BEGIN else None

    @property
    def begins(self) -> bool:
        """True if it waits for the server's greeting, and no input has come."""
        return self.mode == _BEGIN

    @property
    def ended(self) -> bool:
        """True if the reply to QUIT was passed on, so that the session is over."""
        return self.mode == _ENDED

    @property
    def owes_message(self) -> bool:
        """True if the awaited reply is to a message."""
        return self.mode == OWED and self._owed is TO_MESSAGE

    @property
    def _is_outside(self) -> bool:
        """True if neither end has a mail transaction."""
        return self._client.transaction.is_new and self._server.transaction.is_new

    def _look(self) -> bool:
        """Returns True if nothing is owed or asked, and a usual line would be passed on at once."""
        client, forwarding = self._client, self._forwarding
        if not (
            self._downstream.relays
            and not client.exchanges
            and client.reads_commands
            and forwarding.relays
            and self._message.relays
            and self._commands.relays
            and not self._tally.slow  # then the driver must see each input
            and self._tally.over is None
        ):
            return False
        self.mode, self._more = REST, ()  # the last replies of an earlier group may have been taken elsewhere
        self._server = forwarding.leg.end
        self._takes_groups = self._server.takes_groups
        self._max_size = client.max_message_size
        self._room = self._max_recipients - len(client.transaction.envelope.recipients)
        self._room_for_junk = self._tally.room_for_junk
        self._from_rest = self._is_outside
        return True

    # The client

    def from_client(self, data: bytes) -> bytes | None:
        """Takes one line, or a segment of mail data. Returns the octets for the server; None if it is not
        taken."""
        mode, line = self.mode, LINES.get(data[:5])
        if mode >= CONTENT:
            return self._content(data) if mode <= _STREAM else self._hello(data)
        if line is None or mode == OWED:
            return self._quit(data) if line is None and data == _QUIT_LINE else None
        lines = data.splitlines()  # at CR and LF
        size = len(lines[0])
        if len(lines) > 1:
            return self._group(data, lines)
        if len(data) - size != 2 or size > self._max_line or 0 in data or (not mode and not self._look()):
            return None
        if line is _RCPT:
            if self._room <= 0:  # may exceed the limit
                return None
            self._room -= 1
        elif line is _MAIL:
            if (
                b"REQUIRETLS" in data.upper()
                or (self._headroom and b"SIZE" in data.upper())
                or ((limit := self._size_limit) and line.command(data).declared_size > limit)
            ):
                return None
        elif line is not _DATA:
            if self._room_for_junk <= 0:  # may exceed the limit
                return None
            self._room_for_junk -= 1
            self._junk += 1
        taken = 1
        if self._asks and not (taken := self._judge(line, data)):
            return None
        self._lines += 1
        self._passed.append(data)
        self.mode, self._owed, self.taken = OWED, line.replies, taken
        return data

    if TYPE_CHECKING:  # implemented in `AskedPassing`: there are no questions here

        def _judge(self, line: Line, data: bytes) -> int:
            """Asks about a usual line before it is passed on. Returns the number of inputs that it counts as;
            0 if it is not passed on."""
            ...

    def _group(self, data: bytes, lines: list[bytes]) -> bytes | None:
        """Takes a command group (RFC 2920 §3.1): all lines except the last must allow more lines after
        them."""
        found = [LINES.get(line[:5] if len(line) > 4 else line + b"\r") for line in lines]
        recipients, junk = found.count(_RCPT), found.count(_RSET) + found.count(_NOOP)
        if (
            len(lines) >= self._max_pipelined
            or data != _CRLF.join((*lines, b""))
            or 0 in data
            or None in found
            or any(line.kind is not Kind.GROUP for line in found[:-1] if line is not None)
            or max(map(len, lines)) > self._max_line
            or b"REQUIRETLS" in data.upper()
            or (self._size_limit and _MAIL in found)
            or (not self.mode and not self._look())
            or not self._takes_groups
            or recipients > self._room
            or junk > self._room_for_junk
        ):
            return None
        self._lines += len(lines)
        self._junk += junk
        self._room_for_junk -= junk
        self._passed += data.splitlines(keepends=True)
        self._owed, *more = (line.replies for line in found if line is not None)
        self._more = tuple(more)
        self._room -= recipients
        self.mode, self.taken = OWED, len(lines)
        return data

    def _content(self, data: bytes) -> bytes | None:
        if self.mode == CONTENT:
            if self._is_whole(data):
                self._passed.append(WHOLE)
                if self._accounts:
                    self.has_come(data)
                self.mode, self._owed, self.taken = OWED, TO_MESSAGE, 2
                return data
            self.catch_up()
            self.mode = _STREAM
        reader = self._client.content
        if reader is None or not reader.take_whole(data):
            return None
        if not reader.finished:
            self._message.passed(data)
            self.taken = 1
            return data
        message, exchange = self._message, self._client.take_end_of_data()
        if self._accounts:
            message.passed(data)
            exchange.came_with(message.account_of(reader.size, reader.size, bare_lf=reader.bare_lf))
        message.passed_end()
        self._server.pass_end_of_data(exchange)
        self.mode, self._owed, self.taken = OWED, TO_MESSAGE, 2
        return data

    def has_come(self, data: bytes) -> None:
        """Keeps the facts about a message that has come as a whole."""
        reader = MessageIdReader()
        reader.feed(data)
        size = len(data) - 3 - scan(data)[1]
        self._content_known = Content(size, size, reader.value)

    def _is_whole(self, data: bytes) -> bool:
        """Returns True if this is all of a message, with its end-of-data and nothing after it."""
        end, dotted, suspect = scan(data)
        return (
            end >= 0
            and not suspect
            and end + 5 == len(data)
            and data[0] != _DOT
            and (self._max_size is None or len(data) - dotted - 3 <= self._max_size)
        )

    # The server

    def from_server(self, data: bytes) -> bytes | None:
        """Takes one reply. Returns the octets for the client; None if it is not taken."""
        if self.mode != OWED:
            return None if self.mode <= _STREAM else self._greeting_or_last(data)
        if self._more:
            return self._replies(data)
        after, size, lines = self._owed.get(data[:4]), len(data), data.splitlines()  # at CR and LF
        if (
            after is None
            or len(lines) != 1
            or size - len(lines[0]) != 2
            or size > self._max_reply
            or 0 in data
        ):
            return None
        if self._owed is TO_MESSAGE:
            self._answer(data)
        else:
            if len(self._passed) > _MOST:
                self.catch_up()
            self._passed.append(data)
        self.mode, self.taken = after, 1
        return data

    def _replies(self, data: bytes) -> bytes | None:
        """Takes replies to the lines of a group, as many as have come."""
        lines, owed = data.splitlines(), (self._owed, *self._more)
        if (
            len(lines) > len(owed)
            or data != _CRLF.join((*lines, b""))
            or 0 in data
            or max(map(len, lines)) + 2 > self._max_reply
        ):
            return None
        after = [replies.get(line[:4]) for line, replies in zip(lines, owed, strict=False)]
        if None in after:
            return None
        if len(self._passed) > _MOST:
            self.catch_up()
        self._passed += data.splitlines(keepends=True)
        left, self.taken = owed[len(lines) :], len(lines)
        if left:
            self._owed, self._more = left[0], left[1:]
        else:
            self._owed, self._more, self.mode = owed[-1], (), after[-1] or UNKNOWN
        return data

    def _answer(self, data: bytes) -> None:
        """Takes the reply to a message: the mail transaction has ended."""
        if self._from_rest:
            self._answered = [*self._passed, data]
            self._passed = []
        else:
            self.catch_up()
            exchange = self._client.exchanges[0]
            self._answered = self._downstream.answered(reply_of(data), exchange=exchange)
            self._take_reply(data)
            self._from_rest = self._is_outside
        self.answers, self._room = True, self._max_recipients
        self._messages += 1
        self._junk, self._room_for_junk = 0, self._max_junk

    # The beginning and the end of a session

    def opened(self, reply: bytes) -> Opened | None:
        """The state for sessions with the same opening as this one; None if something is owed."""
        return Opened(reply, self._max_size, self._takes_groups) if self._look() else None

    def _hello(self, data: bytes) -> bytes | None:
        if self.mode != _GREETED or _HELLO_LINE.fullmatch(data) is None or len(data) - 2 > self._max_line:
            return None
        said = (CLIENT, data)
        self._lines += 1
        self.begun, self._opening = (*self.begun, said), (*self._opening, said)
        self.mode, self.taken = _HELLO, 1
        return data

    def _quit(self, data: bytes) -> bytes | None:
        if self.mode == OWED or self._keeps or (not self.mode and not self._look()):
            return None
        self._ending = ((CLIENT, data),)
        self._lines += 1
        self.mode, self.taken = _QUIT, 1
        return data

    def _greeting_or_last(self, data: bytes) -> bytes | None:
        mode, size = self.mode, len(data) - 2
        if mode == _HELLO:
            return self._hello_answered(data)
        if (
            data[:4] != (b"220 " if mode == _BEGIN else b"221 ")
            or data.find(_CR) != size
            or data.find(_LF) - size != 1
            or size + 2 > self._max_reply
            or 0 in data
        ):
            return None
        if mode == _QUIT:
            self._ending += ((SERVER, data),)
            self.mode, self.taken = _ENDED, 1
            return data
        if mode != _BEGIN:
            return None
        assert self._openings is not None  # as the mode `_BEGIN` implies
        self._place = self._stage.place
        if not self._openings.begins(self._place, self._stage.rehearse):
            return None
        self.begun = self._opening = ((SERVER, data),)
        self.mode, self.taken = _GREETED, 1
        return data

    def _hello_answered(self, data: bytes) -> bytes | None:
        assert self._openings is not None  # the greeting has passed
        said, self._opening = (*self._opening, (SERVER, data)), ()
        opened = self._openings.opened(self._place, said, self._stage.rehearse)
        if opened is None:
            return None
        self.begun += (said[-1],)
        self._room, self._room_for_junk, self._from_rest = self._max_recipients, self._max_junk, True
        self._max_size, self._takes_groups = opened.max_size, opened.takes_groups
        self.mode, self.taken = REST, 1
        return opened.reply

    def forget_answered(self) -> None:
        """See `Proxy.forget_answered`."""
        self._answered, self.answers = None, False

    def take_answered(self) -> MessageAnswered | None:
        """See `Proxy.take_answered`."""
        answered, self._answered, self.answers = self._answered, None, False
        if not isinstance(answered, list):
            return answered
        transaction = Transaction()
        lines = [octets for octets in answered[:-2] if octets[:5] in LINES]
        replies = [octets for octets in answered[:-2] if octets[:5] not in LINES]
        for line, reply in zip(lines, replies, strict=True):
            transaction.answered(LINES[line[:5]].command(line), reply_of(reply))
        return self._stage.answered(reply_of(answered[-1]), transaction.envelope, self._content_known)


def reply_of(octets: bytes) -> Reply:
    return Reply(int(octets[:3]), octets)
