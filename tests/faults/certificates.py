"""The certificates of a run: made once, for the proxy and for its servers."""

from __future__ import annotations

import ssl
from pathlib import Path

import attrs
import trustme

from sansio_smtp import UpstreamTls
from trio_proxy.text.addresses import Address
from trio_proxy.tls.certificates import KeyPair
from trio_proxy.tls.server_side import ServerTls
from trio_proxy.tls.upstream import Leg, UpstreamSecurity

__all__ = ["Certificates"]


@attrs.define(eq=False)
class Certificates:
    for_clients: ServerTls
    server: ssl.SSLContext
    """Of the scripted servers."""
    client: ssl.SSLContext
    """Of the scripted clients, which check nothing."""
    _upstream: Leg

    @classmethod
    def make(cls, directory: Path) -> Certificates:
        made = trustme.CA().issue_cert("mx.example")
        pair = KeyPair(directory / "mx.crt", directory / "mx.key")
        pair.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        pair.key.write_bytes(made.private_key_pem.bytes())
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.configure_cert(server)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        leg = UpstreamSecurity.load(UpstreamTls.ENCRYPT).leg(Address("mx.example", 25))
        return cls(ServerTls.load([pair]), server, client, leg)

    def leg(self, name: str | None) -> Leg:
        """What TLS is to each server."""
        return self._upstream
