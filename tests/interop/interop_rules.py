"""The executable with ready rules and their settings, and clients that send through it."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interop_proxy import Proxy

SENDER = "a@me.example"
TO = "b@mx.example"
MAIL = (
    b"From: Alice <a@me.example>\r\nTo: b@mx.example\r\nSubject: hi\r\n"
    b"Date: Sun, 22 Nov 2026 20:00:00 +0000\r\nMessage-ID: <1@me.example>\r\n\r\nhello\r\n"
)


@contextmanager
def running_proxy(directory: Path, upstream: int, *rules: str | Path, settings: str = "") -> Iterator[Proxy]:
    """``settings`` is TOML, such as ``[rules.clamd]``. At its end the proxy must still live, and end well."""
    directory.mkdir()
    config = directory / "proxy.toml"
    config.write_text(settings)
    options = [option for rule in rules for option in ("--rules", str(rule))]
    proxy = Proxy.start(upstream, directory, "--config", str(config), *options)
    try:
        yield proxy
    except BaseException:
        proxy.process.kill()
        proxy.process.wait()
        raise
    proxy.stop()


def send(proxy: Proxy, content: bytes = MAIL, *, to: str = TO, sender: str = SENDER) -> tuple[int, bytes]:
    """One session with one message. The reply to MAIL, RCPT or the message: what refuses, or the last."""
    with smtplib.SMTP(proxy.host, proxy.port, "client.example", timeout=30) as client:
        client.ehlo()
        for reply in (client.mail(sender), client.rcpt(to)):
            if reply[0] != 250:
                return reply
        try:
            return client.data(content)
        except smtplib.SMTPDataError as refusal:
            text = refusal.smtp_error
            return refusal.smtp_code, text if isinstance(text, bytes) else text.encode()
