from __future__ import annotations

from sansio_smtp.errors import InternalError, LocalProtocolError, ProtocolError


def test_two_families_with_one_base() -> None:
    """A handler for the caller's mistakes must not catch the library's own."""
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(InternalError, ProtocolError)
    assert not issubclass(InternalError, LocalProtocolError)
    assert not issubclass(LocalProtocolError, InternalError)
