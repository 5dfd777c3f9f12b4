"""What a rule sees of a dialogue: the connection, the mail transaction, commands and replies.

All of it is typed, keeps the octets it came in, and is edited in place through methods that refuse CR, LF
and NUL (`LocalProtocolError`), so that nothing a rule supplies can become a second line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar, overload

import attrs

from sansio_smtp.client_info import ClientInfo
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.login_names import prepared
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import Login

from .paths import Recipient, Sender, address_to_send

__all__ = [
    "AuthAttempt",
    "ClientCommand",
    "Connection",
    "Data",
    "Editable",
    "Recipient",
    "Sender",
    "ServerReply",
    "Transaction",
]

T = TypeVar("T")


class Editable(Protocol):
    """What a rule may change in place."""

    def snapshot(self) -> Any:
        """The present state, cheap to take."""

    def restore(self, snapshot: Any) -> None:
        """Takes back what was changed since."""

    def changes_since(self, snapshot: Any) -> list[str]:
        """What was changed since, each in one line."""
        ...


class Data:
    """What rules remember: ``data.get(MyState)`` is the one ``MyState``, made on first use by calling the
    class without arguments; ``data["key"]`` is anything."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: dict[Any, Any] = {}

    @overload
    def get(self, key: type[T]) -> T: ...
    @overload
    def get(self, key: str, default: T) -> T: ...
    @overload
    def get(self, key: str, default: None = None) -> Any: ...
    def get(self, key: Any, default: Any = None) -> Any:
        if isinstance(key, type):
            if key not in self._items:
                self._items[key] = key()
            return self._items[key]
        return self._items.get(key, default)

    def pop(self, key: str, default: Any = None) -> Any:
        return self._items.pop(key, default)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._items[key] = value

    def __delitem__(self, key: str) -> None:
        del self._items[key]

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __repr__(self) -> str:
        return f"Data({self._items!r})"


@attrs.define(eq=False)
class Connection:
    """One client's connection, from accept to close."""

    peer: str = ""
    """The client's address as ``IP:PORT``, or ``"unix"``."""
    id: str = ""
    """Names the connection in the log and the transcript, as in ``"c7"``."""
    helo: str = ""
    """What the client called itself in its last EHLO or HELO; empty before."""
    login: str | None = None
    """The name with which the client has authenticated, prepared for comparing: ``Scanner``, also with a soft
    hyphen, is ``"scanner"``. None before the server's 235, and if it is unknown: see `login_unknown`. Compare
    with `is_login`, or with a name in lower case."""
    tls: str | None = None
    """The version of TLS that the client uses, such as ``"TLSv1.3"``; None in plain text."""
    data: Data = attrs.field(factory=Data)
    """What rules remember for as long as the connection lasts."""
    login_given: str | None = None
    """The same name as the client spelled it, for people; it may hold characters that nobody sees."""
    login_unknown: bool = False
    """True if the client has authenticated and nobody knows as whom: its mechanism does not tell, or servers
    may read different names. A rule that depends on the name refuses then."""
    _login: Login | None = attrs.field(default=None, init=False, repr=False)
    _hello: Command | None = attrs.field(default=None, init=False, repr=False)

    @classmethod
    def of(cls, client: ClientInfo, id: str = "") -> Connection:
        """The connection of a client, as far as it is known."""
        conn = cls(client.address, id, client.helo, client.login, client.tls)
        conn.login_given, conn.login_unknown = client.login_given, client.login_unknown
        return conn

    @property
    def client(self) -> ClientInfo:
        """The same as a value, as `Proxy.client_info` gives it."""
        return ClientInfo(
            address=self.peer,
            helo=self.helo,
            login=self.login,
            login_given=self.login_given,
            login_unknown=self.login_unknown,
            tls=self.tls,
        )

    @property
    def authenticated(self) -> bool:
        """True if the client's credentials were accepted."""
        return self.login is not None or self.login_unknown

    def is_login(self, name: str) -> bool:
        """Returns True if the client has logged in with this name, however either of them is spelled."""
        return self.login is not None and self.login == prepared(
            name, case_sensitive=self.case_sensitive_logins
        )

    @property
    def case_sensitive_logins(self) -> bool:
        """True if `login` has kept its case, as the setting of this name says."""
        return self._login is not None and self._login.case_sensitive

    def learn(self, hello: Command | None, login: Login | None) -> None:
        """Brings `helo` and the login up to date. ``hello`` is the last EHLO or HELO that was accepted,
        ``login`` the last login."""
        if login is not self._login:
            self._login = login
            self.login = None if login is None else login.name
            self.login_given = None if login is None else login.given
            self.login_unknown = login is not None and login.name is None
        if hello is not self._hello:
            self._hello = hello
            self.helo = hello.argument.decode("utf-8", "backslashreplace").strip() if hello else ""

    @property
    def ip(self) -> str:
        """The client's IP address, without brackets; empty for a unix socket."""
        return self.peer.rpartition(":")[0].strip("[]")


def _as_list(recipients: Iterable[Recipient]) -> list[Recipient]:
    return list(recipients)


@attrs.define(eq=False)
class Transaction:
    """One mail transaction: from MAIL to the reply to its message."""

    conn: Connection
    mail_from: Sender | None = None
    """None where there is none: before MAIL, or after it was refused."""
    _named: list[Recipient] = attrs.field(factory=list[Recipient], converter=_as_list, alias="rcpts")
    data: Data = attrs.field(factory=Data)
    """What rules remember for as long as the transaction lasts."""
    may_add: bool = attrs.field(default=False, repr=False)
    """True if `add_rcpt` is possible now: in ``data``, and in ``message``."""
    added: list[Command] = attrs.field(factory=list[Command], repr=False)
    """The RCPT commands that `add_rcpt` asked for."""
    _rcpts: tuple[Recipient, ...] | None = attrs.field(default=None, init=False, repr=False)

    @property
    def rcpts(self) -> tuple[Recipient, ...]:
        """From ``data`` on, the recipients that the server has accepted; in ``rcpt``, those named before,
        answered or not. Without those that rules refused or discarded."""
        if self._rcpts is None:  # made when it is asked for: a copy at each RCPT would cost more at each
            self._rcpts = tuple(self._named)
        return self._rcpts

    @rcpts.setter
    def rcpts(self, recipients: Iterable[Recipient]) -> None:
        self.named(*recipients)

    def add_rcpt(self, address: str, parameters: str = "") -> None:
        """Sends the message to one more recipient, which the client does not hear of.

        Possible in ``data`` and ``message`` only. If the server refuses the recipient, the client gets 451
        for the message, which is not sent without it.
        """
        if not self.may_add:
            raise LocalProtocolError("add_rcpt: recipients can be added in the phases data and message only")
        text = address_to_send(address, utf8=self.mail_from is None or self.mail_from.utf8)
        self.added.append(Recipient.of(text, parameters).command)

    def allow_adding(self, allowed: bool) -> None:
        """Sets `may_add`."""
        self.may_add = allowed

    def forget_added(self, count: int = 0) -> tuple[Command, ...]:
        """Takes back the recipients that rules have added, without the first ``count``. Returns them."""
        forgotten = tuple(self.added[count:])
        del self.added[count:]
        return forgotten

    def named(self, *recipients: Recipient) -> None:
        """These are the recipients of the transaction now."""
        self._named, self._rcpts = list(recipients), None

    def name_one_more(self, recipient: Recipient) -> None:
        """The client has named this recipient too."""
        self._named.append(recipient)
        self._rcpts = None

    @property
    def utf8(self) -> bool:
        """True if MAIL has declared SMTPUTF8 (RFC 6531 §3.1)."""
        return self.mail_from is not None and self.mail_from.utf8

    @property
    def size(self) -> int:
        """What the client declared (RFC 1870), 0 if nothing."""
        return self.mail_from.command.declared_size if self.mail_from else 0


@attrs.define(eq=False)
class AuthAttempt:
    """An AUTH command (RFC 4954). Credentials are not shown to rules."""

    mechanism: str
    """In upper case, as in ``"PLAIN"``."""
    identity: str | None = None
    """Who wants to log in, prepared as `Connection.login` is, where the command itself says so: an initial
    response of a mechanism that names the identity in clear, such as PLAIN or XOAUTH2."""


@attrs.define(eq=False)
class _Replaceable:
    _replacement: Any = attrs.field(default=None, init=False)

    def snapshot(self) -> Any:
        return self._replacement

    def restore(self, snapshot: Any) -> None:
        self._replacement = snapshot

    def changes_since(self, snapshot: Any) -> list[str]:
        return [] if self._replacement is snapshot else [f"-> {self._replacement}"]


@attrs.define(eq=False)
class ClientCommand(_Replaceable):
    """A line of the client; as it was sent, or in ``command`` about to be sent."""

    command: Command
    """As the client sent it."""

    @property
    def replacement(self) -> Command | None:
        """What is sent in its place."""
        replacement: Command | None = self._replacement
        return replacement

    @property
    def verb(self) -> str:
        """In upper case. ``"."`` for the end of a message, ``""`` for the greeting."""
        if self.command.kind is Kind.END_OF_DATA:
            return "."
        return self.command.verb.decode()

    @property
    def line(self) -> bytes:
        """The line without its CRLF, credentials masked."""
        return self.command.shown

    def replace(self, line: str | bytes) -> None:
        """Sends this line in place of the client's. It has the same verb: what follows depends on it."""
        command = Command.of(line)
        if command.verb != self.command.verb:
            raise LocalProtocolError(f"{self.verb} cannot become {command}: another verb")
        self._replacement = command

    def __str__(self) -> str:
        return self.verb


@attrs.define(eq=False)
class ServerReply(_Replaceable):
    """A reply of the server that the client has not seen yet."""

    reply: Reply
    """As the server sent it."""

    @property
    def replacement(self) -> Reply | None:
        """What the client gets in its place."""
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
        """Sends this reply in place of the server's. The first digit stays: what follows depends on it."""
        reply = Reply.of(code, *lines)
        if reply.severity != self.reply.severity or (self.reply.code == 421) != (code == 421):
            raise LocalProtocolError(f"{self.reply.code} cannot become {code}: another first digit, or 421")
        self._replacement = reply
