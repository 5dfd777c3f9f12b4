"""Openings: what is kept of how sessions begin, and that a session which goes by it is as any other."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from each import each
from twins import Twins

from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import ClientTls, Config, Dialect, LoginMode, SendClient, UpstreamTls
from sansio_smtp.events import CLIENT, SERVER, Side
from sansio_smtp.networks import Networks
from sansio_smtp.proxy.openings import _MOST, Input, Opened, Openings
from sansio_smtp.proxy.proxy import Proxy

SIZES = count(100_000)
"""What is known of one configuration is not known of another."""
GREETING, EHLO = (SERVER, b"220 mx\r\n"), (CLIENT, b"EHLO me\r\n")
MESSAGE = (
    (CLIENT, b"MAIL FROM:<a@me>\r\n"),
    (SERVER, b"250 ok\r\n"),
    (CLIENT, b"RCPT TO:<b@mx>\r\n"),
    (SERVER, b"250 ok\r\n"),
    (CLIENT, b"DATA\r\n"),
    (SERVER, b"354 go\r\n"),
    (CLIENT, b"x\r\n.\r\n"),
    (SERVER, b"250 ok\r\n"),
)
END = ((CLIENT, b"QUIT\r\n"), (SERVER, b"221 bye\r\n"))


def taken(twins: Twins, *inputs: Input) -> list[bool]:
    """Which of these inputs are passed on. The twins compare what comes of them."""
    found = []
    for side, data in inputs:
        twins.receive_from(side, data)
        assert twins.passing is not None
        found.append(bool(twins.passing.passed))
    return found


def begun(number: int, *inputs: Input, looks: bool = False, **choices: Any) -> tuple[list[bool], Twins]:
    """The inputs that are passed on in the last one of so many sessions. ``looks``: levels are read after
    each of them."""
    config = Config(**{"max_message_size": next(SIZES), **choices})
    found: list[bool] = []
    for _ in range(number):
        twins = Twins(config)
        if looks:
            twins.pauses = (0,)
        found = taken(twins, *inputs)
    return found, twins


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("hello", [b"EHLO me\r\n", b"HELO [192.0.2.1]\r\n"])
@pytest.mark.parametrize(
    "reply", [b"250 mx\r\n", b"250-mx\r\n250-X-ODD\r\n250-SIZE 99\r\n250 PIPELINING\r\n"]
)
def test_a_reply_is_known_when_it_comes_again(hello: bytes, reply: bytes, looks: bool) -> None:
    """Then a whole session passes, and levels may be read anywhere in it."""
    opening = (GREETING, (CLIENT, hello), (SERVER, reply))
    choices: dict[str, Any] = {"max_message_size": next(SIZES), "looks": looks}
    assert begun(1, *opening, **choices)[0] == [True, True, False]
    found, twins = begun(1, *opening, *MESSAGE, *END, **choices)
    assert all(found)
    assert twins.closed


def test_replies_that_have_been_heard_are_forgotten() -> None:
    openings = Openings()
    asked: list[tuple[Input, ...]] = []

    def rehearse(inputs: tuple[Input, ...]) -> Opened | None:
        asked.append(inputs)
        return None if inputs[-1][1] == b"no" else Opened(b"", None, False)

    def opened(reply: bytes) -> Opened | None:
        return openings.opened("place", (GREETING, EHLO, (SERVER, reply)), rehearse)

    for reply in (b"yes", b"no", b"no", b"no"):
        opened(reply)
    assert len(asked) == 1
    for number in range(2 * _MOST):
        opened(b"%d" % number)
    assert len(asked) == 1, "each has come once"
    assert opened(b"yes") is None, "so its first time is forgotten"
    assert opened(b"yes") is not None
    for number in range(2 * _MOST):
        opened(b"%d" % number)
        opened(b"%d" % number)
    before = len(asked)
    assert opened(b"yes") is None or len(asked) > before


@pytest.mark.parametrize(
    ("greeting", "hello", "reply", "passed"),
    [
        (b"220-mx\r\n220 mx\r\n", b"EHLO me\r\n", b"250 mx\r\n", [False, False, False]),
        (b"220 m\0x\r\n", b"EHLO me\r\n", b"250 mx\r\n", [False, False, False]),
        (b"220 mx\n", b"EHLO me\r\n", b"250 mx\r\n", [False, False, False]),
        (b"220 m\rx\r\n", b"EHLO me\r\n", b"250 mx\r\n", [False, False, False]),
        (b"220 " + b"x" * 600 + b"\r\n", b"EHLO me\r\n", b"250 mx\r\n", [False, False, False]),
        (b"554 no\r\n", b"QUIT\r\n", b"221 mx\r\n", [False, False, False]),
        (b"220 mx\r\n", b"ehlo me\r\n", b"250 mx\r\n", [True, False, False]),
        (b"220 mx\r\n", b"EHLO m e\r\n", b"250 mx\r\n", [True, False, False]),
        (b"220 mx\r\n", b"EHLO me\r\nNOOP\r\n", b"250 mx\r\n", [True, False, False]),
        (b"220 mx\r\n", b"QUIT\r\n", b"221 mx\r\n", [True, False, False]),
        (b"220 mx\r\n", b"EHLO me\r\n", b"500 what\r\n", [True, True, False]),
        (b"220 mx\r\n", b"EHLO me\r\n", b"250 mx\r\n250 mx\r\n", [True, True, False]),
        (b"220 mx\r\n", b"EHLO me\r\n", b"250-mx\r\n", [True, True, False]),
        (b"220 mx\r\n", b"EHLO me\r\n", b"421 no\r\n", [True, True, False]),
    ],
)
def test_what_is_unusual(greeting: bytes, hello: bytes, reply: bytes, passed: list[bool]) -> None:
    inputs = ((SERVER, greeting), (CLIENT, hello), (SERVER, reply))
    assert begun(3, *inputs)[0] == passed
    assert begun(3, *inputs, looks=True)[0] == passed


def test_a_client_that_speaks_first() -> None:
    assert begun(3, EHLO, GREETING, (SERVER, b"250 mx\r\n"))[0] == [False, False, False]
    assert begun(3, GREETING, GREETING)[0] == [True, False]


@each(
    ("passes", "choices"),
    [
        (True, {"tls": ClientTls.MAY}),
        (False, {"send_client": SendClient.XCLIENT}),
        (False, {"accept_xclient": Networks.parse(["192.0.2.0/24"])}),
        (False, {"accept_xforward": Networks.parse(["192.0.2.0/24"])}),
        (False, {"keep": True, "ehlo_name": "proxy.example"}),
        (False, {"failover": 1}),
        (False, {"login_mode": LoginMode.INJECT}),
        (False, {"max_line": 600, "upstream_dialect": Dialect.LMTP}),
        (False, {"upstream_tls": UpstreamTls.ENCRYPT}),
    ],
)
def test_where_sessions_do_not_begin_alike(passes: bool, choices: dict[str, Any]) -> None:
    inputs = (GREETING, EHLO, (SERVER, b"250-mx\r\n250-STARTTLS\r\n250 PIPELINING\r\n"))
    assert begun(3, *inputs, **choices)[0][0] is passes


def test_what_a_client_may_do_is_part_of_it() -> None:
    """Nothing that is kept of one client is used for another who is offered something else."""
    config = Config(tls=ClientTls.MAY, auth_without_tls=False)
    for address in ("127.0.0.1:1", "192.0.2.1:1") * 3:
        twins = Twins(config, client=ClientInfo(address=address))
        taken(twins, GREETING, EHLO, (SERVER, b"250-mx\r\n250 AUTH PLAIN\r\n"), *MESSAGE)


def test_what_is_connected_is_part_of_it() -> None:
    config = Config()
    for level in (UpstreamTls.NONE, UpstreamTls.MAY) * 3:
        twins = Twins(config)
        twins.server_connected(level)
        taken(twins, GREETING, EHLO, (SERVER, b"250-mx\r\n250 STARTTLS\r\n"))
    for dialect in (Dialect.SMTP, Dialect.LMTP) * 3:
        twins = Twins(config)
        twins.server_connected(UpstreamTls.NONE, dialect)
        taken(twins, GREETING, EHLO, (SERVER, b"250 mx\r\n"))


@pytest.mark.parametrize("after", range(14))
@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_an_end_anywhere(after: int, side: Side) -> None:
    inputs = (GREETING, EHLO, (SERVER, b"250 mx\r\n"), *MESSAGE, *END)[:after]
    _, twins = begun(3, *inputs)
    twins.eof_from(side)
    twins.client_lost()


@pytest.mark.parametrize("after", range(14))
@pytest.mark.parametrize("now", [False, True])
def test_a_stop_anywhere(after: int, now: bool) -> None:
    inputs = (GREETING, EHLO, (SERVER, b"250 mx\r\n"), *MESSAGE, *END)[:after]
    _, twins = begun(3, *inputs)
    twins.shutdown(now=now)
    _, twins = begun(3, *inputs)
    twins.timed_out()
    twins.receive_from(CLIENT, b"NOOP\r\n")


@pytest.mark.parametrize(
    "last", [b"221-bye\r\n221 bye\r\n", b"421 bye\r\n", b"221 bye\n", b"221 bye\r\n250 x\r\n"]
)
def test_another_reply_to_quit(last: bytes) -> None:
    found, twins = begun(3, GREETING, EHLO, (SERVER, b"250 mx\r\n"), END[0], (SERVER, last))
    assert found == [True, True, True, True, False]
    assert twins.closed


def test_after_quit() -> None:
    found, _ = begun(3, GREETING, EHLO, (SERVER, b"250 mx\r\n"), END[0], (CLIENT, b"NOOP\r\n"))
    assert found[-2:] == [True, False]
    found, twins = begun(3, GREETING, EHLO, (SERVER, b"250 mx\r\n"), *END, (CLIENT, b"NOOP\r\n"))
    assert found[3:5] == [True, True]
    assert twins.closed


def test_quit_in_a_mail_transaction_and_without_a_known_beginning() -> None:
    opening = (GREETING, EHLO, (SERVER, b"250 mx\r\n"))
    assert begun(3, *opening, *MESSAGE[:4], *END)[0][-2:] == [True, True]
    assert begun(1, (SERVER, b"220-mx\r\n220 mx\r\n"), *opening[1:], *END)[0][-2:] == [True, True]
    assert begun(1, *opening[:2], (SERVER, b"250 never twice\r\n"), *END)[0][-2:] == [True, True]
    assert begun(1, GREETING, END[0])[0] == [True, False]


def test_the_ends_know_nothing_before_they_are_asked() -> None:
    config = Config(max_message_size=12345)
    proxy = Proxy(config)
    for _ in range(3):
        proxy = Proxy(config)
        for side, data in (GREETING, EHLO, (SERVER, b"250 mx\r\n")):
            if proxy.pass_on(side, data) is None:
                proxy.receive_from(side, data)
    assert proxy._downstream.hello is None
    assert proxy.may_read == {CLIENT, SERVER}
    assert proxy._downstream.hello is None
    assert proxy.progress == 3
    assert proxy.hello is not None
    assert proxy.hello.raw == b"EHLO me"
    assert proxy.progress == 3
    assert proxy.client_info.helo == "me"


def test_a_fault_after_the_end() -> None:
    proxy = Proxy()
    for side, data in (GREETING, EHLO, (SERVER, b"250 mx\r\n"), *END):
        if proxy.pass_on(side, data) is None:
            proxy.receive_from(side, data)
    assert proxy.closed
    assert proxy.broke() == []
