"""Real readers of MIME: each is given many messages at once, and says which parts it sees.

The programs are in ``mime_readers``; those in JavaScript and C are built once, in a temporary directory.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from neighbours.mime_seen import Seen, python_sees

__all__ = ["READERS", "Reader", "Readers"]

SOURCES = Path(__file__).parent / "mime_readers"
READERS = (
    *("Python's email", "GMime", "mailparser", "postal-mime", "MIME-tools", "Email::MIME"),
    *("ripMIME", "munpack"),
)


Reader: TypeAlias = Callable[[list[bytes]], list[list[Seen]]]


class Readers:
    """All readers, built in a directory that stays as long as they are used."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for source in SOURCES.iterdir():
            shutil.copy(source, directory)
        flags = _run("pkg-config", "--cflags", "--libs", "gmime-3.0").split()
        _run("gcc", "-O1", "-Wall", "-o", "gmime", "gmime.c", *flags, cwd=directory)
        _run("npm", "install", "--no-audit", "--no-fund", "--silent", cwd=directory)
        program = partial(partial, self._ask)
        self.by_name: dict[str, Reader] = {
            "Python's email": _python,
            "GMime": program("./gmime"),
            "mailparser": program("node", "mailparser.js"),
            "postal-mime": program("node", "postal_mime.mjs"),
            "MIME-tools": program("perl", "mime_tools.pl"),
            "Email::MIME": program("perl", "email_mime.pl"),
            "ripMIME": partial(_files, ("ripmime", "-i", "message", "-d", "out", "-q")),
            "munpack": partial(_files, ("munpack", "-q", "-t", "-C", "out", "../message")),
        }

    def read(self, messages: list[bytes]) -> dict[str, list[list[Seen]]]:
        """By the name of the reader: for each message the parts."""
        with ThreadPoolExecutor(4) as pool:
            results = {name: pool.submit(reader, messages) for name, reader in self.by_name.items()}
            return {name: result.result() for name, result in results.items()}

    def composed(self) -> list[bytes]:
        """Messages as nodemailer writes them."""
        lines = _run("node", "compose.js", cwd=self.directory).split()
        return [base64.b64decode(line) for line in lines]

    def _ask(self, *arguments: object) -> list[list[Seen]]:
        *command, messages = arguments
        assert isinstance(messages, list)
        text = b"".join(base64.b64encode(message) + b"\n" for message in messages)
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.directory,
            input=text,
            capture_output=True,
            check=True,
            timeout=600,
        )
        lines = done.stdout.decode().split("\n")[:-1]
        assert len(lines) == len(messages), (command, len(lines), done.stderr[-1_000:])
        return [[_seen(word) for word in line.split()] for line in lines]


def _seen(word: str) -> Seen:
    kind, names, content = word.split(":")
    return Seen(
        base64.b64decode(kind).decode("utf-8", "replace"),
        tuple(base64.b64decode(name).decode("utf-8", "replace") for name in names.split(",") if name),
        base64.b64decode(content),
    )


def _python(messages: list[bytes]) -> list[list[Seen]]:
    return [list(python_sees(message)) for message in messages]


def _files(command: tuple[str, ...], messages: list[bytes]) -> list[list[Seen]]:
    """What a program writes into a directory."""
    found: list[list[Seen]] = []
    with TemporaryDirectory(prefix="mime-readers-") as name:
        directory = Path(name)
        for message in messages:
            out = directory / "out"
            out.mkdir()
            (directory / "message").write_bytes(message)
            subprocess.run(command, check=False, cwd=directory, capture_output=True, timeout=60)
            files = [path for path in out.rglob("*") if path.is_file()]
            found.append([Seen("", (path.name,), path.read_bytes()) for path in files])
            shutil.rmtree(out)
    return found


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command[0]} failed: {done.stderr[-1_000:]}"
    return done.stdout
