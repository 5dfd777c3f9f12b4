"""The cache of tokens: one fetch for all that wait, early renewal, failures that are remembered."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_proxy.login.tokens import Token, TokenCache, TokenError


@attrs.define
class Source:
    """Gives tokens that last so many seconds; or raises what is in ``error``."""

    life: float = 3600
    error: TokenError | None = None
    seconds: float = 1
    is_shared: bool = False
    fetched: list[str] = attrs.field(factory=list)

    async def fetch(self, account: str) -> Token:
        self.fetched.append(account)
        await trio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Token(f"{account}-{len(self.fetched)}", trio.current_time() + self.life)


async def all_of(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls return or raise, made at the same time."""
    results: list[Any] = [None] * len(calls)

    async def one(number: int) -> None:
        try:
            results[number] = await calls[number]()
        except TokenError as error:
            results[number] = error

    async with trio.open_nursery() as nursery:
        for number in range(len(calls)):
            nursery.start_soon(one, number)
    return results


async def test_two_sessions_of_one_account_fetch_once(autojump_clock: trio.testing.MockClock) -> None:
    source = Source()
    cache = TokenCache(source)
    first, second, other = await all_of(
        lambda: cache.token("ann"), lambda: cache.token("ann"), lambda: cache.token("bob")
    )
    assert first is second
    assert first.value == "ann-1" or first.value == "ann-2"
    assert other.value.startswith("bob-")
    assert sorted(source.fetched) == ["ann", "bob"]
    assert trio.current_time() == pytest.approx(1, abs=0.1)  # neither account waits for the other
    assert await cache.token("ann") is first


async def test_one_token_for_all_accounts(autojump_clock: trio.testing.MockClock) -> None:
    source = Source(is_shared=True)
    cache = TokenCache(source)
    assert await cache.token("ann") is await cache.token("bob")
    assert source.fetched == ["ann"]


@pytest.mark.parametrize(("life", "fresh"), [(3600, 3300), (100, 80)])
async def test_a_token_is_renewed_before_it_expires(
    life: float, fresh: float, autojump_clock: trio.testing.MockClock
) -> None:
    source = Source(life=life)
    cache = TokenCache(source)
    first = await cache.token("ann")
    await trio.sleep(fresh - 1)
    assert await cache.token("ann") is first
    await trio.sleep(1)
    second, third = await all_of(lambda: cache.token("ann"), lambda: cache.token("ann"))
    assert second is third
    assert second is not first
    assert len(source.fetched) == 2


async def test_the_old_token_is_used_while_none_can_be_had(autojump_clock: trio.testing.MockClock) -> None:
    source = Source()
    cache = TokenCache(source)
    first = await cache.token("ann")
    await trio.sleep(3400)
    source.error = TokenError("down")
    assert await cache.token("ann") is first
    assert await cache.token("ann") is first
    assert len(source.fetched) == 2
    await trio.sleep(300)  # now it has expired
    with pytest.raises(TokenError, match="down"):
        await cache.token("ann")
    source.error = None
    await trio.sleep(20)
    assert await cache.token("ann") is not first


async def test_a_failure_is_remembered_for_a_while(
    autojump_clock: trio.testing.MockClock, logs: list[MutableMapping[str, Any]]
) -> None:
    source = Source(error=TokenError("revoked", permanent=True))
    cache = TokenCache(source)
    errors = await all_of(*[lambda: cache.token("ann")] * 20)
    assert {str(error) for error in errors} == {"revoked"}
    assert [line["event"] for line in logs] == ["no access token is available"]
    assert source.fetched == ["ann"]
    source.error = None
    await trio.sleep(14)
    with pytest.raises(TokenError, match="revoked"):
        await cache.token("ann")
    await trio.sleep(1)
    assert (await cache.token("ann")).value == "ann-2"
    assert logs[-1]["event"] == "access tokens are available again"
    assert len(logs) == 2


async def test_a_source_is_left_alone_as_long_as_it_wants(autojump_clock: trio.testing.MockClock) -> None:
    source = Source(error=TokenError("busy", retry_after=120))
    cache = TokenCache(source)
    for _ in range(10):
        with pytest.raises(TokenError):
            await cache.token("ann")
        await trio.sleep(11)
    assert len(source.fetched) == 1
    await trio.sleep(20)
    with pytest.raises(TokenError):
        await cache.token("ann")
    assert len(source.fetched) == 2


async def test_a_refused_token_is_replaced_once(autojump_clock: trio.testing.MockClock) -> None:
    source = Source()
    cache = TokenCache(source)
    first = await cache.token("ann")
    await trio.sleep(60)
    second, third = await all_of(
        lambda: cache.token("ann", refused=first), lambda: cache.token("ann", refused=first)
    )
    assert second is third
    assert second is not first
    assert await cache.token("ann", refused=first) is second
    assert len(source.fetched) == 2


async def test_not_each_client_of_a_server_that_refuses_everything_costs_a_token(
    autojump_clock: trio.testing.MockClock,
) -> None:
    source = Source(seconds=0)
    cache = TokenCache(source)
    token = await cache.token("ann", refused=await cache.token("ann"))
    for _ in range(3):
        with pytest.raises(TokenError, match="one new token after the other") as caught:
            await cache.token("ann", refused=token)
        assert caught.value.permanent
    assert len(source.fetched) == 2
    await trio.sleep(20)
    assert await cache.token("ann", refused=token) is not token


async def test_a_refused_token_is_not_given_to_others(autojump_clock: trio.testing.MockClock) -> None:
    source = Source()
    cache = TokenCache(source)
    first = await cache.token("ann")
    await trio.sleep(60)
    source.error = TokenError("revoked")
    for refused in (first, None):
        with pytest.raises(TokenError, match="revoked"):
            await cache.token("ann", refused=refused)


async def test_the_next_in_line_fetches_if_the_first_is_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    source = Source()
    cache = TokenCache(source)
    scope = trio.CancelScope(deadline=trio.current_time() + 0.5)

    async def cancelled() -> None:
        with scope:
            await cache.token("ann")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancelled)
        await trio.testing.wait_all_tasks_blocked()
        token = await cache.token("ann")
    assert scope.cancelled_caught
    assert token.value == "ann-2"


async def test_a_token_without_an_end(autojump_clock: trio.testing.MockClock) -> None:
    source = Source(life=float("inf"))
    cache = TokenCache(source)
    first = await cache.token("ann")
    await trio.sleep(10**8)
    assert await cache.token("ann") is first


async def test_memory_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    source = Source(seconds=0)
    cache = TokenCache(source, most_accounts=2)
    for name in "abca":
        await cache.token(name)
    assert source.fetched == ["a", "b", "c", "a"]


def test_nothing_shows_a_token() -> None:
    assert "S3cret" not in repr(Token("S3cret"))
