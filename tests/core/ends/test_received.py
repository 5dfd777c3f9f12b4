from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from core.scene import few_cuts
from core.server_ends import given
from sansio_smtp.ends.received import END_OF_INPUT, NEED_DATA, PAUSED, ContentReceived, Pause, Refused
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.content import ContentWriter, Form
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.violations import RemoteProtocolError


def test_pauses_have_short_names() -> None:
    assert list(Pause) == [NEED_DATA, PAUSED, END_OF_INPUT]


def test_a_refusal_is_a_violation_unless_a_client_may_send_that() -> None:
    refused = Refused(Command.of("RSET"), RemoteProtocolError("no", Reply.of(500)))
    assert not refused.expected


def test_content_is_not_shown() -> None:
    content = ContentReceived(b"secret", at_line_start=True)
    assert "secret" not in repr(content)
    assert "<6 octets>" in repr(content)
    assert content.form is Form.DOTTED


def test_decoded_content_is_the_message_itself() -> None:
    """However the octets were cut, and in which form they came."""
    message = b".a\r\n..\r\nb.\r\n.\r\n"
    writer = ContentWriter()
    wire = writer.feed(message) + writer.finish() + b".\r\n"
    for start, wire_form in ((b"DATA\r\n", wire), (b"BDAT %d LAST\r\n" % len(message), message)):
        for pieces in few_cuts(wire_form):
            end = ServerConnection()
            for code, line in ((220, b""), (250, b"MAIL FROM:<a>\r\n"), (250, b"RCPT TO:<b>\r\n")):
                if line:
                    given(end, line)
                end.send_reply(Reply.of(code))
            given(end, start)
            if start[:1] == b"D":
                end.send_reply(Reply.of(354))
            events = given(end, *pieces)
            content = [event.decoded for event in events if isinstance(event, ContentReceived)]
            assert b"".join(content) == message


def test_a_pause_says_that_it_is_no_event() -> None:
    pause: Any = NEED_DATA
    with pytest.raises(AttributeError, match="a Pause is no event and has no 'reply': take events until"):
        _ = pause.reply
    assert not hasattr(pause, "raw")
    assert copy.deepcopy(pause) is pickle.loads(pickle.dumps(pause)) is pause


def test_a_pause_shows_its_name() -> None:
    assert repr([*Pause]) == "[NEED_DATA, PAUSED, END_OF_INPUT]"
