"""`Twins`: proxies that get the same inputs, with the lane and without it, and must not differ.

`Config.lane` must only change speed. A test that uses `Twins` in place of a `Proxy` also tests this: after
each input, everything that a driver can read from the two is compared. The test gets the results of the proxy
with the lane.

A third proxy is driven by `Proxy.pass_on` if that takes an input. It gives octets and `MessageAnswered`, and
no other events; everything else must be the same. If there are questions, it gets an input of the client only
when the verdict on the resulting question is known, if that is the next step: for `Proxy.ask_ahead`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar, Final

import attrs

from sansio_smtp import (
    Ask,
    ClientInfo,
    Command,
    Config,
    Dialect,
    Event,
    LogIn,
    LoginAttempt,
    Proxy,
    Reply,
    Side,
    TlsInfo,
)
from sansio_smtp.config import UpstreamTls
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    AwaitReply,
    BodyComplete,
    Close,
    SendToClient,
    SendToServer,
    Violation,
)
from sansio_smtp.proxy.message_store import Room, Spool
from sansio_smtp.questions import CommandQuestion, HeadersQuestion, Question

__all__ = ["DRAWN", "Differs", "Twins"]


class Differs(AssertionError):
    """The proxies with and without the lane behave differently."""


class Twins:
    """Can be used as a `Proxy`. Values are read from the proxy with the lane."""

    quick_class: ClassVar[Callable[..., Proxy]] = Proxy
    """Makes the proxy with the lane. A test plants a fault here, to check that it is noticed."""

    def __init__(
        self,
        config: Config | None = None,
        ask: Collection[str] = (),
        make_spool: Callable[[], Spool] | None = None,
        client: ClientInfo | None = None,
        room: Room | None = None,
    ) -> None:
        config = config or Config()
        self.spools = None if make_spool is None else _Spools(make_spool)
        replay = None if self.spools is None else self.spools.replay
        shared = None if room is None else _Shared(room)
        answers = None if shared is None else shared.replay()
        self.quick = type(self).quick_class(_with_lane(config, True), ask, self.spools, client, shared)
        self.plain = Proxy(_with_lane(config, False), ask, replay, client, answers)
        self.passing = (
            None
            if make_spool or room
            else _Passing(type(self).quick_class(config, ask, None, client), asks=bool(ask))
        )
        """The proxy driven by `Proxy.pass_on`; None if that takes nothing."""
        self.pauses: tuple[int, ...] = (0, 0, 1, 0, 3, 0, 0, 12, 30)
        self.unread = 0
        """The number of taken inputs between two readings of its levels."""
        self.asked: list[Any] = [None, None, None]
        """The last question of each."""
        self.ended = False
        """True if levels are not compared any more."""
        self.progress = 0
        self.changes = -1
        self.envelopes = (self.quick.envelope, self.plain.envelope)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "quick":
            raise AttributeError(name)  # it is being copied
        return getattr(self.quick, name)

    @property
    def is_calm(self) -> bool:
        """True if `pass_on` has found that the state is plain relaying."""
        passing = None if self.passing is None else self.passing.proxy._passing
        return passing is not None and passing.mode > 0

    # Inputs

    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        return self._both("receive_from", side, data)

    def eof_from(self, side: Side) -> list[Event]:
        return self._both("eof_from", side)

    def client_lost(self) -> list[Event]:
        return self._both("client_lost")

    def prefer(self, upstream: str | None) -> None:
        self._both("prefer", upstream)

    def server_connected(
        self, tls: UpstreamTls, dialect: Dialect | None = None, *, kept: bool = False
    ) -> None:
        self._both("server_connected", tls, dialect, kept=kept)

    def tls_started(self, side: Side, info: TlsInfo) -> list[Event]:
        return self._both("tls_started", side, info)

    def tls_failed(self, side: Side, why: str) -> list[Event]:
        return self._both("tls_failed", side, why)

    def server_unreachable(self) -> list[Event]:
        return self._both("server_unreachable")

    def refuse(self, reply: Reply) -> list[Event]:
        return self._both("refuse", reply)

    def answer(self, question: Question[Any], verdict: Any) -> list[Event]:
        return self._both("answer", question, verdict)

    def more(self) -> list[Event]:
        return self._both("more")

    def timed_out(self, *, stalled: bool = False) -> list[Event]:
        return self._both("timed_out", stalled=stalled)

    def drain(self, reply: Reply) -> list[Event]:
        return self._both("drain", reply)

    def shutdown(self, *, now: bool = False) -> list[Event]:
        return self._both("shutdown", now=now)

    def broke(self) -> list[Event]:
        return self._both("broke")

    # Comparing

    def _both(self, name: str, *arguments: Any, **named: Any) -> Any:
        plainly, passing = (self._for_another(number, name, arguments) for number in (1, 2))
        answers = name == "answer" and arguments[0] is self.asked[0]
        quick = _outcome(self.quick, name, arguments, named)
        plain = _outcome(self.plain, name, plainly, named)
        path, ended = "with the lane and without it", self.ended
        try:
            self._compare(quick, plain)
            if self.passing is not None and not ended and (not self.ended or self.quick.closed):
                path = "with `pass_on` and without the lane"
                self._pass(self.passing, (name, passing, named), plain, answers=answers)
        except Differs as difference:
            what = f"{name}{(*arguments, *named.values())!r:.300}"
            raise Differs(f"after {what}, {path}:\n{difference}") from None
        given, error = quick
        if error is not None:
            raise error
        return given

    def _for_another(self, number: int, name: str, arguments: tuple[Any, ...]) -> list[Any]:
        """The arguments for a proxy other than the quick one: its own question, and objects that can be used
        once."""
        other = [deepcopy(each) if isinstance(each, LogIn) else each for each in arguments]
        if name == "answer" and arguments[0] is self.asked[0]:
            other[0] = self.asked[number]
        return other

    def _compare(self, quick: _Outcome, plain: _Outcome) -> None:
        if self.spools is not None:
            self.spools.check_done()
        if quick[1] is not None or plain[1] is not None:
            _demand("what is raised", _told_error(quick[1]), _told_error(plain[1]))
        events = quick[0] or ()
        if events or plain[0]:
            _demand("events", [_told(event) for event in events], [_told(event) for event in plain[0] or ()])
            for ours, theirs in zip(events, plain[0], strict=True):
                if isinstance(ours, Ask):
                    self.asked[:2] = ours.question, theirs.question
        one, other = self.quick, self.plain
        if quick[1] is not None and not isinstance(quick[1], LocalProtocolError):
            self.ended = True  # a fault of the library; how far the proxies have come may differ
        if self.ended:
            return
        self.ended = one.closed
        _demand("levels", _levels(one), _levels(other))
        if not events and one.progress == self.progress:
            return  # the rest changes only with the dialogue, and costs more
        self.progress = one.progress
        _demand("readings", _readings(one), _readings(other))
        if one.client_changes != self.changes:
            self.changes = one.client_changes
            _demand("the client", _client(one), _client(other))
        before, self.envelopes = self.envelopes, (one.envelope, other.envelope)
        new = [envelope is not was for envelope, was in zip(self.envelopes, before, strict=True)]
        _demand("a new envelope", *new)

    def _pass(self, passing: _Passing, call: _Call, plain: _Outcome, *, answers: bool) -> None:
        """Gives the call to the third proxy, or keeps it until the verdict is known. ``answers``: the call
        gives the verdict."""
        (name, arguments, named), late = call, passing.late
        passing.late = None
        if late is not None:
            was, events, told = late
            passing.verdict = arguments[1] if answers and plain[1] is None else None
            outcome = _outcome(passing, *was)
            passing.verdict = None
            if passing.passed:
                _demand("what was asked ahead", passing.asked, told[-1][1])
                self.asked[2] = passing.question
                self._compare_passing(outcome, ([*events[:-1], *plain[0]], None))
                return
            self._compare_passing(outcome, (told, None), levels=False)
            if answers:
                arguments = [self.asked[2], *arguments[1:]]
        elif passing.asks and name == "receive_from" and _asks_of_client(plain):
            passing.late = call, plain[0], [_told(event) for event in plain[0]]  # as long as it is so
            return
        self._compare_passing(_outcome(passing, name, arguments, named), plain)

    def _compare_passing(self, passing: _Outcome, plain: _Outcome, *, levels: bool = True) -> None:
        assert self.passing is not None  # the caller has seen it
        _demand("what is raised", _told_error(passing[1]), _told_error(plain[1]))
        events = plain[0] or ()
        given = passing[0] or ()
        if self.passing.passed or self.passing.mixed:
            given, events = _passed_on(given), _passed_on(events)
        _demand("events", [_told(event) for event in given], [_told(event) for event in events])
        self.asked[2:] = [
            event.question for event in passing[0] or () if isinstance(event, Ask)
        ] or self.asked[2:]
        one, other = self.passing.proxy, self.plain
        if not levels:
            return
        if self.passing.passed:
            rest = one.has_rest  # then it may be read once more
            _demand("it may be read on", rest or self.passing.passed <= one.may_read, not one.closed)
            if self.unread:
                self.unread -= 1
                return  # what it is asked makes it catch up
            self.unread, self.pauses = self.pauses[0], (*self.pauses[1:], self.pauses[0])
        _demand("levels", _levels(one), _levels(other))
        _demand("readings", _readings(one), _readings(other))


class _Passing:
    """A proxy that is driven by `pass_on`."""

    def __init__(self, proxy: Proxy, *, asks: bool) -> None:
        self.proxy = proxy
        self.passed: frozenset[Side] = frozenset()
        """The side of the last input, if `pass_on` has taken it."""
        self.mixed = False
        """True if the last reply was passed on, and the line that waited for it was not."""
        self.asks = asks
        self.late: tuple[_Call, list[Any], list[Any]] | None = None
        """An input that it has not got yet, and its events, the last of which is a question; also in the form
        of `_told`."""
        self.verdict: Any = None
        """The verdict on the next question, if it is known."""
        self.question: Any = None
        """The last question that was asked ahead."""
        self.asked: Any = None
        """The same, as it was at that time."""
        if asks:
            proxy.ask_ahead(self._ahead)

    def _ahead(self, question: Any) -> Any:
        self.question, self.asked = question, _told(question)
        return self.verdict

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "proxy":
            raise AttributeError(name)  # it is being copied
        self.passed = frozenset()
        return getattr(self.proxy, name)

    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        self.mixed = False
        octets = self.proxy.pass_on(side, data)
        if octets is None:
            self.passed = frozenset()
            return self.proxy.receive_from(side, data)
        self.passed = frozenset((side,))
        answered = self.proxy.take_answered() if self.proxy.answers else None
        sent: Event = SendToServer(octets, None) if side is CLIENT else SendToClient(octets, None)
        if side is SERVER and self.proxy.has_rest:
            if (line := self.proxy.pass_rest()) is not None:
                return [sent, SendToServer(line, None)]
            self.passed, self.mixed = frozenset(), True
            return [sent, *self.proxy.receive_rest()]
        ends: list[Event] = [Close(SERVER), Close(CLIENT)] if self.proxy.closed else []
        return [sent, *ends] if answered is None else [answered, sent]


def _passed_on(events: Iterable[Event]) -> list[Event]:
    """Joins sends to one side without other events in between, and removes their shown forms and the events
    that `pass_on` does not give."""
    joined: list[Event] = []
    for event in events:
        if isinstance(event, AwaitReply | BodyComplete):
            continue
        if isinstance(event, SendToClient | SendToServer):
            before = joined.pop().data if joined and type(joined[-1]) is type(event) else b""
            joined.append(type(event)(before + event.data, None))
        else:
            joined.append(event)
    return joined


def _asks_of_client(outcome: _Outcome) -> bool:
    """Returns True if the result of an input ends with a question of a kind for `Proxy.ask_ahead`."""
    events = outcome[0] or ()
    return (
        bool(events)
        and isinstance(events[-1], Ask)
        and isinstance(events[-1].question, CommandQuestion | HeadersQuestion)
    )


_Outcome = tuple[Any, Exception | None]
_Call = tuple[str, Any, dict[str, Any]]


def _outcome(proxy: Proxy, name: str, arguments: Iterable[Any], named: dict[str, Any]) -> _Outcome:
    """The events of an input, and its exception."""
    try:
        return getattr(proxy, name)(*arguments, **named), None
    except Exception as error:
        return None, error


def _with_lane(config: Config, lane: bool) -> Config:
    return config if config.lane is lane else attrs.evolve(config, lane=lane)


def _demand(what: str, quick: Any, plain: Any) -> None:
    if quick != plain:
        raise Differs(f"{what}: {quick!r:.2000}\n{' ' * len(what)}  {plain!r:.2000}")


# Readable values, in a form that can be compared


def _levels(proxy: Proxy) -> tuple[Any, ...]:
    """The values that a driver reads after each input."""
    return (
        proxy.may_read, proxy.waiting_for, proxy.has_more, proxy.closed, proxy.progress, proxy.buffered,
        proxy.states,
    )  # fmt: skip


def _readings(proxy: Proxy) -> tuple[Any, ...]:
    """Other facts about the dialogue. Of the recipients only the number and the last, because events show
    all."""
    envelope = proxy.envelope
    recipients = envelope.recipients
    return (
        proxy.snapshot(), proxy.client_changes, _told(proxy.awaiting), _told(envelope.mail), len(recipients),
        _told(recipients[-1]) if recipients else None,
    )  # fmt: skip


def _client(proxy: Proxy) -> tuple[Any, ...]:
    """The values that change with `client_changes`."""
    return (
        proxy.client_info, proxy.identity, proxy.forwarded, proxy.server_tls, proxy.login,
        proxy.accepted_login, _told(proxy.hello),
    )  # fmt: skip


def _told(value: Any) -> Any:
    """An event, or a value in it, in a form that compares everything, also `shown`. The library's own classes
    compare less."""
    tell = _TELL.get(type(value))
    if tell is not None:
        return tell(value)
    if isinstance(value, Exception):
        return _told_error(value)
    if isinstance(value, Question) or (attrs.has(type(value)) and type(value).__module__.endswith(".events")):
        fields = attrs.fields(type(value))
        return type(value), *(_told(getattr(value, field.name)) for field in fields)
    return value


def _told_error(error: Exception | None) -> Any:
    """The class, text and other values of an error."""
    if error is None:
        return None
    return type(error), str(error), {name: _told(value) for name, value in vars(error).items()}


def _told_command(command: Command) -> Any:
    return Command, command.verb, command.raw, command.kind, command.secret


_TELL: Final[dict[type, Callable[[Any], Any]]] = {
    SendToClient: lambda event: (SendToClient, event.data, event.shown),
    SendToServer: lambda event: (SendToServer, event.data, event.shown),
    AwaitReply: lambda event: (AwaitReply, *_told_command(event.command)),
    Violation: lambda event: (Violation, event.side, _told_error(event.error)),
    Ask: lambda event: (Ask, _told(event.question)),
    Command: _told_command,
    Reply: lambda reply: (Reply, reply.code, reply.raw),
    Envelope: lambda envelope: (Envelope, _told(envelope.mail), *map(_told, envelope.recipients)),
    LoginAttempt: lambda attempt: (LoginAttempt, attempt.mechanism, attempt.name, attempt.password()),
    memoryview: bytes,
    tuple: lambda values: tuple(map(_told, values)),
}


class _Shared:
    """The room of the proxy with the lane, whose answers the other proxy's room repeats."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._answers: deque[bool] = deque()
        self.give = room.give

    def take(self, octets: int) -> bool:
        self._answers.append(self._room.take(octets))
        return self._answers[-1]

    def replay(self) -> Room:
        return _Answers(self._answers)


class _Answers:
    """A room that repeats the answers of another one."""

    def __init__(self, answers: deque[bool]) -> None:
        self._answers = answers

    def take(self, octets: int) -> bool:
        return self._answers.popleft()

    def give(self, octets: int) -> None: ...


class _Spools:
    """Makes the spools of the proxy with the lane, and remembers their calls during the last input. For the
    other proxy, `replay` replaces the spools: it must make the same calls, and gets the same results."""

    def __init__(self, make: Callable[[], Spool]) -> None:
        self._make = make
        self._done: deque[tuple[tuple[Any, ...], Any, OSError | None]] = deque()

    def __call__(self) -> Spool:
        return _Spool(partial(self._call, self._make()))

    def _call(self, spool: Spool, name: str, *arguments: Any) -> Any:
        result, error = None, None
        try:
            result = getattr(spool, name)(*arguments)
        except OSError as raised:
            error = raised
        self._done.append(((name, *arguments), result, error))
        if error is not None:
            raise error
        return result

    def replay(self) -> Spool:
        return _Spool(self._again)

    def _again(self, *call: Any) -> Any:
        was, result, error = self._done.popleft() if self._done else (None, None, None)
        _demand("what is done with the spool", was, call)
        if error is not None:
            raise error
        return result

    def check_done(self) -> None:
        _demand("what is done with the spool", list(self._done), [])


class _Spool:
    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def write(self, data: bytes) -> None:
        self._call("write", bytes(data))

    def read(self, start: int, count: int) -> bytes:
        data: bytes = self._call("read", start, count)
        return data

    def view(self) -> memoryview:
        view: memoryview = self._call("view")
        return view

    def close(self) -> None:
        self._call("close")


DRAWN: Final[Any] = Twins if os.environ.get("SMTP_PROXY_TWINS") else Proxy
"""Makes the proxy of drawn dialogues. With twins they take a sixth of the time of all tests, so only CI uses
twins for them, in a separate step (`SMTP_PROXY_TWINS=1`)."""
