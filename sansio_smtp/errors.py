"""The errors that the library raises: for mistakes of its caller, and for its own faults. It never raises for
a mistake of a peer: see `sansio_smtp.wire.violations`.
"""

from __future__ import annotations

__all__ = ["InternalError", "LocalProtocolError", "MailboxError", "ProtocolError"]


class ProtocolError(Exception):
    """Base of all errors of this library: `LocalProtocolError`, `RemoteProtocolError`, `InternalError`."""


class LocalProtocolError(ProtocolError):
    """The caller asked for something that is not possible in the present state of the session. Nothing has
    changed."""


class InternalError(ProtocolError):
    """A fault of this library: an illegal step or joint state. The session cannot go on: call
    `Proxy.broke`."""


class MailboxError(ValueError):
    """A text is not a mailbox, a path or a pattern for addresses. The message says why."""
