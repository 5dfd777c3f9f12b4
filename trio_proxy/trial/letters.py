"""Finds the messages of a trial: in files, in mbox files, in directories and Maildirs, on standard input."""

from __future__ import annotations

import mailbox
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from trio_proxy.captured.mailbox import envelope_of

__all__ = ["Letter", "LettersError", "find_letters"]

_MBOX: Final = b"From "
"""How an mbox file begins: no header field does."""
_MESSAGE, _MBOX_NAMES = ".eml", (".mbox", ".mbx")
_NOTHING: Final = (
    f"{{}}: no messages in this directory. Messages are files that end in {_MESSAGE} or {_MBOX_NAMES[0]}, or "
    "in new and cur of a Maildir"
)


@attrs.frozen
class Letter:
    """A message that can be read."""

    name: str
    read: Callable[[], bytes]
    """Raises OSError."""
    kept: Callable[[], Mapping[str, Any]] = dict[str, Any]
    """The record of the envelope that was kept with the message; empty if there is none."""


class LettersError(Exception):
    """Messages that cannot be read. ``problems`` are all that were found."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def find_letters(paths: Sequence[str], files: ExitStack) -> list[Letter]:
    """The messages in these files and directories, in their order; ``-`` is standard input.

    ``files`` closes what the letters are read from. Raises `LettersError`.
    """
    found: list[Letter] = []
    problems: list[str] = []
    for path in paths:
        try:
            mine = _on_standard_input(files) if path == "-" else list(_at(Path(path), files))
        except OSError as error:
            problems.append(f"{error.filename or path}: {error.strerror}")
        else:
            if not mine:
                problems.append(_NOTHING.format(path))
            found += mine
    if problems:
        raise LettersError(dict.fromkeys(problems))
    return found


def _on_standard_input(files: ExitStack) -> list[Letter]:
    octets = sys.stdin.buffer.read()
    if not octets.startswith(_MBOX):
        return [Letter("stdin", lambda: octets)]
    # A library reads mbox files by their names.
    copy = Path(files.enter_context(tempfile.TemporaryDirectory())) / "mbox"
    copy.write_bytes(octets)
    return _in_mbox(copy, "stdin", files)


def _at(path: Path, files: ExitStack) -> Iterator[Letter]:
    if path.is_dir():
        for each in _in_directory(path):
            yield from _in_file(each, files)
    else:
        yield from _in_file(path, files)


def _in_directory(path: Path) -> Iterator[Path]:
    entries = sorted(path.iterdir())
    names = {entry.name for entry in entries}
    if {"new", "cur"} <= names:
        entries = sorted(each for sub in ("new", "cur") for each in (path / sub).iterdir() if each.is_file())
        yield from (entry for entry in entries if not entry.name.startswith("."))
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _in_directory(entry)
        elif entry.name.lower().endswith((_MESSAGE, *_MBOX_NAMES)):
            yield entry


def _in_file(path: Path, files: ExitStack) -> list[Letter]:
    with path.open("rb") as file:  # what cannot be read is found before the first trial
        beginning = file.read(len(_MBOX))
    if beginning == _MBOX:
        return _in_mbox(path, str(path), files)
    return [Letter(str(path), path.read_bytes, partial(envelope_of, path))]


def _in_mbox(path: Path, name: str, files: ExitStack) -> list[Letter]:
    box = files.enter_context(closing(mailbox.mbox(path, create=False)))
    keys = box.keys()
    if len(keys) == 1:  # one message that was saved with its From line
        return [Letter(name, partial(box.get_bytes, keys[0]))]
    return [Letter(f"{name}#{number}", partial(box.get_bytes, key)) for number, key in enumerate(keys, 1)]
