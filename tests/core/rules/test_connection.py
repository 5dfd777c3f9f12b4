"""What a rule sees of the client."""

from __future__ import annotations

import pytest

from sansio_smtp.client_info import ClientInfo, Forwarded, TlsInfo
from sansio_smtp.rules.connection import Connection
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.sasl import UNKNOWN_LOGIN, Login


@pytest.mark.parametrize(
    ("peer", "ip"),
    [
        ("192.0.2.1:49152", "192.0.2.1"),
        ("[2001:db8::1]:49152", "2001:db8::1"),
        ("unix", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_client(peer: str, ip: str) -> None:
    assert Connection(peer).ip == ip


def test_connections_do_not_share_what_is_remembered() -> None:
    one, two = Connection(), Connection()
    one.data["x"] = 1
    assert "x" not in two.data
    assert one != two


def test_what_a_connection_learns_of_its_client() -> None:
    conn = Connection()
    hello = Command.of(b"EHLO  me\xff ")
    conn.learn(hello, None)
    assert (conn.helo, conn.login, conn.authenticated) == ("me\\xff", None, False)
    conn.learn(hello, Login("ann", "Ann"))
    assert (conn.helo, conn.login, conn.login_given) == ("me\\xff", "ann", "Ann")
    assert (conn.authenticated, conn.login_unknown) == (True, False)
    conn.learn(hello, UNKNOWN_LOGIN)
    assert (conn.login, conn.login_given) == (None, None)
    assert (conn.authenticated, conn.login_unknown) == (True, True)
    conn.learn(None, None)
    assert (conn.helo, conn.login, conn.authenticated) == ("", None, False)


def test_logins_are_compared_however_they_are_spelled() -> None:
    conn = Connection()
    assert not conn.is_login("")
    conn.learn(None, Login("scanner"))
    assert conn.is_login("Scan\u00adner")
    assert not conn.is_login("scanner2")
    assert not conn.is_login("\0")
    conn.learn(None, Login("Scanner", case_sensitive=True))
    assert conn.case_sensitive_logins
    assert conn.is_login("Scan\u00adner")
    assert not conn.is_login("scanner")


def test_a_connection_is_made_of_what_is_known_of_the_client_and_gives_it_back() -> None:
    known = ClientInfo(
        address="192.0.2.1:51000", helo="me", login="ann", login_given="Ann", tls=TlsInfo(version="TLSv1.3")
    )
    conn = Connection.of(known, "c7")
    assert (conn.peer, conn.id, conn.helo, conn.login, conn.tls) == (
        "192.0.2.1:51000", "c7", "me", "ann", TlsInfo(version="TLSv1.3"),
    )  # fmt: skip
    assert conn.client == known
    unknown = ClientInfo(login_unknown=True)
    assert Connection.of(unknown).client == unknown


TLS = TlsInfo(version="TLSv1.3")
PROXY = ClientInfo(address="10.0.0.1:40000", helo="balancer", tls=TLS)
NAMED = ClientInfo(
    address="192.0.2.1:51000",
    name="out.example",
    protocol="ESMTP",
    proxy_ip="10.0.0.1",
    helo="out",
    login="ann",
    login_given="Ann",
)
OUTSIDE = Forwarded(
    ip="198.51.100.7",
    port=2525,
    name="far.example",
    protocol="SMTP",
    helo="far",
    ident="4F2B",
    source="REMOTE",
)


def _shown(conn: Connection) -> tuple[object, ...]:
    return (
        conn.peer, conn.ip, conn.port, conn.name, conn.protocol, conn.helo, conn.login, conn.proxy_ip,
        conn.ident, conn.source, conn.tls,
    )  # fmt: skip


def test_a_proxy_says_who_the_client_is() -> None:
    """What was there before is forgotten; a later EHLO or login counts."""
    conn = Connection.of(PROXY)
    conn.follow(PROXY)
    conn.learn(Command.of("EHLO x"), Login("relay"), PROXY)
    assert (conn.helo, conn.login, conn.tls) == ("x", "relay", TLS)
    conn.learn(None, None, NAMED)
    assert _shown(conn) == (
        "192.0.2.1:51000", "192.0.2.1", 51000, "out.example", "ESMTP", "out", "ann", "10.0.0.1", "", "", None,
    )  # fmt: skip
    assert conn.client == NAMED
    conn.learn(Command.of("EHLO me"), Login("bob"), NAMED)
    assert (conn.helo, conn.login, conn.ip) == ("me", "bob", "192.0.2.1")
    assert not conn.case_sensitive_logins


def test_an_address_that_a_proxy_does_not_know_is_not_that_of_the_peer() -> None:
    conn = Connection.of(PROXY)
    conn.learn(None, None, ClientInfo(address="unknown", proxy_ip="10.0.0.1"))
    assert (conn.peer, conn.ip, conn.port, conn.proxy_ip) == ("unknown", "", None, "10.0.0.1")


def test_a_relay_says_who_the_client_of_a_transaction_is() -> None:
    conn = Connection.of(PROXY)
    hello, login = Command.of("EHLO mx1"), Login("relay")
    conn.learn(hello, login, PROXY)
    before = _shown(conn)
    conn.learn(hello, login, PROXY, OUTSIDE)
    assert _shown(conn) == (
        "198.51.100.7:2525", "198.51.100.7", 2525, "far.example", "SMTP", "far", "relay", "10.0.0.1",
        "4F2B", "REMOTE", TLS,
    )  # fmt: skip
    assert (conn.client.helo, conn.client.ip, conn.client.forwarded) == ("mx1", "10.0.0.1", OUTSIDE)
    assert _shown(Connection.of(conn.client)) == (*_shown(conn)[:6], "relay", *_shown(conn)[7:])
    conn.learn(hello, login, PROXY)
    assert _shown(conn) == before


def test_what_a_test_says_of_a_client_stays_until_something_changes() -> None:
    """The proxy of a dialogue in a test knows nothing of the client."""
    unknown = ClientInfo()
    conn = Connection("192.0.2.1:51000", helo="me", login="ann", proxy_ip="10.0.0.1", name="x")
    conn.follow(unknown)
    conn.learn(None, None, unknown)
    assert (conn.ip, conn.port, conn.helo, conn.login) == ("192.0.2.1", 51000, "me", "ann")
    conn.learn(Command.of("EHLO you"), None, unknown)
    assert (conn.ip, conn.port, conn.helo, conn.login) == ("192.0.2.1", 51000, "you", "ann")
    assert (conn.proxy_ip, conn.name) == ("10.0.0.1", "x")


def test_the_tls_of_the_server() -> None:
    conn = Connection()
    assert conn.server_tls is None
    conn.learn(None, None, server_tls=TLS)
    assert conn.server_tls == TLS
    conn.learn(None, None)
    assert conn.server_tls is None


def test_an_address_may_be_given_apart_from_the_peer() -> None:
    conn = Connection("unix", ip="2001:db8::1", port=25)
    assert (conn.ip, conn.port) == ("2001:db8::1", 25)
    assert conn.client.ip == "2001:db8::1"
