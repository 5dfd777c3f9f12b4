"""Sessions and the service end while a rule waits; `disconnect` is called once, and may be late or fail."""

from __future__ import annotations

import re
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import Proxy, connect, upstream
from drivers import DEADLINE, Peer

RULES = """
import time
import trio
from sansio_smtp.rules import on, threaded

@on("rcpt", match="task@*")
async def task(tx, to):
    print("waits", flush=True)
    await trio.sleep(600)

@on("rcpt", match="thread@*")
@threaded
def thread(tx, to):
    print("waits", flush=True)
    time.sleep(600)

@on("rcpt", match="awaited_thread@*")
async def awaited_thread(tx, to):
    print("waits", flush=True)
    await trio.to_thread.run_sync(time.sleep, 600)

@on("rcpt", match="shielded@*")
async def shielded(tx, to):
    print("waits", flush=True)
    with trio.CancelScope(shield=True):
        await trio.sleep(600)

def disconnect(conn):
    print("left", conn.id, conn.helo, flush=True)
"""
WAITS = ["task", "thread", "awaited_thread", "shielded"]
LATE = """
@on("disconnect")
async def late(conn):
    print("waits", flush=True)
    await trio.sleep(600)
"""
LATE_IN_A_THREAD = """
@on("disconnect")
@threaded
def late(conn):
    print("waits", flush=True)
    time.sleep(600)
"""
FAILS = """
@on("disconnect")
def fails(conn):
    raise ValueError("in disconnect")
"""
GRACE = 0.3
_IMPATIENT = """
from trio_proxy.rulebook import tasks
tasks._END_SECONDS = 0.3
from trio_proxy.__main__ import main
main()
"""


class Impatient(Proxy):
    """It waits less long for rules that do not end."""

    command = [sys.executable, "-c", _IMPATIENT]


class Server:
    def __init__(self) -> None:
        self.gone = False

    def __call__(self, peer: Peer) -> None:
        """Says yes to everything, until it is told to go."""
        peer.send(b"220 mx.example ESMTP")
        try:
            while not self.gone:
                if not select.select([peer.sock], [], [], 0.02)[0] and not peer.buffer:
                    continue
                peer.send(b"221 bye" if peer.line()[:4] == b"QUIT" else b"250 ok")
        except (EOFError, ConnectionError):
            pass


@contextmanager
def service(tmp_path: Path, rules: str, server: Callable[[Peer], None] | None = None) -> Iterator[Proxy]:
    (tmp_path / "rules.py").write_text(rules)
    with upstream(server or Server()) as mx:
        arguments = ("-l", "127.0.0.1:0", "--rules", "rules.py", "--grace", f"{GRACE}", "-v")
        process = Impatient(tmp_path, *arguments, "-u", f"127.0.0.1:{mx.port}")
        try:
            yield process
        finally:
            process.kill()


def begin(process: Proxy, recipient: str = "fine") -> Peer:
    client = connect(("127.0.0.1", process.port))
    client.expect(b"220 ...")
    client.send(b"HELO me.example")
    client.expect(b"250 ok")
    client.send(b"MAIL FROM:<a@me.example>")
    client.expect(b"250 ok")
    client.send(b"RCPT TO:<%b@x>" % recipient.encode())
    return client


def assert_left_once(process: Proxy) -> None:
    process.wait_for(r"^left c1 me\.example$")
    assert len(re.findall(r"^left ", process.said(), re.M)) == 1


def assert_ends(process: Proxy, within: float) -> None:
    started = time.monotonic()
    assert process.process.wait(2 * DEADLINE) == 0
    assert time.monotonic() - started < within


@pytest.mark.slow
@pytest.mark.parametrize("name", WAITS)
def test_the_service_ends_while_a_rule_waits(tmp_path: Path, name: str) -> None:
    """The client is told, and the process ends soon after the grace period, whatever the rule does."""
    with service(tmp_path, RULES) as process:
        with begin(process, name) as client:
            process.wait_for("^waits$")
            process.signal(signal.SIGTERM)
            client.expect(b"421 4.3.2 service is shutting down, try again later")
            assert client.rest() == b""
        assert_ends(process, GRACE + DEADLINE)
        assert_left_once(process)
        assert "Traceback" not in process.said()


@pytest.mark.slow
@pytest.mark.parametrize("name", WAITS)
def test_a_second_signal_ends_the_service_while_a_rule_waits(tmp_path: Path, name: str) -> None:
    with service(tmp_path, RULES) as process, begin(process, name) as client:
        process.wait_for("^waits$")
        process.signal(signal.SIGTERM)
        process.wait_for("a second signal quits at once")
        process.signal(signal.SIGTERM)
        assert process.process.wait(DEADLINE) == 130
        assert client.rest() in (b"", b"421 4.3.2 service is shutting down, try again later\r\n")


@pytest.mark.parametrize("name", ["task", "thread"])
def test_the_server_is_lost_while_a_rule_waits(tmp_path: Path, name: str) -> None:
    """The client is told at once."""
    server = Server()
    with service(tmp_path, RULES, server) as process:
        with begin(process, name) as client:
            process.wait_for("^waits$")
            server.gone = True
            client.expect(b"421 4.4.2 ...")
            assert client.rest() == b""
        assert_left_once(process)
        process.signal(signal.SIGTERM)
        assert_ends(process, DEADLINE)
        assert "Traceback" not in process.said()


def test_the_client_is_gone_while_a_rule_waits(tmp_path: Path) -> None:
    """Nobody waits for the verdict any more; the rule may end, and the session then does."""
    rules = RULES.replace("trio.sleep(600)", "trio.sleep(0.3)", 1)
    with service(tmp_path, rules) as process:
        with begin(process, "task") as client:
            process.wait_for("^waits$")
        del client
        assert_left_once(process)
        process.signal(signal.SIGTERM)
        assert_ends(process, DEADLINE)
        assert "Traceback" not in process.said()


def test_a_client_that_is_gone_does_not_keep_the_service(tmp_path: Path) -> None:
    with service(tmp_path, RULES) as process:
        with begin(process, "task"):
            process.wait_for("^waits$")
        process.signal(signal.SIGTERM)
        assert_ends(process, GRACE + DEADLINE)
        assert_left_once(process)


def test_disconnect_fails(tmp_path: Path) -> None:
    """The log says so, and the other rules are told all the same."""
    with service(tmp_path, RULES.replace("def disconnect", FAILS + "\ndef disconnect")) as process:
        with begin(process) as client:
            client.expect(b"250 ok")
            client.send(b"QUIT")
            client.expect(b"221 bye")
        process.wait_for(r"rule failed.* phase=disconnect rule=rules\.fails where=rules\.py:\d+")
        assert_left_once(process)
        process.signal(signal.SIGTERM)
        assert_ends(process, DEADLINE)


@pytest.mark.slow
@pytest.mark.parametrize("late", [LATE, LATE_IN_A_THREAD], ids=["task", "thread"])
@pytest.mark.parametrize("quits", [True, False])
def test_disconnect_is_late(tmp_path: Path, late: str, quits: bool) -> None:
    """The client does not wait for it, nor does the end of the service for longer than the grace period."""
    with service(tmp_path, RULES + late) as process:
        with begin(process) as client:
            client.expect(b"250 ok")
            if quits:
                client.send(b"QUIT")
                client.expect(b"221 bye")
                assert client.rest() == b""
        process.wait_for("^waits$")
        with begin(process) as other:
            other.expect(b"250 ok")
        process.signal(signal.SIGTERM)
        assert_ends(process, GRACE + 2 * DEADLINE / 2)
