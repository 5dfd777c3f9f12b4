"""A proxy, the peers that it meets, and the inputs that a driver may give it in each state.

An input is a line of a dialogue script, such as ``C: RSET``, ``S: 250 ok`` or ``! route b``: see
docs/reference/dialogue-scripts.md. Two that no script has: ``<more>`` calls `Proxy.more`, and ``<broke>``
calls `Proxy.broke`.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, cast

import attrs
from twins import Differs, Twins

from sansio_smtp import (
    CLIENT,
    SERVER,
    ClientInfo,
    Command,
    CommandQuestion,
    Config,
    Event,
    Kind,
    MessageQuestion,
    Proxy,
    ReplyQuestion,
    Side,
    TlsInfo,
)
from sansio_smtp.config import ClientTls, Dialect, LoginMode, SendClient
from sansio_smtp.joint_states import contradiction
from sansio_smtp.questions import AnyQuestion, AnyVerdict, ClientQuestion, LoginQuestion, Question
from sansio_smtp.testing.notation import octets
from sansio_smtp.testing.verdicts import SaidVerdict, said, verdict_for

from .graph import fingerprint, fingerprints
from .message import MessageWatch
from .observer import INJECTED, Observer
from .peers import DOT, GREETING, Broken, Client, Server, replaced, require, verb_of

__all__ = ["LINES", "Configuration", "Input", "World", "statements"]

Input = str

LINES: Final = (
    "EHLO c", "HELO c", "MAIL FROM:<m>", "RCPT TO:<r>", "DATA", "RSET", "NOOP", "AUTH LOGIN",
    "AUTH PLAIN AGA", "QUIT", "BDAT 6", "STARTTLS", "GET /",
)  # fmt: skip
"""Commands of a client, one of each kind."""


CLIENT_INFO: Final = ClientInfo(address="192.0.2.1:51000")
"""The client, which may say who the client is, where anybody may."""
TLS_INFO: Final = TlsInfo(version="TLSv1.3", verified=True)
_OWN: Final = ("STARTTLS", "XCLIENT", "XFORWARD")
_HANDSHAKES: Final = {
    side: (f"{letter}: <tls>", f"{letter}: <tls failed>", f"{letter}: {octets_between}", f"{letter}: <eof>")
    for side, letter, octets_between in ((CLIENT, "C", "NOOP"), (SERVER, "S", "250 s any"))
}
"""How a handshake may go on. What a side sends meanwhile is the driver's, and not to be given to a proxy."""


@attrs.frozen
class Configuration:
    """What is explored: how the proxy is made, and which dialogues."""

    name: str
    ask: frozenset[str] = frozenset()
    config: Config = attrs.field(factory=Config)
    start: tuple[Input, ...] = ()
    """What every dialogue begins with."""
    lines: tuple[str, ...] = LINES
    in_flight: int = 1
    """Lines of the client that may wait for a reply."""
    recipients: int = 2
    """RCPT lines in one transaction."""
    most: int = 6_000
    """Transitions after which the search ends, unless it is to go deeper."""
    routes: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    """The sorts of verdicts; none: all."""
    servers: tuple[str, ...] = ("PIPELINING",)
    """What servers offer in reply to EHLO, one or the other."""
    signals: bool = True
    late: bool = False
    """True if what is read may arrive one input after the side might be read."""
    honest: bool = True
    """False if servers accept commands that no server should accept where they are."""
    spool: bool = False


@attrs.define
class World:
    """A state, and all that goes into its next."""

    configuration: Configuration
    proxy: Proxy | Twins
    observer: Observer
    readable: frozenset[Side] = frozenset()
    """The sides that might be read before the last input, if reads may be late."""

    @classmethod
    def of(cls, configuration: Configuration, make: Callable[..., Proxy | Twins] = Twins) -> World:
        make_spool = Spool if configuration.spool else None
        config = configuration.config
        proxy = make(config, configuration.ask, make_spool, CLIENT_INFO)
        offered = (config.tls is not ClientTls.NONE, config.accept_xclient, config.accept_xforward)
        client = Client(
            own=frozenset(verb for verb, may in zip(_OWN, offered, strict=True) if may),
            lmtp=config.client_dialect is Dialect.LMTP,
        )
        logs_in = config.login_mode is LoginMode.INJECT
        server = Server(
            configuration.honest,
            level=config.upstream_tls,
            send=config.send_client,
            demands_login=logs_in,
            lmtp=config.upstream_dialect is Dialect.LMTP,
        )
        sends = config.send_client in (SendClient.XCLIENT, SendClient.XFORWARD)
        watch = MessageWatch(configuration.ask)
        demands = sends or config.upstream_tls.required or logs_in
        return cls(
            configuration,
            proxy,
            Observer(server, watch, client, demands=demands, fails_over=config.failover > 0),
        )

    def key(self, last: Input = "C: ") -> int:
        """What tells this state from others. Raises `Broken` if the ``last`` input has led to another state
        with the lane than without it. Only octets go through the lane, and only one of the two has a
        spool."""
        proxy = self.proxy
        if not isinstance(proxy, Twins):
            return fingerprint(proxy, self.observer, self.readable)
        quick, key = fingerprints(proxy.quick, self.observer, self.readable)
        if last.startswith(("C: ", "S: ")) and not self.configuration.spool:
            require(quick == fingerprint(proxy.plain), "lane", "it has led to another state")
            if proxy.passing is not None and proxy.passing.late is None:
                proxy.passing.proxy.snapshot()  # its ends are told of what was passed on
                passing = fingerprint(proxy.passing.proxy)
                require(quick == passing, "pass_on", "it has led to another state")
        return hash((key, proxy.is_calm))

    def take(self, text: Input, events: list[Event] | None = None) -> list[Event]:
        """One input and all checks. Raises `Broken`. The events are added to a list, if one is given."""
        if self.configuration.late:
            self.readable = self.proxy.may_read
        try:
            given = _read(text)(self)
        except Differs as error:
            raise Broken(f"lane: {error}") from None
        except Exception as error:
            raise Broken(f"P9: {type(error).__name__} {error} in {_place(error)}") from error
        if events is not None:
            events += given
        self.observer.takes(given)
        self.observer.check(self.proxy)
        self._check_snapshot()
        self.observer.forget_input()
        return given

    def _check_snapshot(self) -> None:
        contradicts = contradiction(self.proxy.snapshot())
        require(contradicts is None, "joint state", contradicts or "")

    # Which inputs there are

    def inputs(self) -> Iterator[Input]:
        """All that may happen next."""
        observer, proxy = self.observer, self.proxy
        if proxy.closed:
            return
        readable = (proxy.may_read | self.readable) - observer.eof - observer.closed
        if proxy.has_more:
            yield "<more>"
        if observer.question is not None:
            yield from self._verdicts(observer.question)
        for side in sorted(observer.shaking, key=lambda side: side.value):
            yield from _HANDSHAKES[side]
        if CLIENT in readable and not observer.lost:
            yield from self._client_lines()
            yield "C: <eof>"
        if SERVER in readable:
            yield from self._server_lines()
            yield "S: <eof>"
        if SERVER in readable and GREETING in observer.server.owes:
            yield "<unreachable>"
        if self.configuration.signals:
            if not observer.lost:
                yield "<client lost>"
            yield "<broke>"
            yield "<timeout>"
            yield "<shutdown now>"
            if not observer.draining:
                yield "<shutdown>"

    def _client_lines(self) -> Iterator[Input]:
        client = self.observer.client
        flying = len(client.owed) + len(client.queue)
        if client.mode == "content":
            yield from ("C: a: b", "C: ", "C: .") if len(client.content) < 2 else ("C: .",)
        elif client.mode == "auth":
            yield from ("C: AGA", "C: *", "C: \\0", "C: REQUIRETLS==")
        elif client.mode == "chunk":
            yield "C: NOOP"
        elif flying >= self.configuration.in_flight:
            return
        elif client.mode == "command":
            for line in self.configuration.lines:
                if (said := self._numbered(line)) is not None:
                    yield f"C: {said}"
        elif client.mode == "blocked":
            yield from ("C: NOOP", "C: a: b", "C: .")
        elif client.mode == "greeting":
            yield "C: NOOP"

    def _numbered(self, line: str) -> str | None:
        """RCPT lines of one transaction are told apart, and are not too many."""
        if verb_of(line) != "RCPT":
            return line
        client = self.observer.client
        known = {*client.owed, *client.queue, *(line.replace("x>", ">") for line, _ in client.recipients)}
        for number in range(1, self.configuration.recipients + 1):
            if (line := f"RCPT TO:<r{number}>") not in known:
                return line
        return None

    def _server_lines(self) -> Iterator[Input]:
        server = self.observer.server
        if server.mode == "over":
            return
        if not server.owes:
            yield from ("S: 421 s any", "S: 250 s any")
            if not isinstance(self.observer.question, ReplyQuestion):  # it waits, and these two are enough
                yield "S: 550 s any"
            return
        line = server.owes[0]
        verb = verb_of(line)
        for code in self._codes(verb, line):
            if code == 250 and verb in ("EHLO", "LHLO"):
                for offered in self.configuration.servers:
                    *more, last = ["s " + line, *filter(None, offered.split(";"))]
                    yield "S: " + "".join(rf"250-{text}\r\n" for text in more) + f"250 {last}"
            elif code == 220 and verb == "STARTTLS":
                yield f"S: 220 s {line}"
                yield rf"S: 220 s {line}\r\n250 {INJECTED}"
            else:
                yield f"S: {code} s {line}"
        yield "S: ?"

    def _codes(self, verb: str, line: str) -> Iterator[int]:
        """First digits that an honest server may give here, and 354 to all."""
        server = self.observer.server
        if line == GREETING:
            yield from (220, 354, 421, 554)
            return
        if verb in ("STARTTLS", "XCLIENT"):
            yield from (220, 354, 421, 450, 550)
            return
        has_mail = server.mail is not None
        honest = {"MAIL": not has_mail, "RCPT": has_mail and len(server.recipients) < 3, "BDAT": has_mail}
        if line == DOT:  # the chunk before the last one may have been refused, which ends the transaction
            honest[verb] = has_mail
        if not server.honest or honest.get(verb, True):
            yield 250
        if verb != "DATA" or server.recipients or not server.honest:
            yield 354
        yield from (421, 450, 550)

    def _verdicts(self, question: AnyQuestion) -> Iterator[Input]:
        sorts = self.configuration.verdicts
        for text in self._all_verdicts(question):
            word = text.split(" ")[1]
            if not sorts or word in sorts:
                yield text

    def _all_verdicts(self, question: AnyQuestion) -> Iterator[Input]:
        yield "! continue"
        if isinstance(question, ReplyQuestion):
            reply = question.reply
            code = 421 if reply.code == 421 else reply.severity * 100 + 50
            text = reply.lines[0].decode()
            yield f"! replace {code} {text}"
            yield "! disconnect 550 v any"
        elif isinstance(question, CommandQuestion):
            yield from self._command_verdicts(question.command)
        elif isinstance(question, ClientQuestion):
            yield from self._client_verdicts()
        elif isinstance(question, LoginQuestion):
            yield "! login PLAIN | x"
            yield "! login LOGIN | - | x"
            yield "! disconnect 550 v any"
        else:
            yield "! answer 250 v ."
            yield "! answer 550 v ."
            yield "! answer 421 v ."
            yield "! disconnect 550 v any"
            yield "! replace x: y\\r\\n\\r\\nz"
            if isinstance(question, MessageQuestion):
                yield "! add RCPT TO:<added> ! add RCPT TO:<other> ! continue"

    def _client_verdicts(self) -> Iterator[Input]:
        yield "! disconnect 550 v any"
        for upstream in self.configuration.routes:
            yield f"! route {upstream}"

    def _command_verdicts(self, command: Command) -> Iterator[Input]:
        line = command.raw.decode()
        verb = verb_of(line)
        yield f"! answer 550 v {line}"
        yield f"! answer 421 v {line}"
        yield f"! disconnect 550 v {line}"
        if command.kind not in (Kind.DATA, Kind.CHUNK, Kind.LAST_CHUNK):
            yield f"! answer 250 v {line}"
        else:
            yield "! swallow 250 v ."
            yield "! swallow 550 v ."
            yield "! inspect"
            yield "! inspect HEADERS"
            yield "! inspect BODY_LINE"
            yield "! inspect MESSAGE"
            yield "! add RCPT TO:<added> ! add RCPT TO:<other> ! continue"
            yield "! add RCPT TO:<added> ! inspect MESSAGE"
        if verb in ("MAIL", "RCPT", "EHLO"):
            yield f"! replace {replaced(line)}"
        if verb in ("EHLO", "HELO", "AUTH", "MAIL", "RCPT"):
            for upstream in self.configuration.routes:
                yield f"! route {upstream}"


def _place(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}, {frame.name}"


class Spool:
    """Keeps a message in memory."""

    def __init__(self) -> None:
        self.octets = b""

    def write(self, data: bytes) -> None:
        self.octets += data

    def read(self, start: int, count: int) -> bytes:
        return self.octets[start : start + count]

    def view(self) -> memoryview:
        return memoryview(self.octets)

    def close(self) -> None:
        self.octets = b""


# Reading inputs


def statements(text: Input) -> list[str]:
    """The lines of a script that an input is: ``! add`` stands in a line by itself there."""
    return [f"! {part}" for part in text[2:].split(" ! ")] if text.startswith("! ") else [text]


Act = Callable[[World], list[Event]]


@functools.cache
def _read(text: Input) -> Act:
    if text.endswith((": <tls>", ": <tls failed>")):
        return _handshake(CLIENT if text[0] == "C" else SERVER, complete=text.endswith(" <tls>"))
    if text.startswith("C: "):
        return _client_eof if text == "C: <eof>" else _client_says(text[3:])
    if text.startswith("S: "):
        return _server_eof if text == "S: <eof>" else _server_says(text[3:])
    if text.startswith("!"):
        return _judge(text)
    return _signal(text)


def _handshake(side: Side, *, complete: bool) -> Act:
    def act(world: World) -> list[Event]:
        if complete:
            world.observer.shaken(side)
            return world.proxy.tls_started(side, TLS_INFO)
        world.observer.signalled()
        return world.proxy.tls_failed(side, "no shared cipher")

    return act


def _client_says(text: str) -> Act:
    data = octets(text)

    def act(world: World) -> list[Event]:
        world.observer.client_sends(text)
        return world.proxy.receive_from(CLIENT, data)

    return act


def _client_eof(world: World) -> list[Event]:
    world.observer.client_ends()
    return world.proxy.eof_from(CLIENT)


def _server_says(text: str) -> Act:
    data = octets(text)
    code = int(text[:3]) if text[:3].isdecimal() else 0

    def act(world: World) -> list[Event]:
        world.observer.server_replies(code, text)
        return world.proxy.receive_from(SERVER, data)

    return act


def _server_eof(world: World) -> list[Event]:
    world.observer.server_ends()
    return world.proxy.eof_from(SERVER)


def _judge(text: str) -> Act:
    *before, last = statements(text)
    recipients = tuple(Command.of(line.removeprefix("! add ")) for line in before)
    verdict: SaidVerdict = said(last.removeprefix("! "), recipients)

    def act(world: World) -> list[Event]:
        question = world.observer.question
        assert question is not None
        given: AnyVerdict = verdict_for(question, verdict)
        world.observer.judged(question, given)
        return world.proxy.answer(cast("Question[AnyVerdict]", question), given)

    return act


def _signal(text: str) -> Act:
    call = _SIGNALS[text]

    def act(world: World) -> list[Event]:
        if text == "<shutdown>":
            world.observer.draining = True
        elif text == "<client lost>":
            world.observer.client_is_lost()
        elif text != "<more>":
            world.observer.signalled()
        return call(world.proxy)

    return act


_SIGNALS: Final[dict[str, Callable[[Proxy | Twins], list[Event]]]] = {
    "<timeout>": lambda proxy: proxy.timed_out(),
    "<shutdown>": lambda proxy: proxy.shutdown(),
    "<shutdown now>": lambda proxy: proxy.shutdown(now=True),
    "<unreachable>": lambda proxy: proxy.server_unreachable(),
    "<client lost>": lambda proxy: proxy.client_lost(),
    "<broke>": lambda proxy: proxy.broke(),
    "<more>": lambda proxy: proxy.more(),
}
