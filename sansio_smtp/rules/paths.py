"""`Sender` and `Recipient`: the path of MAIL or RCPT as rules see and rewrite it. Rules compare the *normal
form* of the mailbox, so that no spelling bypasses them. The server gets the client's octets unless a rule
rewrites the path. A new path must be clear: all servers read the same mailbox in it.
"""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from sansio_smtp.errors import LocalProtocolError, MailboxError
from sansio_smtp.wire.commands import Command, Parameter, Path
from sansio_smtp.wire.paths import (
    NOBODY,
    USUAL,
    Mailbox,
    guessed_mailbox,
    is_parameter,
    parse_mailbox,
    quoted,
    read_path,
)

__all__ = ["Recipient", "Sender", "address_to_send"]

_PATH: Final = re.compile(rb'([^:]*:[ \t]*)(?:<(?:"(?:[^"\\]|\\.)*"|[^">])*>|[^ \t]*)', re.DOTALL)


@attrs.define(eq=False, init=False)
class _PathOf:
    """A path with its parameters, as in MAIL or RCPT; `rewrite` changes it on its way to the server."""

    command: Command
    """The command as the client sent it."""
    utf8: bool
    """True if an address may hold other characters than ASCII: MAIL has declared SMTPUTF8 (RFC 6531 §3.1)."""
    is_final: bool
    """True if the command was sent to the server, so that `rewrite` is not possible any more."""
    problem: str
    """The reason why servers may read another mailbox in the client's path, or none; empty if all read the
    same."""
    revision: int
    """The number of rewrites."""
    _new: tuple[str, Mailbox] | None
    """The path that a rule has set in place of the client's."""
    _given: Mailbox | None
    """The mailbox in the client's path; None before its first use, if the path is a usual one."""
    _usual: re.Match[bytes] | None

    def __init__(self, command: Command, *, utf8: bool | None = None, is_final: bool = False) -> None:
        self.command = command
        if utf8 is None:  # rare, so the path is not read to find it
            utf8 = b"SMTPUTF8" in command.raw.upper() and self.parameter("SMTPUTF8") is not None
        self.utf8 = utf8
        self.is_final = is_final
        self._new = self._given = None
        self.revision = 0
        self.problem = ""
        self._usual = USUAL.fullmatch(command.raw)
        if self._usual is not None:  # read at its first use
            return
        try:
            self._given = read_path(command.argument, forward=isinstance(self, Recipient), utf8=utf8)
        except MailboxError as error:
            self.problem = str(error)
            self._given = guessed_mailbox(self.original) if self.original else NOBODY

    @classmethod
    def of(cls, address: str, parameters: str = "") -> Any:
        """Makes a path as if the client had sent it. Raises `LocalProtocolError` like `rewrite`."""
        verb = "MAIL FROM" if cls is Sender else "RCPT TO"
        tail = f" {parameters}" if parameters else ""
        line = f"{verb}:<{_checked(address, empty=cls is Sender)[0]}>{tail}"
        return cls(Command.of(line), utf8=None if address.isascii() else True)

    @property
    def mailbox(self) -> Mailbox:
        """The mailbox of the path, after any `rewrite`. If there is a `problem`, it is the best guess."""
        if self._new is not None:
            return self._new[1]
        if self._given is None:
            assert self._usual is not None  # else it was read at once
            local, domain = self._usual.groups()
            self._given = Mailbox(local.decode(), domain.decode().lower())
        return self._given

    @property
    def address(self) -> str:
        """The normal form of the mailbox, in which two spellings of it are equal: ``"boss"@Example.COM`` is
        ``boss@example.com``. Empty for the null reverse-path."""
        if self._new is None and self._usual is not None:  # a usual path needs no quotes
            local, domain = self._usual.groups()
            return f"{local.decode()}@{domain.decode().lower()}"
        return self.mailbox.address

    @property
    def path(self) -> Path | None:
        """The client's path, read leniently; None if it cannot be read."""
        return self.command.path

    @property
    def original(self) -> str:
        """The text between the brackets in the client's command, as sent; octets that are not UTF-8 by
        surrogateescape; empty if there is none or if it cannot be read."""
        path = self.path
        return path.address if path else ""

    @property
    def local(self) -> str:
        """The local-part of `address`, in quotes if it needs them."""
        return quoted(self.mailbox.local) if self.mailbox.local else ""

    @property
    def domain(self) -> str:
        """The domain of `address`, in lower case, with U-labels as A-labels; empty if there is none."""
        if self._new is None and self._usual is not None:
            return self._usual[2].decode().lower()
        return self.mailbox.domain

    @property
    def is_clear(self) -> bool:
        """True if all servers read the same mailbox in the path that is sent.

        It is False only with `Addresses.LENIENT`. A rule that permits addresses must permit only clear ones.
        """
        return self._new is not None or not self.problem

    @property
    def routes(self) -> bool:
        """True if some server would forward the mail to a domain in the local-part or in a source route, as
        for ``bob%evil.example@mx``: see `Mailbox.routes`."""
        return self.mailbox.routes

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters after the path (RFC 5321 §4.1.1.11)."""
        path = self.path
        return path.parameters if path else ()

    def parameter(self, keyword: str) -> str | None:
        """The value of a parameter, ``""`` if it has none, None if it was not given."""
        path = self.path
        return path.parameter(keyword.upper()) if path else None

    def rewrite(self, address: str) -> None:
        """Sends this address in place of the client's; parameters do not change.

        Raises `LocalProtocolError` if servers read the address in different ways or it is not a mailbox, if
        its local-part is not ASCII and MAIL has not declared SMTPUTF8, and in a later phase than that of the
        path.
        """
        if self.is_final:
            raise LocalProtocolError(f"rewrite: the server has been told {self.address!r} already")
        self._new = _checked(address, empty=isinstance(self, Sender), utf8=self.utf8)
        self.revision += 1

    def finish(self) -> Command:
        """Returns the command to send. After this, `rewrite` is not possible."""
        self.is_final = True
        return self.command if self._new is None else self.rewritten or self.command

    @property
    def rewritten(self) -> Command | None:
        """The command to send in place of the client's, if `rewrite` has changed anything."""
        if self._new is None or (self._new[0] == self.original and not self.problem):
            return None
        new = b"<%b>" % self._new[0].encode("utf-8")
        found = _PATH.match(self.command.raw)
        if self.problem or found is None:
            keyword = b" FROM:" if isinstance(self, Sender) else b" TO:"
            return Command.parse(self.command.verb + keyword + new + self._clear_parameters())
        return Command.parse(found[1] + new + self.command.raw[found.end() :])

    def _clear_parameters(self) -> bytes:
        """The parameters after an unclear path, without text that is not a parameter."""
        words = (
            each.keyword if each.value is None else f"{each.keyword}={each.value}" for each in self.parameters
        )
        return "".join(f" {word}" for word in words if is_parameter(word)).encode("utf-8", "surrogateescape")

    def snapshot(self) -> Any:
        return self._new

    def restore(self, snapshot: Any) -> None:
        self._new = snapshot

    def changes_since(self, snapshot: Any) -> list[str]:
        if self._new is None or self._new is snapshot:
            return []
        before = self.original if snapshot is None else snapshot[0]
        return [] if self._new[0] == before else [f"<{before}> -> <{self._new[0]}>"]

    def __str__(self) -> str:
        return self.address


class Sender(_PathOf):
    """The reverse-path of MAIL; its address is empty for the null reverse-path."""


class Recipient(_PathOf):
    """The forward-path of RCPT."""


def _checked(address: object, *, empty: bool, utf8: bool = True) -> tuple[str, Mailbox]:
    """The address to send, and its mailbox. Raises `LocalProtocolError`."""
    if address == "" and empty:
        return "", NOBODY
    if not isinstance(address, str):
        raise LocalProtocolError(f"not an address: {address!r}")
    try:
        mailbox = parse_mailbox(address)
    except MailboxError as error:
        raise LocalProtocolError(f"not an address: {address!r}: {error}") from None
    if empty and not mailbox.domain:
        raise LocalProtocolError(f"not an address: {address!r}: the mailbox has no domain")
    if utf8 or address.isascii():
        return address, mailbox
    if not mailbox.local.isascii():
        raise LocalProtocolError(f"not ASCII, and MAIL does not declare SMTPUTF8: {address!r}")
    return mailbox.address, mailbox


def address_to_send(address: str, *, utf8: bool = False) -> str:
    """The address for RCPT: unchanged, or with the domain as A-label if ``utf8`` is False. Raises
    `LocalProtocolError` if servers read it in different ways, if it is not a mailbox, or if it needs
    SMTPUTF8."""
    return _checked(address, empty=False, utf8=utf8)[0]
