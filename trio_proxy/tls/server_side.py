"""The certificates that clients see: chosen by the name that they ask for, replaced while the service runs.

Each pair of files has its own context. A handshake begins with the first context, and continues with the
context for the name in the ClientHello (SNI, RFC 6066 §3). Reading files again makes new contexts: a pair is
replaced as a whole or not at all, and existing connections are not disturbed.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from .certificates import (
    Certificate,
    CertificateError,
    KeyPair,
    Problem,
    load_authorities,
    load_into,
    load_pair,
    wildcard_for,
)
from .named import NamedTls

__all__ = ["ServerTls"]


@attrs.frozen(eq=False)
class _Loaded:
    certificate: Certificate
    context: ssl.SSLContext


@attrs.define(eq=False)
class ServerTls:
    """The certificates for clients; make it with `load`."""

    pairs: tuple[KeyPair, ...]
    client_ca: Path | None
    """The CAs of clients' certificates. If given, clients are asked for a certificate: they need not have
    one, but the handshake fails for one that these CAs have not signed."""
    _loaded: list[_Loaded]
    _by_name: dict[str, ssl.SSLContext] = attrs.field(factory=dict[str, ssl.SSLContext], init=False)

    @classmethod
    def load(cls, pairs: Sequence[KeyPair], client_ca: Path | None = None) -> ServerTls:
        """Reads the files; the first pair is for clients that ask for no name, or for an unknown name. Raises
        `CertificateError` with all mistakes in the files."""
        if not pairs:
            raise ValueError("at least one pair is needed")
        made = cls(tuple(pairs), client_ca, _load_all(pairs, client_ca))
        made._use_names()
        return made

    @property
    def context(self) -> ssl.SSLContext:
        """The context for a handshake that begins now."""
        return self._loaded[0].context

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The certificate of each pair, in order."""
        return tuple(loaded.certificate for loaded in self._loaded)

    @property
    def is_slow(self) -> bool:
        """True if a handshake may take long."""
        return any(loaded.certificate.is_slow for loaded in self._loaded)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that were read."""
        files = [file for pair in self.pairs for file in (pair.certificate, pair.key)]
        return (*files, self.client_ca) if self.client_ca is not None else tuple(files)

    def reload(self) -> list[Problem]:
        """Reads the files again, for handshakes that begin from now on. If a pair cannot be used, the old one
        stays; returns the reasons."""
        problems: list[Problem] = []
        for place, pair in enumerate(self.pairs):
            try:
                self._loaded[place] = _load(pair, self.client_ca)
            except CertificateError as error:
                problems += error.problems
        self._use_names()
        return list(dict.fromkeys(problems))

    def prepare(self) -> Callable[[], None]:
        """Reads the files again, and returns a function that uses them for new handshakes. Raises
        `CertificateError` with all mistakes in them."""
        loaded = _load_all(self.pairs, self.client_ca)

        def use() -> None:
            self._loaded = loaded
            self._use_names()

        return use

    def _use_names(self) -> None:
        self._by_name = {
            name: loaded.context for loaded in reversed(self._loaded) for name in loaded.certificate.names
        }  # reversed: of two pairs for one name the first wins
        self.context.sni_callback = self._choose

    def _choose(self, tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        if name is None:
            return
        name = name.lower().rstrip(".")
        if isinstance(tls, NamedTls):
            tls.ask_for(name)
        if len(self._loaded) > 1 and (found := self._found(name)):
            tls.context = found

    def _found(self, name: str) -> ssl.SSLContext | None:
        by_name = self._by_name
        return by_name.get(name) or by_name.get(wildcard_for(name) or "")


def _load_all(pairs: Sequence[KeyPair], client_ca: Path | None) -> list[_Loaded]:
    """Raises `CertificateError` with all that is wrong with any of them."""
    loaded: list[_Loaded] = []
    problems: list[Problem] = []
    for pair in pairs:
        try:
            loaded.append(_load(pair, client_ca))
        except CertificateError as error:
            problems += error.problems
    if problems:
        raise CertificateError(dict.fromkeys(problems))  # a problem of the CAs is listed once
    return loaded


def _load(pair: KeyPair, client_ca: Path | None) -> _Loaded:
    """Raises `CertificateError`."""
    return _Loaded(load_pair(pair), _context(pair, client_ca))


def _context(pair: KeyPair, client_ca: Path | None) -> ssl.SSLContext:
    """Raises `CertificateError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = NamedTls
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    load_into(context, pair)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        load_authorities(context, client_ca)
    return context
