"""A filter in memory, made of kilter.protocol's own state machine for filters: it checks what it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import attrs
import trio
from kilter.protocol import messages as m
from kilter.protocol.buffer import SimpleBuffer
from kilter.protocol.core import FilterProtocol

Answers: TypeAlias = m.Message | Iterable[m.Message] | None
"""None: go on."""


@attrs.define
class Filter:
    """Takes one session. ``answers`` says what is answered to a step."""

    flags: m.ProtocolFlags = m.ProtocolFlags.NONE
    actions: m.ActionFlags = m.ActionFlags.NONE
    version: int = 6
    macros: dict[m.Stage, list[str]] = attrs.field(factory=dict)
    answers: Callable[[Any], Answers] = lambda message: None
    seen: list[m.Message] = attrs.field(factory=list)
    """All that came, in order."""
    offered: m.Negotiate | None = None

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Until the other side has closed."""
        protocol, incoming = FilterProtocol(), SimpleBuffer(4_000_000)
        async with stream:
            while data := await stream.receive_some(65_536):
                incoming[:] = bytes(data)
                for message in protocol.read_from(incoming):
                    message.freeze()
                    self.seen.append(message)
                    out = SimpleBuffer(1_000_000)
                    for answer in self._answers(protocol, message):
                        protocol.write_to(out, answer)  # type: ignore[arg-type]
                    if out.filled:
                        await stream.send_all(bytes(out[:]))

    def _answers(self, protocol: FilterProtocol, message: Any) -> Iterable[m.Message]:
        if isinstance(message, m.Negotiate):
            self.offered = message
            return [m.Negotiate(self.version, self.actions, self.flags, self.macros)]
        if not protocol.needs_response(message):
            return []
        answer = self.answers(message)
        if answer is None:
            return [m.Continue()]
        return [answer] if isinstance(answer, m.Message) else answer

    def steps(self) -> list[str]:
        """The names of what came, macros left out."""
        return [type(message).__name__ for message in self.seen if not isinstance(message, m.Macro)]

    def all(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.seen if type(message) is kind]


@attrs.define
class RawFilter:
    """Wants everything and answers each step by "go on", or by the octets that ``replies`` gives for its
    letter; empty octets: it hangs up."""

    replies: dict[bytes, bytes] = attrs.field(factory=dict)
    last: bytes = b"Q"
    """After the answer to this it hangs up."""
    at_once: int = 65_536
    """Octets of one write."""
    packets: list[bytes] = attrs.field(factory=list)
    """All that came, letter first."""

    async def serve(self, stream: trio.abc.Stream) -> None:
        data = b""
        async with stream:
            while more := await stream.receive_some(65_536):
                data += more
                while len(data) >= 4 and len(data) >= (size := 4 + int.from_bytes(data[:4], "big")):
                    packet, data = data[4:size], data[size:]
                    self.packets.append(packet)
                    if not await self._answer(stream, packet[:1]):
                        return

    async def _answer(self, stream: trio.abc.Stream, letter: bytes) -> bool:
        negotiated = b"\0\0\0\x0dO" + b"\0\0\0\6" + bytes(8)
        default = {b"O": negotiated, b"D": None, b"A": None, b"Q": None}.get(letter, b"\0\0\0\1c")
        answer = self.replies.get(letter, default)
        if answer == b"":
            return False
        for start in range(0, len(answer or b""), self.at_once):
            await stream.send_all((answer or b"")[start : start + self.at_once])
        return letter != self.last
