from __future__ import annotations

import pytest

from sansio_smtp.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from sansio_smtp.wire.replies import Reply

HINT = Reply.of(500, "no", enhanced="5.5.2")


def test_two_families_with_one_base() -> None:
    """Who catches one must not catch the other."""
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)


def test_the_hint_is_a_complete_reply() -> None:
    error = RemoteProtocolError("line too long", HINT)
    assert error.reply_hint is HINT
    assert error.phase is None
    assert str(error) == "line too long"


@pytest.mark.parametrize("length", [1, 64, 65, 1000])
def test_evidence_is_short(length: int) -> None:
    error = RemoteProtocolError("line too long", HINT, b"x" * length)
    assert error.evidence == b"x" * min(length, 64)
    assert str(error) == f"line too long: {error.evidence!r}"


def test_evidence_cannot_forge_log_lines() -> None:
    assert "\n" not in str(RemoteProtocolError("odd", HINT, b"a\r\nINFO all is well"))
