"""Violations of the protocol by a peer, with the reply that the client gets. `RemoteProtocolError` is never
raised to a driver. It is in the list of events (`Violation.error`), so that events before it are not lost.
"""

from __future__ import annotations

from sansio_smtp.errors import ProtocolError
from sansio_smtp.states import Phase

from .replies import Reply

__all__ = ["RemoteProtocolError", "server_violation"]


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol.

    ``reply_hint`` is the complete reply for the client, ready to be sent. ``evidence`` holds at most 64 of
    the offending octets for a log, secrets masked. ``phase`` is the framing phase in which it happened; None
    if the reader that found it knows no phase. ``limit`` is the field of `Config` whose limit was hit; empty
    for other violations.
    """

    phase: Phase | None = None

    def __init__(self, message: str, reply_hint: Reply, evidence: bytes = b"", limit: str = "") -> None:
        super().__init__(message)
        self.limit = limit
        self.reply_hint = reply_hint
        self.evidence = evidence[:64]

    def found_in(self, phase: Phase) -> None:
        """Says in which phase it happened."""
        self.phase = phase

    def show(self, evidence: bytes) -> None:
        """Replaces the evidence, by the same octets with secrets masked."""
        self.evidence = evidence

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}: {self.evidence!r}" if self.evidence else text


def server_violation(what: str, evidence: bytes, limit: str = "") -> RemoteProtocolError:
    """The error for a violation by the server: the client gets 421, because the server can no longer be
    understood."""
    hint = Reply.of(421, "upstream server broke the protocol, closing", enhanced="4.3.0")
    return RemoteProtocolError(what, hint, evidence, limit)
