"""Prometheus reads what we write: the page ``/metrics``, and the alerts."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "trio"))
from commands import connect, proxy, say_hello, submit, upstream
from drivers import DEADLINE
from interop_proxy import running as workers
from io_modes import io_mode

pytestmark = pytest.mark.interop

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


def promtool(*arguments: str, standard_input: bytes = b"") -> str:
    """What it says. Raises an error if it finds something."""
    path = f"{os.environ['PATH']}:/opt/prometheus/usr/bin"
    program = shutil.which("promtool", path=path)
    assert program is not None, "promtool is missing: it is in the Debian package prometheus"
    command = [program, *arguments]
    done = subprocess.run(
        command, input=standard_input, cwd=RULES, capture_output=True, timeout=6 * DEADLINE, check=False
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


@pytest.mark.any_io
def test_alerts() -> None:
    assert "SUCCESS: 14 rules found" in promtool("check", "rules", "alerts.yml")


@pytest.mark.any_io
def test_when_alerts_fire() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")


def test_the_page(tmp_path: Path) -> None:
    """No mistake, and nothing that is against its customs."""
    pages = tmp_path / "admin.sock"
    arguments = ["--listen", "127.0.0.1:0", "--io", io_mode(), "--admin", f"unix:{pages}"]
    with upstream() as server, proxy(tmp_path, *arguments, "-u", f"127.0.0.1:{server.port}") as running:
        client = connect(("127.0.0.1", running.port))
        say_hello(client)
        assert submit(client, b"Subject: x\r\n\r\nhi\r\n")[:4] == b"250 "
        client.close()
        page = _metrics(pages)
    assert b"smtp_proxy_replies_total{" in page
    assert promtool("check", "metrics", standard_input=page) == ""


@pytest.mark.any_io
def test_one_view_of_workers_that_are_replaced(tmp_path: Path) -> None:
    pages = tmp_path / "admin.sock"
    options = ["--workers", "2", "--admin", f"unix:{pages}"]
    with upstream() as server, workers(server.port, tmp_path, *options) as running:
        for number in range(8):
            client = connect(("127.0.0.1", running.port))
            say_hello(client)
            assert submit(client, b"Subject: x\r\n\r\nhi\r\n")[:4] == b"250 "
            client.send(b"QUIT")
            client.expect(b"221 ...")
            client.close()
            if number == 3:
                running.process.send_signal(signal.SIGUSR2)
                running.wait_for("all workers are new", 12 * DEADLINE)
        until = time.monotonic() + 2 * DEADLINE
        while b"\nsmtp_proxy_sessions_total 8.0\n" not in (page := _metrics(pages)):
            assert time.monotonic() < until, page
            time.sleep(0.1)
    assert b"\nsmtp_proxy_ready 1.0\n" in page
    assert promtool("check", "metrics", standard_input=page) == ""


def _metrics(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE)
        sock.connect(str(path))
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        said = b""
        while data := sock.recv(65_536):
            said += data
    return said.partition(b"\r\n\r\n")[2]
