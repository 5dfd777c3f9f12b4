"""The parts of a dialogue that a rule sees: the mail transaction, commands and replies.

All values are typed and keep their original octets. They are edited in place through methods that refuse CR,
LF and NUL (`LocalProtocolError`), so that no value from a rule can become a second line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, cast

import attrs

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Origin, Reply

from .connection import Connection
from .data import Data
from .paths import Recipient, Sender, address_to_send

__all__ = [
    "AuthAttempt",
    "ClientCommand",
    "Delivery",
    "Editable",
    "Recipient",
    "Sender",
    "ServerReply",
    "Transaction",
]


# Calling `list[Command]` would serve a type checker too, but takes 0.4 µs, ten times as long.
_no_commands: Final = cast("type[list[Command]]", list)
_no_recipients: Final = cast("type[list[Recipient]]", list)


class Editable(Protocol):
    """An object that a rule may change in place."""

    @property
    def revision(self) -> Any:
        """A value that differs after each change."""
        ...

    def snapshot(self) -> Any:
        """The present state; this is cheap."""

    def restore(self, snapshot: Any) -> None:
        """Undoes the changes since the snapshot."""

    def changes_since(self, snapshot: Any) -> list[str]:
        """The changes since the snapshot, each in one line."""
        ...


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class Transaction:
    """One mail transaction: from MAIL to the reply to its message."""

    conn: Connection
    _mail_from: Sender | None = None
    _rcpts: tuple[Recipient, ...] = attrs.field(default=(), converter=tuple)
    _data: Data | None = attrs.field(default=None, repr=False)
    may_add: bool = attrs.field(default=False, repr=False)
    """True if `add_rcpt` is possible now: in ``data``, and in ``message``."""
    added: list[Command] = attrs.field(factory=_no_commands, repr=False)
    """The RCPT commands that `add_rcpt` asked for."""
    _mail: Command | None = attrs.field(default=None, repr=False, alias="mail")
    _commands: list[Command] = attrs.field(factory=_no_commands, repr=False, alias="commands")
    _find: Callable[[list[Command]], Iterable[Recipient]] | None = attrs.field(
        default=None, repr=False, alias="find"
    )
    """If given, it makes ``rcpts`` from ``_commands``, whenever their number has changed."""

    @property
    def mail_from(self) -> Sender | None:
        """The sender; None before MAIL, or after it was refused."""
        if self._mail_from is None and self._mail is not None:  # made at first use
            self._mail_from = Sender(self._mail, is_final=True)
        return self._mail_from

    @mail_from.setter
    def mail_from(self, sender: Sender | None) -> None:
        self._mail_from, self._mail = sender, None

    @property
    def data(self) -> Data:
        """Data that rules keep until the transaction ends."""
        if self._data is None:
            self._data = Data()
        return self._data

    @property
    def rcpts(self) -> tuple[Recipient, ...]:
        """From ``data`` on, the recipients that the server has accepted; in ``rcpt``, the earlier ones,
        answered or not. Without those that rules refused or discarded."""
        if self._find is not None and len(self._rcpts) != len(self._commands):
            self._rcpts = tuple(self._find(self._commands))
        return self._rcpts

    @rcpts.setter
    def rcpts(self, recipients: Iterable[Recipient]) -> None:
        self.named(*recipients)

    def add_rcpt(self, address: str, parameters: str = "") -> None:
        """Sends the message to one more recipient, without telling the client.

        Only possible in ``data`` and ``message``. If the server refuses the recipient, the client gets 451
        for the message, and the message is not sent.
        """
        if not self.may_add:
            raise LocalProtocolError("add_rcpt: recipients can be added in the phases data and message only")
        text = address_to_send(address, utf8=self.mail_from is None or self.mail_from.utf8)
        self.added.append(Recipient.of(text, parameters).command)

    def allow_adding(self, allowed: bool) -> None:
        """Sets `may_add`."""
        self.may_add = allowed

    def forget_added(self, count: int = 0) -> tuple[Command, ...]:
        """Removes the recipients that rules have added, except for the first ``count``. Returns them."""
        forgotten = tuple(self.added[count:])
        del self.added[count:]
        return forgotten

    def named(self, *recipients: Recipient) -> None:
        """Sets the recipients of the transaction."""
        self._rcpts, self._find = recipients, None

    def named_by(self, find: Callable[[list[Command]], Iterable[Recipient]], commands: list[Command]) -> None:
        """Sets the function ``find``, which makes the recipients from these RCPT commands, also when their
        number changes. They are made at first use, because a copy at each RCPT would cost more."""
        self._find, self._commands, self._rcpts = find, commands, ()

    @property
    def utf8(self) -> bool:
        """True if MAIL has declared SMTPUTF8 (RFC 6531 §3.1)."""
        return self.mail_from is not None and self.mail_from.utf8

    @property
    def size(self) -> int:
        """The size that the client declared (RFC 1870); 0 if none."""
        return self.mail_from.command.declared_size if self.mail_from else 0


@attrs.frozen
class Delivery:
    """The result of a message for one recipient."""

    to: Recipient
    reply: Reply
    """The server's reply. If the message did not go to a server, the reply of a rule or the proxy."""

    @property
    def ok(self) -> bool:
        """True if the message was accepted for this recipient."""
        return self.reply.severity == 2


@attrs.define(eq=False)
class AuthAttempt:
    """An AUTH command (RFC 4954). Credentials are not shown to rules."""

    mechanism: str
    """The mechanism in upper case, such as ``"PLAIN"``."""
    identity: str | None = None
    """The login name, prepared like `Connection.login`, if the command itself contains it: in an initial
    response of a mechanism that shows the name in clear, such as PLAIN or XOAUTH2."""


@attrs.define(eq=False)
class _Replaceable:
    _replacement: Any = attrs.field(default=None, init=False)
    revision: int = attrs.field(default=0, init=False, repr=False)

    def snapshot(self) -> Any:
        return self._replacement

    def restore(self, snapshot: Any) -> None:
        self._replacement = snapshot

    def changes_since(self, snapshot: Any) -> list[str]:
        return [] if self._replacement is snapshot else [f"-> {self._replacement}"]


@attrs.define(eq=False)
class ClientCommand(_Replaceable):
    """A line of the client: as it was sent to the server, or in phase ``command`` as it will be sent."""

    command: Command
    """The line as the client sent it."""

    @property
    def replacement(self) -> Command | None:
        """The command that is sent in its place."""
        replacement: Command | None = self._replacement
        return replacement

    @property
    def verb(self) -> str:
        """The verb in upper case. ``"."`` for the end of a message, ``""`` for the greeting."""
        if self.command.kind is Kind.END_OF_DATA:
            return "."
        return self.command.verb.decode()

    @property
    def line(self) -> bytes:
        """The line without its CRLF, credentials masked."""
        return self.command.shown

    def replace(self, line: str | bytes) -> None:
        """Sends this line in place of the client's. It must have the same verb, because the dialogue after it
        depends on the verb."""
        command = Command.of(line)
        if command.verb != self.command.verb:
            raise LocalProtocolError(f"{self.verb} cannot become {command}: another verb")
        self._replacement = command
        self.revision += 1

    def __str__(self) -> str:
        return self.verb


@attrs.define(eq=False)
class ServerReply(_Replaceable):
    """A reply of the server that the client has not seen yet."""

    reply: Reply = attrs.field(repr=lambda reply: reply.brief)
    """The reply as the server sent it. Some servers repeat a secret in it, so its text is not in the repr."""
    to: Recipient | None = None
    """The recipient to whom an LMTP server's reply to a message belongs; None: the reply is for all."""

    @property
    def replacement(self) -> Reply | None:
        """The reply that the client gets in its place."""
        replacement: Reply | None = self._replacement
        return replacement

    @property
    def code(self) -> int:
        return (self.replacement or self.reply).code

    @property
    def severity(self) -> int:
        """The first digit: 2 completion, 3 intermediate, 4 transient, 5 permanent (RFC 5321 §4.2.1)."""
        return self.reply.severity

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code, such as ``"5.7.1"``, or None."""
        return (self.replacement or self.reply).enhanced

    @property
    def lines(self) -> list[bytes]:
        """The text of each line."""
        return (self.replacement or self.reply).lines

    @property
    def text(self) -> str:
        """The lines as text."""
        return b"\n".join(self.lines).decode("utf-8", "backslashreplace")

    def replace(self, code: int, *lines: str | bytes) -> None:
        """Sends this reply in place of the server's. It must have the same first digit, because the dialogue
        after it depends on that."""
        reply = Reply.of(code, *lines, origin=Origin.RULE)
        if reply.severity != self.reply.severity or (self.reply.code == 421) != (code == 421):
            raise LocalProtocolError(f"{self.reply.code} cannot become {code}: another first digit, or 421")
        self._replacement = reply
        self.revision += 1
