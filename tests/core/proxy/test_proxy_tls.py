"""Inputs about TLS, and what a driver reads meanwhile."""

from __future__ import annotations

from itertools import pairwise

import pytest

from core.scene import TLS, Scene
from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import ClientTls, Config, UpstreamTls
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import CLIENT, SERVER, StartTLS, WaitingFor
from sansio_smtp.networks import Networks
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.wire.replies import Reply

BOTH = Config(tls=ClientTls.MAY, upstream_tls=UpstreamTls.MAY)


def client_handshake() -> Scene:
    scene = Scene(config=Config(tls=ClientTls.MAY)).greeted()
    scene.client("STARTTLS")
    return scene


def server_handshake() -> Scene:
    scene = Scene(config=BOTH).introduced("250-mx", "250 STARTTLS")
    scene.server("220 go")
    return scene


def test_the_220_comes_before_the_handshake() -> None:
    scene = client_handshake()
    assert scene.last[-1] == StartTLS(CLIENT)
    assert (scene.proxy.waiting_for, scene.proxy.may_read) == (WaitingFor.HANDSHAKE, {SERVER})
    assert scene.encrypted(CLIENT) == []
    assert scene.proxy.identity.tls == TLS
    assert (scene.proxy.waiting_for, scene.proxy.may_read) == (WaitingFor.COMMAND, {CLIENT, SERVER})


def test_the_client_may_be_read_while_the_server_shakes_hands() -> None:
    scene = server_handshake()
    assert (scene.proxy.waiting_for, scene.proxy.may_read) == (WaitingFor.HANDSHAKE, {CLIENT})
    before = scene.proxy.progress
    assert scene.client("NOOP") == []
    assert scene.proxy.progress == before
    assert scene.encrypted(SERVER) == ["S: EHLO me"]
    assert scene.proxy.server_tls == TLS


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_tls_that_was_not_asked_for(side: object) -> None:
    with pytest.raises(LocalProtocolError):
        Scene().greeted().proxy.tls_started(side, TLS)  # type: ignore[arg-type]


def test_a_handshake_of_the_client_that_fails() -> None:
    """It expects TLS: nothing can be said to it."""
    scene = client_handshake()
    assert scene.took(scene.proxy.tls_failed(CLIENT, "no cipher")) == ["close S", "close C"]
    assert scene.proxy.tls_failed(CLIENT, "again") == scene.proxy.tls_started(CLIENT, TLS) == []


@pytest.mark.parametrize("octets", [b"RSET\r\n", b"x"])
def test_octets_in_the_handshake(octets: bytes) -> None:
    scene = client_handshake()
    closed = ["violation CLIENT", "close S", "close C"]
    assert scene.took(scene.proxy.receive_from(CLIENT, octets)) == closed
    scene = server_handshake()
    told = scene.took(scene.proxy.receive_from(SERVER, octets))
    assert [text[:8] for text in told] == ["violatio", "C: 421 4", "close S", "close C"]


def test_commands_that_came_with_starttls() -> None:
    scene = Scene(config=Config(tls=ClientTls.MAY)).greeted()
    told = scene.client("STARTTLS", "RSET")
    why = "octets after STARTTLS, before the TLS handshake; closing"
    assert told == ["violation CLIENT", f"C: 503 5.5.1 {why}", "close S", "close C"]


def test_the_end_of_the_client_in_its_handshake() -> None:
    scene = client_handshake()
    assert scene.took(scene.proxy.eof_from(CLIENT)) == ["close S", "close C"]


def test_the_end_of_the_server_in_its_handshake() -> None:
    scene = server_handshake()
    told = scene.took(scene.proxy.eof_from(SERVER))
    assert told[0] == "C: 421 4.4.2 upstream server closed the connection"


@pytest.mark.parametrize("what", ["timed out", "refused", "shut down now", "broken"])
def test_nothing_is_said_in_plain_text_within_a_handshake(what: str) -> None:
    scene = client_handshake()
    proxy = scene.proxy
    events = {
        "timed out": proxy.timed_out,
        "refused": lambda: proxy.refuse(Reply.of(421)),
        "shut down now": lambda: proxy.shutdown(now=True),
        "broken": proxy.broke,
    }[what]()
    assert scene.took(events) == ["close S", "close C"]


def test_a_shutdown_waits_for_the_handshake() -> None:
    scene = client_handshake()
    assert scene.took(scene.proxy.shutdown()) == []
    told = scene.encrypted(CLIENT)
    assert told[0] == "C: 421 4.3.2 service is shutting down, try again later"


def test_a_client_that_came_under_tls() -> None:
    """RFC 8314 §3.3: the driver has shaken hands before."""
    scene = Scene(config=BOTH, client=ClientInfo(address="192.0.2.1:51000", tls=TLS))
    scene.introduced("250 mx")
    assert scene.server("250-mx", "250 AUTH PLAIN SCRAM-SHA-256-PLUS") == [
        "C: 250-mx|250-AUTH PLAIN|250 PIPELINING"
    ]


def test_the_level_of_a_connection_is_the_drivers_to_say() -> None:
    scene = Scene(config=BOTH)
    scene.proxy.server_connected(UpstreamTls.NONE)
    scene.introduced("250 mx")
    assert scene.client("NOOP") == ["S: NOOP"]
    with pytest.raises(LocalProtocolError):
        scene.proxy.server_connected(UpstreamTls.MAY)


def test_a_server_whose_tls_fails_before_its_greeting() -> None:
    scene = Scene(config=BOTH)
    told = scene.took(scene.proxy.tls_failed(SERVER, "expired"))
    why = "upstream server cannot be used with TLS, try again later"
    assert told == ["unusable: expired", f"C: 421 4.7.5 {why}", "close S", "close C"]


def test_the_client_of_a_transaction_is_known_if_a_relay_has_said_it() -> None:
    assert Scene().proxy.forwarded is None


def known(proxy: Proxy) -> tuple[object, ...]:
    return proxy.hello, proxy.accepted_login, proxy.identity, proxy.forwarded, proxy.server_tls


def test_changes_of_what_is_known_are_counted() -> None:
    """Who looks often compares one number."""
    relays = Networks.parse(["127.0.0.1"])
    config = Config(
        tls=ClientTls.MAY, upstream_tls=UpstreamTls.MAY, accept_xclient=relays, accept_xforward=relays
    )
    scene = Scene(config=config, client=ClientInfo(address="127.0.0.1:50000"))
    seen = [(scene.proxy.client_changes, known(scene.proxy))]
    scene.introduced("250-mx", "250 STARTTLS")
    for do in (
        lambda: scene.server("220 go"),
        lambda: scene.encrypted(SERVER),
        lambda: scene.server("250 mx"),
        lambda: scene.client("AUTH PLAIN AGFubgBw"),
        lambda: scene.server("235 ok"),
        lambda: scene.client("XFORWARD ADDR=192.0.2.9"),
        lambda: scene.client("RSET"),
        lambda: scene.server("250 ok"),
        lambda: scene.client("NOOP"),
        lambda: scene.server("250 ok"),
        lambda: scene.client("STARTTLS"),
        lambda: scene.encrypted(CLIENT),
        lambda: scene.client("XCLIENT ADDR=192.0.2.1"),
        lambda: scene.client("EHLO you"),
    ):
        do()
        seen.append((scene.proxy.client_changes, known(scene.proxy)))
    for (count, facts), (later, others) in pairwise(seen):
        assert (count == later) is (facts == others)
    assert len({facts for _, facts in seen}) == 8
