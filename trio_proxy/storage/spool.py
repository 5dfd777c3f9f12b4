"""Keeps large messages on disk while rules check them, each in a temporary file without a name."""

from __future__ import annotations

import mmap
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from .disk import Disk

__all__ = ["FileSpool"]


class FileSpool:
    """A `sansio_smtp.Spool` in a directory. The system removes its files when the process ends, even by a
    crash. No other user may read them (mode 0600).

    Writes go to the page cache of the system, so they do not block. Raises OSError.
    """

    def __init__(self, directory: Path) -> None:
        Disk().make_directory(directory)
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed by close()

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def read(self, start: int, count: int) -> bytes:
        self._file.flush()
        return os.pread(self._file.fileno(), count, start)

    def view(self) -> memoryview:
        self._file.flush()
        return memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))

    def close(self) -> None:
        with suppress(OSError):  # buffered octets may not fit on the disk
            self._file.close()
