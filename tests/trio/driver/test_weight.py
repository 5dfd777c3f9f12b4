"""What a session weighs does not grow unnoticed: the number of its objects.

`python tests/trio/driver/weighing.py -v` says which they are, and how many octets each part holds.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
from weighing import KINDS, Peers, running

LIMITS = {
    "idle": 38,
    "idle, after a message": 60,
    "in a message": 60,
    "idle, with a rule": 83,
    "in a message, with a rule": 101,
    "idle, `--io tasks`": 135,
}


@pytest.mark.parametrize("kind", LIMITS)
async def test_how_many_objects_a_session_has(kind: str, logs: list[MutableMapping[str, Any]]) -> None:
    objects = (await KINDS[kind]()).objects
    assert objects.total() <= LIMITS[kind], objects


@pytest.mark.parametrize("rules", [False, True], ids=["no rules", "a rule"])
@pytest.mark.parametrize("talk", [Peers.greet, Peers.begin_message, Peers.pass_message, Peers.quit])
async def test_a_session_that_has_ended_leaves_no_garbage(
    talk: Callable[[Peers], Awaitable[None]], rules: bool, logs: list[MutableMapping[str, Any]]
) -> None:
    """Its memory is free at once: the collector looks at what has lived for some time only now and then."""

    async def dialogue() -> None:
        async with running(reactor=True, rules=rules) as start:
            await talk(start())

    await dialogue()  # the first of all makes what all share
    gc.collect()
    gc.disable()
    try:
        await dialogue()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = {type(each).__name__ for each in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not left & {"Session", "Relay", "Outbox", "Proxy", "Downstream", "WatchedStream"}
