"""The leg to one server: nothing that is known of it outlives it."""

from __future__ import annotations

import pytest

from sansio_smtp.client_info import TlsInfo
from sansio_smtp.config import Config, Dialect, SendClient, UpstreamTls
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import InternalError, LocalProtocolError
from sansio_smtp.networks import Networks
from sansio_smtp.proxy.upstream import Carried, Upstream
from sansio_smtp.states import Phase, UpstreamState, UpstreamStep
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

MAIL = Command.of("MAIL FROM:<a>")


def hears(leg: Upstream, *replies: str) -> None:
    leg.end.receive_data(b"".join(reply.encode() + b"\r\n" for reply in replies))
    for _ in replies:
        leg.end.next_event()


def connected(name: str | None = None, carried: Carried | None = None) -> Upstream:
    leg = Upstream(Config(), name, carried)
    leg.connected()
    hears(leg, "220 mx")
    return leg


def ready() -> Upstream:
    leg = connected()
    leg.greeted()
    leg.set_up()
    return leg


def takes(leg: Upstream, *lines: str) -> None:
    """The server accepts these commands."""
    for line in lines:
        leg.end.send_command(Command.of(line))
        hears(leg, "250 ok")


def test_its_life() -> None:
    leg = Upstream(Config())
    assert (leg.state, leg.end.phase) == (UpstreamState.CONNECTING, Phase.GREETING)
    leg.connected()
    assert leg.state is UpstreamState.GREETING
    hears(leg, "220 mx")
    leg.greeted()
    assert leg.state is UpstreamState.SETUP
    leg.set_up()
    assert leg.state is UpstreamState.READY
    leg.close()
    assert (leg.state, leg.end.phase) == (UpstreamState.CLOSED, Phase.CLOSED)


def test_a_connection_of_another_client() -> None:
    leg = Upstream(Config())
    leg.take_over()
    assert (leg.kept, leg.introduced) == (True, True)
    leg.prove()
    assert (leg.kept, leg.introduced) == (False, True)
    leg.connected()
    with pytest.raises(LocalProtocolError, match="before the server's first octets"):
        leg.take_over()


def test_a_connection_for_another_client() -> None:
    leg = ready()
    assert (leg.greeting, leg.spent, leg.released) == (None, False, False)
    leg.keep_greeting(Reply.of(220, "mx"))
    leg.spend()
    leg.release()
    assert (str(leg.greeting), leg.spent, leg.released) == ("220 mx", True, True)


def test_it_may_have_to_hear_more() -> None:
    leg = ready()
    leg.prepare()
    assert leg.state is UpstreamState.SETUP
    leg.set_up()
    assert leg.state is UpstreamState.READY


def test_it_is_reset_in_the_middle_of_mail_data() -> None:
    leg = ready()
    takes(leg, "MAIL FROM:<a>", "RCPT TO:<b>")
    leg.reset()
    assert (leg.detached, leg.end.phase) == (True, Phase.CLOSED)
    assert not leg.in_transaction
    assert not leg.has_recipients


@pytest.mark.parametrize("step", [UpstreamStep.GREETED, UpstreamStep.RESET, UpstreamStep.SET_UP])
def test_a_step_that_its_state_does_not_allow(step: UpstreamStep) -> None:
    with pytest.raises(InternalError, match="CONNECTING"):
        Upstream(Config()).step(step)


def test_its_transaction_is_what_it_has_accepted() -> None:
    leg = ready()
    takes(leg, "MAIL FROM:<a>")
    assert (leg.in_transaction, leg.has_recipients) == (True, False)
    takes(leg, "RCPT TO:<b>")
    assert leg.has_recipients
    takes(leg, "RSET")
    assert (leg.in_transaction, leg.has_recipients) == (False, False)


def in_transaction(*hello: str) -> Upstream:
    leg = ready()
    leg.end.send_command(Command.of("EHLO me"))
    hears(leg, "\r\n".join(hello))
    takes(leg, "MAIL FROM:<a>", "RCPT TO:<b>")
    return leg


def test_it_takes_chunks_if_it_has_offered_them_and_knows_a_recipient() -> None:
    leg = in_transaction("250-mx", "250 CHUNKING")
    assert leg.may_take_chunks
    takes(leg, "RSET")
    assert not leg.may_take_chunks
    takes(leg, "MAIL FROM:<a>")
    assert not leg.may_take_chunks
    takes(leg, "RCPT TO:<b>")
    leg.prepare()  # it is being told something
    assert not leg.may_take_chunks
    assert not in_transaction("250 mx").may_take_chunks


# What another connection must be told of the client's open transaction


def client_envelope() -> Envelope:
    return Envelope(Command.of("MAIL FROM:<as-the-client-said-it>"))


def test_the_mail_that_this_server_accepted() -> None:
    """It may have been replaced by a verdict."""
    leg = ready()
    takes(leg, "MAIL FROM:<a>")
    envelope = client_envelope()
    carried = leg.transaction_for(envelope)
    assert carried is not None
    assert (carried.mail.raw, carried.envelope) == (b"MAIL FROM:<a>", envelope)


def test_recipients_are_not_left() -> None:
    leg = ready()
    takes(leg, "MAIL FROM:<a>", "RCPT TO:<b>")
    assert leg.transaction_for(client_envelope()) is None


def test_a_transaction_that_the_client_takes_for_over() -> None:
    leg = ready()
    takes(leg, "MAIL FROM:<a>")
    assert leg.transaction_for(Envelope()) is None


def test_a_mail_that_no_server_has_accepted() -> None:
    """A verdict answered it."""
    assert ready().transaction_for(client_envelope()) is None


def test_what_was_carried_here_and_refused_is_carried_on() -> None:
    envelope = client_envelope()
    carried = Carried(MAIL, envelope)
    leg = connected("other", carried)
    assert leg.transaction_for(envelope) is carried
    assert leg.transaction_for(client_envelope()) is None, "that is another transaction"
    leg.taken_over()
    assert leg.transaction_for(envelope) is None


def test_its_name_is_that_of_verdicts() -> None:
    assert Upstream(Config()).name is None
    assert connected("other").name == "other"


# TLS, and what the server has been told

TLS = TlsInfo(version="TLSv1.3", verified=True)
ANYBODY = Networks.parse(["0.0.0.0/0"])


def test_the_level_is_said_before_the_first_octets() -> None:
    leg = Upstream(Config(upstream_tls=UpstreamTls.MAY))
    assert (leg.level, leg.may_lack) == (UpstreamTls.MAY, True)
    leg.use_level(UpstreamTls.NONE)
    assert (leg.level, leg.may_lack) == (UpstreamTls.NONE, False)
    leg.connected()
    with pytest.raises(LocalProtocolError, match="before the server's first octets"):
        leg.use_level(UpstreamTls.ENCRYPT)


def test_tls_before_the_first_octets() -> None:
    """RFC 8314 §3.3."""
    leg = Upstream(Config(upstream_tls=UpstreamTls.VERIFY))
    leg.tls_started(TLS)
    assert (leg.tls, leg.end.phase) == (TLS, Phase.GREETING)
    leg.settle()
    assert not leg.may_lack


def test_tls_after_starttls() -> None:
    leg = ready()
    with pytest.raises(LocalProtocolError, match="no TLS handshake is due"):
        leg.tls_started(TLS)
    assert leg.tls is None
    leg.end.send_command(Command.of("STARTTLS"))
    hears(leg, "220 go")
    leg.tls_started(TLS)
    assert (leg.tls, leg.end.phase) == (TLS, Phase.COMMAND)


def test_a_server_that_refuses_starttls_is_not_asked_again() -> None:
    leg = Upstream(Config(upstream_tls=UpstreamTls.MAY))
    leg.refuse_tls()
    leg.settle()
    assert not leg.may_lack


@pytest.mark.parametrize(
    ("verified", "keyword", "may"),
    [(True, "REQUIRETLS", True), (False, "REQUIRETLS", False), (True, "DSN", False)],
)
def test_a_message_that_requires_tls(verified: bool, keyword: str, may: bool) -> None:
    """RFC 8689 §4.2.1: the certificate was checked, and the server does the same."""
    leg = Upstream(Config())
    assert not leg.may_require_tls
    leg.tls_started(TlsInfo(version="TLSv1.3", verified=verified))
    leg.connected()
    hears(leg, "220 mx")
    leg.end.send_command(Command.of("EHLO me"))
    leg.end.receive_data(f"250-mx\r\n250 {keyword}\r\n".encode())
    leg.end.next_event()
    assert leg.may_require_tls is may


@pytest.mark.parametrize(
    ("config", "at_first", "when_named"),
    [
        (Config(), False, False),
        (Config(send_client=SendClient.PROXY), False, False),
        (Config(send_client=SendClient.PROXY2), False, False),
        (Config(send_client=SendClient.XCLIENT), True, False),
        (Config(send_client=SendClient.XFORWARD), True, True),
        (Config(send_client=SendClient.AUTO), True, False),
        (Config(send_client=SendClient.AUTO, accept_xforward=ANYBODY), True, True),
    ],
)
def test_what_has_to_be_looked_at_before_each_command(
    config: Config, at_first: bool, when_named: bool
) -> None:
    leg = Upstream(config)
    assert leg.may_lack is at_first
    leg.take_name()
    leg.settle()
    assert (leg.may_lack, leg.introduced) == (when_named, True)


@pytest.mark.parametrize("send", SendClient)
def test_a_header_names_the_client_for_the_connection(send: SendClient) -> None:
    assert Upstream(Config(send_client=send)).named is (send in (SendClient.PROXY, SendClient.PROXY2))


def test_xforward_counts_for_one_mail() -> None:
    leg = ready()
    leg.take_forwarded(MAIL)
    assert leg.forwarded_for is MAIL


def test_it_may_have_to_hear_ehlo_anew() -> None:
    leg = ready()
    takes(leg, "EHLO me")
    leg.greet_again()
    assert (leg.end.hello, leg.introduced, leg.may_lack) == (None, True, True)


def test_a_server_that_knows_a_client_of_before_stays_so() -> None:
    leg = ready()
    leg.go_stale()
    leg.settle()
    assert (leg.stale, leg.may_lack) == (True, True)


def test_our_own_ehlo() -> None:
    leg = ready()
    assert not leg.introduced
    leg.introduce()
    assert leg.introduced


def test_what_it_speaks() -> None:
    """RFC 2033 §4.1. HELO to an SMTP server stays HELO."""
    leg = Upstream(Config())
    hello = {verb: Command.of(f"{verb} me.example") for verb in ("EHLO", "HELO", "LHLO")}
    assert not leg.speaks_lmtp
    assert [leg.spoken(command).raw for command in hello.values()] == [
        b"EHLO me.example",
        b"HELO me.example",
        b"EHLO me.example",
    ]
    assert leg.spoken(hello["HELO"]) is hello["HELO"]
    leg.use_level(UpstreamTls.NONE, Dialect.LMTP)
    assert leg.speaks_lmtp
    assert {leg.spoken(command).raw for command in hello.values()} == {b"LHLO me.example"}
    leg.use_level(UpstreamTls.MAY)
    assert leg.speaks_lmtp, "nothing was said of it"


def test_a_transaction_without_recipients_outlives_a_lost_connection() -> None:
    leg = ready()
    takes(leg, "MAIL FROM:<a>")
    envelope = leg.end.transaction.envelope
    leg.lose(envelope)
    assert leg.state is UpstreamState.DETACHED
    assert leg.carried is not None
    assert leg.carried.mail.raw == b"MAIL FROM:<a>"
    assert leg.transaction_for(envelope) is leg.carried
