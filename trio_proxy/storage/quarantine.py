"""Writes messages that a rule holds to ``DIR/new/NAME``, and their envelopes to ``DIR/envelopes/NAME.json``.

It is a Maildir, so any mail program can show it. The envelope names sender, recipients, time and reason.
"""

from __future__ import annotations

import time
from pathlib import Path

import attrs

from sansio_smtp.rules import Hold, Transaction
from trio_proxy.storage.maildir import Maildir

__all__ = ["Quarantine"]


@attrs.define(eq=False)
class Quarantine:
    """The quarantine. Its directory is created when the first message is held."""

    path: Path
    _maildir: Maildir | None = attrs.field(default=None, init=False)

    def keep(self, tx: Transaction, message: bytes, verdict: Hold) -> str:
        """Writes a message and its envelope to disk, and returns the name. Blocks. Raises OSError."""
        if self._maildir is None:
            self._maildir = Maildir(self.path)
        maildir = self._maildir
        name, file = maildir.create()
        try:
            file.write(message)
            maildir.keep(name, file, _record(tx, len(message), verdict))
        except BaseException:
            maildir.drop(name, file)
            raise
        return name


def _record(tx: Transaction, size: int, verdict: Hold) -> dict[str, object]:
    sender = tx.mail_from
    return {
        "reason": verdict.reason,
        "answered": f"{verdict.code} {verdict.text}",
        "mail_from": sender.address if sender else None,
        "mail_parameters": {p.keyword: p.value for p in sender.parameters} if sender else {},
        "rcpt_to": [to.address for to in tx.rcpts],
        "rcpt_original": [to.original for to in tx.rcpts],
        "helo": tx.conn.helo,
        "login": tx.conn.login,
        "login_given": tx.conn.login_given,
        "login_unknown": tx.conn.login_unknown,
        "peer": tx.conn.peer,
        "connection": tx.conn.id,
        "size": size,
        "held": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
