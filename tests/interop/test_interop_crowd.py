"""Many idle sessions, and clients that connect and drop: nobody is lost, and no descriptor stays open."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.interop, pytest.mark.alone]


def test_a_crowd_and_a_storm() -> None:
    command = [sys.executable, str(Path(__file__).with_name("crowd.py"))]
    ran = subprocess.run(
        [*command, "--sessions", "1000", "--rate", "300", "--seconds", "5"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    counts = dict(re.findall(r"'(\w[\w ]*)': (\d+)", ran.stdout))
    assert counts == {"served": "1124", "dropped at once": "376"}
