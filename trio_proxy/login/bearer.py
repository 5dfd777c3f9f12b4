"""Logs in with an OAuth 2.0 access token: XOAUTH2 and OAUTHBEARER (RFC 7628).

Both send the token in the first message. A server that refuses it says why in a challenge, a JSON object that
is not useful for a program, and waits for one more answer before it sends 535::

    XOAUTH2                                   OAUTHBEARER
    C: AUTH XOAUTH2 user=... auth=Bearer ...  C: AUTH OAUTHBEARER n,a=... auth=Bearer ...
    S: 334 {"status":"400",...}               S: 334 {"status":"invalid_token",...}
    C: (an empty line)                        C: (one octet, 0x01)
    S: 535 5.7.8 ...                          S: 535 5.7.8 ...

Some servers refuse with 535 at once. Some send an empty challenge, to ask again for the first message.
"""

from __future__ import annotations

import json
import re
from typing import ClassVar, Final, cast

import attrs

__all__ = ["OAuthBearer", "XOAuth2"]

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
"""More than RFC 6750 §2.1 allows, but also without blanks and control characters."""
_WORD: Final = re.compile(r"[A-Za-z0-9 _.:/-]{1,200}")


def _account(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not value or _CONTROLS.search(value):
        raise ValueError("an account name is not empty and has no control characters")


def _is_token(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not _TOKEN.fullmatch(value):
        raise ValueError("an access token is visible ASCII characters")


@attrs.define(eq=False)
class _Bearer:
    """One exchange. Raises ValueError for an account or a token that could be read as something else."""

    account: str = attrs.field(validator=_account)
    _token: str = attrs.field(repr=False, validator=_is_token, on_setattr=attrs.setters.NO_OP)
    objection: str = attrs.field(default="", init=False)
    """The reason of the server for refusing the token, for a log; empty if it gave none."""
    _asked: bool = attrs.field(default=False, init=False)
    """True if the server has asked for the first message again."""

    farewell: ClassVar[bytes]
    """The answer to the challenge with which a server refuses the token."""

    @property
    def initial(self) -> bytes:
        """The first message, which holds everything."""
        raise NotImplementedError

    @property
    def complete(self) -> bool:
        """True if the server may accept the login now."""
        return not self.objection

    def forget(self) -> None:
        """Forgets the token."""
        self._token = ""

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a challenge. Raises ValueError if the server asks for more."""
        if self.objection:
            raise ValueError(f"another challenge after the refusal of a token in {type(self).__name__}")
        if challenge:
            self.objection = _objection(challenge)
            return self.farewell
        if self._asked:
            raise ValueError("asks for the token again and again")
        self._asked = True
        return self.initial


@attrs.define(eq=False)
class XOAuth2(_Bearer):
    """XOAUTH2, the older mechanism of Google and Microsoft."""

    farewell: ClassVar[bytes] = b""

    @property
    def name(self) -> str:
        return "XOAUTH2"

    @property
    def initial(self) -> bytes:
        return f"user={self.account}\1auth=Bearer {self._token}\1\1".encode()


@attrs.define(eq=False)
class OAuthBearer(_Bearer):
    """OAUTHBEARER (RFC 7628 §3.1)."""

    farewell: ClassVar[bytes] = b"\1"
    host: str = ""
    """The server that gets the token; empty: the message does not name it."""
    port: int = 0

    @property
    def name(self) -> str:
        return "OAUTHBEARER"

    @property
    def initial(self) -> bytes:
        account = self.account.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 §4
        fields = [f"host={self.host}"] if self.host else []
        fields += [f"port={self.port}"] if self.port else []
        return "\1".join([f"n,a={account},", *fields, f"auth=Bearer {self._token}", "", ""]).encode()


def _objection(challenge: bytes) -> str:
    """The words of the server that can be shown, because they cannot contain the token."""
    try:
        said: object = json.loads(challenge)
    except (ValueError, RecursionError):
        return "the token is refused"
    table = cast("dict[str, object]", said) if isinstance(said, dict) else {}
    words = (f"{key} {table[key]}" for key in ("status", "scope") if _is_plain(table.get(key)))
    return ", ".join(("the token is refused", *words))


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None
