"""The scripts for long runs, for a short time: a crowd of clients, and restarts and reloads under load."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.interop, pytest.mark.alone]


def ran(script: str, *arguments: str) -> str:
    """What the script prints; it must find nothing wrong."""
    result = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script)), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_crowd_and_a_storm() -> None:
    """Nobody is lost, and no descriptor stays open."""
    said = ran("crowd.py", "--sessions", "1000", "--rate", "300", "--seconds", "5")
    assert dict(re.findall(r"'(\w[\w ]*)': (\d+)", said)) == {"served": "1124", "dropped at once": "376"}


def test_restarts_and_reloads_under_load() -> None:
    said = ran("restarts_under_load.py", "2000", "--restarts", "2", "--reloads", "4", "--broken", "2")
    assert "{'restart': 2, 'reload': 2, 'broken': 2, 'certificate': 1, 'upgrade': 1}" in said
    assert "lost 0, doubled 0" in said
