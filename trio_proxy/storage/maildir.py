"""Writes messages and their envelopes to a Maildir, with exactly the octets that were sent, also CRLF.

``DIR/new/NAME`` is a message, ``DIR/envelopes/NAME.json`` its envelope. The reply 250 takes responsibility
for the message (RFC 5321 §6.1), so all of it must be on disk before; if that fails, nothing of it may
remain::

    tmp/NAME        message    written, fsync ─┐
    tmp/NAME.json   envelope   written, fsync  ├─▶ rename to envelopes/NAME.json, fsync of envelopes/
                                               └─▶ rename to new/NAME, fsync of new/ ─▶ 250

The envelope comes first, so every message in ``new/`` has its envelope. After a crash in between there is an
envelope whose message is still in ``tmp/``: it was not answered 250, and the client still has it. A file that
is in ``tmp/`` for more than a day is left over from a crash or a disk failure (`left_over`).

NAME ends in ``.eml``. A mail reader that moves the message to ``cur/`` adds a colon and flags. The envelope
is found by the name up to the colon, which stays.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from .disk import Disk

__all__ = ["Maildir", "left_over"]

_DAY: Final = 86_400.0
_SUFFIX: Final = ".eml"
"""By which other programs know that a file is a message."""
_count: Final = itertools.count()  # for the process: two objects may use one directory


def left_over(maildir: Path) -> int:
    """The number of files that have been in ``tmp/`` for more than a day. No client was told that they are
    kept. Raises nothing: the directory may not exist."""
    before = time.time() - _DAY
    with suppress(OSError):
        return sum(path.stat().st_mtime < before for path in (maildir / "tmp").iterdir())
    return 0


@attrs.define(eq=False)
class Maildir:
    """A Maildir, which is created if it does not exist. Threads may share it. Raises OSError."""

    path: Path
    _disk: Disk = attrs.field(factory=Disk, kw_only=True)
    _unsynced: dict[Path, object] = attrs.field(factory=dict[Path, object], init=False)
    """Directories with new entries that may not be on disk yet. The values distinguish different times."""

    def __attrs_post_init__(self) -> None:
        self._make_directories()
        # An earlier process may have made them, and ended before its first message.
        self._unsynced |= {self.path: object(), self.path.parent: object()}

    def create(self) -> tuple[str, BinaryIO]:
        """A unique name, and a file for a message that is not complete yet."""
        self._make_directories()  # they may have been removed
        host = socket.gethostname().replace("/", "_").replace(":", "_")
        name = f"{time.time():.6f}.P{os.getpid()}Q{next(_count)}.{host}{_SUFFIX}"
        return name, self._disk.create(self.path / "tmp" / name)

    def keep(self, name: str, file: BinaryIO, envelope: dict[str, object]) -> None:
        """Keeps a complete message. When this returns, the message and its envelope are on disk, with their
        names. If it raises, nothing is left of the message. Blocks."""
        disk = self._disk
        message, record, envelope_name, message_name = self._names(name)
        try:
            text = json.dumps(envelope, indent=1) + "\n"
            disk.finish(file)
            with disk.create(record) as beside:
                beside.write(text.encode())
                disk.finish(beside)
            self._sync_parents()
            disk.rename(record, envelope_name)
            disk.sync_directory(envelope_name.parent)
            disk.rename(message, message_name)
            disk.sync_directory(message_name.parent)
        except BaseException:
            self.drop(name, file)
            raise

    def drop(self, name: str, file: BinaryIO) -> None:
        """The message will not be completed: removes it. Raises nothing."""
        with suppress(OSError):  # buffered octets may not fit on the disk
            file.close()
        for path in self._names(name):
            self._disk.remove(path)

    def _names(self, name: str) -> tuple[Path, Path, Path, Path]:
        """The paths of a message and its envelope: while they are written, and after."""
        tmp, envelopes, new = self.path / "tmp", self.path / "envelopes", self.path / "new"
        return tmp / name, tmp / f"{name}.json", envelopes / f"{name}.json", new / name

    def _make_directories(self) -> None:
        for folder in ("tmp", "new", "cur", "envelopes"):
            for made in self._disk.make_directory(self.path / folder):
                self._unsynced[made.parent] = object()

    def _sync_parents(self) -> None:
        # Removed only after the sync: another thread that keeps a message meanwhile must sync too.
        for directory, made in tuple(self._unsynced.items()):
            self._disk.sync_directory(directory)
            if self._unsynced.get(directory) is made:
                del self._unsynced[directory]
