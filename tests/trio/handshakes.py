"""TLS handshakes between two contexts in memory."""

from __future__ import annotations

import ssl

__all__ = ["shake_hands"]


def shake_hands(
    client: ssl.SSLContext,
    server: ssl.SSLContext,
    name: str | None = None,
    session: ssl.SSLSession | None = None,
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """The ends of the client and of the server, which may resume a session. Raises what either raises."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=name, session=session),
    )
    left = set(ends)
    while left:
        for end in ends[::-1]:
            try:
                end.do_handshake()
                left.discard(end)
            except ssl.SSLWantReadError:
                pass
    return ends[1], ends[0]
