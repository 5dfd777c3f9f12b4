"""A message is on disk with its envelope and its names, or nothing of it is: each call fails in turn."""

from __future__ import annotations

import errno
import gc
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import pytest

from sansio_smtp.rules import Connection, Hold, Transaction
from trio_proxy.storage.disk import Disk
from trio_proxy.storage.maildir import Maildir, left_over
from trio_proxy.storage.quarantine import Quarantine
from trio_proxy.storage.spool import FileSpool

ERRORS = [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE, errno.ENOENT]
LARGE = b"x" * 100_000
"""More than a buffer: some of it is written at once."""


class Failing:
    """The system, of which one call fails. It notes what was called."""

    def __init__(self, at: int = -1, code: int = errno.EIO) -> None:
        self.at, self.code = at, code
        self.calls: list[str] = []

    def note(self, call: str) -> None:
        self.calls.append(call)
        if len(self.calls) == self.at + 1:
            raise OSError(self.code, os.strerror(self.code))

    @contextmanager
    def installed(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("mkdir", "chmod", "open", "fchmod", "fsync", "rename"):
                patch.setattr(os, name, self.wrapped(name, getattr(os, name)))
            patch.setattr(os, "fdopen", self.opened(os.fdopen))
            yield

    def wrapped(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            last = arguments[-1] if name == "rename" else arguments[0]
            what = Path(os.readlink(f"/proc/self/fd/{last}")) if isinstance(last, int) else Path(last)
            self.note(f"{name} {what.parent.name}/{what.name}")
            return function(*arguments, **named)

        return call

    def opened(self, function: Callable[..., BinaryIO]) -> Callable[..., Any]:
        return lambda *arguments: Writes(function(*arguments, buffering=0), self)


@attrs.define
class Writes:
    """A file each of whose writes may fail."""

    file: BinaryIO
    system: Failing

    def __enter__(self) -> Writes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> int:
        self.system.note("write")
        return self.file.write(data)

    def flush(self) -> None:
        self.system.note("flush")

    def fileno(self) -> int:
        return self.file.fileno()

    def close(self) -> None:
        self.file.close()


def keep_one(directory: Path, maildir: Maildir | None = None) -> str:
    maildir = maildir or Maildir(directory)
    name, file = maildir.create()
    try:
        file.write(LARGE)
        maildir.keep(name, file, {"mail_from": "a@me.example"})
    except BaseException:
        maildir.drop(name, file)
        raise
    return name


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def calls(directory: Path, maildir: Maildir | None = None) -> list[str]:
    system = Failing()
    with system.installed():
        name = keep_one(directory, maildir)
    return [call.replace(name, "NAME").replace(directory.name, "DIR") for call in system.calls]


def test_the_order(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path / "mail")
    keep_one(tmp_path / "mail", maildir)
    made = calls(tmp_path / "mail", maildir)
    assert [call for call in made if not call.startswith(("mkdir", "chmod", "open", "fchmod", "flush"))] == [
        "write",
        "fsync tmp/NAME",
        "write",
        "fsync tmp/NAME.json",
        "rename envelopes/NAME.json",
        "fsync DIR/envelopes",
        "rename new/NAME",
        "fsync DIR/new",
    ]


def test_directories_that_were_made_are_on_disk_first(tmp_path: Path) -> None:
    made = calls(tmp_path / "above" / "mail")
    synced = [call for call in made if call.startswith("fsync")]
    assert {*synced[2:-2]} == {
        f"fsync {tmp_path.parent.name}/{tmp_path.name}",
        "fsync above/DIR",
        f"fsync {tmp_path.name}/above",
    }
    assert made.index(synced[-3]) < made.index("rename new/NAME")


def test_each_call_fails_in_turn_and_nothing_is_left(tmp_path: Path) -> None:
    count = len(calls(tmp_path / "sample"))
    assert count > 25
    for at in range(count):
        for code in {ERRORS[at % len(ERRORS)], ERRORS[(at + 2) % len(ERRORS)]}:
            directory = tmp_path / f"{at}-{code}" / "mail"
            system = Failing(at, code)
            raised = 0
            with system.installed():
                try:
                    keep_one(directory)
                except OSError as error:
                    raised = error.errno or 0
            call = system.calls[at]
            if raised:
                assert (raised, files(directory)) == (code, []), call
            else:
                assert len(files(directory)) == 2, call
                assert (code, call.split()[0]) in MADE_GOOD, (call, code)
            keep_one(directory)
            assert not [name for name in files(directory) if name.startswith("tmp/")], "the next one works"


MADE_GOOD = {(errno.ENOENT, "mkdir"), (errno.EACCES, "open")}
"""A directory above is missing: it is made. One that may not be read: everything is written to disk."""


def test_a_directory_that_cannot_be_synced_by_its_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(number: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "")
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    keep_one(tmp_path)
    assert len(files(tmp_path)) == 2


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    count = len(calls(tmp_path / "sample"))
    gc.collect()  # what earlier tests forgot is not closed meanwhile
    before = len(os.listdir("/proc/self/fd"))
    for at in range(count):
        with Failing(at, errno.ENOSPC).installed(), suppress(OSError):
            keep_one(tmp_path / f"{at}")
    assert len(os.listdir("/proc/self/fd")) == before


# Modes


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277, 0o777])
def test_modes_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        keep_one(tmp_path / "above" / "mail")
        spool = FileSpool(tmp_path / "spool" / "here")
    finally:
        os.umask(before)
    spool.close()
    made = list(tmp_path.rglob("*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_dir()} == {0o700}


def test_a_directory_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir(mode=0o750)
    os.chmod(tmp_path / "mail", 0o750)
    keep_one(tmp_path / "mail")
    assert stat.S_IMODE((tmp_path / "mail").stat().st_mode) == 0o750


# Directories that go away


@pytest.mark.parametrize("removed", ["", "tmp", "new", "envelopes", "cur"])
def test_a_directory_that_was_removed_is_made_again(removed: str, tmp_path: Path) -> None:
    directory = tmp_path / "mail"
    maildir = Maildir(directory)
    for path in sorted((directory / removed).rglob("*"), reverse=True):
        path.rmdir()
    (directory / removed).rmdir()
    name, file = maildir.create()
    maildir.keep(name, file, {})
    assert files(directory) == [f"envelopes/{name}.json", f"new/{name}"]


@pytest.mark.parametrize("removed", ["new", "envelopes"])
def test_one_that_is_removed_meanwhile_costs_one_message(removed: str, tmp_path: Path) -> None:
    maildir = Maildir(tmp_path)
    name, file = maildir.create()
    (tmp_path / removed).rmdir()
    with pytest.raises(FileNotFoundError):
        maildir.keep(name, file, {})
    assert files(tmp_path) == []
    maildir.keep(*maildir.create(), {})
    assert len(files(tmp_path)) == 2


# The quarantine


TX = Transaction(Connection(), None)


def test_an_envelope_that_is_no_json_leaves_nothing(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path)
    name, file = maildir.create()
    with pytest.raises(TypeError):
        maildir.keep(name, file, {"reason": b"x"})
    assert files(tmp_path) == []


def test_a_message_that_is_held_has_its_reason(tmp_path: Path) -> None:
    name = Quarantine(tmp_path).keep(TX, b"text\r\n", Hold("why"))
    assert (tmp_path / "new" / name).read_bytes() == b"text\r\n"
    assert json.loads((tmp_path / "envelopes" / f"{name}.json").read_bytes())["reason"] == "why"


def test_each_call_fails_while_a_message_is_held(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    for at in range(40):
        system = Failing(at, errno.ENOSPC)
        with system.installed():
            try:
                quarantine.keep(TX, LARGE, Hold("why"))
            except OSError:
                assert files(tmp_path) == [], system.calls[-1]
            else:
                break
    assert len(files(tmp_path)) == 2


# What a crash leaves


def test_what_is_left_over_is_counted(tmp_path: Path) -> None:
    assert left_over(tmp_path / "none") == 0
    maildir = Maildir(tmp_path)
    for age in (0, 80_000, 90_000, 200_000):
        name, file = maildir.create()
        file.close()
        path = tmp_path / "tmp" / name
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    assert left_over(tmp_path) == 2


@pytest.mark.parametrize("call", ["rename envelopes", "rename new", "fsync DIR/envelopes"])
def test_after_a_crash_a_message_in_new_has_its_envelope(call: str, tmp_path: Path) -> None:
    class Crash(BaseException):
        pass

    class Crashes(Disk):
        def remove(self, path: Path) -> None:
            """The process is gone: nobody tidies up."""

        def rename(self, before: Path, after: Path) -> None:
            if call == f"rename {after.parent.name}":
                raise Crash
            super().rename(before, after)

        def sync_directory(self, path: Path) -> None:
            if call == f"fsync DIR/{path.name}":
                raise Crash
            super().sync_directory(path)

    maildir = Maildir(tmp_path, disk=Crashes())
    name, file = maildir.create()
    with pytest.raises(Crash):
        maildir.keep(name, file, {})
    assert f"tmp/{name}" in files(tmp_path)
    assert not list((tmp_path / "new").iterdir())
