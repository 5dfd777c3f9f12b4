from __future__ import annotations

from sansio_smtp.ends.received import END_OF_INPUT, NEED_DATA, PAUSED, ContentReceived, Pause, Refused
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.content import Form
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
