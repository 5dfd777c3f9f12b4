"""Makes the sender and the author of a message match the login, or refuses the message."""

from __future__ import annotations

import re
from email.utils import getaddresses, quote
from typing import ClassVar, Final, Literal

import attrs

from sansio_smtp.rules import Connection, Headers, HeadersVerdict, MailVerdict, Reject, Sender, Transaction

from ._logins import AddressesOfLogins, unread
from ._patterns import fits, may_permit, normal_address
from ._settings import address_patterns, mailboxes

__all__ = ["MatchLogin", "rules"]

_UNREAD: Final = unread("no address can be its own")
_ADDRESS: Final = re.compile(r'[^\s\0-\x1f"<>@]+@[^\s\0-\x1f"<>@]+')
# A list of addresses in which every reader finds the same ones.
_MAILBOX: Final = (
    rb'[ \t]*+(?:(?:"(?:[^"\\]|\\.)*+"|[^"<>,;:@\\()\[\]])*+<[^\s"<>,;:()\\]+>'
    rb'|[^\s"<>,;:()\\]++(?:[ \t]++\([^()\\]*+\))?)[ \t]*+'
)
_CLEAR: Final = re.compile(rb"%b(?:,%b)*+" % (_MAILBOX, _MAILBOX), re.DOTALL)


def _by_login(rule: MatchLogin) -> AddressesOfLogins:
    return AddressesOfLogins(rule.logins)


@attrs.frozen
class MatchLogin:
    """Makes MAIL FROM and the From field match the login, for servers that refuse mail otherwise. ::

        [rules.match_login]
        mode = "rewrite"                             # or "refuse"
        logins = { scanner = "scans@example.com" }   # addresses of logins that are none themselves
        keep = ["*@news.example.com"]                # what anybody who has logged in may use
        routing = true                               # if left out: false, see `AllowList`

    When From is rewritten, its display name stays (or its address becomes the display name), a Sender field
    is taken out, and replies go where they would have gone: to Reply-To if there is one, else to what From
    was. The null reverse-path stays, and so does all that comes without a login, or with one that has no
    ``@`` and is not in ``logins``. If a client has logged in and its name cannot be read, as with GSSAPI, it
    may use what is in ``keep``, and is answered 550 for everything else. A DKIM signature that a message has
    breaks: sign after this rule.
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
        sender.rewrite(own)
        return None

    def headers(self, tx: Transaction, headers: Headers) -> HeadersVerdict:
        own = self._own(tx.conn)
        wrong = [name for name in ("From", "Sender") if not self._all_may_be_used(own, headers, name)]
        if wrong and own is None:
            return _UNREAD
        if wrong and self.mode == "refuse":
            return Reject(553, f"5.7.1 {wrong[0]} is not who has logged in")
        if "From" in wrong:
            people = _people(headers, "From")
            known = (each for each in people if _ADDRESS.fullmatch(each[1]))
            authors = [_person(*each) for each in known if each[1].isascii() or headers.utf8]
            if "Reply-To" not in headers and authors:
                headers.set("Reply-To", ", ".join(authors))
            assert own is not None
            headers.set("From", _person(people[0][0] or people[0][1], own))
        if wrong:
            headers.remove("Sender")
        return None

    def _own(self, conn: Connection) -> str | None:
        """The address that belongs to the login; empty if none does; None if it is not known which."""
        login = conn.login
        if login is None:
            return None if conn.login_unknown else ""
        own = self._addresses.of(conn)
        if own is None:
            own = login if "@" in login else ""
            return own if not own or _ADDRESS.fullmatch(own) else None
        return own or None

    def _may_send(self, own: str | None, sender: Sender) -> bool:
        """Returns True for a reverse-path that the login may use, in which no other mailbox can be read."""
        if own == "" or (sender.is_clear and not sender.address):
            return True
        is_own = own is not None and sender.is_clear and not sender.mailbox.has_route
        if is_own and sender.address.lower() == normal_address(own or "").lower():
            return True
        return may_permit(sender, self.keep, routing=self.routing)

    def _all_may_be_used(self, own: str | None, headers: Headers, name: str) -> bool:
        fields = [
            field.octets.replace(b"\r\n", b"") for field in headers if field.name.lower() == name.lower()
        ]
        if own == "" or not fields:
            return True
        people = _people(headers, name) if all(map(_CLEAR.fullmatch, fields)) else [("", "")]
        return all(self._may_use(own, address) for _, address in people)

    def _may_use(self, own: str | None, address: str) -> bool:
        is_own = own is not None and own.lower() in ("", address.lower())
        return is_own or fits(address, self.keep)


def _people(headers: Headers, name: str) -> list[tuple[str, str]]:
    """The display names and the addresses in all fields of a name; ``("", "")`` for what cannot be read."""
    try:
        return getaddresses(headers.get_all(name)) or [("", "")]
    except RecursionError:  # comments in comments in comments
        return [("", "")]


def _person(name: str, address: str) -> str:
    # Half an encoded word is text here, but some read the address as the rest of it.
    name = quote(name.replace("=?", "= ?"))
    return f'"{name}" <{address}>' if name and address else address


rules = [MatchLogin]
