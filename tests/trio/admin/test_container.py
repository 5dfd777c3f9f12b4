"""What ``deploy/container`` has: the health check, and an image of files that there are."""

from __future__ import annotations

import runpy
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONTAINER = ROOT / "deploy" / "container"


@contextmanager
def pages(answer: bytes) -> Iterator[str]:
    """A server that gives one answer."""

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(5)
            assert sock.recv(4096).startswith(b"GET /readyz HTTP/1.1\r\n")
            sock.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=serve)
        thread.start()
        yield "{}:{}".format(*listener.getsockname())
        thread.join(5)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", None),
        (
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            "/readyz: 503 Service Unavailable",
        ),
        (b"220 mx.example\r\n", "/readyz: 220 mx.example\r\n"),
    ],
)
def test_the_health_check(answer: bytes, status: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pages(answer) as address:
        monkeypatch.setenv("SMTP_PROXY_ADMIN", address)
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(CONTAINER / "healthcheck.py"))
    assert ended.value.code == status


def test_nobody_answers_the_health_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PROXY_ADMIN", "127.0.0.1:1")
    with pytest.raises(SystemExit, match="refused"):
        runpy.run_path(str(CONTAINER / "healthcheck.py"))


def test_the_image_is_made_of_files_that_there_are() -> None:
    lines = (CONTAINER / "Containerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    names = [name for line in copied for name in line]
    assert "pyproject.toml" in names
    assert [name for name in names if not (ROOT / name).exists()] == []
