"""Who the client is, and its TLS, as the leg to the client keeps it."""

from __future__ import annotations

import pytest

from core.scene import TLS, lines
from sansio_smtp.client_info import ClientInfo, Forwarded
from sansio_smtp.config import ClientTls, Config
from sansio_smtp.events import CLIENT, ClientChanged, Event, SendToClient, StartTLS, Violation
from sansio_smtp.networks import NO_NETWORKS, Networks
from sansio_smtp.proxy.downstream import Downstream
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import Login

PEER = ClientInfo(address="127.0.0.1:50000")
OK = Reply.of(250, "ok")
TRUSTED = Networks.parse(["127.0.0.0/8"])


class Leg:
    def __init__(self, accept_xclient: Networks = TRUSTED) -> None:
        self.out: list[Event] = []
        self.over = 0
        self.leg = Downstream(Config(tls=ClientTls.MAY, accept_xclient=accept_xclient), self.out, PEER)
        self.leg.call(on_over=self._over, on_room=lambda: None, waiting=())
        self.leg.greet(Reply.of(220, "mx"))

    def says(self, *text: str, reply: Reply = OK) -> list[Event]:
        """The events of the replies to these lines."""
        end = self.leg.end
        end.receive_data(lines(*text))
        end.next_event()
        self.out.clear()
        self.leg.fill(end.exchanges[-1], reply)
        return self.out

    def _over(self) -> None:
        self.over += 1


@pytest.mark.parametrize(("networks", "kept"), [(TRUSTED, Reply.of(220, "mx")), (NO_NETWORKS, None)])
def test_the_greeting_is_kept_where_xclient_may_ask_for_it(networks: Networks, kept: Reply | None) -> None:
    leg = Leg(networks)
    assert leg.out == [SendToClient(b"220 mx\r\n")]
    assert leg.leg.greeting == kept


def test_starttls_opens_the_handshake() -> None:
    leg = Leg()
    assert leg.says("STARTTLS", reply=Reply.of(220, "go")) == [SendToClient(b"220 go\r\n"), StartTLS(CLIENT)]
    leg.leg.tls_started(TLS)
    assert leg.leg.identity.tls == TLS
    assert b"STARTTLS" not in leg.leg.end.access.own


def test_a_refused_starttls_opens_none() -> None:
    leg = Leg()
    assert leg.says("STARTTLS", reply=Reply.of(454, "no")) == [SendToClient(b"454 no\r\n")]


def test_octets_after_starttls() -> None:
    leg = Leg()
    violation, sent = leg.says("STARTTLS", "RSET", reply=Reply.of(220, "go"))
    assert isinstance(violation, Violation)
    assert isinstance(sent, SendToClient)
    assert sent.data.startswith(b"503 5.5.1 octets after STARTTLS")
    assert leg.over == 1


def test_within_the_handshake_nothing_is_said() -> None:
    leg = Leg()
    leg.says("STARTTLS", reply=Reply.of(220, "go"))
    leg.out.clear()
    leg.leg.fail(Reply.of(421, "bye"))
    assert (leg.out, leg.over) == ([], 1)


def test_what_the_client_said_before_is_forgotten() -> None:
    """RFC 3207 §4.2."""
    leg = Leg()
    leg.says("EHLO me")
    leg.leg.forward_for(Forwarded(ip="192.0.2.9"))
    leg.leg.log_in(())
    assert leg.leg.client_info.authenticated
    leg.says("STARTTLS", reply=Reply.of(220, "go"))
    leg.leg.tls_started(TLS)
    assert (leg.leg.hello, leg.leg.login, leg.leg.forwarded, leg.leg.authenticated) == (
        None,
        None,
        None,
        False,
    )
    assert leg.leg.client_info == ClientInfo(address=PEER.address, tls=TLS)


def test_a_client_that_is_named() -> None:
    leg = Leg()
    leg.says("EHLO me")
    named = ClientInfo(address="192.0.2.1:51000", helo="mx")
    leg.leg.rename(named, Login("ann", "Ann"))
    info = leg.leg.client_info
    assert (info.address, info.helo, info.login, info.login_given) == (named.address, "mx", "ann", "Ann")
    assert leg.out[-1] == ClientChanged(info)
    leg.says("EHLO you")
    assert leg.leg.client_info.helo == "you"


@pytest.mark.parametrize(
    ("line", "over"), [("RSET", True), ("EHLO me", True), ("MAIL FROM:<a>", False), ("X-ANY", False)]
)
def test_xforward_lasts_until_the_transaction_is_over(line: str, over: bool) -> None:
    leg = Leg()
    known = Forwarded(ip="192.0.2.9")
    leg.leg.forward_for(known)
    assert leg.leg.client_info.forwarded is known
    leg.says(line, reply=Reply.of(550, "no"))
    assert leg.leg.forwarded is known
    leg.says(line)
    assert (leg.leg.forwarded is None) is over


def test_and_until_the_message_is_answered() -> None:
    leg = Leg()
    leg.leg.forward_for(Forwarded(ip="192.0.2.9"))
    for line in ("MAIL FROM:<a>", "RCPT TO:<b>"):
        leg.says(line)
    leg.says("DATA", reply=Reply.of(354, "go"))
    assert leg.leg.forwarded is not None
    leg.says(".", reply=Reply.of(451, "no"))
    assert leg.leg.forwarded is None
