"""The server of a session: got, left, closed; and when closing is a reset."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
import trio
from streams import TrioStream, memory
from trio.testing import MockClock

from sansio_smtp import ClientInfo, Config
from trio_proxy.driver.servers import Servers
from trio_proxy.driver.settings import Settings
from trio_proxy.driver.streams import NOWHERE, Stream
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.text.session_log import SessionLog

CLIENT = ClientInfo(address="192.0.2.1:51000")
Logs = list[MutableMapping[str, Any]]


class Made:
    """Servers, and the streams to them."""

    def __init__(self, **settings: Any) -> None:
        self.asked: list[str | None] = []
        self.streams: list[TrioStream] = []
        given = {"connect": self.connect, "connect_to": self.connect, **settings}
        self.servers = Servers(Settings(**given), SessionLog("c1", CLIENT))

    async def connect(self, upstream: str | None = None) -> Stream:
        self.asked.append(upstream)
        _, stream = memory()
        self.streams.append(TrioStream(stream))
        return self.streams[-1]

    @property
    def ends(self) -> list[str | None]:
        return [stream.end for stream in self.streams]


async def test_the_usual_server_and_another() -> None:
    made = Made()
    assert await made.servers.connect(None, CLIENT)
    assert await made.servers.connect("second.example", CLIENT)
    assert made.asked == [None, "second.example"]


async def test_a_server_that_cannot_be_reached_is_named(autojump_clock: MockClock, logs: Logs) -> None:
    async def never(upstream: str) -> Stream:
        await trio.sleep_forever()
        raise AssertionError

    async def refused() -> Stream:
        raise ConnectionRefusedError("Connection refused")

    made = Made(connect=refused, connect_to=never, timeouts=Timeouts(connect=5))
    assert not await made.servers.connect(None, CLIENT)
    assert not await made.servers.connect("second.example", CLIENT)
    assert trio.current_time() == 5
    made = Made(connect_to=None)
    assert not await made.servers.connect("second.example", CLIENT)
    assert [(line["error"], line.get("upstream")) for line in logs] == [
        ("Connection refused", None),
        ("timeout", "second.example"),
        ("no server but the usual one can be used here", "second.example"),
    ]


async def test_what_tls_is_to_a_server_is_asked_anew_for_each(logs: Logs) -> None:
    asked: list[str | None] = []

    def leg(upstream: str | None) -> None:
        asked.append(upstream)
        if upstream == "no name":
            raise OSError("'no name' cannot be read")

    made = Made(upstream_tls=leg)
    assert await made.servers.connect(None, CLIENT)
    assert await made.servers.connect("second.example", CLIENT)
    assert not await made.servers.connect("no name", CLIENT)
    assert asked == [None, "second.example", "no name"]
    assert made.asked == [None, "second.example"]
    assert [line["error"] for line in logs] == ["'no name' cannot be read"]
    with pytest.raises(ValueError, match="no server is spoken TLS to"):
        made.servers.secured()


async def test_leaving_closes() -> None:
    made = Made()
    await made.servers.connect(None, CLIENT)
    made.servers.end(abort=False)
    made.servers.leave()
    assert made.ends == ["closed"]
    assert made.servers.outbox.stream is NOWHERE
    await made.servers.connect("second.example", CLIENT)
    assert made.ends == ["closed", None]


@pytest.mark.parametrize(
    ("unwritten", "end"),
    [
        (b"", "closed"),
        (b"QUIT\r\n", "closed"),
        (b"text\r\n", "closed"),  # in mail data, the core itself asks for a reset
        (b".\r\n", "reset"),
        (b"text\r\n.\r\n", "reset"),
        (b".\r\nRSET\r\n", "reset"),
        (b"\r\n", "reset"),
        (b"\n", "reset"),
        (b"..\r\n", "closed"),
    ],
)
async def test_an_end_of_data_that_was_not_written_makes_it_a_reset(unwritten: bytes, end: str) -> None:
    made = Made()
    await made.servers.connect(None, CLIENT)
    made.servers.end(abort=False)
    made.servers.outbox.put(unwritten)
    made.servers.close()
    made.servers.close()
    assert made.ends == [end]


async def test_without_a_word_of_the_core_it_is_a_reset() -> None:
    made = Made()
    made.servers.close()
    await made.servers.connect(None, CLIENT)
    made.servers.close()
    assert made.ends == ["reset"]


async def test_a_reset_drops_what_is_unwritten() -> None:
    made = Made()
    await made.servers.connect(None, CLIENT)
    made.servers.outbox.put(b"text\r\n")
    made.servers.end(abort=True)
    assert made.ends == ["reset"]
    assert not made.servers.outbox.waiting


# Who the client is


@pytest.mark.parametrize(
    ("how", "begins"),
    [
        ("none", []),
        ("xclient", []),
        ("proxy", [b"PROXY TCP4 192.0.2.1 10.0.0.5 51000 25\r\n"]),
        ("proxy2", [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x05\xc7\x38\0\x19"]),
    ],
)
async def test_every_server_hears_first_who_the_client_is(how: str, begins: list[bytes]) -> None:
    made = Made(config=Config(send_client=how))
    client = ClientInfo(address="192.0.2.1:51000", local_ip="10.0.0.5", local_port=25)
    for upstream in (None, "second.example"):
        assert await made.servers.connect(upstream, client)
        assert made.streams[-1].writes == begins


class Stuck(TrioStream):
    """Takes some octets, and then no more, or fails."""

    def __init__(self, error: OSError | None) -> None:
        super().__init__(memory()[1])
        self.error = error

    async def send_some(self, data: memoryview) -> int:
        if len(data) < 20:
            if self.error:
                raise self.error
            await trio.sleep_forever()
        return 10


@pytest.mark.parametrize(
    ("error", "why"), [(BrokenPipeError("Broken pipe"), "Broken pipe"), (None, "timeout")]
)
async def test_no_server_is_used_that_has_not_heard_it(
    autojump_clock: MockClock, logs: Logs, error: OSError | None, why: str
) -> None:
    stream = Stuck(error)

    async def connect() -> Stream:
        return stream

    made = Made(connect=connect, config=Config(send_client="proxy"), timeouts=Timeouts(connect=5))
    assert not await made.servers.connect(None, CLIENT)
    assert stream.end == "reset"
    assert made.servers.outbox.stream is NOWHERE
    assert [line["error"] for line in logs] == [why]
