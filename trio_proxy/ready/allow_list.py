"""Refuses all recipients, and senders, that are not on a list."""

from __future__ import annotations

import attrs

from sansio_smtp.rules import MailVerdict, RcptVerdict, Recipient, Reject, Sender, Transaction

from ._patterns import fits

__all__ = ["AllowList", "rules"]


@attrs.frozen
class AllowList:
    """Refuses each recipient, and each sender, that no pattern fits. ::

        [rules.allow_list]
        recipients = ["*@example.com", "postmaster"]
        senders = ["*@example.com", "<>"]   # if left out: any
        code = 554                          # of the reply, with this text; if left out: 550
        text = "5.7.1 you may write to example.com only"

    In a pattern ``*`` is any text and ``?`` one character; case does not matter. ``"<>"`` is the null
    reverse-path, from which bounces come.
    """

    recipients: tuple[str, ...]
    senders: tuple[str, ...] = ("*",)
    text: str = "5.7.1 not on the list of allowed addresses"
    code: int = 550

    def __attrs_post_init__(self) -> None:
        Reject(self.code, self.text)  # raises if it cannot be said: better now than in the middle of mail

    def mail(self, tx: Transaction, sender: Sender) -> MailVerdict:
        return self._unless(fits(sender.address or "<>", self.senders))

    def rcpt(self, tx: Transaction, to: Recipient) -> RcptVerdict:
        return self._unless(fits(to.address, self.recipients))

    def _unless(self, listed: bool) -> Reject | None:
        return None if listed else Reject(self.code, self.text)


rules = [AllowList]
