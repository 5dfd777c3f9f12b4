"""What a client may do besides relaying mail: encrypt, log in, say who the client is.

It depends on what is configured, on who the client is, and on its TLS. It changes within a session, after
STARTTLS and after XCLIENT: who has named a stranger must not be able to name another (the stranger would
choose its address). `access_of` is the one place that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import attrs

from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import ClientTls, Config, LoginMode
from sansio_smtp.networks import Networks
from sansio_smtp.wire.client_attributes import XCLIENT, XFORWARD
from sansio_smtp.wire.replies import Reply

__all__ = ["ANYBODY", "Access", "access_of"]

_TLS_FIRST: Final = Reply.of(530, "send STARTTLS first", enhanced="5.7.0")
_NO_LOGIN: Final = Reply.of(538, "encryption is required to log in here", enhanced="5.7.11")
_TLS_ALREADY: Final = Reply.of(503, "TLS has begun already", enhanced="5.5.1")
_MECHANISMS: Final = b"AUTH PLAIN LOGIN"
_NOT_TRUSTED: Final = Reply.of(550, "you may not say who the client is", enhanced="5.7.0")


@attrs.frozen(eq=False)
class Access:
    """What a client may do at a time; one object for all clients that may do the same. ``own`` holds the
    commands that the proxy itself answers: verb → the line of the EHLO reply that offers it; empty if it is
    not offered. ``refusals`` holds the replies to others of these commands; one that stands nowhere is not
    known here."""

    own: Mapping[bytes, bytes] = attrs.field(factory=dict[bytes, bytes])
    refusals: Mapping[bytes, Reply] = attrs.field(factory=dict[bytes, Reply])
    tls_first: Reply | None = None
    """The reply to all commands that may not come before TLS (RFC 3207 §4); None if it need not be used."""
    no_login: Reply | None = None
    """The reply to AUTH, which is not offered then (RFC 4954 §4); None if the client may log in."""
    restricts: bool = attrs.field(
        default=attrs.Factory(lambda self: bool(self.tls_first or self.no_login), takes_self=True), init=False
    )
    """True if a command may have to be refused that is usually forwarded."""


ANYBODY: Final = Access()
"""Of a client about which nothing is configured."""


def access_of(config: Config, client: ClientInfo, *, checks_logins: bool = False) -> Access:
    """What this client may do now. ``checks_logins``: the driver is asked about its login, where the proxy
    answers AUTH."""
    encrypted, tls = client.tls is not None, config.tls
    if encrypted or tls is ClientTls.ENCRYPT:
        may_log_in = encrypted
    else:
        may_log_in = config.auth_without_tls or client.is_local
    return _access(
        encrypted,
        tls,
        may_log_in,
        config.login_mode,
        checks_logins,
        _may_say(client, config.accept_xclient),
        _may_say(client, config.accept_xforward),
    )


def _may_say(client: ClientInfo, networks: Networks) -> bool | None:
    """True if the client may say who the client is, None if nobody may."""
    return client in networks if networks else None


@lru_cache(maxsize=128)  # there are not that many
def _access(
    encrypted: bool,
    tls: ClientTls,
    may_log_in: bool,
    logins: LoginMode,
    checks_logins: bool,
    xclient: bool | None,
    xforward: bool | None,
) -> Access:
    own: dict[bytes, bytes] = {}
    refusals: dict[bytes, Reply] = {}
    if encrypted:
        refusals[b"STARTTLS"] = _TLS_ALREADY
    elif tls is not ClientTls.NONE:
        own[b"STARTTLS"] = b"STARTTLS"
    for verb, may, attributes in (
        (b"XCLIENT", xclient, XCLIENT),
        (b"XFORWARD", xforward, XFORWARD),
    ):
        if may:
            own[verb] = b" ".join((verb, *(name.encode() for name in attributes)))
        elif may is not None:
            refusals[verb] = _NOT_TRUSTED
    if logins is not LoginMode.RELAY:
        takes_logins = checks_logins or logins is LoginMode.TRANSLATE
        own[b"AUTH"] = _MECHANISMS if takes_logins and may_log_in else b""
    tls_first = _TLS_FIRST if tls is ClientTls.ENCRYPT and not encrypted else None
    no_login = None if may_log_in else _NO_LOGIN
    if not (own or refusals or tls_first or no_login):
        return ANYBODY
    return Access(own, refusals, tls_first, no_login)
