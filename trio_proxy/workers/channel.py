"""The channel between the parent and one worker: one JSON object a line, in both directions.

Both ends have the same methods. A line is a *notice*, a *question* or an *answer*::

    channel.on("sessions", handler)              the function for notices and questions of this topic
    channel.tell("sessions", open=12)            {"topic": "sessions", "open": 12}
    await channel.ask("counters", seconds=2)     {"topic": "counters", "ask": 7}
                                                 {"answer": 7, "accepted": 4711}

A handler is called with the other keys of the line. It returns the answer to a question, a mapping or None.
It may be a coroutine function. To add a view over all workers, choose a topic, register a handler in the
worker (`trio_proxy.workers.seat.Seat.channel`) and ask all of them in the parent (`Parent.ask_all`), or let
the workers send notices to the parent (`Parent.on`).

Nothing here waits for the other end, except `ask`. Up to 1 MiB that cannot be written at once is kept; if the
other end is stuck, more is lost. During an upgrade the parent and a worker may be of different versions:
unknown topics and keys are ignored.

The end of the channel is a message too: it tells a worker that its parent has died. The worker then finishes
its sessions and ends.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Any, Final, TypeAlias, cast

import attrs
import structlog
import trio

__all__ = ["Channel", "Handler"]

log = structlog.stdlib.get_logger("smtp_proxy")

Answer: TypeAlias = Mapping[str, Any] | None
Handler: TypeAlias = Callable[[Mapping[str, Any]], Answer | Awaitable[Answer]]

_MOST_WAITING: Final = 2**20
_LONGEST_LINE: Final = 2**20


@attrs.define(eq=False)
class _Question:
    came: trio.Event = attrs.field(factory=trio.Event)
    answer: Mapping[str, Any] | None = None

    def take(self, answer: Mapping[str, Any]) -> None:
        self.answer = answer
        self.came.set()


class Channel:
    """One end of a channel. `serve` must run."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._handlers: dict[str, Handler] = {}
        self._questions: dict[int, _Question] = {}
        self._numbers = count(1)
        self._outbox = bytearray()
        self._to_write = trio.Event()
        self._is_over = False

    def on(self, topic: str, handler: Handler) -> None:
        """Registers ``handler`` for each line of this topic."""
        self._handlers[topic] = handler

    def tell(self, topic: str, **values: Any) -> None:
        """Sends a notice. Raises nothing; the other end may be gone."""
        self._send({"topic": topic, **values})

    async def ask(self, topic: str, *, seconds: float, **values: Any) -> Mapping[str, Any] | None:
        """Sends a question, and returns its answer; None if there is none within ``seconds``, or the other
        end is gone."""
        number, question = next(self._numbers), _Question()
        self._questions[number] = question
        try:
            self._send({"topic": topic, "ask": number, **values})
            if not self._is_over:
                with trio.move_on_after(seconds):
                    await question.came.wait()
        finally:
            del self._questions[number]
        return question.answer

    async def serve(self) -> None:
        """Reads and writes until the other end is gone."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            with suppress(OSError):  # the other end is gone
                await self._read(nursery)
            self._is_over = True
            for question in self._questions.values():
                question.came.set()
            nursery.cancel_scope.cancel(reason="the other end of the channel is gone")

    @property
    def waiting(self) -> int:
        """The number of octets that the other end has not taken yet."""
        return len(self._outbox)

    def close(self) -> None:
        """Closes the channel; the other end notices that."""
        self._is_over = True
        self._sock.close()

    # Reading

    async def _read(self, nursery: trio.Nursery) -> None:
        buffer = bytearray()
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                octets = self._sock.recv(65_536)
            except BlockingIOError:
                continue
            if not octets:
                return
            buffer += octets
            *lines, rest = buffer.split(b"\n")
            if len(rest) > _LONGEST_LINE:
                log.error("internal error, a line of the channel between processes is too long")
                return
            buffer = bytearray(rest)
            for line in lines:
                self._take(bytes(line), nursery)

    def _take(self, line: bytes, nursery: trio.Nursery) -> None:
        try:
            said: Any = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            log.error("internal error, a line of the channel between processes cannot be read")
            return
        values = cast("dict[str, Any]", said)
        number = values.pop("answer", None)
        if number is not None:
            if (question := self._questions.get(number)) is not None:
                question.take(values)
            return
        handler = self._handlers.get(str(values.pop("topic", "")))
        number = values.pop("ask", None)
        if handler is None:
            if number is not None:
                self._send({"answer": number})
            return
        try:
            result = handler(values)
        except Exception:
            log.exception("internal error in what was asked by another process")
            return
        if isinstance(result, Awaitable):
            nursery.start_soon(self._finish, result, number)
        elif number is not None:
            self._send({**(result or {}), "answer": number})

    async def _finish(self, result: Awaitable[Answer], number: int | None) -> None:
        try:
            answer = await result
        except Exception:
            log.exception("internal error in what was asked by another process")
            return
        if number is not None:
            self._send({**(answer or {}), "answer": number})

    # Writing

    def _send(self, line: Mapping[str, Any]) -> None:
        octets = json.dumps(line, separators=(",", ":"), default=str).encode() + b"\n"
        if self._is_over or len(self._outbox) + len(octets) > _MOST_WAITING:
            return
        self._outbox += octets
        self._flush()
        if self._outbox:
            self._to_write.set()

    def _flush(self) -> None:
        try:
            while self._outbox:
                del self._outbox[: self._sock.send(self._outbox)]
        except BlockingIOError:
            pass
        except OSError:  # the other end is gone, which the reader notices too
            self._outbox.clear()

    async def _write(self) -> None:
        while True:
            await self._to_write.wait()
            self._to_write = trio.Event()
            while self._outbox:
                with suppress(OSError):
                    await trio.lowlevel.wait_writable(self._sock)
                self._flush()
