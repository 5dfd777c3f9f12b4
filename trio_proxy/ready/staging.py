"""Sends all mail to one mailbox, for a staging system whose mail must not reach anybody else."""

from __future__ import annotations

from typing import ClassVar

import attrs

from sansio_smtp.rules import (
    DataVerdict,
    Defer,
    Discard,
    Headers,
    RcptVerdict,
    Recipient,
    Transaction,
)

from ._patterns import normal_address
from ._settings import ascii_mailbox, field_names

__all__ = ["Staging", "rules"]


@attrs.frozen
class Staging:
    """Sends every message once, only to ``mailbox``, and names the intended recipients in a header field. ::

        [rules.staging]
        mailbox = "staging@example.com"
        field = "X-Original-To"           # one for each recipient

    The client gets 250 for every recipient. The field names all of them, also those in Bcc.
    """

    guards: ClassVar[bool] = True
    limits_recipients: ClassVar[bool] = True
    mailbox: str = attrs.field(validator=ascii_mailbox)
    field: str = "X-Original-To"

    def __attrs_post_init__(self) -> None:
        field_names(self, None, (self.field,))

    def rcpt(self, tx: Transaction, to: Recipient) -> RcptVerdict:
        own = normal_address(self.mailbox)
        if any(other.address == own for other in tx.rcpts):
            tx.data.get(_Others).add(to.original)
            return Discard("2.1.5 ok")
        to.rewrite(self.mailbox)
        return None

    def data(self, tx: Transaction) -> DataVerdict:
        # The server may have refused the mailbox after the client was told 250 for the others.
        own = normal_address(self.mailbox)
        if tx.data.get(_Others).addresses and not any(to.address == own for to in tx.rcpts):
            return Defer(451, "4.3.0 the staging mailbox was refused")
        return None

    def headers(self, tx: Transaction, headers: Headers) -> None:
        own = normal_address(self.mailbox)
        first = [to.original for to in tx.rcpts if to.address == own]
        for address in first + tx.data.get(_Others).addresses:
            headers.add(self.field, address[:900])  # no server accepts a line that is too long


@attrs.define
class _Others:
    """The recipients of a message that the server does not get."""

    addresses: list[str] = attrs.field(factory=list[str])

    def add(self, address: str) -> None:
        self.addresses.append(address)


rules = [Staging]
