"""Makes the limits of a service from its settings."""

from __future__ import annotations

from collections.abc import Callable

from sansio_smtp import Networks
from trio_proxy.settings.options import Options

from .guard import Guard, Prefixes
from .hits import Hits
from .shared import SharedCounts
from .table import COMMAND_RATE, CONNECTION_RATE, MESSAGE_RATE

__all__ = ["guard_of"]


def guard_of(
    options: Options, hits: Hits, clock: Callable[[], float], shared: SharedCounts | None = None
) -> Guard:
    """The guard that counts the clients of each network; ``shared``: together with other workers. Peers that
    may name the client serve many clients, so they are not counted; the clients that a PROXY header or
    XCLIENT names are counted."""
    trusted = (options.exempt_networks, options.accept_proxy, options.accept_xclient, options.accept_xforward)
    return Guard(
        hits,
        clock,
        connections=options.max_network_connections,
        rates={
            CONNECTION_RATE: options.connection_rate,
            MESSAGE_RATE: options.message_rate,
            COMMAND_RATE: options.command_rate,
        },
        exempt=Networks.parse([network for networks in trusted for network in networks]),
        least_pace=options.min_rate,
        prefixes=Prefixes(options.network_prefix_v4, options.network_prefix_v6),
        shared=shared,
    )
