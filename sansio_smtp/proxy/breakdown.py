"""Ends a session after a fault of this library, without relying on parts that may be broken. An exception
leaves a proxy in the middle of a step. Replies that it had already decided are sent, because the ends count
them as sent. Nothing more goes to the server: a command or an end-of-data may be half of a step whose other
half is missing.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from sansio_smtp.events import (
    CLIENT,
    SERVER,
    Ask,
    AwaitReply,
    Close,
    CommandRefused,
    Connect,
    Event,
    MessageAnswered,
    Release,
    SendToClient,
    SendToServer,
    StartTLS,
)
from sansio_smtp.states import Gate, Phase, UpstreamState
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .downstream import Downstream
from .forwarding import Forwarding
from .message_flow import MessageFlow
from .passing import Passing

__all__ = ["end_after_fault"]

_NOT_ANY_MORE: Final = (SendToServer, AwaitReply, Connect, Ask, StartTLS)
_NO_SERVER: Final = (UpstreamState.DETACHED, UpstreamState.CLOSED)


def end_after_fault(
    downstream: Downstream,
    forwarding: Forwarding,
    message: MessageFlow,
    passing: Passing | None,
    out: list[Event],
) -> list[Event]:
    """Closes all parts and returns the last events of the session. ``out`` holds the events of the step that
    failed. Raises nothing."""
    untold = passing is not None and not _told_all(passing)
    events = [_kept_by_nobody(event) for event in out if not isinstance(event, _NOT_ANY_MORE)]
    unsent = len(events) < len(out)
    if events and isinstance(events[-1], MessageAnswered | CommandRefused):
        del events[-1]  # its reply was not made
    was_to_connect = any(isinstance(event, Connect) for event in out)
    out.clear()
    if downstream.gate is not Gate.SHUT and not (passing is not None and passing.ended):
        events += _farewell(downstream, passing if untold else None)
        closing = {event.side for event in events if isinstance(event, Close)}
        leg = forwarding.leg
        if SERVER not in closing and leg.state not in _NO_SERVER and not was_to_connect:
            events.append(Close(SERVER, abort=unsent or untold or leg.end.phase is not Phase.COMMAND))
        if CLIENT not in closing:
            events.append(Close(CLIENT))
    for close in (message.close, forwarding.close, downstream.close):
        with suppress(Exception):  # this part may be broken
            close()
    out.clear()
    return events


def _kept_by_nobody(event: Event) -> Event:
    """Replaces a release: the connection of a failed session is not used again."""
    return Close(event.side, abort=True) if isinstance(event, Release) else event


def _told_all(passing: Passing) -> bool:
    """Tells the ends what was passed on. Returns False if this step has the fault."""
    if not passing.failed:
        with suppress(Exception):
            passing.stop()
    return not passing.failed


def _farewell(downstream: Downstream, passing: Passing | None) -> list[Event]:
    """The last reply to the client: 451 if it waits for a reply to a command, else 421. If ``passing`` is
    given, it knows which, and the end does not."""
    if downstream.end.phase in (Phase.MUST_CLOSE, Phase.CLOSED, Phase.TLS):
        return []  # the client has had its last reply, or a handshake is running
    exchanges = downstream.end.exchanges
    if not (exchanges if passing is None else passing.owes):
        return [_told(own_replies.LEAVING)]
    events: list[Event] = []
    if exchanges[0].command.kind is Kind.END_OF_DATA if passing is None else passing.owes_message:
        events.append(MessageAnswered(own_replies.FAULT, downstream.end.envelope))
    return [*events, _told(own_replies.FAULT)]


def _told(reply: Reply) -> Event:
    return SendToClient(reply.raw, reply.raw)
