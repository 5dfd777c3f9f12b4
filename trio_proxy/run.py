"""From options to a running service and its exit status."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import attrs
import click
import trio

from sansio_smtp import BareNewline, Config, Nul, __version__

from . import logs
from .addresses import Address
from .capture import CaptureSession, Maildir
from .output import write_line
from .server import ListenError, Server, listening, raise_descriptor_limit, stop_on_signals
from .session import Session, Settings
from .streams import Stream, connect
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
        upstream = options.upstream
        capture: Server | None = None
        capture_sockets: list[socket.socket] = []
        if upstream is None:
            capture = _capture_server(options.capture)
            capture_sockets = stack.enter_context(listening(Address("127.0.0.1", 0)))
            upstream = bound_address(capture_sockets[0])
        _refuse_loop(upstream, sockets)
        async with trio.open_nursery() as nursery:

            def at_once() -> None:
                nonlocal quit_now
                quit_now = True
                nursery.cancel_scope.cancel(reason="a second signal")

            await nursery.start(stop_on_signals, stop, at_once)
            capture_stop = trio.Event()
            if capture is not None:
                await nursery.start(capture.serve, capture_sockets, capture_stop)
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


def _session_maker(options: Options, upstream: Address) -> Callable[[Stream, str, int], Session]:
    async def connect_upstream() -> Stream:
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
        write_transcript=write_line if options.transcript else None,
    )
    return lambda client, peer, number: Session(client, peer, number, settings)


def _capture_server(directory: Path) -> Server:
    try:
        maildir = Maildir(directory)
    except OSError as error:
        raise click.BadParameter(f"{directory}: {error.strerror}", param_hint="'--capture'") from None
    return Server(session=lambda client, peer, _: CaptureSession(client, peer, maildir), grace=5)


def bound_address(sock: socket.socket) -> Address:
    """Where a socket listens."""
    name = sock.getsockname()
    return Address(path=name) if isinstance(name, str) else Address(name[0], name[1])


def _refuse_loop(upstream: Address, sockets: list[socket.socket]) -> None:
    for sock in sockets:
        listens = bound_address(sock)
        if listens == upstream or (listens.port == upstream.port and _leads_back(upstream, sock)):
            raise click.BadParameter(
                f"{upstream} is where this proxy listens itself", param_hint="'--upstream'"
            )


def _leads_back(upstream: Address, sock: socket.socket) -> bool:
    """Whether the host, which is asked for at the port of this listener, is the listener's own."""
    if upstream.path is not None or sock.family == socket.AF_UNIX:
        return False
    listens = sock.getsockname()[0]
    try:
        found = socket.getaddrinfo(upstream.host or "localhost", 0, sock.family, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False  # it may be resolved by the time it is needed
    hosts = {str(where[0]) for *_, where in found}
    return listens in hosts or (listens in ("0.0.0.0", "::") and any(map(_is_ours, hosts)))


def _is_ours(host: str) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
        return True


def _announce(options: Options, sockets: list[socket.socket], upstream: Address) -> None:
    write_line(f"smtp-proxy {__version__}")
    for sock in sockets:
        write_line(f"  listening   {bound_address(sock)}")
    if options.upstream is None:
        write_line(f"  upstream    none: messages are kept in {options.capture} (Maildir)")
    else:
        write_line(f"  upstream    {upstream}")
    write_line("Ctrl-C drains; twice quits now.")
