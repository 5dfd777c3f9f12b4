"""The two peers of a proxy, as simple as can be: what they have said, what they were told, and what they owe.

They frame what they hear by themselves, with no help from the library, and raise `Broken` if it is not what
they must hear.
"""

from __future__ import annotations

from typing import Final

import attrs

from sansio_smtp.config import SendClient, UpstreamTls

__all__ = [
    "AUTH_LINE",
    "DOT",
    "GREETING",
    "HELLO",
    "NUL",
    "STRANGER",
    "STRAY",
    "UNREADABLE",
    "Broken",
    "Client",
    "Server",
    "replaced",
    "require",
    "verb_of",
]

GREETING: Final = "greeting"
DOT: Final = "."
AUTH_LINE: Final = "auth line"
UNREADABLE: Final = "unreadable"
NO_COMMAND: Final = "no command"
NUL: Final = "\\0"
"""A line that holds NUL, as it stands in a script."""

HELLO: Final = ("EHLO", "HELO", "LHLO")
_BLOCKING: Final = (*HELLO, "DATA", "AUTH", "QUIT")
_GROUP: Final = ("MAIL", "RCPT", "RSET", "EXPN", "SEND", "BDAT")
_REFUSED: Final = ("STARTTLS",)
_ABORTING: Final = ("RSET", *HELLO, "QUIT")
_OWN_REPLIES: Final = ((354, "DATA"), (221, "QUIT"), (220, "STARTTLS"), (250, "XFORWARD"), (250, "BDAT"))
_REFUSED_FOR: Final = (("MAIL", "RCPT"), ("MAIL", "MAIL"), ("MAIL", "AUTH"), ("DATA", DOT), ("BDAT", DOT))
_FORBIDDEN: Final = ("GET",)
_KNOWN: Final = (*_BLOCKING, *_GROUP, *_REFUSED, "NOOP", "VRFY", "XCLIENT", "XFORWARD")
_BEFORE_TLS: Final = ("EHLO", "LHLO", "STARTTLS", "QUIT")
STRAY: Final = (
    *("5.5.1 BDAT is not", "5.5.1 there is no mail", "5.5.1 no valid recip"),
    "5.5.1 the message of this chunk",
)
"""How the replies of the proxy to a BDAT of no message begin."""
TAKEN: Final = "2.1.5 taken, by a rule"
"""The reply to a message for a recipient that only a verdict has accepted."""
STRANGER: Final = "198.51.100.1"
"""The address of a client that may not say who the client is."""


class Broken(AssertionError):
    """A promise is broken."""


def verb_of(line: str) -> str:
    """The first word of a line."""
    return line.split(" ", 1)[0]


def replaced(line: str) -> str:
    """The line that a verdict puts in the place of MAIL, RCPT or EHLO."""
    return f"{line[:-1]}x{line[-1]}"


def _same_hello(one: str, other: str) -> bool:
    """Returns True if they differ in what a server of the other protocol hears in place of EHLO or HELO."""
    verbs = {verb_of(one), verb_of(other)}
    return one[4:] == other[4:] and "LHLO" in verbs and verbs < set(HELLO)


def require(condition: object, promise: str, what: str) -> None:
    """Raises `Broken` if the condition does not hold."""
    if not condition:
        raise Broken(f"{promise}: {what}")


@attrs.define
class Client:
    """The client's view: what it has sent, and what it was told."""

    mode: str = "greeting"
    """How its next line is read: greeting, command, blocked, content, auth, chunk, tls, over."""
    own: frozenset[str] = frozenset()
    """The verbs that the proxy itself answers: STARTTLS, XCLIENT, XFORWARD, as far as they are offered."""
    queue: list[str] = attrs.field(factory=list[str])
    """Lines that were sent and cannot be read yet."""
    owed: list[str] = attrs.field(factory=list[str])
    """Lines that no reply has come to."""
    greeted: bool = False
    """True if a 2xx reply to EHLO or HELO has come."""
    mail: tuple[str, str] | None = None
    """The MAIL line that was answered 2xx, and by whom."""
    recipients: list[tuple[str, str]] = attrs.field(factory=list[tuple[str, str]])
    authenticated: bool = False
    """True if a 2xx reply to AUTH has come."""
    added: list[str] = attrs.field(factory=list[str])
    """The recipients that verdicts add to the message."""
    refused: bool = False
    """True after a refused DATA: a line that is no command is mail data then."""
    content: list[str] = attrs.field(factory=list[str])
    """The lines of the message so far."""
    ended: bool = False
    """True if a message has ended that no server has seen the end of and that is not answered."""
    told: bool = False
    """True if the last reply says that the dialogue is over."""
    lmtp: bool = False
    """True if it is to get a reply to a message for each recipient."""

    def sends(self, line: str) -> None:
        self.queue.append(line)
        self._read()

    def _read(self) -> None:
        while self.queue and self.mode in ("command", "content", "auth", "chunk"):
            line = self.queue.pop(0)
            if self.mode == "chunk":
                self.mode = "command"
                self.content.append(line)
                if self.owed and self.owed[-1].endswith(" LAST"):
                    self.owed[-1] = DOT
                    self.ended = True
            elif self.mode == "content":
                if line == DOT:
                    self.mode, self.ended = "command", True
                    self.owed += [DOT] * (max(1, len(self.recipients)) if self.lmtp else 1)
                else:
                    self.content.append(line)
            elif self.mode == "auth":
                self.mode = "blocked"
                self.owed.append(AUTH_LINE)
            else:
                self._command(line)

    def _command(self, line: str) -> None:
        verb = verb_of(line)
        refused, self.refused = self.refused, False
        if verb in _FORBIDDEN or (refused and verb not in _KNOWN):
            self.mode = "blocked"
            self.owed.append(UNREADABLE)
            return
        self.owed.append(line if verb in _KNOWN else NO_COMMAND)
        if verb in _ABORTING and not self.ended:
            self.content = []
        if verb == "BDAT":
            self.mode = "chunk"
        elif verb in _BLOCKING or verb in self.own:
            self.mode = "blocked"

    def receives(self, code: int, text: str) -> str | None:
        """A reply. Returns the line that it answers, None if it answers nothing."""
        require(not self.told or self.mode != "over", "P12", f"{code} after the last reply")
        require(self.mode != "tls", "P12", f"{code} {text} in plain text, within the TLS handshake")
        if self.mode == "greeting":
            self.mode = "command" if code < 300 else "over"
            self.told = code >= 400
            require(code != 354, "P2", "354 in place of a greeting")
            self._read()
            return GREETING
        if not self.owed:
            may_end = code == 421 or (self.mode == "content" and code >= 400)
            require(may_end, "P2", f"{code} {text} answers nothing")
            self.mode, self.told = "over", True
            return None
        line = self.owed.pop(0)
        verb = verb_of(line)
        self._check_place(code, text, line)
        arrives = self.mode == "chunk" and not self.owed and verb == "BDAT"
        require(
            not arrives or code >= 400, "RFC 3030", f"{code} {text} to {line}, whose octets have not come"
        )
        if code == 421 or line == UNREADABLE or (verb == "QUIT" and code < 300):
            self.mode, self.told = "over", True
            self._effect(line, verb, code, text)
            return line
        if 300 <= code < 400:
            require(verb in ("DATA", "AUTH") or line == AUTH_LINE, "P2", f"{code} to {line}")
            self.mode = "content" if verb == "DATA" else "auth"
            self.refused = False
        elif verb == "STARTTLS" and verb in self.own:
            if self.queue:  # what has come in plain text must never be read as if it had come under TLS
                require(code == 503, "P12", f"{code} to STARTTLS, after which octets have come")
                self.mode, self.told = "over", True
            else:
                self.mode = "tls" if code < 300 else "command"
        elif verb in _BLOCKING or verb in self.own or line == AUTH_LINE:
            require(self.mode == "blocked", "P3", f"{line} is answered twice")
            self.mode = "command"
            if verb == "DATA":
                if self.queue:  # which may be mail data
                    self.queue.clear()
                    self.mode = "blocked"
                    self.owed.append(UNREADABLE)
                else:
                    self.refused = True
        self._effect(line, verb, code, text)
        self._read()
        return line

    def _check_place(self, code: int, text: str, line: str) -> None:
        verb = verb_of(line)
        said, _, of = text.partition(" ")
        if said == "s":
            # "any" was said unasked, while a question about the reply before was open.
            right = of in (line, replaced(line), "any") or code == 421 or _same_hello(of, line)
            right = right or verb == verb_of(of) == "BDAT"
            right = right or (verb == "XCLIENT" and (code, of) == (220, GREETING))
            if code >= 400:  # a command that the proxy has sent for this line, or the end of the message
                right = right or (verb_of(of), verb) in _REFUSED_FOR
            require(right, "P3", f"the server's reply to {of} answers {line}")
        elif said == "v":
            right = of in (line, "any") or {verb, verb_of(of)} == {"BDAT", DOT}
            require(right, "P3", f"the verdict on {of} answers {line}")
        else:
            none = code >= 400 or (code, verb) in _OWN_REPLIES
            if line == DOT and any(by == "v" for _, by in self.recipients):
                none = none or text == TAKEN
            require(none, "P8", f"{code} {text} to {line}, which neither the server nor a verdict has said")

    def _effect(self, line: str, verb: str, code: int, text: str) -> None:
        accepted = code < 300
        by, _, of = text.partition(" ")
        stray = text.startswith(STRAY)
        if line == DOT and not stray:
            if DOT not in self.owed or code == 421:
                self._no_transaction()
                self.ended = False
                self.content = []
        elif verb == "BDAT" or line == DOT:
            if not accepted:
                self.content, self.ended = [], False
                if not stray:
                    self._no_transaction()
        elif accepted and verb in HELLO:
            self.greeted = True
            self._no_transaction()
        elif accepted and verb == "STARTTLS":
            self._no_transaction()
        elif accepted and verb == "XCLIENT":
            self._begins_anew()
            if STRANGER in line:
                self.own -= {"XCLIENT", "XFORWARD"}
        elif accepted and (verb == "AUTH" or line == AUTH_LINE) and by == "s":
            self.authenticated = True
        elif accepted and verb == "RSET":
            self._no_transaction()
        elif accepted and verb == "MAIL":
            self._no_transaction()
            self.mail = (of, by)
        elif accepted and verb == "RCPT":
            self.recipients.append((of, by))

    def encrypts(self) -> None:
        """Its TLS handshake is complete."""
        self.mode = "command"
        self.own -= {"STARTTLS"}
        self._begins_anew()

    def _begins_anew(self) -> None:
        self.greeted = self.authenticated = self.refused = False
        self._no_transaction()

    def _no_transaction(self) -> None:
        self.mail = None
        self.recipients.clear()
        self.added.clear()


@attrs.define
class Server:
    """One connection to a server: what it has heard, and what it owes."""

    honest: bool = True
    """False for a server that accepts commands that no server should accept where they are."""
    owes: list[str] = attrs.field(factory=lambda: [GREETING])
    greeted: bool = False
    """True if it has accepted an EHLO or HELO."""
    pipelining: bool = False
    mail: str | None = None
    nested: bool = False
    """True if it has heard MAIL while a transaction was open."""
    recipients: list[str] = attrs.field(factory=list[str])
    mode: str = "command"
    """How the next octets are read: command, content, chunk, auth, tls, over."""
    level: UpstreamTls = UpstreamTls.NONE
    send: SendClient = SendClient.NONE
    encrypted: bool = False
    offers: str = ""
    """What it has offered in reply to the last EHLO since its session began."""
    named: bool = False
    """True if it has accepted XCLIENT."""
    knows_login: bool = False
    """True if it has accepted XCLIENT with the name of a login."""
    demands_login: bool = False
    """True if the proxy is to log in before MAIL."""
    logged_in: bool = False
    """True if it has accepted AUTH of the proxy, in an exchange that was not cancelled."""
    forwarded: bool = False
    """True if it has accepted XFORWARD, and heard no MAIL since then, nor has the client begun anew."""
    again: bool = False
    """True if the client's session has begun anew, so that it must hear EHLO or HELO before MAIL."""
    stale: bool = False
    """True if it knows of a client that is no longer there, and cannot be made to forget it."""
    partial: str = ""
    left: int = 0
    """Octets of a chunk that have not come."""
    bdat: str = ""
    partial_chunk: str = ""
    content: list[str] = attrs.field(factory=list[str])
    """The lines of the message so far."""
    reset: bool = False
    """True if it has accepted RSET, and no MAIL since then."""
    aborted: bool = False
    """True if its connection was reset."""
    in_message: bool = False
    """True if it has got octets of a message that has not ended."""
    lmtp: bool = False
    """True if it gives a reply to a message for each recipient."""
    took: list[str] = attrs.field(factory=list[str])
    """The recipients of the message that it was sent last."""
    codes: list[int] = attrs.field(factory=list[int])
    """The replies that it has given to that message."""

    def receives(self, data: str) -> list[str]:
        """Octets of the proxy. Returns the lines that they are."""
        require(GREETING not in self.owes, "order", f"{data!r} before the server has greeted")
        lines: list[str] = []
        text = self.partial + data
        self.partial = ""
        while True:
            if self.mode == "chunk":
                octets, text = text[: self.left], text[self.left :]
                self.left -= len(octets)
                self.partial_chunk += octets
                if self.left:
                    return lines
                self._chunk_ended()
                lines.append(self.owes[-1])
                continue
            line, crlf, after = text.partition("\r\n")
            if not crlf:
                self.partial = text
                break
            text = after
            if self.mode == "command" and verb_of(line) == "BDAT":
                self._chunk(line)
                continue
            if self.mode == "content":
                self.in_message = True
                if line != DOT:
                    self.content.append(line)
                    continue
                self.mode, self.in_message = "command", False
                self.owes += [DOT] * (len(self.recipients) if self.lmtp else 1)
                self.took, self.codes = [*self.recipients], []
            elif self.mode == "auth":
                self.mode = "command"
                self.owes.append(AUTH_LINE)
            else:
                self._command(line)
            lines.append(self.owes[-1])
        require(not self.partial or self.mode == "content", "P5", f"half a command: {self.partial!r}")
        return lines

    def _chunk(self, line: str) -> None:
        require(
            "CHUNKING" in self.offers or not self.honest, "P5", f"{line} to a server that takes no chunks"
        )
        self._check_order(line)
        self.mode, self.left, self.bdat = "chunk", int(line.split(" ")[1]), line

    def _chunk_ended(self) -> None:
        self.content += self.partial_chunk.split("\r\n")[:-1]
        self.partial_chunk, self.mode = "", "command"
        self.owes.append(DOT if self.bdat.endswith(" LAST") else self.bdat)

    def _check_order(self, line: str) -> None:
        if self.owes and line != "QUIT" and self.mode != "over":
            last = self.owes[-1]
            may = self.pipelining and (last == DOT or verb_of(last) in _GROUP)
            require(may, "order", f"{line} before the reply to {last} (RFC 2920 §3.1)")

    def _command(self, line: str) -> None:
        self._check_order(line)
        self._check_setup(verb_of(line))
        self.owes.append(line)

    def _check_setup(self, verb: str) -> None:
        """Nothing is said that must not be said yet, or not any more."""
        if self.mode == "over" or not self.honest:
            return
        require(self.mode != "tls", "P12", f"{verb} within the TLS handshake with the server")
        require(not self.stale or verb == "QUIT", "login", f"{verb} to a server that knows another client")
        if self.level.required and not self.encrypted:
            require(verb in _BEFORE_TLS, "TLS", f"{verb} in plain text")
        if verb in ("STARTTLS", "XCLIENT", "XFORWARD"):
            require(verb in self.offers, "order", f"{verb}, which the server does not offer")
        if verb == "STARTTLS":
            wanted = self.level is not UpstreamTls.NONE and not self.encrypted
            require(wanted, "TLS", "STARTTLS that nobody wants")
        elif verb == "AUTH" and self.demands_login:
            require(self.greeted, "login", "AUTH to a server that has accepted no EHLO")
            require(not self.logged_in, "login", "AUTH to a server that has accepted one")
        elif verb == "MAIL":
            require(self.logged_in or not self.demands_login, "login", "MAIL before the proxy has logged in")
            named = self.named or self.send not in (SendClient.XCLIENT, SendClient.XFORWARD)
            require(named or self.forwarded, "identity", "MAIL to a server that does not know the client")
            self.forwarded = False

    def client_begins_anew(self, *, known: bool) -> None:
        """``known``: it knows of the client as it was, and cannot be made to forget that."""
        self.greeted, self.again = False, True
        self.stale = self.stale or known

    def encrypts(self) -> None:
        """The TLS handshake with it is complete."""
        self.mode = "command"
        self.encrypted = True
        self._begins_anew()

    def _begins_anew(self) -> None:
        self.greeted = self.pipelining = False
        self.offers = ""
        self._no_transaction()

    def replies(self, code: int, keywords: str) -> str:
        """It answers the oldest line. Returns that line."""
        line = self.owes.pop(0)
        verb = verb_of(line)
        accepted = 0 < code < 300
        if accepted and verb in HELLO:
            self.greeted, self.forwarded = True, False
            self.pipelining = "PIPELINING" in keywords
            if verb != "HELO":
                self.offers = keywords
            self._no_transaction()
        elif verb == "STARTTLS" and accepted:
            self.mode = "tls"
        elif verb == "XCLIENT" and accepted:
            self.named, self.knows_login = True, "LOGIN=a" in line
            self._begins_anew()
        elif verb == "XFORWARD" and accepted:
            self.forwarded = True
        elif accepted and (verb == "AUTH" or line == AUTH_LINE):
            self.logged_in = True
        elif verb == "MAIL":
            self.nested = self.mail is not None
            if accepted:
                self._no_transaction()
                self.mail, self.reset = line, False
        elif accepted and verb == "RCPT":
            self.recipients.append(line)
        elif accepted and verb == "RSET":
            self._no_transaction()
            self.content = []
            self.reset, self.forwarded = True, False
        elif line == DOT:
            self.codes.append(code)
            if DOT not in self.owes:
                self._no_transaction()
                self.content = []
        elif verb == "BDAT" and not accepted:
            self._no_transaction()
            self.content = []
        elif code // 100 == 3 and verb == "DATA":
            self.mode = "content"
        elif code // 100 == 3 and (verb == "AUTH" or line == AUTH_LINE):
            self.mode = "auth"
        return line

    def _no_transaction(self) -> None:
        self.mail = None
        self.recipients = []
