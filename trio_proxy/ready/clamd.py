"""Sends each message to clamd, and refuses those in which ClamAV finds malware."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import attrs
import trio

from sansio_smtp.rules import MessageVerdict, Reject, Transaction
from sansio_smtp.rules.message import Message
from trio_proxy.services.outage import OnDown, Outage, ServiceAddress, open_stream, service_address
from trio_proxy.text.units import Duration

from ._settings import positive

__all__ = ["Clamd", "rules"]

_CHUNK: Final = 65_536
_LONGEST_ANSWER: Final = 4_096
_FOUND: Final = re.compile(rb"stream: (.*) FOUND\0", re.DOTALL)
_TOO_LARGE: Final = b"INSTREAM size limit exceeded"


@attrs.define(kw_only=True)
class Clamd:
    """Answers 550 to mail with malware. ::

        [rules.clamd]
        address = "unix:/run/clamav/clamd.ctl"   # or "127.0.0.1:3310"
        on_down = "defer"                        # or "accept": mail while clamd is down

    A message larger than clamd's ``StreamMaxLength`` is refused with 552, because trying again cannot help.
    If ``on_down`` is "accept" it passes.
    """

    address: ServiceAddress = "unix:/run/clamav/clamd.ctl"
    timeout: Duration = attrs.field(default=20.0, validator=positive)
    """The time for one message."""
    on_down: OnDown = "defer"
    _outage: Outage = attrs.field(init=False, repr=False, factory=lambda: Outage("clamd"))

    def __attrs_post_init__(self) -> None:
        service_address(self.address)

    @property
    def guards(self) -> bool:
        return self.on_down == "defer"

    async def message(self, tx: Transaction, msg: Message) -> MessageVerdict:
        try:
            with trio.fail_after(self.timeout):
                answer = await self._scan(msg.raw)
            if _TOO_LARGE in answer and self.on_down == "defer":
                return Reject(552, "5.3.4 message is too large to be scanned")
            found = _FOUND.fullmatch(answer)
            if answer != b"stream: OK\0" and not found:
                raise OSError(f"clamd answered {answer!r}")
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            return self._outage.began(error, self.on_down)
        self._outage.ended()
        return Reject(550, f"5.7.1 message contains malware ({_printable(found[1])})") if found else None

    async def _scan(self, content: bytes) -> bytes:
        """Returns the answer of clamd, which ends in NUL."""
        async with await open_stream(self.address) as stream:
            with suppress(trio.BrokenResourceError):  # it answers before the end if the message is too large
                for piece in _instream(content):
                    await stream.send_all(piece)
            answer = b""
            while not answer.endswith(b"\0") and len(answer) < _LONGEST_ANSWER:
                if not (more := await stream.receive_some(_LONGEST_ANSWER)):
                    break
                answer += more
            return answer


def _instream(content: bytes) -> Iterator[bytes]:
    """The INSTREAM command: chunks, each after its length in four octets; a chunk without octets ends it."""
    yield b"zINSTREAM\0"
    for start in range(0, len(content), _CHUNK):
        chunk = content[start : start + _CHUNK]
        yield len(chunk).to_bytes(4, "big") + chunk
    yield bytes(4)


def _printable(name: bytes) -> str:
    return re.sub(r"[^ -~]", "?", name.decode("ascii", "replace"))


rules = [Clamd]
