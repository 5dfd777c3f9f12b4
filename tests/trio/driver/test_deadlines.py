"""The deadline of a session: it begins with a server, and moves with progress alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from io_modes import MODES
from tcp_peers import over_tcp
from trio.testing import MockClock

from sansio_smtp import CLIENT, SERVER, Answer, Continue, Proxy, Reply
from sansio_smtp.questions import AnyQuestion, AnyVerdict
from trio_proxy.driver.deadlines import Deadline
from trio_proxy.driver.settings import Settings
from trio_proxy.settings.timeouts import Timeouts

TIMES = Timeouts(greeting=22, idle=33, command=44, reply=55)
NOBODY: Any = None


def about(deadline: Deadline, seconds: float) -> bool:
    """True if so many seconds are left: never fewer, and a little more."""
    left = deadline.scope.deadline - trio.current_time()
    return seconds <= left <= seconds * 33 / 32


async def test_it_begins_when_a_server_is_connected(mock_clock: MockClock) -> None:
    proxy = Proxy()
    deadline = Deadline(proxy, Settings(connect=NOBODY, timeouts=TIMES))
    deadline.move()
    assert deadline.scope.deadline == math.inf
    deadline.start()
    assert about(deadline, 22)
    mock_clock.jump(10)
    deadline.move()
    assert about(deadline, 12)  # nothing has come
    deadline.start()
    assert about(deadline, 22)  # another server


async def test_it_moves_with_what_is_waited_for(mock_clock: MockClock) -> None:
    proxy = Proxy()
    deadline = Deadline(proxy, Settings(connect=NOBODY, timeouts=TIMES))
    deadline.start()
    for side, octets, seconds in (
        (SERVER, b"220 mx.example\r\n", 33),
        (CLIENT, b"EHLO me.example\r\n", 55),
        (SERVER, b"250 mx.example\r\n", 33),
        (CLIENT, b"MAIL FROM:<a@me.example>\r\n", 55),
        (SERVER, b"250 ok\r\n", 44),
    ):
        mock_clock.jump(5)
        proxy.receive_from(side, octets)
        deadline.move()
        assert about(deadline, seconds)


async def test_it_ends(mock_clock: MockClock) -> None:
    deadline = Deadline(Proxy(), Settings(connect=NOBODY))
    with deadline.scope:
        deadline.end("it is over")
        await trio.sleep_forever()
    assert deadline.scope.cancelled_caught


LATE = Reply.of(250, "kept elsewhere", enhanced="2.0.0")


@pytest.mark.slow
@pytest.mark.parametrize("io", MODES)
@pytest.mark.parametrize(
    ("verdict", "told"),
    [(Continue(), b"421 4.3.0 no decision in time"), (Answer(LATE), LATE.raw.rstrip())],
    ids=["passed on", "answered"],
)
async def test_a_verdict_after_its_time(
    mock_clock: MockClock, io: str, verdict: AnyVerdict, told: bytes
) -> None:
    """A message is not sent to the server when the client is about to be told that it was not; but what
    became of a message in another place is said."""

    async def judge(question: AnyQuestion) -> AnyVerdict:
        with trio.CancelScope(shield=True):
            await trio.sleep(200)
        return verdict

    timeouts = Timeouts(verdict=100)
    async with over_tcp(mock_clock, io=io, ask=frozenset({"MESSAGE"}), judge=judge, timeouts=timeouts) as run:
        await run.hello()
        await run.envelope()
        await run.client.send(b"DATA")
        await run.client.expect(b"354 ...")
        await run.client.raw(b"Subject: hi\r\n\r\n.\r\n")
        await run.client.expect(told + b"...")
        run.client.close()
        assert b"DATA" not in await run.server.rest()
