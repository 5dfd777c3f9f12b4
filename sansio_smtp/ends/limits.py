"""The EHLO keyword LIMITS (RFC 9422): the number of transactions and recipients that a server takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

from sansio_smtp.members import EFFECT_ADD_RECIPIENT, EFFECT_BEGIN
from sansio_smtp.verbs import UNKNOWN, VERBS
from sansio_smtp.wire.commands import Command

__all__ = ["MAILMAX", "RCPTMAX", "Limits", "limits", "with_recipients"]

MAILMAX: Final = "MAILMAX"
"""The name of the limit of MAIL commands on a connection, accepted or not."""
RCPTMAX: Final = "RCPTMAX"
"""The name of the limit of RCPT commands in a transaction."""

_LIMIT: Final = re.compile(r"([A-Z0-9][A-Z0-9-]*)=([1-9][0-9]{0,5})")
"""RFC 9422 §3, §4: a name, and a number of at most six digits that is not 0."""


def limits(keywords: Mapping[str, str]) -> Mapping[str, int]:
    """The limits that a server has announced, by name in upper case; values that are not numbers are left
    out. If a name is repeated, the first counts."""
    found: dict[str, int] = {}
    for word in keywords.get("LIMITS", "").upper().split():
        if limit := _LIMIT.fullmatch(word):
            found.setdefault(limit[1], int(limit[2]))
    return found


def with_recipients(line: bytes, most: int) -> bytes:
    """The line that announces limits, with RCPTMAX lowered to ``most``. If the RFC does not allow this
    number, the line stays unchanged."""
    text = line.decode("ascii", "replace")
    told = limits({"LIMITS": text}).get(RCPTMAX)
    ours = f"{RCPTMAX}={most}"
    if (told is not None and told <= most) or not _LIMIT.fullmatch(ours):
        return line
    words = [ours if word.upper().startswith(f"{RCPTMAX}=") else word for word in text.split()]
    return " ".join(dict.fromkeys((*words, ours))).encode("ascii", "replace")


@attrs.define
class Limits:
    """Counts the commands sent to a server since the EHLO reply that announces limits."""

    announced: Mapping[str, int] = attrs.field(factory=dict[str, int])
    _mails: int = attrs.field(default=0, init=False)
    _recipients: int = attrs.field(default=0, init=False)

    def learn(self, keywords: Mapping[str, str]) -> None:
        """The server has answered EHLO or HELO."""
        self.announced = limits(keywords) if "LIMITS" in keywords else {}

    def sent(self, command: Command) -> None:
        """This command is sent to the server."""
        effect = VERBS.get(command.verb, UNKNOWN).effect
        if effect is EFFECT_BEGIN:
            self._mails += 1
            self._recipients = 0
        elif effect is EFFECT_ADD_RECIPIENT:
            self._recipients += 1

    def exceeded_by(self, command: Command) -> str | None:
        """The limit that this command would exceed; None if it exceeds none."""
        effect = VERBS.get(command.verb, UNKNOWN).effect
        if effect is EFFECT_BEGIN:
            return MAILMAX if self._mails >= self.announced.get(MAILMAX, self._mails + 1) else None
        if effect is EFFECT_ADD_RECIPIENT:
            return RCPTMAX if self._recipients >= self.announced.get(RCPTMAX, self._recipients + 1) else None
        return None
