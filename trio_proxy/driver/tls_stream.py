"""TLS over a byte stream, for either role, without a task of its own.

`trio.SSLStream` does the same over Trio's own streams, whose checks and locks cost more than the encryption
of a short line. CPU time of the process, with P-256 and TLS 1.3:

==========================  ==========  ===============  ==========
what                        plain text  trio.SSLStream   TlsStream
==========================  ==========  ===============  ==========
a command and its reply     45 µs       170 µs           70 µs
a MiB received              0.9 ms      4.7 ms           2.9 ms
a handshake                 -           1.2 ms           0.9 ms
==========================  ==========  ===============  ==========

A handshake is computed in steps during which nothing else runs. As a server, the longest step takes 0.5 ms,
1.5 ms with an RSA key of 2048 bits, and 20 ms with 4096 bits. A thread lets other tasks run meanwhile, but
costs 0.2 ms for each step; so only handshakes with slow keys use threads.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Final

import attrs
import trio

from sansio_smtp import Side, TlsInfo
from trio_proxy.tls.info import info_of
from trio_proxy.tls.reasons import NO_NAME, reason

from .streams import SEGMENT, Reader, Stream

__all__ = ["HandshakeError", "TlsStream"]

_RECORD: Final = 16_384
"""Octets of the largest record (RFC 8446 §5.1)."""
_MOST_ANSWERS: Final = 131_072
"""The most octets of TLS itself that may wait to be sent. One read can cause half as many."""


class HandshakeError(OSError):
    """The TLS handshake has failed, and the connection cannot be used any more."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        """The reason in plain words, for a log."""

    def __str__(self) -> str:
        return self.why


def _memory() -> ssl.MemoryBIO:
    return ssl.MemoryBIO()  # imported late: without TLS the module is not loaded


@attrs.define(eq=False)
class TlsStream:
    """A `Stream` of what is inside TLS, over a `Stream` of its records. Call `handshake` first.

    Before the handshake has succeeded, and after it has failed, output is dropped and input is not shown. So
    nothing of a session that wanted TLS goes in plain text.

    An end of input counts as such even if the peer has not announced it (close_notify). This is safe, because
    SMTP itself marks the end of commands and messages, so a truncated one is never accepted as complete.
    """

    _raw: Stream
    _context: ssl.SSLContext
    _server_side: bool = attrs.field(default=False, kw_only=True, alias="server_side")
    _server_hostname: str | None = attrs.field(default=None, kw_only=True, alias="server_hostname")
    """The name of the server (SNI). Its certificate must be for this name, if the context checks it."""
    _threads: trio.CapacityLimiter | None = attrs.field(default=None, kw_only=True, alias="threads")
    """If given, the handshake is computed in threads, limited by this limiter."""
    _tls: ssl.SSLObject | None = attrs.field(default=None, init=False)
    """None until TLS begins."""
    _incoming: ssl.MemoryBIO = attrs.field(factory=_memory, init=False)
    _outgoing: ssl.MemoryBIO = attrs.field(factory=_memory, init=False)
    _records: memoryview | None = attrs.field(default=None, init=False)
    """Encrypted records that are still to be sent."""
    _held: int = attrs.field(default=0, init=False)
    """The number of the caller's octets that are in `_records`. They count as sent when all records are
    sent."""
    _failure: ssl.SSLError | None = attrs.field(default=None, init=False)
    """The error that the next `receive` raises: it came after valid octets."""
    _ended: bool = attrs.field(default=False, init=False)
    """True if the peer has said that nothing more will come."""
    _said_end: bool = attrs.field(default=False, init=False)
    _reader: Reader | None = attrs.field(default=None, init=False)

    async def handshake(self) -> TlsInfo:
        """Agrees with the peer on TLS. It has no time limit of its own.

        Raises `HandshakeError` if that fails, and OSError if the connection is lost, or if the client closes
        before the handshake, as a health check does. After any error the stream can only be finished and
        closed.
        """
        tls = self._begin()
        begun = not self._server_side
        while True:
            try:
                if self._threads is None:
                    tls.do_handshake()
                else:
                    await trio.to_thread.run_sync(tls.do_handshake, limiter=self._threads)
                break
            except ssl.SSLWantReadError:
                await self._send_records()
            except ssl.SSLError as error:
                self._answer()  # sends the peer an alert that says what is wrong
                raise HandshakeError(reason(error, self._server_hostname)) from error
            octets = await self._raw.receive()
            if not octets and not begun:
                raise ConnectionAbortedError("the peer has closed the connection before the handshake")
            if not octets:
                raise HandshakeError("the peer has closed the connection during the handshake")
            begun = True
            self._incoming.write(octets)
        await self._send_records()
        self._tls = tls
        return info_of(tls)

    def hand_over(self, reader: Reader, side: Side) -> bool:
        self._reader = reader
        if self._ended or self._failure is not None:
            self._end_of(side)
        # Octets that came with the end of the handshake come first.
        elif (not self._incoming.pending or self._pass_on(side)) and not self._raw.hand_over(self, side):
            return False
        return True

    def when_writable(self) -> bool:
        return self._raw.when_writable()

    async def receive(self) -> bytes:
        tls = self._tls
        if tls is None:
            while await self._raw.receive():
                pass
            return b""
        if self._failure is not None:
            raise ConnectionError(reason(self._failure)) from self._failure
        if self._ended:
            return b""
        incoming, outgoing = self._incoming, self._outgoing
        while True:
            if outgoing.pending > _MOST_ANSWERS:
                raise ConnectionError("the peer does not read what it has asked for")
            if incoming.pending:
                try:
                    data = tls.read(_RECORD)
                except ssl.SSLWantReadError:
                    self._answer()
                    # The octets may have been requests for new keys, which take longer to answer than to
                    # send: let other tasks run first.
                    await trio.lowlevel.checkpoint()
                except ssl.SSLZeroReturnError:
                    return b""
                except ssl.SSLError as error:
                    self._answer()
                    raise ConnectionError(reason(error)) from error
                else:
                    if incoming.pending:
                        data = self._and_the_rest(tls, data)
                        self._answer()
                    return data
            octets = await self._raw.receive()
            if not octets:
                return b""
            incoming.write(octets)

    def send_now(self, data: bytes | memoryview) -> int:
        tls = self._tls
        if tls is None:
            return len(data)
        if self._records is None and 0 < len(data) <= SEGMENT:  # the usual case: like below, in fewer steps
            tls.write(data)
            octets = self._outgoing.read()
            gone = self._raw.send_now(octets)
            if gone == len(octets):
                return len(data)
            self._held, self._records = len(data), memoryview(octets)[gone:]
            return 0
        sent = 0
        while True:
            if self._records is not None:
                if not self._sent_records():
                    return sent
                sent, self._held = sent + self._held, 0
            if sent == len(data):
                return sent
            self._held = tls.write(memoryview(data)[sent : sent + SEGMENT])
            self._records = memoryview(self._outgoing.read())

    async def send_some(self, data: memoryview) -> int:
        while not (sent := self.send_now(data)):
            while (records := self._records) is not None:
                done = await self._raw.send_some(records)
                self._records = records[done:] if done < len(records) else None
            if self._held:
                sent, self._held = self._held, 0
                break
        return sent

    def is_lost(self) -> bool:
        return self._raw.is_lost()

    def interrupt(self) -> None:
        self._raw.interrupt()

    def finish_sending(self) -> None:
        self._say_end()
        self._raw.finish_sending()

    def close(self) -> None:
        self._say_end()
        self._raw.close()

    def abort(self) -> None:
        self._raw.abort()

    # As the reader of the records: see `Reader`

    def take(self, side: Side, data: bytes) -> bool:
        if data:
            self._incoming.write(data)
            return self._pass_on(side)
        return self._end_of(side)

    def _pass_on(self, side: Side) -> bool:
        """Gives the reader the content of the records that have come."""
        tls, reader, octets = self._tls, self._reader, b""
        if tls is None or reader is None:
            return True  # it is dropped
        try:
            octets = tls.read(_RECORD)
            if not octets:
                self._ended = True
            elif self._incoming.pending:  # seldom: a list for all records costs 0.2 µs of 1.7
                octets = self._and_the_rest(tls, octets)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError as error:
            self._failure = error
        if self._outgoing.pending:
            self._answer()
            if self._outgoing.pending > _MOST_ANSWERS:
                reader.lose(side, ConnectionError("the peer does not read what it has asked for"))
                return False
        if octets and not reader.take(side, octets):
            return False
        return self._end_of(side) if self._ended or self._failure is not None else True

    def _end_of(self, side: Side) -> bool:
        assert self._reader is not None  # as in `hand_over`
        if self._failure is None:
            self._reader.take(side, b"")
        else:
            self._reader.lose(side, ConnectionError(reason(self._failure)))
        return False

    def lose(self, side: Side, error: OSError) -> None:
        assert self._reader is not None  # as in `hand_over`
        self._reader.lose(side, error)

    def gone(self, side: Side) -> None:
        assert self._reader is not None  # as in `hand_over`
        self._reader.gone(side)

    def writable(self, side: Side) -> None:
        assert self._reader is not None  # as in `hand_over`
        self._reader.writable(side)

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """The certificate chain that the peer has sent, in DER; before Python 3.13 only its first
        certificate. Empty without TLS, and if the peer has sent none."""
        if self._tls is None:
            return ()
        if all_of := getattr(self._tls, "get_unverified_chain", None):
            return tuple(all_of())
        shown = self._tls.getpeercert(binary_form=True)
        return () if shown is None else (shown,)

    def _begin(self) -> ssl.SSLObject:
        name = self._server_hostname
        if self._context.check_hostname and not name:
            raise HandshakeError(NO_NAME)
        try:
            return self._context.wrap_bio(
                self._incoming, self._outgoing, server_side=self._server_side, server_hostname=name
            )
        except ValueError as error:  # no host can have this name
            raise HandshakeError(f"the certificate of {name!r} cannot be checked: {error}") from error

    def _and_the_rest(self, tls: ssl.SSLObject, data: bytes) -> bytes:
        """``data``, and the rest of what the last read has brought. It reads no more, so that other tasks get
        their turn."""
        parts = [data]
        try:
            while self._incoming.pending and parts[-1]:  # empty at the end, whatever follows it
                parts.append(tls.read(_RECORD))
            self._ended = not parts[-1]
        except ssl.SSLWantReadError:
            pass  # half a record
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError as error:
            self._failure = error
        return b"".join(parts)

    async def _send_records(self) -> None:
        records = memoryview(self._outgoing.read())
        while records:
            records = records[await self._raw.send_some(records) :]

    def _sent_records(self) -> bool:
        """Sends as much of `_records` as possible without waiting; returns True if all was sent."""
        records = self._records
        if records is not None:
            sent = self._raw.send_now(records)
            self._records = records[sent:] if sent < len(records) else None
        return self._records is None

    def _answer(self) -> None:
        """Sends what TLS itself has to send: an alert, new keys. If that would have to wait, it is sent with
        the next octets."""
        if self._outgoing.pending and self._records is None:
            self._records = memoryview(self._outgoing.read())
            with suppress(OSError):  # the connection is lost; the next read or write will notice
                self._sent_records()

    def _say_end(self) -> None:
        """Tells the peer that nothing more will come (close_notify), if that is possible without waiting."""
        if self._tls is not None and not self._said_end:
            self._said_end = True
            with suppress(OSError):  # SSLWantReadError: the peer has not sent close_notify, and need not
                self._tls.unwrap()
            self._answer()
