"""Reports a session to the operator: log lines, its transcript, and changes of state with ``-vv``."""

from __future__ import annotations

import logging

from sansio_smtp import (
    CLIENT,
    BodyComplete,
    ClientChanged,
    ClientInfo,
    CommandRefused,
    Event,
    MessageAnswered,
    Proxy,
    ServerUnusable,
    Side,
    TlsInfo,
    Violation,
)
from trio_proxy.account.account import Account
from trio_proxy.metrics.meter import NO_METER, Meter, SessionMeter
from trio_proxy.text.session_log import SessionLog
from trio_proxy.text.transcript import Transcript, printable

from .outbox import Outbox

__all__ = ["Reports", "joint_state"]

_BARE_LF = "the client sends lines that end in LF without CR: a message ends with CRLF . CRLF"
_LF_END = f"a line of one dot ended in LF, so it did not end the message: {_BARE_LF}"


class Reports:
    """The log and the transcript of one session."""

    __slots__ = (
        "_account",
        "_client",
        "_log",
        "_meter",
        "_session",
        "_state",
        "_tells_debug",
        "_tells_each",
        "_tells_mail",
        "_transcript",
        "reads_all",
        "shows_states",
        "transcribes",
        "unsaid",
    )

    def __init__(
        self,
        log: SessionLog,
        account: Account,
        transcript: Transcript | None,
        client: Outbox,
        *,
        show_states: bool = False,
        tells_each: bool = False,
        meter: Meter = NO_METER,
        session: SessionMeter | None = None,
    ) -> None:
        """``tells_each``: the client gets a reply to a message for each recipient (RFC 2033). ``session``
        counts replies; None: they are not counted."""
        self._log = log
        self._account = account
        self._tells_each = tells_each
        self._meter = meter
        self._session = session
        self._transcript = transcript
        self._client = client
        self._tells_mail: bool | None = None  # not known before the first message
        self._tells_debug: bool | None = None
        self.unsaid: tuple[MessageAnswered, ...] = ()
        """Messages whose reply is not sent yet: call `told` when it is."""
        self._state: object = None
        self.shows_states = show_states
        """True if `state` must be called after each input."""
        self.transcribes = transcript is not None or session is not None
        """True if `transcribe` must be called with all events."""
        self.reads_all = transcript is not None or show_states
        """True if more events are needed than `Proxy.pass_on` gives: for a transcript, or with ``-vv``."""

    def connected(self, client: ClientInfo) -> None:
        """Begins the transcript."""
        if self._transcript is None and client.tls is None:
            return
        through = f", through {client.proxy_ip}" if client.proxy_ip else ""
        if self._transcript is not None:
            self._transcript.connected(f"{client.address} connected{through}")
        if client.tls is not None:
            self.secured(CLIENT, client.tls, client)

    def secured(self, side: Side, info: TlsInfo, client: ClientInfo) -> None:
        """TLS has begun with this side."""
        self._meter.secured(side, info.version)
        if side is CLIENT:
            self._log.name(client)
        if self._transcript is not None:
            self._transcript.secured(side, info)

    def note(self, text: str, mark: str = "===") -> None:
        """One line of the transcript."""
        if self._transcript is not None:
            self._transcript.note(text, mark)

    def without_end(self, proxy: Proxy, event: str, **values: object) -> None:
        """The end of the message that the client sends will not come: logs this as ``event``, with the
        values, what has come of the message, and the likely reason. The transcript says it too."""
        message = proxy.unfinished
        said = event
        if message is not None:
            values["octets"] = message.octets
            said += f": {message.octets:,} octets of the message have come"
            if message.bare_lf:
                values["hint"] = hint = _LF_END if message.lf_dot else _BARE_LF
                said += f"; {hint}"
        self._log.warning(event, **values)
        self.note(said, "***")

    @property
    def account(self) -> Account:
        """The account of the session."""
        return self._account

    def transcribe(self, events: list[Event]) -> None:
        """Writes the events to the transcript, and counts the replies among them."""
        if self._session is not None:
            self._session.replies(events)
        if self._transcript is not None:
            self._transcript.events(events)

    def state(self, proxy: Proxy) -> None:
        """Logs the joint state of both ends if it has changed."""
        state = joint_state(proxy)
        if state != self._state:
            self._state = state
            self._log.debug("state", state=str(state))
            self.note(f"state {state}")

    def event(self, event: Event) -> None:
        """Logs what is worth a line of the log: messages, violations of the protocol, another client."""
        if isinstance(event, MessageAnswered):
            self.answered(event)
        elif isinstance(event, CommandRefused):
            self._account.refused(event)
        elif isinstance(event, Violation):
            self._log.warning(
                "protocol violation",
                side=event.side.value,
                error=event.error.args[0],
                octets=printable(event.error.evidence),
                state=event.error.phase.name if event.error.phase else "",
            )
        elif isinstance(event, ClientChanged):
            self._log.name(event.client)
            self._log.info("client named by XCLIENT", name=event.client.name, helo=event.client.helo)
        elif isinstance(event, ServerUnusable):
            self._log.error(
                "upstream server cannot be used", error=event.why, upstream=self._account.upstream
            )
        elif isinstance(event, BodyComplete):
            if self._tells_debug is None:
                self._tells_debug = self._log.is_enabled_for(logging.DEBUG)
            if self._tells_debug:
                self._log.debug("message received", size=event.size, edited=event.edited, broken=event.broken)
            if not event.broken:
                return
            if untrue := [name for name in event.broken if name != "SIZE"]:  # servers use SIZE only as a hint
                self._log.warning("a rule's edit needs what MAIL does not declare", broken=untrue)

    def _partly_refused(self, event: MessageAnswered) -> None:
        """Logs that only some recipients have the message. The client gets one reply for all, so its reaction
        is wrong for the others."""
        refused = [f"{recipient} -> {reply}" for recipient, reply in event.results if reply.severity != 2]
        if 0 < len(refused) < len(event.results):
            self._log.warning("message refused for some recipients", reply=event.shown, refused=refused)

    def answered(self, event: MessageAnswered) -> None:
        """A message is answered."""
        self.unsaid += (event,)
        if self.tells_messages:
            self._account.answered(event)
        if event.results and not self._tells_each:
            self._partly_refused(event)

    @property
    def tells_messages(self) -> bool:
        """True if each message is logged."""
        if self._tells_mail is None:
            self._tells_mail = self._account.is_wanted
        return self._tells_mail

    def told(self) -> None:
        """All replies to the client have been written."""
        if self._client.broken is None:
            self.unsaid = ()

    def untold(self) -> None:
        """The session is over: logs the messages whose reply has not reached the client."""
        for event in self.unsaid:
            # Explains why a recipient may get the message twice (RFC 1047).
            self._log.warning("message answered, client not told", reply=event.shown)
        self.unsaid = ()


def joint_state(proxy: Proxy) -> object:
    """The state of the dialogue as one value. Raises nothing, because it is also used after an internal
    error."""
    try:
        return proxy.snapshot()
    except Exception as error:
        return f"unknown: {type(error).__name__}: {error}"
