"""Runs cells: three messages, of which one meets a fault, and more until one is accepted again."""

from __future__ import annotations

import math
import resource
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, MutableMapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs
import structlog
import trio
from trio.testing import MockClock

from .account import Account, Balance
from .broken import Defect, broken_proxy
from .cells import Cell
from .certificates import Certificates
from .client import Client
from .dialogue import content_of
from .machine import MACHINE_WAYS, for_a_while
from .proxies import Proxy, proxy
from .reloads import Reloads
from .rules import RuleFault, edit, rules_of
from .scanners import Scanner, scanning
from .server import Fault, Server
from .tokens import Tokens
from .ways import CLIENT_WAYS, SERVER_WAYS

__all__ = ["QUIET", "Result", "run", "run_defect"]

QUIET: Final = 0.02
"""Seconds without any event after which the clock jumps: octets on loopback take less."""
_QUIET_ALONE: Final = 0.005
"""The same where one cell has the process for itself."""
_AT_ONCE: Final = 800
_DESCRIPTORS: Final = 20
"""Of one cell, or fewer."""
_BEAT: Final = 10.0
"""Cells begin at multiples of it, and so does most of what happens in them: a jump costs `QUIET`."""
_LONGEST: Final = 50_000.0
"""Seconds for one cell, of which none passes."""
_FAULTY: Final = 2
"""The attempt that meets the fault, unless that is at the beginning of a connection."""
_LAST: Final = 99
"""The attempt after a reload."""
_RETRIES: Final = 7
"""One each minute: longer than anything hangs (`LATE`)."""
_LARGE_IN: Final = ("content", "dot", "bdat", "last")
_ENDS: Final = ("stop", "crash")
_logged: ContextVar[list[MutableMapping[str, Any]]] = ContextVar("log of the cell")


@attrs.frozen
class Result:
    """What came of one cell."""

    cell: Cell | None
    balance: Balance
    messages: int
    account: tuple[str, ...]
    """A line for each entry."""
    wrong: tuple[str, ...]
    """What else is wrong, such as an internal error."""

    @property
    def is_right(self) -> bool:
        return self.balance.is_even and not self.wrong

    def __str__(self) -> str:
        counts = {
            name: getattr(self.balance, name)
            for name in ("lost", "doubled", "half", "refused", "unknown", "stalled")
        }
        found = [f"{name} {each}" for name, each in counts.items() if each]
        lines = [*found, *self.wrong, *self.account]
        return f"{self.cell or 'a broken proxy'}\n" + "\n".join(f"    {line}" for line in lines)


def run(
    chosen: Sequence[Cell],
    directory: Path,
    seed: int = 0,
    told: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Runs these cells. ``told`` is called after each."""
    results: list[Result] = []

    def tell(result: Result) -> None:
        results.append(result)
        told(result)

    certificates = Certificates.make(directory)
    quiet = QUIET if any(cell.world.io != "memory" for cell in chosen) else 0
    clock = MockClock(autojump_threshold=quiet)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with _logging():
        trio.run(_main, chosen, directory, seed, certificates, clock, tell, clock=clock)
    return results


async def _main(
    chosen: Sequence[Cell],
    directory: Path,
    seed: int,
    certificates: Certificates,
    clock: MockClock,
    told: Callable[[Result], None],
) -> None:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limiter = trio.CapacityLimiter(max(1, min(_AT_ONCE, most // _DESCRIPTORS)))

    async def one(number: int, cell: Cell) -> None:
        async with limiter:
            await trio.sleep_until(math.ceil(trio.current_time() / _BEAT) * _BEAT)
            told(await _run(cell, directory / str(number), Random(f"{seed} {cell}"), certificates, clock))

    async with trio.open_nursery() as nursery:
        for number, cell in enumerate(chosen):
            if not cell.is_exclusive:
                nursery.start_soon(one, number, cell)
    if clock.autojump_threshold:
        clock.autojump_threshold = _QUIET_ALONE
    for number, cell in enumerate(chosen):
        if cell.is_exclusive:
            await one(number, cell)


def run_defect(defect: Defect, directory: Path) -> Result:
    """Runs a proxy that is broken in this way."""
    account = Account()
    server = Server("mx", account, content_of)

    async def main() -> Result:
        with trio.move_on_after(_LONGEST):
            async with broken_proxy(server, defect, directory) as made:
                client = Client(made.dial, account, content_of)
                for attempt in (1, 2, 3):
                    await client.send(attempt)
                await client.quit()
        return Result(None, account.settle(), account.messages, tuple(account.explain()), ())

    return trio.run(main, clock=MockClock(autojump_threshold=0))


async def _run(
    cell: Cell, directory: Path, chance: Random, certificates: Certificates, clock: MockClock
) -> Result:
    directory.mkdir()  # noqa: ASYNC240 - takes no time
    token = _logged.set([])
    made = _Case(cell, directory, chance, certificates, clock)
    try:
        with trio.move_on_after(_LONGEST) as scope:
            await made.run()
        if scope.cancelled_caught:
            made.wrong.append("it has not ended")
    except BaseException as error:
        if isinstance(error, trio.Cancelled | KeyboardInterrupt):
            raise
        made.wrong.append("".join(traceback.format_exception(error)))
    wrong = [*made.wrong, *_complaints(_logged.get())]
    _logged.reset(token)
    account = made.account
    return Result(cell, account.settle(), account.messages, tuple(account.explain()), tuple(wrong))


class _Case:
    """One run of one cell."""

    def __init__(
        self, cell: Cell, directory: Path, chance: Random, certificates: Certificates, clock: MockClock
    ) -> None:
        self.cell = cell
        self.directory = directory
        self.certificates = certificates
        self.clock = clock
        self.chance = chance
        self.account = Account()
        self.wrong: list[str] = []
        self.fault: Fault | None = None
        self.rule: RuleFault | None = None
        self.scanner: Scanner | None = None
        self.tokens: Tokens | None = None
        if cell.world.tokens:
            self.tokens = Tokens(cell.fault if cell.party == "tokens" else None)
        self.is_over = False
        """True if what happens to the machine or the service has happened."""
        if cell.party == "rule":
            self.rule = RuleFault(cell.phase, cell.fault, self.account, _FAULTY, chance)
        elif cell.party in ("server", "client", "scanner"):
            ways = CLIENT_WAYS if cell.party == "client" else SERVER_WAYS
            self.fault = Fault(cell.phase, cell.fault, ways[cell.fault], chance, _FAULTY)
        self.servers = [self._server(place) for place in range(cell.world.servers)]

    async def run(self) -> None:
        world = self.cell.world
        async with AsyncExitStack() as stack:
            if world.rules in ("rspamd", "clamd", "redis"):
                rules, self.scanner = await stack.enter_async_context(scanning(world.rules, self.fault))
            else:
                rules = rules_of(world.rules, _FAULTY, self.rule)
            refuses = (self.cell.party, self.cell.fault, self.cell.phase) == ("server", "refuse", "connect")
            if refuses and self.fault is not None:
                self.fault.is_over = True
            made = await stack.enter_async_context(
                proxy(
                    world,
                    self.servers,
                    rules,
                    self.directory,
                    self.certificates,
                    self.tokens,
                    refuses_first=refuses,
                )
            )
            self.nursery = await stack.enter_async_context(trio.open_nursery())
            await self._talk(made)
            if made.reloads is not None:
                await self._use_what_is_in_force(made, made.reloads)
        if self.cell.fault not in _ENDS:
            self._check_reached()
        # What a rule holds before the content came, no other rule sees any more.
        made.held(self.account, self._expected if self.cell.phase == "message" else self._sent)

    async def _talk(self, made: Proxy) -> None:
        client = self._client(made)
        await client.send(1)
        if self.cell.world.kept:
            await client.quit()
        await client.send(_FAULTY)
        await client.reset(_FAULTY)
        is_well = await client.send(3)
        await client.quit()
        if self.cell.fault not in _ENDS and not (is_well and self.cell.phase != "quit"):
            await self._recover(client)
        self.wrong += (f"no reply: {line!r}" for line in client.nonsense)

    async def _recover(self, client: Client) -> None:
        for attempt in range(4, 4 + _RETRIES):
            if await client.send(attempt):
                await client.quit()
                return
            await client.leave()
            await trio.sleep(60)
        self.wrong.append("it has not recovered")

    async def _use_what_is_in_force(self, made: Proxy, reloads: Reloads) -> None:
        """After a reload: sends a message over a new connection."""
        if not self.is_over:
            self.wrong.append("there was no reload")
            return
        await reloads.done.wait()
        client = self._client(made)
        await client.send(_LAST)
        await client.quit()
        where = {taken.where for taken in self.account.taken if taken.entry[0] == _LAST}
        if where != {self.servers[self.cell.fault != "broken"].name}:
            self.wrong.append(f"the last message is at {where}")
        self.wrong += reloads.wrong

    def _client(self, made: Proxy) -> Client:
        world = self.cell.world

        async def at_phase(phase: str, attempt: int | None) -> None:
            if self.scanner is not None and phase == "mail" and attempt is not None:
                if attempt == _FAULTY:
                    self.scanner.arm()
                if attempt == _FAULTY + 1:
                    self.scanner.open()
            if self.is_over or phase != self.cell.phase or attempt not in (None, _FAULTY):
                return
            if made.reloads is not None:
                self.nursery.start_soon(made.reloads.reload, self.cell.fault == "broken")
            elif self.cell.party == "machine":
                self.nursery.start_soon(for_a_while, MACHINE_WAYS[self.cell.fault], self.clock)
                await trio.lowlevel.checkpoint()
            elif self.cell.fault == "stop":
                made.stop.set()
            elif self.cell.fault == "crash":
                made.crash()
            self.is_over = True

        return Client(
            made.dial,
            self.account,
            self._sent,
            self.fault if self.cell.party == "client" else None,
            at_phase,
            lmtp=world.lmtp_client,
            tls=self.certificates.client if world.encrypts else None,
            smtps=world.smtps,
            logs_in=world.tls and world.login != "inject",
            chunks=world.chunks,
            pipelined=world.pipelined,
        )

    def _server(self, place: int) -> Server:
        world = self.cell.world
        return Server(
            "ab"[place],
            self.account,
            self._expected,
            self.fault if self.cell.party == "server" and not place else None,
            lmtp=world.lmtp_server,
            tls=self.certificates.server if world.tls else None,
            mechanism=b"XOAUTH2" if world.tokens else b"PLAIN",
            chunking=world.chunks,
            is_sure=self.cell.fault != "clock",
        )

    def _sent(self, attempt: int) -> bytes:
        large = self.cell.phase in _LARGE_IN or self.cell.world.rules in ("spooled", "quarantine")
        return content_of(attempt, large=large and attempt == _FAULTY)

    def _expected(self, attempt: int) -> bytes:
        content = self._sent(attempt)
        return edit(content) if self.cell.world.rules == "edited" else content

    def _check_reached(self) -> None:
        parts = (self.fault, self.rule, self.tokens)
        happened = [each.is_over for each in parts if each is not None] or [self.is_over]
        if not all(happened):
            self.wrong.append("the fault has not happened")


def _complaints(entries: Iterable[MutableMapping[str, Any]]) -> Generator[str]:
    """What no fault of a peer may cause."""
    for entry in entries:
        event = str(entry["event"])
        if event.startswith("grace period"):
            yield event
        elif "internal error" in event or (entry.get("exc_info") and event != "rule failed"):
            error = entry.get("exc_info")
            shown = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else ""
            yield f"{event} {shown}"


@contextmanager
def _logging() -> Generator[None]:
    """Gives each entry of the log to the cell in whose tasks it was written."""

    def note(_: object, level: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if (entries := _logged.get(None)) is not None:
            if entry.get("exc_info") is True:
                entry["exc_info"] = sys.exception()
            entries.append(entry)
        raise structlog.DropEvent

    processors = structlog.get_config()["processors"]
    before = list(processors)
    processors[:] = [note]
    try:
        yield
    finally:
        processors[:] = before
