"""Limits the messages and recipients of a client over all proxies together, counted in Redis or Valkey."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ClassVar, Final, Literal
from urllib.parse import urlsplit

import attrs
import coredis
import trio

from sansio_smtp.rules import Defer, MailVerdict, RcptVerdict, Recipient, Reject, Sender, Transaction
from trio_proxy.services.outage import OnDown, Outage
from trio_proxy.text.units import Duration

from ._logins import unread
from ._settings import exempt_patterns, positive
from .rate_limit import SECONDS, Limits, is_exempt, possible_limits

__all__ = ["SharedRateLimit", "rules"]
__extra__ = "redis"

logging.getLogger("coredis").setLevel(logging.CRITICAL)  # coredis logs each attempt; we log an outage once

_RETRY_SECONDS: Final = 1.0
_COUNT: Final = """
local time, wait, levels = redis.call('TIME'), 0, {}
local now = time[1] + time[2] / 1000000
for i, key in ipairs(KEYS) do
    local limit, seconds = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local was = redis.call('HMGET', key, 'level', 'at')
    local drained = (now - (tonumber(was[2]) or now)) * limit / seconds
    levels[i] = math.max(0, (tonumber(was[1]) or 0) - drained) + 1
    wait = math.max(wait, (levels[i] - limit) * seconds / limit)
end
if wait > 0.000001 then return math.ceil(wait) end
for i, key in ipairs(KEYS) do
    local at, level = string.format('%.6f', now), string.format('%.6f', levels[i])
    redis.call('HSET', key, 'level', level, 'at', at)
    redis.call('EXPIRE', key, ARGV[2 * i])
end
return 0
"""
"""A script of Redis. Buckets, and the limit and seconds of each → seconds to wait, or 0 if counted. Uses the
clock of the server."""


@attrs.define(kw_only=True)
class SharedRateLimit:
    """Answers 450 to a client that sends too much through all proxies together. ::

        [rules.shared_rate_limit]
        url = "redis://10.0.0.5:6379/0"        # or rediss://, unix:///run/redis.sock
        per = "login"                          # or "ip", or "sender": the reverse-path
        messages = { minute = 30, day = 1000 }
        recipients = { hour = 200 }
        exempt = ["newsletter", "127.0.0.1"]   # logins, IP addresses or senders, with * and ?
        on_down = "accept"                     # or "defer": mail while Redis is down

    It counts like `RateLimit`. Proxies that count together need the same ``prefix``. Redis may be restarted
    at any time; counts that it loses start again.
    """

    counts_in: ClassVar[str] = "redis"
    url: str = "redis://127.0.0.1:6379/0"
    per: Literal["ip", "login", "sender"] = "ip"
    messages: Limits = attrs.field(factory=Limits, validator=possible_limits)
    recipients: Limits = attrs.field(factory=Limits, validator=possible_limits)
    exempt: tuple[str, ...] = attrs.field(default=(), validator=exempt_patterns)
    text: str = "4.7.1 sending rate exceeded"
    prefix: str = "smtp-proxy:rate:"
    timeout: Duration = attrs.field(default=2.0, validator=positive)
    """The time after which Redis counts as down."""
    on_down: OnDown = "accept"
    _script: Callable[..., Awaitable[object]] | None = attrs.field(default=None, init=False, repr=False)
    _stuck: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)
    """Set when the client has waited for too long: its connection may be dead."""
    _outage: Outage = attrs.field(factory=lambda: Outage("redis"), init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("redis", "rediss", "unix"):
            raise ValueError(f"url: redis://HOST:PORT/DB, rediss://… or unix:///PATH, not {self.url!r}")
        if not (self.messages or self.recipients):
            raise ValueError("neither messages nor recipients have a limit, as in messages = { minute = 30 }")
        Defer(450, self.text)  # raises if this cannot be a reply

    @property
    def guards(self) -> bool:
        return self.on_down == "defer"

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Keeps the client of Redis while the rule is in use. Redis need not run yet."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._keep_client)
            yield
            nursery.cancel_scope.cancel()

    async def mail(self, tx: Transaction, sender: Sender) -> MailVerdict:
        return await self._count(tx, sender, "messages", self.messages)

    async def rcpt(self, tx: Transaction, to: Recipient) -> RcptVerdict:
        return await self._count(tx, tx.mail_from, "recipients", self.recipients)

    async def _count(
        self, tx: Transaction, sender: Sender | None, what: str, limits: Limits
    ) -> Defer | Reject | None:
        if self.per == "login" and tx.conn.login_unknown:
            return unread("its rate cannot be limited")
        address = sender.address.lower() if sender else ""
        known = {"login": tx.conn.login, "sender": address}.get(self.per)
        kind, who = (self.per, known) if known else ("ip", tx.conn.ip)
        if not limits or is_exempt(tx.conn, sender if kind == "sender" else None, kind, self.exempt):
            return None
        keys = [f"{self.prefix}{what}:{period}:{kind}:{who}" for period in limits]
        numbers = [number for period, limit in limits.items() for number in (limit, SECONDS[period])]
        try:
            with trio.fail_after(self.timeout):
                wait = await self._ask([key.encode("utf-8", "surrogateescape") for key in keys], numbers)
        except Exception as error:  # the client raises many kinds of exceptions, also in groups
            if isinstance(error, trio.TooSlowError):
                self._stuck.set()
            return self._outage.began(error, self.on_down)
        self._outage.ended()
        return Defer(450, f"{self.text}, try again in {wait} s") if wait else None

    async def _ask(self, keys: list[bytes], numbers: list[int]) -> int:
        if self._script is None:
            raise ConnectionError("the client is not running")
        answer = await self._script(keys, numbers)  # loads the script if the server does not know it
        if not isinstance(answer, int):
            raise TypeError(f"{answer!r} is no number")
        return answer

    async def _keep_client(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Makes a client, which connects and reconnects by itself. Makes a new one if that fails or waits for
        too long, because the old one would use its dead connection again and again."""
        ready: Callable[[], None] = task_status.started
        while True:
            try:
                async with coredis.Redis.from_url(self.url, connect_timeout=self.timeout) as client:
                    self._script, self._stuck = client.register_script(_COUNT), trio.Event()
                    ready()
                    ready = _nothing
                    await self._stuck.wait()
            except Exception as error:
                self._outage.began(error, self.on_down)
            finally:
                self._script = None
            ready()
            ready = _nothing
            await trio.sleep(_RETRY_SECONDS)


def _nothing() -> None:
    pass


rules = [SharedRateLimit]
