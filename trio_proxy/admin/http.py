"""A small HTTP server for pages that are made at once: `serve`.

::

    accept ──> one request ──> one page ──> closed        within `_SECONDS` in all, `_MOST` at a time

A client of the pages cannot disturb mail: if it sends no request, never reads, or does not speak HTTP, it
takes one of `_MOST` places for at most `_SECONDS`, and one line of the log. Others wait in the queue of the
listening socket. h11 reads and writes HTTP, without I/O of its own. Each connection has one request only,
because Prometheus asks once in fifteen seconds. A web framework would need a dozen packages for three pages,
and its server does not limit the total time of a connection.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs
import h11
import structlog
import trio

from sansio_smtp.client_info import address_text

__all__ = ["Page", "Request", "serve", "serve_one"]

log = structlog.stdlib.get_logger("smtp_proxy")

_SECONDS: Final = 10.0
"""The time for a whole connection. Prometheus gives up after ten seconds."""
_LAST_SECONDS: Final = 2.0
"""The time in which the client must close the connection after it has got the page."""
_MOST: Final = 8
"""Connections at the same time."""
_LARGEST: Final = 16_384
"""The most octets of a request without its body. A larger one gets 431."""
_PIECE: Final = 65_536
_PLAIN: Final = "text/plain; charset=utf-8"
_OUT_OF_RESOURCES: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


@attrs.frozen
class Request:
    """A request for a page."""

    path: str
    accept: str = ""
    """The header field of this name."""


@attrs.frozen
class Page:
    """The answer to a request."""

    body: bytes
    status: int = 200
    kind: str = _PLAIN
    """The media type."""


Answer = Callable[[Request], Page]


async def serve(
    sockets: Iterable[socket.socket],
    answer: Answer,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answers the requests that come to these listening sockets, until it is cancelled."""
    places = trio.Semaphore(_MOST)
    async with trio.open_nursery() as nursery:
        for sock in sockets:
            nursery.start_soon(_accept, trio.socket.from_stdlib_socket(sock), answer, places, nursery)
        task_status.started()


async def serve_one(stream: trio.abc.Stream, peer: str, answer: Answer, seconds: float = _SECONDS) -> None:
    """Answers one request of ``peer`` within ``seconds``, and closes the connection. Raises no `Exception`,
    because a page must not end the service."""
    with trio.move_on_after(seconds) as scope:
        try:
            await _exchange(stream, answer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has gone
        except Exception:
            log.exception("internal error, admin connection closed", peer=peer)
    if scope.cancelled_caught:
        log.warning("admin connection takes too long, closing", peer=peer, seconds=seconds)
    await trio.aclose_forcefully(stream)


async def _accept(
    listener: trio.socket.SocketType,
    answer: Answer,
    places: trio.Semaphore,
    nursery: trio.Nursery,
) -> None:
    while True:
        await places.acquire()
        try:
            sock, place = await listener.accept()
        except OSError as error:
            places.release()
            if error.errno in _OUT_OF_RESOURCES:
                log.warning("cannot accept an admin connection", error=os.strerror(error.errno))
                await trio.sleep(1)
        else:
            nursery.start_soon(_serve_one, sock, _name(place), answer, places)


def _name(place: Any) -> str:
    """The name of a client's address in the log."""
    return "unix" if isinstance(place, str | bytes) else address_text(place[0], place[1])


async def _serve_one(sock: trio.socket.SocketType, peer: str, answer: Answer, places: trio.Semaphore) -> None:
    try:
        await serve_one(trio.SocketStream(sock), peer, answer)
    finally:
        places.release()


async def _exchange(stream: trio.abc.Stream, answer: Answer) -> None:
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST)
    head_only = False
    try:
        event = await _next(http, stream)
        if not isinstance(event, h11.Request):
            return  # it has closed the connection without a request, as some health checks do
        head_only = event.method == b"HEAD"
        page, headers = _page(event, answer)
    except h11.RemoteProtocolError as error:
        page, headers = (
            _refusal(error.error_status_hint, f"this is no request that is taken here: {error}"),
            (),
        )
    if http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    fields = [
        ("Content-Type", page.kind),
        ("Content-Length", str(len(page.body))),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
        *headers,
    ]
    data = http.send(h11.Response(status_code=page.status, headers=fields)) or b""
    if not head_only:
        data += http.send(h11.Data(data=page.body)) or b""
    await stream.send_all(data + (http.send(h11.EndOfMessage()) or b""))
    await _hear_out(stream)


async def _next(http: h11.Connection, stream: trio.abc.Stream) -> object:
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(bytes(await stream.receive_some(_PIECE)))
    return event


def _page(request: h11.Request, answer: Answer) -> tuple[Page, Sequence[tuple[str, str]]]:
    method = request.method.decode("ascii", "backslashreplace")
    if method not in ("GET", "HEAD"):
        return _refusal(405, f"{method} is not possible here: pages are read with GET"), [
            ("Allow", "GET, HEAD")
        ]
    path = request.target.decode("ascii", "backslashreplace").partition("?")[0]
    accept = next((value for name, value in request.headers if name == b"accept"), b"")
    return answer(Request(path, accept.decode("ascii", "backslashreplace"))), ()


def _refusal(status: int, text: str) -> Page:
    return Page(f"{text}\n".encode(), status)


async def _hear_out(stream: trio.abc.Stream) -> None:
    """Waits until the client closes. A socket that is closed with unread octets resets the connection, and
    the page would be lost."""
    if isinstance(stream, trio.abc.HalfCloseableStream):
        await stream.send_eof()
    with trio.move_on_after(_LAST_SECONDS):
        while await stream.receive_some(_PIECE):
            pass
