"""Targets: `Proxy`, by octets of its peers alone, and by all inputs of a driver in any order."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Final

from dialogue_writer import WritingProxy
from twins import Twins

from sansio_smtp import Proxy
from sansio_smtp.testing import bytewise, drawn, whole

from .checks import check, check_same
from .tape import MARK, Tape, scripts, tape_of
from .target import Target
from .world import World

__all__ = ["OCTETS", "OPERATIONS"]

_LINES: Final = (
    b"EHLO x\r\n", b"HELO x\r\n", b"MAIL FROM:<a@x>\r\n", b"RCPT TO:<b@x>\r\n", b"DATA\r\n", b"\r\n.\r\n",
    b"BDAT 3\r\nabc", b"BDAT 0 LAST\r\n", b"RSET\r\n", b"QUIT\r\n", b"AUTH PLAIN AGEAYg==\r\n",
    b"AUTH LOGIN\r\n", b"NOOP\r\n", b"STARTTLS\r\n", b"220 x\r\n", b"250 x\r\n", b"421 x\r\n",
    b"250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n", b"354 x\r\n", b"334 x\r\n",
    b"235 x\r\n", b"250-x\r\n250 PIPELINING\r\n",
    b"550 x\r\n", b"451 x\r\n", b"\n.\n", b"\r.\r", b"\r\n.\n", b"\n.\r\n", b"\r\n\0.\r\n", b"\r\r\n", b"..",
    MARK + b"c", MARK + b"s",
)  # fmt: skip
_ACTS: Final = tuple(MARK + letter.encode() for letter in "CSLtTdDuhjHJvkrb")
_VERDICTS: Final = (
    b"vcontinue", b"vanswer 550 5.7.1 no", b"vanswer 250 ok", b"vdisconnect 421 4.7.0 go", b"vreplace x",
    b"vroute other", b"vroute home", b"vswallow 250 ok", b"vinspect HEADERS, MESSAGE", b"vinspect",
    b"vadd RCPT TO:<c@x>\ncontinue", b"vlogin PLAIN | \\0ann\\0secret",
)  # fmt: skip
_TWINS: Final = 0x80


def _try(data: bytes, letters: str) -> bool:
    tape = Tape.read(data)
    if not tape.records or any(record.letter not in letters for record in tape.records):
        return False
    one = World(tape, whole, Proxy).play()
    check(one)
    cut = drawn(Random(tape.cuts & 0x3F)) if tape.cuts & 0x3F else bytewise
    # Twins compare all paths after each input, and take five times as long.
    other = World(tape, cut, Twins if tape.cuts & _TWINS else Proxy).play()
    check(other)
    check_same(one, other)
    one.finish()
    return True


def _tell(data: bytes) -> str:
    """The dialogue as a script, up to where it goes wrong."""
    proxies: list[WritingProxy] = []

    def make(*arguments: Any, **named: Any) -> WritingProxy:
        proxies.append(WritingProxy(*arguments, **named))
        return proxies[-1]

    world = World(Tape.read(data), whole, make)
    try:
        world.play()
        check(world)
        world.finish()
    except Exception:
        pass  # it is known, and told by the caller
    return proxies[-1].dialogue


_BY_OCTETS: Final = "csCS"
_BY_ALL: Final = "csCSLtTdDuhjHJvkrb"


def _seeds(letters: str) -> Iterator[bytes]:
    for script, text in scripts():
        tape = tape_of(script, text)
        if all(record.letter in letters for record in Tape.read(tape).records):
            yield tape
            yield tape[:2] + bytes((_TWINS,)) + tape[3:]


OCTETS: Final = Target(
    "proxy-octets",
    "a proxy between two peers that say anything",
    lambda data: _try(data, _BY_OCTETS),
    lambda: _seeds(_BY_OCTETS),
    words=_LINES,
    tell=_tell,
)
OPERATIONS: Final = Target(
    "proxy-operations",
    "a proxy whose driver gives octets, ends, verdicts, handshakes, timeouts and stops in any order",
    lambda data: _try(data, _BY_ALL),
    lambda: _seeds(_BY_ALL),
    words=(*_LINES, *_ACTS, *(MARK + verdict for verdict in _VERDICTS)),
    tell=_tell,
)
