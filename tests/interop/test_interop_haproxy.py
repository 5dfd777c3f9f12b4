"""HAProxy in front of the proxy, as in front of any TCP service: no PROXY protocol, plain bytes."""

import smtplib
import subprocess
import time
from pathlib import Path

import pytest
from interop_daemon import need
from interop_haproxy import running_haproxy
from interop_postfix import SENDER, Mailbox, free_port
from interop_proxy import Proxy
from interop_wire import as_kept, message
from pages import ROOT

pytestmark = [pytest.mark.interop, pytest.mark.alone]

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


@pytest.mark.parametrize(
    ("option", "check"),
    [("", ""), ("", "check inter 100ms"), ("option smtpchk EHLO haproxy.test", "check inter 100ms")],
    ids=["no check", "connection check", "SMTP check"],
)
def test_messages_pass(proxy: Proxy, mailbox: Mailbox, tmp_path: Path, option: str, check: str) -> None:
    """HAProxy's checks end abruptly; a proxy they upset would be taken out of service."""
    port = free_port()
    configuration = CONFIGURATION.format(
        port=port, option=option, check=check, host=proxy.host, proxy_port=proxy.port
    )
    contents = [message(number) for number in range(5)]
    with running_haproxy(tmp_path, configuration, port):
        if check:
            time.sleep(1)  # some ten checks
        with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=30) as client:
            for content in contents:
                client.sendmail(SENDER, mailbox.address, content)
    arrived = sorted(delivered.content for delivered in mailbox.messages())
    assert arrived == sorted(as_kept(content) for content in contents)


@pytest.mark.any_io
@pytest.mark.parametrize("folder", ["haproxy", "compose"])
def test_files_of_deploy(folder: str) -> None:
    """HAProxy takes them. Its only warning is about names that only a composition has."""
    need("haproxy", "haproxy")
    command = ["haproxy", "-c", "-V", "-f", str(ROOT / "deploy" / folder / "haproxy.cfg")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if line.startswith(("[WARNING]", "[ALERT]"))]
    assert all("could not resolve address 'proxy" in line for line in warnings), done.stderr
    assert len(warnings) == (2 if folder == "compose" else 0), done.stderr
