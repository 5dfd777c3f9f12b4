"""The steps that a server needs before the next command of the client. `next_step` checks what the server has
offered and what it was told, and returns one step; it is called again after the reply. So each step may
depend on the reply to the step before. It returns the first of these that is missing::

    EHLO         our own, with the client's name, to learn what the server offers
    STARTTLS     where the level asks for it, and the server offers it
    XCLIENT      who the client is, for the whole connection; after it, as after TLS, EHLO is due again
    EHLO, HELO   as the client has had it answered; or our own, if the client has said none
    AUTH         where the proxy logs in by itself: before each transaction, or when the client logs in
    XFORWARD     who the client is, before each MAIL
    MAIL         of a transaction that began on another connection

What must never happen: mail or the client's identity goes in plain text although TLS is required; MAIL goes
to a server that does not know the client although it must be told; or anything is sent before the EHLO reply
that allows it.
"""

from __future__ import annotations

from typing import Final

import attrs

from sansio_smtp.config import Config, LoginMode, SendClient, UpstreamTls
from sansio_smtp.members import EFFECT_BEGIN, KIND_AUTH, KIND_HELLO, KIND_QUIT
from sansio_smtp.verbs import UNKNOWN, VERBS
from sansio_smtp.wire.client_attributes import offered_attributes, write_attributes
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .client_identity import xclient_values, xforward_values
from .downstream import Downstream
from .upstream import Upstream

__all__ = ["LOG_IN", "Lack", "begins_transaction", "next_step", "requires_tls"]

LOG_IN: Final = Command.of("AUTH")
"""A placeholder for the login of the proxy, whose lines `LoginFlow` makes; it is not sent."""
_STARTTLS: Final = Command.of("STARTTLS")
_XCLIENT: Final = frozenset((SendClient.XCLIENT, SendClient.AUTO))
_XFORWARD: Final = frozenset((SendClient.XFORWARD, SendClient.AUTO))


@attrs.frozen
class Lack:
    """The server does not offer what is required; ``why`` is for the log, ``reply`` for the client."""

    why: str
    reply: Reply


_NO_TLS: Final = Lack("it does not offer STARTTLS, which is required", own_replies.TLS_FAILED)
_NO_XCLIENT: Final = Lack("it does not offer XCLIENT to this proxy", own_replies.CLIENT_UNKNOWN)
_NO_XFORWARD: Final = Lack("it does not offer XFORWARD to this proxy", own_replies.CLIENT_UNKNOWN)


def next_step(config: Config, leg: Upstream, client: Downstream, command: Command) -> Command | Lack | None:
    """The next command that this server must get before the client's ``command``. None if nothing is
    missing."""
    kind = command.kind
    if kind is KIND_QUIT:
        return None
    end, offered = leg.end, leg.end.offered
    wants_tls = leg.level is not UpstreamTls.NONE and leg.tls is None and not leg.tls_refused
    wants_name = config.send_client in _XCLIENT and not leg.named
    wants_login = _wants_login(config, leg, client, command)
    if offered is None and (wants_tls or wants_name or _is_helo_to_name(config, leg, command)):
        return _ehlo(config, client, command)
    if offered is not None and wants_tls:
        if "STARTTLS" in offered:
            return _STARTTLS
        if leg.level.required:
            return _NO_TLS
    if offered is not None and wants_name:
        if "XCLIENT" in offered:
            values = xclient_values(client.client_info, command)
            return _attributes("XCLIENT", values, offered["XCLIENT"]) or _NO_XCLIENT
        if config.send_client is SendClient.XCLIENT:
            return _NO_XCLIENT
    if kind is KIND_HELLO:
        return None
    if wants_login:
        # AUTH needs EHLO or LHLO: after HELO it is not known what a server offers.
        is_basic = end.hello is None or end.hello.verb == b"HELO"
        return _ehlo(config, client, command) if is_basic else LOG_IN
    if end.hello is None and (client.hello is not None or leg.introduced):
        return client.hello or _ehlo(config, client, command)
    carried = _carried(leg, client, command)
    if (carried is not None or begins_transaction(command)) and leg.forwarded_for is not command:
        step = _forward(config, leg, client, command)
        if step is not None:
            return step
    return carried


def _wants_login(config: Config, leg: Upstream, client: Downstream, command: Command) -> bool:
    """Returns True if the proxy must log in before this command. In TRANSLATE a client without a login may
    send MAIL: the server decides."""
    if leg.logged_in or config.login_mode is LoginMode.RELAY:
        return False
    if command.kind is KIND_AUTH:
        return True
    may = config.login_mode is LoginMode.INJECT or client.attempt is not None
    return may and (begins_transaction(command) or _carried(leg, client, command) is not None)


def _is_helo_to_name(config: Config, leg: Upstream, command: Command) -> bool:
    """Returns True for HELO, whose reply does not say what the server offers, if XFORWARD may be needed."""
    return config.send_client in _XFORWARD and not leg.named and command.verb == b"HELO"


def _forward(config: Config, leg: Upstream, client: Downstream, command: Command) -> Command | Lack | None:
    if config.send_client not in _XFORWARD or (leg.named and client.forwarded is None):
        return None
    offered = leg.end.offered
    if offered is None:
        return _ehlo(config, client, command)
    if "XFORWARD" in offered:
        values = xforward_values(client.client_info, client.hello)
        return _attributes("XFORWARD", values, offered["XFORWARD"]) or _NO_XFORWARD
    return _NO_XFORWARD if config.send_client is SendClient.XFORWARD else None


def _carried(leg: Upstream, client: Downstream, command: Command) -> Command | None:
    """MAIL of a carried transaction, if this RCPT is its first command on this connection."""
    carried = leg.carried
    if (
        command.verb == b"RCPT"
        and carried is not None
        and carried.envelope is client.end.envelope
        and not leg.in_transaction
    ):
        return carried.mail
    return None


def _ehlo(config: Config, client: Downstream, command: Command) -> Command:
    """The proxy's own EHLO, with the name in the client's command or in its last EHLO, or else with the
    proxy's name."""
    said = command if command.kind is KIND_HELLO else client.hello
    name = said.argument.strip() if said is not None else b""
    return Command.parse(b"EHLO " + (name or config.ehlo_name.encode()))


def _attributes(verb: str, values: dict[str, str], offered: str) -> Command | None:
    """The command; None if the server has offered none of the attributes."""
    argument = write_attributes(values, offered_attributes(offered))
    return Command.parse(verb.encode() + b" " + argument) if argument else None


def begins_transaction(command: Command) -> bool:
    """Returns True for MAIL, and for the old commands that do the same."""
    return VERBS.get(command.verb, UNKNOWN).effect is EFFECT_BEGIN


def requires_tls(command: Command) -> bool:
    """Returns True for a MAIL command with the parameter REQUIRETLS (RFC 8689 §2), in any place where a
    lenient server may see it."""
    raw = command.raw.upper()
    if b"REQUIRETLS" not in raw or not begins_transaction(command):
        return False
    return any(word.partition(b"=")[0] == b"REQUIRETLS" for word in raw.split())
