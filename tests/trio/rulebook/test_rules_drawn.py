"""The driver under drawn rules: both peers get the same octets as from the core and the rules alone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing
from properties.dialogues import Dialogue, Later
from properties.peers import REPLIES_OF_ONE, SimClient, SimServer
from properties.receivers import Item
from properties.rules_drawn import Drawn
from properties.rules_world import world_of
from properties.seeded import Seeded
from streams import TrioStream, memory

from sansio_smtp.rules import RuleSet
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import Stream
from trio_proxy.rulebook.host import RuleSettings

_INCIDENT = re.compile(rb"incident [0-9a-f]+")
COUNT = 150
SECONDS = 30.0
"""On a real clock: messages are held by a thread."""


@attrs.define(eq=False)
class Peers:
    """The simulated peers of the properties, at the ends of streams."""

    dialogue: Dialogue
    nursery: trio.Nursery
    client: SimClient = attrs.field(init=False)
    servers: list[SimServer] = attrs.field(factory=list[SimServer])

    def __attrs_post_init__(self) -> None:
        self.client = SimClient(self.dialogue.units, self.dialogue.style)

    async def play_client(self, stream: trio.StapledStream) -> None:
        """Until it has no more to say and gets nothing more."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                if self.client.pending:
                    octets = bytes(self.client.pending)
                    self.client.pending.clear()
                    await stream.send_all(octets)
                if self.client.done:
                    await stream.send_stream.aclose()
                received = bytes(await stream.receive_some())
                if not received:
                    break
                self.client.receive(received)
        await stream.aclose()

    async def play_server(self, server: SimServer, stream: trio.StapledStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                if server.pending:
                    octets = bytes(server.pending)
                    server.pending.clear()
                    await stream.send_all(octets)
                if server.closed:
                    await stream.aclose()
                    return
                received = bytes(await stream.receive_some())
                if not received:
                    return
                server.receive(received)

    async def connect(self, upstream: str | None = None) -> Stream:
        number, dialogue = len(self.servers), self.dialogue
        first = Later(dialogue.choices, dialogue.greeting)
        what = ([first, *dialogue.later][number:] or [Later()])[0]
        server = SimServer(
            what.choices,
            pipelining=dialogue.pipelining,
            greeting=what.greeting,
            first=number * REPLIES_OF_ONE,
        )
        self.servers.append(server)
        if not what.reachable:
            raise OSError("not there")
        theirs, ours = memory()
        self.nursery.start_soon(self.play_server, server, theirs)
        return TrioStream(ours)


@asynccontextmanager
async def played(dialogue: Dialogue, rules: tuple[Drawn, ...]) -> AsyncIterator[Peers]:
    """A session with these rules and peers, to its end."""
    ruleset = RuleSet([drawn.rule(trio.lowlevel.checkpoint) for drawn in rules])
    async with trio.open_nursery() as nursery:
        peers = Peers(dialogue, nursery)
        theirs, ours = memory()
        nursery.start_soon(peers.play_client, theirs)
        settings = Settings(
            connect=peers.connect,
            connect_to=peers.connect,
            config=dialogue.config,
            rules=lambda: nullcontext(ruleset),
            rule_settings=RuleSettings(),
        )
        with trio.fail_after(SECONDS):
            await Session(TrioStream(ours), "192.0.2.1:4000", 1, settings).run()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    yield peers


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(COUNT))
async def test_the_driver_says_what_the_core_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.chdir(tmp_path)  # where messages are held
    seeded = Seeded(seed)
    dialogue = seeded.dialogue(waiting=True, plain_server=seed % 2 == 0)
    if seed % 2:
        dialogue = attrs.evolve(
            dialogue, choices=[c for c in dialogue.choices if c < 9], later=seeded.servers()
        )
    rules = seeded.rules()
    world = world_of(rules, dialogue).run()
    async with played(dialogue, rules) as peers:
        ended_by_reply = world.rules.by_phase["reply"] and world.client.codes[-1] >= 400
        if ended_by_reply or b"did not reset" in world.client.received:
            return  # which of the later commands had left by then depends on the moment
        received = _INCIDENT.sub(b"incident 1", bytes(peers.client.received))
        assert received == world.client.received
        assert _items(peers.servers) == _items(world.servers)


def _items(servers: list[SimServer]) -> list[list[Item]]:
    """Without QUIT: a server that is left may not hear it, for these streams take nothing at once. A server
    that a rule has kept the client from has heard nothing."""
    heard = [[item for item in server.receiver.items if item.data != b"QUIT"] for server in servers]
    return [items for items in heard if items]
