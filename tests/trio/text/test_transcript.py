"""Transcripts: which leg is encrypted, and who the client is."""

from __future__ import annotations

import pytest

from sansio_smtp import (
    CLIENT,
    SERVER,
    ClientChanged,
    ClientInfo,
    Connect,
    Event,
    Received,
    SendToClient,
    SendToServer,
    ServerUnusable,
    Side,
    TlsInfo,
)
from trio_proxy.text.transcript import Transcript

INFO = TlsInfo(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384")
BOTH: list[Event] = [
    Received(CLIENT, b"NOOP"),
    SendToServer(b"NOOP\r\n", b"NOOP\r\n"),
    Received(SERVER, b"250 ok"),
    SendToClient(b"250 ok\r\n", b"250 ok\r\n"),
]


class Written:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.transcript = Transcript(7, self.lines.append)

    def take(self) -> list[str]:
        """The lines since the last call, without time and number."""
        lines = [line.split(" c7 ", 1)[1] for line in self.lines]
        self.lines.clear()
        return lines


@pytest.mark.parametrize(
    ("sides", "arrows"),
    [
        ([], ["C <-", "U ->", "U <-", "C ->"]),
        ([CLIENT], ["C <~", "U ->", "U <-", "C ~>"]),
        ([SERVER], ["C <-", "U ~>", "U <~", "C ->"]),
        ([CLIENT, SERVER], ["C <~", "U ~>", "U <~", "C ~>"]),
    ],
)
def test_an_encrypted_leg_has_other_arrows(sides: list[Side], arrows: list[str]) -> None:
    written = Written()
    for side in sides:
        written.transcript.secured(side, INFO)
    written.take()
    written.transcript.events(BOTH)
    assert [line[:4] for line in written.take()] == arrows


@pytest.mark.parametrize(
    ("info", "line"),
    [
        (INFO, "=== server: TLSv1.3, TLS_AES_256_GCM_SHA384"),
        (TlsInfo(version="TLSv1.2", subject="CN=mx"), "=== server: TLSv1.2, CN=mx"),
        (
            TlsInfo(version="TLSv1.3", verified=True, subject="CN=mx\x1b[31m"),
            "=== server: TLSv1.3, certificate verified, CN=mx\\x1b[31m",
        ),
    ],
)
def test_what_tls_it_is(info: TlsInfo, line: str) -> None:
    written = Written()
    written.transcript.secured(SERVER, info)
    assert written.take() == [line]


def test_another_server_is_spoken_to_in_plain_text_at_first() -> None:
    written = Written()
    written.transcript.secured(CLIENT, INFO)
    written.transcript.secured(SERVER, INFO)
    written.take()
    written.transcript.events([Connect("b.example"), *BOTH])
    assert [line[:4] for line in written.take()] == ["=== ", "C <~", "U ->", "U <-", "C ~>"]


def test_who_the_client_is() -> None:
    written = Written()
    named = ClientInfo(address="192.0.2.7:51000", proxy_ip="10.0.0.1")
    unknown = ClientInfo(address="unknown")
    written.transcript.events([ClientChanged(named), ClientChanged(unknown), ServerUnusable("no XCLIENT")])
    assert written.take() == [
        "=== the client is 192.0.2.7:51000, as 10.0.0.1 says",
        "=== the client is unknown, as a proxy says",
        "*** the server cannot be used: no XCLIENT",
    ]
