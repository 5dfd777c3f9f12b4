"""What is offered to the client depends on the TLS of both legs."""

from __future__ import annotations

import pytest

from core.scene import TLS, Scene
from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Config, UpstreamTls
from sansio_smtp.events import SERVER

UNVERIFIED = TlsInfo(version="TLSv1.3")
KEYWORDS = ("250-mx", "250-REQUIRETLS", "250 AUTH PLAIN SCRAM-SHA-1-PLUS")


@pytest.mark.parametrize(
    ("client", "server", "auth", "requires"),
    [
        (None, None, "AUTH PLAIN SCRAM-SHA-1-PLUS", False),
        (TLS, None, "AUTH PLAIN", False),
        (None, TLS, "AUTH PLAIN", False),
        (TLS, UNVERIFIED, "AUTH PLAIN", False),
        (TLS, TLS, "AUTH PLAIN", True),
        (UNVERIFIED, TLS, "AUTH PLAIN", True),
    ],
)
def test_the_offer(client: TlsInfo | None, server: TlsInfo | None, auth: str, requires: bool) -> None:
    """RFC 5929, RFC 8689 §4.2.1."""
    config = Config(upstream_tls=UpstreamTls.MAY if server else UpstreamTls.NONE)
    scene = Scene(config=config, client=ClientInfo(tls=client))
    if server is not None:
        scene.encrypted(SERVER, server)
    scene.server("220 mx")
    scene.client("EHLO me")
    told = scene.server(*KEYWORDS)
    assert told == [f"C: 250-mx|{'250-REQUIRETLS|' if requires else ''}250-{auth}|250 PIPELINING"]
