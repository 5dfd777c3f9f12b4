from __future__ import annotations

from typing import get_args

import pytest

from sansio_smtp import events
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    AwaitReply,
    BodyChunk,
    BodyComplete,
    Close,
    CommandRefused,
    Event,
    MessageAnswered,
    SendToClient,
    SendToServer,
    Side,
    WaitingFor,
)
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply


@pytest.mark.parametrize("kind", [SendToClient, SendToServer])
def test_sends_are_compared_by_their_octets(kind: type[SendToClient | SendToServer]) -> None:
    assert kind(b"a", b"a") == kind(b"a")
    assert kind(b"a") != kind(b"b")
    assert SendToClient(b"a") != SendToServer(b"a")


@pytest.mark.parametrize("kind", [SendToClient, SendToServer])
def test_repr_of_a_send_shows_what_a_log_may_show(kind: type[SendToClient | SendToServer]) -> None:
    name = kind.__name__
    assert repr(kind(b"the whole letter")) == f"{name}(<16 octets>)"
    assert (
        repr(kind(b"AUTH PLAIN x\r\n", b"AUTH PLAIN ********\r\n")) == f"{name}(b'AUTH PLAIN ********\\r\\n')"
    )


def test_repr_of_content_does_not_show_it() -> None:
    assert repr(BodyChunk(b"dear all")) == "BodyChunk(data=<8 octets>)"


def test_repr_of_a_secret_command_does_not_show_it() -> None:
    assert "AGEAYg" not in repr(AwaitReply(Command.parse(b"AUTH PLAIN AGEAYg==")))


def test_sides() -> None:
    assert (repr(CLIENT), repr(SERVER)) == ("CLIENT", "SERVER")
    assert {CLIENT, SERVER} == set(Side)
    assert repr(Close(SERVER, abort=True)) == "Close(side=SERVER, abort=True)"


def test_close_is_gentle_unless_said() -> None:
    assert not Close(CLIENT).abort


def test_body_complete_of_an_untouched_message() -> None:
    assert BodyComplete(10) == BodyComplete(10, edited=False, broken=())


def test_message_answered_is_compared_by_its_reply() -> None:
    """An envelope is an identity, not a value."""
    assert MessageAnswered(Reply.of(250), Envelope()) == MessageAnswered(Reply.of(250), Envelope())


def test_every_event_is_in_the_union() -> None:
    """A driver that matches them all, and asserts so, must not be surprised."""
    classes = {
        value
        for name, value in vars(events).items()
        if isinstance(value, type) and value.__module__ == events.__name__ and name in events.__all__
    }
    assert set(get_args(Event)) == classes - {Side, WaitingFor}


def test_what_is_waited_for_has_a_name_for_settings() -> None:
    """A driver maps these names to seconds."""
    assert [waiting_for.value for waiting_for in WaitingFor] == [
        "greeting",
        "command",
        "reply",
        "content",
        "final-reply",
        "verdict",
        "handshake",
        "nothing",
    ]


def test_the_reply_to_a_message_is_shown_without_secrets() -> None:
    envelope = Envelope()
    assert MessageAnswered(Reply.of(250, "hunter2"), envelope).shown == "250 hunter2"
    assert "hunter2" not in repr(MessageAnswered(Reply.of(250, "hunter2"), envelope))
    answered = MessageAnswered(Reply.of(250, "hunter2"), envelope, b"250-x\r\n250 ********\r\n")
    assert answered.shown == "250-x / 250 ********"
    assert "hunter2" not in answered.shown


def test_a_refusal_is_shown_without_secrets() -> None:
    command, reply = Command.of("MAIL FROM:<a>"), Reply.of(550, "secret no")
    assert CommandRefused(command, reply, Envelope()).shown == "550 secret no"
    assert CommandRefused(command, reply, Envelope(), b"550 ******** no\r\n").shown == "550 ******** no"
