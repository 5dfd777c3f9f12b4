"""The content of logins (RFC 4954): `SaslClient`, with which a proxy logs in to a server, and `LoginAttempt`,
with which a client logs in to a proxy. A `SaslClient` is one attempt with one mechanism. The core runs the
dialogue, and this object has the secrets::

    AUTH name initial ──>          without an initial response, or one that makes the line too long:
    <── 334 challenge              AUTH name ──>
    respond(challenge) ──>         <── 334
    <── 235, 535 …                 initial ──>

Challenges and responses are decoded octets, without base64.
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
        """True if the server may accept the login now. A mechanism in which the server proves its identity,
        such as SCRAM, is complete only after a correct proof."""
        ...

    def respond(self, challenge: bytes) -> bytes:
        """The response to a challenge. Raises ValueError for an invalid challenge; then the exchange is
        cancelled."""
        ...

    def forget(self) -> None:
        """The exchange is over: wipes the secrets, as far as Python allows."""
        ...


@attrs.define(eq=False, repr=False, init=False)
class LoginAttempt:
    """The name and password of a client that logs in with PLAIN (RFC 4616) or LOGIN. No repr shows the
    password."""

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
        """Overwrites the password, but not copies that were returned before."""
        self._password[:] = bytes(len(self._password))
        self._password.clear()

    def __repr__(self) -> str:
        return f"LoginAttempt({self.mechanism}, {self.name!r})"
