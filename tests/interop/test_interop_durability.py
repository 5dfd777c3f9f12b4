"""250 after everything is on disk: the calls of the executable; disks that are full, removed, or not ours.

Needs root, strace, and the right to mount a tmpfs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "trio"))
from commands import Proxy, connect, say_hello, submit, upstream
from drivers import DEADLINE
from interop_traced import durable_calls, traced

pytestmark = pytest.mark.interop

HOLD = 'from sansio_smtp.rules import Hold\n\ndef message(tx, msg):\n    return Hold("why")\n'
MESSAGE = b"Subject: hi\r\n\r\n" + b"x" * 70 + b"\r\n"
LARGE = b"Subject: hi\r\n\r\n" + (b"x" * 70 + b"\r\n") * 2_000
KINDS = ["quarantine", "capture"]
KEPT = {"quarantine": b"250 2.0.0 ok", "capture": b"250 2.0.0 kept as "}
NOT_KEPT = b"451 4.3.0 the message cannot be kept here, try again later"
NO_ROOM = {"quarantine": NOT_KEPT, "capture": b"452 4.3.1 the message cannot be kept here"}
NOT_ROOT = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
"""Permissions count, as they do for other users."""


@contextmanager
def service(tmp_path: Path, kind: str, directory: Path, *before: str) -> Iterator[Proxy]:
    """Keeps messages in the directory: it holds all, or has no server."""

    class Wrapped(Proxy):
        command = [*before, *Proxy.command]

    if kind == "capture":
        with running(Wrapped(tmp_path, "-l", "127.0.0.1:0", "--capture", str(directory))) as process:
            yield process
    else:
        (tmp_path / "hold.py").write_text(HOLD)
        with upstream() as server:
            arguments = (
                "-u",
                f"127.0.0.1:{server.port}",
                "--rules",
                "hold.py",
                "--quarantine",
                str(directory),
            )
            with running(Wrapped(tmp_path, "-l", "127.0.0.1:0", *arguments)) as process:
                yield process


@contextmanager
def running(process: Proxy) -> Iterator[Proxy]:
    try:
        yield process
        process.signal(15)
        assert process.ends(within=3 * DEADLINE) == 0
    finally:
        process.kill()


def send(process: Proxy, *wires: bytes) -> list[bytes]:
    with connect(("127.0.0.1", process.port)) as client:
        say_hello(client)
        return [submit(client, wire) for wire in wires]


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_the_calls_before_250(kind: str, tmp_path: Path) -> None:
    trace, directory = tmp_path / "trace", tmp_path / "kept"
    with service(tmp_path, kind, directory, *traced(trace)) as process:
        first, second = send(process, MESSAGE, MESSAGE)
    assert first.startswith(KEPT[kind])
    assert second.startswith(KEPT[kind])
    calls = durable_calls(trace, directory)
    print(kind, *calls, sep="\n  ")
    replies = [at for at, call in enumerate(calls) if call.startswith(f"reply {KEPT[kind].decode()}")]
    assert len(replies) >= 2
    each = [
        "fsync tmp/NAME",
        "fsync tmp/NAME.json",
        "rename envelopes/NAME.json",
        "fsync envelopes",
        "rename new/NAME",
        "fsync new",
    ]
    last = calls[: replies[-1]]
    assert [call for call in last if not call.startswith("reply ")][-6:] == each
    before = [call for call in calls[: replies[-2]] if not call.startswith("reply ")]
    assert before[:2] + before[-4:] == each
    assert "fsync ." in before, "the entries of the directories that were made"
    assert not [call for call in calls if call.endswith("failed")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_is_full(kind: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60k", "none", disk], check=True)
    try:
        with service(tmp_path, kind, disk / "kept") as process:
            assert send(process, LARGE) == [NO_ROOM[kind]]
            assert files(disk) == []
            answers = send(process, *([MESSAGE] * 30))
            kept = [answer for answer in answers if answer.startswith(b"250 ")]
            assert 0 < len(kept) < 30
            assert {answer for answer in answers if not answer.startswith(b"250 ")} == {NO_ROOM[kind]}
            assert len(files(disk)) == 2 * len(kept)
            assert not [name for name in files(disk) if "/tmp/" in name]
            for name in (disk / "kept" / "envelopes").iterdir():
                assert json.loads(name.read_text())["mail_from"] == "a@me.example"
            assert "No space left on device" in process.said()
            for name in (disk / "kept" / "new").iterdir():
                name.unlink()
            assert send(process, MESSAGE)[0].startswith(KEPT[kind]), "there is room again"
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_directory_that_is_removed_is_made_again(kind: str, tmp_path: Path) -> None:
    directory = tmp_path / "kept"
    with service(tmp_path, kind, directory) as process:
        assert send(process, MESSAGE)[0].startswith(KEPT[kind])
        subprocess.run(["rm", "-r", directory], check=True)
        assert send(process, MESSAGE)[0].startswith(KEPT[kind])
    assert len(files(directory)) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("folder", ["tmp", "envelopes", "new"])
def test_no_permission(kind: str, folder: str, tmp_path: Path) -> None:
    directory = tmp_path / "kept"
    with service(tmp_path, kind, directory, *NOT_ROOT) as process:
        assert send(process, MESSAGE)[0].startswith(KEPT[kind])
        (directory / folder).chmod(0o500)
        with connect(("127.0.0.1", process.port)) as client:
            say_hello(client)
            if kind == "capture" and folder == "tmp":
                client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>", b"DATA")
                client.expect(b"250 ...", b"250 ...", NOT_KEPT)
            else:
                assert submit(client, MESSAGE) == NOT_KEPT
        assert "Permission denied" in process.said()
        assert len(files(directory)) == 2, "the first one"
        (directory / folder).chmod(0o700)
        assert send(process, MESSAGE)[0].startswith(KEPT[kind])
    assert len(files(directory)) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_modes_and_umask(kind: str, tmp_path: Path) -> None:
    directory = tmp_path / "kept"
    with service(tmp_path, kind, directory, "sh", "-c", 'umask 0; exec "$@"', "sh") as process:
        assert send(process, MESSAGE)[0].startswith(KEPT[kind])
    assert {oct(path.stat().st_mode & 0o777) for path in directory.rglob("*") if path.is_file()} == {"0o600"}
    folders = [directory, *(path for path in directory.rglob("*") if path.is_dir())]
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {"0o700"}
