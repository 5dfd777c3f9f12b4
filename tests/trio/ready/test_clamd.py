"""ClamAV's INSTREAM, against a clamd in memory."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
import trio
from fakes import TEXT, in_memory, message, transaction
from trio.testing import MockClock

from sansio_smtp.rules import Defer, Reject
from trio_proxy.ready import clamd
from trio_proxy.ready.clamd import Clamd
from trio_proxy.rulebook.load import load
from trio_proxy.settings.tables import RuleTable

LATER = Defer(451, "4.3.0 a service that checks mail is not available, try again later")


class FakeClamd:
    """Answers with ``answer`` once it has read all, or ``limit`` octets; then it hangs up."""

    def __init__(self, answer: bytes, limit: int = 10**9) -> None:
        self.answer = answer
        self.limit = limit
        self.content = b""
        self.sizes: list[int] = []
        self.buffer = b""

    async def serve(self, stream: trio.abc.Stream) -> None:
        async with stream:
            assert await self._exactly(stream, 10) == b"zINSTREAM\0"
            while (size := int.from_bytes(await self._exactly(stream, 4), "big")) and size <= self.limit:
                self.sizes.append(size)
                self.content += await self._exactly(stream, size)
            for octet in self.answer:
                await stream.send_all(bytes([octet]))

    async def _exactly(self, stream: trio.abc.Stream, count: int) -> bytes:
        while len(self.buffer) < count:
            more = await stream.receive_some(100_000)
            assert more
            self.buffer += more
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken


async def scanned(
    monkeypatch: pytest.MonkeyPatch, fake: FakeClamd, data: bytes = TEXT, rule: Clamd | None = None
) -> Any:
    async with in_memory(fake.serve) as open_stream:
        monkeypatch.setattr(clamd, "open_stream", open_stream)
        return await (rule or Clamd()).message(transaction(), message(data))


async def test_clean_mail_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeClamd(b"stream: OK\0")
    assert await scanned(monkeypatch, fake) is None
    assert fake.content == TEXT


async def test_all_of_a_large_message_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeClamd(b"stream: OK\0")
    data = TEXT + b"x" * 200_000
    assert await scanned(monkeypatch, fake, data) is None
    assert fake.content == data
    assert max(fake.sizes) == 65_536


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (b"stream: Win.Test.EICAR_HDB-1 FOUND\0", "Win.Test.EICAR_HDB-1"),
        (b"stream: a\r\nb\xff FOUND\0", "a??b?"),
        (b"stream: OK FOUND FOUND\0", "OK FOUND"),
    ],
)
async def test_malware_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, answer: bytes, name: str) -> None:
    verdict = await scanned(monkeypatch, FakeClamd(answer))
    assert verdict == Reject(550, f"5.7.1 message contains malware ({name})")


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        (Clamd(), Reject(552, "5.3.4 message is too large to be scanned")),
        (Clamd(on_down="accept"), None),
    ],
)
async def test_what_is_too_large_to_be_scanned(
    monkeypatch: pytest.MonkeyPatch, rule: Clamd, verdict: Reject | None
) -> None:
    """clamd says so in the midst of it, and hangs up."""
    fake = FakeClamd(b"INSTREAM size limit exceeded. ERROR\0", limit=10)
    assert await scanned(monkeypatch, fake, b"x" * 5_000_000, rule) == verdict


@pytest.mark.parametrize(
    "answer", [b"", b"stream: OK", b"stream: Can't open file ERROR\0", b"UNKNOWN COMMAND\0", b"x" * 5_000]
)
async def test_an_answer_that_is_none(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, logs: list[MutableMapping[str, Any]]
) -> None:
    assert await scanned(monkeypatch, FakeClamd(answer)) == LATER
    assert await scanned(monkeypatch, FakeClamd(answer), rule=Clamd(on_down="accept")) is None
    assert [line["event"] for line in logs] == [
        "clamd cannot be asked, mail is deferred",
        "clamd cannot be asked, mail goes on without it",
    ]
    assert repr(answer[:20])[2:-1] in logs[0]["error"]


async def test_a_clamd_that_hangs(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async def hang(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    before = trio.current_time()
    async with in_memory(hang) as open_stream:
        monkeypatch.setattr(clamd, "open_stream", open_stream)
        assert await Clamd(timeout=7).message(transaction(), message()) == LATER
    assert trio.current_time() - before == 7


async def test_an_outage_is_logged_once_and_its_end_too(
    monkeypatch: pytest.MonkeyPatch, logs: list[MutableMapping[str, Any]]
) -> None:
    rule = Clamd(address="unix:/nowhere/clamd.ctl")
    for _ in range(3):
        assert await rule.message(transaction(), message()) == LATER
    for _ in range(2):
        assert await scanned(monkeypatch, FakeClamd(b"stream: OK\0"), rule=rule) is None
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("error", "clamd cannot be asked, mail is deferred"),
        ("warning", "clamd answers again"),
    ]


def test_an_address_that_is_none_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ValueError, match="no port"):
        Clamd(address="localhost")


def test_the_socket_is_relative_to_the_settings_file() -> None:
    table = RuleTable({"address": "unix:clamd.sock"}, {}, "/etc/smtp-proxy/proxy.toml")
    (rule,) = load(["ready:clamd"], {"clamd": table}).ruleset.rules
    made: Any = getattr(rule.function, "__self__")  # noqa: B009
    assert made.address == "unix:/etc/smtp-proxy/clamd.sock"
