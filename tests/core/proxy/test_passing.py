"""Passing: what it takes, what it leaves, and that the state is then that of the general path (`Twins`)."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st
from twins import Twins

from core.scene import lines
from sansio_smtp.config import Config
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import CLIENT, SERVER, Close, MessageAnswered, SendToClient, SendToServer, Side
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.states import Gate, Phase

EHLO = ("250-mx", "250 PIPELINING")
TO_CONTENT = (
    (CLIENT, "MAIL FROM:<a@me>"),
    (SERVER, "250 ok"),
    (CLIENT, "RCPT TO:<b@mx>"),
    (SERVER, "250 ok"),
    (CLIENT, "DATA"),
    (SERVER, "354 go"),
)


def session(**choices: Any) -> Twins:
    """A client that has said EHLO."""
    twins = Twins(Config(**choices))
    for side, text in ((SERVER, ("220 mx",)), (CLIENT, ("EHLO me",)), (SERVER, EHLO)):
        twins.receive_from(side, lines(*text))
    return twins


def takes(twins: Twins, side: Side, data: bytes) -> bool:
    """Returns True if this input is passed on. The twins compare what comes of it."""
    twins.receive_from(side, data)
    assert twins.passing is not None
    return bool(twins.passing.passed)


def says(twins: Twins, side: Side, *text: str) -> bool:
    return takes(twins, side, lines(*text))


def in_content(**choices: Any) -> Twins:
    twins = session(**choices)
    for side, line in TO_CONTENT:
        assert says(twins, side, line)
    return twins


def test_two_messages() -> None:
    twins = in_content()
    for ends in ((b"x", b"x\r\n..y\r\n", b"z\r\n.\r\n"), (b"x\r\n.\r\n",)):
        assert all(takes(twins, CLIENT, data) for data in ends)
        assert says(twins, SERVER, "250 taken")
        assert all(says(twins, side, line) for side, line in TO_CONTENT)


def passed(*inputs: tuple[Side, str], looks: bool = False) -> Proxy:
    """A proxy that has passed on these inputs after EHLO. ``looks``: something is read of it in between."""
    proxy = Proxy()
    for side, data in ((SERVER, b"220 mx\r\n"), (CLIENT, b"EHLO me\r\n"), (SERVER, b"250 mx\r\n")):
        proxy.receive_from(side, data)
    for side, line in inputs:
        assert not proxy.answers
        assert proxy.pass_on(side, lines(line)) == lines(line)
        assert not looks or proxy.envelope is not None
    return proxy


@pytest.mark.parametrize("looks", [False, True])
def test_a_message_that_is_answered_is_told_once(looks: bool) -> None:
    message = (*TO_CONTENT, (CLIENT, "x\r\n."), (SERVER, "250 kept"))
    proxy = passed(*message, looks=looks)
    assert proxy.answers
    answered = proxy.take_answered()
    assert answered.reply.code == 250
    assert answered.envelope.mail is not None
    assert answered.envelope.mail.raw == b"MAIL FROM:<a@me>"
    assert [command.raw for command in answered.envelope.recipients] == [b"RCPT TO:<b@mx>"]
    assert not proxy.answers
    assert proxy.envelope.mail is None
    with pytest.raises(LocalProtocolError, match="answered no message"):
        proxy.take_answered()


@pytest.mark.parametrize("pieces", [("x", "."), ("x",), ()])
def test_a_reply_that_repeats_a_credential(pieces: tuple[str, ...]) -> None:
    """It is told with secrets masked, as the twins compare."""
    twins = session()
    twins.receive_from(CLIENT, b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n")
    twins.receive_from(SERVER, b"235 in\r\n")
    assert not says(twins, CLIENT, "NOOP"), "it may be a credential that comes too late"
    assert not says(twins, SERVER, "250 ok")
    for side, line in TO_CONTENT:
        assert says(twins, side, line)
    if pieces:
        assert says(twins, CLIENT, *pieces)
    if "." not in pieces:
        twins.receive_from(CLIENT, b".\r\n")
    twins.receive_from(SERVER, b"250 taken of AGFubgBzZWNyZXQ=\r\n")


@pytest.mark.parametrize("looks", [False, True])
def test_a_session_whose_driver_lets_go_leaves_no_garbage(looks: bool) -> None:
    """It is not closed before somebody reads it, and what was passed can still be read."""
    proxy = passed((CLIENT, "MAIL FROM:<a@me>"), (SERVER, "250 ok"), looks=looks)
    proxy.let_go()
    assert proxy.envelope.mail is not None
    gone = weakref.ref(proxy)
    gc.disable()
    try:
        del proxy
        assert gone() is None
    finally:
        gc.enable()


def test_a_message_of_which_nobody_wants_to_know() -> None:
    proxy = passed(*TO_CONTENT, (CLIENT, "x\r\n."), (SERVER, "250 kept"))
    proxy.forget_answered()
    assert not proxy.answers
    with pytest.raises(LocalProtocolError, match="answered no message"):
        proxy.take_answered()


class FaultError(Exception):
    """What no code of the library raises."""


def test_a_fault_in_what_the_ends_are_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end that faces the client does not know then what the client waits for."""

    def fault(*_: object) -> None:
        raise FaultError

    for inputs, farewell in (
        (TO_CONTENT[:2], [b"421"]),
        (TO_CONTENT[:3], [b"451"]),
        ((*TO_CONTENT, (CLIENT, "x\r\n.")), [None, b"451"]),
    ):
        proxy = passed(*inputs)
        with monkeypatch.context() as patch:
            patch.setattr(ServerConnection, "take_line", fault)
            with pytest.raises(FaultError):
                proxy.eof_from(SERVER)
            events = proxy.broke()
        told = [event for event in events if isinstance(event, SendToClient | MessageAnswered)]
        assert [event.data[:3] if isinstance(event, SendToClient) else None for event in told] == farewell
        assert Close(SERVER, abort=True) in events
        assert proxy.closed


def test_many_inputs_before_anything_is_read() -> None:
    """Few of them are kept."""
    proxy = passed(*TO_CONTENT[:2], *TO_CONTENT[2:4] * 300)
    assert proxy._passing is not None
    assert len(proxy._passing._passed) < 256
    assert len(proxy.envelope.recipients) == 300
    assert proxy.awaiting is None


@each(
    ("choices", "line", "taken"),
    [
        ({}, "RSET", True),
        ({}, "NOOP", True),
        ({}, "NOOP x", False),
        ({}, "rset", False),
        ({}, "EHLO me", False),
        ({}, "QUIT", True),
        ({}, "AUTH PLAIN AGFubgBz", False),
        ({}, "MAIL FROM:<a> REQUIRETLS", False),
        ({}, "MAIL FROM:<a> SIZE=9", True),
        ({"max_message_size": 8}, "MAIL FROM:<a> SIZE=9", False),
        ({"max_message_size": 9}, "MAIL FROM:<a> SIZE=9", True),
        ({"max_line": 12}, "MAIL FROM:<a>", False),
        ({"max_line": 13}, "MAIL FROM:<a>", True),
        ({}, "MAIL FROM:<\0>", False),
        ({}, "MAIL FROM:<\r>", False),
        ({}, "MAIL FROM:<\n>", False),
        ({"auth_without_tls": False}, "RSET", True),
        ({"auth_without_tls": False}, "AUTH PLAIN AGFubgBz", False),
        ({"tls": "encrypt"}, "RSET", False),
        ({"max_pipelined": 1}, "RSET", False),
        ({"trace": True}, "RSET", False),
        ({"lane": False}, "RSET", False),
        ({"tap": "chunks"}, "RSET", False),
        ({"send_client": "xforward"}, "RSET", False),
    ],
)
def test_lines(choices: dict[str, Any], line: str, taken: bool) -> None:
    assert says(session(**choices), CLIENT, line) is taken


@each("data", [b"", b"\r", b"\r\n", b"RSET", b"RSET\r", b"RSET\n", b"RSET\r\nR", b"MAIL "])
def test_half_lines(data: bytes) -> None:
    assert not takes(session(), CLIENT, data)


def test_too_many_recipients() -> None:
    twins = session(max_recipients=1)
    for side, line in TO_CONTENT[:4]:
        assert says(twins, side, line)
    assert not says(twins, CLIENT, "RCPT TO:<c@mx>")


@each(
    ("line", "reply", "taken"),
    [
        ("RSET", "250 ok", True),
        ("RSET", "550 no", False),
        ("RSET", "250-a\r\n250 b", False),
        ("RSET", "250", False),
        ("RSET", "250 \0", False),
        ("RSET", "250 \r", False),
        ("RSET", "250 \n", False),
        ("RSET", "250 a\r\n250 b", False),
        ("RSET", "199 a", False),
        ("RSET", "600 a", False),
        ("RSET", "354 go", False),
        ("RSET", "421 bye", False),
        ("RSET", "235 in", False),
        ("RSET", "250 " + "x" * 94, True),
        ("RSET", "250 " + "x" * 95, False),
        ("DATA", "554 no", False),
        ("DATA", "250 what", False),
    ],
)
def test_replies(line: str, reply: str, taken: bool) -> None:
    twins = session(max_reply=100)
    assert says(twins, CLIENT, line)
    assert says(twins, SERVER, reply) is taken


@pytest.mark.parametrize("refused", ["550 no", "450 no"])
def test_refusals_are_counted_elsewhere(refused: str) -> None:
    """After one, what comes is passed on again; a client that has had too many of them is not."""
    twins = session(soft_errors=3, max_refusals=9)
    for count in range(1, 5):
        assert says(twins, CLIENT, "RCPT TO:<x>") is (count < 4)
        assert not says(twins, SERVER, refused)
        assert twins.quick.tally.refusals == twins.plain.tally.refusals == count
    twins = session(max_refusals=1)
    for _ in range(2):
        assert says(twins, CLIENT, "RCPT TO:<x>")
        assert not says(twins, SERVER, refused)
    assert not says(twins, CLIENT, "RCPT TO:<x>")


def test_junk_is_counted() -> None:
    twins = session(max_junk=4)
    assert says(twins, CLIENT, "NOOP")
    assert says(twins, SERVER, "250 ok")
    assert says(twins, CLIENT, "RSET", "RSET")
    assert says(twins, SERVER, "250 ok", "250 ok")
    assert not says(twins, CLIENT, "RSET", "NOOP"), "it may be one too many"
    proxy = passed()
    for side, text in (*TO_CONTENT[:4], (CLIENT, "RSET"), (SERVER, "250 ok"), (CLIENT, "NOOP")):
        assert proxy.pass_on(side, lines(text))
    assert (proxy.counts, proxy.tally.junk) == ((5, 0), 2)
    assert proxy.pass_on(SERVER, b"250 ok\r\n")
    for side, text in (*TO_CONTENT, (CLIENT, "x\r\n."), (SERVER, "250 kept")):
        assert proxy.pass_on(side, lines(text))
    assert (proxy.counts, proxy.tally.junk) == ((8, 1), 0)
    assert session(max_junk=1).plain.tally.room_for_junk == 1
    alone = session(max_junk=1)
    assert says(alone, CLIENT, "NOOP")
    assert says(alone, SERVER, "250 ok")
    assert not says(alone, CLIENT, "NOOP")


def test_a_reply_that_nothing_asked_for() -> None:
    twins = session()
    assert says(twins, CLIENT, "RSET")
    assert says(twins, SERVER, "250 ok")
    assert not says(twins, SERVER, "250 ok")


def test_a_client_that_does_not_wait() -> None:
    """Its replies are not passed on either, and it may be at rest again."""
    twins = session()
    assert says(twins, CLIENT, "MAIL FROM:<a@me>")
    assert not says(twins, CLIENT, "RCPT TO:<b@mx>")
    assert not says(twins, SERVER, "250 ok")
    assert not says(twins, CLIENT, "RCPT TO:<c@mx>")
    assert not says(twins, SERVER, "250 ok", "250 ok")
    assert says(twins, CLIENT, "DATA")


@each(
    ("choices", "data"),
    [
        ({}, b".\r\n"),
        ({}, b".x\r\n"),
        ({}, b"x\r"),
        ({}, b"x\rx\r\n"),
        ({}, b"x\nx\r\n"),
        ({}, b"x\0x\r\n"),
        ({}, b"x\r\n.\r\nRSET\r\n"),
        ({}, b"x\r\n."),
        ({"max_message_size": 2}, b"x\r\n"),
        ({"bare_newline": "reject"}, b"x\rx\r\n"),
    ],
)
def test_content(choices: dict[str, Any], data: bytes) -> None:
    twins = in_content(**choices)
    assert not takes(twins, CLIENT, data)
    assert not takes(twins, CLIENT, b"x"), "the state is looked at between messages alone"


def test_every_other_input_ends_it() -> None:
    twins = session()
    assert says(twins, CLIENT, "RSET")
    twins.shutdown()
    assert not says(twins, SERVER, "250 ok")
    twins = session()
    assert says(twins, CLIENT, "RSET")
    twins.client_lost()
    assert not says(twins, CLIENT, "RSET")
    twins = session()
    assert says(twins, CLIENT, "RSET")
    twins.broke()
    assert not says(twins, SERVER, "250 ok")


PIECES = (
    *("MAIL FROM:<a@me>\r\n", "RCPT TO:<b@mx>\r\n", "DATA\r\n", "RSET\r\n", "NOOP\r\n", "QUIT\r\n"),
    *("x\r\n", "x\r\n.\r\n", ".\r\n", "x", "\r\n", "\r", ".", "EHLO me\r\n", "VRFY x\r\n", "rset\r\n"),
    *("RSET\r\nRSET\r\n", "MAIL FROM:<a@me>\r\nRCPT TO:<b@mx>\r\n", "RCPT TO:<b@mx>\r\nDATA\r\n"),
)
REPLIES = (
    "550 no\r\n250 ok\r\n",
    "250 ok\r\n354 go\r\n",
    "354 go\r\n250 ok\r\n",
    "250 ok\r\n",
    "354 go\r\n",
    "550 no\r\n",
    "250-a\r\n250 b\r\n",
    "250",
    " ok\r\n",
    "421 bye\r\n",
)
INPUTS = st.one_of(
    st.tuples(st.just(CLIENT), st.sampled_from(PIECES)), st.tuples(st.just(SERVER), st.sampled_from(REPLIES))
)


@given(st.lists(INPUTS, max_size=12))
def test_whatever_comes(inputs: list[tuple[Side, str]]) -> None:
    twins = session()
    for side, data in inputs:
        takes(twins, side, data.encode())


def test_a_refusal_is_not_forgotten_with_its_message_if_refusals_count() -> None:
    """A server that has refused something is not given to the next client: it is sent QUIT, not RSET."""
    proxy = Proxy(Config(keep=True))
    for side, data in (
        (SERVER, b"220 mx\r\n"),
        (CLIENT, b"EHLO me\r\n"),
        (SERVER, b"250-mx\r\n250 PIPELINING\r\n"),
        *((CLIENT, b"MAIL FROM:<a>\r\n"), (SERVER, b"250 ok\r\n")),
        *((CLIENT, b"RCPT TO:<b>\r\n"), (SERVER, b"250 ok\r\n")),
        *((CLIENT, b"RCPT TO:<x>\r\n"), (SERVER, b"550 no\r\n")),
        *((CLIENT, b"DATA\r\n"), (SERVER, b"354 go\r\n")),
        *((CLIENT, b"hi\r\n.\r\n"), (SERVER, b"250 ok\r\n")),
    ):
        if proxy.pass_on(side, data) is None:
            proxy.receive_from(side, data)
    events = proxy.receive_from(CLIENT, b"QUIT\r\n")
    assert [event.data for event in events if isinstance(event, SendToServer)] == [b"QUIT\r\n"]


GROUP = ("MAIL FROM:<a@me>", "RCPT TO:<b@mx>", "RCPT TO:<c@mx>", "DATA")


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_group_and_its_replies(cut: int) -> None:
    """RFC 2920. The replies may come in parts; each part is of whole replies."""
    replies = ("250 a", "251 b", "250 c", "354 go")
    twins = session()
    for _ in range(2):
        assert says(twins, CLIENT, *GROUP)
        assert says(twins, SERVER, *replies[:cut])
        assert says(twins, SERVER, *replies[cut:])
        assert takes(twins, CLIENT, b"x\r\n.\r\n")
        assert says(twins, SERVER, "250 taken")
    assert not twins.envelope.recipients


def test_a_group_that_ends_elsewhere() -> None:
    """After a refusal, replies are not passed on; then a line alone is owed one reply, not those of the group
    as well."""
    twins = session()
    assert says(twins, CLIENT, "RSET", "RSET")
    assert not says(twins, SERVER, "550 no", "250 ok")
    assert says(twins, CLIENT, "DATA")
    assert not says(twins, SERVER, "354 go", "250 ok")


def test_a_group_without_data() -> None:
    twins = session()
    assert says(twins, CLIENT, *GROUP[:-1])
    assert says(twins, SERVER, "250 a", "250 b", "250 c")
    assert says(twins, CLIENT, "RSET", "NOOP")
    assert not says(twins, CLIENT, "RSET"), "replies are owed"


def test_groups_without_a_message_are_not_kept_for_ever() -> None:
    """What the ends are told of is not kept any more; a transaction that goes on has all its recipients."""
    proxy = Proxy()
    for side, text in ((SERVER, ("220 mx",)), (CLIENT, ("EHLO me",)), (SERVER, EHLO)):
        proxy.receive_from(side, lines(*text))
    assert proxy.pass_on(CLIENT, lines(*GROUP[:-1]))
    assert proxy.pass_on(SERVER, lines("250 a", "250 b", "250 c"))
    for _ in range(100):
        assert proxy.pass_on(CLIENT, lines(*GROUP[1:-1]))
        assert proxy.pass_on(SERVER, lines("250 b", "250 c"))
        assert proxy._passing is not None
        assert len(proxy._passing._passed) < 140
    assert len(proxy.envelope.recipients) == 202


@each(
    ("data", "choices"),
    [
        (b"NOOP\r\nRSET\r\n", {}),
        (b"DATA\r\nRSET\r\n", {}),
        (b"RSET\r\nVRFY x\r\n", {}),
        (b"RSET\r\nRSET", {}),
        (b"RSET\r\nRSET\n", {}),
        (b"RSET\nRSET\r\n", {}),
        (b"RSET\r\n\r\n", {}),
        (b"RSET\r\nMAIL FROM:<\0>\r\n", {}),
        (b"RSET\r\nMAIL FROM:<a> RequireTLS\r\n", {}),
        (b"RSET\r\nMAIL FROM:<%s>\r\n" % (b"a" * 500), {}),
        (b"RSET\r\n" * 3, {"max_pipelined": 3}),
        (b"RCPT TO:<b>\r\n" * 3, {"max_recipients": 2}),
        (b"RSET\r\nMAIL FROM:<a> SIZE=9\r\n", {"max_message_size": 8}),
    ],
)
def test_what_is_no_usual_group(data: bytes, choices: dict[str, Any]) -> None:
    assert not takes(session(**choices), CLIENT, data)


def test_a_server_that_takes_no_groups() -> None:
    twins = Twins(Config())
    for side, text in ((SERVER, "220 mx"), (CLIENT, "EHLO me"), (SERVER, "250 mx")):
        twins.receive_from(side, lines(text))
    assert not says(twins, CLIENT, *GROUP)


@each(
    ("data", "choices"),
    [
        (b"250 a\r\n250 b\r\n250 c\r\n550 no\r\n", {}),
        (b"250 a\r\n354 b\r\n", {}),
        (b"250 a\r\n421 b\r\n", {}),
        (b"250-a\r\n250 b\r\n", {}),
        (b"250 a\r\n250 b", {}),
        (b"250 a\n250 b\r\n", {}),
        (b"250 a\r\n250 \0\r\n", {}),
        (b"250 a\r\n\r\n", {}),
        (b"250 a\r\n" * 3 + b"354 go\r\n250 e\r\n", {}),
        (b"250 a\r\n250 %s\r\n" % (b"b" * 600), {}),
    ],
)
def test_what_are_no_usual_replies_to_a_group(data: bytes, choices: dict[str, Any]) -> None:
    twins = session(**choices)
    assert says(twins, CLIENT, *GROUP)
    assert not takes(twins, SERVER, data)


# The beginning and the end: more in test_openings.py

OPENING = ((SERVER, ("220 mx",)), (CLIENT, ("EHLO me",)), (SERVER, ("250-mx", "250 SIZE 77")))


@pytest.mark.parametrize("looks", [False, True])
def test_a_whole_session(looks: bool) -> None:
    config = Config(max_message_size=54_321 + looks)
    for number in range(3):
        twins = Twins(config)
        twins.pauses = (0,) if looks else (99,)
        assert [says(twins, side, *text) for side, text in OPENING] == [True, True, number > 0]
        for _ in range(2):
            assert all(says(twins, side, line) for side, line in TO_CONTENT)
            assert takes(twins, CLIENT, b"x\r\n.\r\n")
            assert says(twins, SERVER, "250 taken")
        assert says(twins, CLIENT, "QUIT")
        assert says(twins, SERVER, "221 bye")
        assert twins.closed


def test_what_is_no_usual_beginning_or_end() -> None:
    config = Config(max_message_size=54_323)
    for side, text in ((SERVER, "250 mx"), (CLIENT, "EHLO me")):
        assert not says(Twins(config), side, text)
    for side, text in (
        (SERVER, "220 again"),
        (SERVER, "221 bye"),
        (CLIENT, "MAIL FROM:<a>"),
        (CLIENT, "EHLO m=e"),
    ):
        twins = Twins(config)
        assert says(twins, SERVER, "220 mx")
        assert not says(twins, side, text)
    for side, text in ((SERVER, "421 bye"), (CLIENT, "NOOP")):
        twins = session()
        assert says(twins, CLIENT, "QUIT")
        assert not says(twins, side, text)
    assert not says(session(keep=True, ehlo_name="me.example"), CLIENT, "QUIT")
    twins = session()
    assert says(twins, CLIENT, "NOOP")
    assert not says(twins, CLIENT, "QUIT"), "it waits for its turn"
    assert not says(Twins(Config(upstream_tls="encrypt")), SERVER, "220 mx")  # type: ignore[arg-type]


def test_who_may_be_read_needs_no_looking_at_the_ends() -> None:
    proxy = Proxy()
    assert proxy.pass_on(SERVER, b"220 mx\r\n")
    assert proxy.may_read == {CLIENT, SERVER}
    assert proxy._downstream.end.phase is Phase.GREETING
    assert proxy.pass_on(CLIENT, b"EHLO me\r\n")
    proxy.receive_from(SERVER, b"250-mx\r\n")
    assert proxy.receive_from(SERVER, b"250 X-ONCE\r\n")
    assert proxy.pass_on(CLIENT, b"QUIT\r\n")
    assert proxy.pass_on(SERVER, b"221 mx\r\n")
    assert proxy.may_read == set()
    assert proxy.closed
    assert proxy._downstream.gate is Gate.OPEN
    assert proxy.states == (Phase.CLOSED, Phase.CLOSED)


def test_a_fault_while_the_client_waits_for_the_reply_to_ehlo(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy()
    assert proxy.pass_on(SERVER, b"220 mx\r\n")
    assert proxy.pass_on(CLIENT, b"EHLO me\r\n")
    monkeypatch.setattr(ServerConnection, "pass_reply", None)
    assert [type(event) for event in proxy.broke()] == [SendToClient, Close, Close]
