"""Starts a proxy in a test, with an upstream server that keeps every message.

    with RunningProxy("my_rules.py") as proxy, smtplib.SMTP(proxy.host, proxy.port) as client:
        client.sendmail("ann@example.com", ["bob@example.com"], "Subject: hi\\n\\nhello\\n")
        assert proxy.messages[0].content.startswith(b"Subject: hi\\r\\nX-Scanned-By: ")

The proxy runs in a thread with an event loop of its own, so clients that block can talk to it. Every wait has
a deadline. To test rules without a network, use `sansio_smtp.testing.session`.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast
from weakref import WeakKeyDictionary

import attrs
import structlog
import trio

from sansio_smtp.config import ClientTls, Config
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.lint.problems import RuleError
from trio_proxy.driver.accepting import accept_by_task
from trio_proxy.driver.capture import CaptureSession
from trio_proxy.driver.listening import listening
from trio_proxy.driver.reactor import AVAILABLE, Reactor
from trio_proxy.driver.server import Server
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import SocketStream, connect
from trio_proxy.rulebook.host import RuleSettings
from trio_proxy.rulebook.load import LoadedRules, load
from trio_proxy.rulebook.reload import RuleBook
from trio_proxy.settings.options import DEFAULTS
from trio_proxy.settings.tables import RuleTable
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.storage.maildir import Maildir
from trio_proxy.storage.quarantine import Quarantine
from trio_proxy.text.addresses import Address
from trio_proxy.text.transcript import Transcript

from .captured import Captured, read_messages

if TYPE_CHECKING:
    from trio_proxy.tls.server_side import ServerTls

__all__ = ["Captured", "RunningProxy", "StartProxy"]

StartProxy: TypeAlias = "Callable[..., RunningProxy]"
"""The type of the fixture ``smtp_proxy``."""

_START_SECONDS: Final = 60.0
"""For the proxy to listen, including the time that rules need to start."""
_GRACE_SECONDS: Final = 1.0
"""For messages in flight when the test is over."""
_END_SECONDS: Final = 30.0
_HOST: Final = "127.0.0.1"
_IO_VARIABLE: Final = "SMTP_PROXY_IO"
_HUNG_UP: Final = "hung up by the test"


class RunningProxy:
    """A proxy with these rules, from `start` to `stop` or as a context manager.

    ``rules``: files, ``ready:NAME``, modules, functions, rule classes or instances, or a list of these.
    ``settings``: those of the rule classes, as in ``{"greylist": {"delay": 5}}``. ``directory``:
    where messages are kept; None: in a temporary directory, which is removed by `stop`. ``io``: how sockets
    are read, as the service's option says; None: as ``SMTP_PROXY_IO`` says, or the service's default.

    If a rule fails, `stop` raises its error, unless ``on_rule_error`` is given: then failures are expected. A
    rule may redirect to any server: all messages come to this one, see `Captured.upstream`. The server
    refuses recipients that begin with ``refused``. A rule that blocks is not interrupted, as it would be in
    the service.

    With ``tls`` STARTTLS is offered, or has to be used (``"encrypt"``), with a certificate that is made for
    this proxy: clients trust it if they are given `ca_file`.

    With ``upstream``, such as ``"127.0.0.1:2526"``, the proxy uses that server, and `messages` stays empty:
    for a test of what clients hear if a server hangs or closes.
    """

    host = _HOST
    port: int

    def __init__(
        self,
        rules: object = (),
        *,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        rule_timeout: float = DEFAULTS.rule_timeout,
        on_rule_error: OnError | None = None,
        config: Config | None = None,
        timeouts: Timeouts | None = None,
        directory: Path | None = None,
        tls: Literal["may", "encrypt"] | None = None,
        io: Literal["reactor", "tasks"] | None = None,
        upstream: str | None = None,
    ) -> None:
        """Raises `RuleError`; ValueError if an option has no such value."""
        self._book = RuleBook(partial(_load, rules, settings or {}))
        self._config = attrs.evolve(config or Config(reconnect=True), trace=True)
        if tls not in (None, "may", "encrypt"):
            raise ValueError(f'tls is "may" (clients may use STARTTLS) or "encrypt" (they must), not {tls!r}')
        if tls is not None:
            self._config = attrs.evolve(self._config, tls=ClientTls(tls))
        self._tls: ServerTls | None = None
        self.ca_file: Path | None = None
        """With ``tls``, the certificate that clients have to trust; it is valid for `host` and localhost."""
        self._timeouts = timeouts or Timeouts()
        self._rule_timeout = rule_timeout
        self._on_rule_error: OnError = on_rule_error or DEFAULTS.on_rule_error
        self._failures_are_intended = on_rule_error is not None
        self._given_directory = directory
        self._upstream = _server_at(upstream) if upstream is not None else None
        self._io = io or os.environ.get(_IO_VARIABLE) or ("reactor" if AVAILABLE else "tasks")
        self._stack = ExitStack()
        self._thread = threading.Thread(target=self._run, name="smtp-proxy", daemon=True)
        self._settled = threading.Event()
        """Set when the proxy listens, and when it is known that it never will."""
        self._listens = False
        self._token: trio.lowlevel.TrioToken | None = None
        self._stop = trio.Event()
        self._error: BaseException | None = None
        self._clients: WeakKeyDictionary[socket.socket, int] = WeakKeyDictionary()
        """Client → the number of its connection."""
        self._hung_up: set[str] = set()
        """The connections that `hang_up` has closed, as the log calls them."""
        self._upstreams: dict[str, str] = {}
        """The local address of a connection to the server → the server that a rule has named."""
        self.transcript: list[str] = []
        """Both legs of each dialogue, and what rules did, as ``--transcript`` shows it."""
        self.log: list[MutableMapping[str, Any]] = []
        """What the proxy has logged; ``event`` is the text, ``level`` such as ``"error"``."""

    def start(self) -> RunningProxy:
        """Returns when the proxy listens. Raises the error that keeps it from listening."""
        directory = self._given_directory
        if directory is None:
            made = tempfile.TemporaryDirectory(prefix="smtp-proxy-test-")
            directory = Path(self._stack.enter_context(made))
        if self._config.tls is not ClientTls.NONE:
            self._make_certificate()
        self._maildir = Maildir(directory / "messages")
        self._quarantine = directory / "quarantine"
        self._thread.start()
        if not self._settled.wait(_START_SECONDS) or not self._listens:
            error = self._stopped() or TimeoutError(f"the proxy does not listen after {_START_SECONDS:g} s")
            self._stack.close()
            raise error
        return self

    def stop(self) -> None:
        """Ends the proxy, with one second for messages in flight. Raises the errors of the proxy and of its
        rules, several of them as a group."""
        errors = [error] if (error := self._stopped()) is not None else []
        errors += self._logged_errors()
        self._stack.close()
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("errors in the proxy", errors)

    def __enter__(self) -> RunningProxy:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except BaseException as own:
            if error is None:
                raise
            said = "".join(traceback.format_exception(type(own), own, own.__traceback__, chain=False))
            error.add_note(f"In the proxy: {said}")

    @property
    def messages(self) -> list[Captured]:
        """The messages that the server has accepted, oldest first. When a client has read the 250 to a
        message, the message is here."""
        return read_messages(self._maildir.path, self._upstreams)

    @property
    def held(self) -> list[Captured]:
        """The messages that rules have put into quarantine, oldest first."""
        return read_messages(self._quarantine, {})

    def _make_certificate(self) -> None:
        from trio_proxy.tls.self_signed import self_signed  # cryptography takes a tenth of a second to import
        from trio_proxy.tls.server_side import ServerTls

        pair = self._stack.enter_context(self_signed([_HOST, "localhost"]))
        self.ca_file = pair.certificate
        self._tls = ServerTls.load([pair])

    def hang_up(self) -> None:
        """Closes the connections of all clients without a reply, as they close if a server crashes. A rule
        may call it, or the test. The transcript and the log say so."""
        for sock, number in [*self._clients.items()]:
            with suppress(OSError):  # it is closed already
                sock.getpeername()
                self._hung_up.add(f"c{number}")
                Transcript(number, self.transcript.append).note(_HUNG_UP)
                sock.shutdown(socket.SHUT_RDWR)

    # The thread

    def _noted(self, client: SocketStream, number: int) -> SocketStream:
        self._clients[client.sock] = number
        return client

    def _run(self) -> None:
        try:
            with self._logging():
                trio.run(self._main)
        except BaseException as error:  # `stop` raises it
            self._error = error
        finally:
            self._settled.set()

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        cannot_start: RuleError | None = None
        with ExitStack() as stack:
            server_sockets = stack.enter_context(listening(Address(_HOST, 0)))
            front = stack.enter_context(listening(Address(_HOST, 0)))
            capture = Server(
                session=lambda client, peer, _: CaptureSession(client, peer, self._maildir),
                grace=_GRACE_SECONDS,
            )
            reactor = Reactor.for_limits(self._timeouts.shortest) if self._io == "reactor" else None
            stream = SocketStream if reactor is None else reactor.stream
            upstream = self._upstream or Address(*server_sockets[0].getsockname())
            settings = self._settings(upstream, reactor, stream)
            server = Server(
                session=lambda client, peer, number: Session(
                    self._noted(client, number), peer, number, settings
                ),
                stream=stream,
                accept=accept_by_task if reactor is None else reactor.accept,
                grace=_GRACE_SECONDS,
            )
            capture_stop = trio.Event()
            async with trio.open_nursery() as nursery:
                if reactor is not None:
                    await nursery.start(reactor.run)
                try:
                    await nursery.start(self._book.serve)
                except RuleError as error:
                    cannot_start = error
                else:
                    await nursery.start(capture.serve, server_sockets, capture_stop)
                    self.port = front[0].getsockname()[1]
                    self._listens = True
                    self._settled.set()
                    nursery.start_soon(self._end, nursery.cancel_scope)
                    await server.serve(front, self._stop)
                    capture_stop.set()
                nursery.cancel_scope.cancel(reason="the test is over")
        if cannot_start is not None:  # raised here because the nursery would raise a group
            raise cannot_start

    async def _end(self, scope: trio.CancelScope) -> None:
        await self._stop.wait()
        scope.deadline = trio.current_time() + _GRACE_SECONDS  # clients that stay do not hold up the tests

    def _settings(
        self, server: Address, reactor: Reactor | None, make_stream: Callable[[socket.socket], SocketStream]
    ) -> Settings:
        async def connect_to(upstream: str) -> SocketStream:
            stream = await connect(server, make_stream)
            self._upstreams[str(Address(*stream.sock.getsockname()))] = upstream
            return stream

        return Settings(
            connect=partial(connect, server, make_stream),
            connect_to=connect_to,
            reactor=reactor,
            config=self._config,
            tls=self._tls,
            timeouts=self._timeouts,
            rules=self._book.use,
            rule_settings=RuleSettings(
                timeout=self._rule_timeout,
                on_error=self._on_rule_error,
                quarantine=Quarantine(self._quarantine),
            ),
            write_transcript=self.transcript.append,
        )

    @contextmanager
    def _logging(self) -> Generator[None]:
        """Collects what is logged in this thread. The log goes where it is configured to go as well."""
        thread = threading.get_ident()

        def note(_: object, level: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
            if threading.get_ident() == thread:
                if entry["event"] == "connection lost" and entry.get("conn") in self._hung_up:
                    entry["error"] = _HUNG_UP
                noted = {**entry, "level": level}
                if noted.get("exc_info") is True:
                    noted["exc_info"] = sys.exception()
                self.log.append(noted)
            return entry

        processors = cast("Sequence[Any]", structlog.get_config()["processors"])
        if not isinstance(processors, list):
            processors = [*processors]
            structlog.configure(processors=processors)
        processors.insert(0, note)  # in place: loggers that exist already use this list object
        try:
            yield
        finally:
            if note in processors:  # a test may have put back the former list
                processors.remove(note)

    def _stopped(self) -> BaseException | None:
        """Ends the thread. Returns the error that ended it, or a TimeoutError if it does not end."""
        if self._token is not None and self._thread.is_alive():
            with suppress(trio.RunFinishedError):  # the event loop has just ended
                self._token.run_sync_soon(self._stop.set)
        self._thread.join(_END_SECONDS)
        if not self._thread.is_alive():
            return self._error
        frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # it is documented
        frame = frames.get(self._thread.ident or 0)
        where = "".join(traceback.format_stack(frame)) if frame else ""
        return TimeoutError(f"the proxy did not stop within {_END_SECONDS:g} s; it is here:\n{where}")

    def _logged_errors(self) -> list[BaseException]:
        """Internal errors, and failures of rules unless these are expected."""
        found: list[BaseException] = []
        for entry in self.log:
            intended = entry["event"] == "rule failed" and self._failures_are_intended
            if isinstance(error := entry.get("exc_info"), BaseException) and not intended:
                found.append(error)
        return found


def _server_at(text: str) -> Address:
    server = Address.parse(text)
    if server.tls or server.lmtp:
        raise ValueError(f"upstream is HOST:PORT or unix:PATH, without TLS and LMTP, not {text!r}")
    return server


def _load(rules: object, settings: Mapping[str, Mapping[str, Any]]) -> LoadedRules:
    """Loads all together, as the service does its files. The rules are in the order of ``rules``."""
    things = list(cast("Sequence[object]", rules)) if isinstance(rules, list | tuple) else [rules]
    tables = {name: RuleTable(_as_in_file(dict(table)), {}, "settings") for name, table in settings.items()}
    specs = [str(thing) if isinstance(thing, Path) else thing for thing in things]
    return load(specs, tables, where_settings_go=_where_settings_go)


def _where_settings_go(name: str, keys: Sequence[str]) -> str:
    table = ", ".join(f'"{key}": ...' for key in keys)
    return f'give smtp_proxy(..., settings={{"{name}": {{{table}}}}})'


def _as_in_file(value: Any) -> Any:
    """The value with lists for tuples and sets, which a settings file does not have."""
    if isinstance(value, dict):
        return {key: _as_in_file(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_in_file(item) for item in cast("Iterable[Any]", value)]
    return value
