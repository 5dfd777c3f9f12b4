"""HAProxy in front of the proxy, as in front of any TCP service: no PROXY protocol, plain bytes."""

import signal
import smtplib
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from interop_postfix import SENDER, Mailbox, free_port
from interop_proxy import Proxy
from interop_wire import as_kept, message

pytestmark = pytest.mark.interop

CONFIGURATION = """
global
    maxconn 64
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    {option}
listen smtp
    bind 127.0.0.1:{port}
    server proxy {host}:{proxy_port} {check}
"""


@contextmanager
def _running(program: str, directory: Path, configuration: str, port: int) -> Iterator[None]:
    file = directory / "haproxy.cfg"
    file.write_text(configuration)
    log = directory / "haproxy.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "-db", "-f", str(file)], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        _wait_for(process, port, log)
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up = time.monotonic() + 20
    while True:
        try:
            # Gone before the greeting, as port scanners are: the proxy must take that too.
            socket.create_connection(("127.0.0.1", port), 5).close()
        except ConnectionRefusedError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, log.read_text()
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize(
    ("option", "check"),
    [("", ""), ("", "check inter 100ms"), ("option smtpchk EHLO haproxy.test", "check inter 100ms")],
    ids=["no check", "connection check", "SMTP check"],
)
def test_messages_pass(
    haproxy: str, proxy: Proxy, mailbox: Mailbox, tmp_path: Path, option: str, check: str
) -> None:
    """HAProxy's checks end abruptly; a proxy they upset would be taken out of service."""
    port = free_port()
    configuration = CONFIGURATION.format(
        port=port, option=option, check=check, host=proxy.host, proxy_port=proxy.port
    )
    contents = [message(number) for number in range(5)]
    with _running(haproxy, tmp_path, configuration, port):
        if check:
            time.sleep(1)  # some ten checks
        with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=30) as client:
            for content in contents:
                client.sendmail(SENDER, mailbox.address, content)
    arrived = sorted(delivered.content for delivered in mailbox.messages())
    assert arrived == sorted(as_kept(content) for content in contents)
