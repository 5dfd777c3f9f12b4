"""Writes messages and their envelopes to a Maildir, octet for octet as they were sent, with CRLF.

``DIR/new/NAME`` is a message, ``DIR/envelopes/NAME.json`` its envelope.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import attrs

__all__ = ["Maildir"]


@attrs.define(eq=False)
class Maildir:
    """A Maildir, which is created if it does not exist. Raises OSError."""

    path: Path
    _count: itertools.count[int] = attrs.field(factory=itertools.count, init=False)

    def __attrs_post_init__(self) -> None:
        for folder in ("tmp", "new", "cur", "envelopes"):
            (self.path / folder).mkdir(parents=True, exist_ok=True)

    def create(self) -> tuple[str, BinaryIO]:
        """A unique name, and a file to write a message to that is not complete yet."""
        name = f"{time.time():.6f}.P{os.getpid()}Q{next(self._count)}.{socket.gethostname()}".replace(
            "/", "_"
        )
        return name, (self.path / "tmp" / name).open("xb")

    def keep(self, name: str, file: BinaryIO, envelope: dict[str, object]) -> None:
        """The message is complete. When this returns, it and its envelope are on disk."""
        file.flush()
        os.fsync(file.fileno())
        file.close()
        (self.path / "envelopes" / f"{name}.json").write_text(json.dumps(envelope, indent=1) + "\n")
        (self.path / "tmp" / name).rename(self.path / "new" / name)

    def drop(self, name: str, file: BinaryIO) -> None:
        """The message will not be completed: removes it. Raises nothing."""
        with suppress(OSError):  # what is still buffered does not fit on the disk
            file.close()
        with suppress(OSError):
            (self.path / "tmp" / name).unlink(missing_ok=True)
