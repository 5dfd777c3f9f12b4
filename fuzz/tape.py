"""Tapes: the inputs of a proxy as octets that keep a meaning wherever a fuzzer changes them.

A tape is ``settings | records``. Two octets of settings choose one of the settings that dialogue scripts have
(`settings`); the third chooses how the octets of the peers are cut when the tape is played a second time. A
record is `MARK`, one letter, and its text up to the next mark. The mark is an octet that no UTF-8 text
contains, so nothing is lost.

=========  ==============================================================
letter     what happens
=========  ==============================================================
``c s``    octets of the client, of the server
``C S``    the client, the server sends no more
``L``      the client was lost
``t T``    the deadline has passed; for the server to take what was sent
``d D``    shutdown; now
``u``      the server cannot be reached
``h j``    the TLS handshake with the client, the server is complete
``H J``    the same handshakes have failed
``v``      a verdict on the open question, as a script writes it
``k``      a server is connected; ``verify kept`` says how
``r``      the driver refuses the session
``b``      the driver has failed
=========  ==============================================================

Records that are not possible at their time, such as a verdict without an open question, are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import attrs

from sansio_smtp import CLIENT, ClientInfo, Config
from sansio_smtp.testing import Script, parse
from sansio_smtp.testing.script import Eof, Feed, Handshake, Level, Signal, Verdict

__all__ = ["DIALOGUES", "MARK", "Record", "Settings", "Tape", "scripts", "settings", "tape_of"]

MARK: Final = b"\xfe"
DIALOGUES: Final = Path(__file__).resolve().parents[1] / "tests" / "dialogues"
_SIGNALS: Final = {
    "timeout": b"t",
    "shutdown": b"d",
    "shutdown now": b"D",
    "unreachable": b"u",
    "client lost": b"L",
}


@attrs.frozen
class Settings:
    """The settings of a dialogue."""

    config: Config = attrs.field(factory=Config)
    ask: frozenset[str] = frozenset()
    client: ClientInfo | None = None
    whole_only: bool = False
    """True if the output may depend on the cuts."""


@attrs.frozen
class Record:
    letter: str
    text: bytes


@attrs.frozen
class Tape:
    settings: Settings
    cuts: int
    """A seed for the cuts of the second play."""
    records: tuple[Record, ...]

    @classmethod
    def read(cls, data: bytes) -> Tape:
        """The tape in any octets."""
        head, body = data[:3].ljust(3, b"\0"), data[3:]
        known = settings()
        chosen = known[int.from_bytes(head[:2], "big") % len(known)]
        first, *records = body.split(MARK)
        read = [Record("c", first)] if first else []
        read += [Record(chr(record[0]), record[1:]) for record in records if record]
        return cls(chosen, head[2], tuple(read))


@cache
def scripts() -> tuple[tuple[Script, str], ...]:
    """All dialogue scripts, with their texts."""
    texts = [(file.name, file.read_text(encoding="utf-8")) for file in sorted(DIALOGUES.glob("*.txt"))]
    return tuple((parse(text, name), text) for name, text in texts)


@cache
def settings() -> tuple[Settings, ...]:
    """The settings of all dialogue scripts, the plainest first."""
    found = dict.fromkeys([Settings(), *(_settings_of(script) for script, _ in scripts())])
    return tuple(found)


def tape_of(script: Script, text: str) -> bytes:
    """The tape with the same inputs as a script."""
    number = settings().index(_settings_of(script))
    return number.to_bytes(2, "big") + b"\1" + b"".join(_records(script, text.split("\n")))


def _settings_of(script: Script) -> Settings:
    return Settings(script.config, script.ask, script.client, script.whole_only)


def _records(script: Script, lines: list[str]) -> Iterator[bytes]:
    for item in script.items:
        if isinstance(item, Feed):
            yield MARK + (b"c" if item.side is CLIENT else b"s") + item.data.replace(MARK, b"?")
        elif isinstance(item, Eof):
            yield MARK + (b"C" if item.side is CLIENT else b"S")
        elif isinstance(item, Handshake):
            letter = "h" if item.side is CLIENT else "j"
            yield MARK + (letter.upper() if isinstance(item.end, str) else letter).encode()
        elif isinstance(item, Level):
            yield MARK + b"k" + item.level.value.encode() + (b" kept" if item.kept else b"")
        elif isinstance(item, Signal):
            yield MARK + _SIGNALS[item.name]
        elif isinstance(item, Verdict):
            added = _added_before(lines, item.line)
            said = lines[item.line - 1].strip().removeprefix("! ")
            yield MARK + b"v" + "\n".join([*added, said]).encode().replace(MARK, b"?")


def _added_before(lines: list[str], number: int) -> list[str]:
    """The lines ``! add …`` that belong to the verdict on this line."""
    added: list[str] = []
    for line in reversed(lines[: number - 1]):
        word = line.strip()
        if not word.startswith("! add "):
            break
        added.insert(0, word.removeprefix("! "))
    return added
