"""HAProxy in front of the proxy, as in front of any TCP service: no PROXY protocol, plain bytes."""

import smtplib
import time
from pathlib import Path

import pytest
from interop_haproxy import running_haproxy
from interop_postfix import SENDER, Mailbox, free_port
from interop_proxy import Proxy
from interop_wire import as_kept, message

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
