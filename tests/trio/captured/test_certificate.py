"""The certificate of a service that keeps mail, and the file in which applications find it."""

from __future__ import annotations

import errno
import ssl
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from handshakes import shake_hands

from trio_proxy.captured.certificate import Published, certificate_line
from trio_proxy.storage.disk import Disk
from trio_proxy.tls.on_demand import CertificateOnDemand
from trio_proxy.tls.server_side import ServerTls

Logs = list[MutableMapping[str, Any]]


def test_it_is_made_once_and_an_application_trusts_it(tmp_path: Path, logs: Logs) -> None:
    (tmp_path / "certificate.pem").write_text("that of the start before")
    made: list[ServerTls] = []

    def tell(server: ServerTls) -> None:
        made.append(server)
        Published(tmp_path).publish(server)

    tls = CertificateOnDemand(["localhost", "127.0.0.1"])
    tls.tell_with(tell)
    assert not tls.is_slow
    assert made == []
    context = tls.context
    assert tls.context is context
    (server,) = made
    assert not any(file.exists() for file in server.files)
    trusting = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
    client, _ = shake_hands(trusting, context, "localhost")
    assert client.version() == "TLSv1.3"
    (line,) = logs
    assert (line["event"], line["file"]) == ("certificate made", str(tmp_path / "certificate.pem"))
    assert line["names"] == ["localhost", "127.0.0.1"]
    first, second, third = certificate_line(line).splitlines()
    assert first == f"certificate made for localhost, 127.0.0.1; until {line['until']}"
    assert second == f"  fingerprint SHA-256 {server.certificates[0].fingerprint}"
    assert third == f"  an application trusts it with {tmp_path}/certificate.pem as its file of CAs"
    assert "PRIVATE" not in (tmp_path / "certificate.pem").read_text()


def test_nobody_need_be_told() -> None:
    assert CertificateOnDemand(["localhost"]).context


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    def create(self: Disk, path: Path) -> BinaryIO:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Disk, "create", create)
    tls = CertificateOnDemand(["localhost"])
    tls.tell_with(Published(tmp_path).publish)
    assert tls.context
    (line,) = logs
    assert line["file"] == ""
    assert "trusts" not in certificate_line(line)


def test_it_is_written_again_if_the_directory_was_removed(tmp_path: Path, logs: Logs) -> None:
    file = tmp_path / "certificate.pem"
    published = Published(tmp_path)
    published.restore()
    assert not published.exists
    tls = CertificateOnDemand(["localhost"])
    tls.tell_with(published.publish)
    assert tls.context
    before = file.read_bytes()
    file.unlink()
    tmp_path.rmdir()
    published.restore()
    assert file.read_bytes() == before
    assert published.exists
    file.write_text("of another program")
    published.restore()
    assert file.read_text() == "of another program"
    assert len(logs) == 1
