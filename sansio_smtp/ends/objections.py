"""What an end says to its caller that wants to send something at the wrong time: why not, and what comes
first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.states import Phase
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import END_OF_DATA, Command
from sansio_smtp.wire.replies import Reply

__all__ = [
    "after_end",
    "cannot_accept",
    "cannot_reply",
    "cannot_send",
    "no_chunk_to_drop",
    "no_handshake",
    "not_one_line",
    "not_one_message",
    "not_one_reply",
    "wrong_code",
]

_BEFORE_A_COMMAND: Final[Mapping[Phase, str]] = {
    Phase.GREETING: "the server has not sent its greeting yet; give its octets to receive_data, and call "
    "next_event",
    Phase.COMMAND: "the server has not asked for it with a reply 3xx",
    Phase.CONTENT: "the server reads mail data; send the message with send_message, or in pieces with "
    "send_content and after the last one send_end_of_data",
    Phase.AUTH_LINE: "the server waits for a line of the login; give it as str or bytes, or cancel the login "
    'with "*"',
    Phase.CHUNK: "the octets of a chunk come first",
    Phase.TLS: "the TLS handshake comes first; call tls_started after it",
    Phase.MUST_CLOSE: "the dialogue is over; close the connection",
    Phase.CLOSED: "the connection is closed",
}
_BEFORE_A_REPLY: Final[Mapping[Phase, str]] = {
    Phase.GREETING: "it is no greeting; a greeting is 220, or 4xx or 5xx to refuse the client",
    Phase.TLS: "the TLS handshake comes first; call tls_started after it",
    Phase.MUST_CLOSE: "the last reply has been sent; close the connection",
    Phase.CLOSED: "the connection is closed",
}
_NO_HANDSHAKE: Final[Mapping[Phase, str]] = {
    Phase.MUST_CLOSE: "the peer has broken the protocol, or the dialogue is over; close the connection",
    Phase.CLOSED: "the connection is closed",
}
_RIGHT: Final[Mapping[Kind, str]] = {
    Kind.HELLO: "250, or 4xx or 5xx to refuse it",
    Kind.DATA: "354 to get the message, or 4xx or 5xx to refuse it",
    Kind.AUTH: "235 to accept the login, 334 to ask for a line of it, or 4xx or 5xx to refuse it",
    Kind.AUTH_LINE: "235 to accept the login, 334 to ask for another line, or 4xx or 5xx to refuse it",
    Kind.STARTTLS: "220 to begin TLS, or 4xx or 5xx to refuse it",
    Kind.QUIT: "221",
    Kind.END_OF_DATA: "250 to accept the message, or 4xx or 5xx to refuse it",
}
"""Kind → the replies to it, where `REPLY_CODES` says that not all codes fit."""
_MESSAGES: Final = (Kind.END_OF_DATA, Kind.CHUNK, Kind.LAST_CHUNK)


def cannot_send(what: object, phase: Phase, awaiting: Command | None) -> LocalProtocolError:
    """For a client's end, which sends commands and mail data. ``awaiting`` is the command that the server
    owes a reply to."""
    why = _BEFORE_A_COMMAND.get(phase) or _not_answered(awaiting)
    if what is END_OF_DATA:
        what = "end-of-data"
        if phase is Phase.COMMAND:
            has_ended = awaiting is END_OF_DATA
            why = "the message has ended already" if has_ended else "send DATA first, and read its 354"
            why += "; send_message ends its message itself"
    return LocalProtocolError(f"{what} cannot be sent in phase {phase.name}: {why}")


def _not_answered(awaiting: Command | None) -> str:
    what = "the message" if awaiting is END_OF_DATA else awaiting
    return f"the server has not answered {what} yet; give its octets to receive_data, and call next_event"


def cannot_reply(reply: Reply, phase: Phase, command: Command | None) -> LocalProtocolError:
    """For a server's end. ``command`` is the one that the reply would answer; None if none is waiting."""
    if phase in _BEFORE_A_REPLY:
        why = _BEFORE_A_REPLY[phase]
    elif command is None and phase is Phase.CONTENT:
        why = "the message has not ended; only 4xx or 5xx may come before EndOfData, as the last reply"
    elif command is None:
        why = "no command awaits a reply; call next_event for the next one"
    else:
        why = f"it is no reply to {command}; only DATA and AUTH take 3xx"
    return LocalProtocolError(f"{reply} cannot be sent in phase {phase.name}: {why}")


def cannot_accept(reply: Reply, command: Command) -> LocalProtocolError:
    """For a server's end: the line or message that the reply would accept was refused here."""
    is_message = command.kind in _MESSAGES
    what = "the message" if is_message else "the line" if command.kind is Kind.VIOLATION else str(command)
    event = "ContentRefused" if is_message else "Refused"
    return LocalProtocolError(
        f"{reply} cannot be sent: {what} was refused; send error.reply_hint of the event {event}"
    )


def wrong_code(reply: Reply, command: Command) -> LocalProtocolError:
    """For a server's end: no reply to this command has this code: see `REPLY_CODES`."""
    return LocalProtocolError(f"{reply} is no reply to {command}: send {_RIGHT[command.kind]}")


def after_end() -> LocalProtocolError:
    """For an end of either kind: it was given octets after the end of input."""
    return LocalProtocolError("the peer's input has ended; a new connection needs a new object")


def no_handshake(phase: Phase) -> LocalProtocolError:
    """For an end of either kind: `tls_started` was called, and no handshake can come now."""
    why = _NO_HANDSHAKE.get(phase, "it comes after the reply 220 to STARTTLS")
    return LocalProtocolError(f"no TLS handshake is due in phase {phase.name}: {why}")


def no_chunk_to_drop(newest: Command | None) -> LocalProtocolError:
    """For a server's end: a stray chunk was to be dropped after this command; None if none awaits a reply."""
    if newest is None:
        why = "no command awaits a reply"
    else:
        has_ended = newest.kind is Kind.END_OF_DATA
        why = "the message has ended" if has_ended else f"the newest command is {newest}"
    return LocalProtocolError(
        f"drop_chunk(stray=True) drops the BDAT that next_event returned last, but {why}: "
        "call it before the BDAT is answered"
    )


def not_one_line() -> TypeError:
    """For a client's end: a command was given in several words."""
    return TypeError(
        'send_command takes the whole line as one text, such as "EHLO me.example"; a handle is given as '
        "handle=..."
    )


def not_one_message() -> TypeError:
    """For a client's end: `send_message` was given more than the message."""
    return TypeError(
        "send_message takes the message alone: MAIL and RCPT, sent before DATA, say who it is from and for; "
        "a handle is given as handle=..."
    )


def not_one_reply() -> TypeError:
    """For a server's end: a reply was given in several parts."""
    return TypeError(
        'send_reply takes one reply: write send_reply("250 ok"), or send_reply(Reply.of(250, "ok")); that it '
        "is the last one is given as last=True"
    )
