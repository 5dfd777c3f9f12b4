"""The rule ``ready:shared_rate_limit`` with a real Redis: proxies count together, and no mail is lost when it
goes away."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from interop_aiosmtpd import Sink
from interop_daemon import open_directory
from interop_proxy import Proxy
from interop_redis import Redis, running_redis
from interop_rules import MAIL, running_proxy, send

pytestmark = pytest.mark.interop

RULE = "ready:shared_rate_limit"


@pytest.fixture
def redis() -> Iterator[Redis]:
    with open_directory("redis") as directory, running_redis(directory) as redis:
        yield redis


def settings(redis: Redis, limits: str = "messages = { hour = 10 }", **more: str) -> str:
    lines = [f'{name} = "{value}"' for name, value in more.items()]
    return "\n".join(["[rules.shared_rate_limit]", f'url = "{redis.url}"', limits, *lines])


def mail(number: int) -> bytes:
    return b"X-Number: %d\r\n" % number + MAIL


def numbers(sink: Sink) -> list[int]:
    """Which messages have arrived, in order of their numbers."""
    return sorted(int(content.split(b"\r\n")[0].split()[1]) for content in sink.contents())


def send_until_accepted(proxy: Proxy, deferred: threading.Semaphore, number: int) -> None:
    """As a client with a queue does."""
    deadline = time.monotonic() + 30
    while (reply := send(proxy, mail(number)))[0] != 250:
        assert reply == (451, b"4.3.0 a service that checks mail is not available, try again later")
        assert time.monotonic() < deadline
        deferred.release()


def test_two_proxies_share_one_limit(redis: Redis, sink: Sink, tmp_path: Path) -> None:
    toml = settings(redis)
    with (
        running_proxy(tmp_path / "one", sink.port, RULE, settings=toml) as one,
        running_proxy(tmp_path / "two", sink.port, RULE, settings=toml) as two,
    ):
        proxies = [one, two] * 8
        with ThreadPoolExecutor(4) as pool:
            replies = list(pool.map(send, proxies, map(mail, range(16))))
        passed = [number for number, reply in enumerate(replies) if reply[0] == 250]
        refused = [reply for reply in replies if reply[0] != 250]
        assert len(passed) == 10
        assert numbers(sink) == passed
        for code, text in refused:
            assert code == 450
            assert text.startswith(b"4.7.1 sending rate exceeded, try again in ")
        # Whichever is asked: the bucket is one.
        assert [send(proxy)[0] for proxy in (one, two)] == [450, 450]
        assert [send(proxy, sender="b@other.example")[0] for proxy in (one, two)] == [
            450,
            450,
        ]  # it is per IP


def test_senders_and_recipients_have_buckets_of_their_own(redis: Redis, sink: Sink, tmp_path: Path) -> None:
    toml = settings(redis, "messages = { hour = 2 }\nrecipients = { day = 3 }", per="sender")
    with running_proxy(tmp_path / "proxy", sink.port, RULE, settings=toml) as proxy:
        for sender in ("a@me.example", "b@me.example"):
            assert [send(proxy, sender=sender)[0] for _ in range(4)] == [250, 250, 450, 450]
    assert redis.command("dbsize") == b":4\r\n"
    assert b":-1" not in redis.command("ttl", "smtp-proxy:rate:messages:hour:sender:a@me.example")


def test_a_bucket_fills_up_again(redis: Redis, sink: Sink, tmp_path: Path) -> None:
    toml = settings(redis, "messages = { second = 1 }")
    with running_proxy(tmp_path / "proxy", sink.port, RULE, settings=toml) as proxy:
        deadline = time.monotonic() + 30
        replies: list[int] = []
        while replies.count(250) < 3:
            replies.append(send(proxy)[0])
            assert time.monotonic() < deadline
    assert 450 in replies


def test_a_restart_in_mid_traffic_loses_nothing(redis: Redis, sink: Sink, tmp_path: Path) -> None:
    """Mail goes on while Redis is away, and is counted again when it is back, without its scripts."""
    toml = settings(redis, "messages = { hour = 1000000 }")
    started = threading.Semaphore(0)
    with (
        running_proxy(tmp_path / "proxy", sink.port, RULE, settings=toml) as proxy,
        ThreadPoolExecutor(4) as pool,
    ):

        def one(number: int) -> int:
            started.release()
            return send(proxy, mail(number))[0]

        replies = pool.map(one, range(120))
        for wanted, act in ((40, redis.stop), (40, redis.start)):
            for _ in range(wanted):
                assert started.acquire(timeout=60)
            act()
        assert list(replies) == [250] * 120
        assert send(proxy, mail(120))[0] == 250
        assert redis.command("dbsize") == b":1\r\n"  # counted by the new server
        assert redis.command("script", "flush") == b"+OK\r\n"
        assert send(proxy, mail(121))[0] == 250
        log = proxy.log()
    assert numbers(sink) == list(range(122))
    assert log.count("redis cannot be asked, mail goes on without it") == 1
    assert log.count("redis answers again") == 1
    assert "coredis" not in log


def test_a_restart_loses_nothing_either_where_mail_is_deferred(
    redis: Redis, sink: Sink, tmp_path: Path
) -> None:
    toml = settings(redis, "messages = { hour = 1000000 }", on_down="defer")
    with (
        running_proxy(tmp_path / "proxy", sink.port, RULE, settings=toml) as proxy,
        ThreadPoolExecutor(4) as pool,
    ):
        assert send(proxy, mail(0))[0] == 250
        redis.stop()
        deferred = threading.Semaphore(0)
        clients = [pool.submit(send_until_accepted, proxy, deferred, number) for number in range(1, 30)]
        for _ in range(20):
            assert deferred.acquire(timeout=30)
        redis.start()
        for client in clients:
            client.result()
    assert numbers(sink) == list(range(30))


def test_redis_may_come_after_the_proxy(redis: Redis, sink: Sink, tmp_path: Path) -> None:
    redis.stop()
    toml = settings(redis, "messages = { hour = 2 }")
    with running_proxy(tmp_path / "proxy", sink.port, RULE, settings=toml) as proxy:
        assert [send(proxy)[0] for _ in range(3)] == [250, 250, 250]
        redis.start()
        assert [send(proxy)[0] for _ in range(3)] == [250, 250, 450]


def test_a_redis_that_hangs_holds_nobody_up_for_long(redis: Redis, sink: Sink, tmp_path: Path) -> None:
    toml = settings(redis, "messages = { hour = 2 }", timeout="100ms")
    with running_proxy(tmp_path / "proxy", sink.port, RULE, settings=toml) as proxy:
        assert send(proxy)[0] == 250
        redis.daemon.pause()
        try:
            with ThreadPoolExecutor(8) as pool:
                waiting = [pool.submit(partial(send, proxy)) for _ in range(16)]
                assert [each.result(20)[0] for each in waiting] == [250] * 16
        finally:
            redis.daemon.go_on()
        # The limit is 2. Nothing is counted before the client has connected anew, about a second later.
        deadline = time.monotonic() + 20
        while send(proxy)[0] != 450:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        log = proxy.log()
    assert log.count("redis cannot be asked") == 1


def test_rules_that_are_loaded_again_go_on_counting(redis: Redis, sink: Sink, tmp_path: Path) -> None:
    """The new ones have a client of their own; the buckets are in Redis."""
    with running_proxy(
        tmp_path / "proxy", sink.port, RULE, settings=settings(redis, "messages = { day = 2 }")
    ) as proxy:
        assert [send(proxy)[0] for _ in range(3)] == [250, 250, 450]
        (tmp_path / "proxy" / "proxy.toml").write_text(settings(redis, "messages = { day = 4 }"))
        proxy.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while send(proxy)[0] != 250:
            assert time.monotonic() < deadline, proxy.log()
        assert [send(proxy)[0] for _ in range(2)] == [250, 450]
    assert len(sink.contents()) == 4
