"""Saves the attachments of a message as files.

Their names are what a sender has written: no name leads out of the directory, and no file is overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import Final

from trio_proxy.storage.disk import Disk

from .contents import Attachment

__all__ = ["save_attachments"]

_NAMELESS: Final = "attachment"
_MOST: Final = 200
"""Octets of a name; file systems take 255."""


def save_attachments(attachments: Iterable[tuple[Attachment, bytes]], directory: Path) -> Iterator[Path]:
    """Writes each of them into the directory, which is made if it does not exist, and yields its path. Raises
    OSError."""
    disk = Disk()
    disk.make_directory(directory)
    numbers: dict[str, Iterator[int]] = {}
    for attachment, octets in attachments:
        name = _file_name(attachment.name)
        for number in chain([1] * (name not in numbers), numbers.setdefault(name, count(2))):
            path = directory / _numbered(name, number)
            try:
                file = disk.create(path)
            except FileExistsError:  # of an earlier message, or of the user
                continue
            with file:
                file.write(octets)
            yield path
            break


def _file_name(given: str) -> str:
    """The last part of the name, without what a shell, a terminal or a file system takes for something
    else."""
    last = given.replace("\\", "/").rpartition("/")[2]
    plain = "".join(each if each.isprintable() else "_" for each in last).strip()
    if plain.startswith((".", "-", "~")):
        plain = f"_{plain[1:]}"
    suffix = PurePosixPath(plain).suffix if len(PurePosixPath(plain).suffix) < 12 else ""
    stem = plain.removesuffix(suffix).encode()[: _MOST - len(suffix.encode())].decode(errors="ignore")
    return stem + suffix or _NAMELESS


def _numbered(name: str, number: int) -> str:
    path = PurePosixPath(name)
    return name if number == 1 else f"{path.stem}-{number}{path.suffix}"
