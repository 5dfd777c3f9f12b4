"""Runs the parent of the workers (``--workers``), and returns the exit status of the service."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import attrs
import click
import trio

from sansio_smtp.rules.lint.problems import RuleError
from trio_proxy.driver.listening import Given, ListenError, listening, nothing_given
from trio_proxy.process.limits import raise_descriptor_limit
from trio_proxy.process.manager import Manager
from trio_proxy.process.user import User
from trio_proxy.settings.choose import reread
from trio_proxy.settings.options import Options
from trio_proxy.text.addresses import Address
from trio_proxy.text.output import hurry
from trio_proxy.text.serving import serving
from trio_proxy.text.unraisable import unraisable_in_log
from trio_proxy.workers.control import open_control, serve_control
from trio_proxy.workers.parent import Parent, Plan
from trio_proxy.workers.processes import start_process
from trio_proxy.workers.rows import Rows

from .admin import admin_of_parent, open_admin
from .log import ServiceLog, make_key
from .reloading import needing_new_parent

__all__ = ["supervise"]


def supervise(options: Options) -> int:
    """Runs the service until it is stopped, and returns the exit status. Raises `ListenError` and `UserError`
    before it listens."""
    hurry()
    key = make_key()
    service_log = ServiceLog.configured(options, key)
    raise_descriptor_limit()
    return trio.run(_main, options, service_log, key)


async def _main(options: Options, service_log: ServiceLog, log_key: bytes) -> int:
    manager = Manager()
    with ExitStack() as stack:
        stack.enter_context(unraisable_in_log())
        planner = _Planner(options, manager.given)
        stack.callback(planner.close)
        plan = planner.plan()
        manager.check()
        pages = open_admin(options, stack)
        control = None if options.control is None else _control(options.control, stack)
        if options.user is not None:
            user = User.named(options.user)
            if options.control is not None:
                user.own(options.control)
            user.become()
        async with serving(), trio.open_nursery() as nursery:
            rows = Rows(plan.count)
            start = partial(start_process, rows=rows, log_key=log_key)
            parent = Parent(plan, planner, grace=options.grace, start=start, notifier=manager.notifier)
            parent.when_gone(rows.gone)
            parent.when_reloaded(partial(_be_as_verbose_as_workers, service_log, options))
            if control is not None:
                # Without sockets the address of the pages is in use by another program.
                bound = None if pages is nothing_given else options.admin
                nursery.start_soon(serve_control, control, parent, bound)
            if (admin := admin_of_parent(options, pages)) is not None:
                parent.on("metrics", admin.told)
                parent.when_gone(admin.gone)
                nursery.start_soon(admin.serve, lambda: parent.is_serving)
            status = await parent.run()
            nursery.cancel_scope.cancel(reason="all workers have ended")
    return status


def _be_as_verbose_as_workers(service_log: ServiceLog, options: Options) -> None:
    with suppress(RuleError):  # the settings file has changed again: the next reload reports mistakes
        service_log.be_as_verbose_as(reread(options))


@attrs.define(eq=False)
class _Planner:
    """Opens and closes listening sockets by the settings."""

    options: Options
    given: Given
    """The sockets that this process was started with."""
    _open: dict[Address, tuple[ExitStack, list[socket.socket]]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._open = {}

    def plan(self) -> Plan:
        """See `trio_proxy.workers.parent.Planner`. The first time it raises `ListenError`."""
        if not self._open:
            return self._planned(self.options)
        try:
            return self._planned(reread(self.options))
        except RuleError as error:
            raise ValueError("; ".join(map(str, error.problems))) from error
        except ListenError as error:
            raise ValueError(str(error)) from error

    def settle(self, plan: Plan) -> None:
        """The sockets of other plans are closed."""
        wanted = {address for address, _ in plan.sockets}
        for address in [each for each in self._open if each not in wanted]:
            self._open.pop(address)[0].close()

    def close(self) -> None:
        """Closes all."""
        self.settle(Plan(0, ()))

    def _planned(self, options: Options) -> Plan:
        for address in options.listen:
            if address not in self._open:
                stack = ExitStack()
                self._open[address] = stack, stack.enter_context(listening(address, self.given))
        sockets = [(address, sock) for address in options.listen for sock in self._open[address][1]]
        names = ", ".join(needing_new_parent(self.options, options))
        return Plan(options.worker_count, sockets, f"{names}; restart the service" if names else "")


def _control(path: Path, stack: ExitStack) -> socket.socket:
    try:
        sock = stack.enter_context(open_control(path))
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror or error}", param_hint="'--control'") from None
    stack.callback(_unlink, path)
    return sock


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
