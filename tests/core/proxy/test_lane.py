"""The lane takes what usually comes; on and off, the same events and the same state come of each input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from each import each
from hypothesis import given
from hypothesis import strategies as st

from core.scene import lines
from sansio_smtp.config import Config
from sansio_smtp.events import CLIENT, SERVER, Ask, Close, Event, SendToServer, Side, WaitingFor
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import Answer, Continue, Disconnect, Route, Swallow
from sansio_smtp.states import Message, Phase, UpstreamState
from sansio_smtp.wire.inbox import Inbox
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.violations import RemoteProtocolError

EHLO = ("250-mx", "250 PIPELINING")


def told(value: Any) -> Any:
    """All that a value holds, so that two can be compared."""
    if isinstance(value, RemoteProtocolError):
        return type(value).__name__, str(value), told(value.reply_hint), value.evidence, value.phase
    if isinstance(value, Inbox):
        return bytes(value._data[value._start :])
    if isinstance(value, Config):
        return "they differ in one field"
    if attrs.has(type(value)):
        fields = [told(getattr(value, field.name)) for field in attrs.fields(type(value))]
        return type(value).__name__, *fields
    if isinstance(value, list | tuple):
        return [told(each) for each in value]
    return value


class Watched(Proxy):
    """Counts how often the general path was taken, and how often the joint state was checked."""

    runs = 0
    checks = 0

    def _run(self) -> list[Event]:
        self.runs += 1
        return super()._run()

    def _check_joint_state(self) -> None:
        self.checks += 1
        super()._check_joint_state()


class Twins:
    """Two proxies, one with the lane and one without, that get the same inputs."""

    def __init__(self, *ask: str, **choices: Any) -> None:
        self.fast = Watched(Config(**choices), ask)
        self.slow = Watched(Config(**choices, lane=False), ask)
        self.questions: list[Any] = []

    def both(self, do: Callable[[Proxy], list[Event]]) -> list[Event]:
        fast, slow = do(self.fast), do(self.slow)
        assert told(fast) == told(slow)
        for one, other in zip(self.readings(self.fast), self.readings(self.slow), strict=True):
            assert one == other
        asked = [(a, b) for a, b in zip(fast, slow, strict=True) if isinstance(a, Ask)]
        self.questions += [(a.question, b.question) for a, b in asked if isinstance(b, Ask)]
        return fast

    def readings(self, proxy: Watched) -> Iterator[Any]:
        yield proxy.checks
        yield from (proxy.snapshot(), proxy.progress, proxy.may_read, proxy.waiting_for, proxy.buffered)
        yield from (told(proxy.envelope), told(proxy.hello), proxy.has_more, proxy.closed, proxy.login)
        yield told((proxy._client, proxy._forwarding.leg, proxy._forwarding.waiting, proxy._commands._errors))

    def give(self, side: Side, data: bytes) -> list[Event]:
        return self.both(lambda proxy: proxy.receive_from(side, data))

    def client(self, *text: str) -> list[Event]:
        return self.give(CLIENT, lines(*text))

    def server(self, *text: str) -> list[Event]:
        return self.give(SERVER, lines(*text))

    def answer(self, make: Callable[[], Any]) -> list[Event]:
        fast, slow = self.questions.pop()
        return self.both(
            lambda proxy: proxy.answer(fast if proxy is self.fast else slow, make()),
        )

    def greeted(self, *ehlo: str) -> Twins:
        for side, text in ((SERVER, ("220 mx",)), (CLIENT, ("EHLO me",)), (SERVER, ehlo or EHLO)):
            self.give(side, lines(*text))
            while self.questions:
                self.answer(Continue)
        return self

    def in_content(self) -> Twins:
        self.greeted()
        for line, reply in (("MAIL FROM:<a@me>", "250 ok"), ("RCPT TO:<b@mx>", "250 ok"), ("DATA", "354 go")):
            self.client(line)
            if self.fast.awaiting is not None:
                self.server(reply)
        return self

    def took(self, side: Side, *text: str) -> tuple[int, bool]:
        """The number of things in the input that the lane took; and True if that was all."""
        before = self.fast.runs
        self.give(side, lines(*text))
        lane = self.fast._main[-1]
        assert lane is not None
        return lane.taken, self.fast.runs == before


ALL = True
NO = Reply.of(550, "no")


def test_a_message_of_one_who_waits_for_each_reply() -> None:
    twins = Twins().greeted()
    for line, reply in (("mail FROM:<a@me>", "250 ok"), ("RCPT TO:<b@mx>", "250 ok"), ("DATA", "354 go")):
        assert twins.took(CLIENT, line) == (1, ALL)
        assert twins.took(SERVER, reply) == (1, ALL)
    assert twins.took(CLIENT, "Subject: x", "") == (1, ALL)
    assert twins.took(CLIENT, "..x", ".") == (2, ALL)
    assert twins.took(SERVER, "250-taken", "250 ok") == (1, ALL)
    assert [type(event) for event in twins.client("QUIT")] != []
    assert [type(event) for event in twins.server("221 bye")][-1] is Close


def test_command_groups() -> None:
    twins = Twins().greeted()
    for before in ((), ("text", ".")):
        assert twins.took(CLIENT, *before, "MAIL FROM:<a@me>", "RCPT TO:<b@mx>", "DATA")[1] is ALL
        assert twins.took(SERVER, *(["250 ok"] if before else []), "250 ok", "250 ok", "354 go")[1] is ALL


# What is not usual


@each(
    ("ask", "choices", "line", "taken"),
    [
        ("", {}, "AUTH PLAIN AGFubgBz", 0),
        ("", {}, "XFOO", 0),
        ("", {}, "STARTTLS", 0),
        ("", {}, "BDAT 3", 0),
        ("", {}, "GET / HTTP/1.1", 0),
        ("", {}, "MAIL\0", 0),
        ("", {}, "NOOP\rx", 0),
        ("", {}, " NOOP", 0),
        ("", {"max_line": 7}, "NOOP xyz", 0),
        ("", {"max_line": 7}, "NOOP xy", 1),
        ("", {"auth_without_tls": False}, "NOOP", 1),
        ("", {"auth_without_tls": False}, "AUTH PLAIN AGFubgBz", 0),
        ("", {"tls": "encrypt"}, "NOOP", 0),
        ("RCPT", {}, "MAIL FROM:<a>", 1),
        ("RCPT", {}, "RCPT TO:<b>", 1),
        ("COMMAND", {}, "MAIL FROM:<a>", 1),
        ("OTHER_VERBS", {}, "NOOP", 1),
    ],
)
def test_lines(ask: str, choices: dict[str, Any], line: str, taken: int) -> None:
    twins = Twins(*ask.split(), **choices).greeted()
    assert twins.took(CLIENT, line) == (taken, bool(taken))


def test_lines_after_which_all_else_is_left() -> None:
    twins = Twins(max_pipelined=3).greeted()
    assert twins.took(CLIENT, "RSET", "RSET\nRSET") == (1, not ALL)
    assert twins.took(SERVER, "250 ok", "250 ok", "250 ok") == (3, ALL)
    assert twins.took(CLIENT, "RSET", "RSET", "RSET", "RSET") == (3, not ALL)
    assert twins.took(SERVER, "250 ok") == (0, not ALL), "the client has sent what is to be parsed now"
    assert twins.took(SERVER, "250 ok", "250 ok", "250 ok") == (3, ALL)
    assert twins.took(CLIENT, "DATA", "early") == (1, not ALL)


def test_half_a_line() -> None:
    twins = Twins().greeted()
    twins.give(CLIENT, b"RSET\r")
    twins.give(CLIENT, b"\nRSET\r\n")
    twins.give(SERVER, b"250 ok\r\n25")
    twins.give(SERVER, b"0 ok\r\n")
    assert twins.fast.waiting_for is WaitingFor.COMMAND


def test_a_command_that_is_answered_here() -> None:
    """Not only `Forwarding` acts on a command: a limit is reached, or the server lacks something."""
    twins = Twins(max_recipients=1, max_message_size=9).greeted()
    twins.client("MAIL FROM:<a@me> SIZE=10")
    twins.client("MAIL FROM:<a@me> SIZE=9", "RCPT TO:<b@mx>")
    twins.server("250 ok", "250 ok")
    assert twins.took(CLIENT, "RCPT TO:<c@mx>") == (1, ALL)
    assert twins.fast.awaiting is None
    twins.client("RSET")
    twins.server("250 ok")
    assert twins.took(CLIENT, "MAIL FROM:<a@me> REQUIRETLS") == (1, ALL)


def test_a_command_that_ends_the_plain_state() -> None:
    """The server must be told who the client is, before each MAIL."""
    twins = Twins(send_client="xforward").greeted("250-mx", "250 XFORWARD ADDR NAME")
    assert twins.took(CLIENT, "MAIL FROM:<a@me>") == (1, not ALL)
    assert twins.took(SERVER, "250 ok") == (0, not ALL)
    assert twins.took(SERVER, "250 ok") == (1, ALL)


@each(
    ("line", "reply", "taken"),
    [
        ("NOOP", "250 ok", 1),
        ("NOOP", "500-a|500 b", 1),
        ("NOOP", "250-a|251 b", 0),
        ("NOOP", "354 go", 0),
        ("NOOP", "421 bye", 0),
        ("NOOP", "235 in", 0),
        ("NOOP", "250 " + "x" * 95, 0),
        ("DATA", "554 no", 0),
        ("EHLO me", "250 mx", 0),
        ("QUIT", "221 bye", 0),
    ],
)
def test_replies(line: str, reply: str, taken: int) -> None:
    twins = Twins(max_reply=100).greeted()
    twins.client(line)
    assert twins.took(SERVER, *reply.split("|")) == (taken, bool(taken))


def test_replies_that_are_not_owed_or_ours() -> None:
    twins = Twins("MAIL").greeted()
    twins.client("MAIL FROM:<a@me>", "NOOP")
    twins.answer(lambda: Answer(Reply.of(250, "ok")))
    twins.server("250 ok")
    twins.client("MAIL FROM:<a@me>")
    twins.answer(Continue)
    twins.server("250 ok")
    twins.client("MAIL FROM:<b@me>")
    twins.answer(lambda: Answer(Reply.of(250, "ok")))
    assert twins.took(SERVER, "250 ok", "421 bye") == (0, not ALL), "to RSET of the proxy"


def test_replies_while_a_question_is_open() -> None:
    twins = Twins("RCPT").greeted()
    twins.client("MAIL FROM:<a@me>", "RCPT TO:<b@mx>")
    assert twins.took(SERVER, "250 ok") == (1, ALL)
    twins.answer(lambda: Answer(NO))
    asking = Twins("REPLY").greeted()
    asking.client("NOOP")
    assert asking.took(SERVER, "250 ok") == (0, not ALL)


def test_a_reply_that_ends_the_session() -> None:
    """A command that waits for it is answered with 421 then."""
    twins = Twins("RCPT").greeted()
    twins.client("MAIL FROM:<a@me>", "RCPT TO:<b@mx>")
    twins.answer(lambda: Disconnect(NO))
    assert twins.took(SERVER, "250 ok") == (0, not ALL), "the gate is not open"
    assert twins.fast.closed
    assert twins.took(CLIENT, "NOOP") == (0, not ALL)


def test_the_last_reply_before_one_that_ends_the_session() -> None:
    twins = Twins("RCPT").greeted()
    twins.client("NOOP", "RCPT TO:<b@mx>")
    twins.answer(Continue)
    twins.client("RCPT TO:<c@mx>")
    assert twins.took(SERVER, "250 ok", "421 bye") == (1, not ALL)
    assert twins.fast.closed


def test_a_reply_after_which_another_command_goes() -> None:
    """It goes to another server, or cannot go at all."""
    twins = Twins("MAIL").greeted()
    twins.client("NOOP", "MAIL FROM:<a@me>")
    twins.answer(lambda: Route("other"))
    assert twins.took(SERVER, "250 ok") == (1, not ALL)
    assert twins.fast.snapshot().upstream is UpstreamState.CONNECTING
    twins = Twins(send_client="xforward").greeted()
    twins.client("NOOP", "MAIL FROM:<a@me>")
    assert twins.took(SERVER, "250 ok") == (1, not ALL)
    assert twins.fast.closed


def test_commands_while_the_message_before_them_is_kept() -> None:
    twins = Twins("MESSAGE").in_content()
    twins.client("x", ".")
    twins.answer(Continue)
    assert twins.fast.snapshot().message is Message.AWAITING_DATA
    assert twins.took(CLIENT, "RSET") == (1, not ALL)
    assert twins.took(SERVER, "354 go") == (0, not ALL)
    assert twins.took(SERVER, "250 ok") == (1, ALL)


def test_a_command_that_is_asked_about_in_its_turn() -> None:
    twins = Twins("RCPT", "IN_TURN").greeted()
    assert twins.took(CLIENT, "MAIL FROM:<a@me>", "RCPT TO:<b@mx>") == (2, not ALL)
    assert twins.took(CLIENT, "RCPT TO:<c@mx>") == (0, not ALL)
    assert twins.took(SERVER, "250 ok") == (0, not ALL)
    twins.answer(Continue)
    twins.answer(Continue)
    assert twins.took(SERVER, "250 ok", "250 ok") == (2, ALL)


def test_commands_without_a_server() -> None:
    """They are answered before anything is asked."""
    twins = Twins("RSET", max_message_size=4).in_content()
    twins.client("xxxxxx", ".")
    assert twins.fast.snapshot().upstream is UpstreamState.DETACHED
    assert twins.took(CLIENT, "RSET", "NOOP") == (0, not ALL)
    assert not twins.questions


# Content


@each(
    ("ask", "choices", "text", "taken", "all_of_it"),
    [
        ("", {}, "x", 1, ALL),
        ("", {}, "..x|.", 2, ALL),
        ("", {}, ".", 1, ALL),
        ("", {}, "x|.|NOOP", 3, ALL),
        ("", {}, "x|.|?", 2, not ALL),
        ("", {"tap": "chunks"}, "x|.", 2, ALL),
        ("", {"max_message_size": 4}, "xxx|.", 1, not ALL),
        ("", {"bare_newline": "reject"}, "x\rx", 1, not ALL),
        ("", {"max_pipelined": 1}, "x|.", 2, ALL),
        ("HEADERS", {}, "x: y", 1, ALL),
        ("HEADERS", {}, "x: y||z|.", 1, not ALL),
        ("HEADERS", {}, "x: y||z|.|NOOP", 1, not ALL),
        ("BODY_LINE", {}, "x", 1, not ALL),
        ("HEADERS", {"bare_newline": "reject"}, "x: y||x\rx", 1, not ALL),
        ("MESSAGE", {}, "x", 1, ALL),
        ("MESSAGE", {}, "x|.", 2, not ALL),
    ],
)
def test_content(ask: str, choices: dict[str, Any], text: str, taken: int, all_of_it: bool) -> None:
    twins = Twins(*ask.split(), **choices).in_content()
    assert twins.took(CLIENT, *text.split("|")) == (taken, all_of_it)
    while twins.questions:
        twins.answer(Continue)
    assert twins.took(CLIENT, "more") is not None


def test_content_while_a_question_is_open() -> None:
    twins = Twins("HEADERS").in_content()
    assert twins.took(CLIENT, "x: y", "", "z") == (1, not ALL)
    assert twins.took(CLIENT, "more", ".", "NOOP") == (0, not ALL)
    twins.answer(Continue)
    twins.server("250 ok")
    twins.server("250 ok")
    assert twins.fast.waiting_for is WaitingFor.COMMAND


def test_end_of_data_in_pieces() -> None:
    twins = Twins().in_content()
    for octet in b"x\r\n..\r\n.\r\nNOOP\r\n":
        twins.give(CLIENT, bytes((octet,)))
    twins.server("250 ok", "250 ok")


def test_octets_that_change_later() -> None:
    """A driver may read into a buffer that it uses again."""
    twins, buffer = Twins().in_content(), bytearray(b"x\r\n")
    (sent,) = twins.give(CLIENT, buffer)
    buffer[:] = b"y\r\n"
    assert sent == SendToServer(b"x\r\n")
    twins.give(CLIENT, bytearray(b".\r\nRSET\r\n"))
    twins.give(SERVER, bytearray(b"250 ok\r\n250 ok\r\n"))


def test_content_of_a_message_that_is_dropped() -> None:
    twins = Twins(max_message_size=2).in_content()
    assert twins.took(CLIENT, "xxx") == (1, not ALL)
    assert twins.took(CLIENT, "yyy") == (0, not ALL)
    assert twins.took(CLIENT, ".") == (0, not ALL)


def test_a_message_that_is_swallowed() -> None:
    twins = Twins("DATA").greeted()
    twins.client("DATA")
    twins.answer(lambda: Swallow(Reply.of(250, "taken")))
    assert twins.took(CLIENT, "x") == (1, not ALL)
    assert twins.took(CLIENT, ".") == (1, ALL)


def test_what_is_never_in_the_lane() -> None:
    assert Twins(trace=True).greeted().fast._main[-1] is None
    twins = Twins().greeted()
    twins.client("MAIL FROM:<a@me>")
    twins.both(lambda proxy: proxy.shutdown())
    assert twins.fast._main[-1] is None, "the reply to this may be the last"
    twins.server("550 no")
    assert twins.fast.closed


# Drawn dialogues

SAYS = [
    *[
        "MAIL FROM:<a@me>",
        "RCPT TO:<b@mx>",
        "DATA",
        "RCPT TO:<c@mx>",
        "NOOP",
        "RSET",
        "VRFY x",
        "SEND FROM:<a>",
    ],
    *[
        "mail from:<a> SIZE=9",
        "MAIL FROM:<a> REQUIRETLS",
        "QUIT",
        "EHLO me",
        "HELO me",
        "AUTH PLAIN AGEAYg==",
    ],
    *[
        "STARTTLS",
        "BDAT 3",
        "GET / HTTP/1.1",
        "XFOO",
        "?",
        "",
        "NOOP xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ],
    *["NOOP\x00", "NOOP\rx", "NOOP\nNOOP", "text", "..", ".", "..\rx", "\x00.", "x\n.", "Subject: x"],
]
ANSWERS = ["354 go", "550 no", "421 bye", "235 in", "334 go on", "25", "251-a|250 b", "503 x", "250-a|250 b"]
USUAL = {"DATA": "354 go", "EHLO": "250-mx|250-SIZE 90|250 PIPELINING", "AUTH": "235 in", "QUIT": "221 bye"}
ASKED = ["", "", "RCPT", "DATA IN_TURN", "HEADERS", "BODY_LINE", "MESSAGE", "COMMAND", "REPLY"]
CHOICES: list[dict[str, Any]] = [
    {},
    {"max_pipelined": 2},
    {"max_recipients": 1},
    {"max_message_size": 8},
    {"max_line": 40, "bare_newline": "reject"},
    {"tap": "lines"},
    {"trace": True},
    {"reconnect": True},
    {"max_reply": 30},
    {"tls": "encrypt"},
]
moves = st.tuples(st.sampled_from("CCCSSSA"), st.integers(0, 2**16), st.integers(1, 60) | st.just(10**6))


@given(st.sampled_from(ASKED), st.sampled_from(CHOICES), st.lists(moves, max_size=60))
def test_drawn_dialogues(ask: str, choices: dict[str, Any], drawn: list[tuple[str, int, int]]) -> None:
    """Cut anywhere; many steps go on as most dialogues do."""
    twins = Twins(*ask.split(), **choices).greeted()
    said, due = b"", b""
    for who, number, count in drawn:
        odd, choice = number % 8 == 0, number // 8
        if who == "A" and twins.questions:
            refuses = odd and Answer in type(twins.questions[-1][0]).verdicts
            twins.answer((lambda: Answer(NO)) if refuses else Continue)
        elif who == "C":
            usual = SAYS[:4] if twins.fast.states[0] is Phase.COMMAND else ["x", "."]
            among = SAYS if odd else usual
            said += lines(among[choice % len(among)])
            data, said = said[:count], said[count:]
            if data:
                twins.give(CLIENT, data)
        elif who == "S":
            awaited = twins.fast.awaiting
            text = USUAL.get(awaited.verb.decode(), "250 ok") if awaited else ""
            if odd or text:
                due += lines(*(ANSWERS[choice % len(ANSWERS)] if odd else text).split("|"))
            data, due = due[:count], due[count:]
            if data:
                twins.give(SERVER, data)


def test_junk_is_counted_in_the_lane() -> None:
    proxies = [Proxy(Config(lane=lane, max_junk=2)) for lane in (True, False)]
    for proxy in proxies:
        for side, text in ((SERVER, ("220 mx",)), (CLIENT, ("EHLO me",)), (SERVER, EHLO)):
            proxy.receive_from(side, lines(*text))
        events = proxy.receive_from(CLIENT, lines("NOOP", "vrfy x", "MAIL FROM:<a>", "RSET"))
        assert proxy.tally.junk == 3
        assert proxy.tally.commands == 5
        assert [type(event) for event in events].count(SendToServer) >= 1
        assert proxy.tally.take_hits() == ("max_junk",)
