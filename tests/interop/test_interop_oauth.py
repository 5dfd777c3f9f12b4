"""Old devices before the proxy, Postfix and Dovecot with OAuth after it: a real server checks the tokens."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_oauth import OAuthPeers, running_oauth_peers
from interop_peers import PASSWORD
from interop_postfix import SENDER
from interop_proxy import Proxy, running

pytestmark = pytest.mark.interop

ANN = "ann@example.com"
TEXT = b"Subject: scan\r\n\r\npage 1\r\n"


@pytest.fixture(scope="module")
def peers() -> Iterator[OAuthPeers]:
    with running_oauth_peers() as peers:
        yield peers


def sends(proxy: Proxy, to: str, login: tuple[str, str] | None = None) -> None:
    with smtplib.SMTP(proxy.host, proxy.port, "device.test", timeout=20) as device:
        if login is not None:
            device.login(*login)
        device.sendmail(SENDER, [to], TEXT)


def with_tokens(peers: OAuthPeers, directory: Path) -> list[str]:
    (directory / "refresh").write_text("refresh-token\n")
    provider = ["--oauth-url", f"{peers.provider.url}/token", "--oauth-client-id", "app"]
    return [*provider, "--oauth-refresh-token-file", str(directory / "refresh")]


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
def test_a_token_and_the_next_one(mechanism: str, peers: OAuthPeers, tmp_path: Path) -> None:
    mailbox, start = peers.new_mailbox(), len(peers.postfix.log())
    issued = peers.provider.issued
    options = [
        *with_tokens(peers, tmp_path),
        "--login",
        "inject",
        "--upstream-user",
        ANN,
        "-vv",
        "--transcript",
    ]
    with running(peers.ports[mechanism], tmp_path / "proxy", *options) as proxy:
        sends(proxy, mailbox.address)
        sends(proxy, mailbox.address)
        assert peers.provider.issued == issued + 1
        peers.provider.valid.clear()  # it has expired
        sends(proxy, mailbox.address)
        assert peers.provider.issued == issued + 2
    assert len(mailbox.messages()) == 3
    log = peers.postfix.log_until(f"sasl_method={mechanism.upper()}, sasl_username={ANN}", start)
    accepted = re.findall(rf": client=.*, sasl_method={mechanism.upper()}, sasl_username={ANN}$", log, re.M)
    assert len(accepted) == 3
    assert "token-" not in proxy.log()
    assert "refresh-token" not in proxy.log()


def test_a_client_that_logs_in_with_its_own_password(peers: OAuthPeers, tmp_path: Path) -> None:
    mailbox, start = peers.new_mailbox(), len(peers.postfix.log())
    (tmp_path / "login.py").write_text(
        "from sansio_smtp.rules import Accept\n\n\ndef login(conn, attempt):\n"
        '    if attempt.password() == "device":\n        return Accept()\n'
    )
    options = [*with_tokens(peers, tmp_path), "--login", "translate", "--rules", str(tmp_path / "login.py")]
    with running(peers.ports["xoauth2"], tmp_path / "proxy", *options) as proxy:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            sends(proxy, mailbox.address, (ANN, "wrong"))
        sends(proxy, mailbox.address, (ANN, "device"))
        with pytest.raises(smtplib.SMTPAuthenticationError):  # Dovecot knows that the token is Ann's
            sends(proxy, mailbox.address, ("bob@example.com", "device"))
    assert len(mailbox.messages()) == 1
    peers.postfix.log_until(f"sasl_method=XOAUTH2, sasl_username={ANN}", start)


def test_scram(peers: OAuthPeers, tmp_path: Path) -> None:
    mailbox, start = peers.new_mailbox(), len(peers.postfix.log())
    (tmp_path / "password").write_text(PASSWORD)
    options = ["--login", "inject", "--upstream-user", "ann", "--upstream-password-file"]
    with running(
        peers.ports["scram-sha-256"], tmp_path / "proxy", *options, str(tmp_path / "password")
    ) as proxy:
        sends(proxy, mailbox.address)
    assert len(mailbox.messages()) == 1
    peers.postfix.log_until("sasl_method=SCRAM-SHA-256, sasl_username=ann", start)


def test_scram_for_a_client_with_plain(peers: OAuthPeers, tmp_path: Path) -> None:
    mailbox, start = peers.new_mailbox(), len(peers.postfix.log())
    with running(
        peers.ports["scram-sha-256"], tmp_path / "proxy", "--login", "translate", "--transcript", "-vv"
    ) as proxy:
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            sends(proxy, mailbox.address, ("ann", "wrong"))
        assert caught.value.smtp_code == 535
        sends(proxy, mailbox.address, ("ann", PASSWORD))
    assert len(mailbox.messages()) == 1
    peers.postfix.log_until("sasl_method=SCRAM-SHA-256, sasl_username=ann", start)
    assert PASSWORD not in proxy.log()
