"""Logs in with SCRAM-SHA-256 (RFC 5802, RFC 7677), which proves the password without sending it. The server
also proves that it knows the password. The library does the computing. This module limits its cost: the
server chooses how often a hash is computed, and a large number would block all sessions.
"""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

__all__ = ["ScramSha256"]

_MOST_ITERATIONS: Final = 200_000
"""The most iterations: a tenth of a second. Servers use from 4,096 (RFC 7677 §4) to some ten thousands."""
_ITERATIONS: Final = re.compile(rb"(?:\A|,)i=([0-9]+)(?:,|\Z)")


@attrs.define(eq=False)
class ScramSha256:
    """One exchange. Raises ValueError for a name or a password that SASLprep (RFC 4013) forbids."""

    account: str
    _password: str = attrs.field(repr=False)
    _scram: Any = attrs.field(init=False, repr=False)
    _step: int = attrs.field(default=0, init=False)
    initial: bytes = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        from scramp import ScramClient, ScramException  # type: ignore[import-untyped]  # 50 ms

        try:
            self._scram = ScramClient([self.name], self.account, self._password)
            self.initial = self._scram.get_client_first().encode()
        except ScramException as error:
            raise ValueError(f"a name or password that SCRAM cannot carry: {error}") from None
        finally:
            self._password = ""

    @property
    def name(self) -> str:
        return "SCRAM-SHA-256"

    @property
    def complete(self) -> bool:
        """True if the server has proved that it knows the password."""
        return self._step == 2

    def forget(self) -> None:
        """Forgets the password."""
        self._scram, self.initial = None, b""

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a challenge. Raises ValueError if it does not belong to this exchange, or if the
        server does not know the password."""
        from scramp import ScramException

        steps = (self._prove, self._check)
        if self._step == len(steps):
            raise ValueError("another challenge after the end of the exchange")
        try:
            answer = steps[self._step](challenge)
        except ScramException as error:
            raise ValueError(f"a wrong message of SCRAM: {error}") from None
        self._step += 1
        return answer

    def _prove(self, challenge: bytes) -> bytes:
        found = _ITERATIONS.search(challenge)
        if found and (len(found[1]) > 9 or int(found[1]) > _MOST_ITERATIONS):
            raise ValueError(f"asks for more than {_MOST_ITERATIONS:,} iterations")
        self._scram.set_server_first(challenge.decode())
        answer: str = self._scram.get_client_final()
        return answer.encode()

    def _check(self, challenge: bytes) -> bytes:
        self._scram.set_server_final(challenge.decode())
        return b""
