"""TLS over a stream: what arrives, what is sent when the way is narrow, and what every end looks like."""

from __future__ import annotations

import ssl
import threading
from typing import cast

import pytest
import trio
import trio.testing
from certificates import client_context, pair_for

from trio_proxy.driver.outbox import Outbox
from trio_proxy.driver.streams import SEGMENT
from trio_proxy.driver.tls_stream import HandshakeError, TlsStream
from trio_proxy.tls.server_side import ServerTls

NAME = "mx.example"


class Narrow:
    """A `Stream` of octets in memory that takes ``at_most`` octets, and then none until `widen` is called."""

    def __init__(self, at_most: int | None = None) -> None:
        self.at_most = at_most
        self.written = bytearray()
        self.end: list[str] = []
        self.incoming, self._receive = trio.open_memory_channel[bytes](100)
        self.widened = trio.Event()

    async def receive(self) -> bytes:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            return b""

    def interrupt(self) -> None:
        self.end.append("interrupted")

    def send_now(self, data: bytes | memoryview) -> int:
        taken = bytes(data[: self.at_most])
        if self.at_most is not None:
            self.at_most -= len(taken)
        self.written += taken
        return len(taken)

    async def send_some(self, data: memoryview) -> int:
        while not (sent := self.send_now(data)):
            await self.widened.wait()
            self.widened = trio.Event()
        return sent

    def widen(self, at_most: int | None = None) -> None:
        self.at_most = at_most
        self.widened.set()

    def is_lost(self) -> bool:
        return "aborted" in self.end

    def finish_sending(self) -> None:
        self.end.append("finished")

    def close(self) -> None:
        self.end.append("closed")

    def abort(self) -> None:
        self.end.append("aborted")


class Peer:
    """A TLS client that the test plays by hand, at the other end of a `Narrow` stream."""

    def __init__(self, far: Narrow, context: ssl.SSLContext | None = None) -> None:
        self.far = far
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or client_context()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname=NAME)

    def take(self) -> None:
        """Reads what the stream has written."""
        self._in.write(bytes(self.far.written))
        self.far.written.clear()

    def give(self) -> None:
        """Writes what TLS has to say."""
        if octets := self._out.read():
            self.far.incoming.send_nowait(octets)

    def records(self, *texts: bytes) -> bytes:
        for text in texts:
            self.tls.write(text)
        return self._out.read()

    def text(self) -> bytes:
        """All that was written so far, decrypted. Raises EOFError at an announced end (close_notify)."""
        self.take()
        found = b""
        try:
            while part := self.tls.read(SEGMENT):
                found += part
        except ssl.SSLWantReadError:
            return found
        except ssl.SSLZeroReturnError:
            pass
        raise EOFError

    async def handshake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.give()
                await trio.testing.wait_all_tasks_blocked()
                self.take()
        self.give()
        await trio.testing.wait_all_tasks_blocked()
        self.take()  # session tickets


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ServerTls:
    return ServerTls.load([pair_for(tmp_path_factory.mktemp("tls"), NAME)])


async def connected(
    server_tls: ServerTls, *, version: ssl.TLSVersion | None = None
) -> tuple[TlsStream, Peer]:
    """A stream in the server's role and its peer, after the handshake."""
    raw = Narrow()
    stream = TlsStream(raw, server_tls.context, server_side=True)
    context = client_context()
    if version is not None:
        context.maximum_version = version
    peer = Peer(raw, context)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.handshake)
        await peer.handshake()
    return stream, peer


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


# The handshake


async def test_a_handshake_in_a_thread(server_tls: ServerTls) -> None:
    used: set[int] = set()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def choose(tls: ssl.SSLObject | ssl.SSLSocket, _: object, __: object) -> None:
        used.add(threading.get_ident())
        tls.context = server_tls.context

    context.sni_callback = choose
    for threads in (None, trio.CapacityLimiter(1)):
        raw = Narrow()
        stream = TlsStream(raw, context, server_side=True, threads=threads)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.handshake)
            await Peer(raw).handshake()
    assert len(used) == 2
    assert threading.get_ident() in used


@pytest.mark.parametrize("octets", [b"", b"\x16\x03\x01"])
async def test_an_end_before_the_handshake_is_no_failure_of_it(server_tls: ServerTls, octets: bytes) -> None:
    raw = Narrow()
    if octets:
        raw.incoming.send_nowait(octets)
    raw.incoming.close()
    with pytest.raises(OSError, match="has closed the connection") as raised:
        await TlsStream(raw, server_tls.context, server_side=True).handshake()
    assert isinstance(raised.value, HandshakeError) is bool(octets)
    with pytest.raises(HandshakeError):  # a server that ends in place of an answer
        await TlsStream(raw, client_context(), server_hostname=NAME).handshake()


# What arrives


@VERSIONS
async def test_records_that_arrive_together_are_read_together(
    server_tls: ServerTls, version: ssl.TLSVersion
) -> None:
    stream, peer = await connected(server_tls, version=version)
    peer.far.incoming.send_nowait(peer.records(b"EHLO me\r\n", b"x" * 20_000, b"QUIT\r\n"))
    assert await stream.receive() == b"EHLO me\r\n" + b"x" * 20_000 + b"QUIT\r\n"


async def test_records_cut_anywhere(server_tls: ServerTls) -> None:
    stream, peer = await connected(server_tls)
    records = peer.records(b"EHLO me\r\n", b"QUIT\r\n")
    for at in range(len(records)):
        peer.far.incoming.send_nowait(records[at : at + 1])
    peer.far.incoming.close()
    assert [await stream.receive() for _ in range(3)] == [b"EHLO me\r\n", b"QUIT\r\n", b""]


async def test_half_a_record_waits_for_its_rest(server_tls: ServerTls) -> None:
    stream, peer = await connected(server_tls)
    records = peer.records(b"one", b"two")
    peer.far.incoming.send_nowait(records[:-5])
    assert await stream.receive() == b"one"
    peer.far.incoming.send_nowait(records[-5:])
    assert await stream.receive() == b"two"


async def test_an_end_is_an_end_whether_it_was_announced_or_not(server_tls: ServerTls) -> None:
    stream, peer = await connected(server_tls)
    peer.far.incoming.send_nowait(peer.records(b"DATA\r\n"))
    peer.far.incoming.close()  # no close_notify
    assert [await stream.receive() for _ in range(3)] == [b"DATA\r\n", b"", b""]

    stream, peer = await connected(server_tls)
    octets = peer.records(b"QUIT\r\n")
    with pytest.raises(ssl.SSLWantReadError):
        peer.tls.unwrap()
    peer.far.incoming.send_nowait(octets)
    peer.give()
    peer.far.incoming.send_nowait(b"and after it plain text")
    assert [await stream.receive() for _ in range(3)] == [b"QUIT\r\n", b"", b""]


async def test_what_was_changed_on_its_way_is_a_lost_connection(server_tls: ServerTls) -> None:
    stream, peer = await connected(server_tls)
    good, changed = peer.records(b"one"), bytearray(peer.records(b"two"))
    changed[-1] ^= 1
    peer.far.incoming.send_nowait(good + changed)
    assert await stream.receive() == b"one"
    for _ in range(2):
        with pytest.raises(ConnectionError, match="changed on its way"):
            await stream.receive()
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):  # an alert told it to the peer
        peer.text()
    stream, peer = await connected(server_tls)
    peer.far.incoming.send_nowait(b"EHLO in plain text\r\n")
    with pytest.raises(ConnectionError, match="not TLS"):
        await stream.receive()


async def test_plain_text_after_good_records_of_the_same_read(server_tls: ServerTls) -> None:
    stream, peer = await connected(server_tls)
    peer.far.incoming.send_nowait(peer.records(b"one") + b"RSET\r\nRSET\r\n")
    assert await stream.receive() == b"one"
    with pytest.raises(ConnectionError, match="not TLS"):
        await stream.receive()


class Asking:
    """TLS with a peer that asks for new keys and nothing else."""

    check_hostname = False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def __init__(self) -> None:
        self.outgoing = self.incoming = ssl.MemoryBIO()

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **_: object) -> Asking:
        self.incoming, self.outgoing = incoming, outgoing
        return self

    def do_handshake(self) -> None: ...

    def cipher(self) -> None: ...

    def getpeercert(self, *, binary_form: bool) -> None: ...

    def version(self) -> str:
        return "TLSv1.3"

    def read(self, _: int) -> bytes:
        self.outgoing.write(self.incoming.read())
        raise ssl.SSLWantReadError


async def test_a_peer_that_asks_for_keys_and_reads_none_fills_no_memory() -> None:
    raw, asking = Narrow(), Asking()
    stream = TlsStream(raw, cast("ssl.SSLContext", asking))
    await stream.handshake()
    raw.at_most = 100

    async def ask() -> None:
        while True:
            await raw.incoming.send(bytes(SEGMENT))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        with trio.fail_after(20), pytest.raises(ConnectionError, match="does not read what it has asked for"):
            await stream.receive()
        nursery.cancel_scope.cancel()
    assert raw.written == bytes(100)
    assert asking.outgoing.pending <= 3 * SEGMENT


async def test_octets_without_text_give_others_their_turn(
    server_tls: ServerTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that need not wait is no turn for others, and what comes may be no text."""
    stream, peer = await connected(server_tls)
    records = peer.records(b"x" * 16_000)
    octets = [records[at : at + 1000] for at in range(0, len(records), 1000)]
    turns = 0

    async def at_once() -> bytes:
        return octets.pop(0)

    async def others() -> None:
        nonlocal turns
        while octets:
            await trio.lowlevel.checkpoint()
            turns += 1

    monkeypatch.setattr(peer.far, "receive", at_once)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        assert await stream.receive() == b"x" * 16_000
    assert turns > 10


# What is sent


async def test_octets_count_as_sent_when_their_records_have_been(server_tls: ServerTls) -> None:
    stream, peer = await connected(server_tls)
    peer.far.at_most = 10
    assert stream.send_now(b"250 ok\r\n") == 0
    assert stream.send_now(b"250 ok\r\n") == 0
    peer.far.at_most = None
    assert stream.send_now(b"250 ok\r\nmore") == 12
    assert peer.text() == b"250 ok\r\nmore"


async def test_a_large_piece_goes_out_segment_by_segment(server_tls: ServerTls) -> None:
    stream, peer = await connected(server_tls)
    data = bytes(range(256)) * (3 * SEGMENT // 256) + b"end"
    assert stream.send_now(data) == len(data)
    assert peer.text() == data
    peer.far.at_most = SEGMENT + SEGMENT // 2
    assert stream.send_now(data) == SEGMENT
    peer.far.at_most = None
    assert stream.send_now(data[SEGMENT:]) == len(data) - SEGMENT
    assert peer.text() == data


@pytest.mark.parametrize("at_most", [1, 7, 100])
async def test_an_outbox_over_a_narrow_way_loses_and_repeats_nothing(
    server_tls: ServerTls, at_most: int
) -> None:
    stream, peer = await connected(server_tls)
    peer.far.at_most = 0
    outbox = Outbox(stream)
    lines = [b"%d one line of a reply\r\n" % number for number in range(100)]
    async with trio.open_nursery() as nursery:
        for line in lines:
            outbox.put(line)
            if not outbox.flush_now() and line is lines[50]:
                nursery.start_soon(outbox.flush)
            peer.far.widen(at_most)
            await trio.lowlevel.checkpoint()
        peer.far.widen()
    await outbox.flush()
    assert peer.text() == b"".join(lines)


async def test_a_cancelled_write_is_taken_up_again(server_tls: ServerTls) -> None:
    stream, peer = await connected(server_tls)
    peer.far.at_most = 5
    with trio.move_on_after(0):
        await stream.send_some(memoryview(b"250 ok\r\n"))
    peer.far.widen()
    assert await stream.send_some(memoryview(b"250 ok\r\n")) == 8
    assert peer.text() == b"250 ok\r\n"


async def test_what_tls_itself_has_to_say_waits_for_what_is_on_its_way(server_tls: ServerTls) -> None:
    """The alert about a bad record must not stand in the middle of another one."""
    stream, peer = await connected(server_tls)
    peer.far.at_most = 5
    assert stream.send_now(b"250 ok\r\n") == 0
    peer.far.incoming.send_nowait(b"no TLS at all")
    with pytest.raises(ConnectionError):
        await stream.receive()
    peer.far.at_most = None
    assert stream.send_now(b"250 ok\r\n") == 8
    assert peer.text() == b"250 ok\r\n"


# The ends


async def test_the_end_of_sending_is_announced_once_and_not_waited_for(server_tls: ServerTls) -> None:
    stream, peer = await connected(server_tls)
    stream.finish_sending()
    assert peer.far.end == ["finished"]
    with pytest.raises(EOFError):
        peer.text()
    peer.far.incoming.send_nowait(peer.records(b"late"))
    assert await stream.receive() == b"late"
    stream.close()
    assert not peer.far.written
    assert peer.far.end == ["finished", "closed"]


async def test_closing_announces_the_end_and_a_reset_does_not(server_tls: ServerTls) -> None:
    stream, peer = await connected(server_tls)
    stream.close()
    with pytest.raises(EOFError):
        peer.text()
    stream, peer = await connected(server_tls)
    stream.abort()
    assert stream.is_lost()
    assert not peer.far.written
    assert peer.far.end == ["aborted"]


async def test_the_end_is_not_announced_in_the_middle_of_a_record(server_tls: ServerTls) -> None:
    stream, peer = await connected(server_tls)
    peer.far.at_most = 5
    stream.send_now(b"250 ok\r\n")
    stream.close()
    assert len(peer.far.written) == 5


async def test_interrupting_is_passed_on(server_tls: ServerTls) -> None:
    stream, peer = await connected(server_tls)
    stream.interrupt()
    assert peer.far.end == ["interrupted"]


# Without TLS


async def test_before_and_without_tls_nothing_is_said_or_heard_in_plain_text(server_tls: ServerTls) -> None:
    raw = Narrow()
    stream = TlsStream(raw, server_tls.context, server_side=True)
    assert stream.send_now(b"421 bye\r\n") == 9
    assert await stream.send_some(memoryview(b"421 bye\r\n")) == 9
    assert not raw.written
    raw.incoming.send_nowait(b"EHLO me\r\n")
    raw.incoming.send_nowait(b"QUIT\r\n")
    with pytest.raises(HandshakeError, match="not TLS"):
        await stream.handshake()
    raw.written.clear()  # the alert
    raw.incoming.close()
    assert await stream.receive() == b""
    assert stream.send_now(b"421 bye\r\n") == 9
    stream.finish_sending()
    stream.close()
    assert not raw.written
    assert stream.peer_chain == ()
