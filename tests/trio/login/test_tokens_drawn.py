"""Whatever sessions, the source and the clock do, the cache keeps its promises."""

from __future__ import annotations

from typing import Any

import attrs
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trio_proxy.login.tokens import Token, TokenCache, TokenError

LIFE = 600.0
FAILURE_SECONDS = 15.0
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "refuse", "give up"]),
        st.sampled_from(["ann", "bob"]),
        st.sampled_from([0.0, 0.3, 1.0, 14.0, 16.0, 400.0, 700.0]),  # seconds until the next step
    ),
    max_size=25,
)
SOURCE = st.lists(st.sampled_from(["token", "token", "fails"]), min_size=1, max_size=8)


@attrs.define
class Source:
    plan: list[str]
    is_shared: bool = False
    busy: set[str] = attrs.field(factory=set)
    fetched: dict[str, list[float]] = attrs.field(factory=dict)
    issued: list[Token] = attrs.field(factory=list)

    async def fetch(self, account: str) -> Token:
        assert account not in self.busy, "two fetches for one account at the same time"
        self.busy.add(account)
        self.fetched.setdefault(account, []).append(trio.current_time())
        try:
            await trio.sleep(0.5)
            said = self.plan[len(self.fetched[account]) % len(self.plan)]
            if said == "fails":
                raise TokenError("down")
            self.issued.append(Token(f"{account}-{len(self.issued)}", trio.current_time() + LIFE))
            return self.issued[-1]
        finally:
            self.busy.discard(account)


async def play(steps: list[tuple[str, str, float]], source: Source) -> None:
    cache = TokenCache(source)
    refused: set[int] = set()
    shown: dict[str, Token] = {}

    async def session(what: str, account: str) -> None:
        before = shown.get(account) if what == "refuse" else None
        if before is not None:
            refused.add(id(before))
        with trio.move_on_after(0.2 if what == "give up" else 60):
            try:
                token = await cache.token(account, refused=before)
            except TokenError:
                return
            assert token in source.issued
            assert token.value.startswith(account), "the token of another account"
            assert trio.current_time() < token.expires, "a token that has expired"
            assert token is not before, "the token that was refused"
            shown[account] = token

    async with trio.open_nursery() as nursery:
        for what, account, seconds in steps:
            nursery.start_soon(session, what, account)
            await trio.sleep(seconds)


def rests(source: Source, steps: list[tuple[str, str, float]]) -> None:
    """No more fetches than there are reasons for: a session that refuses or gives up, a token that ends, a
    failure that is old enough."""
    for account, times in source.fetched.items():
        own = [step for step in steps if step[1] == account]
        reasons = 1 + sum(what != "ask" for what, _, _ in own)
        lasted = sum(seconds for _, _, seconds in steps)
        assert len(times) <= reasons + lasted / FAILURE_SECONDS + 1
        assert len(times) <= len(own)


@given(STEPS, SOURCE)
def test_tokens_are_right_and_few(steps: list[tuple[str, str, float]], plan: list[str]) -> None:
    source = Source(plan)
    clock: Any = trio.testing.MockClock(autojump_threshold=0)
    trio.run(play, steps, source, clock=clock)
    rests(source, steps)
