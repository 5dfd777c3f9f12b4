"""Faults of a peer that speaks: what it does in a phase in place of what it should do.

A way is given the octets that would be right: a reply of a server, or a command of a client. What it leaves
undone, the dialogue goes on with: see `Server` and `Client`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Final, TypeAlias

import trio

from .lines import Gone, Line

__all__ = ["CLIENT_WAYS", "EARLY", "IMPOSSIBLE", "LATE", "SERVER_WAYS", "SLOW", "TAKES", "Way"]

Way: TypeAlias = Callable[[Line, bytes, Random], Awaitable[None]]

SLOW: Final = 20.0
"""Less than any time limit."""
LATE: Final = 400.0
"""More than any time limit."""
_ALERT: Final = b"\x15\x03\x03\x00\x02\x02\x28"
"""A record of TLS: fatal, handshake_failure (RFC 8446 §6), in plain text."""
_WRONG: Final = {
    b"220": b"250",
    b"221": b"354",
    b"235": b"334",
    b"250": b"354",
    b"354": b"250",
    b"552": b"250",
}
"""The code of a reply → one that does not belong there."""


async def _hang(line: Line, right: bytes, chance: Random) -> None:
    """Says nothing and reads nothing, for longer than anybody waits."""
    await trio.sleep(LATE)
    raise Gone


async def _deaf(line: Line, right: bytes, chance: Random) -> None:
    await line.until_gone()
    raise Gone


async def _reset(line: Line, right: bytes, chance: Random) -> None:
    line.reset()
    raise Gone


async def _close(line: Line, right: bytes, chance: Random) -> None:
    await line.close()
    raise Gone


async def _half_close(line: Line, right: bytes, chance: Random) -> None:
    line.half_close()
    await line.until_gone()
    raise Gone


async def _said_and_half_close(line: Line, right: bytes, chance: Random) -> None:
    await line.send(right)
    line.half_close()


async def _said_and_reset(line: Line, right: bytes, chance: Random) -> None:
    await line.send(right)
    line.reset()
    raise Gone


async def _said_and_close(line: Line, right: bytes, chance: Random) -> None:
    await line.send(right)
    await line.close()
    raise Gone


async def _cut(line: Line, right: bytes, chance: Random) -> None:
    await line.send(right[: max(1, len(right) // 2)])
    await line.close()
    raise Gone


async def _slow(line: Line, right: bytes, chance: Random) -> None:
    await trio.sleep(SLOW)
    await line.send(right)


async def _late(line: Line, right: bytes, chance: Random) -> None:
    await trio.sleep(LATE)
    await line.send(right)


async def _octets(line: Line, right: bytes, chance: Random) -> None:
    """One at a time, each in a packet; of many octets, the first and the last."""
    for octet in right[:40]:
        await line.send(bytes([octet]))
        await trio.lowlevel.checkpoint()
    await line.send(right[40:-4])
    for octet in right[40:][-4:]:
        await line.send(bytes([octet]))
        await trio.lowlevel.checkpoint()


async def _drip(line: Line, right: bytes, chance: Random) -> None:
    """An octet, and nothing for a time that is allowed, again and again."""
    for octet in right[:30]:
        await line.send(bytes([octet]))
        await trio.sleep(SLOW)
    await line.send(right[30:])


async def _garbage(line: Line, right: bytes, chance: Random) -> None:
    await line.send(chance.randbytes(chance.randrange(1, 90)) + b"\r\n")


async def _garbage_first(line: Line, right: bytes, chance: Random) -> None:
    await line.send(chance.randbytes(chance.randrange(1, 90)).replace(b"\n", b"") + b"\r\n" + right)


async def _endless(line: Line, right: bytes, chance: Random) -> None:
    """Octets without an end of line."""
    for _ in range(64):
        await line.send(b"2" * 4_096)


async def _wrong(line: Line, right: bytes, chance: Random) -> None:
    await line.send(_WRONG[right[:3]] + right[3:])


async def _twice(line: Line, right: bytes, chance: Random) -> None:
    await line.send(right + right)


async def _early(line: Line, right: bytes, chance: Random) -> None:
    """It was said before: see `Server`."""


async def _refuse(line: Line, right: bytes, chance: Random) -> None:
    await line.send(b"554 5.3.0 no\r\n")


async def _defer(line: Line, right: bytes, chance: Random) -> None:
    await line.send(b"451 4.3.0 later\r\n")


async def _leave(line: Line, right: bytes, chance: Random) -> None:
    await line.send(b"421 4.3.2 going down\r\n")
    await line.close()
    raise Gone


async def _stay(line: Line, right: bytes, chance: Random) -> None:
    """421, and the connection stays open."""
    await line.send(b"421 4.3.2 going down\r\n")
    await line.until_gone()
    raise Gone


async def _alert(line: Line, right: bytes, chance: Random) -> None:
    with_tls: trio.abc.Stream = line.raw
    try:
        await with_tls.send_all(_ALERT)
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise Gone from error


SERVER_WAYS: Final[Mapping[str, Way]] = {
    "refuse": _refuse,
    "defer": _defer,
    "hang": _hang,
    "deaf": _deaf,
    "reset": _reset,
    "close": _close,
    "half-close": _half_close,
    "reply-reset": _said_and_reset,
    "reply-close": _said_and_close,
    "reply-half-close": _said_and_half_close,
    "cut": _cut,
    "slow": _slow,
    "late": _late,
    "octets": _octets,
    "drip": _drip,
    "garbage": _garbage,
    "garbage-first": _garbage_first,
    "endless": _endless,
    "wrong": _wrong,
    "twice": _twice,
    "early": _early,
    "421": _leave,
    "421-stays": _stay,
    "alert": _alert,
}

CLIENT_WAYS: Final[Mapping[str, Way]] = {
    "hang": _hang,
    "deaf": _deaf,
    "reset": _reset,
    "close": _close,
    "half-close": _half_close,
    "send-reset": _said_and_reset,
    "send-close": _said_and_close,
    "send-half-close": _said_and_half_close,
    "cut": _cut,
    "slow": _slow,
    "late": _late,
    "octets": _octets,
    "drip": _drip,
    "garbage": _garbage_first,
    "endless": _endless,
    "early": _early,
    "alert": _alert,
}
TAKES: Final[Mapping[str, tuple[bool, bool]]] = {
    way: (way not in ("refuse", "defer", "421", "421-stays"), way in ("slow", "octets", "twice"))
    for way in SERVER_WAYS
}
"""A server that fails so at the reply to a message: whether it has taken the message, and whether the proxy
can know that."""
_OF_OCTETS: Final = frozenset(
    (
        *("refuse", "defer", "reply-reset", "reply-close", "reply-half-close", "cut", "octets", "drip"),
        *("wrong", "twice", "421", "421-stays", "garbage-first", "send-reset", "send-close"),
        *("send-half-close", "late"),
    )
)
"""Ways that need something that would be right."""
_CLIENT_HAS_NONE: Final = frozenset(("garbage", "endless"))
IMPOSSIBLE: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "server": {
        "connect": (_OF_OCTETS | {"early"}) - {"refuse"},
        "greeting": frozenset({"early"}),
        "starttls": frozenset({"early"}),
        "auth": frozenset({"early"}),
        "handshake": _OF_OCTETS | {"early"},
        "content": frozenset({"early", "twice", "wrong"}),
        "after": _OF_OCTETS | {"early"},
        "idle": _OF_OCTETS | {"early"},
        "quit": frozenset({"early"}),
    },
    "client": {
        "connect": _OF_OCTETS,
        "greeting": _OF_OCTETS,
        "handshake": _OF_OCTETS | _CLIENT_HAS_NONE,
        "content": _CLIENT_HAS_NONE | {"send-close", "send-reset", "send-half-close", "cut"},
        "dot": _CLIENT_HAS_NONE,
        "bdat": frozenset({"endless"}),
        "last": frozenset({"endless"}),
        "after": _OF_OCTETS | _CLIENT_HAS_NONE,
        "idle": _OF_OCTETS | _CLIENT_HAS_NONE,
    },
}
"""Party → phase → ways that mean nothing in it, or the same as others."""
EARLY: Final = ("mail", "rcpt", "data")
"""Phases after which a client can go on too early."""
