"""Many clients on a rule that hangs in its thread: other rules, held messages and names of servers go on."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "trio"))
from commands import Proxy, connect, deliver, say_hello, upstream
from drivers import DEADLINE, Peer

pytestmark = [pytest.mark.interop, pytest.mark.alone]

RULES = """
import threading, time
import trio
from sansio_smtp.rules import Hold, on, threaded

@on("rcpt", match="hang@*")
@threaded
def hangs(tx, to):
    time.sleep(600)

@on("rcpt", match="await@*")
async def hangs_in_threads_of_trio(tx, to):
    await trio.to_thread.run_sync(time.sleep, 600)

@on("rcpt", match="fine@*")
@threaded
def fine(tx, to):
    print("asked", threading.active_count(), flush=True)

@on("message", match="hold@*")
def hold(tx, msg):
    return Hold("why")
"""
CLIENTS = 70  # more than a rule has threads


def rcpt(process: Proxy, recipient: bytes) -> Peer:
    client = connect(("127.0.0.1", process.port))
    say_hello(client)
    client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<%b@x.example>" % recipient)
    client.expect(b"250 ...")
    return client


def answer(process: Proxy, recipient: bytes) -> tuple[bytes, float]:
    started = time.monotonic()
    with rcpt(process, recipient) as client:
        return client.line(), time.monotonic() - started


@pytest.mark.parametrize("hung", [b"hang", b"await"])
def test_nobody_else_waits(hung: bytes, tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(RULES)
    with upstream(deliver()) as server:
        arguments = ("-u", f"localhost:{server.port}", "--rules", "rules.py", "--rule-timeout", "3")
        process = Proxy(tmp_path, "-l", "127.0.0.1:0", *arguments)
        with ExitStack() as stack:
            stack.callback(process.kill)
            clients = [stack.enter_context(rcpt(process, hung)) for _ in range(CLIENTS)]
            fine, seconds = answer(process, b"fine")
            assert fine == b"250 2.0.0 ok", "before the first time is up"
            assert seconds < 2
            held: list[bytes] = []
            thread = threading.Thread(target=lambda: held.append(_hold(process)))
            thread.start()
            thread.join(DEADLINE)
            assert held == [b"250 2.0.0 ok"]
            answers = [client.line() for client in clients]
            assert all(a.startswith(b"451 4.3.0 a rule of this proxy failed") for a in answers)
            fine, seconds = answer(process, b"fine")
            assert fine == b"250 2.0.0 ok"
            assert seconds < 2
            if hung == b"hang":
                down, seconds = answer(process, b"hang")
                assert down.startswith(b"451 4.3.0 a rule of this proxy failed")
                assert seconds < 1, "at once: it is down"
                assert process.said().count("rule is down: all its threads hang") == 1
                incident = down.partition(b"(incident ")[2].rstrip(b")").decode()
                assert f"incident={incident}" in process.said()
            for client in clients:
                client.close()
            process.signal(15)
            assert process.process.wait(3 * DEADLINE) == 0


def _hold(process: Proxy) -> bytes:
    with connect(("127.0.0.1", process.port)) as client:
        say_hello(client)
        client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<hold@x.example>", b"DATA")
        client.expect(b"250 ...", b"250 ...", b"354 ...")
        client.raw(b"Subject: x\r\n\r\nx\r\n.\r\n")
        return client.line()
