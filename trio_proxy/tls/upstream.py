"""TLS to each server: the level, and the name and CAs for checking its certificate. The levels are those of
Postfix. MAY and ENCRYPT check no certificate: an attacker who controls the network can show his own. Only
VERIFY protects against that.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import attrs

from sansio_smtp import UpstreamTls
from trio_proxy.text.addresses import Address

from .certificates import CertificateError, KeyPair, Problem, load_authorities, load_into, load_pair

__all__ = ["Leg", "UpstreamSecurity"]


@attrs.frozen(eq=False)
class Leg:
    """The use of TLS to one server."""

    level: UpstreamTls
    implicit: bool
    """True: TLS from the first octet (RFC 8314)."""
    server_name: str | None
    """The name for SNI, which with VERIFY must also be in the certificate; None if not known."""
    context: ssl.SSLContext
    """The context for a handshake that begins now."""


@attrs.frozen(kw_only=True)
class _Kind:
    """The kind of a context."""

    checks: bool
    """True if the certificate of the server is checked."""
    shows: bool
    """True if it has a client certificate to show."""


@attrs.define(eq=False)
class UpstreamSecurity:
    """The use of TLS to the servers of this service; make it with `load`."""

    level: UpstreamTls | None
    """The level for all servers; None: see `level_of`."""
    ca: Path | None
    """The CAs that may sign certificates of servers; None: those that the system trusts."""
    name: str | None
    """The name that the usual server's certificate must have, in place of its host."""
    pair: KeyPair | None
    """The certificate to show to the usual server, if it asks for one."""
    _contexts: dict[_Kind, ssl.SSLContext] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._contexts = self._read({_Kind(checks=False, shows=False)})

    @classmethod
    def load(
        cls,
        level: UpstreamTls | None = None,
        ca: Path | None = None,
        name: str | None = None,
        pair: KeyPair | None = None,
    ) -> UpstreamSecurity:
        """Reads the files. Raises `CertificateError` with all that is wrong with any of them."""
        return cls(level, ca, name, pair)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that were read."""
        files = [self.ca] if self.ca is not None else []
        return (*files, self.pair.certificate, self.pair.key) if self.pair is not None else tuple(files)

    def reload(self) -> list[Problem]:
        """Reads the files again, for handshakes that begin from now on. If one cannot be used, all stays what
        it was; returns why."""
        try:
            self.prepare()()
        except CertificateError as error:
            return list(error.problems)
        return []

    def prepare(self) -> Callable[[], None]:
        """Reads the files again, and returns what puts them in force, for handshakes that begin after it.
        Raises `CertificateError` with all that is wrong with any of them."""
        contexts = self._read(set(self._contexts))

        def use() -> None:
            self._contexts = contexts

        return use

    def level_of(self, address: Address) -> UpstreamTls:
        """VERIFY for TLS from the first octet, NONE to this machine, and MAY to others, unless one level was
        chosen for all. TLS from the first octet is TLS even where NONE was chosen."""
        if address.tls:
            return UpstreamTls.VERIFY if self.level in (None, UpstreamTls.NONE) else self.level
        if self.level is not None:
            return self.level
        return UpstreamTls.NONE if address.is_local else UpstreamTls.MAY

    def leg(self, address: Address, *, usual: bool = True) -> Leg:
        """The use of TLS to this server. ``usual``: the server is that of ``--upstream``, not one that a rule
        names."""
        level = self.level_of(address)
        name = self.name if usual and self.name is not None else _name_of(address)
        kind = _Kind(checks=level is UpstreamTls.VERIFY, shows=usual and self.pair is not None)
        if kind not in self._contexts:
            self._contexts[kind] = self._context(kind)
        return Leg(level, address.tls, name, self._contexts[kind])

    def _read(self, kinds: set[_Kind]) -> dict[_Kind, ssl.SSLContext]:
        """Contexts of these kinds, and of those that read files: a mistake in one is found now. The CAs of
        the system take a tenth of a second to read, and are read when they are needed. Raises
        `CertificateError`."""
        if self.ca is not None:
            kinds |= {_Kind(checks=True, shows=False)}
        if self.pair is not None:
            kinds |= {_Kind(checks=checks, shows=True) for checks in (False, True)}
        contexts: dict[_Kind, ssl.SSLContext] = {}
        problems: list[Problem] = []
        for kind in kinds:
            try:
                contexts[kind] = self._context(kind)
            except CertificateError as error:
                problems += error.problems
        if problems:
            raise CertificateError(dict.fromkeys(problems))  # each file is read for several contexts
        return contexts

    def _context(self, kind: _Kind) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        problems: list[Problem] = []
        try:
            if not kind.checks:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            elif self.ca is None:
                context.load_default_certs()
            else:
                load_authorities(context, self.ca)
        except CertificateError as error:
            problems += error.problems
        try:
            if kind.shows and self.pair is not None:
                load_pair(self.pair)
                load_into(context, self.pair)
        except CertificateError as error:
            problems += error.problems
        if problems:
            raise CertificateError(problems)
        return context


def _name_of(address: Address) -> str | None:
    """The host as certificates and SNI have it: without a last dot (RFC 6066 §3), and without the interface
    of a link-local address."""
    host, _, _ = address.host.rstrip(".").partition("%")
    return host or None
