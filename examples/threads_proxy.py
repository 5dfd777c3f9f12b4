"""An SMTP proxy on threads.

    python examples/threads_proxy.py --listen 127.0.0.1:2525 --upstream 127.0.0.1:25

It prints the address at which it listens, and relays mail between each client that connects and the server.
Ctrl-C ends it.
"""

import contextlib
import os
import socket
import threading
import time

from common import CONNECT_SECONDS, TICK, Plumbing, Settings, has_input, serve_threads, settings

from sansio_smtp import CLIENT, SERVER, Event, Side


class Session(Plumbing):
    """A thread for each side, `pump`, reads it, feeds the core, and sends what comes of it to either side."""

    def __init__(self, client: socket.socket, server: socket.socket, settings: Settings) -> None:
        super().__init__(client, server, settings)
        self.core = threading.Condition()  # guards the core and the outboxes
        self.locks = {CLIENT: threading.Lock(), SERVER: threading.Lock()}
        self.deadline = 0.0

    def run(self) -> None:
        with self.sockets[CLIENT], self.sockets[SERVER] as server:
            try:
                server.settimeout(CONNECT_SECONDS)
                server.connect(self.settings.upstream)
                self.apply([])
            except OSError:
                self.apply(self.proxy.server_unreachable())
            for sock in self.sockets.values():
                sock.settimeout(TICK)
            other = threading.Thread(target=self.pump, args=[SERVER])
            other.start()
            try:
                self.pump(CLIENT)
            finally:
                other.join()

    def pump(self, side: Side) -> None:
        """Reads a side to its end, even when the dialogue is over."""
        data: bytes | None = None
        try:
            self.flush(CLIENT)
            while data != b"" and not self.is_over():
                if (data := self.read(side)) is not None:
                    with self.core:
                        self.apply(self.received(side, data))
                if data == b"" and self.closing.get(side):
                    with self.locks[side]:
                        self.sockets[side].close()
                self.flush(CLIENT)  # before the next read: this is the back-pressure
                # The server may wait for us to read its replies, before it reads on.
                self.flush(SERVER, waits=side is CLIENT)
        except Exception:  # a failure ends this session, and no other
            self.stop()
            raise

    def read(self, side: Side) -> bytes | None:
        """Some octets; empty at the end; None if it is not the time for it, or nothing came."""
        with self.core:
            if not self.may_read(side):
                self.core.wait(TICK)
                return None
        if side is SERVER and self.outboxes[side] and not has_input(self.sockets[side]):
            return None
        try:
            return self.sockets[side].recv(65_536)
        except TimeoutError:
            return None
        except OSError:  # lost is ended
            return b""

    def flush(self, side: Side, waits: bool = True) -> None:
        """Sends an outbox, under a lock: no thread overtakes another. Without waiting: what fits now."""
        if not self.locks[side].acquire(blocking=waits):
            return  # the thread that sends there now sends our octets too
        try:
            while (data := bytes(self.outboxes[side])) and not self.is_over():
                with contextlib.suppress(TimeoutError):
                    sock = self.sockets[side]
                    sent = sock.send(data) if waits else os.write(sock.fileno(), data)
                    with self.core:
                        del self.outboxes[side][:sent]
            with self.core:
                self.finish(side)
        except BlockingIOError:
            pass
        except OSError:  # a lost peer is left to its pump, which first reads what that peer has said
            self.outboxes[side].clear()
        finally:
            self.locks[side].release()

    def apply(self, events: list[Event]) -> None:
        with self.core:
            super().apply(events)
            self.core.notify_all()

    def set_deadline(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds

    def is_over(self) -> bool:
        """Looks at the clock. Returns True if the session is closed, and the time for its last octets has
        passed."""
        with self.core:
            is_late, is_closed = time.monotonic() >= self.deadline, self.proxy.closed
            if is_late and not is_closed:
                self.apply(self.proxy.timed_out())
            return is_late and is_closed

    def stop(self) -> None:
        with self.core:
            self.apply(self.proxy.shutdown(now=True))
        self.flush(CLIENT)


if __name__ == "__main__":
    serve_threads(Session, settings())
