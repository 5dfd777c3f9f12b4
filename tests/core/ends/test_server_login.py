from __future__ import annotations

import pytest

from sansio_smtp.ends.access import ANYBODY, Access
from sansio_smtp.ends.received import Refused
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply


@pytest.mark.parametrize("ours", [False, True])
def test_a_credential_after_a_refused_login(ours: bool) -> None:
    """Where AUTH is answered here, no server is to see it."""
    end = ServerConnection()
    end.allow(Access({b"AUTH": b"AUTH PLAIN"}) if ours else ANYBODY)
    end.send_reply(Reply.of(220, "mx"))
    end.receive_data(b"AUTH PLAIN\r\n")
    assert isinstance(end.next_event(), Command)
    end.send_reply(Reply.of(504, "no"))
    end.receive_data(b"c2VjcmV0\r\n")
    event = end.next_event()
    assert isinstance(event, Refused if ours else Command)
    shown = event.command if isinstance(event, Refused) else event
    assert isinstance(shown, Command)
    assert shown.secret
