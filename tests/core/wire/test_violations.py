from __future__ import annotations

import pytest

from sansio_smtp.errors import InternalError, LocalProtocolError, ProtocolError
from sansio_smtp.states import Phase
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.violations import RemoteProtocolError, server_violation

HINT = Reply.of(500, "no", enhanced="5.5.2")


def test_a_peers_mistake_is_a_family_of_its_own() -> None:
    """A handler for the caller's mistakes must not catch a peer's."""
    assert issubclass(RemoteProtocolError, ProtocolError)
    for other in (LocalProtocolError, InternalError):
        assert not issubclass(RemoteProtocolError, other)
        assert not issubclass(other, RemoteProtocolError)


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


def test_a_violation_of_the_server_is_answered_421() -> None:
    error = server_violation("odd", b"2x")
    assert error.reply_hint == Reply.of(421, "upstream server broke the protocol, closing", enhanced="4.3.0")
    assert (str(error), error.evidence) == ("odd: b'2x'", b"2x")


def test_where_it_was_found_and_what_is_shown_of_it() -> None:
    error = RemoteProtocolError("odd", HINT, b"c2VjcmV0")
    error.found_in(Phase.COMMAND)
    error.show(b"********")
    assert (error.phase, error.evidence, str(error)) == (Phase.COMMAND, b"********", "odd: b'********'")
