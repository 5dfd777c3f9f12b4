"""Logins of the proxy at servers: P1, P2, P8, P11 and P12, over drawn clients, servers and drivers.

The client logs in, rightly or not, and sends mail. The server answers AUTH as it likes, repeats secrets in
its replies, and is left for another one now and then. The driver gives mechanisms, or gives up.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any, Final

import attrs
from hypothesis import example, given
from hypothesis import strategies as st
from twins import Twins

from sansio_smtp import (
    CLIENT,
    SERVER,
    Answer,
    Ask,
    AttemptQuestion,
    Close,
    CommandQuestion,
    Config,
    Connect,
    Continue,
    Disconnect,
    Event,
    LogIn,
    LoginMode,
    LoginQuestion,
    Received,
    Reply,
    Route,
    SendToClient,
    SendToServer,
)
from sansio_smtp.testing.verdicts import SaidLogin, ScriptedSasl

from .budget import FEW

THEIRS, OURS = b"hunter22-of-the-client", b"sesame-of-the-proxy"
"""The password of the client, and that of the proxy."""
_PLAIN: Final = b64encode(b"\0ann\0" + THEIRS)
_LOGIN: Final = (b"AUTH LOGIN", b64encode(b"ann"), b64encode(THEIRS))
CLIENT_LINES: Final = (
    (b"AUTH PLAIN " + _PLAIN,),
    (b"AUTH PLAIN", _PLAIN),
    _LOGIN,
    (b"AUTH LOGIN", b"*"),
    (b"AUTH GSSAPI", _PLAIN),
    (b"AUTH PLAIN !",),
    (b"EHLO me.example",),
    (b"NOOP",),
    (b"RSET",),
    (b"MAIL FROM:<a@me>", b"RCPT TO:<b@mx>"),
    (b"MAIL FROM:<a@me>\r\nRCPT TO:<b@mx>",),
)
AUTH_REPLIES: Final = (
    *(b"235 2.7.0 ok", b"235 welcome " + OURS, b"535 5.7.8 not with " + OURS, b"454 4.7.0 later"),
    *(b"334 ", b"334 VXNlcm5hbWU6", b"334 ?", b"504 5.5.4 no", b"421 4.3.2 bye " + OURS),
)
DRIVER: Final = ("PLAIN", "LOGIN", "give up", "end", "as it says")


def decoded(word: bytes) -> bytes:
    try:
        return b64decode(word, validate=True)
    except ValueError:
        return b""


@attrs.define
class Server:
    """Reads lines; AUTH and what follows it gets the drawn replies."""

    replies: Iterator[bytes]
    in_exchange: bool = False
    logged_in: bool = False
    knows: bool = False
    """True if it has been told the password of the proxy, which it may repeat then."""

    def answer(self, line: bytes, mode: LoginMode) -> bytes:
        if self.in_exchange or line.startswith(b"AUTH"):
            reply = b"501 cancelled" if line == b"*" else next(self.replies, b"235 ok")
            self.knows = self.knows or OURS in (decoded(line.split()[-1]) if line else b"")
            reply = reply if self.knows else reply.replace(OURS, b"what")
            self.in_exchange = reply.startswith(b"334")
            self.logged_in = self.logged_in or reply.startswith(b"235")
            return reply
        if line.startswith(b"EHLO"):
            return b"250-mx\r\n250 AUTH PLAIN LOGIN"
        if line.startswith(b"MAIL") and mode is LoginMode.INJECT:
            assert self.logged_in, "MAIL comes before the login"
        return b"221 bye" if line == b"QUIT" else b"250 ok"


@attrs.define
class Talk:
    """One dialogue, with cuts of a given length."""

    mode: LoginMode
    ask: frozenset[str]
    lines: list[tuple[bytes, ...]]
    replies: list[bytes]
    driver: list[str]
    routes: bool
    cut: int
    proxy: Any = attrs.field(init=False)
    server: Server = attrs.field(init=False)
    told: bytearray = attrs.field(factory=bytearray)
    to_servers: bytearray = attrs.field(factory=bytearray)
    events: list[Event] = attrs.field(factory=list[Event])
    said: Iterator[str] = attrs.field(init=False)
    auth_replies: Iterator[bytes] = attrs.field(init=False)
    accepted: int = 0

    def play(self) -> Talk:
        config = Config(login_mode=self.mode, trace=True, reconnect=True)
        self.proxy = Twins(config, self.ask)
        self.said, self.auth_replies = iter(self.driver), iter(self.replies)
        self.server = Server(self.auth_replies)
        self.feed(SERVER, b"220 mx\r\n")
        self.say(b"EHLO me.example")
        for group in self.lines:
            for line in group:
                if self.proxy.closed:
                    return self
                before = self.codes()
                self.say(line)
                expected = line.count(b"\r\n") + 1
                assert len(self.codes()) - len(before) == expected or self.proxy.closed, "a reply is missing"
                if self.codes()[-1] != b"334" and line is not group[-1] and not line.startswith(b"MAIL"):
                    break  # the exchange is over
        if not self.proxy.closed:
            self.take(self.proxy.eof_from(CLIENT))
        return self

    def codes(self) -> list[bytes]:
        return [line[:3] for line in bytes(self.told).split(b"\r\n") if line[3:4] in (b" ", b"")][:-1]

    def say(self, line: bytes) -> None:
        self.feed(CLIENT, line + b"\r\n")

    def feed(self, side: Any, data: bytes) -> None:
        for at in range(0, len(data), self.cut):
            assert self.proxy.closed or side is CLIENT or side in self.proxy.may_read
            self.take(self.proxy.receive_from(side, data[at : at + self.cut]))

    def take(self, events: list[Event]) -> None:
        self.events += events
        todo = bytearray()
        connects = False
        question: Any = None
        for event in events:
            if isinstance(event, SendToClient):
                self.told += event.data
            elif isinstance(event, SendToServer):
                todo += event.data
                self.to_servers += event.data
            elif isinstance(event, Close) and event.side is SERVER:
                todo.clear()
            elif isinstance(event, Connect):
                connects = True
            elif isinstance(event, Ask):
                question = event.question
        if connects:
            self.server = Server(self.auth_replies)
            self.feed(SERVER, b"220 other\r\n")
        for line in bytes(todo).split(b"\r\n")[:-1]:
            reply = self.server.answer(line, self.mode)
            self.accepted += reply.startswith(b"235")
            if not self.proxy.closed:
                self.feed(SERVER, reply + b"\r\n")
        if question is not None and not self.proxy.closed:
            self.take(self.proxy.answer(question, self.verdict(question)))

    def verdict(self, question: Any) -> Any:
        if isinstance(question, CommandQuestion):
            return Route("other") if self.routes else Continue()
        word = next(self.said, "PLAIN")
        if isinstance(question, AttemptQuestion):
            assert question.attempt.password() == THEIRS.decode()
            return Answer(Reply.of(535, "no")) if word == "give up" else Continue()
        assert isinstance(question, LoginQuestion)
        if word == "give up":
            return Answer(question.refusal)
        if word == "end":
            return Disconnect(Reply.of(421, "bye"))
        if word == "as it says":
            return Continue()
        login = (
            SaidLogin("LOGIN", None, (b"scanner", OURS))
            if word == "LOGIN"
            else SaidLogin("PLAIN", b"\0scanner\0" + OURS, ())
        )
        return LogIn(ScriptedSasl(login))


_ONE: Final = (b"AUTH PLAIN " + _PLAIN,)
_MAIL: Final = (b"MAIL FROM:<a@me>", b"RCPT TO:<b@mx>")


@FEW
@example(
    LoginMode.TRANSLATE, set(), [_ONE, _ONE], [b"535 5.7.8 not with " + OURS], ["PLAIN", "as it says"], False
)
@example(LoginMode.TRANSLATE, set(), [_ONE, _MAIL], [b"235 welcome " + OURS], ["PLAIN"], False)
@example(LoginMode.TRANSLATE, {"MAIL"}, [_ONE, _MAIL], [b"235 ok", b"535 no"], ["PLAIN", "LOGIN"], True)
@example(
    LoginMode.INJECT, {"LOGIN"}, [_MAIL, _ONE, _MAIL], [b"334 ", b"334 ", b"235 ok"], ["PLAIN"] * 2, False
)
@given(
    st.sampled_from((LoginMode.INJECT, LoginMode.TRANSLATE)),
    st.sets(st.sampled_from(("LOGIN", "MAIL", "IN_TURN"))),
    st.lists(st.sampled_from(CLIENT_LINES), max_size=6),
    st.lists(st.sampled_from(AUTH_REPLIES), max_size=8),
    st.lists(st.sampled_from(DRIVER), max_size=6),
    st.booleans(),
)
def test_logins(
    mode: LoginMode,
    ask: set[str],
    lines: list[tuple[bytes, ...]],
    replies: list[bytes],
    driver: list[str],
    routes: bool,
) -> None:
    whole, octets = (
        Talk(mode, frozenset(ask), lines, replies, driver, routes, cut).play() for cut in (1 << 30, 1)
    )
    assert (whole.told, whole.to_servers) == (octets.told, octets.to_servers)
    check_secrets(whole)
    logged_in = whole.codes().count(b"235")
    if mode is LoginMode.TRANSLATE:
        assert logged_in <= whole.accepted


def check_secrets(talk: Talk) -> None:
    """Each stays where it belongs, and is shown nowhere."""
    for event in talk.events:
        shown = repr(event).encode()
        if isinstance(event, SendToServer | Received):
            shown += event.shown or b""
        for secret in (THEIRS, OURS):
            assert secret not in shown, event
            assert b64encode(secret) not in shown, event
    for writing in (THEIRS, b64encode(THEIRS), _PLAIN):
        assert writing not in talk.to_servers
    assert OURS not in talk.told
