"""The two families of errors.

``LocalProtocolError`` is your bug: the program that drives the library asked for something that
the dialogue does not allow now. It is raised, always.

``RemoteProtocolError`` is the peer's bug. The library never raises it through a driver: it is an
item in the list of events (`Violation.error`), so that nothing parsed before it is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sansio_smtp.wire.replies import Reply

    from .states import Phase

__all__ = ["LocalProtocolError", "ProtocolError", "RemoteProtocolError"]


class ProtocolError(Exception):
    """Common base of the two families."""


class LocalProtocolError(ProtocolError):
    """The caller asked for something that the dialogue does not allow in its present state."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol.

    ``reply_hint`` is the complete polite reply for a client, ready to be sent; ``evidence`` holds
    at most 64 of the offending octets for a log, already free of secrets; ``phase`` is the framing
    phase in which it happened, or None where the reader that found it knows none.
    """

    phase: Phase | None = None

    def __init__(self, message: str, reply_hint: Reply, evidence: bytes = b"") -> None:
        super().__init__(message)
        self.reply_hint = reply_hint
        self.evidence = evidence[:64]

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}: {self.evidence!r}" if self.evidence else text
