"""Connections to a real Postfix that serve one client after another (`--upstream-keep`)."""

import shutil
import smtplib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_postfix import SENDER, Mailbox, Postfix, free_port, prepare
from interop_proxy import Proxy

pytestmark = pytest.mark.interop

CLIENTS = 10


@pytest.fixture(scope="module")
def kept_postfix() -> Iterator[Postfix]:
    """A Postfix whose second port closes connections that are idle for a second."""
    root = Path(tempfile.mkdtemp(prefix="interop-postfix-"))
    root.chmod(0o755)
    try:
        port, impatient = free_port(), free_port()
        services = (
            f"127.0.0.1:{port} inet n - n - 30 smtpd\n"
            f"127.0.0.1:{impatient} inet n - n - 30 smtpd\n    -o smtpd_timeout=1s\n"
        )
        server = prepare(root, services=services, port=port)
        server.verbose_port = impatient
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(root)


@pytest.fixture
def mailbox(kept_postfix: Postfix) -> Mailbox:
    return kept_postfix.new_mailbox()


def send(proxy: Proxy, mailbox: Mailbox, number: int, *, quit_: bool = True) -> None:
    """One client, one message."""
    client = smtplib.SMTP(proxy.host, proxy.port, f"client-{number}.test", timeout=30)
    client.sendmail(SENDER, mailbox.address, f"Subject: {number}\r\n\r\ntext\r\n".encode())
    if quit_:
        client.quit()
    else:
        client.close()


@pytest.mark.parametrize("options", [(), ("--upstream-tls", "encrypt")], ids=["plain", "tls"])
def test_one_connection_for_all_and_nobody_notices(
    kept_postfix: Postfix, mailbox: Mailbox, tmp_path: Path, options: tuple[str, ...]
) -> None:
    start = len(kept_postfix.log())
    proxy = Proxy.start(kept_postfix.port, tmp_path, "--upstream-keep", "2", *options)
    for number in range(CLIENTS):
        send(proxy, mailbox, number)
    proxy.stop()
    log = kept_postfix.log_until("disconnect from", start)
    assert log.count(": connect from") == 1
    assert f"ehlo={CLIENTS + bool(options)}" in log
    assert f"rset={CLIENTS} quit=1" in log
    messages = mailbox.messages()
    assert len(messages) == CLIENTS
    for number in range(CLIENTS):
        (found,) = [each for each in messages if f"Subject: {number}\n".encode() in each.content]
        assert f"from client-{number}.test ".encode() in found.trace  # each by its own name


def test_a_server_that_closes_idle_connections(
    kept_postfix: Postfix, mailbox: Mailbox, tmp_path: Path
) -> None:
    proxy = Proxy.start(kept_postfix.verbose_port, tmp_path, "--upstream-keep", "2")
    for number in range(2):
        start = len(kept_postfix.log())
        send(proxy, mailbox, number)
        log = kept_postfix.log_until("timeout after RSET", start)
        assert log.count(": connect from") == 1
    proxy.stop()
    assert len(mailbox.messages()) == 2


def test_a_client_that_leaves_without_quit_takes_its_connection_with_it(
    kept_postfix: Postfix, mailbox: Mailbox, tmp_path: Path
) -> None:
    start = len(kept_postfix.log())
    proxy = Proxy.start(kept_postfix.port, tmp_path, "--upstream-keep", "2")
    for number in range(2):
        send(proxy, mailbox, number, quit_=False)
    proxy.stop()
    assert kept_postfix.log_until("disconnect from", start).count(": connect from") == 2
    assert len(mailbox.messages()) == 2
