"""What the two peers of a proxy see, and what must hold of it.

An `Observer` is told what a driver does and what a proxy says should be done. It frames what either side
sends by itself, with no help from the library, and raises `Broken` if a promise is broken. Every reply
names the line that it answers, so that a reply in the wrong place is seen:

- ``250 s MAIL FROM:<m>`` is said by the server to that line;
- ``250 v MAIL FROM:<m>`` by a verdict.

Whatever else the client is told, the proxy says by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, cast

import attrs

from sansio_smtp import (
    CLIENT,
    SERVER,
    Ask,
    Close,
    Connect,
    Event,
    MessageAnswered,
    Proxy,
    Release,
    Reply,
    SendToClient,
    SendToServer,
    Side,
    StartTLS,
    WaitingFor,
)
from sansio_smtp.questions import AnyQuestion, AnyVerdict, Continue, Disconnect, Inspect, Question, Replace

from .message import MessageWatch, worst
from .peers import (
    AUTH_LINE,
    DOT,
    GREETING,
    HELLO,
    NUL,
    STRAY,
    UNREADABLE,
    Client,
    Server,
    require,
    verb_of,
)

__all__ = ["INJECTED", "Observer"]

INJECTED: Final = "injected"
"""In a reply that comes in the same packet as another."""
_NEEDED: Final = ("RSET", *HELLO, "STARTTLS", "XCLIENT")
"""Commands of the proxy without which a session cannot go on."""


@attrs.define
class Observer:
    """Both sides of one dialogue."""

    server: Server
    message: MessageWatch
    client: Client = attrs.field(factory=Client)
    question: AnyQuestion | None = None
    connecting: bool = False
    """True if another server is asked for that has not answered yet."""
    demands: bool = False
    """True if a server may turn out to lack what is required."""
    shaking: set[Side] = attrs.field(factory=set[Side])
    """The sides in a TLS handshake."""
    closed: set[Side] = attrs.field(factory=set[Side])
    eof: set[Side] = attrs.field(factory=set[Side])
    lost: bool = False
    """True if the client's connection was reset."""
    fails_over: bool = False
    """True if a server that fails is left for another one (`Config.failover`)."""
    login_sent: bool = False
    """True if a server was sent AUTH that the client has no reply to."""
    draining: bool = False
    may_end: bool = False
    """True if the input at hand is a reason to end the dialogue."""

    # What a driver does

    def client_sends(self, line: str) -> None:
        self.client.sends(line)
        self.may_end = UNREADABLE in self.client.owed or line == NUL or CLIENT in self.shaking or self.demands

    def client_ends(self) -> None:
        self.eof.add(CLIENT)

    def client_is_lost(self) -> None:
        """Both sides are to be closed, unless the server owes the reply to a message."""
        self.eof.add(CLIENT)
        self.lost = True

    def server_replies(self, code: int, keywords: str = "") -> None:
        """``code`` is 0 for what is no reply."""
        self.connecting = False
        server = self.server
        line = server.owes[0] if server.owes else None
        verb = verb_of(line) if line else ""
        continues = verb in ("DATA", "AUTH") or line == AUTH_LINE
        last = code in (0, 421) or line is None or (code >= 300 and line == GREETING)
        last = last or (300 <= code < 400 and not continues)
        self.may_end = last or (code >= 400 and verb in _NEEDED) or self.demands
        if line is not None:
            server.replies(code, keywords)
        if last or (verb == "STARTTLS" and INJECTED in keywords):
            self.may_end = True
            server.mode = "over"  # whatever it hears now, it has not behaved

    def server_ends(self) -> None:
        self.connecting = False
        self.eof.add(SERVER)
        self.may_end = True

    def shaken(self, side: Side) -> None:
        """The TLS handshake with a side is complete."""
        self.shaking.discard(side)
        self.may_end = self.demands
        if side is SERVER:
            self.server.encrypts()
            return
        self.server.client_begins_anew(known=self.client.authenticated or self.server.knows_login)
        self.client.encrypts()

    def signalled(self) -> None:
        """A timeout, the end of the service, or a server that is not there."""
        self.may_end = True

    def forget_input(self) -> None:
        """The last input has been dealt with: it must not tell states apart."""
        self.may_end = False

    def judged(self, question: AnyQuestion, verdict: AnyVerdict) -> None:
        self.question = None
        self.may_end = SERVER in self.eof  # which may be seen only now
        self.message.verdict(question, verdict)
        if isinstance(verdict, Continue | Inspect | Replace):
            self.client.added += [command.raw.decode() for command in verdict.recipients]

    # What the proxy says

    def takes(self, events: list[Event]) -> None:
        """Checks one list of events."""
        said = False
        for event in events:
            if isinstance(event, SendToClient):
                require(CLIENT not in self.closed, "P12", "octets to a client that is closed")
                self._to_client(event.data)
                said = True
            elif isinstance(event, SendToServer):
                require(SERVER not in self.closed, "P12", "octets to a server that is closed")
                require(not self.connecting, "order", "octets to a server that is not connected yet")
                require(not self.lost, "P12", "octets to a server for a client that is lost")
                self._to_server(event.data.decode())
            elif isinstance(event, StartTLS):
                self._start_tls(event.side)
            elif isinstance(event, Close):
                self._close(event, said)
            elif isinstance(event, Release):
                self._release(event.side)
            elif isinstance(event, Connect):
                require(SERVER in self.closed, "P12", "another server while one is connected")
                require(CLIENT not in self.closed, "P12", "another server after the client is closed")
                self.closed.discard(SERVER)
                self.eof.discard(SERVER)
                self._connects()
            elif isinstance(event, MessageAnswered):
                self.message.accounted(event.reply.code)
            elif isinstance(event, Ask):
                require(self.question is None, "P11", "a second question while one is open")
                require(CLIENT not in self.closed, "P12", "a question after the end")
                self.message.question(event.question)
                self.question = event.question

    def _start_tls(self, side: Side) -> None:
        mode = self.client.mode if side is CLIENT else self.server.mode
        require(mode == "tls", "P12", f"TLS begins with the {side.value}, which has not agreed to it")
        require(side not in self.shaking, "P12", f"TLS begins twice with the {side.value}")
        self.shaking.add(side)

    def _connects(self) -> None:
        """Another server, or a new connection, takes the place of the one that was closed."""
        client, left = self.client, self.server
        if self.fails_over:
            told = [line for line, by in client.recipients if by == "s"]
            require(not (told and left.recipients), "envelope", f"a server is left that has accepted {told}")
        if left.aborted:
            require(not client.authenticated, "login", "a new connection, without the login of the client")
        elif client.owed and verb_of(client.owed[0]) == "RCPT" and left.honest:
            lost = client.mail is not None and left.recipients
            require(not lost, "envelope", f"a server is left that has accepted {left.recipients}")
        self.connecting = True
        self.shaking.discard(SERVER)
        self.server = Server(
            left.honest, level=left.level, send=left.send, demands_login=left.demands_login, lmtp=left.lmtp
        )

    def _to_client(self, data: bytes) -> None:
        for code, text in _replies(data):
            if text[:2] not in ("s ", "v "):
                self._check_cause(code, text)
            had_mail = self.client.mail is not None
            known = self.client.authenticated or self.server.named
            named = [*self.client.recipients]
            answered = self.client.receives(code, text)
            if answered is not None and verb_of(answered) == "AUTH":
                self.login_sent = False
            if answered is not None and verb_of(answered) == "XCLIENT" and code < 300:
                self.server.client_begins_anew(known=known)
            elif answered is not None and verb_of(answered) == "XFORWARD" and code < 300:
                self.server.forwarded = False  # of another client
            # A message in chunks may have been answered already, with the refusal of an earlier chunk.
            of_message = answered == DOT and not text.startswith(STRAY) and (code < 300 or had_mail)
            if of_message or (answered is not None and self.message.account is not None):
                self._check_results(code, text, named)
                last = answered != DOT or DOT not in self.client.owed or code == 421
                self.message.answered(code, text, last=last)
                if last:
                    self.server.took, self.server.codes = [], []
            elif answered is not None and verb_of(answered) == "MAIL" and text.startswith("s "):
                nested, self.server.nested = self.server.nested, False
                fair = had_mail or not nested or not self.server.honest
                require(fair, "order", "the server hears MAIL in a transaction of before")

    def _check_results(self, code: int, text: str, named: list[tuple[str, str]]) -> None:
        """What the server has said is what the client is told, where replies to a message are counted by
        recipients: ``named`` are those of the client."""
        server, client = self.server, self.client
        if self.message.judged or not (server.lmtp or client.lmtp):
            return
        is_lost = self.may_end or server.mode == "over" or SERVER in self.closed | self.eof
        if code >= 400 and (is_lost or not server.codes):
            return  # the proxy's own
        at = len(self.message.codes)
        whose = [line for line, by in (named[at : at + 1] if client.lmtp else named) if by == "s"]
        codes = server.codes if server.lmtp else server.codes[:1] * len(server.took)
        given = dict(zip(server.took, codes, strict=False))
        known = [given[line] for line in whose if line in given]
        require(len(known) == len(whose), "P8", f"{code} {text} for {whose}; the server has said {given}")
        require(code // 100 == worst(known), "P8", f"{code} {text} for {whose}; the server has said {given}")

    def _check_cause(self, code: int, text: str) -> None:
        """A reply that the proxy gives by itself has a reason."""
        if code == 421:
            caused = self.may_end or self.draining or SERVER in self.closed or self.server.mode == "over"
            caused = caused or text.startswith("4.7.0 too many errors")
            require(caused, "P8", f"{code} {text} for no reason")
        elif code == 452 and self.server.honest:
            before = self.client.recipients or self.client.added
            require(before, "P8", f"{code} {text}, but no recipient was accepted before")

    def _to_server(self, data: str) -> None:
        server, client = self.server, self.client
        for line in server.receives(data):
            verb = verb_of(line)
            if verb == "AUTH" and not server.demands_login:
                require(not self.login_sent, "login", f"{line} is sent to a second server")
                self.login_sent = True
            by_client = any(verb_of(owed) == verb for owed in client.owed)
            if verb == "MAIL":
                self._check_mail(line, by_client)
            elif verb == "RCPT":
                require(by_client or line in client.added, "order", f"{line}, which nobody asks for")
                begun = server.mail is not None or any(verb_of(owed) == "MAIL" for owed in server.owes)
                known = client.mail is not None and client.mail[1] == "s" and not server.reset
                if known and server.honest and server.mode != "over":
                    require(begun, "order", "RCPT to a server that has not heard the MAIL of its transaction")
            elif line == DOT:
                require(client.ended, "P7", "end-of-data that the client has not sent")
                client.ended = False
                self.message.ends_at_server()
                self._check_envelope()
                self._check_content()

    def _check_mail(self, line: str, by_client: bool) -> None:
        server, client = self.server, self.client
        if not by_client and server.honest:
            require(server.mail is None, "order", "MAIL is said again to a server that has a transaction")
            require(client.mail == (line, "s"), "order", f"{line} is said again, but {client.mail} is open")
        if client.greeted or server.again:
            require(server.greeted, "order", "MAIL to a server that has accepted no EHLO or HELO")

    def _check_envelope(self) -> None:
        server, client = self.server, self.client
        if server.mode == "over" or not server.honest:
            return  # nobody knows what it takes
        mail = client.mail[0] if client.mail and client.mail[1] == "s" else None
        require(server.mail == mail, "envelope", f"{server.mail} at the server; the client was told {mail}")
        told = [line for line, by in client.recipients if by == "s"] + client.added
        there = server.recipients
        require(
            sorted(set(told)) == sorted(set(there)), "envelope", f"{there} at the server; should be {told}"
        )

    def _check_content(self) -> None:
        sent, came = self.client.content, self.server.content
        require(self.message.edited or came == sent, "P4", f"{came} at the server; {sent} was sent")
        self.client.content, self.server.content = [], []

    def _close(self, event: Close, said: bool) -> None:
        side = event.side
        require(side not in self.closed, "P12", f"the {side.value} is closed twice")
        self.closed.add(side)
        if side is CLIENT:
            silent = CLIENT in self.eof or self.client.mode == "tls"
            require(said or silent, "P9", "the client is closed without a word")
            self.shaking.discard(side)
            return
        self.shaking.discard(side)
        self.server.aborted = event.abort
        if self.server.in_message or self.server.mode == "content":
            require(event.abort, "P7", "closed in mail data without a reset")

    def _release(self, side: Side) -> None:
        """The connection to the server may serve another client."""
        server = self.server
        require(side not in self.closed, "P12", f"the {side.value} is given back after its end")
        require(not server.owes, "keep", f"given back, but the replies to {server.owes} are to come")
        clean = server.mail is None and not server.in_message and not self.client.authenticated
        require(clean and server.mode == "command", "keep", "given back, but the server knows of a client")
        self.closed.add(side)

    # What must hold between inputs

    def check(self, proxy: Proxy) -> None:
        """Checks a state."""
        if proxy.closed:
            require(self.closed == {CLIENT, SERVER}, "P12", "closed, but a side is not")
            require(not proxy.may_read, "P12", "closed, but a side may be read")
            require(proxy.waiting_for is WaitingFor.NOTHING, "P12", "closed, but something is awaited")
            require(not proxy.has_more, "P12", "closed, but there is more")
            self._check_silence(proxy)
            return
        require(CLIENT not in self.closed, "P12", "the client is closed, but not the dialogue")
        self._check_handshakes(proxy)
        self._check_liveness(proxy)
        require(not self.lost or DOT in self.server.owes, "P11", "the client is lost, the dialogue goes on")
        if self.server.mode != "over":
            awaited = self._awaited(proxy)
            require(proxy.waiting_for is awaited, "P11", f"{proxy.waiting_for} is said, not {awaited}")
            self._check_awaiting(proxy)
        client = self.client
        told = (client.mail is not None, len(client.recipients))
        known = (proxy.envelope.mail is not None, len(proxy.envelope.recipients))
        require(told == known, "envelope", f"the proxy knows {known}, the client was told {told}")
        if self.draining and self._idle():
            require(False, "P11", "the service stops and the client is idle, but the dialogue goes on")

    def _check_handshakes(self, proxy: Proxy) -> None:
        for side, mode in ((CLIENT, self.client.mode), (SERVER, self.server.mode)):
            if mode == "tls" and side not in self.closed:
                require(side in self.shaking, "P11", f"the TLS handshake with the {side.value} never begins")
                require(side not in proxy.may_read, "P12", f"the {side.value} may be read in its handshake")
        if CLIENT in self.shaking:
            require(not self.client.queue, "P12", "octets before the handshake, and the dialogue goes on")

    def _awaited(self, proxy: Proxy) -> WaitingFor:
        owes = [] if SERVER in self.closed else self.server.owes
        if self.question is not None:
            return WaitingFor.VERDICT
        if self.shaking:
            return WaitingFor.HANDSHAKE
        if self.client.mode == "greeting" or GREETING in owes:
            return WaitingFor.GREETING
        if proxy.has_more:
            return WaitingFor.CONTENT
        if owes:
            return WaitingFor.FINAL_REPLY if owes[0] == DOT else WaitingFor.REPLY
        in_message = self.client.mode in ("content", "chunk")
        return WaitingFor.CONTENT if in_message else WaitingFor.COMMAND

    def _check_awaiting(self, proxy: Proxy) -> None:
        owes = [] if SERVER in self.closed else self.server.owes
        said = proxy.awaiting
        if not owes or owes[0] in (GREETING, AUTH_LINE):
            require(owes or said is None, "P2", f"a reply to {said} is awaited that no server owes")
        elif self.question is None:
            require(
                said is not None and said.raw.decode() == owes[0], "P2", f"{said} is awaited, not {owes[0]}"
            )

    def _idle(self) -> bool:
        client = self.client
        quiet = not client.owed and not client.queue and client.mode == "command"
        return quiet and client.mail is None and self.question is None and not self.connecting

    def _check_silence(self, proxy: Proxy) -> None:
        """Nothing comes of any input after the end, so the proxy is of no use afterwards."""
        if self.question is not None:
            verdict = Disconnect(Reply.of(550, "too late"))
            question = cast("Question[AnyVerdict]", self.question)
            require(not proxy.answer(question, verdict), "P12", "a verdict after the end does something")
            self.question = None
        inputs: list[Callable[[], list[Event]]] = [
            lambda: proxy.receive_from(CLIENT, b"NOOP\r\n"),
            lambda: proxy.receive_from(SERVER, b"250 ok\r\n"),
            lambda: proxy.eof_from(CLIENT),
            lambda: proxy.eof_from(SERVER),
            proxy.timed_out,
            proxy.shutdown,
            proxy.server_unreachable,
        ]
        for given in inputs:
            require(not given(), "P12", "an input after the end does something")

    def _check_liveness(self, proxy: Proxy) -> None:
        client = self.client
        readable = proxy.may_read - self.eof - self.closed
        if self.question is not None or proxy.has_more or self.shaking:
            return
        require(readable or self.connecting, "P11", "stalled")
        server_speaks = bool(self.server.owes) and (SERVER in readable or self.connecting)
        arrives = client.mode == "chunk" and len(client.owed) == 1
        if client.mode == "greeting" or (client.owed and not arrives):
            what = client.owed[0] if client.owed else "the connection"
            require(server_speaks, "P2", f"the reply to {what} never comes")
        elif CLIENT not in self.eof and not server_speaks:
            require(CLIENT in readable, "P11", f"the client may not be read in mode {client.mode}")


def _replies(data: bytes) -> Iterator[tuple[int, str]]:
    """The code of each reply, and the text of its first line."""
    *lines, rest = data.decode().split("\r\n")
    require(not rest, "P2", f"half a reply: {data!r}")
    first = ""
    for line in lines:
        first = first or line[4:]
        if line[3:4] != "-":
            yield int(line[:3]), first
            first = ""
