"""Logins at the server that keeps messages: each is accepted, since nothing is relayed or can be read.

::

    AUTH NAME [initial] ──▶ 334, as long as there is a challenge left ──▶ 235
                       └──▶ 5xx: no such mechanism, no base64, "*", or logged in already

A password is never looked at, and is forgotten with the exchange. The name is kept, for the envelope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from sansio_smtp import Command, Reply
from sansio_smtp.wire.sasl import decoded, read_login

__all__ = ["MECHANISMS", "CaptureLogin"]

_CHALLENGES: Final[Mapping[bytes, tuple[str, ...]]] = {
    b"PLAIN": ("",),
    b"LOGIN": ("VXNlcm5hbWU6", "UGFzc3dvcmQ6"),
    b"XOAUTH2": ("",),
    b"OAUTHBEARER": ("",),
}
"""Mechanism → what the client is asked, in base64. An initial response answers the first."""
MECHANISMS: Final = b" ".join(_CHALLENGES).decode()
_ACCEPTED: Final = Reply.of(235, "any login is accepted here", enhanced="2.7.0")
_ALREADY: Final = Reply.of(503, "you have logged in already", enhanced="5.5.1")
_IN_MAIL: Final = Reply.of(503, "not between MAIL and the end of the message", enhanced="5.5.1")
_UNKNOWN: Final = Reply.of(504, f"this is not known here; use {MECHANISMS}", enhanced="5.5.4")
_CANCELLED: Final = Reply.of(501, "cancelled, as you said", enhanced="5.7.0")
_NO_BASE64: Final = Reply.of(501, "this is no base64", enhanced="5.5.2")


@attrs.define(eq=False)
class CaptureLogin:
    """The login of one client."""

    name: str | None = attrs.field(default=None, init=False)
    """As whom it has logged in; None if it has not, or if that cannot be read."""
    mechanism: str | None = attrs.field(default=None, init=False)
    """How it has logged in; None if it has not."""
    _lines: list[Command] = attrs.field(factory=list[Command], init=False, repr=False)
    _left: list[str] = attrs.field(factory=list[str], init=False)
    """The challenges that are still to come."""

    def begin(self, command: Command, *, in_mail: bool) -> Reply:
        """The reply to AUTH. ``in_mail``: it came in a mail transaction."""
        if in_mail or self.mechanism is not None:
            return _IN_MAIL if in_mail else _ALREADY
        words = command.raw.split()[1:]
        if not words or words[0].upper() not in _CHALLENGES:
            return _UNKNOWN
        self._left = list(_CHALLENGES[words[0].upper()])
        self._lines = [command]
        return self._next() if len(words) == 1 else self._answered(b"".join(words[1:]))

    def go_on(self, command: Command) -> Reply:
        """The reply to the next line of the exchange."""
        self._lines.append(command)
        return self._answered(command.raw)

    def _answered(self, answer: bytes) -> Reply:
        if answer == b"*" or decoded(answer) is None:
            self._lines.clear()
            return _CANCELLED if answer == b"*" else _NO_BASE64
        del self._left[0]
        return self._next()

    def _next(self) -> Reply:
        if self._left:
            return Reply.of(334, self._left[0])
        self.name = read_login(self._lines).given
        self.mechanism = self._lines[0].raw.split()[1].upper().decode()
        self._lines.clear()
        return _ACCEPTED
