"""`Sender` and `Recipient`: the path of MAIL or RCPT as rules see it, and as they rewrite it.

Rules compare the *normal form* of the mailbox, so that no spelling of it escapes them; the wire keeps the
client's octets as long as no rule rewrites the path. What a rule puts in its place has to be clear: all
servers read the same mailbox in it.
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
    """As the client sent it."""
    utf8: bool
    """True if an address may hold more than ASCII: MAIL has declared SMTPUTF8 (RFC 6531 §3.1)."""
    is_final: bool
    """True if the command has been sent to the server, so that `rewrite` comes too late."""
    problem: str
    """Why servers may read another mailbox in the client's path, or none; empty if they all read the same."""
    revision: int
    """How often it has been rewritten."""
    _new: tuple[str, Mailbox] | None
    """What a rule has put in place of the client's path."""
    _given: Mailbox | None
    """The mailbox in the client's path; None before it is asked for, if the path is a usual one."""
    _usual: re.Match[bytes] | None

    def __init__(self, command: Command, *, utf8: bool | None = None, is_final: bool = False) -> None:
        self.command = command
        if utf8 is None:  # seldom there, so the path is not read to look for it
            utf8 = b"SMTPUTF8" in command.raw.upper() and self.parameter("SMTPUTF8") is not None
        self.utf8 = utf8
        self.is_final = is_final
        self._new = self._given = None
        self.revision = 0
        self.problem = ""
        self._usual = USUAL.fullmatch(command.raw)
        if self._usual is not None:  # read when a rule looks at it
            return
        try:
            self._given = read_path(command.argument, forward=isinstance(self, Recipient), utf8=utf8)
        except MailboxError as error:
            self.problem = str(error)
            self._given = guessed_mailbox(self.original) if self.original else NOBODY

    @classmethod
    def of(cls, address: str, parameters: str = "") -> Any:
        """As if the client had sent it. Raises `LocalProtocolError` as `rewrite` does."""
        verb = "MAIL FROM" if cls is Sender else "RCPT TO"
        tail = f" {parameters}" if parameters else ""
        line = f"{verb}:<{_checked(address, empty=cls is Sender)[0]}>{tail}"
        return cls(Command.of(line), utf8=None if address.isascii() else True)

    @property
    def mailbox(self) -> Mailbox:
        """The mailbox that is named, after any `rewrite`. If there is a `problem`, the best guess at it."""
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
        if self._new is None and self._usual is not None:  # it needs no quotes
            local, domain = self._usual.groups()
            return f"{local.decode()}@{domain.decode().lower()}"
        return self.mailbox.address

    @property
    def path(self) -> Path | None:
        """As the client sent it, read leniently; None if there is none to be read."""
        return self.command.path

    @property
    def original(self) -> str:
        """What stands between the brackets in the client's command, as it was sent; octets that are not UTF-8
        by surrogateescape; empty if there is nothing or if nothing could be read."""
        path = self.path
        return path.address if path else ""

    @property
    def local(self) -> str:
        """The local-part of `address`, in quotes if it needs them."""
        return quoted(self.mailbox.local) if self.mailbox.local else ""

    @property
    def domain(self) -> str:
        """The domain of `address`: in lower case, a U-label as A-label; empty if there is none."""
        if self._new is None and self._usual is not None:
            return self._usual[2].decode().lower()
        return self.mailbox.domain

    @property
    def is_clear(self) -> bool:
        """True if all servers read the same mailbox in what they are sent.

        It is False only with `Addresses.LENIENT`. A rule that permits an address permits only clear ones.
        """
        return self._new is not None or not self.problem

    @property
    def routes(self) -> bool:
        """True if some server sends the mail on to a domain that is named in the local-part or in a source
        route, as for ``bob%evil.example@mx``: see `Mailbox.routes`."""
        return self.mailbox.routes

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What follows the path (RFC 5321 §4.1.1.11)."""
        path = self.path
        return path.parameters if path else ()

    def parameter(self, keyword: str) -> str | None:
        """The value of a parameter, ``""`` if it has none, None if it was not given."""
        path = self.path
        return path.parameter(keyword.upper()) if path else None

    def rewrite(self, address: str) -> None:
        """Sends this address in place of the client's; parameters stay as they are.

        Raises `LocalProtocolError` if it is no mailbox that all servers read in the same way, if its
        local-part is not in ASCII and MAIL has not declared SMTPUTF8, and in a later phase than that of the
        path.
        """
        if self.is_final:
            raise LocalProtocolError(f"rewrite: the server has been told {self.address!r} already")
        self._new = _checked(address, empty=isinstance(self, Sender), utf8=self.utf8)
        self.revision += 1

    def finish(self) -> Command:
        """Returns the command to be sent. `rewrite` is not possible any more."""
        self.is_final = True
        return self.command if self._new is None else self.rewritten or self.command

    @property
    def rewritten(self) -> Command | None:
        """The command to be sent in place of the client's, if `rewrite` has changed anything."""
        if self._new is None or (self._new[0] == self.original and not self.problem):
            return None
        new = b"<%b>" % self._new[0].encode("utf-8")
        found = _PATH.match(self.command.raw)
        if self.problem or found is None:
            keyword = b" FROM:" if isinstance(self, Sender) else b" TO:"
            return Command.parse(self.command.verb + keyword + new + self._clear_parameters())
        return Command.parse(found[1] + new + self.command.raw[found.end() :])

    def _clear_parameters(self) -> bytes:
        """What follows a path that is not clear, without what is no parameter."""
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
    """The address as it is sent, and its mailbox. Raises `LocalProtocolError`."""
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
    """The address as it may stand in RCPT: itself, or with the domain as A-label if ``utf8`` is False. Raises
    `LocalProtocolError` if it is no mailbox that all servers read in the same way, or needs SMTPUTF8."""
    return _checked(address, empty=False, utf8=utf8)[0]
