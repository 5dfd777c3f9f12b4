"""P11 and P12 in dialogues with TLS: nothing stalls, nothing goes to a side in its handshake, and nothing
that came before TLS is acted on after it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twins import DRAWN, Twins

from sansio_smtp import CLIENT, SERVER, Config
from sansio_smtp.config import ClientTls, UpstreamTls

from .tls_world import INJECTED, Act, Plan, TlsWorld, plans

_SIZES = st.lists(st.sampled_from([1, 1, 1, 2, 3, 7, 1 << 20]), max_size=80)
_TURNS = st.lists(st.integers(0, 1), max_size=40)


@given(plans(injects=False), _SIZES, _TURNS)
def test_tls_operations_in_any_cut(plan: Plan, sizes: list[int], turns: list[int]) -> None:
    """The peers and the driver of `TlsWorld` check the rest: see there."""
    whole, cut = TlsWorld(plan).run(), TlsWorld(plan, sizes, turns).run()
    assert cut.outcome() == whole.outcome()


@given(plans(injects=True), _SIZES, _TURNS)
def test_nothing_that_came_before_tls_is_acted_on(plan: Plan, sizes: list[int], turns: list[int]) -> None:
    for world in (TlsWorld(plan), TlsWorld(plan, sizes, turns)):
        world.run()
        assert not any(INJECTED in server.received for server in world.servers)
        assert INJECTED not in world.client.received
        encrypted = world.client.encrypted, any(server.encrypted for server in world.servers)
        by_client = any(act.injected for act in plan.acts)
        assert not encrypted[0 if by_client else 1], "the handshake was completed after it"


def test_every_cut_of_an_injection_on_either_side() -> None:
    config = Config(tls=ClientTls.MAY, upstream_tls=UpstreamTls.MAY)
    injected = b"RSET injected\r\n"
    for at in range(len(injected) + 1):
        proxy = greeted(config)
        proxy.receive_from(CLIENT, b"STARTTLS\r\n" + injected[:at])
        if at:
            assert proxy.closed
            continue
        assert CLIENT not in proxy.may_read
        assert not any(b"RSET" in repr(event).encode() for event in proxy.receive_from(CLIENT, injected))
        assert proxy.closed
    for at in range(len(injected) + 1):
        proxy = greeted(config)
        proxy.receive_from(CLIENT, b"EHLO c\r\n")
        proxy.receive_from(SERVER, b"250-mx\r\n250 STARTTLS\r\n")
        proxy.receive_from(SERVER, b"220 go\r\n" + injected[:at])
        if at:
            assert proxy.closed
            continue
        assert SERVER not in proxy.may_read
        proxy.receive_from(SERVER, injected)
        assert proxy.closed


def greeted(config: Config) -> Twins:
    proxy = DRAWN(config)
    proxy.receive_from(SERVER, b"220 mx.example\r\n")
    return proxy


def test_the_drawn_dialogues_get_somewhere() -> None:
    """TLS on either leg, on both, a refusal, and a message under TLS: none of it is left to luck."""
    mail = [
        Act(b"EHLO c"),
        Act(b"MAIL FROM:<a>"),
        Act(b"RCPT TO:<b>"),
        Act(b"DATA", b"x\r\n.\r\n"),
        Act(b"QUIT"),
    ]
    config = Config(tls=ClientTls.ENCRYPT, upstream_tls=UpstreamTls.ENCRYPT)
    world = TlsWorld(Plan([Act(b"EHLO c"), Act(b"STARTTLS"), *mail], config, [b"220 go"])).run()
    assert world.handshakes == [SERVER, CLIENT]
    assert world.client.codes[-1] == 221
    assert b"\r\nx\r\n.\r\nQUIT\r\n" in world.servers[0].received
