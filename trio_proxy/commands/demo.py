"""``smtp-proxy demo``: sends samples through a proxy and proves that every byte arrived."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
import trio

from sansio_smtp import (
    ClientConnection,
    Command,
    Config,
    ContentWriter,
    Pause,
    RemoteProtocolError,
    Reply,
    ReplyReceived,
)
from trio_proxy.driver.capture import CaptureSession
from trio_proxy.driver.listening import listening
from trio_proxy.driver.server import Server
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import SocketStream, connect
from trio_proxy.storage.maildir import Maildir
from trio_proxy.text import logs
from trio_proxy.text.addresses import Address
from trio_proxy.text.output import write_line
from trio_proxy.text.serving import serving
from trio_proxy.text.units import rounded_size

from . import exit_status
from .run import bound_address

__all__ = ["run_demo"]

_PIECE = 65_536
_SECONDS = 60
_NEXT = (
    "What to do next:",
    "  smtp-proxy               keep mail that an application sends to 127.0.0.1, port 2525",
    "  smtp-proxy show --last   look at the newest message that was kept",
    "  smtp-proxy demo -v       see every command and reply of this demonstration",
)
_HEAD = b"From: alice@demo.example\r\nTo: bob@demo.example\r\nSubject: %s\r\n\r\n"


def run_demo(*, verbose: bool = False) -> int:
    """Sends the samples, and says what became of each; ``verbose``: shows the dialogues. Returns 0 if every
    sample arrived byte for byte, else 1."""
    logs.configure(0 if verbose else -1)
    return trio.run(_demo, verbose)


async def _demo(verbose: bool) -> int:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="smtp-proxy-demo-")))
        upstream_sockets = stack.enter_context(listening(Address("127.0.0.1", 0)))
        proxy_sockets = stack.enter_context(listening(Address("127.0.0.1", 0)))
        upstream, proxy = bound_address(upstream_sockets[0]), bound_address(proxy_sockets[0])
        maildir = Maildir(folder)
        settings = Settings(
            connect=lambda: connect(upstream),
            config=Config(trace=verbose),
            write_transcript=write_line if verbose else None,
        )
        capture_server = Server(session=lambda client, peer, _: CaptureSession(client, peer, maildir))
        proxy_server = Server(session=lambda client, peer, number: Session(client, peer, number, settings))
        stop = trio.Event()
        failures: list[str] = []
        async with serving(), trio.open_nursery() as nursery:
            await nursery.start(capture_server.serve, upstream_sockets, stop)
            await nursery.start(proxy_server.serve, proxy_sockets, stop)
            write_line("A client sends mail through the proxy to a server, all three on this machine:")
            write_line(f"client -> proxy {proxy} -> server {upstream}")
            if verbose:
                write_line("C is the client's leg, U the server's; <- arrives at the proxy, -> leaves it.")
            for number, sample in enumerate(_SAMPLES, 1):
                gap = "\n" if verbose or number == 1 else ""
                write_line(f"{gap}{number} of {len(_SAMPLES)}  {sample.title}")
                known = set(_stored(folder))
                with trio.move_on_after(_SECONDS) as limit:
                    await sample.send(proxy, sample.message)
                if problem := _problem(folder, known, sample, timed_out=limit.cancelled_caught):
                    failures.append(sample.title)
                write_line(f"        {problem or _success(sample)}")
            stop.set()
    if failures:
        write_line(f"\nFAILED: {len(failures)} of {len(_SAMPLES)}: {', '.join(failures)}")
        return exit_status.FAILED
    write_line(f"\nAll {len(_SAMPLES)} messages arrived: every octet compared.\n")
    for line in _NEXT:
        write_line(line)
    return 0


def _success(sample: _Sample) -> str:
    names = " and ".join(recipient.partition("@")[0] for recipient in sample.recipients)
    return f"arrived for {names}, {rounded_size(len(sample.message))}, each octet as it was sent"


@attrs.frozen
class _Sample:
    title: str
    message: bytes
    recipients: tuple[str, ...]
    send: Callable[[Address, bytes], Awaitable[None]]


def _stored(folder: Path) -> Iterator[Path]:
    return (folder / "new").iterdir()


def _problem(folder: Path, known: set[Path], sample: _Sample, *, timed_out: bool) -> str | None:
    if timed_out:
        return f"FAILED: not done after {_SECONDS} s"
    new = [path for path in _stored(folder) if path not in known]
    if len(new) != 1:
        return f"FAILED: {len(new)} messages arrived instead of one"
    if new[0].read_bytes() != sample.message:
        return "FAILED: the message arrived changed"
    envelope = (folder / "envelopes" / f"{new[0].name}.json").read_text()
    if not all(recipient in envelope for recipient in sample.recipients) or "refused" in envelope:
        return f"FAILED: the envelope is wrong: {envelope}"
    return None


class _Client:
    """A small SMTP client over `ClientConnection`."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._connection = ClientConnection()

    async def reply(self) -> Reply:
        while True:
            event = self._connection.next_event()
            if isinstance(event, ReplyReceived):
                return event.reply
            if isinstance(event, RemoteProtocolError):
                raise event
            if event is Pause.END_OF_INPUT or not (data := await self._stream.receive()):
                raise OSError("the proxy closed the connection")
            self._connection.receive_data(data)

    async def command(self, line: str) -> Reply:
        await self._send(self._connection.send_command(Command.of(line)))
        return await self.reply()

    async def message(self, message: bytes) -> Reply:
        writer = ContentWriter()
        for start in range(0, len(message), _PIECE):
            await self._send(self._connection.send_content(writer.feed(message[start : start + _PIECE])))
        await self._send(self._connection.send_content(writer.finish()) + self._connection.send_end_of_data())
        return await self.reply()

    async def _send(self, data: bytes) -> None:
        await _send_all(self._stream, data)


async def _send_all(stream: SocketStream, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[await stream.send_some(rest) :]


async def _step_by_step(proxy: Address, message: bytes, *more: str) -> None:
    stream = await connect(proxy)
    try:
        client = _Client(stream)
        await client.reply()
        for line in ("EHLO client.demo.example", "MAIL FROM:<alice@demo.example>", *more, "DATA"):
            await client.command(line)
        await client.message(message)
        await client.command("QUIT")
        await _read_to_end(stream)
    finally:
        stream.close()


async def _one_at_a_time(proxy: Address, message: bytes) -> None:
    await _step_by_step(proxy, message, "RCPT TO:<bob@demo.example>")


async def _one_refused(proxy: Address, message: bytes) -> None:
    names = ("bob", "refused", "carol")
    await _step_by_step(proxy, message, *(f"RCPT TO:<{name}@demo.example>" for name in names))


async def _one_packet(proxy: Address, message: bytes) -> None:
    """Sends everything without waiting for a reply, which no client should do, and many proxies stall on."""
    writer = ContentWriter()
    stream = await connect(proxy)
    try:
        await _send_all(
            stream,
            b"EHLO client.demo.example\r\nMAIL FROM:<alice@demo.example>\r\nRCPT TO:<bob@demo.example>\r\n"
            b"DATA\r\n" + writer.feed(message) + writer.finish() + b".\r\nQUIT\r\n",
        )
        await _read_to_end(stream)
    finally:
        stream.close()


async def _read_to_end(stream: SocketStream) -> None:
    while await stream.receive():
        pass


_LINE = b"The quick brown fox jumps over the lazy dog, and the dog does not mind at all.\r\n"
_SAMPLES = (
    _Sample(
        "one command at a time",
        _HEAD % b"hello" + b"Hello Bob,\r\n\r\nall is well.\r\n",
        ("bob@demo.example",),
        _one_at_a_time,
    ),
    _Sample(
        "everything in one packet, without waiting for a single reply",
        _HEAD % b"impatient" + b"MAIL FROM:<this@is.text>\r\nQUIT\r\n",
        ("bob@demo.example",),
        _one_packet,
    ),
    _Sample(
        "lines that begin with dots",
        _HEAD % b"dots" + b".\r\n..\r\n.hidden\r\n...\r\nQUIT\r\n.\r\n",
        ("bob@demo.example",),
        _one_at_a_time,
    ),
    _Sample(
        "three recipients, one of them refused",
        _HEAD % b"three" + b"For Bob and Carol.\r\n",
        ("bob@demo.example", "carol@demo.example"),
        _one_refused,
    ),
    _Sample(
        "5 MB",
        _HEAD % b"large" + _LINE * (5_000_000 // len(_LINE)),
        ("bob@demo.example",),
        _one_at_a_time,
    ),
)
