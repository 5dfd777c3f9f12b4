"""`Openings`: remembers the results of the first inputs of sessions, so that they are not computed each time.
A session begins with the server's greeting, EHLO or HELO, and the reply to it. Nearly always these are only
passed on, or the reply is changed as for the client before. The result depends only on the configuration, the
rights of the client, and the inputs. So for one session of each kind, another `Proxy` *rehearses* them: the
general path takes the same inputs, and its results are kept. `Passing` uses these results in later sessions.
Their ends get the opening only when they are needed; a client that sends one message and quits does not need
them at all.

The results do not depend on the text of the greeting or the name in EHLO: both pass unchanged. Some servers
write the client's name or the time into their reply to EHLO. Such a reply does not come twice, so a reply is
rehearsed only when it comes for the second time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, TypeAlias

import attrs

from sansio_smtp.events import CLIENT, SERVER, Side

__all__ = ["Input", "Opened", "Openings", "Rehearse"]

Input: TypeAlias = tuple[Side, bytes]

_MOST: Final = 256
"""The most replies that are remembered; beyond that all are forgotten."""
_USUAL: Final = ((SERVER, b"220 mx.example ESMTP\r\n"), (SERVER, b"250 mx.example\r\n"))


@attrs.frozen(eq=False)
class Opened:
    """The state of a session after its opening, when nothing is owed."""

    reply: bytes
    """The reply to EHLO that the client gets."""
    max_size: int | None
    """The most octets of a message."""
    takes_groups: bool
    """True if the server takes command groups."""


Rehearse: TypeAlias = Callable[[tuple[Input, ...]], Opened | None]
"""Gives these inputs to a session that has not begun. Returns None unless all of them pass unchanged (the
last one may be changed), and nothing is owed afterwards."""


class Openings:
    """The openings of all sessions with the same configuration. ``place`` is what else matters: the rights of
    the client, and the protocol to the server."""

    __slots__ = ("_begins", "_heard", "_opened")

    def __init__(self) -> None:
        self._begins: dict[Hashable, bool] = {}
        self._heard: set[Hashable] = set()
        self._opened: dict[Hashable, Opened | None] = {}

    def begins(self, place: Hashable, rehearse: Rehearse) -> bool:
        """Returns True if the greeting and EHLO or HELO are passed on unchanged."""
        known = self._begins.get(place)
        if known is None:
            greeting, reply = _USUAL
            hellos = (b"EHLO c.example\r\n", b"HELO c.example\r\n")
            known = all(rehearse((greeting, (CLIENT, hello), reply)) is not None for hello in hellos)
            self._begins[place] = known
        return known

    def opened(self, place: Hashable, inputs: tuple[Input, ...], rehearse: Rehearse) -> Opened | None:
        """The state after the greeting, EHLO or HELO and this reply; None if it is not known."""
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
