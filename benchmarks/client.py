"""A raw SMTP client for what smtp-source cannot do: command groups, latencies, sessions held open.

It prints one line of JSON.  Exit status 3: the server does not offer PIPELINING, so a group may not be sent.
`python benchmarks/client.py PORT --messages 100 --sessions 2 --size 4096 [--groups] [--seconds 10]`
"""

from __future__ import annotations

import argparse
import json
import math
import socket
import sys
import threading
import time

LINE = b"The quick brown fox jumps over the lazy dog, and then it does so once again.\r\n"
NOT_OFFERED = 3
COMMANDS = (b"MAIL FROM:<a@client.example>\r\n", b"RCPT TO:<b@server.example>\r\n", b"DATA\r\n")
CODES = (b"250", b"250", b"354")


class Session:
    """One blocking connection, past EHLO."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.expect(b"220")
        self.offered = self.command(b"EHLO client.example\r\n", b"250").upper()

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def command(self, line: bytes, code: bytes) -> bytes:
        self.send(line)
        return self.expect(code)

    def expect(self, code: bytes) -> bytes:
        """Read one reply, of several lines perhaps; anything but `code` ends the whole measurement."""
        reply = b""
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if not newline:
                data = self._sock.recv(65536)
                if not data:
                    raise ConnectionError(f"closed while waiting for {code.decode()}")
                self._buffer += data
                continue
            self._buffer = rest
            reply += line + newline
            if line[:3] != code:
                raise ConnectionError(f"expected {code.decode()}, got {line!r}")
            if line[3:4] != b"-":
                return reply

    def transaction(self, content: bytes, *, group: bool) -> None:
        if group:
            self.send(b"".join(COMMANDS))
            for code in CODES:
                self.expect(code)
        else:
            for line, code in zip(COMMANDS, CODES, strict=True):
                self.command(line, code)
        self.command(content, b"250")

    def close(self) -> None:
        self.command(b"QUIT\r\n", b"221")
        self._sock.close()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--groups", action="store_true", help="MAIL, RCPT and DATA in one segment")
    parser.add_argument("--seconds", type=float, default=20.0, help="stop early after this long")
    parser.add_argument("--probe", action="store_true", help="only find out whether it could be done")
    options = parser.parse_args()
    content = b"Subject: a measurement\r\n\r\n" + LINE * (options.size // len(LINE)) + b".\r\n"
    work = iter(range(options.messages))  # shared by the threads: `next` on it is atomic
    deadline = time.monotonic() + options.seconds
    latencies: list[float] = []
    failures: list[str] = []

    def run(session: Session) -> None:
        try:
            for _ in work:
                start = time.perf_counter()
                if failures or time.monotonic() > deadline:
                    break
                session.transaction(content, group=options.groups)
                latencies.append((time.perf_counter() - start) * 1e3)
            session.close()
        except OSError as error:
            failures.append(f"{type(error).__name__}: {error}")

    try:
        sessions = [Session(options.port) for _ in range(options.sessions)]
    except OSError as error:
        print(f"client: {error}", file=sys.stderr)
        return 1
    if options.groups and b"PIPELINING" not in sessions[0].offered:
        return NOT_OFFERED
    if options.probe:
        return 0
    threads = [threading.Thread(target=run, args=(session,), daemon=True) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures or not latencies:
        print("client:", failures[0] if failures else "nothing was sent in time", file=sys.stderr)
        return 1
    result = {
        "messages": len(latencies),
        "p50": percentile(latencies, 0.5),
        "p99": percentile(latencies, 0.99),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
