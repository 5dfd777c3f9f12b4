"""Resolves names in separate threads, so that rules that hang in Trio's threads cannot block it."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any, Final

import attrs
import trio

__all__ = ["resolve_in_own_threads"]

_THREADS: Final = 64


def resolve_in_own_threads() -> None:
    """Use these threads for all names in this run of Trio."""
    trio.socket.set_custom_hostname_resolver(_Resolver())


@attrs.define(eq=False)
class _Resolver(trio.abc.HostnameResolver):
    _limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(_THREADS))

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        look_up = partial(socket.getaddrinfo, host, port, family, type, proto, flags)
        return await trio.to_thread.run_sync(look_up, limiter=self._limiter, abandon_on_cancel=True)

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        look_up = partial(socket.getnameinfo, sockaddr, flags)
        return await trio.to_thread.run_sync(look_up, limiter=self._limiter, abandon_on_cancel=True)
