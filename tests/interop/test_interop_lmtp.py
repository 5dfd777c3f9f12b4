"""LMTP with real peers: Dovecot as the server, Postfix as the client, and each pair of dialects."""

from __future__ import annotations

import re
import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_daemon import open_directory
from interop_lmtp import FULL, Dovecot, LmtpClient, running_dovecot_lmtp
from interop_postfix import Postfix, free_port, prepare
from interop_proxy import running

pytestmark = pytest.mark.interop

RULE = """
def delivered(tx, results):
    print("told:", *[f"{each.to.address} {each.reply.code}" for each in results], flush=True)
"""
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
    (tmp_path / "told.py").write_text(RULE)
    options = ("--rules", str(tmp_path / "told.py"))
    with running(f"lmtp://127.0.0.1:{dovecot.port}", tmp_path, *options) as proxy:
        with smtplib.SMTP(proxy.host, proxy.port, "client.test", timeout=30) as client:
            to = ["ann@lmtp.test", "bob@lmtp.test"]
            assert client.sendmail("sender@lmtp.test", to, CONTENT % b"all of them") == {}
            with pytest.raises(smtplib.SMTPDataError) as refused:
                client.sendmail("sender@lmtp.test", [*to, FULL], CONTENT % b"one is full")
        log = proxy.log()
    assert refused.value.smtp_code == 552, refused.value
    assert FULL.encode() in bytes(refused.value.smtp_error)
    assert f"told: ann@lmtp.test 250 bob@lmtp.test 250 {FULL} 552" in log, log
    assert "message refused for some recipients" in log, log
    for name in ("ann", "bob"):
        texts = b"".join(dovecot.messages(name))
        assert b"all of them" in texts
        assert b"one is full" in texts


def sent_by(postfix: Postfix, port: int, subject: bytes, *to: str) -> dict[str, str]:
    """Postfix is given a message. What its log says of each recipient."""
    with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=30) as client:
        assert client.sendmail("sender@elsewhere.test", to, CONTENT % subject) == {}
    log = ""
    deadline = time.monotonic() + 30
    while len(found := dict(_SENT.findall(log := postfix.log()))) < len(to):
        assert time.monotonic() < deadline, log
        time.sleep(0.05)
    return found


_SENT = re.compile(r"postfix/lmtp\[.*? to=<(.*?)>, .* (status=.*)$", re.MULTILINE)
_MAIN = """
virtual_mailbox_domains = lmtp.test
virtual_mailbox_maps = static:all
virtual_transport = lmtp:{where}
lmtp_tls_security_level = none
"""
_SERVICES = """
127.0.0.1:{port} inet n - n - 30 smtpd
lmtp unix - - n - 10 lmtp
"""


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_postfix_delivers_through_us(dovecot: Dovecot, kind: str) -> None:
    with open_directory("postfix-lmtp") as root:
        (root / "postfix").mkdir()
        port, own = free_port(), root / "proxy.sock"
        listen = (f"lmtp+unix:{own}", "lmtp://127.0.0.1:0")[:: 1 if kind == "unix" else -1]
        upstream = f"lmtp+unix:{dovecot.socket}" if kind == "unix" else f"lmtp://127.0.0.1:{dovecot.port}"
        with running(upstream, root / "proxy", "-v", listen=listen) as proxy:
            own.chmod(0o666)  # Postfix delivers as a user of its own
            tcp = next(each for each in proxy.addresses if each.startswith("lmtp://"))
            where = f"unix:{own}" if kind == "unix" else f"inet:{tcp.removeprefix('lmtp://')}"
            postfix = prepare(
                root / "postfix",
                main=_MAIN.format(where=where),
                services=_SERVICES.format(port=port),
                port=port,
            )
            postfix.start()
            try:
                subject = f"postfix {kind}".encode()
                found = sent_by(postfix, port, subject, "ann@lmtp.test", FULL, "bob@lmtp.test")
            finally:
                postfix.stop()
            log = proxy.log()
    assert found["ann@lmtp.test"].startswith("status=sent (250 2.0.0"), found
    assert found["bob@lmtp.test"].startswith("status=sent (250 2.0.0"), found
    assert found[FULL].startswith("status=bounced"), found
    assert "552 5.2.2" in found[FULL]
    (told,) = [line for line in log.splitlines() if "message split" in line]
    assert f"{FULL} refused (552 5.2.2" in told, log
    got = [name for name in ("ann", "full", "bob") for text in dovecot.messages(name) if subject in text]
    assert got == ["ann", "bob"]


def test_an_lmtp_client_before_an_smtp_server(postfix: Postfix, tmp_path: Path) -> None:
    boxes = [postfix.new_mailbox(), postfix.new_mailbox()]
    with (
        running(postfix.port, tmp_path, listen=("lmtp://127.0.0.1:0",)) as proxy,
        LmtpClient((proxy.host, proxy.port)) as client,
    ):
        envelope(client, *(box.address for box in boxes))
        client.send(CONTENT % b"to SMTP" + b".\r\n")
        replies = client.replies(2)
        assert client.say("QUIT").startswith("221")
    assert replies[0] == replies[1]
    assert replies[0].startswith("250 2.0.0")
    for box in boxes:
        assert b"to SMTP" in box.message().content
