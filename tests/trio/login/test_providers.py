"""Clients that know nothing of OAuth, the executable, and providers with the dialects of real ones."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import Proxy, connect, proxy, say_hello, submit
from drivers import Peer, wait_until
from providers import DIALECTS, Provider, running_provider

SECRETS = ("r3fresh-secret", "cl1ent-secret", "tok3n-secret")
PLANS = {
    "slow": (b"454 ", "does not answer within 1.5 s"),
    "html": (b"454 ", "text/html, which is no token"),
    "busy": (b"454 ", "status 503"),
    "revoked": (b"535 ", "expired or was revoked"),
}
"""What the endpoint says → the reply to AUTH, and what is logged."""
TEXT = b"Subject: scan\r\n\r\npage 1\r\n"
LOGIN_RULE = """
from sansio_smtp.rules import Accept

def login(conn, attempt):
    if attempt.password() == "device-password":
        return Accept()
"""


@pytest.fixture(params=DIALECTS)
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    with running_provider(request.param) as provider:
        yield provider


@pytest.fixture
def one_provider() -> Iterator[Provider]:
    """For what does not depend on the server's dialect."""
    with running_provider("gmail") as provider:
        yield provider


@contextmanager
def logs_in(provider: Provider, directory: Path, *more: str, mode: str = "inject") -> Iterator[Proxy]:
    """The proxy in front of the provider. What it prints has no secret in it, whatever happens."""
    (directory / "refresh").mkdir()
    for name in ("scanner@example.com", "ann@example.com", *PLANS):
        (directory / "refresh" / name).write_text(SECRETS[0])
    (directory / "secret").write_text(SECRETS[1])
    (directory / "passwords.py").write_text(LOGIN_RULE)
    how = {
        "inject": ["--upstream-user", "scanner@example.com"],
        "translate": ["--rules", str(directory / "passwords.py")],
    }
    options = ["--listen", "127.0.0.1:0", "--upstream", f"127.0.0.1:{provider.port}", "--login", mode]
    options += [*how[mode], "--oauth-url", provider.url, "--oauth-client-id", "app"]
    options += ["--oauth-client-secret-file", str(directory / "secret")]
    options += ["--oauth-refresh-token-file", str(directory / "refresh"), "-vv", "--transcript", *more]
    with proxy(directory, *options) as running:
        yield running
        said = running.said()
        for secret in SECRETS:
            assert secret not in said
            assert b64encode(secret.encode())[:12].decode() not in said


def client(running: Proxy) -> Peer:
    peer = connect(("127.0.0.1", running.port))
    say_hello(peer)
    return peer


def test_devices_without_a_login_send_and_see_nothing_of_a_token_that_expires(
    provider: Provider, tmp_path: Path
) -> None:
    with logs_in(provider, tmp_path) as running:
        for number in range(3):
            if number == 2:
                provider.valid.clear()
            with client(running) as device:
                assert submit(device, TEXT)[:4] == b"250 "
    assert provider.messages == [TEXT] * 3
    assert {account for account, _ in provider.shown} == {"scanner@example.com"}
    assert [token[-1] for _, token in provider.shown] == ["1", "1", "1", "2"]
    assert [form["grant_type"] for form in provider.requests] == ["refresh_token"] * 2
    assert set(provider.answers) <= {b""}


def test_two_clients_of_one_account_refresh_once(one_provider: Provider, tmp_path: Path) -> None:
    one_provider.gate.clear()
    with logs_in(one_provider, tmp_path) as running, client(running) as one, client(running) as other:
        for device in (one, other):
            device.send(b"MAIL FROM:<a@me.example>")
        wait_until(lambda: len(one_provider.requests) == 1, "no token is asked for")
        one_provider.gate.set()
        for device in (one, other):
            device.expect(b"250 ...")
    assert len(one_provider.requests) == 1
    assert len(one_provider.shown) == 2


def test_no_token_means_later_and_the_session_goes_on(one_provider: Provider, tmp_path: Path) -> None:
    one_provider.plan = ["revoked"]
    with logs_in(one_provider, tmp_path) as running, client(running) as device:
        for _ in range(2):
            device.send(b"MAIL FROM:<a@me.example>")
            device.expect(b"451 4.7.0 ...")
        device.send(b"NOOP")
        device.expect(b"250 ...")
    assert one_provider.shown == []
    assert len(one_provider.requests) == 1


def test_a_server_that_asks_again_and_again(provider: Provider, tmp_path: Path) -> None:
    """It is told ``*``, which one of them answers 501, as it should, and one 535."""
    provider.asks_again = True
    with logs_in(provider, tmp_path) as running, client(running) as device:
        device.send(b"MAIL FROM:<a@me.example>")
        device.expect(b"451 4.7.0 ...")
        provider.asks_again = False
        assert submit(device, TEXT)[:4] == b"250 "
    assert provider.answers[-1] == b"*"
    assert provider.messages == [TEXT]


VAULT = """
from pathlib import Path

def access_token(account):
    return Path(__file__).with_name(account).read_text()
"""


def test_a_rule_gives_the_tokens(one_provider: Provider, tmp_path: Path) -> None:
    (tmp_path / "vault.py").write_text(VAULT)
    (tmp_path / "scanner").write_text(one_provider.issue())
    options = ["--listen", "127.0.0.1:0", "--upstream", f"127.0.0.1:{one_provider.port}", "--login", "inject"]
    options += ["--upstream-user", "scanner", "--rules", str(tmp_path / "vault.py")]
    with proxy(tmp_path, *options) as running:
        with client(running) as device:
            assert submit(device, TEXT)[:4] == b"250 "
        one_provider.valid.clear()
        (tmp_path / "scanner").write_text(one_provider.issue())  # the rule has another one by now
        with client(running) as device:
            assert submit(device, TEXT)[:4] == b"250 "
    assert one_provider.requests == []
    assert len(one_provider.shown) == 3


def login(peer: Peer, name: bytes, password: bytes) -> bytes:
    peer.send(b"AUTH PLAIN " + b64encode(b"\0" + name + b"\0" + password))
    return peer.line()


def test_clients_log_in_with_their_own_passwords(one_provider: Provider, tmp_path: Path) -> None:
    with logs_in(one_provider, tmp_path, mode="translate") as running:
        with client(running) as device:
            assert login(device, b"ann@example.com", b"wrong")[:4] == b"535 "
            assert one_provider.shown == []
            assert login(device, b"eve@example.com", b"device-password")[:4] == b"535 "
            assert login(device, b"../secret", b"device-password")[:4] == b"535 "
            assert one_provider.requests == []
            assert login(device, b"ann@example.com", b"device-password")[:4] == b"235 "
            assert submit(device, TEXT)[:4] == b"250 "
        assert "device-password" not in running.said()
    assert one_provider.shown == [("ann@example.com", "tok3n-secret-1")]


def test_what_may_go_wrong_with_the_token_of_a_login(one_provider: Provider, tmp_path: Path) -> None:
    with logs_in(one_provider, tmp_path, "--oauth-timeout", "1.5", mode="translate") as running:
        for word, (code, why) in PLANS.items():
            one_provider.plan = [word]
            with client(running) as device:
                assert login(device, word.encode(), b"device-password")[:4] == code, word
            running.wait_for(re.escape(why))
    assert one_provider.shown == []
