"""The recipe for two machines, when one fails: what becomes of messages, and of what is counted for both."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest
import trio
from interop_account import Account, load, upstream
from interop_haproxy import running_haproxy
from interop_postfix import free_port
from interop_proxy import Proxy
from interop_recipes import Recipe, recipe
from interop_redis import Redis, running_redis

pytestmark = [pytest.mark.interop, pytest.mark.alone]

CLIENT = "127.0.0.9"
"""The load comes from 127.0.0.1, which is not counted."""
LIMIT = 40
SETTLED = 3.0
"""Seconds without a failure after which it is over."""


@attrs.define
class Machines:
    """What stands between clients and the server."""

    folder: Path
    front: int
    recipes: list[Recipe]
    redis: Redis
    stack: ExitStack
    refusals: set[bytes] = attrs.field(factory=set[bytes])

    def start(self, number: int) -> Proxy:
        folder = self.folder / f"{number}-{time.monotonic_ns()}"
        folder.mkdir()
        (self.folder / f"{number}.toml").write_text(self.recipes[number].files["smtp-proxy/proxy.toml"])
        proxy = Proxy.run(folder, *self.recipes[number].program)
        self.stack.callback(proxy.process.kill)
        proxy.wait_for("Press Ctrl-C")
        return proxy

    def send_counted(self, times: int) -> int:
        """So many messages of the client that is counted; how many were accepted."""
        accepted = 0
        for _ in range(times):
            with smtplib.SMTP("127.0.0.1", self.front, "me.example", 10, (CLIENT, 0)) as client:
                try:
                    client.sendmail("a@example.com", ["b@example.com"], b"X-Number: 0\r\n\r\nhello\r\n")
                    accepted += 1
                except smtplib.SMTPSenderRefused as error:
                    self.refusals.add(error.smtp_error)
        return accepted


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be ended after the test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with running_redis(tmp_path) as redis:
        yield redis


def cooked(folder: Path, redis: Redis, stack: ExitStack, server: int) -> Machines:
    """The recipe, with addresses of this machine, a limit that is soon reached, and a plain server."""
    front, pages = free_port(), (free_port(), free_port())
    ports = (free_port(), free_port())
    common = {
        "10.0.0.1:25": f"127.0.0.1:{front}",
        "10.0.0.1": "127.0.0.1",
        "10.0.0.5:6379": f"127.0.0.1:{redis.port}",
        "127.0.0.1:10025": f"127.0.0.1:{server}",
        'send_client = "xclient"': 'send_client = "none"',
        "messages = { minute = 60 }": f'messages = {{ day = {LIMIT} }}\nexempt = ["127.0.0.1"]',
        **{
            f"10.0.0.1{number + 1}:25 port 9025": f"127.0.0.1:{ports[number]} port {pages[number]}"
            for number in range(2)
        },
    }
    recipes = [
        recipe(
            "Two machines",
            common
            | {
                "0.0.0.0:25": f"127.0.0.1:{ports[number]}",
                "0.0.0.0:9025": f"127.0.0.1:{pages[number]}",
                "--config /etc/smtp-proxy/proxy.toml": f"--config {folder}/{number}.toml",
            },
        )
        for number in range(2)
    ]
    return Machines(folder, front, recipes, redis, stack)


async def test_one_machine_is_killed_under_load(tmp_path: Path, redis: Redis, stack: ExitStack) -> None:
    account = Account()
    async with upstream(account) as server:
        machines = cooked(tmp_path, redis, stack, server)
        first = await trio.to_thread.run_sync(machines.start, 0)
        second = await trio.to_thread.run_sync(machines.start, 1)
        configuration = machines.recipes[0].files["haproxy/haproxy.cfg"]
        with running_haproxy(tmp_path, configuration, machines.front):
            async with load(account, machines.front, clients=8, pause=0.01):
                counted = await trio.to_thread.run_sync(machines.send_counted, LIMIT // 2)
                first.process.kill()
                killed = trio.current_time()
                seconds = await _until_settled(account, killed)
                before = len(account.taken)
                counted += await trio.to_thread.run_sync(machines.send_counted, LIMIT)
                after = len(account.taken) - before
                again = await trio.to_thread.run_sync(machines.start, 0)
                await trio.to_thread.run_sync(again.wait_for, "message relayed")
        relayed = [proxy.log().count("message relayed") for proxy in (first, second, again)]
        for proxy in (second, again):
            await trio.to_thread.run_sync(proxy.stop)
        first.process.wait(10)
    del account.arrived[0]  # those of the client that is counted
    print(f"\n{account}; relayed by the one killed, the other one, the one started again: {relayed}")
    print(f"kill -9 of one of two proxies: {seconds:.2f} s until no client fails any more")
    assert account.lost == set()
    assert account.doubled == set()
    assert len(account.cut) <= 8, "only those that were connected to it"
    assert account.not_connected == 0
    assert not account.deferred
    assert after > 0
    assert all(relayed)
    assert counted == LIMIT
    assert machines.refusals
    assert all(said.startswith(b"4.7.1 sending rate exceeded, try again in ") for said in machines.refusals)


async def _until_settled(account: Account, since: float) -> float:
    """Seconds from the kill to the last message that failed for it, and the next one that was taken."""
    last, failures, taken = since, _failures(account), len(account.taken)
    settled = since
    while trio.current_time() < last + SETTLED:
        await trio.sleep(0.005)
        if _failures(account) > failures:
            last, failures, taken = trio.current_time(), _failures(account), len(account.taken)
            settled = 0.0
        elif not settled and len(account.taken) > taken:
            settled = trio.current_time()
    return settled - since


def _failures(account: Account) -> int:
    return len(account.cut) + account.not_connected + account.deferred.total()
