"""A token endpoint on a loopback port that answers as it is told, and counts."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import attrs
import trio


def answer(content: Any, status: str = "200 OK", *fields: str, kind: str = "application/json") -> bytes:
    """The octets of an HTTP answer; what is no text becomes JSON."""
    body = (content if isinstance(content, str) else json.dumps(content)).encode()
    head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode() + body


def token(value: str = "token-1", **more: Any) -> bytes:
    return answer({"access_token": value, "token_type": "Bearer", "expires_in": 3600} | more)


def refusal(error: str, text: str = "", status: str = "400 Bad Request") -> bytes:
    return answer({"error": error, "error_description": text}, status)


@attrs.define
class TokenEndpoint:
    """Gives the answers one after the other, the last one for ever. An answer that is None never comes."""

    answers: list[bytes | None]
    forms: list[dict[str, str]] = attrs.field(factory=list)
    """What was asked."""
    heads: list[str] = attrs.field(factory=list)
    before: Callable[[], Any] | None = None
    """Awaited before each answer."""
    url: str = ""

    async def serve(self, stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):  # a handshake may fail
            await self._serve(stream)

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive_some(65_536)
            head, _, body = data.partition(b"\r\n\r\n")
            fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
            while len(body) < int(fields["content-length"]):
                body += await stream.receive_some(65_536)
            self.heads.append(head.decode())
            self.forms.append(dict(parse_qsl(body.decode(), strict_parsing=True)))
            if self.before is not None:
                await self.before()
            octets = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if octets is None:
                await trio.sleep_forever()
            else:
                with suppress(trio.BrokenResourceError):  # it may have read enough
                    await stream.send_all(octets)


@asynccontextmanager
async def token_endpoint(
    *answers: bytes | None, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[TokenEndpoint]:
    endpoint = TokenEndpoint(list(answers))
    async with trio.open_nursery() as nursery:
        if tls is None:
            serve = partial(trio.serve_tcp, endpoint.serve, 0, host="127.0.0.1")
            listeners: list[Any] = await nursery.start(serve)
            port = listeners[0].socket.getsockname()[1]
        else:
            serve = partial(trio.serve_ssl_over_tcp, endpoint.serve, 0, tls, host="127.0.0.1")
            listeners = await nursery.start(serve)
            port = listeners[0].transport_listener.socket.getsockname()[1]
        endpoint.url = f"{'http' if tls is None else 'https'}://localhost:{port}/token"
        yield endpoint
        nursery.cancel_scope.cancel()
