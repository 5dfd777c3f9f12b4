"""`Openings`: what comes of the inputs with which sessions begin, so that it is not worked out each time.

A session begins with the server's greeting, EHLO or HELO, and the reply to that. In nearly all sessions these
only pass, or the reply is changed as it was for the client before. What comes of them follows from the
configuration, from what the client may do, and from what was said: nothing else. So one session of each kind
*rehearses* them: another `Proxy` is given the same inputs, the general path takes them, and what it does is
kept. `Passing` goes by that in the sessions that follow. Their ends are told of the beginning when somebody
wants to know of it; the server of a client that sends one message and quits does not need them at all.

What is kept does not depend on the text of the greeting, nor on the name in EHLO: both are passed as they
are. Some servers write the client's name or the time into their reply to EHLO. Such a reply does not come
twice, so only a reply that has come before is rehearsed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, TypeAlias

import attrs

from sansio_smtp.events import CLIENT, SERVER, Side

__all__ = ["Input", "Opened", "Openings", "Rehearse"]

Input: TypeAlias = tuple[Side, bytes]

_MOST: Final = 256
"""Replies that are remembered; then all are forgotten."""
_USUAL: Final = ((SERVER, b"220 mx.example ESMTP\r\n"), (SERVER, b"250 mx.example\r\n"))


@attrs.frozen(eq=False)
class Opened:
    """What a session needs to know that has begun, and is at rest."""

    reply: bytes
    """To EHLO, as the client gets it."""
    max_size: int | None
    """Octets of a message, at most."""
    takes_groups: bool
    """True if the server takes command groups."""


Rehearse: TypeAlias = Callable[[tuple[Input, ...]], Opened | None]
"""Gives these inputs to a session that has not begun. Returns None unless all of them pass as they are, the
last one perhaps changed, and the session is at rest then."""


class Openings:
    """Shared by all sessions with the same configuration. ``place`` is what else matters: what the client may
    do, and how the server is spoken to."""

    __slots__ = ("_begins", "_heard", "_opened")

    def __init__(self) -> None:
        self._begins: dict[Hashable, bool] = {}
        self._heard: set[Hashable] = set()
        self._opened: dict[Hashable, Opened | None] = {}

    def begins(self, place: Hashable, rehearse: Rehearse) -> bool:
        """Returns True if the greeting and EHLO or HELO are passed on as they are."""
        known = self._begins.get(place)
        if known is None:
            greeting, reply = _USUAL
            hellos = (b"EHLO c.example\r\n", b"HELO c.example\r\n")
            known = all(rehearse((greeting, (CLIENT, hello), reply)) is not None for hello in hellos)
            self._begins[place] = known
        return known

    def opened(self, place: Hashable, inputs: tuple[Input, ...], rehearse: Rehearse) -> Opened | None:
        """What is known after the greeting, EHLO or HELO and this reply. None if it is not known."""
        (_, hello), (_, reply) = inputs[1:]
        what = (place, hello[:4], reply)
        opened = self._opened.get(what)
        if opened is not None or what in self._opened:
            return opened
        if what not in self._heard:
            self._heard.add(what)
            if len(self._heard) > _MOST:
                self._heard.clear()
            return None
        if len(self._opened) >= _MOST:
            self._opened.clear()
        opened = self._opened[what] = rehearse(inputs)
        return opened
