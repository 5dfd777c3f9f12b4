"""Sends a copy of each message to an archive."""

from __future__ import annotations

from typing import ClassVar

import attrs

from sansio_smtp.rules import Recipient, Transaction

from ._patterns import check_addresses, fits_address, normal_address
from ._settings import address_patterns, ascii_mailbox

__all__ = ["Archive", "rules"]


@attrs.frozen
class Archive:
    """Sends a copy to one more recipient, whom neither the client nor the other recipients see. ::

        [rules.archive]
        address = "archive@example.com"
        senders = ["*@example.com"]       # copy what these send,
        recipients = ["*@example.com"]    # and what these get; if both are left out: all messages
        parameters = "NOTIFY=NEVER"       # for a server that offers DSN (RFC 3461)

    In a pattern ``*`` is any text and ``?`` one character; case does not matter. No message is delivered
    without its copy: if the server refuses the archive's address, the client gets 451 and tries again later.
    """

    guards: ClassVar[bool] = True
    address: str = attrs.field(validator=ascii_mailbox)
    senders: tuple[str, ...] = attrs.field(default=(), validator=address_patterns)
    recipients: tuple[str, ...] = attrs.field(default=(), validator=address_patterns)
    parameters: str = ""

    def __attrs_post_init__(self) -> None:
        Recipient.of(self.address, self.parameters)
        check_addresses(self.senders, self.recipients)

    def data(self, tx: Transaction) -> None:
        sender = tx.mail_from.address if tx.mail_from else ""
        recipients = [to.address for to in tx.rcpts]
        wanted = (
            not (self.senders or self.recipients)
            or fits_address(sender, self.senders)
            or any(fits_address(address, self.recipients) for address in recipients)
        )
        own = normal_address(self.address).lower()
        if wanted and own not in (address.lower() for address in recipients):
            tx.add_rcpt(self.address, self.parameters)


rules = [Archive]
