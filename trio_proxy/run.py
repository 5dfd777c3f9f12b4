"""From options to a running service and its exit status."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import attrs
import click
import trio

from sansio_smtp import BareNewline, Config, Nul, __version__

from . import logs
from .addresses import Address
from .capture import CaptureSession, Maildir
from .server import ListenError, Server, listening, raise_descriptor_limit, stop_on_signals
from .session import Session, Settings
from .streams import SocketStream, connect
from .timeouts import Timeouts

__all__ = ["ListenError", "Options", "run"]

_EXIT_QUIT = 130


@attrs.frozen(kw_only=True)
class Options:
    """What the command line says."""

    listen: tuple[Address, ...]
    upstream: Address | None
    capture: Path
    transcript: bool
    bare_newline: str
    nul: str
    max_message_size: int | None
    max_connections: int
    timeouts: Timeouts
    grace: float
    verbosity: int


def run(options: Options) -> int:
    """Runs the service until it is stopped. Raises `ListenError`, KeyboardInterrupt before it listens."""
    logs.configure(options.verbosity)
    raise_descriptor_limit()
    return trio.run(_main, options)


async def _main(options: Options) -> int:
    stop = trio.Event()
    quit_now = False
    with ExitStack() as stack:
        sockets = [sock for address in options.listen for sock in stack.enter_context(listening(address))]
        async with trio.open_nursery() as nursery:

            def at_once() -> None:
                nonlocal quit_now
                quit_now = True
                nursery.cancel_scope.cancel(reason="a second signal")

            nursery.start_soon(stop_on_signals, stop, at_once)
            upstream = options.upstream
            capture_stop = trio.Event()
            if upstream is None:
                upstream = await _start_capture(options, stack, nursery, capture_stop)
            _refuse_loop(upstream, sockets)
            server = Server(
                session=_session_maker(options, upstream),
                max_connections=options.max_connections,
                grace=options.grace,
            )
            if options.verbosity >= 0:
                _announce(options, sockets, upstream)
            await server.serve(sockets, stop)
            capture_stop.set()
            nursery.cancel_scope.cancel(reason="stopped")
    return _EXIT_QUIT if quit_now else 0


def _session_maker(options: Options, upstream: Address):  # type: ignore[no-untyped-def]
    async def connect_upstream() -> SocketStream:
        return await connect(upstream)

    settings = Settings(
        connect=connect_upstream,
        config=Config(
            bare_newline=BareNewline(options.bare_newline),
            nul=Nul(options.nul),
            max_message_size=options.max_message_size,
            trace=options.transcript,
        ),
        timeouts=options.timeouts,
        write_transcript=_write_line if options.transcript else None,
    )
    return lambda sock, peer, number: Session(sock, peer, number, settings)


async def _start_capture(
    options: Options, stack: ExitStack, nursery: trio.Nursery, stop: trio.Event
) -> Address:
    try:
        maildir = Maildir(options.capture)
    except OSError as error:
        raise click.BadParameter(f"{options.capture}: {error.strerror}", param_hint="'--capture'") from None
    sockets = stack.enter_context(listening(Address("127.0.0.1", 0)))
    server = Server(session=lambda sock, peer, _: CaptureSession(sock, peer, maildir), grace=5)
    await nursery.start(server.serve, sockets, stop)
    return bound_address(sockets[0])


def bound_address(sock: socket.socket) -> Address:
    """Where a socket listens."""
    name = sock.getsockname()
    return Address(path=name) if isinstance(name, str) else Address(name[0], name[1])


def _refuse_loop(upstream: Address, sockets: list[socket.socket]) -> None:
    for sock in sockets:
        if bound_address(sock) == upstream:
            raise click.BadParameter(
                f"{upstream} is where this proxy listens itself", param_hint="'--upstream'"
            )


def _announce(options: Options, sockets: list[socket.socket], upstream: Address) -> None:
    _write_line(f"smtp-proxy {__version__}")
    for sock in sockets:
        _write_line(f"  listening   {bound_address(sock)}")
    if options.upstream is None:
        _write_line(f"  upstream    none: messages are kept in {options.capture} (Maildir)")
    else:
        _write_line(f"  upstream    {upstream}")
    _write_line("Ctrl-C drains; twice quits now.")


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
