"""Everything that a rule should not do, each for a recipient of its own: ``raises@…`` and so on.

A rule file; the secret in it must not be seen by any peer.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from typing import Any

import trio
import trio.lowlevel

from sansio_smtp.rules import Redirect, Reject, on, threaded

SECRET = "secret of the operator"
INJECTED = "x\r\nRSET\r\nMAIL FROM:<injected@x>\r\n"


def given(thing: Any) -> Any:
    """Nobody who reads the file sees what a rule returns."""
    return thing


async def nobody_awaits_this() -> None:
    pass


class Rude(BaseException):
    pass


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    __repr__ = __str__


# Fail at once


@on("rcpt", match="raises@*")
def raises(tx, to):
    raise ValueError(SECRET)


@on("rcpt", match="exits@*")
def exits(tx, to):
    sys.exit(3)


@on("rcpt", match="exits_in_a_thread@*")
@threaded
def exits_in_a_thread(tx, to):
    sys.exit(3)


@on("rcpt", match="exits_in_a_task@*")
async def exits_in_a_task(tx, to):
    sys.exit(3)


@on("rcpt", match="groups@*")
async def groups(tx, to):
    async with trio.open_nursery() as outer, trio.open_nursery() as inner:
        inner.start_soon(nested, ValueError(SECRET))
        outer.start_soon(nested, KeyError(SECRET))


async def nested(error):
    raise ExceptionGroup("deep", [error, ExceptionGroup("deeper", [error])])


@on("rcpt", match="exits_in_a_group@*")
def exits_in_a_group(tx, to):
    raise BaseExceptionGroup("several", [ValueError(SECRET), SystemExit(3)])


@on("rcpt", match="is_rude@*")
def is_rude(tx, to):
    raise Rude(SECRET)


@on("rcpt", match="is_rude_in_a_task@*")
async def is_rude_in_a_task(tx, to):
    raise Rude(SECRET)


@on("rcpt", match="is_cancelled_by_another_library@*")
@threaded
def is_cancelled_by_another_library(tx, to):
    async def main():
        raise asyncio.CancelledError(SECRET)

    asyncio.run(main())


@on("rcpt", match="is_unprintable@*")
def is_unprintable(tx, to):
    raise Unprintable


@on("rcpt", match="recurses@*")
def recurses(tx, to):
    return recurses(tx, to)


@on("rcpt", match="needs_memory@*")
def needs_memory(tx, to):
    return given(bytes(1 << 60))


@on("rcpt", match="says_nonsense@*")
def says_nonsense(tx, to):
    return given(to.address)


@on("rcpt", match="says_a_tuple@*")
def says_a_tuple(tx, to):
    return given((550, "no"))


@on("rcpt", match="says_a_class@*")
def says_a_class(tx, to):
    return given(Reject)


@on("rcpt", match="says_a_coroutine@*")
def says_a_coroutine(tx, to):
    return given(nobody_awaits_this())


@on("rcpt", match="says_a_coroutine_in_a_thread@*")
@threaded
def says_a_coroutine_in_a_thread(tx, to):
    return given(nobody_awaits_this())


@on("rcpt", match="says_a_generator@*")
def says_a_generator(tx, to):
    return given(letter for letter in SECRET)


@on("rcpt", match="says_what_cannot_be_shown@*")
def says_what_cannot_be_shown(tx, to):
    return given(Unprintable())


@on("rcpt", match="adds_too_early@*")
def adds_too_early(tx, to):
    tx.add_rcpt("early@x")


@on("rcpt", match="changes_the_list@*")
def changes_the_list(tx, to):
    tx.rcpts.append(to)


kept = []


@on("data", match="adds_too_late@*")
def keeps(tx):
    kept.append(tx)


@on("body", match="adds_too_late@*")
def adds_too_late(tx, chunk):
    kept[-1].add_rcpt("late@x")


# Inject


@on("rcpt", match="injects_a_text@*")
def injects_a_text(tx, to):
    return Reject(550, INJECTED)


@on("rcpt", match="injects_a_rewrite@*")
def injects_a_rewrite(tx, to):
    to.rewrite(f"a@b>{INJECTED}")


@on("rcpt", match="injects_parameters@*")
def injects_parameters(tx, to):
    to.rewrite("a@b> NOTIFY=NEVER <injected@x")


@on("rcpt", match="injects_a_server@*")
def injects_a_server(tx, to):
    return Redirect(given("127.0.0.1:25\r\nRSET"))


@on("data", match="injects_a_recipient@*")
def injects_a_recipient(tx):
    tx.add_rcpt(f"a@b>{INJECTED}")


@on("headers", match="injects_a_value@*")
def injects_a_value(tx, headers):
    headers.add("X-Value", INJECTED)


@on("headers", match="injects_a_name@*")
def injects_a_name(tx, headers):
    headers.add("X-Name: y\r\n\r\ninjected", "x")


@on("message", match="injects_a_field@*")
def injects_a_field(tx, msg):
    msg.headers.prepend_raw(b"X: y\r\n\r\ninjected\r\n.\r\nRSET\r\n")


@on("command")
def injects_a_command(conn, cmd):
    if cmd.verb == "RCPT" and b"injects_a_command" in cmd.line:
        cmd.replace(f"RCPT TO:<a@b>\r\n{INJECTED}")


@on("reply")
def injects_a_reply(tx, command, answer):
    if command.verb == "RCPT" and b"injects_a_reply" in command.line:
        answer.replace(250, f"2.1.5 ok\r\n250 {INJECTED}")


# Are late


@on("rcpt", match="sleeps_in_a_task@*")
async def sleeps_in_a_task(tx, to):
    await trio.sleep(60)


@on("rcpt", match="sleeps_in_a_thread@*")
@threaded
def sleeps_in_a_thread(tx, to):
    time.sleep(60)


@on("rcpt", match="spins_politely@*")
async def spins_politely(tx, to):
    while True:
        await trio.lowlevel.checkpoint()


@on("rcpt", match="awaits_a_thread@*")
async def awaits_a_thread(tx, to):
    await trio.to_thread.run_sync(time.sleep, 60)


@on("rcpt", match="shields_itself@*")
async def shields_itself(tx, to):
    with trio.CancelScope(shield=True):
        await trio.sleep(60)


@on("rcpt", match="will_not_be_cancelled@*")
async def will_not_be_cancelled(tx, to):
    for _ in range(1000):
        try:
            await trio.sleep(60)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.05)


# Block


@on("rcpt", match="sleeps@*")
def sleeps(tx, to):
    time.sleep(60)


@on("rcpt", match="spins@*")
def spins(tx, to):
    while True:
        pass


@on("rcpt", match="matches@*")
def matches(tx, to):
    re.match(r"(a+)+$", "a" * 40 + "b")


@on("rcpt", match="locks@*")
def locks(tx, to):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@on("rcpt", match="tries_again@*")
def tries_again(tx, to):
    for _ in range(10):
        try:
            time.sleep(60)
        except Exception:
            continue


@on("rcpt", match="sleeps_where_it_awaits@*")
async def sleeps_where_it_awaits(tx, to):
    await trio.lowlevel.checkpoint()
    time.sleep(60)  # noqa: ASYNC251


@on("body_line", match="sleeps_over_a_line@*")
def sleeps_over_a_line(tx, line):
    if line.startswith(b"sleep"):
        time.sleep(60)


# Leave something open


@on("rcpt", match="leaks_a_nursery@*")
async def leaks_a_nursery(tx, to):
    nursery = await trio.open_nursery().__aenter__()
    nursery.start_soon(trio.sleep_forever)


@on("rcpt", match="leaks_a_scope@*")
async def leaks_a_scope(tx, to):
    trio.CancelScope().__enter__()


@on("rcpt", match="leaks_a_cancelled_scope@*")
async def leaks_a_cancelled_scope(tx, to):
    scope = trio.CancelScope()
    scope.__enter__()
    scope.cancel()


@on("rcpt", match="leaks_a_task@*")
async def leaks_a_task(tx, to):
    trio.lowlevel.spawn_system_task(trio.sleep_forever)


@on("rcpt", match="leaks_a_generator@*")
async def leaks_a_generator(tx, to):
    async def generator():
        try:
            yield 1
        finally:
            await trio.lowlevel.checkpoint()

    async for _ in generator():
        break


@on("rcpt", match="cancels_what_it_runs_in@*")
async def cancels_what_it_runs_in(tx, to):
    trio.lowlevel.current_task().parent_nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint()


@on("rcpt", match="forgets_to_await@*")
async def forgets_to_await(tx, to):
    _ = nobody_awaits_this()
