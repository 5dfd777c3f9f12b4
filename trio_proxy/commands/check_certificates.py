"""Reports on certificates: for which names they are, until when they are valid, and who signed them."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sansio_smtp.rules.lint.problems import Problem

from .banner import starttls_text
from .findings import Findings
from .security import Security, validity_problems

if TYPE_CHECKING:
    from trio_proxy.tls.certificates import Certificate

__all__ = ["check_certificates", "say_certificate"]

_DAYS: Final = 14
"""A certificate that expires within this time gets a warning, early enough to renew it."""


def check_certificates(security: Security, found: Findings) -> None:
    """Reports what a client would see of the certificates of this service. An expired certificate is an error
    here, although the service would start with it."""
    stale = validity_problems(security, datetime.now(UTC))
    found.problems(Problem("", 0, text) for text in stale)
    clients = security.clients
    if clients is None:
        return
    if any(not address.tls for address in security.options.listen):
        found.good("STARTTLS", starttls_text(security.options))
    for number, (pair, own) in enumerate(zip(clients.pairs, clients.certificates, strict=True)):
        what = "the certificate that is made" if security.options.self_signed else str(pair.certificate)
        is_default = number == 0 and len(clients.pairs) > 1
        note = " (also for names that no certificate has)" if is_default else ""
        say_certificate(what, _of_pem(pair.certificate.read_bytes()), found, note=note, stale_is_wrong=True)
        if not security.options.self_signed and pair.key.stat().st_mode & stat.S_IROTH:
            found.warn(
                f"{pair.key}: every user of this machine can read this private key; chmod o= {pair.key}"
            )
        if own.names:
            why = _refusal(clients.context, own.names[0].replace("*", "www", 1))
            taken = f"refuse it: {why}" if why else "take it"
            found.good("clients", f"that know the authorities of this system {taken}")


def say_certificate(
    what: str,
    chain: Sequence[bytes],
    found: Findings,
    *,
    name: str | None = None,
    note: str = "",
    stale_is_wrong: bool = False,
) -> None:
    """Reports on the first certificate of a chain in DER, and names the others. ``what`` is how the report
    calls it. ``name``: the name that it should be for. ``stale_is_wrong``: the report has already said if it
    has expired or is not valid yet.
    """
    from trio_proxy.tls.certificates import Certificate

    try:
        own, *others = map(Certificate.from_der, chain)
    except ValueError as error:
        found.warn(f"{what} cannot be read: {error}")
        return
    days = own.days_left(datetime.now(UTC))
    names = ", ".join(own.names) or own.subject
    found.good("certificate", f"{names}{note}; until {own.not_after:%Y-%m-%d} ({_in_days(days)})")
    found.good("chain", _chain(own, others))
    if days < 0 and not stale_is_wrong:
        found.warn(f"{what} has expired on {own.not_after:%Y-%m-%d}")
    if 0 <= days < _DAYS:
        found.warn(f"{what} expires {_in_days(days)}, on {own.not_after:%Y-%m-%d}: renew it")
    if name is not None and not own.covers(name):
        found.warn(f"{what} is not for {name}; at --upstream-tls verify it would be refused")


def _refusal(server: ssl.SSLContext, name: str) -> str:
    """Returns the reason why a client that trusts the authorities of this system would refuse this
    certificate under this name; empty if it accepts it. Tries a handshake in memory."""
    from trio_proxy.tls.reasons import reason

    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = ssl.create_default_context().wrap_bio(to_client, to_server, server_hostname=name)
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (client_side, server_side, client_side):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            return reason(error, name)
    return ""


def _in_days(days: int) -> str:
    if days < 0:
        return "expired"
    return f"in {days} day{'s' if days != 1 else ''}" if days else "today"


def _chain(own: Certificate, others: Iterable[Certificate]) -> str:
    shown = [own, *others]
    text = ", signed by ".join(each.subject for each in shown)
    last = shown[-1]
    return f"{text}, signed by {'itself' if last.is_self_signed else last.issuer}"


def _of_pem(octets: bytes) -> list[bytes]:
    """The certificates of a file in PEM, in DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(octets)]
