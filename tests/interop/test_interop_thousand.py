"""A thousand messages through the proxy: all of them arrive, once each, octet for octet."""

import subprocess

import pytest
from interop_aiosmtpd import Sink
from interop_load import assert_all_arrived, send_all
from interop_postfix import SENDER, Mailbox, Postfix
from interop_proxy import Proxy, StartProxy
from interop_wire import as_kept, deadline

pytestmark = [pytest.mark.interop, pytest.mark.alone]


def test_into_postfix(proxy: Proxy, mailbox: Mailbox) -> None:
    with deadline(60, "a thousand messages into Postfix"):
        send_all(proxy.port, mailbox.address)
        contents = [delivered.content for delivered in mailbox.messages()]
    assert_all_arrived(contents, as_kept)


def test_into_aiosmtpd(start_proxy: StartProxy, sink: Sink) -> None:
    with deadline(60, "a thousand messages into aiosmtpd"):
        send_all(start_proxy(sink.port).port, "box@interop.test")
    assert_all_arrived(sink.contents(), lambda content: content)


# Sizes in octets, and whether the session goes on after a message: (length, keeps the connection).
SOURCES = [(1, True), (1_000, False), (10_000, True), (60_000, False)]


def _source(program: str, port: int, recipient: str, length: int, count: int, *options: str) -> None:
    command = [program, *options, "-s", "10", "-m", str(count), "-l", str(length)]
    command += ["-f", SENDER, "-t", recipient, f"127.0.0.1:{port}"]
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), done


def _body(content: bytes) -> bytes:
    return content.partition(b"\n\n")[2]


def test_smtp_source(smtp_source: str, proxy: Proxy, postfix: Postfix) -> None:
    """Postfix's own load generator, ten sessions in parallel; its counterpart sent directly is the model."""
    mailboxes = [(postfix.new_mailbox(), postfix.new_mailbox()) for _ in SOURCES]
    with deadline(60, "a thousand messages of smtp-source"):
        for (length, keeps), (model, mailbox) in zip(SOURCES, mailboxes, strict=True):
            options = ["-d"] if keeps else []
            _source(smtp_source, postfix.port, model.address, length, 1)
            _source(smtp_source, proxy.port, mailbox.address, length, 250, *options)
    for model, mailbox in mailboxes:
        bodies = [_body(delivered.content) for delivered in mailbox.messages()]
        assert len(bodies) == 250
        assert set(bodies) == {_body(model.message().content)}
