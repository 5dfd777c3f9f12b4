"""The executable while its log and its output go where nothing can be written, or nobody reads."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest
from commands import COMMAND, environment
from drivers import DEADLINE
from watched import PLACES, SOON, Place, count

FEW = {  # the others: tests/interop
    "all on /dev/full",
    "closed pipe",
    "pipe that nobody reads",
    "workers on a closed pipe",
    "workers on a pipe that nobody reads",
    "ASCII",
}
MESSAGE = "From: ann@example.com\nTo: bob@example.com\nSubject: =?utf-8?q?5_=E2=82=AC?=\n\nhi\n"
RULE = """
def headers(tx, headers):
    headers.replace("Subject", lambda old: f"{old} (\\u20ac)")
    print("\\u20ac")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "place", [place for place in PLACES if place.name in FEW], ids=lambda place: place.name
)
def test_mail_goes_on(place: Place, tmp_path: Path) -> None:
    counts = count(tmp_path, place, clients=2, messages=20)
    assert (counts.answered, counts.delivered, counts.status) == (counts.sent, counts.sent, 0)
    assert counts.seconds < SOON
    assert "Exception ignored" not in counts.written
    assert "Traceback" not in counts.written
    if place.name == "ASCII":
        assert "EHLO \\u03c0.example" in counts.written
        assert "a rule prints \\u20ac" in counts.written
        assert "lost" not in counts.written


def _run(
    tmp_path: Path, redirect: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    (tmp_path / "in.eml").write_text(MESSAGE)
    (tmp_path / "rule.py").write_text(RULE)
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", *COMMAND, *arguments],
        cwd=tmp_path, env=environment(**variables), capture_output=True, timeout=6 * DEADLINE, check=False,
    )  # fmt: skip


TRIAL = ("test", "--rules", "rule.py", "in.eml", "--from", "ann@example.com", "--to", "bob@example.com")


def test_a_trial_in_a_latin_1_locale(tmp_path: Path) -> None:
    result = _run(tmp_path, "", *TRIAL, PYTHONIOENCODING="latin-1")
    assert (result.returncode, result.stderr) == (0, b"\\u20ac\n")
    assert b"5 \\u20ac" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("redirect", ["> /dev/full 2>&1", ">&- 2>&-"])
def test_exit_status_and_silence_where_nothing_can_be_written(redirect: str, tmp_path: Path) -> None:
    assert _run(tmp_path, redirect, *TRIAL).returncode == 0
    assert _run(tmp_path, redirect, "--no-such-option").returncode == 2


@pytest.mark.slow
def test_a_report_is_whole_however_slow_its_reader(tmp_path: Path) -> None:
    (tmp_path / "rule.py").write_text(RULE)
    (tmp_path / "in.eml").write_text(MESSAGE)
    many = ["in.eml"] * 300  # more than a pipe takes
    command = ["sh", "-c", '"$@" 2> err | (read line; exec cat)', "sh", *COMMAND, *TRIAL, "-v", *many]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, timeout=6 * DEADLINE, check=True
    )
    assert len(result.stdout) > 100_000
    assert result.stdout.count(b"\ndelivered") == 301
    assert (tmp_path / "err").read_text() == "€\n" * 301


def test_a_terminal_keeps_its_modes_and_gets_the_report(tmp_path: Path) -> None:
    (tmp_path / "in.eml").write_text(MESSAGE)
    (tmp_path / "rule.py").write_text(RULE)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *TRIAL], cwd=tmp_path, env=environment(), stdout=theirs, stderr=theirs
    )
    said = b""
    while b"delivered" not in said:
        said += os.read(ours, 4096)
    assert process.wait(DEADLINE) == 0
    assert os.get_blocking(theirs)
    os.close(theirs)
    os.close(ours)
    assert "5 €".encode() in said
