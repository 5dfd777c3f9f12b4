"""The leg to one server: nothing that is known of it outlives it."""

from __future__ import annotations

import pytest

from sansio_smtp.config import Config
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import InternalError
from sansio_smtp.proxy.upstream import Carried, Upstream
from sansio_smtp.states import Phase, UpstreamState, UpstreamStep
from sansio_smtp.wire.commands import Command

EHLO = Command.of("EHLO me")
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
    leg.greeted(())
    assert leg.next_setup() is None
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
    leg.greeted((EHLO, MAIL))
    assert leg.state is UpstreamState.SETUP
    assert [leg.next_setup(), leg.next_setup()] == [EHLO, MAIL]
    assert leg.state is UpstreamState.SETUP, "until the last step has been answered"
    assert leg.next_setup() is None
    assert leg.state is UpstreamState.READY
    leg.close()
    assert (leg.state, leg.end.phase) == (UpstreamState.CLOSED, Phase.CLOSED)


def test_it_may_have_to_hear_more() -> None:
    leg = ready()
    leg.prepare((EHLO,))
    assert leg.state is UpstreamState.SETUP
    assert [leg.next_setup(), leg.next_setup()] == [EHLO, None]
    assert leg.state is UpstreamState.READY


def test_a_setup_that_is_given_up() -> None:
    leg = connected()
    leg.greeted((EHLO, MAIL))
    leg.next_setup()
    leg.give_up_setup()
    assert (leg.state, leg.setup) == (UpstreamState.READY, ())


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
