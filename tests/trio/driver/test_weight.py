"""What a session weighs does not grow unnoticed: the number of its objects.

`python tests/trio/driver/weighing.py -v` says which they are, and how many octets each part holds.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
from weighing import KINDS

LIMITS = {
    "idle": 38,
    "idle, after a message": 58,
    "in a message": 58,
    "idle, with a rule": 83,
    "in a message, with a rule": 101,
    "idle, `--io tasks`": 135,
}


@pytest.mark.parametrize("kind", LIMITS)
async def test_how_many_objects_a_session_has(kind: str, logs: list[MutableMapping[str, Any]]) -> None:
    objects = (await KINDS[kind]()).objects
    assert objects.total() <= LIMITS[kind], objects
