"""Makes the sender and the author of a message match the login, or refuses the message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Final, Literal

import attrs

from sansio_smtp.errors import MailboxError
from sansio_smtp.rules import (
    Connection,
    Field,
    Headers,
    HeadersVerdict,
    MailVerdict,
    Reject,
    Sender,
    Transaction,
)
from sansio_smtp.rules.mailboxes import MailboxList, NamedMailbox, read_mailboxes, written
from sansio_smtp.wire.paths import parse_mailbox

from ._logins import AddressesOfLogins, unread
from ._patterns import fits_address, may_permit
from ._settings import address_patterns, mailboxes

__all__ = ["MatchLogin", "rules"]

_UNREAD: Final = unread("no address can be its own")
_NEEDS_UTF8: Final = Reject(553, "5.6.7 the address of this login needs SMTPUTF8")
_NONE: Final = ""
_NOT_SHOWN: Final = re.compile(rb"[^!-~]+")


def _by_login(rule: MatchLogin) -> AddressesOfLogins:
    return AddressesOfLogins(rule.logins)


@attrs.frozen
class MatchLogin:
    """Makes MAIL FROM and the From field match the login, for servers that refuse mail otherwise. ::

        [rules.match_login]
        mode = "rewrite"                             # or "refuse"
        logins = { scanner = "scans@example.com" }   # for logins that are not addresses themselves
        keep = ["*@news.example.com"]                # addresses that every login may use
        routing = true                               # if left out: false, see `AllowList`

    When From is rewritten, its display name stays (or its address becomes the display name), and a Sender
    field is removed. Replies still go to Reply-To, or to the old From address if there is no Reply-To.
    Unchanged are the null reverse-path, mail from clients without a login, and mail of a login that has no
    ``@`` and is not in ``logins``. If the name of a login cannot be read, as with GSSAPI, the client may use
    addresses in ``keep``, and gets 550 for all others. Rewriting breaks a DKIM signature that is already
    there: sign after this rule.

    A field stays unchanged only if all common mail programs find the same addresses in it, and each of these
    is the client's own or in ``keep``.
    """

    guards: ClassVar[bool] = True
    mode: Literal["rewrite", "refuse"] = "rewrite"
    logins: dict[str, str] = attrs.field(factory=dict[str, str], validator=mailboxes)
    keep: tuple[str, ...] = attrs.field(default=(), validator=address_patterns)
    routing: bool = False
    _addresses: AddressesOfLogins = attrs.field(
        default=attrs.Factory(_by_login, takes_self=True), init=False, repr=False
    )

    def mail(self, tx: Transaction, sender: Sender) -> MailVerdict:
        own = self._own(tx.conn)
        if self._may_send(own, sender):
            return None
        if own is None:
            return _UNREAD
        if self.mode == "refuse":
            return Reject(553, "5.7.1 the sender is not who has logged in")
        if not sender.utf8 and not parse_mailbox(own).local.isascii():
            return _NEEDS_UTF8
        sender.rewrite(own)
        return None

    def headers(self, tx: Transaction, headers: Headers) -> HeadersVerdict:
        own = self._own(tx.conn)
        if own == _NONE:
            return None
        strays = {name: _strays(headers, name) for name in ("From", "Sender")}
        fields = {
            name: _read(headers, name, strays[name]) for name in strays if name in headers or strays[name]
        }
        wrong = [name for name, field in fields.items() if not self._may_use_all(own, field)]
        if not wrong:
            return None
        if own is None:
            return _UNREAD
        if self.mode == "refuse":
            return Reject(553, f"5.7.1 {wrong[0]} {_what_is_wrong(fields[wrong[0]])}")
        _remove(headers, [each for found in strays.values() for each in found])
        if "From" in wrong:
            if not own.isascii() and not headers.utf8:
                return _NEEDS_UTF8
            self._rewrite_from(own, headers, fields["From"])
        headers.remove("Sender")
        return None

    def _rewrite_from(self, own: str, headers: Headers, field: MailboxList) -> None:
        known = (each for each in field.found if _normal(each.address))
        authors = [each for each in known if each.address.isascii() or headers.utf8]
        if "Reply-To" not in headers and not all(_is(each.address, own) for each in authors):
            headers.set("Reply-To", b", ".join(written(each, utf8=headers.utf8) for each in authors))
        first = next((each for each in field.found), NamedMailbox("", ""))
        author = NamedMailbox(first.name or first.address, own)
        if author.name == own:
            author = NamedMailbox("", own)
        headers.set("From", written(author, utf8=headers.utf8))

    def _own(self, conn: Connection) -> str | None:
        """The address that belongs to the login; empty if none does; None if the login is not known."""
        login = conn.login
        if login is None:
            return None if conn.login_unknown else _NONE
        own = self._addresses.of(conn)
        if own is not None:
            return own or None
        return login if _normal(login) else None if "@" in login else _NONE

    def _may_send(self, own: str | None, sender: Sender) -> bool:
        """Returns True if the login may use this reverse-path, and no server can read another mailbox in
        it."""
        if own == _NONE or (sender.is_clear and not sender.address):
            return True
        is_own = own is not None and sender.is_clear and not sender.mailbox.has_route
        if is_own and _is(sender.address, own or _NONE):
            return True
        return may_permit(sender, self.keep, routing=self.routing)

    def _may_use_all(self, own: str | None, field: MailboxList) -> bool:
        return (
            field.clear
            and bool(field.found)
            and all(self._may_use(own, each.address) for each in field.found)
        )

    def _may_use(self, own: str | None, address: str) -> bool:
        normal = _normal(address)
        if normal is None:
            return False
        is_own = own is not None and _is(address, own)
        may_keep = self.routing or not parse_mailbox(address).routes
        return is_own or (may_keep and fits_address(normal, self.keep))


def _strays(headers: Headers, name: str) -> list[Field]:
    """Lines that are not fields, but that some programs join to a field of this name, or read as one: a line
    after it without a blank in front, and a line with a blank, a NUL or a byte order mark before the name."""
    found: list[Field] = []
    before = ""
    for field in headers:
        if field.name:
            before = field.name.lower()
        elif name.lower() in (before, _NOT_SHOWN.sub(b"", field.raw.partition(b":")[0]).lower().decode()):
            found.append(field)
    return found


def _read(headers: Headers, name: str, strays: Sequence[Field]) -> MailboxList:
    values = [field.octets for field in headers if field.name.lower() == name.lower()]
    found = read_mailboxes(values + [each.raw.rpartition(b":")[2] for each in strays])
    return attrs.evolve(found, clear=False) if strays else found


def _remove(headers: Headers, strays: Sequence[Field]) -> None:
    if strays:
        end = headers.raw[sum(len(each.raw) for each in headers) :]
        headers.replace_all(b"".join(each.raw for each in headers if each not in strays) + end)


def _what_is_wrong(field: MailboxList) -> str:
    if not field.found:
        return "names nobody"
    return "is not who has logged in" if field.clear else "can be read in more than one way"


def _normal(address: str) -> str | None:
    """The address in normal form; None if it is invalid, or has no domain."""
    try:
        mailbox = parse_mailbox(address)
    except MailboxError:
        return None
    return mailbox.address if mailbox.domain else None


def _is(address: str, own: str) -> bool:
    """Returns True if both are one mailbox. The case of the local-part does not matter."""
    normal = _normal(address)
    return normal is not None and normal.lower() == (_normal(own) or "").lower()


rules = [MatchLogin]
