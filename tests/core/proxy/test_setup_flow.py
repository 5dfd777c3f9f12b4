"""The setup of a server goes on step by step: TLS, who the client is, EHLO."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Config, SendClient, UpstreamTls
from sansio_smtp.events import CLIENT, SERVER
from sansio_smtp.questions import Continue, Route

REMOTE = ClientInfo(address="192.0.2.1:51000")
NO_TLS = "C: 421 4.7.5 upstream server cannot be used with TLS, try again later"
UNTOLD = "C: 421 4.3.0 upstream server cannot be told who the client is, try again later"
CLOSED = ["close S", "close C"]
OFFERS_TLS = ("250-mx", "250 STARTTLS")


def scene(*ask: str, level: str = "none", send: str = "none", **more: object) -> Scene:
    config = Config(
        upstream_tls=UpstreamTls(level),
        send_client=SendClient(send),
        reconnect=True,
        **more,  # type: ignore[arg-type]
    )
    return Scene(*ask, config=config, client=REMOTE)


def in_handshake(level: str = "encrypt") -> Scene:
    made = scene(level=level).introduced(*OFFERS_TLS)
    assert made.server("220 go") == ["tls S"]
    return made


def under_tls(level: str = "encrypt") -> Scene:
    made = in_handshake(level)
    assert made.encrypted(SERVER) == ["S: EHLO me"]
    return made


@pytest.mark.parametrize("level", ["may", "encrypt", "verify"])
def test_the_client_gets_the_offer_that_came_under_tls(level: str) -> None:
    made = under_tls(level)
    assert made.server("250-mx", "250 DSN") == ["C: 250-mx|250-DSN|250 PIPELINING"]
    assert made.proxy.server_tls is not None
    assert made.client("MAIL FROM:<a>") == ["S: MAIL FROM:<a>"]


def test_a_server_with_tls_from_the_first_octet() -> None:
    """RFC 8314 §3.3."""
    made = scene(level="verify")
    assert made.encrypted(SERVER) == []
    made.introduced("250 mx")
    assert made.last
    assert made.client("NOOP") == ["S: NOOP"]


def test_tls_from_the_first_octet_that_fails() -> None:
    made = scene(level="verify")
    told = made.took(made.proxy.tls_failed(SERVER, "its certificate has expired"))
    assert told == ["unusable: its certificate has expired", NO_TLS, *CLOSED]


def test_tls_that_fails_after_starttls() -> None:
    made = in_handshake("may")
    told = made.took(made.proxy.tls_failed(SERVER, "no cipher in common"))
    assert told == ["unusable: no cipher in common", NO_TLS, *CLOSED]
    assert (
        made.proxy.tls_failed(SERVER, "again") == made.proxy.tls_started(SERVER, TlsInfo(version="x")) == []
    )


def test_a_certificate_that_was_not_verified_is_no_verified_one() -> None:
    made = in_handshake("verify")
    told = made.encrypted(SERVER, TlsInfo(version="TLSv1.3"))
    assert told == ["unusable: its certificate was not verified", NO_TLS, *CLOSED]


@pytest.mark.parametrize("level", ["encrypt", "verify"])
def test_no_starttls_no_mail(level: str) -> None:
    made = scene(level=level)
    why = "unusable: it does not offer STARTTLS, which is required"
    made.server("220 mx")
    made.client("EHLO me")
    assert made.server("250 mx") == [why, NO_TLS, *CLOSED]


@pytest.mark.parametrize("reply", ["454 not now", "501 no"])
def test_starttls_refused(reply: str) -> None:
    why = "unusable: it refused STARTTLS, which is required"
    assert scene(level="encrypt").introduced(*OFFERS_TLS).server(reply) == [why, NO_TLS, *CLOSED]
    assert scene(level="may").introduced(*OFFERS_TLS).server(reply) == ["S: EHLO me"]


def test_a_server_that_leaves_in_the_setup() -> None:
    made = scene(level="may").introduced(*OFFERS_TLS)
    why, told, *_ = made.server("421 busy")
    assert why == "unusable: it said 421 busy to STARTTLS"
    assert told.startswith("C: 421 4.4.1 upstream server cannot be reached")


def test_an_ehlo_of_ours_that_is_refused() -> None:
    """The client gets the refusal of its own EHLO; a MAIL without EHLO has no other way."""
    made = scene(level="may")
    made.server("220 mx")
    made.client("EHLO me")
    assert made.server("502 no") == ["S: EHLO me"]
    assert made.server("502 no") == ["C: 502 no"]
    assert made.client("HELO me") == ["S: HELO me"]
    made = scene(level="may")
    made.server("220 mx")
    assert made.client("MAIL FROM:<a>") == ["S: EHLO localhost"]
    why, told, *_ = made.server("502 no")
    assert why == "unusable: it refused EHLO localhost: 502 no"
    assert told.startswith("C: 421 4.4.1")


def test_octets_after_220_are_a_violation() -> None:
    made = scene(level="may").introduced(*OFFERS_TLS)
    assert made.server("220 go", "250 x")[0] == "violation SERVER"


def test_the_level_of_a_connection_may_be_another() -> None:
    made = scene(level="encrypt")
    made.proxy.server_connected(UpstreamTls.NONE)
    made.server("220 mx")
    made.client("EHLO me")
    assert made.server("250 mx") == ["C: 250-mx|250 PIPELINING"]


# Who the client is


def test_a_server_that_refuses_xclient() -> None:
    made = scene(send="xclient").introduced("250-mx", "250 XCLIENT ADDR")
    why = "unusable: it refused XCLIENT: 550 no"
    assert made.server("550 no") == [why, UNTOLD, *CLOSED]


def test_a_server_that_refuses_xforward() -> None:
    made = scene(send="xforward").introduced("250-mx", "250 XFORWARD ADDR")
    assert made.client("MAIL FROM:<a>") == ["S: XFORWARD ADDR=192.0.2.1"]
    why = "unusable: it refused XFORWARD: 550 no"
    text = "451 4.3.0 upstream server was not told who the client is, try again later"
    assert made.server("550 no") == [why, f"C: {text}"]
    assert made.client("MAIL FROM:<a>") == ["S: XFORWARD ADDR=192.0.2.1"]


def test_xforward_is_said_for_each_transaction() -> None:
    made = scene(send="xforward").introduced("250-mx", "250 XFORWARD ADDR")
    for _ in range(2):
        assert made.client("MAIL FROM:<a>") == ["S: XFORWARD ADDR=192.0.2.1"]
        assert made.server("250 ok") == ["S: MAIL FROM:<a>"]
        made.server("250 ok")
        made.client("RSET")
        made.server("250 ok")


def test_mail_is_not_sent_without_the_name() -> None:
    made = scene(send="xforward").introduced("250 mx")
    why = "unusable: it does not offer XFORWARD to this proxy"
    assert made.client("MAIL FROM:<a>") == [why, UNTOLD, *CLOSED]


def test_a_client_that_has_gone_meanwhile() -> None:
    made = under_tls()
    made.took(made.proxy.client_lost())
    assert made.proxy.closed


def test_another_server_is_set_up_as_the_first() -> None:
    made = scene("RCPT", send="xforward").introduced("250-mx", "250 XFORWARD ADDR")
    made.client("MAIL FROM:<a>")
    made.server("250 ok")
    made.server("250 ok")
    made.client("RCPT TO:<b>")
    assert made.answer(Route("other")) == ["S: QUIT", "close S", "connect other"]
    assert made.server("220 other") == ["S: EHLO me"]
    assert made.server("250-other", "250 XFORWARD ADDR") == ["S: XFORWARD ADDR=192.0.2.1"]
    assert made.server("250 ok") == ["S: MAIL FROM:<a>"]
    assert made.server("250 ok") == ["S: RCPT TO:<b>"]


# REQUIRETLS


def test_a_message_that_requires_tls_goes_under_verified_tls() -> None:
    made = under_tls("verify")
    made.server("250-mx", "250 REQUIRETLS")
    assert made.client("MAIL FROM:<a> REQUIRETLS") == ["S: MAIL FROM:<a> REQUIRETLS"]


@pytest.mark.parametrize("level", ["none", "encrypt"])
def test_a_message_that_requires_tls_goes_no_other_way(level: str) -> None:
    made = scene(level=level).introduced(*OFFERS_TLS)
    if level == "encrypt":
        made.server("220 go")
        made.encrypted(SERVER, TlsInfo(version="TLSv1.3"))
        made.server("250-mx", "250 REQUIRETLS")
    refused = ["C: 550 5.7.30 REQUIRETLS is not possible on the way from here"]
    assert made.client("MAIL FROM:<a> REQUIRETLS") == refused
    assert made.client("NOOP") == ["S: NOOP"]


def test_a_transaction_that_requires_tls_is_not_carried_to_plain_text() -> None:
    made = scene("RCPT", level="verify")
    made.encrypted(SERVER)
    made.introduced("250-mx", "250 REQUIRETLS")
    made.client("MAIL FROM:<a> REQUIRETLS")
    made.server("250 ok")
    made.client("RCPT TO:<b>")
    made.answer(Route("other"))
    made.proxy.server_connected(UpstreamTls.NONE)
    made.server("220 other")
    refused = ["C: 550 5.7.30 REQUIRETLS is not possible on the way from here"]
    assert made.server("250-other", "250 REQUIRETLS") == refused


def test_questions_between_do_not_matter() -> None:
    made = scene("MAIL", level="may")
    made.server("220 mx")
    made.client("MAIL FROM:<a>")
    assert made.answer(Continue()) == ["S: EHLO localhost"]


def test_xclient_is_said_once_for_a_connection() -> None:
    made = scene(send="xclient").introduced("250-mx", "250 XCLIENT ADDR")
    assert made.last[0].data == b"XCLIENT ADDR=192.0.2.1\r\n"  # type: ignore[union-attr]
    assert made.server("220 mx") == ["S: EHLO me"]
    made.server("250 mx")
    for line in ("MAIL FROM:<a>", "RSET", "EHLO you"):
        assert made.client(line) == [f"S: {line}"]
        made.server("250 ok")


def test_mail_that_another_server_refuses() -> None:
    """Its refusal is the reply to the RCPT that the client waits for."""
    made = scene("RCPT").greeted("250 mx")
    made.client("MAIL FROM:<a>")
    made.server("250 ok")
    made.client("RCPT TO:<b>")
    made.answer(Route("other"))
    made.server("220 other")
    assert made.server("250 other") == ["S: MAIL FROM:<a>"]
    assert made.server("550 no") == ["C: 550 no"]


def test_why_a_server_could_not_be_used_is_always_said() -> None:
    """It is all that an operator finds of a session that ended with 421."""
    made = scene("RCPT").greeted()
    made.client("MAIL FROM:<a>")
    made.server("250 ok")
    made.client("RCPT TO:<b>")
    made.answer(Route("other"))
    assert made.server("554 go away")[0] == "unusable: its greeting was 554 go away"
    made = scene(tls="may").with_recipient()
    made.client("STARTTLS")
    assert made.encrypted(CLIENT) == ["S: RSET"]
    assert made.server("500 what")[0] == "unusable: it refused RSET: 500 what"


def test_a_server_without_tls_may_be_left_for_another() -> None:
    made = scene(level="encrypt", failover=1)
    made.server("220 mx")
    made.client("EHLO me")
    assert made.server("250 mx")[1:] == ["S: QUIT", "close S", "connect home"]
