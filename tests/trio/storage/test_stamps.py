"""Every way in which a file changes is noticed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from trio_proxy.storage.stamps import stamps_of


def rewritten(file: Path) -> None:
    file.write_text("more text")


def touched(file: Path) -> None:
    os.utime(file, ns=(1, 1))


def exchanged(file: Path) -> None:
    """Another file with the same size and time takes its place."""
    other = file.with_name("other")
    other.write_text("text")
    times = os.stat(file)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(file)


def exchanged_through_a_link(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("text")
    file.unlink()
    file.symlink_to(other)


@pytest.mark.parametrize("change", [rewritten, touched, exchanged, exchanged_through_a_link, Path.unlink])
def test_a_change(change: Callable[[Path], None], tmp_path: Path) -> None:
    file, same = tmp_path / "file", tmp_path / "same"
    file.write_text("text")
    same.write_text("text")
    before = stamps_of([file, same])
    assert stamps_of([file, same]) == before
    change(file)
    after = stamps_of([file, same])
    assert after[file] != before[file]
    assert after[same] == before[same]


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert stamps_of([file]) == {file: None}
    file.touch()
    assert stamps_of([file]) != {file: None}
