"""The lines that the service prints when it starts."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from sansio_smtp import ClientTls, UpstreamTls, __version__
from trio_proxy.settings.core_config import client_tls
from trio_proxy.settings.options import DEFAULTS, Options
from trio_proxy.text.addresses import Address

from .cautions import hidden_auth
from .security import Security

if TYPE_CHECKING:
    from trio_proxy.tls.certificates import Certificate

__all__ = ["TRANSCRIPT", "banner", "certificate_text", "starttls_text"]

TRANSCRIPT: Final = "on, to standard output"
_STARTTLS: Final = {
    ClientTls.NONE: "is not offered",
    ClientTls.MAY: "is offered",
    ClientTls.ENCRYPT: "is required: commands in plain text get 530",
}


def banner(options: Options, listeners: Iterable[Address], security: Security, rules: str) -> Iterator[str]:
    """The lines. ``listeners``: where it listens; ``rules``: a summary of the rules, or empty. Looks up the
    names of hosts, so it blocks."""
    yield f"smtp-proxy {__version__}"
    for address in listeners:
        yield f"  listening   {address}"
        if address.tls and address.port == 465:
            plain = Address(address.host, address.port)
            yield f"              TLS from the first octet, as port 465 says; {plain} would be plain text"
    yield from _tls(options, security)
    if not options.upstream:
        yield f"  upstream    none: messages are kept in {options.capture} (Maildir)"
        yield f"  to see them {_show_command(options)}"
        starttls = "STARTTLS and " if security.on_demand is not None and options.tls is None else ""
        yield f"  clients     may use {starttls}any login"
    else:
        for server in options.upstream:
            yield f"  upstream    {server}"
            leg = security.leg_to(server.address)
            if leg is not None:
                begins = "from the first octet" if leg.implicit else _BEGINS[leg.level]
                yield f"  TLS to it   {begins}; {_CHECKS[leg.level is UpstreamTls.VERIFY]}"
        if options.send_client != "none":
            yield f"  client      the server is told who it is: {options.send_client}"
    for route in options.routes:
        yield f"  route       {route.name}: {', '.join(map(str, route.upstream))}"
    if rules:
        watched = "; watching for changes" if options.reload else ""
        yield f"  rules       {rules}{watched}"
    if options.workers is not None:
        yield f"  workers     {options.workers}"
    if options.transcript:
        yield f"  transcript  {TRANSCRIPT}"
    yield "Press Ctrl-C to stop after the messages in flight, twice to stop at once."


_BEGINS: Final = {
    UpstreamTls.MAY: "if it offers STARTTLS",
    UpstreamTls.ENCRYPT: "with STARTTLS; if it offers none, clients get 421",
    UpstreamTls.VERIFY: "with STARTTLS; if it offers none, clients get 421",
}
_CHECKS: Final = {True: "its certificate must be right", False: "its certificate is not checked"}


def _tls(options: Options, security: Security) -> Iterator[str]:
    if security.clients is not None:
        if any(not address.tls for address in options.listen):
            yield f"  STARTTLS    {starttls_text(options)}"
        for certificate in security.clients.certificates:
            yield f"  certificate {certificate_text(certificate)}"
        if options.self_signed:
            made = security.clients.certificates[0]
            yield f"  fingerprint SHA-256 {made.fingerprint}"
    elif security.on_demand is not None and options.tls is not None:
        when = "its certificate is made when a client uses it"
        yield f"  STARTTLS    {starttls_text(options)}; {when}"
    if why := hidden_auth(options):
        yield f"  AUTH        {why}"


def _show_command(options: Options) -> str:
    """Shows the newest of the messages that are kept."""
    is_usual = options.capture == DEFAULTS.capture
    more = [] if is_usual else ["--capture", str(options.capture)]
    return shlex.join(["smtp-proxy", "show", "--last", *more])


def starttls_text(options: Options) -> str:
    """Says if clients are offered STARTTLS, or must use it."""
    return _STARTTLS[client_tls(options)]


def certificate_text(certificate: Certificate) -> str:
    """The names of a certificate, and until when it is valid."""
    return f"{', '.join(certificate.names) or certificate.subject}; until {certificate.not_after:%Y-%m-%d}"
