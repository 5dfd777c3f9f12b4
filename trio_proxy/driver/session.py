"""One client's session: sets it up, runs it, and ends it in all cases."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

import trio

from sansio_smtp import (
    CLIENT,
    ClientInfo,
    Dialect,
    Event,
    MessageAnswered,
    Origin,
    Proxy,
    SendToClient,
    WaitingFor,
)
from trio_proxy.account.account import Account
from trio_proxy.limits.guard import Guard, Network
from trio_proxy.limits.table import Limit
from trio_proxy.metrics.meter import Ending
from trio_proxy.text.session_log import SessionLog
from trio_proxy.text.transcript import Transcript

from .alone import CLOSING_SECONDS, SILENCE_SECONDS, STOPPING_SECONDS, Alone
from .conduct import Conduct
from .deadlines import Deadline
from .jobs import Host
from .judging import Judging
from .outbox import MeteredOutbox, Outbox
from .own_replies import INTERNAL_ERROR
from .relay import Relay
from .reports import Reports, joint_state
from .servers import Servers
from .settings import Judge, Settings
from .streams import Reader, Stream

if TYPE_CHECKING:  # its library is an extra
    from trio_proxy.tracing.sessions import SessionTrace

__all__ = ["Judge", "Session", "Settings"]


class Session:
    """Runs one client's dialogue from connect to close."""

    __slots__ = (
        "_account",
        "_accounts",
        "_alone",
        "_broken",
        "_client",
        "_conduct",
        "_deadline",
        "_entered",
        "_hurries",
        "_is_closing",
        "_judging",
        "_known",
        "_last_scope",
        "_log",
        "_meter",
        "_proxy",
        "_reactor",
        "_relay",
        "_reports",
        "_servers",
        "_started",
        "_sweep",
        "_trace",
        "latest_end",
    )

    latest_end: float
    """The time at which it is closed in any case: infinite before the grace period of a stop is over."""

    def __init__(
        self,
        client: Stream,
        peer: str,
        number: int,
        settings: Settings,
        known: ClientInfo | None = None,
        *,
        may_be_check: bool = False,
    ) -> None:
        """``known``: more information on the client than its address ``peer``. ``may_be_check``: it may be a
        health check, for which only warnings and errors are logged."""
        known = known or ClientInfo(address=peer)
        self._known = known
        self._log = SessionLog(f"c{number}", known)
        write = settings.write_transcript
        transcript = Transcript(number, write) if write else None
        counts, self._meter = settings.meter.counts, settings.meter.session()
        self._client = MeteredOutbox(client, self._meter.passed) if counts else Outbox(client)
        self._servers = Servers(settings, self._log)
        self._trace: SessionTrace | None = None
        if settings.tracing is not None:
            self._trace = settings.tracing.session(number, known, settings.config.client_dialect)
        if self._trace is None:
            self._account = Account(self._log, self._servers, settings.tell, settings.kept)
        else:
            self._account = self._trace.account(self._log, self._servers, settings.tell, settings.kept)
        self._reports = Reports(
            self._log,
            self._account,
            transcript,
            self._client,
            show_states=settings.show_states,
            tells_each=settings.config.client_dialect is Dialect.LMTP,
            meter=settings.meter,
            session=self._meter if counts else None,
        )
        self._judging = Judging(settings, self._log, self._account, self._trace)
        if transcript is not None:
            self._servers.note_with(self._reports.note)
        try:
            self._proxy = Proxy(
                settings.config, self._judging.ask, settings.make_spool, known, settings.held_total
            )
            if may_be_check:
                self._log.be_quiet_while(self._has_asked_for_nothing)
            self._account.knows(self._proxy)
            self._judging.begin(self._proxy, number, transcript)
        except BaseException:
            self._judging.close()
            raise
        self._deadline = Deadline(self._proxy, settings)
        self._relay = Relay(
            self._proxy,
            self._client,
            self._servers,
            self._judging,
            self._reports,
            self._deadline,
            settings,
            self._log,
        )
        self._accounts = settings.config.account and self._account.is_wanted
        self._conduct: Conduct | None = None
        self._entered: Network | None = None  # of a client that XCLIENT has named
        guard, self._sweep = settings.guard, settings.sweep
        if guard is not None:
            network = guard.network_of(known.ip)
            self._proxy.tally.trust(network is None)
            if network is not None:
                self._conduct = Conduct(self, self._proxy, guard, network)
            if settings.config.accept_xclient:
                self._relay.tell_of_names(partial(self._named, guard))
        self._reactor = settings.reactor
        self._alone: Alone | None = None
        self._last_scope: trio.CancelScope | None = None
        self._is_closing = self._hurries = False
        self.latest_end = inf
        self._started = 0.0
        self._broken = False

    async def run(self) -> None:
        """Runs the session in one task from beginning to end. Returns when both connections are closed, in
        all cases."""
        self._begins()
        try:
            try:
                self._reports.connected(self._known)
                if not self._broken:
                    await self._relay.run()
                self._dialogue_ends()
            except* Exception as errors:
                self._broke(errors)
            await self.finish()
        finally:
            self._close_connections()
            try:
                self._reports.untold()
                await self._disconnect()
            finally:
                self._ended()

    def begin(self, nursery: trio.Nursery, ended: Callable[[Session], None]) -> bool:
        """Runs the session with tasks in this nursery only while something waits, and calls ``ended`` when
        both connections are closed. Returns False if `run` must be used."""
        if self._reactor is None or self._judging.is_told_of_ends:
            return False
        self._alone = Alone(self, self._reactor, nursery, partial(ended, self))
        self._alone.begin()
        return True

    def drop(self) -> None:
        """Closes both connections of a session started with `begin`, if they are still open."""
        if self._alone is not None:
            self._alone.close()

    # Its steps: see `Guest`

    def open(self, host: Host) -> None:
        self._begins()
        try:
            self._reports.connected(self._known)
            if not self._broken:
                self._relay.begin(host)
        except Exception as error:
            self._broke(error)
            host.end_soon()  # it may have failed before there was a relay

    async def work(self) -> bool:
        try:
            with self._deadline.scope:
                await self._relay.work()
            self._deadline.renew()
            return self._deadline.is_over or self._proxy.closed or self._broken
        except* Exception as errors:
            self._broke(errors)
        return True

    def finish_now(self, reader: Reader) -> bool | None:
        try:
            self._dialogue_ends()
        except Exception as error:
            self._broke(error)
        self._servers.close()
        self._closes()
        client = self._client
        if not client.flush_now():
            return False
        client.stream.finish_sending()
        if client.broken is not None:
            return None
        self._reports.told()
        return client.stream.hand_over(reader, CLIENT)

    async def finish(self) -> None:
        self._closes()
        last = min(trio.current_time() + CLOSING_SECONDS, self.latest_end)
        with trio.CancelScope(deadline=last) as self._last_scope:
            await self._finish(self._last_scope, last)

    def close(self) -> None:
        self._close_connections()
        try:
            self._reports.untold()
        finally:
            self._ended()

    def _ended(self) -> None:
        self._proxy.let_go()
        self._judging.close()
        if self._trace is not None:
            self._trace.end()

    def _begins(self) -> None:
        self._meter.begins()
        if self._accounts:
            self._account.begins()
        if self._reports.transcribes:
            self._started = trio.current_time()
        if self._conduct is not None and self._sweep is not None:
            self._sweep.add(self._conduct)

    def _dialogue_ends(self) -> None:
        """The core has closed the dialogue, or its time is over."""
        if not self._broken and not self._proxy.closed:
            self._time_out()
        if self._reports.transcribes:
            self._reports.note(f"closed after {trio.current_time() - self._started:.1f} s")

    def _close_connections(self) -> None:
        self._meter.ended()
        if self._accounts:
            with suppress(Exception):  # the core itself may have failed
                self._tell_of_it()
        self._deadline.close()
        self._uncount()
        self._servers.close()
        self._client.stream.close()

    def _tell_of_it(self) -> None:
        """Logs a session without mail, or with an incomplete message."""
        account, proxy = self._account, self._proxy
        if (account.has_told and proxy.passed_quit) or (
            self._log.may_be_check and proxy.envelope.mail is None  # health checks come every few seconds
        ):
            return
        record = account.ended(proxy.envelope, proxy.hello, proxy.message_id)
        if record is not None and record.by == Origin.SERVER.value:
            self._reports.note(f"upstream server {record.upstream} has said: {record.reply}", "***")

    def _has_asked_for_nothing(self) -> bool:
        return self._proxy.hello is None and self._proxy.envelope.mail is None

    def shutdown(self, *, now: bool = False) -> None:
        """The service stops: see `Proxy.shutdown`. Raises nothing."""
        self._meter.ends_by(Ending.SHUTDOWN)
        try:
            self._relay.apply(self._proxy.shutdown(now=now))
            if self._proxy.closed:
                self._deadline.end("the service is shutting down")
        except Exception as error:
            self._broke(error)
        if now:
            self._judging.hurry()
            self._hurries = True
            if self._is_closing:
                self._closes()

    # Limits: see `Conducted`

    @property
    def is_stalled(self) -> bool:
        return bool(self._servers.outbox.waiting)

    def _named(self, guard: Guard, client: ClientInfo) -> Limit | None:
        """XCLIENT has named the client: it counts for its own network from now on. Returns the limit that the
        network has reached, or None."""
        self._uncount()
        network = guard.network_of(client.ip)
        self._proxy.tally.trust(network is None)
        if network is None:
            return None
        limit = guard.enter(network)
        if limit is None:
            self._entered = network
            self._conduct = Conduct(self, self._proxy, guard, network)
            if self._sweep is not None:
                self._sweep.add(self._conduct)
        return limit

    def _uncount(self) -> None:
        """Counts what the client has done so far, and nothing more from now on."""
        conduct, self._conduct = self._conduct, None
        if conduct is None:
            return
        if self._sweep is not None:
            self._sweep.discard(conduct)
        conduct.charge()
        if self._entered is not None:
            conduct.guard.leave(self._entered)
            self._entered = None

    def over(self, limit: Limit, *, now: bool) -> None:
        try:
            self._relay.apply(self._proxy.refuse(limit.reply) if now else self._proxy.drain(limit.reply))
            if self._proxy.closed:
                self._deadline.end(limit.log)
        except Exception as error:
            self._broke(error)

    def _time_out(self) -> None:
        self._meter.ends_by(Ending.TIMEOUT)
        waiting_for = self._proxy.waiting_for
        stalled = waiting_for is WaitingFor.CONTENT and self._servers.outbox.waiting
        if stalled:
            self._log.warning("timeout", waiting_for="server to read")
        elif waiting_for is WaitingFor.CONTENT:
            self._reports.without_end(self._proxy, "timeout", waiting_for=waiting_for.value)
        else:
            self._log.warning("timeout", waiting_for=waiting_for.value)
        self._relay.apply(self._proxy.timed_out(stalled=stalled))

    # The end

    def _closes(self) -> None:
        """The last octets leave now. After the grace period they have less time for that."""
        self._is_closing = True
        if self._hurries:
            self.latest_end = min(self.latest_end, trio.current_time() + STOPPING_SECONDS)
            if self._last_scope is not None:
                self._last_scope.deadline = min(self._last_scope.deadline, self.latest_end)

    async def _finish(self, scope: trio.CancelScope, last: float) -> None:
        """Sends the last octets, and gives the client time to read them. A socket that is closed with unread
        octets resets the connection, and the last reply would be lost."""
        self._servers.close()  # the server need not wait for the client
        client = self._client
        await client.flush()
        client.stream.finish_sending()
        if client.broken is not None:
            return
        self._reports.told()
        try:
            scope.deadline = min(last, trio.current_time() + SILENCE_SECONDS)
            while await client.stream.receive():
                scope.deadline = min(last, self.latest_end, trio.current_time() + SILENCE_SECONDS)
        except OSError:
            pass  # the client is gone; nothing can be lost any more

    def _broke(self, error: Exception) -> None:
        """Handles an internal error of the core or the driver: logs one line, sends the client one reply, and
        closes both sides. From here on the core is not used any more."""
        self._broken = True
        self._meter.ends_by(Ending.ERROR)
        self._log.error("internal error, closing", exc_info=_only(error), state=str(joint_state(self._proxy)))
        events = self._last_words()
        self._servers.end(abort=True)  # it may have got half a command or message
        for event in events:
            if isinstance(event, SendToClient):
                self._client.put(event.data)
            elif isinstance(event, MessageAnswered):
                self._reports.event(event)
        self._deadline.end("internal error")
        with suppress(Exception):  # it may have been the transcript that failed
            self._reports.transcribe(events)
            self._reports.note("closed after an internal error")

    def _last_words(self) -> list[Event]:
        try:
            return [*self._relay.left, *self._proxy.broke()]
        except Exception:  # even that failed
            reply = INTERNAL_ERROR
            return [*self._relay.left, SendToClient(reply.raw, reply.raw)]

    async def _disconnect(self) -> None:
        try:
            await self._judging.disconnect()
        except Exception as error:
            if self._broken:  # the log has the first error, which caused this one
                self._log.warning("disconnect rules not told", error=str(error))
            else:
                self._log.error("internal error, disconnect rules not told", exc_info=error)


def _only(error: Any) -> BaseException:
    """The single exception in a group, at any depth. A group of several, or another exception, is returned
    unchanged."""
    inner: tuple[Any, ...]
    while len(inner := getattr(error, "exceptions", ())) == 1:
        error = inner[0]
    only: BaseException = error
    return only
