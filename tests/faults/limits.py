"""Limits so tight that a client hits one of them if it fails once, or sends three messages."""

from __future__ import annotations

from typing import Final

import attrs
import trio

from sansio_smtp.networks import NO_NETWORKS
from trio_proxy.driver.settings import Settings
from trio_proxy.driver.sweep import Sweep
from trio_proxy.limits.guard import Guard
from trio_proxy.limits.held import HeldTotal
from trio_proxy.limits.hits import Hits
from trio_proxy.limits.rates import Rate
from trio_proxy.limits.table import COMMAND_RATE, CONNECTION_RATE, MESSAGE_RATE

__all__ = ["limited"]

_RATES: Final = {
    "messages": {MESSAGE_RATE: Rate(1, 50.0), COMMAND_RATE: Rate(12, 60.0)},
    "connections": {CONNECTION_RATE: Rate(1, 50.0)},
}
"""A client that tries again after a minute keeps them."""
_LEAST_PACE: Final = Rate(1_000, 30.0)
_HELD: Final = 16_384
"""A large message is larger."""


def limited(settings: Settings, of_what: str, tick: float) -> Settings:
    """The same settings with these limits, which are looked at once in each tick."""
    hits = Hits(trio.current_time)
    guard = Guard(
        hits,
        trio.current_time,
        connections=1,
        rates=_RATES[of_what],
        exempt=NO_NETWORKS,
        least_pace=_LEAST_PACE,
    )
    config = attrs.evolve(
        settings.config, max_errors=1, soft_errors=1, max_refusals=2, max_junk=1, early_talkers="refuse"
    )
    return attrs.evolve(
        settings,
        config=config,
        guard=guard,
        hits=hits,
        sweep=Sweep(tick),
        held_total=HeldTotal(_HELD),
        error_delay=tick,
    )
