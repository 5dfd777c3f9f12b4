"""What is said in a login (RFC 4954): `SaslClient`, with which a proxy logs in to a server, and
`LoginAttempt`, with which a client logs in to a proxy.

A `SaslClient` is one attempt with one mechanism. The core has the dialogue, and the object has the secrets::

    AUTH name initial ──>          without an initial response, or one that makes the line too long:
    <── 334 challenge              AUTH name ──>
    respond(challenge) ──>         <── 334
    <── 235, 535 …                 initial ──>

Challenges and responses are octets, without their base64.
"""

from __future__ import annotations

from typing import Protocol

import attrs

__all__ = ["LoginAttempt", "SaslClient"]


class SaslClient(Protocol):
    """The client of one SASL exchange (RFC 4422). It is used once."""

    @property
    def name(self) -> str:
        """The mechanism, upper-case, such as ``"PLAIN"``."""
        ...

    @property
    def initial(self) -> bytes | None:
        """The initial response; None if the server speaks first."""
        ...

    @property
    def complete(self) -> bool:
        """True if the server may say now that the login is accepted. A mechanism with which the server proves
        who it is, such as SCRAM, is not complete before that proof has come and is right."""
        ...

    def respond(self, challenge: bytes) -> bytes:
        """The response to a challenge. Raises ValueError for a challenge that makes no sense; then the
        exchange is cancelled."""
        ...

    def forget(self) -> None:
        """The exchange is over: wipes the secrets, as far as Python lets."""
        ...


@attrs.define(eq=False, repr=False, init=False)
class LoginAttempt:
    """What a client has said to log in, with PLAIN (RFC 4616) or LOGIN. No repr shows the password."""

    mechanism: str
    """``"PLAIN"`` or ``"LOGIN"``."""
    name: str
    """The name, as the client spelled it."""
    _password: bytearray

    def __init__(self, mechanism: str, name: str, password: bytes) -> None:
        self.mechanism = mechanism
        self.name = name
        self._password = bytearray(password)

    def password(self) -> str:
        """The password. Octets that are not UTF-8 are kept by surrogateescape. Empty after `wipe`."""
        return self._password.decode("utf-8", "surrogateescape")

    def wipe(self) -> None:
        """Overwrites the password. Copies that were given out are not reached."""
        self._password[:] = bytes(len(self._password))
        self._password.clear()

    def __repr__(self) -> str:
        return f"LoginAttempt({self.mechanism}, {self.name!r})"
