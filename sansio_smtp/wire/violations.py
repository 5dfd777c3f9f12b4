"""Violations: what a peer did against the protocol, with the reply that a client gets for it.

A driver never sees a `RemoteProtocolError` raised. It is an item in the list of events (`Violation.error`),
so that the events of what came before it are not lost.
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
    if it is something else.
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
    """The error for a violation by the server: 421 to the client, as the server can no longer be
    understood."""
    hint = Reply.of(421, "upstream server broke the protocol, closing", enhanced="4.3.0")
    return RemoteProtocolError(what, hint, evidence, limit)
