"""`Shared`: values that depend only on the configuration, shared by all sessions with the same one."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import attrs

from sansio_smtp.config import Chunking, Config, Dialect, LoginMode, SendClient
from sansio_smtp.ends.extensions import Offer
from sansio_smtp.questions import (
    CLIENT_CHANGED,
    COMMAND,
    CONTENT_PLACES,
    IN_TURN,
    LOGIN,
    OTHER_VERBS,
    PLACES,
    REPLY,
    asked_places,
)

from .openings import Openings

__all__ = ["Shared", "shared"]

_KEPT: Final = 32


@attrs.frozen(eq=False)
class Shared:
    """The wanted questions, and the offer to clients."""

    ask: frozenset[str]
    """The names of hook places and verbs."""
    content: frozenset[str]
    """The hook places about content among them."""
    verbs: frozenset[bytes]
    """The verbs of commands with a question."""
    all_commands: bool
    """True if there is a question about every command."""
    other_verbs: bool
    """True if there are questions about unknown commands."""
    in_turn: bool
    """True if a question about a command waits for the replies before it."""
    replies: bool
    """True if there are questions about replies."""
    client_changed: bool
    """True if there is a question about a client that XCLIENT has named."""
    logins: bool
    """True if there is a question about the login of a client to the proxy."""
    may_route: bool
    """True if a verdict may name another server for a command."""
    offer: Offer
    """Makes the EHLO reply for a client."""
    openings: Openings | None
    """The known openings of sessions; None if an opening depends on more than the configuration and the
    inputs."""


@lru_cache(maxsize=_KEPT)  # saves 5 µs for each session
def shared(config: Config, ask: frozenset[str]) -> Shared:
    """The shared values of sessions with this configuration. Raises `LocalProtocolError` if a name in ``ask``
    is wrong."""
    ask = asked_places(ask)
    # If the last chunk of an LMTP client is refused half-way, it would need a reply for each recipient.
    chunking = Chunking.NEVER if config.client_dialect is Dialect.LMTP else config.chunking
    verbs = frozenset(name.encode() for name in ask - PLACES)
    if b"DATA" in verbs:
        verbs |= {b"BDAT"}
    return Shared(
        ask=ask,
        content=ask & CONTENT_PLACES,
        verbs=verbs,
        all_commands=COMMAND in ask,
        other_verbs=OTHER_VERBS in ask,
        in_turn=IN_TURN in ask,
        replies=REPLY in ask,
        client_changed=CLIENT_CHANGED in ask,
        logins=LOGIN in ask,
        may_route=bool(verbs) or COMMAND in ask,
        offer=Offer(
            config.relay_keywords, config.max_message_size, config.headroom, chunking, config.max_recipients
        ),
        openings=Openings() if _begins_alike(config) else None,
    )


def _begins_alike(config: Config) -> bool:
    """Returns True if servers get no information on clients, and greetings and EHLO replies are not kept."""
    return (
        config.send_client is SendClient.NONE
        and config.login_mode is LoginMode.RELAY
        and not (config.keep or config.failover or config.accept_xclient or config.accept_xforward)
    )
