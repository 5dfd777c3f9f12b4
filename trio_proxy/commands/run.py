"""Runs the service with the given options, and returns its exit status."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click
import structlog
import trio

from sansio_smtp import CLIENT, SERVER, Dialect, Networks
from sansio_smtp.rules import Host
from sansio_smtp.rules.lint.problems import RuleError
from trio_proxy.account.kept import KeptMail
from trio_proxy.driver.accepting import accept_by_task
from trio_proxy.driver.arrival import Arrivals
from trio_proxy.driver.listening import Given, ListenError, listening, nothing_given
from trio_proxy.driver.pool import Pool
from trio_proxy.driver.reactor import AVAILABLE, Reactor
from trio_proxy.driver.resolver import resolve_in_own_threads
from trio_proxy.driver.server import Server, stop_on_signals
from trio_proxy.driver.settings import Settings
from trio_proxy.driver.streams import SocketStream, Stream
from trio_proxy.driver.sweep import Sweep
from trio_proxy.process.limits import raise_descriptor_limit
from trio_proxy.process.manager import Manager
from trio_proxy.process.user import User
from trio_proxy.rulebook.host import RuleHost, RuleSettings
from trio_proxy.rulebook.load import LoadedRules
from trio_proxy.rulebook.reload import RuleBook
from trio_proxy.rulebook.tasks import RuleTasks, rule_tasks
from trio_proxy.rulebook.token_rule import TokenRule
from trio_proxy.settings.core_config import core_config
from trio_proxy.settings.options import Options
from trio_proxy.storage.maildir import Maildir, left_over
from trio_proxy.storage.quarantine import Quarantine
from trio_proxy.storage.spool import FileSpool
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination
from trio_proxy.text.output import hurry, write_line
from trio_proxy.text.serving import serving
from trio_proxy.text.unraisable import unraisable_in_log
from trio_proxy.workers.seat import Seat
from trio_proxy.workers.supervisor import PATIENCE_SECONDS

from . import exit_status
from .admin import NoAdmin, admin_of, certificate_expiry, open_admin
from .banner import banner
from .cautions import cautions, silenced
from .limits import Limits
from .log import ServiceLog
from .logins import LoginRules, logins_or_problems
from .reloading import Loading
from .rule_problems import placed
from .security import Security, security_or_problems, validity_problems
from .settings_problems import settings_problems
from .tracing import tracing_of
from .upstreams import Upstreams

if TYPE_CHECKING:
    from trio_proxy.admin.service import Admin
    from trio_proxy.captured.certificate import Published
    from trio_proxy.login.logins import Logins

__all__ = ["ListenError", "Options", "run"]

log = structlog.stdlib.get_logger("smtp_proxy")
_MOST_ROUTES = 1_000
_DOMAIN = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
"""RFC 5321 §4.1.2."""
_PLAIN = Address()


def run(options: Options) -> int:
    """Runs the service until it is stopped, and returns the exit status. Raises `ListenError`, `RuleError`,
    and KeyboardInterrupt before it listens."""
    hurry()
    seat = Seat.of_environment()
    service_log = ServiceLog.configured(options, None if seat is None else seat.log_key)
    raise_descriptor_limit()
    try:
        return trio.run(_main, options, seat or Manager(), service_log)
    except (RuleError, ListenError) as error:
        if seat is None or seat.is_of_start:
            raise
        seat.cannot_start(map(str, error.problems if isinstance(error, RuleError) else [error]))
        return exit_status.CONFIG


async def _main(options: Options, overseer: Seat | Manager, service_log: ServiceLog) -> int:
    stop = trio.Event()
    quit_now = False
    cannot_start: RuleError | None = None
    with ExitStack() as stack:
        stack.enter_context(unraisable_in_log())
        bound: tuple[dict[socket.socket, Address], Given] | None = None
        if options.user is not None:
            bound = _bound(options, overseer, stack)
            User.named(options.user).become()
        token_host = _TokenHost()
        loading = Loading(options, overseer.is_first, overseer.number)
        security, book, logins = _load_all(options, loading, stack, token_host)
        for text in silenced(options) if loading.says else ():
            service_log.warn_anyway(text)
        asked, pages = bound or _bound(options, overseer, stack)
        overseer.check()
        listeners = {sock: bound_address(sock, address) for sock, address in asked.items()}
        sockets = list(listeners)
        built_in: Destination | None = None
        capture: Server | None = None
        kept: KeptMail | None = None
        capture_sockets: list[socket.socket] = []
        if not options.upstream:
            kept = KeptMail()
            capture, published = _capture_server(options.capture, kept)
            capture_sockets = stack.enter_context(listening(Address("127.0.0.1", 0)))
            built_in = Destination(bound_address(capture_sockets[0]))
            service_log.tells_of_capture()
            _publish_certificate(security, published)
        resolve_in_own_threads()
        async with (
            serving(gathers=True),
            rule_tasks(stack, lambda: exit_status.INTERRUPTED if quit_now else 0) as rules,
        ):
            reactor = _reactor(options)
            stream = SocketStream if reactor is None else reactor.stream
            here = [*listeners.values()]
            admin = admin_of(options, pages, overseer.tell)
            admin.watch("smtp_proxy_certificate_expires_seconds", partial(certificate_expiry, security))
            to_servers = admin.counted(SERVER, stream)
            upstreams = Upstreams(to_servers, asked, here, security, logins, built_in)
            limits = Limits(options, overseer.shared)
            settings = _settings(options, upstreams, book, rules, reactor, admin, limits, kept)
            admin.watch("smtp_proxy_limit_hits_total", limits.hits.readings)
            admin.watch("smtp_proxy_reloads_total", book.readings)
            admin.watch("smtp_proxy_held_bytes", lambda: [((), limits.held.octets)])
            arrivals, lmtp = Arrivals(settings), Arrivals(settings.for_clients(Dialect.LMTP))
            server = Server(
                session=arrivals.session,
                tls_session=arrivals.tls_session,
                stream=admin.counted(CLIENT, stream),
                accept=accept_by_task if reactor is None else reactor.accept,
                max_connections=options.max_connections,
                total=None if overseer.shared is None else overseer.shared.clients,
                grace=options.grace,
                guard=limits.guard,
                hits=limits.hits,
                numbers=overseer.numbers,
            )

            def replace(loaded: LoadedRules) -> None:
                nonlocal settings
                assert isinstance(loaded.origin, Options)
                settings = _as_verbose_as(loaded.origin, upstreams.used_by(settings, loaded.origin))
                settings = limits.change(loaded.origin, settings, server)
                service_log.be_as_verbose_as(loaded.origin)
                arrivals.use(settings)
                lmtp.use(settings.for_clients(Dialect.LMTP))
                loading.done()

            book.tell(replace)
            stack.enter_context(settings.rule_settings.watchdog.installed())
            token_host.serve(settings.rule_settings)
            async with trio.open_nursery() as nursery:
                if reactor is not None:
                    await nursery.start(reactor.run)
                if settings.pool is not None:
                    await nursery.start(settings.pool.serve)
                if settings.sweep is not None:
                    await nursery.start(settings.sweep.run)

                def at_once() -> None:
                    nonlocal quit_now
                    quit_now = True
                    server.quits()
                    nursery.cancel_scope.cancel(reason="a second signal")

                await nursery.start(stop_on_signals, stop, at_once)
                nursery.start_soon(admin.serve)
                await _watch_certificates(security, loading, nursery)
                try:
                    await nursery.start(partial(book.serve, watch=options.reload))
                except RuleError as error:
                    cannot_start = error
                    nursery.cancel_scope.cancel(reason="a rule cannot start")
                    await trio.lowlevel.checkpoint()
                capture_stop = trio.Event()
                if capture is not None:
                    await nursery.start(capture.serve, capture_sockets, capture_stop)

                def stop_for_parent(hurry: bool) -> None:
                    if hurry:
                        server.hurry()
                    elif not stop.is_set():
                        server.be_patient(PATIENCE_SECONDS)
                    stop.set()

                if overseer.is_first:
                    _tell_left_over(options)
                if options.verbosity >= 0 and overseer.number <= 1:
                    for line in banner(options, listeners.values(), security, book.summary):
                        write_line(line)
                tls = [sock for sock, address in listeners.items() if address.tls]
                makers = {
                    sock: lmtp.tls_session if address.tls else lmtp.session
                    for sock, address in listeners.items()
                    if address.lmtp
                }
                admin.ready_until(stop)
                nursery.start_soon(
                    overseer.serve,
                    stop_for_parent,
                    partial(loading.reload, book),
                    lambda: loading.not_applied,
                )
                nursery.start_soon(_tell_stop, stop, overseer.stopping)
                overseer.ready(lambda: server.clients, options.grace)
                try:
                    await server.serve(sockets, stop, tls=tls, makers=makers)
                finally:
                    overseer.stopped(server.cut_off)
                capture_stop.set()
                nursery.cancel_scope.cancel(reason="stopped")
    if cannot_start is not None:  # raised here: within the nursery it would be wrapped in an exception group
        raise cannot_start
    return exit_status.INTERRUPTED if quit_now else 0


def _bound(
    options: Options, overseer: Seat | Manager, stack: ExitStack
) -> tuple[dict[socket.socket, Address], Given]:
    """The sockets that clients connect to, with the addresses of the settings; and a function that gives the
    sockets of the admin pages. Raises `ListenError`."""
    found = {
        sock: address
        for address in options.listen
        for sock in stack.enter_context(listening(address, overseer.given))
    }
    return found, nothing_given if overseer.tell is not None else open_admin(options, stack)


async def _tell_stop(stop: trio.Event, tell: Callable[[], None]) -> None:
    await stop.wait()
    tell()


async def _watch_certificates(security: Security, loading: Loading, nursery: trio.Nursery) -> None:
    """From now on certificates are read again when their files change, and with each reload of the rules."""
    if not security.reloadable:
        return
    from trio_proxy.tls.reload import Certificates

    certificates = Certificates(security.reloadable)
    await nursery.start(certificates.serve)
    loading.read_too(certificates)


@attrs.define
class _TokenHost:
    """Calls the rules that give tokens. These rules are loaded before the host that runs them exists."""

    _host: Host = attrs.field(factory=Host, init=False)

    def serve(self, settings: RuleSettings) -> None:
        """From now on these rules are called like all others."""
        self._host = RuleHost(settings, log, None)

    def current(self) -> Host:
        return self._host


def _load_all(
    options: Options,
    loading: Loading,
    stack: ExitStack,
    token_host: _TokenHost,
) -> tuple[Security, RuleBook, Logins | None]:
    """Reads the files of TLS and of logins, and the rules. Raises `RuleError` with all mistakes in them
    and in the settings."""
    security, problems = security_or_problems(options, stack)
    problems += settings_problems(options)
    book: RuleBook | None = None
    rules: LoginRules | None = None
    try:
        book = RuleBook(loading.load, worker=loading.worker)
        checks = bool(book.current.by_phase["login"])
        rules = LoginRules(partial(_token_rules, book), checks, token_host.current)
    except RuleError as error:
        problems += [placed(options, each) for each in error.problems]
    logins, mistakes = logins_or_problems(options, rules)
    problems += mistakes
    if problems or book is None:
        raise RuleError(problems)
    if not loading.says:
        return security, book, logins
    for text in validity_problems(security, datetime.now(UTC)):
        log.warning(f"{text}. It is used anyway; peers that check it will refuse it")
    for text in cautions(options):
        if text not in silenced(options):
            log.warning(text)
    return security, book, logins


def _token_rules(book: RuleBook) -> Sequence[TokenRule]:
    return book.token_rules


def _reactor(options: Options) -> Reactor | None:
    """The reactor that reads all sockets; None if each session has a pair of tasks."""
    if options.io == "reactor" and not AVAILABLE:
        raise click.BadParameter("this system has no epoll; leave it out", param_hint="'--io'")
    if options.io == "tasks" or not AVAILABLE:
        return None
    return Reactor.for_limits(options.timeouts.shortest)


def _settings(
    options: Options,
    upstreams: Upstreams,
    book: RuleBook,
    rules: RuleTasks,
    reactor: Reactor | None,
    admin: Admin | NoAdmin,
    limits: Limits,
    kept: KeptMail | None,
) -> Settings:
    settings = Settings(
        meter=admin.meter,
        tell=admin.tell,
        kept=kept,
        tracing=tracing_of(options),
        connect=_nowhere,
        reactor=reactor,
        guard=limits.guard,
        sweep=Sweep(),
        held_total=limits.held,
        error_delay=options.error_delay,
        hits=limits.hits,
        tls=upstreams.security.for_clients,
        accept_proxy=Networks.parse(options.accept_proxy),
        config=core_config(
            options,
            trace=options.transcript,
            reconnect=True,
            keep=options.upstream_keep > 0,
            ehlo_name=_our_name(),
        ),
        pool=_pool(options),
        timeouts=options.timeouts,
        rules=book.use,
        rule_settings=RuleSettings(
            timeout=options.rule_timeout,
            on_error=options.on_rule_error,
            meter=admin.meter,
            quarantine=Quarantine(options.quarantine),
            threads=rules.threads,
            tasks=rules,
        ),
        make_spool=partial(FileSpool, options.spool) if options.spool is not None else None,
        write_transcript=write_line if options.transcript else None,
    )
    return _as_verbose_as(options, upstreams.used_by(settings, options))


def _as_verbose_as(options: Options, settings: Settings) -> Settings:
    """The same settings, with what sessions write to the log."""
    accounts = options.verbosity >= 0 or settings.tell is not None or settings.tracing is not None
    return attrs.evolve(
        settings,
        config=attrs.evolve(settings.config, account=accounts),
        show_states=options.verbosity >= 2,
    )


async def _nowhere() -> Stream:
    raise OSError("no server is known yet")


def _pool(options: Options) -> Pool | None:
    """The pool of open connections to servers; None if none is kept."""
    if not options.upstream_keep:
        return None
    return Pool(options.upstream_keep, options.upstream_keep_time, options.upstream_keep_uses)


def _capture_server(directory: Path, kept: KeptMail) -> tuple[Server, Published]:
    from trio_proxy.captured.certificate import Published
    from trio_proxy.driver.capture import CaptureSession  # 0.6 MB that few need

    try:
        maildir = Maildir(directory)
    except OSError as error:
        raise click.BadParameter(f"{directory}: {error.strerror}", param_hint="'--capture'") from None
    published = Published(directory)

    def session(client: Stream, peer: str, _: object) -> CaptureSession:
        published.restore()  # before the client is greeted, as it may want to use TLS
        return CaptureSession(client, peer, maildir, kept)

    return Server(session=session, grace=5), published


def _publish_certificate(security: Security, published: Published) -> None:
    """A certificate that is made for clients comes into a file, for applications that are to trust it."""
    if security.on_demand is not None:
        security.on_demand.tell_with(published.publish)
        if published.exists:  # an application trusts it, and would not trust the one that is made now
            security.on_demand.make()
    elif security.clients is not None and security.options.self_signed:
        published.publish(security.clients)


def _tell_left_over(options: Options) -> None:
    """Logs messages that a crash has left half written. None of them was answered 250."""
    for path in dict.fromkeys((options.capture, options.quarantine)):
        if files := left_over(path):
            text = "unfinished messages, which were not answered 250; they may be deleted"
            log.warning(text, directory=str(path / "tmp"), files=files)


def bound_address(sock: socket.socket, meant: Address = _PLAIN) -> Address:
    """The address on which a socket listens; ``meant`` is the configured address, whose port may be 0."""
    name = sock.getsockname()
    if isinstance(name, str):
        return attrs.evolve(meant, host="", port=0, path=name)
    return attrs.evolve(meant, host=name[0], port=name[1], path=None)


def _our_name() -> str:
    """The name that this service gives to servers: the name of the machine, if it is a valid domain."""
    name = socket.gethostname()
    return name if _DOMAIN.fullmatch(name) else "localhost"
