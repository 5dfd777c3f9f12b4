"""All servers of the service that are in lists, and their groups: made for each version of the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination

from .group import Group, Server
from .health import Health

__all__ = ["Fleet"]


@attrs.define(eq=False)
class Fleet:
    """The servers and their groups."""

    groups: Mapping[str | None, Group]
    """Name of a route → its servers; None is the usual list, if that has more than one server."""
    healths: Mapping[Address, Health] = attrs.field(factory=dict[Address, Health], repr=False)

    @classmethod
    def of(cls, lists: Mapping[str | None, Sequence[Destination]], before: Fleet | None = None) -> Fleet:
        """A server in several lists has one health. ``before``: the earlier fleet; servers that stay keep
        their health."""
        known: Mapping[Address, Health] = {} if before is None else before.healths
        healths: dict[Address, Health] = {}
        groups: dict[str | None, Group] = {}
        for name, destinations in lists.items():
            if name is not None or len(destinations) > 1:
                groups[name] = Group([_server(each, healths, known) for each in destinations])
        return cls(groups, healths)

    def group(self, name: str | None) -> Group | None:
        """The list of this name; None if there is none."""
        return self.groups.get(name)

    @property
    def largest(self) -> int:
        """The number of servers in the longest list; 1 if there is no list."""
        return max((len(group.servers) for group in self.groups.values()), default=1)


def _server(
    destination: Destination, healths: dict[Address, Health], known: Mapping[Address, Health]
) -> Server:
    address = destination.address
    health = healths.setdefault(address, known.get(address) or Health(str(address)))
    return Server(str(address), health, destination.weight)
