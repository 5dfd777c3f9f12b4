"""The rule ``ready:clamd`` with a real clamd: malware is refused in flight."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_aiosmtpd import Sink
from interop_clamd import EICAR, LIMIT, NAME, ClamAV, running_clamd
from interop_daemon import open_directory
from interop_proxy import Proxy
from interop_rules import MAIL, running_proxy, send

pytestmark = pytest.mark.interop

ATTACHED = (
    b"Subject: invoice\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nsee below\r\n"
    b"--b\r\nContent-Type: application/octet-stream; name=invoice.com\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(EICAR).replace(b"\n", b"\r\n")
    + b"--b--\r\n"
)
REFUSED = (550, f"5.7.1 message contains malware ({NAME}.UNOFFICIAL)".encode())


@pytest.fixture(scope="module")
def clamd() -> Iterator[ClamAV]:
    with open_directory("clamd") as directory, running_clamd(directory) as clamd:
        yield clamd


@pytest.fixture(params=["unix", "tcp"])
def proxy(request: pytest.FixtureRequest, clamd: ClamAV, sink: Sink, tmp_path: Path) -> Iterator[Proxy]:
    address = f"unix:{clamd.socket}" if request.param == "unix" else f"127.0.0.1:{clamd.port}"
    settings = f'[rules.clamd]\naddress = "{address}"\n'
    with running_proxy(tmp_path / "proxy", sink.port, "ready:clamd", settings=settings) as proxy:
        yield proxy


@pytest.mark.parametrize("content", [MAIL + EICAR + b"\r\n", ATTACHED], ids=["plain", "attached"])
def test_eicar_is_refused_in_flight(proxy: Proxy, sink: Sink, content: bytes) -> None:
    assert send(proxy, content) == REFUSED
    assert sink.contents() == []


def test_clean_mail_passes(proxy: Proxy, sink: Sink) -> None:
    for content in (MAIL, ATTACHED.replace(base64.encodebytes(EICAR)[:20], b"A" * 20)):
        assert send(proxy, content)[0] == 250
    assert sink.contents()[0] == MAIL
    assert len(sink.contents()) == 2


def test_what_is_too_large_for_clamd_is_refused(proxy: Proxy, sink: Sink) -> None:
    assert send(proxy, MAIL + b"x" * 70 + b"\r\n" * LIMIT) == (
        552,
        b"5.3.4 message is too large to be scanned",
    )
    assert sink.contents() == []
    assert send(proxy)[0] == 250


def test_clamd_goes_away_and_comes_back(sink: Sink, tmp_path: Path) -> None:
    with open_directory("clamd") as directory, running_clamd(directory) as clamd:
        settings = f'[rules.clamd]\naddress = "unix:{clamd.socket}"\n'
        with running_proxy(tmp_path / "proxy", sink.port, "ready:clamd", settings=settings) as proxy:
            clamd.daemon.stop()
            assert [send(proxy)[0] for _ in range(3)] == [451, 451, 451]
            clamd.daemon.start()
            assert send(proxy)[0] == 250
            assert send(proxy, MAIL + EICAR + b"\r\n") == REFUSED
            log = proxy.log()
    assert sink.contents() == [MAIL]
    assert (log.count("clamd cannot be asked"), log.count("clamd answers again")) == (1, 1)
