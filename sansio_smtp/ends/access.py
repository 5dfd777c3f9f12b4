"""What a client may do besides relaying mail: encrypt, log in, say who the client is.

It depends on what is configured, on who the client is, and on its TLS. It changes within a session, after
STARTTLS and after XCLIENT: who has named a stranger must not be able to name another (the stranger would
choose its address). `access_of` is the one place that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import ClientTls, Config
from sansio_smtp.wire.client_attributes import XCLIENT, XFORWARD
from sansio_smtp.wire.replies import Reply

__all__ = ["ANYBODY", "Access", "access_of"]

_TLS_FIRST: Final = Reply.of(530, "send STARTTLS first", enhanced="5.7.0")
_NO_LOGIN: Final = Reply.of(538, "encryption is required to log in here", enhanced="5.7.11")
_TLS_ALREADY: Final = Reply.of(503, "TLS has begun already", enhanced="5.5.1")
_NOT_TRUSTED: Final = Reply.of(550, "you may not say who the client is", enhanced="5.7.0")


@attrs.frozen
class Access:
    """What a client may do at a time. ``own`` holds the commands that the proxy itself answers: verb → the
    line of the EHLO reply that offers it. ``refusals`` holds the replies to others of these commands; one
    that stands nowhere is not known here."""

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


def access_of(config: Config, client: ClientInfo) -> Access:
    """What this client may do now."""
    own: dict[bytes, bytes] = {}
    refusals: dict[bytes, Reply] = {}
    encrypted = client.tls is not None
    if encrypted:
        refusals[b"STARTTLS"] = _TLS_ALREADY
    elif config.tls is not ClientTls.NONE:
        own[b"STARTTLS"] = b"STARTTLS"
    for verb, networks, attributes in (
        (b"XCLIENT", config.accept_xclient, XCLIENT),
        (b"XFORWARD", config.accept_xforward, XFORWARD),
    ):
        if client in networks:
            own[verb] = b" ".join((verb, *(name.encode() for name in attributes)))
        elif networks:
            refusals[verb] = _NOT_TRUSTED
    tls_first = config.tls is ClientTls.ENCRYPT and not encrypted
    may_log_in = encrypted or (not tls_first and (config.auth_without_tls or client.is_local))
    access = Access(
        own,
        refusals,
        _TLS_FIRST if tls_first else None,
        None if may_log_in else _NO_LOGIN,
    )
    return ANYBODY if access == ANYBODY else access
