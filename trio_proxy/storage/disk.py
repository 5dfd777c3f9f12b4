"""Makes files and directory entries durable, and protects them from other users, whatever the umask is.
``fsync`` of a file writes its octets, but not its name. The name is an entry of the directory, which needs
its own ``fsync``. So does the entry of a new directory.
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
"""Errors of ``fsync`` on file systems that need none for a directory."""


class Disk:
    """The system calls. Each raises OSError. Threads may share the object."""

    def make_directory(self, path: Path) -> list[Path]:
        """Makes a directory and its missing parents, and returns the directories that it made. Modes of
        existing ones do not change."""
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
        """Writes all octets of the file to disk, and closes it."""
        file.flush()
        os.fsync(file.fileno())
        file.close()

    def rename(self, before: Path, after: Path) -> None:
        """Renames a file, and replaces an existing file of that name."""
        os.rename(before, after)

    def sync_directory(self, path: Path) -> None:
        """Writes the entries of a directory to disk."""
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
