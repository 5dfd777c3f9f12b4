"""An SMTP client with features that smtp-source lacks: command groups, thousands of sessions, messages of 1
GiB.

One process without threads; all sessions send at the same time. With `--steps` it prints a line when all
sessions are open and one when all messages are sent. After each it waits for a line on its standard input, so
that the time between the two can be measured alone. The last line is JSON: the number of accepted messages.
Exit status 3: the server does not offer PIPELINING, so a group may not be sent. `python benchmarks/client.py
PORT --messages 100 --sessions 2 --size 4096 [--recipients 50] [--groups]`
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator

LINE = b"The quick brown fox jumps over the lazy dog, and then it does so once again.\r\n"
BLOCK = LINE * 800  # some 64 KiB
HEADER = b"Subject: a measurement\r\n\r\n"
MAIL, DATA = b"MAIL FROM:<a@client.example>\r\n", b"DATA\r\n"
NOT_OFFERED = 3
AT_ONCE = 100  # sessions that are opened at once: servers have short queues
Step = tuple[Iterator[bytes], int]  # what is sent, and how many replies follow


def content(size: int) -> Iterator[bytes]:
    """A message of about this size, and its end. It is never held as a whole."""
    if size <= 2 * len(BLOCK):  # in one piece, as clients send small messages
        yield HEADER + LINE * (size // len(LINE)) + b".\r\n"
        return
    yield HEADER
    yield from itertools.repeat(BLOCK, size // len(BLOCK))
    yield LINE * (size % len(BLOCK) // len(LINE)) + b".\r\n"


def message(options: argparse.Namespace) -> Iterator[Step]:
    recipients = (b"RCPT TO:<b%d@server.example>\r\n" % number for number in range(options.recipients))
    if options.groups:
        group = MAIL + b"".join(recipients) + DATA
        yield iter([group]), options.recipients + 2
    else:
        for command in itertools.chain([MAIL], recipients, [DATA]):
            yield iter([command]), 1
    yield content(options.size), 1


class NotOffered(Exception):
    """No PIPELINING."""


class Session:
    """One connection. `advance` does what can be done without waiting."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self.taken = 0
        self.offers = b""
        self._selector = selector
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock.setblocking(False)
        self._steps: deque[Iterator[Step]] = deque()
        self._output: Iterator[bytes] = iter(())
        self._unsent = memoryview(b"")
        self._expected = 0
        self._input = b""
        self._writes = False
        selector.register(self._sock, selectors.EVENT_READ, self)

    @property
    def busy(self) -> bool:
        return self._expected > 0 or bool(self._steps)

    def do(self, steps: Iterator[Step]) -> None:
        self._steps.append(steps)
        if not self._expected:
            self._next()

    def advance(self) -> None:
        if self._writes:
            self._send()
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionError("the server has closed the connection")
        self._input += data
        while self._expected and (reply := self._reply()) is not None:
            if reply[:1] not in b"23":
                raise ConnectionError(f"refused: {reply!r}")
            self.offers = self.offers or (reply if b"\n250-" in reply or reply.startswith(b"250-") else b"")
            self._expected -= 1
            if not self._expected:
                self._next()

    def close(self) -> None:
        self._selector.unregister(self._sock)
        self._sock.close()

    def _reply(self) -> bytes | None:
        """The next whole reply, of several lines perhaps."""
        end = 0
        while (newline := self._input.find(b"\n", end)) >= 0:
            last = self._input[end + 3 : end + 4] != b"-"
            end = newline + 1
            if last:
                reply, self._input = self._input[:end], self._input[end:]
                return reply
        return None

    def _next(self) -> None:
        while self._steps:
            step = next(self._steps[0], None)
            if step is not None:
                self._output, self._expected = step
                self._send()
                return
            self._steps.popleft()
            self.taken += 1

    def _send(self) -> None:
        try:
            while self._unsent or (data := next(self._output, None)) is not None:
                if not self._unsent:
                    assert data is not None
                    self._unsent = memoryview(data)
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except BlockingIOError:
            self._wants(writes=True)
        else:
            self._wants(writes=False)

    def _wants(self, *, writes: bool) -> None:
        if writes is not self._writes:
            self._writes = writes
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writes else 0)
            self._selector.modify(self._sock, events, self)


class Client:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._selector = selectors.DefaultSelector()
        self._sessions: list[Session] = []
        self._deadline = time.monotonic() + options.seconds

    def open(self) -> None:
        options = self._options
        while (left := options.sessions - len(self._sessions)) > 0:
            new = [Session(options.port, self._selector) for _ in range(min(left, AT_ONCE))]
            self._sessions += new
            for session in new:
                session.do(iter([(iter(()), 1), (iter([b"EHLO client.example\r\n"]), 1)]))
            self._run()
        if options.groups and b"PIPELINING" not in self._sessions[0].offers.upper():
            raise NotOffered

    def send(self) -> int:
        """Sends the messages. Returns the number of accepted ones."""
        before = sum(session.taken for session in self._sessions)
        left = iter(range(self._options.messages))
        waiting = deque(self._sessions)
        for _ in left:
            waiting[0].do(message(self._options))
            waiting.rotate(-1)
        self._run()
        return sum(session.taken for session in self._sessions) - before

    def quit(self) -> None:
        for session in self._sessions:
            session.do(iter([(iter([b"QUIT\r\n"]), 1)]))
        self._run(close=True)

    def _run(self, *, close: bool = False) -> None:
        busy = {session for session in self._sessions if session.busy}
        while busy:
            if time.monotonic() > self._deadline:
                raise ConnectionError("not finished in time")
            for key, _events in self._selector.select(1.0):
                key.data.advance()
                if not key.data.busy:
                    busy.discard(key.data)
                    if close:
                        key.data.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--recipients", type=int, default=1)
    parser.add_argument("--groups", action="store_true", help="MAIL, RCPT and DATA in one segment")
    parser.add_argument("--seconds", type=float, default=300.0, help="give up after this long")
    parser.add_argument("--steps", action="store_true", help="wait for a line when open, and when sent")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    client = Client(options)

    def pause(said: str) -> None:
        if options.steps:
            print(said, flush=True)
            sys.stdin.readline()

    try:
        client.open()
        pause("open")
        taken = client.send()
        pause("sent")
        client.quit()
    except NotOffered:
        return NOT_OFFERED
    except OSError as error:
        print(f"client: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"messages": taken}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
