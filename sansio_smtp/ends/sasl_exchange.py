"""Makes the lines of a client in an AUTH exchange (RFC 4954) from the messages of a `SaslClient`.

::

    begin ──> AUTH NAME [initial]
    answer(334 challenge) ──> the response; or an initial response that made the line of AUTH too long;
                              or "*", if the challenge makes no sense
    2xx ──> trusted?                     4xx, 5xx: the exchange is over

It is for one server and one attempt. `ClientConnection` sends the lines.
"""

from __future__ import annotations

from binascii import b2a_base64
from typing import Final

import attrs

from sansio_smtp.sasl_client import SaslClient
from sansio_smtp.wire.commands import Command, auth_line
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import LONGEST_EXCHANGE, decoded

__all__ = ["SaslExchange"]

_LONGEST_COMMAND: Final = 510
"""The most octets of a command line without its CRLF (RFC 5321 §4.5.3.1.4). Lines of an exchange may be
longer."""
_CANCEL: Final = b"*"


@attrs.define(eq=False)
class SaslExchange:
    """One exchange."""

    client: SaslClient
    cancelled: bool = attrs.field(default=False, init=False)
    """True if the last line was "*": the server must then refuse."""
    _unsent: bytes | None = attrs.field(default=None, init=False, repr=False)
    _lines: int = attrs.field(default=1, init=False)

    def begin(self) -> Command:
        """Returns AUTH. Raises `LocalProtocolError` if the name of the mechanism is invalid."""
        line, initial = b"AUTH " + self.client.name.encode(), self.client.initial
        if initial is not None:
            whole = b"%s %s" % (line, _base64(initial) or b"=")
            if len(whole) <= _LONGEST_COMMAND:
                line = whole
            else:
                self._unsent = initial
        return Command.of(line)

    def answer(self, reply: Reply) -> Command | None:
        """The line that answers a challenge; None if there were too many."""
        if self._lines == LONGEST_EXCHANGE:
            return None
        self._lines += 1
        response = None if self.cancelled else self._response(reply)
        self.cancelled = response is None
        return auth_line(_CANCEL if response is None else _base64(response))

    @property
    def trusted(self) -> bool:
        """True if 2xx means that the login is accepted, and that the server is the right one, as far as the
        mechanism can tell."""
        return self.client.complete and not self.cancelled

    def forget(self) -> None:
        """The exchange is over. Wipes the secrets."""
        self._unsent = None
        self.client.forget()

    def _response(self, reply: Reply) -> bytes | None:
        """The answer to a challenge; None to cancel the exchange (RFC 4954 §4)."""
        unsent, self._unsent = self._unsent, None
        if unsent is not None:
            return unsent
        challenge = decoded(reply.lines[0])
        try:
            return None if challenge is None else self.client.respond(challenge)
        except ValueError:
            return None


def _base64(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False)
