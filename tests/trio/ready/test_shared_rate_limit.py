"""The shared rate limit, against a Redis on a loopback port that answers as it is told.

What the script does is a matter of the real one: see the interoperation tests.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import coredis
import pytest
import trio
from fakes import on_loopback, transaction

from sansio_smtp.rules import Defer, Recipient, Reject, Sender, Transaction
from sansio_smtp.wire.sasl import UNKNOWN_LOGIN
from trio_proxy.ready import shared_rate_limit
from trio_proxy.ready.shared_rate_limit import SharedRateLimit

LATER = Defer(451, "4.3.0 a service that checks mail is not available, try again later")
HELLO = b"%3\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n"


class FakeRedis:
    """Speaks RESP3; forgets scripts when told to, and answers each call of a script with ``answer``."""

    def __init__(self, answer: bytes = b":0\r\n") -> None:
        self.answer = answer
        self.scripts: set[bytes] = set()
        self.calls: list[list[bytes]] = []
        """Keys and arguments."""
        self.loaded = 0

    async def serve(self, stream: trio.abc.Stream) -> None:
        data = b""
        async with stream:
            while more := await stream.receive_some(65_536):
                data += more
                while found := _command(data):
                    words, data = found
                    await stream.send_all(self._answer(words))

    def _answer(self, words: list[bytes]) -> bytes:
        match words:
            case [b"HELLO", *_]:
                return HELLO
            case [b"SCRIPT", b"LOAD", script]:
                self.loaded += 1
                sha = hashlib.sha1(script).hexdigest().encode()
                self.scripts.add(sha)
                return b"$40\r\n%b\r\n" % sha
            case [b"EVALSHA", sha, count, *rest]:
                if sha not in self.scripts:
                    return b"-NOSCRIPT No matching script. Please use EVAL.\r\n"
                self.calls.append(rest)
                assert int(count) * 3 == len(rest)
                return self.answer
        return b"+OK\r\n"


class Unclosed(trio.abc.Stream):
    """Stays open when what serves it ends."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def receive_some(self, most: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(most))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None: ...

    async def aclose(self) -> None: ...


def _command(data: bytes) -> tuple[list[bytes], bytes] | None:
    """The words of a command, and what follows it; None if it is not all there."""
    head, found, rest = data.partition(b"\r\n")
    words: list[bytes] = []
    for _ in range(int(head[1:] or 0) if found else 0):
        size, found, rest = rest.partition(b"\r\n")
        if not found or len(rest) < int(size[1:]) + 2:
            return None
        words.append(rest[: int(size[1:])])
        rest = rest[int(size[1:]) + 2 :]
    return (words, rest) if words else None


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    yield
    gc.collect()


def leaking(test: Any) -> Any:
    """For a test in which coredis cannot connect: it leaves streams in memory open then, which it says when
    they are collected. That shall be here, and not in a later test."""
    ignored = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")
    return pytest.mark.usefixtures("no_leftovers")(ignored(test))


def asked(rule: SharedRateLimit, tx: Transaction) -> Any:
    assert tx.mail_from is not None
    return rule.mail(tx, tx.mail_from)


def limited(port: int, **settings: Any) -> SharedRateLimit:
    settings = {"messages": {"minute": 3}, "timeout": 5, **settings}
    return SharedRateLimit(url=f"redis://127.0.0.1:{port}/0", **settings)


async def test_redis_decides() -> None:
    fake = FakeRedis()
    async with on_loopback(fake.serve) as port:
        rule = limited(port)
        async with rule.running():
            assert await asked(rule, transaction()) is None
            fake.answer = b":20\r\n"
            assert await asked(rule, transaction()) == Defer(
                450, "4.7.1 sending rate exceeded, try again in 20 s"
            )


async def test_one_question_for_all_periods() -> None:
    fake = FakeRedis()
    async with on_loopback(fake.serve) as port:
        rule = limited(port, messages={"minute": 3, "day": 100}, recipients={"hour": 7}, prefix="p:")
        async with rule.running():
            assert await asked(rule, transaction()) is None
            assert await rule.rcpt(transaction(), Recipient.of("b@mx.example")) is None
    assert fake.calls == [
        [b"p:messages:minute:ip:192.0.2.7", b"p:messages:day:ip:192.0.2.7", b"3", b"60", b"100", b"86400"],
        [b"p:recipients:hour:ip:192.0.2.7", b"7", b"3600"],
    ]


@pytest.mark.parametrize(
    ("per", "tx", "who"),
    [
        ("ip", transaction(login="alice"), b"ip:192.0.2.7"),
        ("ip", transaction(peer="[2001:db8::1]:25"), b"ip:2001:db8::1"),
        ("login", transaction(login="alice"), b"login:alice"),
        ("login", transaction(), b"ip:192.0.2.7"),
        ("sender", transaction(sender="Bob@Me.example"), b"sender:bob@me.example"),
        ("sender", transaction(sender=""), b"ip:192.0.2.7"),
        ("sender", transaction(sender="j\u00fcrgen@me.example"), "sender:j\u00fcrgen@me.example".encode()),
    ],
)
async def test_who_is_counted(per: Any, tx: Transaction, who: bytes) -> None:
    fake = FakeRedis()
    async with on_loopback(fake.serve) as port:
        rule = limited(port, per=per)
        async with rule.running():
            assert await asked(rule, tx) is None
    assert fake.calls == [[b"smtp-proxy:rate:messages:minute:" + who, b"3", b"60"]]


async def test_logins_however_they_are_spelled() -> None:
    rule = limited(1, per="login", exempt=["News*"])
    assert await asked(rule, transaction(login="newsletter")) is None
    unknown = transaction()
    unknown.conn.learn(None, UNKNOWN_LOGIN)
    refusal = Reject(550, "5.7.0 who has logged in cannot be read, so its rate cannot be limited")
    assert await asked(rule, unknown) == refusal
    assert await rule.rcpt(unknown, Recipient.of("b@mx.example")) == refusal


async def test_what_has_no_limit_is_not_asked() -> None:
    rule = limited(1, exempt=["192.0.2.*"])
    assert await rule.rcpt(transaction(peer="198.51.100.1:1"), Recipient.of("b@mx.example")) is None
    assert await asked(rule, transaction()) is None


async def test_a_script_that_redis_has_forgotten_is_loaded_again() -> None:
    fake = FakeRedis()
    async with on_loopback(fake.serve) as port:
        rule = limited(port)
        async with rule.running():
            for _ in range(3):
                fake.scripts.clear()
                for _ in range(2):
                    assert await asked(rule, transaction()) is None
    assert (fake.loaded, len(fake.calls)) == (3, 6)


@leaking
@pytest.mark.parametrize(("on_down", "verdict"), [("accept", None), ("defer", LATER)])
async def test_redis_may_be_away_when_it_begins_and_come_later(
    on_down: Any, verdict: Defer | None, logs: list[MutableMapping[str, Any]]
) -> None:
    with trio.socket.socket() as reserved:
        await reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        rule = limited(port, on_down=on_down)
        async with rule.running():
            for _ in range(3):
                assert await asked(rule, transaction()) == verdict
            reserved.listen()
            async with trio.open_nursery() as nursery:
                listener = trio.SocketListener(reserved)
                nursery.start_soon(trio.serve_listeners, FakeRedis(b":9\r\n").serve, [listener])
                for _ in range(2):
                    assert await asked(rule, transaction()) == Defer(
                        450, "4.7.1 sending rate exceeded, try again in 9 s"
                    )
                nursery.cancel_scope.cancel()
    goes = {"accept": "goes on without it", "defer": "is deferred"}[on_down]
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("error", f"redis cannot be asked, mail {goes}"),
        ("warning", "redis answers again"),
    ]


@leaking
async def test_a_redis_that_hangs(logs: list[MutableMapping[str, Any]]) -> None:
    async def hang(stream: trio.abc.Stream) -> None:
        async with stream:
            await trio.sleep_forever()

    async with on_loopback(hang) as port:
        rule = limited(port, timeout=0.05)
        async with rule.running():
            with trio.fail_after(20):
                assert await asked(rule, transaction()) is None
    assert len(logs) == 1


@leaking
async def test_a_connection_on_which_nothing_comes_any_more_is_left(
    monkeypatch: pytest.MonkeyPatch, logs: list[MutableMapping[str, Any]]
) -> None:
    """As after a firewall has forgotten it: no reset comes, and all that is sent is lost."""
    monkeypatch.setattr(shared_rate_limit, "_RETRY_SECONDS", 0)
    fake = FakeRedis(b":5\r\n")
    alive: list[trio.CancelScope] = []

    async def serve(stream: trio.abc.Stream) -> None:
        with trio.CancelScope() as scope:
            alive.append(scope)
            await fake.serve(Unclosed(stream))
        await trio.sleep_forever()

    async with on_loopback(serve) as port:
        rule = limited(port, timeout=20)
        async with rule.running():
            assert await asked(rule, transaction()) is not None
            rule.timeout = 0.2
            for scope in alive:
                scope.cancel()
            assert await asked(rule, transaction()) is None
            with trio.fail_after(20):
                while await asked(rule, transaction()) is None:
                    await trio.lowlevel.checkpoint()
    assert [line["log_level"] for line in logs] == ["error", "warning"]


@pytest.mark.parametrize("answer", [b"+OK\r\n", b"-ERR no\r\n", b"-OOM no memory\r\n", b"_\r\n"])
async def test_an_answer_that_is_none(answer: bytes, logs: list[MutableMapping[str, Any]]) -> None:
    async with on_loopback(FakeRedis(answer).serve) as port:
        rule = limited(port, on_down="defer")
        async with rule.running():
            assert await asked(rule, transaction()) == LATER
    assert len(logs) == 1


async def test_a_client_that_breaks_down_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, logs: list[MutableMapping[str, Any]]
) -> None:
    """Whatever its background tasks may raise: the proxy goes on."""
    made: Callable[..., Any] = coredis.Redis.from_url
    failing = iter([True, False])

    def from_url(*args: Any, **kwargs: Any) -> Any:
        if next(failing):
            raise ExceptionGroup("pool", [RuntimeError("broken")])
        return made(*args, **kwargs)

    monkeypatch.setattr(coredis.Redis, "from_url", from_url)
    monkeypatch.setattr(shared_rate_limit, "_RETRY_SECONDS", 0)
    fake = FakeRedis(b":5\r\n")
    async with on_loopback(fake.serve) as port:
        rule = limited(port)
        async with rule.running():
            with trio.fail_after(20):
                while await asked(rule, transaction()) is None:
                    await trio.lowlevel.checkpoint()
    assert [line["log_level"] for line in logs] == ["error", "warning"]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"url": "127.0.0.1:6379"}, "redis://"),
        ({"messages": {}}, "neither messages nor recipients"),
        ({"recipients": {"day": 0}}, "day = 0: a limit is at least 1"),
        ({"text": "two\r\nlines"}, "CR"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(Exception, match=text):
        SharedRateLimit(**{"messages": {"minute": 3}, **settings})


async def test_it_is_asked_only_while_it_runs() -> None:
    rule = limited(1)
    assert await rule.mail(transaction(), Sender.of("a@me.example")) is None
