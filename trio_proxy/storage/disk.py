"""What makes files and directory entries durable, and closed to other users, whatever the umask is.

``fsync`` of a file writes its octets, and not its name: that is an entry of its directory, which needs an
``fsync`` of its own. So does the entry of a directory that was made.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["Disk"]

_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700
_NOT_NEEDED: Final = (errno.EINVAL, errno.EROFS)
"""Errors of ``fsync`` where the file system has nothing to do for a directory."""


class Disk:
    """The calls of the system. Each raises OSError. Threads may share it."""

    def make_directory(self, path: Path) -> list[Path]:
        """Makes a directory and those above it, as far as they do not exist, and returns those that it made.
        The modes of others stay as they are."""
        try:
            os.mkdir(path, _DIRECTORY_MODE)
        except FileExistsError:
            if not path.is_dir():
                raise
            return []
        except FileNotFoundError:
            return [*self.make_directory(path.parent), *self.make_directory(path)]
        try:
            os.chmod(path, _DIRECTORY_MODE)
        except BaseException:
            os.rmdir(path)
            raise
        return [path]

    def create(self, path: Path) -> BinaryIO:
        """A new file to write to."""
        number = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE
        )
        try:
            os.fchmod(number, _FILE_MODE)
            return os.fdopen(number, "wb")
        except BaseException:
            os.close(number)
            self.remove(path)
            raise

    def finish(self, file: BinaryIO) -> None:
        """Everything that was written to the file is on disk when this returns, and the file is closed."""
        file.flush()
        os.fsync(file.fileno())
        file.close()

    def rename(self, before: Path, after: Path) -> None:
        """Gives a file another name, in the place of a file that has it."""
        os.rename(before, after)

    def sync_directory(self, path: Path) -> None:
        """The entries of a directory are on disk when this returns."""
        try:
            number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except PermissionError:  # it may be written, but not read
            os.sync()
            return
        try:
            os.fsync(number)
        except OSError as error:
            if error.errno not in _NOT_NEEDED:
                raise
        finally:
            os.close(number)

    def remove(self, path: Path) -> None:
        """Removes a file. Raises nothing: it may not exist."""
        with suppress(OSError):
            path.unlink()
