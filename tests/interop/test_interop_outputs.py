"""Mail goes on wherever the log and the transcript go: the executable under load, 400 messages each."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "trio"))
from commands import COMMAND, Proxy, connect, say_hello, submit
from drivers import DEADLINE, Peer
from watched import PLACES, SOON, Place, count

pytestmark = [pytest.mark.interop, pytest.mark.alone]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_mail_goes_on_under_load(place: Place, tmp_path: Path) -> None:
    counts = count(tmp_path, place, clients=8, messages=50)
    assert (counts.answered, counts.delivered, counts.status) == (counts.sent, counts.sent, 0)
    assert counts.seconds < SOON
    assert "Traceback" not in counts.written


def test_lost_lines_are_said_when_there_is_room_again(tmp_path: Path) -> None:
    """The log is on a small disk, which is full for a while."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", disk], check=True)
    log = disk / "log"

    class Logs(Proxy):
        command = ["sh", "-c", f'exec "$@" 2>> {log}', "sh", *COMMAND]

    try:
        with connected(Logs(tmp_path, "-l", "127.0.0.1:0", "-v", "--capture", "kept")) as client:
            for number in range(150):
                assert submit(client, b"Subject: %d\r\n\r\nx\r\n" % number).startswith(b"250 ")
            assert log.stat().st_size == 16_384
            os.truncate(log, 0)
            assert submit(client, b"Subject: after\r\n\r\nx\r\n").startswith(b"250 ")
        said = log.read_text()
        lost = re.findall(r"^([0-9]+) lines of the log were lost: No space left on device$", said, re.M)
        assert len(lost) == 1
        written = said.count("kept new/")
        print(f"151 messages, {lost[0]} lines lost, the log ends with:", said, sep="\n")
        assert 0 < int(lost[0]) < 151
        assert written >= 1
        assert len(list((tmp_path / "kept" / "new").iterdir())) == 151
    finally:
        subprocess.run(["umount", disk], check=True)


@contextmanager
def connected(process: Proxy) -> Iterator[Peer]:
    try:
        with connect(("127.0.0.1", process.port)) as client:
            say_hello(client)
            yield client
        process.signal(15)
        assert process.ends(within=3 * DEADLINE) == 0
    finally:
        process.kill()
