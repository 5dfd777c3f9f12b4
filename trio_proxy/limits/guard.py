"""`Guard`: counts the connections, messages and commands of each network of clients.

A network is the prefix of an address: a client with one address of a /64 has all of them. Trusted networks
are not counted. The guard decides once when a connection begins, and is told when it ends; a session reports
its messages and commands. A client that a PROXY header or XCLIENT names counts from that moment::

    accept ──> enter ──> session ── charge(messages), charge(commands) ──> leave
                 └─ a `Limit`: the connection is refused

A network that has used up a rate is also refused at its next connection; otherwise it would just connect
again. Workers add up their counts: see `trio_proxy.limits.shared`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

import attrs

from sansio_smtp import ClientInfo, Networks

from .hits import Hits
from .rates import Buckets, Rate
from .shared import Entry, SharedBuckets, SharedCounts
from .table import COMMAND_RATE, CONNECTION_RATE, MESSAGE_RATE, NETWORK_CONNECTIONS, Limit

__all__ = ["Guard", "Network", "Prefixes"]

Network = bytes
"""The prefix of an address, filled with 0: four octets for IPv4, sixteen for IPv6."""
_KNOWN: Final = 4_096
"""The number of addresses whose network is cached, which saves 5 µs for each connection."""
_RATES: Final = (CONNECTION_RATE, MESSAGE_RATE, COMMAND_RATE)
"""In the order of their buckets in `SharedCounts`."""


@attrs.frozen
class Prefixes:
    """The number of bits of an address that name its network."""

    v4: int = 32
    v6: int = 64


class Guard:
    """Counts for each network."""

    def __init__(
        self,
        hits: Hits,
        clock: Callable[[], float],
        *,
        connections: int = 0,
        rates: Mapping[Limit, Rate | None],
        exempt: Networks,
        prefixes: Prefixes = Prefixes(),
        least_pace: Rate | None = None,
        shared: SharedCounts | None = None,
    ) -> None:
        """``connections``: the most at the same time; 0 is no limit. ``rates``: the rates in use, of
        CONNECTION_RATE, MESSAGE_RATE and COMMAND_RATE. ``least_pace``: the least octets of a message in so
        many seconds; see `Pace`. ``shared``: the counts of all workers; then all must use the same clock."""
        self.hits = hits
        self.least_pace = least_pace
        self._clock = clock
        self._connections = connections
        self._exempt = exempt
        self._prefixes = prefixes
        self.shared = shared
        self._buckets = {
            limit: self._buckets_of(limit, rate) for limit, rate in rates.items() if rate is not None
        }
        self._open: dict[Network, int] = {}
        self.network_of = lru_cache(_KNOWN)(self._network_of)
        """Takes an IP address. Returns its network; None if the network is not counted, or the address is not
        an IP address."""

    def use(self, other: Guard) -> None:
        """Takes over the limits of another guard. Counts stay, except for rates that have changed."""
        self.least_pace = other.least_pace
        self._connections, self._exempt, self._prefixes = other._connections, other._exempt, other._prefixes
        buckets = dict(other._buckets)
        for limit, before in self._buckets.items():
            if limit in buckets and buckets[limit].rate == before.rate:
                buckets[limit] = before
        self._buckets = buckets
        self.network_of.cache_clear()

    @property
    def open(self) -> Mapping[Network, int]:
        """Network → its connections here. It is never larger than the number of connections."""
        return self._open

    def enter(self, network: Network) -> Limit | None:
        """A connection begins. Returns the limit that refuses it; or None, and counts it until `leave`."""
        key = network if self.shared is None else self.shared.entry_of(network)
        limit = self._refused_by(network, key)
        if limit is None:
            self._open[network] = here = self._open.get(network, 0) + 1
            if self.shared is not None:
                self.shared.tell_open(network, key, here)
        else:
            self.hit(limit, network)
        return limit

    def leave(self, network: Network) -> None:
        """A connection that was counted is closed."""
        left = self._open[network] - 1
        if left:
            self._open[network] = left
        else:
            del self._open[network]
        if self.shared is not None:
            self.shared.tell_open(network, self.shared.entry_of(network), left)

    def charge(self, limit: Limit, network: Network, count: int = 1) -> bool:
        """Counts messages or commands. Returns False if they are too many."""
        buckets = self._buckets.get(limit)
        if buckets is None:
            return True
        key = network if self.shared is None else self.shared.entry_of(network)
        if buckets.spend(key, self._clock(), count):
            return True
        self.hit(limit, network)
        return False

    def hit(self, limit: Limit, network: Network) -> None:
        """A client of this network has hit a limit."""
        self.hits.hit(limit, network=self.text(network))

    def text(self, network: Network) -> str:
        """For people: ``192.0.2.1``, ``2001:db8::/64``."""
        prefix = self._prefixes.v4 if len(network) == 4 else self._prefixes.v6
        address = str(ip_address(network))
        return address if prefix == len(network) * 8 else f"{address}/{prefix}"

    def _refused_by(self, network: Network, key: Entry) -> Limit | None:
        now = self._clock()
        if self._connections:
            elsewhere = 0 if self.shared is None else self.shared.open_elsewhere(key)
            if self._open.get(network, 0) + elsewhere >= self._connections:
                return NETWORK_CONNECTIONS
        for limit in (MESSAGE_RATE, COMMAND_RATE):
            buckets = self._buckets.get(limit)
            if buckets is not None and not buckets.has_any(key, now):
                return limit
        connections = self._buckets.get(CONNECTION_RATE)
        if connections is not None and not connections.take(key, now):
            return CONNECTION_RATE
        return None

    def _buckets_of(self, limit: Limit, rate: Rate) -> Buckets | SharedBuckets:
        return Buckets(rate) if self.shared is None else self.shared.buckets(_RATES.index(limit), rate)

    def _network_of(self, ip: str) -> Network | None:
        try:
            address = ip_address(ip.partition("%")[0])
        except ValueError:  # a unix socket, or an unknown client
            return None
        address = getattr(address, "ipv4_mapped", None) or address
        if ClientInfo(ip=str(address)) in self._exempt:
            return None
        octets, bits = address.packed, address.max_prefixlen
        prefix = self._prefixes.v4 if bits == 32 else self._prefixes.v6
        return (int.from_bytes(octets) >> (bits - prefix) << (bits - prefix)).to_bytes(len(octets))
