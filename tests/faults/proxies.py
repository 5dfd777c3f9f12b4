"""`Proxy`: the proxy under test, from its listener to its connections to servers, in this process."""

from __future__ import annotations

import itertools
import json
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import structlog
import trio

from sansio_smtp import Config, Dialect, LoginMode, Networks
from sansio_smtp.networks import NO_NETWORKS
from sansio_smtp.rules import RuleSet
from trio_proxy.driver.arrival import Arrivals
from trio_proxy.driver.listening import listening
from trio_proxy.driver.pool import Pool
from trio_proxy.driver.reactor import Reactor
from trio_proxy.driver.server import Server as Listener
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import SocketStream, Stream, connect, connect_now
from trio_proxy.login.logins import Logins
from trio_proxy.login.tokens import TokenCache
from trio_proxy.routes.fleet import Fleet
from trio_proxy.rulebook.host import RuleSettings
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.storage.quarantine import Quarantine
from trio_proxy.storage.spool import FileSpool
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination

from .account import Account, Taken
from .certificates import Certificates
from .dialogue import attempt_in
from .limits import limited
from .lines import Gone, Line, in_memory, over_tcp
from .reloads import Reloads
from .rules import RULE_TIMEOUT
from .server import Server
from .tokens import Tokens
from .worlds import World

__all__ = ["GRACE", "Proxy", "proxy"]

Dial = Callable[[], Awaitable[Line]]

log = structlog.stdlib.get_logger("smtp_proxy")

GRACE: Final = 900.0
"""More than all time limits of a session together: one that is still there after it is stuck."""
_SECONDS: Final = 60.0
_TICK: Final = 10.0
"""Each jump of the clock goes so far, with a reactor."""
_HELD: Final = 16_384
_NUMBERS: Final = itertools.count()
"""Octets of a message in memory, where larger ones go to a spool."""


@attrs.define(eq=False)
class Proxy:
    """A proxy that runs."""

    crash: Callable[[], None]
    """Ends it at once, as a fault of the machine does."""
    directory: Path
    stop: trio.Event = attrs.field(factory=trio.Event)
    """Ends it as a signal does: what is in flight may finish."""
    ended: trio.Event = attrs.field(factory=trio.Event)
    reloads: Reloads | None = None
    """None: nothing is ever replaced."""
    _dial: Dial | None = attrs.field(default=None, init=False)

    def serves(self, dial: Dial) -> None:
        """It can be connected from now on."""
        self._dial = dial

    async def dial(self) -> Line:
        """A connection of a client. Raises `Gone`."""
        assert self._dial is not None
        return await self._dial()

    @contextmanager
    def ending(self) -> Generator[None]:
        try:
            yield
        finally:
            self.ended.set()

    def held(self, account: Account, expected: Callable[[int], bytes]) -> None:
        """Enters what is in quarantine into the account."""
        for file in sorted((self.directory / "quarantine" / "new").glob("*")):
            envelope = json.loads((self.directory / "quarantine/envelopes" / f"{file.name}.json").read_text())
            attempt = attempt_in(b"<%b>" % envelope["mail_from"].encode()) or -1
            is_whole = file.read_bytes() == expected(attempt)
            for recipient in envelope["rcpt_to"]:
                account.take(Taken((attempt, recipient), "quarantine", is_whole, False))


@asynccontextmanager
async def proxy(
    world: World,
    servers: Sequence[Server],
    rules: RuleSet,
    directory: Path,
    certificates: Certificates,
    tokens: Tokens | None,
    *,
    refuses_first: bool = False,
) -> AsyncGenerator[Proxy]:
    """Runs the proxy, and the servers. ``refuses_first``: nobody listens for the first server, until a client
    has tried; at the end of the block all are stopped."""
    async with trio.open_nursery() as nursery:
        with ExitStack() as stack:
            own = await nursery.start(_life)
            reactor = Reactor(_TICK) if world.io == "reactor" else None
            if reactor is not None:
                await own.start(reactor.run)
            stream = SocketStream if reactor is None else reactor.stream
            settings = _settings(world, rules, directory, certificates, tokens, reactor)
            if world.limits:
                settings = limited(settings, world.limits, _TICK)
            if settings.sweep is not None:
                await own.start(settings.sweep.run)
            if settings.pool is not None:
                await own.start(settings.pool.serve)
            made = Proxy(own.cancel_scope.cancel, directory)
            if world.reloads:
                made.reloads = Reloads(rules, certificates.for_clients)
                await own.start(made.reloads.book.serve)
                settings = attrs.evolve(settings, rules=made.reloads.book.use)
            if world.io == "memory":
                _in_memory(made, servers, settings, nursery, own)
            else:
                await _on_sockets(
                    made,
                    servers,
                    settings,
                    nursery,
                    own,
                    stack,
                    stream,
                    refuses_first=refuses_first,
                    smtps=world.smtps,
                )
            yield made
            made.stop.set()
            await made.ended.wait()
            nursery.cancel_scope.cancel()


async def _life(task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """The nursery of all that belongs to the proxy, and ends with it."""
    async with trio.open_nursery() as nursery:
        task_status.started(nursery)
        await trio.sleep_forever()


def _settings(
    world: World,
    rules: RuleSet,
    directory: Path,
    certificates: Certificates,
    tokens: Tokens | None,
    reactor: Reactor | None,
) -> Settings:
    spools = world.rules in ("spooled", "quarantine")
    config = Config(
        tls="may" if world.tls else "none",
        reconnect=True,
        keep=world.kept,
        failover=0 if world.reloads else world.servers - 1,
        client_dialect=Dialect.LMTP if world.lmtp_client else Dialect.SMTP,
        upstream_dialect=Dialect.LMTP if world.lmtp_server else Dialect.SMTP,
        upstream_tls="encrypt" if world.tls else "none",
        login_mode=world.login,
        max_held=_HELD if spools else 1 << 20,
    )

    async def nowhere() -> Stream:
        raise OSError("no server is known yet")

    def use() -> AbstractContextManager[RuleSet]:
        return nullcontext(rules)

    return Settings(
        connect=nowhere,
        reactor=reactor,
        config=config,
        tls=certificates.for_clients if world.encrypts else None,
        accept_proxy=Networks.parse(["127.0.0.0/8"]) if world.smtps else NO_NETWORKS,
        upstream_tls=certificates.leg if world.tls else None,
        upstream_dialect=None,
        timeouts=Timeouts(
            **{field.name: _SECONDS for field in attrs.fields(Timeouts) if field.name != "final_reply"},
            final_reply=2 * _SECONDS,
        ),
        logins=_logins(LoginMode(world.login), tokens),
        pool=Pool(4, 300.0, 100) if world.kept else None,
        rules=use if rules.rules else None,
        rule_settings=RuleSettings(
            timeout=RULE_TIMEOUT, on_error="defer", quarantine=Quarantine(directory / "quarantine")
        ),
        make_spool=partial(FileSpool, directory / "spool") if spools else None,
    )


def _logins(mode: LoginMode, tokens: Tokens | None) -> Logins | None:
    if mode is LoginMode.RELAY:
        return None
    cache = None if tokens is None else TokenCache(tokens)
    return Logins(mode=mode, account="ann", read_password=lambda: "secret", tokens=cache)


def _in_memory(
    made: Proxy,
    servers: Sequence[Server],
    settings: Settings,
    nursery: trio.Nursery,
    own: trio.Nursery,
) -> None:
    sessions: set[Session] = set()
    numbers = itertools.count(1)

    async def connects() -> Stream:
        await trio.lowlevel.checkpoint()
        far, near = in_memory()
        nursery.start_soon(servers[0].serve, far)
        return near

    settings = attrs.evolve(settings, connect=connects)

    async def run(session: Session) -> None:
        try:
            await session.run()
        finally:
            sessions.discard(session)

    async def dial() -> Line:
        far, near = in_memory()
        session = Session(near, "192.0.2.1:25", next(numbers), settings)
        sessions.add(session)
        own.start_soon(run, session)
        return far

    async def drain() -> None:
        with made.ending():
            await made.stop.wait()
            with trio.move_on_after(GRACE) as scope:
                for session in tuple(sessions):
                    session.shutdown()
                while sessions:  # noqa: ASYNC110 - not an event of any of them
                    await trio.sleep(1)
            if scope.cancelled_caught:
                log.warning("grace period is over")

    made.serves(dial)
    own.start_soon(drain)


async def _on_sockets(
    made: Proxy,
    servers: Sequence[Server],
    settings: Settings,
    nursery: trio.Nursery,
    own: trio.Nursery,
    stack: ExitStack,
    stream: Callable[[socket.socket], SocketStream],
    *,
    refuses_first: bool,
    smtps: bool,
) -> None:
    host = _own_address()
    addresses: list[Address] = []
    late: list[socket.socket] = []
    for place, server in enumerate(servers):
        sock = stack.enter_context(socket.socket())
        sock.setblocking(False)
        sock.bind((host, 0))
        addresses.append(Address(*sock.getsockname()))
        if refuses_first and not place:
            late.append(sock)
        else:
            sock.listen(128)
            nursery.start_soon(_serve, sock, server)
    reloads = made.reloads
    usual, later = (addresses[:1], addresses[1:]) if reloads is not None else (addresses, [])
    front = stack.enter_context(listening(Address(host, 0)))
    arrivals = Arrivals(_with_servers(settings, usual, stream))
    if reloads is not None:
        reloads.tell(lambda: arrivals.use(_with_servers(settings, later, stream)))
    listener = Listener(
        session=arrivals.session,
        tls_session=arrivals.tls_session,
        stream=stream,
        grace=GRACE,
        guard=settings.guard,
        hits=settings.hits,
    )
    where = front[0].getsockname()
    is_first = True

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        with made.ending():
            try:
                await listener.serve(front, made.stop, task_status, tls=front if smtps else ())
            finally:
                for sock in front:
                    sock.close()

    async def dial() -> Line:
        nonlocal is_first
        if late and not is_first:
            sock = late.pop()
            sock.listen(128)
            nursery.start_soon(_serve, sock, servers[0])
        is_first = False
        try:
            return over_tcp(await _to(where))
        except OSError as error:
            raise Gone from error

    made.serves(dial)
    await own.start(serve)


def _with_servers(
    settings: Settings, addresses: Sequence[Address], stream: Callable[[socket.socket], SocketStream]
) -> Settings:
    """Those for sessions that have one of these servers, the first if possible."""
    fleet = Fleet.of({None: [Destination(each) for each in addresses]})
    return attrs.evolve(
        settings,
        connect=partial(connect, addresses[0], stream),
        connect_now=partial(connect_now, addresses[0], stream),
        connect_to=lambda name: connect(Address.parse(name), stream),
        groups=fleet.group if fleet.groups else None,
    )


async def _to(place: tuple[str, int]) -> trio.SocketStream:
    sock = trio.socket.socket()
    try:
        await sock.connect(place)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


def _own_address() -> str:
    """An address of the loopback that no other cell has: a client that comes back after a crash must not find
    the proxy of another cell, which has been given the same port."""
    number = next(_NUMBERS)
    return f"127.{1 + os.getpid() % 250}.{number >> 8 & 255}.{number & 255 or 1}"


async def _serve(sock: socket.socket, server: Server) -> None:
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    async with trio.open_nursery() as nursery:
        while True:
            try:
                line = over_tcp(await listener.accept())
            except OSError:  # no descriptor is left; that is a fault of another party
                await trio.sleep(1)
            else:
                nursery.start_soon(server.serve, line)
