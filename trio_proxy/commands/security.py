"""TLS by the settings: the certificates that clients see, and the use of TLS to each server.

Its libraries are imported where they are used, so that a service without TLS does not wait for them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from sansio_smtp import UpstreamTls
from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.settings.contradictions import contradictions
from trio_proxy.settings.in_file import is_certain, of_file, of_settings
from trio_proxy.settings.options import Options
from trio_proxy.text.addresses import Address, AddressError
from trio_proxy.text.missing import REMEDY, no_file
from trio_proxy.tls.on_demand import CertificateOnDemand

if TYPE_CHECKING:
    from trio_proxy.tls.certificates import Certificate, KeyPair
    from trio_proxy.tls.server_side import ServerTls
    from trio_proxy.tls.upstream import Leg, UpstreamSecurity

__all__ = ["Security", "security_or_problems", "server_named", "validity_problems"]

T = TypeVar("T")
_EVERYWHERE: Final = ("", "0.0.0.0", "::")


@attrs.define(eq=False)
class Security:
    """The TLS of a service; `security_or_problems` makes it."""

    options: Options
    clients: ServerTls | None = None
    """The certificates for clients; None if TLS with them is not possible."""
    can_connect: bool = True
    """False if files for TLS to servers cannot be used."""
    _servers: UpstreamSecurity | None = None
    """None: the server of ``--upstream`` is used without TLS. If a rule names a server with TLS, its context
    is made then, which takes a tenth of a second once."""

    on_demand: CertificateOnDemand | None = None
    """Makes the certificate for clients when it is needed first; None if there is no need for that."""

    @property
    def for_clients(self) -> ServerTls | CertificateOnDemand | None:
        """What clients may be shown."""
        return self.clients or self.on_demand

    @property
    def reloadable(self) -> list[ServerTls | UpstreamSecurity]:
        """Everything that was read from files."""
        found = (self.clients, self._servers)
        return [each for each in found if each is not None and each.files]

    def leg(self, upstream: str | None) -> Leg | None:
        """How TLS is used to the first server of ``--upstream``, or to the server named; None: plain text.
        Raises OSError if the name cannot be read."""
        if upstream is None:
            servers = self.options.upstream
            return self.leg_to(servers[0].address) if servers else None  # None: the built-in server
        usual = [each.address for each in self.options.upstream]
        address = server_named(upstream)
        return self.leg_to(address, usual=address in usual)

    def leg_to(self, address: Address, *, usual: bool = True) -> Leg | None:
        """The same for an address. ``usual``: it is one of ``--upstream``."""
        if _is_plain(self.options, address):
            return None
        if self._servers is None:
            self._servers = _servers(self.options)
        return self._servers.leg(address, usual=usual)


def server_named(upstream: str) -> Address:
    """The server that a rule names. Raises OSError if that cannot be read."""
    try:
        return Address.parse(upstream, default_port=25)
    except AddressError as error:
        raise OSError(f"Redirect: {error}") from None


def security_or_problems(
    options: Options, stack: ExitStack, *, config_is_wrong: bool = False
) -> tuple[Security, list[Problem]]:
    """The TLS that the options ask for, as far as possible, and all mistakes in the options and in the files
    that they name.

    ``stack`` deletes a certificate made for this run. ``config_is_wrong``: the settings file has mistakes, so
    a setting that seems to be missing may be in it. Reads files, so it blocks."""
    problems = [
        of_settings(options, text)
        for text in contradictions(options)
        if not config_is_wrong or is_certain(options, text)
    ]
    clients: ServerTls | None = None
    servers: UpstreamSecurity | None = None
    load = partial(_loaded, options, problems)
    # With unequal numbers of certificates and keys it is not known which belong together.
    if len(options.tls_cert) != len(options.tls_key):
        problems += _missing(options, (*options.tls_cert, *options.tls_key))
    elif options.self_signed or options.tls_cert:
        clients = load(lambda: _clients(options, stack))
    is_needed = not all(_is_plain(options, each.address) for each in options.upstream)
    if is_needed or options.upstream_ca is not None or _upstream_pair(options) is not None:
        servers = load(lambda: _servers(options))
        can_connect = servers is not None
    else:
        can_connect = True
    on_demand = CertificateOnDemand(_our_names(options)) if options.makes_certificate else None
    return Security(options, clients, can_connect, servers, on_demand), problems


def validity_problems(security: Security, now: datetime) -> list[str]:
    """Lists certificates of this service that have expired or are not valid yet. They are used anyway: a
    restart must not become an outage."""
    options, clients = security.options, security.clients
    upstream_pair = _upstream_pair(options) if security.can_connect else None
    if clients is None and upstream_pair is None:
        return []
    from trio_proxy.tls import certificates

    found: list[tuple[KeyPair, Certificate]] = []
    if clients is not None:
        found += zip(clients.pairs, clients.certificates, strict=True)
    if upstream_pair is not None:
        found.append((upstream_pair, certificates.load_pair(upstream_pair)))
    problems = (certificates.validity_problems(pair, certificate, now) for pair, certificate in found)
    return [str(problem) for each in problems for problem in each]


def _is_plain(options: Options, address: Address) -> bool:
    """True if TLS is not spoken to this server."""
    level = options.upstream_tls
    return not address.tls and (level == "none" or (level is None and address.is_local))


# Reading files


def _loaded(options: Options, problems: list[Problem], load: Callable[[], T]) -> T | None:
    from trio_proxy.tls.certificates import CertificateError

    try:
        return load()
    except CertificateError as error:
        problems += [of_file(options, problem.file, str(problem)) for problem in error.problems]
    return None


def _missing(options: Options, files: Iterable[Path]) -> list[Problem]:
    missing = (file for file in dict.fromkeys(files) if not file.exists())
    return [of_file(options, file, f"{file}: {no_file(file)}{REMEDY}") for file in missing]


def _clients(options: Options, stack: ExitStack) -> ServerTls:
    from trio_proxy.tls.certificates import KeyPair
    from trio_proxy.tls.self_signed import self_signed
    from trio_proxy.tls.server_side import ServerTls

    files = zip(options.tls_cert, options.tls_key, strict=True)
    pairs = [KeyPair(certificate, key) for certificate, key in files]
    if not pairs:
        pairs = [stack.enter_context(self_signed(_our_names(options)))]
    return ServerTls.load(pairs, options.tls_client_ca)


def _servers(options: Options) -> UpstreamSecurity:
    from trio_proxy.tls.upstream import UpstreamSecurity

    level = UpstreamTls(options.upstream_tls) if options.upstream_tls is not None else None
    name, pair = options.upstream_tls_name, _upstream_pair(options)
    return UpstreamSecurity.load(level, options.upstream_ca, name, pair)


def _upstream_pair(options: Options) -> KeyPair | None:
    if options.upstream_cert is None or options.upstream_key is None:
        return None
    from trio_proxy.tls.certificates import KeyPair

    return KeyPair(options.upstream_cert, options.upstream_key)


def _our_names(options: Options) -> list[str]:
    """The names by which clients may know this machine."""
    hosts = [address.host for address in options.listen if address.host not in _EVERYWHERE]
    names = (socket.gethostname(), *hosts, "localhost", "127.0.0.1", "::1")
    return list(dict.fromkeys(name for name in names if name and name.isascii()))  # as in a certificate
