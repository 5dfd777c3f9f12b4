"""`Shared`: what follows from the configuration alone, so that all sessions which have the same share it."""

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
    """Where questions are asked, and what is offered to clients."""

    ask: frozenset[str]
    """The names of hook places and verbs."""
    content: frozenset[str]
    """Those of them that are about content."""
    verbs: frozenset[bytes]
    """The verbs of the commands that are asked about."""
    all_commands: bool
    """True if every command is asked about."""
    other_verbs: bool
    """True if commands that are not known here are asked about."""
    in_turn: bool
    """True if a command is asked about when the replies before it are known."""
    replies: bool
    """True if replies are asked about."""
    client_changed: bool
    """True if a client that XCLIENT has named is asked about."""
    logins: bool
    """True if the login of a client to the proxy is asked about."""
    may_route: bool
    """True if a verdict may say another server for a command."""
    offer: Offer
    """Makes the EHLO reply for a client."""
    openings: Openings | None
    """How sessions begin; None if that depends on more than the configuration and what was said."""


@lru_cache(maxsize=_KEPT)  # 5 µs for each session without it
def shared(config: Config, ask: frozenset[str]) -> Shared:
    """What sessions with this configuration share. Raises `LocalProtocolError` if a name in ``ask`` is
    wrong."""
    ask = asked_places(ask)
    # An LMTP client would be owed a reply for each recipient to a last chunk that is refused half-way.
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
    """Returns True if servers are told nothing of a client, and greetings and EHLO replies are not kept."""
    return (
        config.send_client is SendClient.NONE
        and config.login_mode is LoginMode.RELAY
        and not (config.keep or config.failover or config.accept_xclient or config.accept_xforward)
    )
