"""Refuses recipients and senders that are not on a list."""

from __future__ import annotations

from typing import ClassVar

import attrs

from sansio_smtp.rules import MailVerdict, RcptVerdict, Recipient, Reject, Sender, Transaction

from ._patterns import check_addresses, fits_address, may_permit
from ._settings import some_address_patterns

__all__ = ["AllowList", "rules"]


@attrs.frozen
class AllowList:
    """Refuses each recipient, and each sender, that no pattern fits. ::

        [rules.allow_list]
        recipients = ["*@example.com", "postmaster"]
        senders = ["*@example.com", "<>"]   # if left out: any
        code = 554                          # of the reply, with this text; if left out: 550
        text = "5.7.1 you may write to example.com only"
        routing = true                      # if left out: false

    In a pattern ``*`` is any text and ``?`` one character; case does not matter. ``"<>"`` is the null
    reverse-path, from which bounces come. Addresses are compared in normal form, so that a mailbox is the
    same in all its spellings.

    An address that names another mailbox in its local-part or in a source route, such as
    ``bob%evil.example@example.com``, ``evil.example!bob@example.com``, ``"bob@evil.example"@example.com`` or
    ``@evil.example:bob@example.com``, is refused whatever the list says: many servers forward its mail to
    evil.example. Set ``routing`` only if the server is known not to do that. The text after a recipient
    delimiter, as in ``bob+news@example.com``, is part of the local-part here.
    """

    guards: ClassVar[bool] = True
    recipients: tuple[str, ...] = attrs.field(validator=some_address_patterns)
    senders: tuple[str, ...] = attrs.field(default=("*",), validator=some_address_patterns)
    text: str = "5.7.1 not on the list of allowed addresses"
    code: int = 550
    routing: bool = False

    def __attrs_post_init__(self) -> None:
        Reject(self.code, self.text)  # raises at load if this cannot be a reply
        check_addresses(self.recipients, self.senders)

    @property
    def limits_recipients(self) -> bool:
        """True if some recipients are not allowed."""
        return not fits_address("anybody@anywhere.invalid", self.recipients)

    def mail(self, tx: Transaction, sender: Sender) -> MailVerdict:
        routing = self.routing or "*" in self.senders  # with "*" every sender may send
        return self._unless(may_permit(sender, self.senders, routing=routing))

    def rcpt(self, tx: Transaction, to: Recipient) -> RcptVerdict:
        return self._unless(may_permit(to, self.recipients, routing=self.routing))

    def _unless(self, listed: bool) -> Reject | None:
        return None if listed else Reject(self.code, self.text)


rules = [AllowList]
