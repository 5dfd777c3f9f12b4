"""A service of many processes, each of which can be killed and is started again.

::

    clients ──> HAProxy ──> smtp-proxy, a parent and two workers ──> a server that keeps messages
                               │          │
                             Redis      Rspamd
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs
from interop_daemon import Daemon, children_of
from interop_failover import Keeper
from interop_haproxy import running_haproxy
from interop_ledger import Ledger, load
from interop_postfix import free_port
from interop_recipes import recipe
from interop_redis import running_redis
from interop_rspamd import running_rspamd

from trio_proxy.workers.asking import ask

__all__ = ["KILLS", "Service", "kill_in_turn", "running_service"]

RESTART = 0.1
"""Seconds after which systemd starts again what has failed (RestartSec)."""
SECONDS = 60.0
WORKERS = 2
SETTINGS = """
[server]
listen = "127.0.0.1:{port}"
accept_proxy = "127.0.0.1"
upstream = "{upstream}"
workers = {workers}
control = "{control}"
grace = 5

[rules]
files = ["ready:shared_rate_limit", "ready:rspamd"]

[rules.shared_rate_limit]
url = "{redis}"
messages = {{ minute = 1000000 }}
on_down = "defer"

[rules.rspamd]
url = "http://127.0.0.1:{rspamd}"
"""


@attrs.define(eq=False)
class Service:
    port: int
    """Of HAProxy, where clients connect."""
    control: Path
    parent: Daemon
    keeper: Keeper
    redis: Daemon
    rspamd: Daemon
    haproxy: Daemon
    workers: set[int] = attrs.field(factory=set[int])
    """All that were ever seen."""

    def wait_until_whole(self) -> None:
        deadline = time.monotonic() + SECONDS
        while not self._is_whole():
            assert time.monotonic() < deadline, f"the workers do not come back:\n{self.parent.output()}"
            time.sleep(0.05)
        self.workers.update(children_of(self.parent.pid))
        for daemon in (self.parent, self.keeper.daemon, self.redis, self.rspamd, self.haproxy):
            assert daemon.lives, f"{daemon.command[0]} has ended by itself:\n{daemon.output()}"

    def complaints(self) -> list[str]:
        """What the proxy has logged that no kill of anything may cause."""
        lines = self.parent.output().splitlines()
        return [line for line in lines if "internal error" in line or "Traceback" in line]

    def _is_whole(self) -> bool:
        wanted = f"{WORKERS} of {WORKERS} workers"
        with suppress(OSError):  # it does not listen yet
            return str(ask(self.control, "status", 1)["status"]).startswith(wanted)
        return False

    def kill_a_worker(self) -> None:
        """The oldest."""
        os.kill(children_of(self.parent.pid)[0], signal.SIGKILL)

    def end_workers(self) -> None:
        """All are to have ended, those of parents that were killed too."""
        deadline = time.monotonic() + SECONDS
        while left := [worker for worker in self.workers if Path(f"/proc/{worker}").exists()]:
            if time.monotonic() >= deadline:
                _end(left)
                raise AssertionError(f"workers have outlived their parent by {SECONDS:.0f} s: {left}")
            time.sleep(0.05)


def _end(processes: list[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _with_children(daemon: Daemon) -> None:
    """As systemd does with what a service leaves, if it is killed."""
    children = children_of(daemon.pid)
    daemon.kill()
    _end(children)


KILLS: Final[dict[str, tuple[Callable[[Service], None], Callable[[Service], Daemon] | None]]] = {
    "parent": (lambda service: service.parent.kill(), lambda service: service.parent),
    "parent and workers": (lambda service: _with_children(service.parent), lambda service: service.parent),
    "worker": (Service.kill_a_worker, None),
    "upstream": (lambda service: service.keeper.daemon.kill(), lambda service: service.keeper.daemon),
    "Redis": (lambda service: service.redis.kill(), lambda service: service.redis),
    "Rspamd": (lambda service: _with_children(service.rspamd), lambda service: service.rspamd),
    "HAProxy": (lambda service: service.haproxy.kill(), lambda service: service.haproxy),
}
"""Name → what kills it, and what has to be started again; nothing if the service does that itself."""


def kill_in_turn(service: Service, ledger: Ledger, *, clients: int, messages: int, rounds: int) -> None:
    """Kills each part so many times, evenly over so many messages that are accepted. The next one is killed
    when all is back."""
    kills = [*KILLS] * rounds
    with load(service.port, ledger, clients):
        for place, what in enumerate(kills, 1):
            ledger.wait_for(messages * place // (len(kills) + 1))
            kill, dead = KILLS[what]
            period = ledger.begin(what, is_sure=what != "upstream")
            kill(service)
            period.killed = time.monotonic()
            if dead is not None:
                time.sleep(RESTART)
                dead(service).start()
            ledger.wait_until(lambda period=period: period.back is not None, f"a message after {what}")
            service.wait_until_whole()
        ledger.wait_for(messages)


@contextmanager
def running_service(directory: Path) -> Iterator[Service]:
    """All has ended after it, whatever has happened. ``directory`` must be open for all users."""
    with ExitStack() as stack:
        for name in ("redis", "rspamd", "haproxy"):
            (directory / name).mkdir()
        keeper = Keeper.at(directory / "server")
        stack.callback(keeper.daemon.kill)
        keeper.daemon.start()
        redis = stack.enter_context(running_redis(directory / "redis"))
        rspamd = stack.enter_context(running_rspamd(directory / "rspamd"))
        front, back = free_port(), free_port()
        control, file = directory / "control", directory / "proxy.toml"
        file.write_text(
            SETTINGS.format(
                port=back,
                upstream=keeper.address,
                workers=WORKERS,
                control=control,
                redis=redis.url,
                rspamd=rspamd.port,
            )
        )
        command = [sys.executable, "-m", "trio_proxy", "--config", str(file)]
        parent = Daemon(command, directory / "proxy.log", ("127.0.0.1", back))
        # HAProxy as docs/how-to/recipes.md has it.
        addresses = {
            "10.0.0.1:25": f"127.0.0.1:{front}",
            "10.0.0.11:25": f"127.0.0.1:{back}",
        }
        configuration = recipe("After HAProxy", addresses).files["haproxy/haproxy.cfg"]
        parent.start()
        stack.callback(parent.stop)
        haproxy = stack.enter_context(running_haproxy(directory / "haproxy", configuration, front))
        service = Service(front, control, parent, keeper, redis.daemon, rspamd.daemon, haproxy)
        stack.callback(service.end_workers)
        stack.callback(parent.stop)
        service.wait_until_whole()
        yield service
