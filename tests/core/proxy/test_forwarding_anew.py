"""The client begins anew, after STARTTLS or XCLIENT: what its server has to forget, or is left for."""

from __future__ import annotations

import pytest

from core.scene import TLS, Scene
from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import Config, SendClient, UpstreamTls
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import CLIENT, SERVER
from sansio_smtp.networks import Networks
from sansio_smtp.questions import Answer, Continue, Route
from sansio_smtp.wire.replies import Reply

REMOTE = ClientInfo(address="192.0.2.1:51000")


def scene(*ask: str, send: str = "none", level: str = "none", **more: object) -> Scene:
    config = Config(
        send_client=SendClient(send),
        upstream_tls=UpstreamTls(level),
        reconnect=True,
        **more,  # type: ignore[arg-type]
    )
    return Scene(*ask, config=config, client=REMOTE)


def client_tls(**more: object) -> Scene:
    return scene(tls="may", **more)


def test_ehlo_is_heard_anew() -> None:
    """RFC 3207 §4.2: also by a server in plain text, and also if the client says none."""
    made = client_tls().greeted()
    made.client("STARTTLS")
    assert made.encrypted(CLIENT) == []
    assert made.client("MAIL FROM:<a>") == ["S: EHLO localhost"]
    assert made.server("250 mx") == ["S: MAIL FROM:<a>"]
    made.server("250 ok")
    assert made.client("EHLO me") == ["S: EHLO me"]


def test_an_open_transaction_is_reset() -> None:
    made = client_tls().with_recipient()
    made.client("STARTTLS")
    assert made.encrypted(CLIENT) == ["S: RSET"]
    assert made.server("250 ok") == []
    assert made.client("EHLO me") == ["S: EHLO me"]


def test_a_login_does_not_outlive_starttls() -> None:
    made = client_tls().greeted()
    made.client("AUTH PLAIN AGFubgBw")
    made.server("235 ok")
    made.client("STARTTLS")
    assert made.encrypted(CLIENT) == []
    assert (made.proxy.login, made.proxy.hello) == (None, None)
    assert made.client("QUIT") == ["S: QUIT"], "no new connection for that"
    assert made.server("221 bye")[0] == "C: 221 bye"


def test_a_server_that_was_reset_is_gone_already() -> None:
    made = scene("HEADERS", tls="may").in_content()
    made.client("A: b", "")
    made.answer(Answer(Reply.of(550, "no")))
    made.client(".")
    made.client("STARTTLS")
    assert made.encrypted(CLIENT) == []
    assert made.client("EHLO me")[0] == "connect home"


def test_a_server_that_knows_the_client_by_its_header_is_left() -> None:
    """What a PROXY header has said cannot be changed."""
    relays = Networks.parse(["192.0.2.1"])
    for send in ("proxy", "proxy2"):
        made = scene(send=send, accept_xclient=relays).greeted()
        made.client("XCLIENT ADDR=192.0.2.9")
        assert made.client("EHLO you") == ["S: QUIT", "close S", "connect home"]


@pytest.mark.parametrize(("upstream", "then"), [("other", "connect other"), (None, "S: EHLO you")])
def test_a_server_for_the_rest_of_the_session(upstream: str | None, then: str) -> None:
    made = scene("CLIENT_CHANGED", accept_xclient=Networks.parse(["192.0.2.0/24"])).greeted()
    made.client("XCLIENT HELO=x")
    made.answer(Route(upstream))
    assert made.client("EHLO you")[-1] == then


def test_a_server_for_the_rest_of_the_session_after_a_reset() -> None:
    relays = Networks.parse(["192.0.2.0/24"])
    made = scene("CLIENT_CHANGED", "HEADERS", accept_xclient=relays).in_content()
    made.client("A: b", "")
    made.answer(Answer(Reply.of(550, "no")))
    made.client(".")
    made.client("XCLIENT HELO=x")
    made.answer(Route("other"))
    assert made.client("EHLO you") == ["connect other"]


def test_what_goes_under_verified_tls_only() -> None:
    """RFC 8689 §4.2.1."""
    made = scene(level="may").introduced("250-mx", "250 STARTTLS")
    made.server("220 go")
    made.encrypted(SERVER, TLS)
    made.server("250-mx", "250 REQUIRETLS")
    assert made.client("MAIL FROM:<a> REQUIRETLS") == ["S: MAIL FROM:<a> REQUIRETLS"]
    made = scene().greeted()
    refused = "C: 550 5.7.30 REQUIRETLS is not possible on the way from here"
    assert made.client("MAIL FROM:<a> REQUIRETLS", "RSET") == [refused, "S: RSET"]


def test_what_the_server_is_sent_first() -> None:
    made = scene(send="xforward").introduced("250-mx", "250 XFORWARD ADDR")
    assert made.client("MAIL FROM:<a>") == ["S: XFORWARD ADDR=192.0.2.1"]
    oldest = made.proxy._forwarding.oldest
    assert oldest is not None
    assert oldest.command.raw == b"MAIL FROM:<a>"
    assert made.server("550 no")[-1].startswith("C: 451 4.3.0")
    assert made.proxy._forwarding.oldest is None


def test_what_xforward_has_said_is_used_up_by_mail() -> None:
    made = scene(send="xforward").introduced("250-mx", "250 XFORWARD ADDR")
    made.client("MAIL FROM:<a>")
    assert made.server("250 ok") == ["S: MAIL FROM:<a>"]
    made.server("250 ok")
    made.client("RSET")
    made.server("250 ok")
    assert made.client("MAIL FROM:<a>") == ["S: XFORWARD ADDR=192.0.2.1"]


def test_xforward_of_a_mail_that_was_not_sent_does_not_count_for_another() -> None:
    relays = Networks.parse(["192.0.2.0/24"])
    made = scene(send="xforward", accept_xforward=relays).introduced("250-mx", "250 XFORWARD ADDR")
    made.client("XFORWARD ADDR=198.51.100.1")
    made.client("MAIL FROM:<a> REQUIRETLS")
    assert made.server("250 ok")[0].startswith("C: 550 5.7.30")
    made.client("XFORWARD ADDR=198.51.100.2")
    assert made.client("MAIL FROM:<a>") == ["S: XFORWARD ADDR=198.51.100.2"]


def test_a_login_that_xclient_has_told_does_not_outlive_starttls() -> None:
    relays = Networks.parse(["192.0.2.0/24"])
    made = scene(send="xclient", accept_xclient=relays, tls="may")
    made.introduced("250-mx", "250 XCLIENT ADDR LOGIN")
    made.server("220 mx")
    made.server("250 mx")
    made.client("XCLIENT LOGIN=bob")
    made.client("EHLO me")
    made.server("220 mx")
    assert made.server("250-mx", "250 XCLIENT ADDR LOGIN") == ["S: XCLIENT ADDR=192.0.2.1 LOGIN=bob"]
    made.server("220 mx")
    made.server("250 mx")
    made.client("STARTTLS")
    made.encrypted(CLIENT)
    assert made.client("EHLO me") == ["S: QUIT", "close S", "connect home"]


# The server that a rule has said for the connection


def test_the_first_server_may_be_another() -> None:
    made = scene()
    made.proxy.prefer("special")
    made.greeted()
    assert made.client("MAIL FROM:<a>") == ["S: MAIL FROM:<a>"]
    with pytest.raises(LocalProtocolError, match="before the server's first octets"):
        made.proxy.prefer("other")


def test_it_is_so_for_another_connection_too() -> None:
    made = scene("HEADERS")
    made.proxy.prefer("special")
    made.in_content()
    made.client("A: b", "")
    made.answer(Answer(Reply.of(550, "no")))
    made.client(".")
    assert made.client("RSET") == ["connect special"]


def test_after_starttls_it_is_so_still() -> None:
    """The rules are not asked anew about the connection."""
    made = scene("CLIENT_CHANGED", accept_xclient=Networks.parse(["192.0.2.0/24"]), tls="may").greeted()
    made.client("XCLIENT HELO=x")
    made.answer(Route("special"))
    made.client("EHLO me")
    made.server("220 special")
    made.server("250 special")
    made.client("STARTTLS")
    made.encrypted(CLIENT)
    for line in ("EHLO me", "MAIL FROM:<a>"):
        assert made.client(line) == [f"S: {line}"]
        made.server("250 ok")


def test_after_xclient_it_is_so_only_if_it_is_said_again() -> None:
    made = scene("CLIENT_CHANGED", accept_xclient=Networks.parse(["192.0.2.0/24"]))
    made.proxy.prefer("special")
    made.greeted()
    made.client("XCLIENT HELO=x")
    made.answer(Continue())
    assert made.client("EHLO me") == ["S: QUIT", "close S", "connect home"]


def test_a_server_that_ehlo_was_routed_to_is_left() -> None:
    """What the client said in plain text is forgotten, and where it led to."""
    made = scene("EHLO", tls="may")
    made.server("220 mx")
    made.client("EHLO me")
    made.answer(Route("other"))
    made.server("220 other")
    made.server("250 other")
    made.client("STARTTLS")
    made.encrypted(CLIENT)
    assert made.client("NOOP") == ["S: QUIT", "close S", "connect home"]
