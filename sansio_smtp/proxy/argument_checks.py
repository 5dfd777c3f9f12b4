"""Checks what a driver gives a proxy: sides, and replies that end a session."""

from __future__ import annotations

from sansio_smtp.arguments import wrong_type
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import CLIENT, SERVER
from sansio_smtp.wire.replies import Reply

__all__ = ["check_last_reply", "check_refusal", "check_side"]


def check_side(side: object) -> None:
    """Raises TypeError if this is no side."""
    if side is not CLIENT and side is not SERVER:
        raise TypeError(f"a side is sansio_smtp.CLIENT or sansio_smtp.SERVER, not {side!r:.60}")


def check_refusal(reply: object) -> None:
    """Raises an error if a client cannot be refused with this."""
    if not isinstance(reply, Reply):
        raise wrong_type("a client is refused with a Reply", reply, 'such as Reply.of(554, "no")')
    if reply.code < 400:
        raise LocalProtocolError(f"a client is refused with 4xx or 5xx, not with {reply}")


def check_last_reply(reply: object) -> None:
    """Raises an error if a service that stops cannot say this."""
    if not isinstance(reply, Reply):
        raise wrong_type("a session ends with a Reply", reply, 'such as Reply.of(421, "closing")')
    if reply.code != 421:
        raise LocalProtocolError(f"a session that may come to its end gets 421, not {reply}")
