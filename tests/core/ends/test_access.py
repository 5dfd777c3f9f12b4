"""What a client may do, by what is configured, its address and its TLS."""

from __future__ import annotations

import pytest

from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import ClientTls, Config
from sansio_smtp.ends.access import ANYBODY, access_of
from sansio_smtp.networks import Networks

TLS = TlsInfo(version="TLSv1.3")
LOCAL = ClientInfo(address="127.0.0.1:50000")
REMOTE = ClientInfo(address="192.0.2.1:50000")
UNIX = ClientInfo(address="unix")
TRUSTED = Networks.parse(["127.0.0.0/8", "unix"])


def encrypted(client: ClientInfo) -> ClientInfo:
    return ClientInfo(address=client.address, tls=TLS)


@pytest.mark.parametrize("client", [LOCAL, REMOTE, UNIX, ClientInfo()])
def test_by_default_nothing_is_restricted_and_nothing_is_offered(client: ClientInfo) -> None:
    assert access_of(Config(), client) is ANYBODY
    assert not ANYBODY.restricts


def test_clients_that_may_do_the_same_share_it() -> None:
    config = Config(tls=ClientTls.MAY, accept_xclient=TRUSTED)
    other = ClientInfo(address="198.51.100.1:2")
    assert access_of(config, REMOTE) is access_of(Config(tls=ClientTls.MAY, accept_xclient=TRUSTED), other)
    assert access_of(config, REMOTE) is not access_of(config, LOCAL)


@pytest.mark.parametrize("level", ClientTls)
def test_starttls(level: ClientTls) -> None:
    """RFC 3207 §4: it is offered in plain text only; with ENCRYPT the rest waits for it."""
    access = access_of(Config(tls=level), REMOTE)
    assert (b"STARTTLS" in access.own) is (level is not ClientTls.NONE)
    assert (access.tls_first is not None) is (level is ClientTls.ENCRYPT)
    if access.tls_first is not None:
        assert (access.tls_first.code, access.tls_first.enhanced) == (530, "5.7.0")
    under = access_of(Config(tls=level), encrypted(REMOTE))
    assert b"STARTTLS" not in under.own
    assert (under.tls_first, under.restricts) == (None, False)
    assert under.refusals[b"STARTTLS"].code == 503


@pytest.mark.parametrize(
    ("client", "may"),
    [
        (LOCAL, True),
        (ClientInfo(address="[::1]:50000"), True),
        (UNIX, True),
        (REMOTE, False),
        (ClientInfo(), False),
        (encrypted(REMOTE), True),
    ],
)
def test_passwords_in_clear_stay_on_this_machine(client: ClientInfo, may: bool) -> None:
    """RFC 4954 §4."""
    access = access_of(Config(auth_without_tls=False), client)
    assert (access.no_login is None) is may
    assert access.restricts is not may
    if access.no_login is not None:
        assert (access.no_login.code, access.no_login.enhanced) == (538, "5.7.11")


def test_at_encrypt_nobody_logs_in_in_clear() -> None:
    config = Config(tls=ClientTls.ENCRYPT, auth_without_tls=True)
    assert access_of(config, LOCAL).no_login is not None
    assert access_of(config, encrypted(LOCAL)).no_login is None


@pytest.mark.parametrize(
    ("verb", "line"),
    [
        (b"XCLIENT", b"XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"),
        (b"XFORWARD", b"XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"),
    ],
)
def test_who_may_say_who_the_client_is(verb: bytes, line: bytes) -> None:
    name = f"accept_{verb.decode().lower()}"
    config = Config(**{name: TRUSTED})  # type: ignore[arg-type]
    for trusted in (LOCAL, UNIX):
        assert access_of(config, trusted).own == {verb: line}
    stranger = access_of(config, REMOTE)
    assert (dict(stranger.own), stranger.refusals[verb].code) == ({}, 550)
