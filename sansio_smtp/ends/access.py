"""The rights of a client besides sending mail: to begin TLS, log in, name another client. This depends on the
configuration, the client and its TLS. It changes in a session after STARTTLS and after XCLIENT: after XCLIENT
has named a stranger, XCLIENT is not allowed again, because the stranger could choose any address. Only
`access_of` decides this.
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
    """The rights of a client at a moment; clients with equal rights share one object. ``own`` holds the
    commands that the proxy itself answers: verb → the line of the EHLO reply that offers it; empty if it is
    not offered. ``refusals`` holds the replies to such commands that are refused. A command in neither table
    is not known here."""

    own: Mapping[bytes, bytes] = attrs.field(factory=dict[bytes, bytes])
    refusals: Mapping[bytes, Reply] = attrs.field(factory=dict[bytes, Reply])
    tls_first: Reply | None = None
    """The reply to all commands that are not allowed before TLS (RFC 3207 §4); None if TLS is not
    required."""
    no_login: Reply | None = None
    """The reply to AUTH if login is not allowed; AUTH is then not offered (RFC 4954 §4). None if the client
    may log in."""
    restricts: bool = attrs.field(
        default=attrs.Factory(lambda self: bool(self.tls_first or self.no_login), takes_self=True), init=False
    )
    """True if some usually forwarded commands may have to be refused."""


ANYBODY: Final = Access()
"""The rights of a client without any configuration."""


def access_of(config: Config, client: ClientInfo, *, checks_logins: bool = False) -> Access:
    """The rights of this client now. ``checks_logins``: the driver is asked about its login, if the proxy
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
    """True if this client may name another client; None if no client may."""
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
