"""A bare byte relay in one loop over epoll: the minimum for any Python program that reads each octet.

It knows nothing about SMTP, and has no tasks, no time limits and no library.
`python benchmarks/epoll_relay.py --listen 127.0.0.1:0 --upstream 127.0.0.1:25`
"""

from __future__ import annotations

import argparse
import select
import signal
import socket
from contextlib import suppress

READ_SIZE = 65536
WATCHED = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


class End:
    """One connection, and the other one that its octets go to."""

    other: End

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.rest = b""
        """The octets still to be sent to this connection."""
        self.ended = False

    def copy(self) -> None:
        """Passes on the input until nothing is left or the other connection takes no more. Raises OSError."""
        while not self.other.rest and not self.ended:
            try:
                data = self.sock.recv(READ_SIZE)
            except BlockingIOError:
                return
            if data:
                self.other.send(data)
            else:
                self.ended = True
                self.other.sock.shutdown(socket.SHUT_WR)
            if len(data) < READ_SIZE:
                return  # the next input causes an event

    def send(self, data: bytes) -> None:
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.rest = data[sent:]

    def go_on(self) -> None:
        """There is room to write."""
        rest, self.rest = self.rest, b""
        self.send(rest)
        self.other.copy()


def serve(listener: socket.socket, upstream: tuple[str, int], stopped: socket.socket) -> None:
    """Serves until ``stopped`` can be read."""
    ends: dict[int, End] = {}
    with select.epoll() as events:
        events.register(listener, select.EPOLLIN)
        events.register(stopped, select.EPOLLIN)
        while True:
            for descriptor, mask in events.poll(-1, 64):
                if descriptor == stopped.fileno():
                    return
                if descriptor == listener.fileno():
                    with suppress(BlockingIOError, ConnectionError):
                        client = End(listener.accept()[0])
                        server = client.other = End(socket.create_connection(upstream))
                        server.other = client
                        for end in (client, server):
                            ends[end.sock.fileno()] = end
                            events.register(end.sock, WATCHED)
                elif found := ends.get(descriptor):
                    try:
                        if mask & select.EPOLLOUT and found.rest:
                            found.go_on()
                        if mask & ~select.EPOLLOUT:
                            found.copy()
                        over = found.ended and found.other.ended
                    except OSError:
                        over = True
                    if over:
                        for end in (found, found.other):
                            del ends[end.sock.fileno()]
                            end.sock.close()


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", type=address, default=("127.0.0.1", 0))
    parser.add_argument("--upstream", type=address, required=True)
    options = parser.parse_args()
    stopped, stop = socket.socketpair()
    stop.setblocking(False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(stop.fileno())
    with stopped, stop, socket.create_server(options.listen, backlog=1024) as listener:
        listener.setblocking(False)
        print("  listening   {}:{}".format(*listener.getsockname()), flush=True)
        serve(listener, options.upstream, stopped)


if __name__ == "__main__":
    main()
