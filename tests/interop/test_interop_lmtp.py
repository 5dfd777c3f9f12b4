"""LMTP with real peers: Dovecot as the server, Postfix as the client, and each pair of dialects."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_lmtp import FULL, Dovecot, LmtpClient, running_dovecot_lmtp
from interop_proxy import running

pytestmark = pytest.mark.interop

CONTENT = b"Subject: %b\r\n\r\nOne line.\r\n"


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with running_dovecot_lmtp() as server:
        yield server


def envelope(client: LmtpClient, *recipients: str) -> None:
    assert client.say("LHLO client.test").startswith("250")
    assert client.say("MAIL FROM:<sender@lmtp.test>").startswith("250 2.1.0")
    for recipient in recipients:
        assert client.say(f"RCPT TO:<{recipient}>").startswith("250 2.1.5")
    assert client.say("DATA").startswith("354")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_three_recipients_of_which_one_is_full_get_three_replies(
    dovecot: Dovecot, tmp_path: Path, kind: str
) -> None:
    upstream = {"tcp": f"lmtp://127.0.0.1:{dovecot.port}", "unix": f"lmtp+unix:{dovecot.socket}"}[kind]
    own = tmp_path / "own.sock"
    listen = ("lmtp://127.0.0.1:0", f"lmtp+unix:{own}")
    subject = f"lmtp {kind}".encode()
    with running(upstream, tmp_path / "proxy", "-v", listen=listen[:1]) as proxy:
        with LmtpClient((proxy.host, proxy.port)) as client:
            assert client.say("EHLO client.test").startswith("500 5.5.1")
            envelope(client, "ann@lmtp.test", FULL, "bob@lmtp.test")
            client.send(CONTENT % subject + b".\r\n")
            replies = client.replies(3)
            assert client.say("QUIT").startswith("221")
        log = proxy.log()
    assert [reply[:9] for reply in replies] == ["250 2.0.0", "552 5.2.2", "250 2.0.0"], replies
    found = [name for name in ("ann", "full", "bob") for text in dovecot.messages(name) if subject in text]
    assert found == ["ann", "bob"]
    assert FULL in log, log


def test_an_smtp_client_gets_one_honest_reply(dovecot: Dovecot, tmp_path: Path) -> None:
    with running(f"lmtp://127.0.0.1:{dovecot.port}", tmp_path) as proxy:
        with smtplib.SMTP(proxy.host, proxy.port, "client.test", timeout=30) as client:
            to = ["ann@lmtp.test", "bob@lmtp.test"]
            assert client.sendmail("sender@lmtp.test", to, CONTENT % b"all of them") == {}
            with pytest.raises(smtplib.SMTPDataError) as refused:
                client.sendmail("sender@lmtp.test", [*to, FULL], CONTENT % b"one is full")
        log = proxy.log()
    assert refused.value.smtp_code == 552, refused.value
    assert FULL.encode() in bytes(refused.value.smtp_error)
    assert FULL in log, log
    for name in ("ann", "bob"):
        texts = b"".join(dovecot.messages(name))
        assert b"all of them" in texts
        assert b"one is full" in texts
