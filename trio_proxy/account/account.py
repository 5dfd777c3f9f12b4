"""`Account`: fills the records of one session, from the core's events and from the verdicts of its rules.

The core says which reply the client gets, to which command, and for whom. The account knows who decided it::

    reply ─┬─ as it came from the server          "server"
           ├─ that of the verdict of a rule       "rule:NAME"
           └─ else                                "proxy"

A rule gives its verdict before the verdict takes effect. So the verdicts of a mail transaction are remembered
until it ends, and are found again by the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, Protocol

from sansio_smtp import (
    CLIENT,
    SERVER,
    BareNewline,
    Command,
    CommandRefused,
    Config,
    Envelope,
    Event,
    Kind,
    MessageAnswered,
    Origin,
    Reply,
    ReplyQuestion,
    SendToClient,
    Side,
)
from sansio_smtp.rules.verdicts import Accept, Redirect, Verdict
from trio_proxy.text.session_log import SessionLog

from .kept import BUILT_IN, KeptMail
from .lines import address_of, write_line
from .queue_ids import queue_id
from .records import PROXY, Fate, MessageRecord, Recipient, Record, RefusalRecord, Seconds, SessionRecord
from .records import SERVER as _SERVER

__all__ = ["Account", "Tell", "UpstreamServer"]

Tell = Callable[[Record], None]

_NORMALIZE: Final = BareNewline.NORMALIZE
_MOST_SAID: Final = 1_000
"""The most verdicts that are remembered in one mail transaction: it limits the memory that a client can
use."""


class UpstreamServer(Protocol):
    """What `Account` needs to know of the session's server."""

    @property
    def address(self) -> str:
        """The address of the server that was connected last; empty if none was."""
        ...

    @property
    def tls_version(self) -> str:
        """The version of TLS to it; empty in plain text."""
        ...


class Client(Protocol):
    """What `Account` needs to know of the session's client."""

    @property
    def login(self) -> str | None:
        """The name with which it has logged in; None if it has not, or if the name is unknown."""
        ...

    @property
    def config(self) -> Config:
        """The settings of its session."""
        ...


class Account:
    """The account of one session."""

    __slots__ = (
        "_began",
        "_client",
        "_client_seconds",
        "_discarded",
        "_has_ended",
        "_heard",
        "_held",
        "_kept",
        "_last_said",
        "_log",
        "_mail",
        "_others",
        "_refused",
        "_replaced",
        "_rule_seconds",
        "_said",
        "_server",
        "_server_seconds",
        "has_told",
    )

    def __init__(
        self,
        log: SessionLog,
        server: UpstreamServer,
        others: Tell | None = None,
        kept: KeptMail | None = None,
    ) -> None:
        """Each record is written to the log, and given to ``others``, as soon as it is complete. ``kept``
        knows what the built-in server has kept; None if there is no built-in server."""
        self._log = log
        self._server = server
        self._others = others
        self._kept = kept
        self._client: Client | None = None
        self._said: list[tuple[str, Verdict | str]] | None = None
        self._discarded: dict[Command, tuple[str, str]] | None = None  # RCPT → the rule, and its reply
        self._mail: Command | None = None  # of the transaction to which the values above belong
        self._replaced: list[tuple[Reply, Reply]] | None = None  # replies to the client → the server's own
        self._held: tuple[str, str] | None = None
        self._refused: Command | None = None  # MAIL of a message that was refused at DATA
        self._last_said: SendToClient | None = None
        self._began = self._heard = 0.0  # no time yet
        self._client_seconds = self._rule_seconds = self._server_seconds = 0.0
        self.has_told = False
        """True if there was a record."""
        self._has_ended = False

    # Called by the driver

    def knows(self, client: Client) -> None:
        """From now on records name this client's login."""
        self._client = client

    def begins(self) -> None:
        """The client is connected."""
        self._began = monotonic()

    def heard(self, side: Side | None) -> None:
        """A side has sent something, or the rules have answered (None). The time since the last such call
        counts as theirs. No time counts before the client's first command for a message."""
        now, last = monotonic(), self._heard
        if last:
            if side is CLIENT:
                self._client_seconds += now - last
            elif side is SERVER:
                self._server_seconds += now - last
            else:
                self._rule_seconds += now - last
        elif side is not CLIENT:
            return
        self._heard = now

    def said_last(self, events: Sequence[Event]) -> None:
        """Takes the last events of the session."""
        for event in events:
            if isinstance(event, SendToClient):
                self._last_said = event

    def ended(self, envelope: Envelope, hello: Command | None, message_id: bytes) -> SessionRecord | None:
        """The session has ended with this mail transaction open; ``message_id`` has come of its message.
        Returns the record of the session, if there is one."""
        mail = envelope.mail
        is_open = mail is not None and bool(envelope.recipients) and mail is not self._refused
        if self._has_ended or (self.has_told and not is_open):
            return None
        self._has_ended = True
        by, reply, last = "", "", self._last_said
        if last is not None and last.data[:1] in b"45":
            by = last.origin.value
            reply = str(Reply(int(last.data[:3]), last.shown or b"\r\n"))
        record = SessionRecord(
            "" if hello is None else hello.argument.decode("utf-8", "backslashreplace").strip(),
            monotonic() - self._began,
            self._server.address,
            by,
            reply,
            address_of(envelope.mail) if is_open else None,
            tuple([address_of(to) for to in envelope.recipients]) if is_open else (),
            message_id.decode("utf-8", "backslashreplace") if is_open else "",
        )
        self._tell(record)
        return record

    # Called for rules

    def decided(self, rule: str, verdict: Verdict) -> None:
        """A rule has given a verdict, which may take effect later."""
        if not isinstance(verdict, Accept | Redirect):
            self._remember(rule, verdict)

    def failed(self, rule: str, incident: str) -> None:
        """A rule has failed. The reply names the incident, if it is a refusal."""
        self._remember(rule, incident)

    def held(self, name: str, reason: str) -> None:
        """The message of the current question is in the quarantine, under this name."""
        self._held = name, reason

    def ruled(self, command: Command, envelope: Envelope, reply: Reply) -> None:
        """A verdict has answered this command, in place of the server."""
        if command.verb != b"RCPT" or reply.code >= 400:
            return  # the core reports these
        if self._discarded is None or self._mail is not envelope.mail:
            self._discarded, self._mail = {}, envelope.mail
        self._discarded[command] = self._origin(reply), str(reply)

    def replaced(self, question: ReplyQuestion, reply: Reply) -> None:
        """A verdict gives the client this reply in place of the server's."""
        if question.command is None or question.command.kind is not Kind.END_OF_DATA or reply.code >= 400:
            return
        if self._replaced is None or question.recipient is None:
            self._replaced = []
        self._replaced.append((reply, question.reply))

    def _remember(self, rule: str, said: Verdict | str) -> None:
        if self._said is None:
            self._said = []
        elif len(self._said) >= _MOST_SAID:
            del self._said[0]
        self._said.append((f"rule:{rule}", said))

    def _origin(self, reply: Reply) -> str:
        if reply.origin is Origin.SERVER:
            return _SERVER
        for rule, said in reversed(self._said or ()):
            if said.encode() in reply.raw if isinstance(said, str) else _reply_of(said) == reply:
                return rule
        return PROXY if reply.origin is Origin.PROXY else "rule"

    def _of_server(self, reply: Reply) -> tuple[Reply, Reply] | None:
        """The reply to the client, and the one of the server that has taken the message; None if no server
        has."""
        if reply.code >= 300:
            return None
        if reply.origin is Origin.SERVER:
            return reply, reply
        return next((pair for pair in self._replaced or () if pair[0] == reply), None)

    # Events of the core

    def answered(self, event: MessageAnswered) -> None:
        """A message is answered."""
        reply, content, envelope, server = event.reply, event.content, event.envelope, self._server
        by, shown = self._origin(reply), event.shown
        found = self._of_server(reply)
        known_as = "" if found is None else queue_id(found[1].raw)
        kept = None
        if self._kept is not None and server.address == BUILT_IN:  # another one may give the same queue id
            kept = self._kept.take(known_as)
        relayed = Fate.RELAYED if kept is None else Fate.KEPT
        (held_as, reason), self._held = self._held or ("", ""), None
        if event.results:
            recipients = tuple([self._of_result(envelope, relayed, *result) for result in event.results])
            if len(said_by := {each.by for each in recipients}) == 1:  # the reply has the same origin
                by = said_by.pop()
        else:
            fate = Fate.HELD if held_as else _fate(reply, relayed, is_taken=found is not None)
            recipients = self._each(envelope, fate, by, shown, known_as)
        self._said = self._discarded = self._mail = self._replaced = None
        self._tell(
            MessageRecord(
                address_of(envelope.mail),
                recipients,
                by,
                shown,
                reply.code,
                "",
                "" if content is None else content.message_id.decode("utf-8", "backslashreplace"),
                None if content is None else content.received,
                None if content is None else content.size,
                server.address,
                server.tls_version,
                known_as,
                held_as,
                reason,
                self._taken(),
                self._of_bare_lf if content is not None and content.bare_lf else "",
                self._login,
                kept,
            )
        )

    def refused(self, event: CommandRefused) -> None:
        """MAIL, RCPT or DATA is refused."""
        command, reply, envelope, server = event.command, event.reply, event.envelope, self._server
        by, shown, upstream = self._origin(reply), event.shown, server.address
        verb = command.verb.decode()
        if verb == "DATA":
            self._refused = envelope.mail
            sender, recipients = address_of(envelope.mail), self._each(envelope, Fate.REFUSED, by, shown)
            login = self._login
            record = MessageRecord(
                sender, recipients, by, shown, reply.code, verb, upstream=upstream, login=login
            )
            self._tell(record)
            return
        is_mail = verb == "MAIL"
        mail = command if is_mail else envelope.mail
        sender_or_none = None if mail is None else address_of(mail)
        recipient = None if is_mail else address_of(command)
        self._tell(
            RefusalRecord(verb, sender_or_none, recipient, by, shown, reply.code, upstream, self._login)
        )

    @property
    def upstream(self) -> str:
        """The address of the server that was connected last."""
        return self._server.address

    @property
    def is_wanted(self) -> bool:
        """True if the records are used."""
        return self._others is not None or self._log.tells

    @property
    def _login(self) -> str:
        return "" if self._client is None else self._client.login or ""

    @property
    def _of_bare_lf(self) -> str:
        """What is done about lines that end in LF without CR."""
        client = self._client
        return "normalised" if client is None or client.config.bare_newline is _NORMALIZE else "refused"

    def _taken(self) -> Seconds | None:
        """The time that the message just answered has taken."""
        if not self._heard:
            return None
        taken = Seconds(self._client_seconds, self._rule_seconds, self._server_seconds)
        self._heard = self._client_seconds = self._rule_seconds = self._server_seconds = 0.0
        return taken

    def _tell(self, record: Record) -> None:
        self.has_told = True
        write_line(self._log, record)
        if self._others is not None:
            self._others(record)

    def _of_result(self, envelope: Envelope, relayed: Fate, to: Command, reply: Reply) -> Recipient:
        by = self._origin(reply)
        found = self._of_server(reply)
        known_as = "" if found is None else queue_id(found[1].raw)
        if self._replaced and found in self._replaced:  # another recipient's may be the same
            self._replaced.remove(found)
        fate = _fate(reply, relayed, is_taken=found is not None)  # a server never gets a held message
        added = to not in envelope.recipients
        return self._recipient(envelope, to, fate, by, str(reply), known_as, added=added)

    def _each(
        self, envelope: Envelope, fate: Fate, by: str, reply: str, known_as: str = ""
    ) -> tuple[Recipient, ...]:
        return tuple([self._recipient(envelope, to, fate, by, reply, known_as) for to in envelope.recipients])

    def _recipient(
        self,
        envelope: Envelope,
        to: Command,
        fate: Fate,
        by: str,
        reply: str,
        known_as: str,
        *,
        added: bool = False,
    ) -> Recipient:
        if self._discarded is not None and self._mail is envelope.mail and to in self._discarded:
            return Recipient(address_of(to), Fate.DISCARDED, *self._discarded[to])
        sent = envelope.sent_for(to)
        sent_as = "" if sent is to else address_of(sent)
        return Recipient(address_of(to), fate, by, reply, sent_as, added, known_as)


def _fate(reply: Reply, relayed: Fate, *, is_taken: bool) -> Fate:
    """``relayed``: the fate of what a server has taken."""
    if reply.code >= 400:
        return Fate.REFUSED
    return relayed if is_taken else Fate.DISCARDED


def _reply_of(verdict: Verdict) -> Reply | None:
    return None if isinstance(verdict, Accept | Redirect) else verdict.reply
