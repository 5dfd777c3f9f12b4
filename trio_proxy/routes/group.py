"""A list of servers; each client gets one of them, by order or weight, and by health.

A session *visits* a group (`Group.visit`). It asks its visit for one server after another until one can be
used; no server is returned twice. The order, without weights::

    1. servers that are UP, or whose pause is over, in the order of the list
    2. if there is none: those that are DOWN, the one whose pause ends first before the others
    3. if another session tries one of these at that moment: the result of that is waited for, so that a
       thousand clients do not wait for a thousand timeouts

With weights, one of the servers of step 1 is drawn at random, by weight. If it fails, another one is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Final

import attrs
import trio

from .health import Health, Probe, Try

__all__ = ["Group", "Server", "Visit"]

_EQUAL: Final = 1
"""The weight of a server without one, in a list where others have one."""


@attrs.frozen(eq=False)
class Server:
    """A server of a group."""

    name: str
    """Its address, as `Settings.connect_to` takes it."""
    health: Health
    """The health, shared by all groups that have this server."""
    weight: int | None = None


@attrs.define(eq=False)
class Group:
    """A list of servers."""

    servers: Sequence[Server]
    chance: random.Random = attrs.field(factory=random.Random, repr=False)
    _is_weighted: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._is_weighted = any(server.weight is not None for server in self.servers)

    def visit(self) -> Visit:
        """Returns the visit of one session."""
        return Visit(self)

    def first_of(self, servers: Sequence[Server]) -> Server:
        """The server to try first, of these servers, which all can be used."""
        if not self._is_weighted:
            return servers[0]
        return self.chance.choices(servers, [server.weight or _EQUAL for server in servers])[0]


class Visit:
    """The attempts of one session at a group. The caller reports the result of each: `worked`, `failed` or
    `gave_up`."""

    __slots__ = ("_group", "_server", "_tried", "_try")

    def __init__(self, group: Group) -> None:
        self._group = group
        self._tried: set[Server] = set()
        self._server: Server | None = None  # the server that was returned last
        self._try: Try | None = None

    async def next(self) -> Server | None:
        """The next server to try; None if none is left."""
        while left := [server for server in self._group.servers if server not in self._tried]:
            server = self._choose(left)
            if server is not None:
                self._tried.add(server)
                self._server, self._try = server, server.health.begin()
                return server
            await self._wait_for_others(left)
        return None

    def worked(self) -> None:
        """The server can be used. If the session needs another one later, each can be tried again."""
        if self._try is not None:
            self._try.worked()
        self._try = None
        self._tried.clear()

    def use_kept(self) -> None:
        """The session uses an older connection to the server. It is not known if a new one could be made: if
        the old one is dead, the server may be tried again."""
        if self._try is not None:
            self._try.gave_up()
        self._try = None
        self._tried.clear()

    def failed(self, why: str) -> None:
        """The server cannot be used, or has failed after `worked`."""
        if self._try is not None:
            self._try.failed(why)
        elif self._server is not None:
            self._server.health.failed(why)
            self._tried.add(self._server)
        self._try = self._server = None

    def gave_up(self) -> None:
        """The session has ended before the result is known."""
        if self._try is not None:
            self._try.gave_up()
        self._try = self._server = None

    async def _wait_for_others(self, left: Iterable[Server]) -> None:
        """Other sessions are trying all of these servers: waits until one works or all have failed."""
        async with trio.open_nursery() as nursery:
            for server in left:
                if (probe := server.health.probe) is not None:
                    nursery.start_soon(self._wait_for, server, probe, nursery.cancel_scope)

    async def _wait_for(self, server: Server, probe: Probe, scope: trio.CancelScope) -> None:
        if await probe.wait():
            scope.cancel(reason="a server works")
        else:
            self._tried.add(server)

    def _choose(self, left: Iterable[Server]) -> Server | None:
        """The next one of these servers; None if other sessions are trying all of them now."""
        due = [server for server in left if server.health.is_due]
        if due:
            return self._group.first_of(due)
        idle = [server for server in left if server.health.probe is None]
        return min(idle, key=lambda server: server.health.due_in, default=None)
