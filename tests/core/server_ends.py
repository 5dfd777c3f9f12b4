"""A server's end at the point where a test begins, and all that it gives for some segments."""

from __future__ import annotations

from typing import Any

from sansio_smtp.config import BareNewline, Config
from sansio_smtp.ends.received import NEED_DATA, Pause, Refused
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.wire.replies import Reply

REJECT = Config(bare_newline=BareNewline.REJECT)


def greeted(config: Config | None = None) -> ServerConnection:
    end = ServerConnection(config or Config())
    end.send_reply(Reply.of(220, "mx"))
    return end


def drain(end: ServerConnection) -> list[Any]:
    events = []
    while not isinstance(event := end.next_event(), Pause):
        events.append(event)
    return [*events, event]


def given(end: ServerConnection, *pieces: bytes) -> list[Any]:
    """The events of some segments, without the pauses between."""
    events: list[Any] = [NEED_DATA]
    for piece in pieces:
        end.receive_data(piece)
        events[-1:] = drain(end)
    return events


def answered(end: ServerConnection, line: bytes, *codes: int) -> None:
    """Takes some lines in a command group, and answers each."""
    given(end, line)
    for code in codes:
        end.send_reply(Reply.of(code))


def in_content(config: Config | None = None, limit: int | None = None) -> ServerConnection:
    end = greeted(config)
    end.max_message_size = limit
    answered(end, b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\n", 250, 250, 354)
    return end


def in_auth(config: Config | None = None) -> ServerConnection:
    end = greeted(config)
    answered(end, b"AUTH LOGIN\r\n", 334)
    return end


def told(event: Any) -> tuple[int, str]:
    """Code and text of a refusal."""
    assert isinstance(event, Refused)
    return event.error.reply_hint.code, str(event.error)
