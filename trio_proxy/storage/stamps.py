"""Notices changed files by time, size and inode. This covers every way in which editors and deployments
change files, also on network file systems and through symbolic links, and needs few system calls.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

__all__ = ["Stamps", "stamps_of"]

Stamps: TypeAlias = Mapping[Path, tuple[int, ...] | None]
"""File → its stamp, which differs after any change of the file; None if there is no such file."""


def stamps_of(files: Iterable[Path]) -> Stamps:
    """The stamps that these files have now."""
    return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
