"""The errors that the library raises: a mistake of the program that calls it, or a fault of its own.

A mistake of a peer is never raised: see `sansio_smtp.wire.violations`.
"""

from __future__ import annotations

__all__ = ["InternalError", "LocalProtocolError", "ProtocolError"]


class ProtocolError(Exception):
    """Base of all errors of this library: `LocalProtocolError`, `RemoteProtocolError`, `InternalError`."""


class LocalProtocolError(ProtocolError):
    """The caller asked for something that the dialogue does not allow in its present state."""


class InternalError(ProtocolError):
    """A fault of this library: an illegal joint state. The session cannot go on; close both sides."""
