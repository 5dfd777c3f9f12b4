"""A program of somebody who still has trio-typing: it must type-check against this package.

Not collected as a test; tests/compat/check runs type checkers over it in an environment of its own.
"""

from __future__ import annotations

import trio
import trio_typing

from sansio_smtp import CLIENT, SERVER, Config, Proxy, SendToClient, SendToServer
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import Stream, connect
from trio_proxy.text.addresses import Address


async def upstream() -> Stream:
    return await connect(Address.parse("127.0.0.1:25"))


async def serve(
    stream: Stream, task_status: trio_typing.TaskStatus[Session] = trio.TASK_STATUS_IGNORED
) -> None:
    session = Session(stream, "peer", 1, Settings(connect=upstream, config=Config(trace=True)))
    task_status.started(session)
    await session.run()


def octets_out(proxy: Proxy, data: bytes) -> bytes:
    sent = b""
    for event in proxy.receive_from(SERVER if proxy.waiting_for.value == "greeting" else CLIENT, data):
        if isinstance(event, SendToClient | SendToServer):
            sent += event.data
    return sent


async def started_like_this(task_status: trio_typing.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
    assert isinstance(task_status, trio_typing.TaskStatus)  # type: ignore[misc,unused-ignore]
    task_status.started("yes")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        assert await nursery.start(started_like_this) == "yes"


if __name__ == "__main__":
    assert octets_out(Proxy(), b"220 hello\r\n") == b"220 hello\r\n"
    trio.run(main)
