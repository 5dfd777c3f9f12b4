"""Passing with rules: usual inputs with a question, passed on if the verdict allows it. `Passing` takes an
input only if there is no question. Most rules check an envelope or a header section and let it pass. With
`Proxy.ask_ahead` a driver gives a function that returns the verdict at once. Then the question needs no
event, and inputs that pass take the same short way as in a session without rules::

    a line of the client ── usual, at rest? ──no───────────────────────────> `Proxy.receive_from`
                               │ yes                                                  ^
                        is this verb asked about? ──no──> passed on                   │
                               │ yes                                                  │
                        is the verdict known (`Unasked`)? ──yes──> passed on          │
                               │ no                                                   │
                        ask ahead ── Continue; for DATA: Inspect nothing,             │
                               │     or the header section ──> passed on              │
                               └──── anything else, or no verdict yet ── the command ─┘

    a whole message, its header section asked about ── the same; else `Proxy.receive_from`

In a command group the question about each line is asked when the replies before it are known. So only the
first line is passed on, and the others wait here (`rest`): after each reply the next one is handled
(`Proxy.pass_rest`). The server gets one line at a time, as on the general path. The general path takes groups
with several recipients, because a RCPT does not wait for replies to other RCPTs.

What must never happen is that a question is asked twice, or that rules and ends use different objects for a
command. A command that does not pass goes to the general path as the same object: its question then comes as
an event, and the verdict is the one already known (`RuleSession`). The ends get the same objects later
(`catch_up`), so that an `Envelope` holds the commands that rules have seen. Until then `AskedPassing` itself
follows the mail transaction, when a question needs it (`_follow`). It needs only the lines for that: a reply
that passes is not a refusal, so each line whose reply has passed was accepted.

A message of 4 KiB, one command at a time, takes 151,000 instructions in driver and core without rules. A rule
in phase ``rcpt`` adds 87,000, and 98,000 when replies were followed too; one in phase ``headers`` adds
100,000, before 118,000.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from sansio_smtp.config import Config
from sansio_smtp.ends.transaction import Envelope, Transaction
from sansio_smtp.events import MessageAnswered
from sansio_smtp.questions import (
    HEADERS,
    AnyQuestion,
    AnyVerdict,
    CommandQuestion,
    Continue,
    HeadersQuestion,
    Inspect,
    Unasked,
)
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import Command

from .forwarding import ANYWHERE
from .passing import CONTENT, LINES, OWED, REST, TO_MESSAGE, UNKNOWN, WHOLE, Line, Passing, Stage, reply_of
from .shared import Shared
from .tally import Tally

__all__ = ["Ahead", "AskedPassing", "may_ask_ahead"]

Ahead: TypeAlias = Callable[[AnyQuestion], AnyVerdict | None]
"""Returns the verdict on a question before it is asked; None if it is not known at once."""

_ASKED: Final = frozenset((b"MAIL", b"RCPT", b"DATA", b"BDAT"))
_NOWHERE: Final = frozenset[str]()
_IN_HEADERS: Final = frozenset((HEADERS,))
_CRLF: Final = b"\r\n"
_EMPTY_LINE: Final = _CRLF + _CRLF


def _unknown(_: AnyQuestion) -> AnyVerdict | None:
    return None


def may_ask_ahead(asked: Shared) -> bool:
    """Returns True if all questions about commands can be asked here, and there is a question about DATA if
    there is one about content: the verdict on DATA says if the message passes."""
    elsewhere = asked.verbs & {b"RSET", b"NOOP", b"QUIT"}
    return (
        not (asked.all_commands or asked.replies or elsewhere)
        and bool(asked.verbs & _ASKED)
        and (not asked.content or b"DATA" in asked.verbs)
    )


class AskedPassing(Passing):
    """`Passing` for a session with questions about MAIL, RCPT or DATA. ``ahead`` returns the verdicts."""

    __slots__ = (
        "_ahead",
        "_asked",
        "_envelope",
        "_followed",
        "_in_turn",
        "_inspect",
        "_max_section",
        "_of_content",
        "_places",
        "_places_told",
        "_said",
        "_transaction",
        "_unasked",
        "_unpassed",
    )

    def __init__(
        self,
        config: Config,
        stage: Stage,
        asked: Shared,
        ahead: Ahead,
        of_content: Callable[[Envelope], Inspect | None] | None,
        unasked: Unasked,
        tally: Tally,
    ) -> None:
        super().__init__(config, None, stage, tally)
        self._ahead = ahead
        self._of_content = of_content
        self._asks = True
        self._asked = asked.verbs
        self._unasked = unasked.lines
        inspect = unasked.inspect
        self._inspect = inspect if inspect is not None and inspect.places <= _IN_HEADERS else None
        self._in_turn = asked.in_turn
        self._max_section = config.max_header_section
        self._places = _NOWHERE  # the hook places of the next message
        self._places_told: frozenset[str] | None = None  # the hook places that the ends have; None: not known
        # The lines that the ends do not have yet; as commands, if rules may have seen them.
        self._said: list[Command | bytes] = []
        self._followed = 0  # the transaction has followed so many of them
        self._transaction: Transaction | None = None  # None: unknown until a reply comes, then the ends know
        self._envelope: Envelope | None = None  # the envelope of the answered message
        self._unpassed: Command | None = None

    def let_go(self) -> None:
        super().let_go()
        self._ahead, self._of_content = _unknown, None

    def take_unpassed(self, line: bytes) -> Command | None:
        command, self._unpassed = self._unpassed, None
        return command if command is not None and line.startswith(command.raw + b"\r\n") else None

    def catch_up(self) -> None:
        if self._passed:
            super().catch_up()
            self._transaction = None if self.mode == OWED else self._known()
        else:
            super().catch_up()

    def settle(self) -> None:
        self.catch_up()
        if self.rest and self.mode == OWED:
            self.count()
            rest, self.rest, self.mode = self.rest, b"", UNKNOWN
            self._stage.take_up(rest)

    def _look(self) -> bool:
        if not super()._look():
            return False
        if not self._forwarding.at_home:
            self.mode = UNKNOWN
            return False
        self._transaction, self._places_told = self._known(), None
        return True

    def _known(self) -> Transaction:
        """The client's transaction, as its end has it."""
        self._followed = 0
        return Transaction(self._client.transaction.envelope.copy())

    def _told(self, line: Line, octets: bytes) -> Command:
        command = self._said.pop(0)
        if isinstance(command, bytes):
            command = line.command(octets)
        if line.verb == b"MAIL":
            self._forwarding.target(command, ANYWHERE)
        elif line.kind is Kind.DATA:
            self._message.ask_at(self._places)
            self._places_told = self._places
        return command

    def _follow(self) -> Envelope:
        """Brings the transaction up to date, and returns its envelope. Only while no line waits for its
        reply: then all of them were accepted, because refusals do not pass."""
        transaction, said = self._transaction, self._said
        if transaction is None:
            super().catch_up()
            transaction = self._transaction = self._known()
        for at in range(self._followed, len(said)):
            command = said[at]
            if isinstance(command, bytes):  # like `Line.command`, but saves a call
                line = LINES[command[:5]]
                command = said[at] = Command(line.verb, command[:-2], line.kind)
            transaction.moved(command, 2)
        self._followed = len(said)
        return transaction.envelope

    # The client

    def _judge(self, line: Line, data: bytes) -> int:
        if self.rest:
            return 0
        verb = line.verb
        if verb not in self._asked:
            self._said.append(data)
            return 1
        usual = self._unasked.get(verb)
        if (
            usual is not None
            and usual.fullmatch(data, 0, len(data) - 2)
            and (verb == b"MAIL" or self._follow().mail is not None)
        ):
            self._said.append(data)
            return 2
        envelope = self._follow()
        if verb == b"DATA" and envelope.recipients and envelope.mail is not None:
            inspect = self._inspect
            if inspect is None and self._of_content is not None:
                inspect = self._of_content(envelope)
            if inspect is not None and inspect.places <= _IN_HEADERS:
                self._places = inspect.places
                self._said.append(data)
                return 2
        command = Command(verb, data[:-2], line.kind)
        verdict = self._ahead(CommandQuestion(command, envelope))
        passes = False
        if verb != b"DATA":
            passes = isinstance(verdict, Continue) and not verdict.recipients
        elif isinstance(verdict, Inspect):
            passes = not verdict.recipients and verdict.places <= _IN_HEADERS
            self._places = verdict.places
        if not passes:
            self._unpassed = command
            return 0
        self._said.append(command)
        return 2  # the verdict counts too

    def _quit(self, data: bytes) -> bytes | None:
        return None if self.rest else super()._quit(data)

    def _group(self, data: bytes, lines: list[bytes]) -> bytes | None:
        """Takes the first line if it may be passed on, and keeps the others: the question about each is asked
        when the reply before it is known."""
        found = [LINES.get(line[:5] if len(line) > 4 else line + b"\r") for line in lines]
        if not (
            not self.rest
            and self._in_turn
            and len(lines) < self._max_pipelined
            and data == _CRLF.join((*lines, b""))
            and all(line is not None and line.verb in self._asked for line in found)
            and all(line.kind is Kind.GROUP for line in found[:-1] if line is not None)
            and found.count(LINES[b"RCPT "]) <= 1  # several RCPTs do not wait for each other
        ):
            return None
        first = len(lines[0]) + 2
        octets = self.from_client(data[:first])
        if octets is not None:
            self.rest = data[first:]
        return octets

    def pass_rest(self) -> bytes | None:
        """See `Proxy.pass_rest`."""
        if self.mode != REST or not self.rest:
            return None
        rest = self.take_rest()
        line = rest[: rest.index(_CRLF) + 2]
        octets = self.from_client(line)
        self.rest = rest if octets is None else rest[len(line) :]
        return octets

    def _content(self, data: bytes) -> bytes | None:
        if not self._places or self.mode != CONTENT:
            return super()._content(data)
        end = data.find(_EMPTY_LINE) + len(_EMPTY_LINE)
        if (
            not len(_EMPTY_LINE) <= end <= self._max_section
            or data.startswith(b"\r\n")
            or data.find(b"\r\n.", 0, end) >= 0
            or not self._is_whole(data)
        ):
            return None
        verdict = self._ahead(HeadersQuestion(data[:end], self._follow()))
        if not isinstance(verdict, Continue) or verdict.recipients:
            return None
        self._passed.append(WHOLE)
        if self._accounts:
            self.has_come(data)
        self.mode, self._owed, self.taken = OWED, TO_MESSAGE, 3
        return data

    # The server

    def _answer(self, data: bytes) -> None:
        transaction = self._transaction
        if transaction is None or self._followed < len(self._said) - 1:  # more than the line of DATA
            self._envelope = self._follow()
        else:
            self._envelope = transaction.envelope
        if self._from_rest:  # it is not reported
            self._said.clear()
            if self._places is not self._places_told:
                self._message.ask_at(self._places)
                self._places_told = self._places
        super()._answer(data)
        self._transaction, self._followed = Transaction(), 0

    def take_answered(self) -> MessageAnswered | None:
        answered = self._answered
        if not isinstance(answered, list) or self._envelope is None:
            return super().take_answered()
        self._answered, self.answers = None, False
        return self._stage.answered(reply_of(answered[-1]), self._envelope, self._content_known)
