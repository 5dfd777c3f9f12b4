"""Mail goes on wherever the log and the transcript go: the executable under load, 400 messages each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "trio"))
from watched import PLACES, Place, count

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_mail_goes_on_under_load(place: Place, tmp_path: Path) -> None:
    counts = count(tmp_path, place, clients=8, messages=50)
    assert (counts.answered, counts.delivered, counts.status) == (counts.sent, counts.sent, 0)
    assert counts.seconds < 5
    assert "Traceback" not in counts.written
