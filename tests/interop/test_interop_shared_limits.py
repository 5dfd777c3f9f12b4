"""Limits hold for all workers together. Each client is served by the worker that is not stopped."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from interop_daemon import children_of
from interop_proxy import Proxy
from test_interop_workers import reload, started, until, until_all_serve

from trio_proxy.workers.asking import ask

pytestmark = [pytest.mark.interop, pytest.mark.any_io]  # how sockets are read makes no difference

SECONDS = 30.0
SERVED = "220"
MANY = "421 4.7.0 too many connections from your network, try again later"
MANY_NEW = "421 4.7.0 too many new connections from your network, try again later"
MANY_MESSAGES = "421 4.7.0 too many messages from your network, try again later"
MANY_IN_ALL = "421 4.3.2 too many connections, try again later"


def config(directory: Path, limits: str, server: str = "") -> Path:
    file = directory / "proxy.toml"
    file.write_text(
        f'[server]\nlisten = "127.0.0.1:0"\nworkers = 2\ncontrol = "control"\ngrace = 5\n{server}'
        f'[limits]\nexempt_networks = "192.0.2.0/24"\n{limits}'
    )
    return file


class Clients:
    """Connections that stay, from networks 127.0.0.N."""

    def __init__(self, port: int, stack: ExitStack) -> None:
        self.port, self._stack = port, stack

    def come(self, *networks: int) -> list[str]:
        """What each is told, in its first line; 220 stands for a greeting."""
        return [self._one(network) for network in networks]

    def _one(self, network: int) -> str:
        here = (f"127.0.0.{network}", 0)
        sock = socket.create_connection(("127.0.0.1", self.port), SECONDS, here)
        self._stack.enter_context(sock)
        line = sock.makefile("rb").readline().decode().strip()
        return SERVED if line.startswith(SERVED) else line


def status(file: Path) -> str:
    return str(ask(file.with_name("control"), "status", SECONDS)["status"])


@contextmanager
def only(proxy: Proxy, serves: int) -> Iterator[None]:
    """Of the workers this one alone accepts clients."""
    others = [worker for worker in children_of(proxy.process.pid) if worker != serves]
    for worker in others:
        os.kill(worker, signal.SIGSTOP)
        while Path(f"/proc/{worker}/stat").read_text().rpartition(") ")[2][0] != "T":
            os.sched_yield()
    try:
        yield
    finally:
        for worker in others:
            os.kill(worker, signal.SIGCONT)


async def test_connections_are_those_of_all_workers_and_go_with_a_killed_one(tmp_path: Path) -> None:
    file = config(tmp_path, "max_network_connections = 4\n", "max_connections = 6\n")
    with ExitStack() as stack, started(file) as proxy:
        await until_all_serve(file)
        clients, (one, other) = Clients(proxy.port, stack), children_of(proxy.process.pid)
        with only(proxy, one):
            assert clients.come(2, 2, 2) == [SERVED] * 3
        with only(proxy, other):
            assert clients.come(2, 2, 3, 4) == [SERVED, MANY, SERVED, SERVED]
            assert clients.come(5) == [MANY_IN_ALL]
        os.kill(one, signal.SIGKILL)
        await until(lambda: "a worker has crashed" in proxy.log())
        await until_all_serve(file)
        assert clients.come(2, 2, 2, 2) == [SERVED, SERVED, SERVED, MANY_IN_ALL]
        config(tmp_path, "max_network_connections = 5\n", "max_connections = 20\n")
        assert (await reload(file, "--only")).returncode == 0
        assert proxy.log().count("limits reloaded") == 2
        assert clients.come(2, 2) == [SERVED, MANY]
        stack.close()


async def test_rates_are_those_of_all_workers_and_of_those_before_them(tmp_path: Path) -> None:
    file = config(tmp_path, 'connection_rate = "3/1h"\nmessage_rate = "2/1h"\nmax_network_connections = 3\n')
    with ExitStack() as stack, started(file) as proxy:
        await until_all_serve(file)
        clients, (one, other) = Clients(proxy.port, stack), children_of(proxy.process.pid)
        with only(proxy, one):
            assert clients.come(2, 2) == [SERVED] * 2
            with smtplib.SMTP("127.0.0.1", proxy.port, "x", SECONDS, ("127.0.0.3", 0)) as client:
                for _ in range(2):
                    client.sendmail("a@me.example", "b@mx.example", b"hello\r\n")
                await until(lambda: "; 3 clients" in status(file))
            await until(lambda: "; 2 clients" in status(file))
        with only(proxy, other):
            assert clients.come(2, 2) == [SERVED, MANY]
            assert clients.come(3) == [MANY_MESSAGES]
        assert (await reload(file)).returncode == 0
        assert clients.come(2) == [MANY]  # the workers that take no more clients still have theirs
        stack.close()
        await until(lambda: len(children_of(proxy.process.pid)) == 2)
        assert not {one, other} & set(children_of(proxy.process.pid))
        assert clients.come(2, 3) == [MANY_NEW, MANY_MESSAGES]
        os.kill(children_of(proxy.process.pid)[0], signal.SIGKILL)
        await until(lambda: "a worker has crashed" in proxy.log())
        assert clients.come(2, 3, 4) == [MANY_NEW, MANY_MESSAGES, SERVED]
        stack.close()
