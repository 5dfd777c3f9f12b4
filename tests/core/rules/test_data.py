"""What rules remember."""

from __future__ import annotations

import pytest

from sansio_smtp.rules.data import Data


class Counter:
    def __init__(self) -> None:
        self.value = 0


def test_data_by_type() -> None:
    """Made on first use."""
    data = Data()
    data.get(Counter).value += 1
    assert data.get(Counter).value == 1
    assert Counter in data
    assert Data().get(Counter).value == 0


def test_data_by_name() -> None:
    data = Data()
    assert data.get("tries") is None
    assert data.get("tries", 0) == 0
    data["tries"] = 2
    assert data["tries"] == data.get("tries", 0) == 2
    assert "tries" in data
    assert repr(data) == "Data({'tries': 2})"
    assert data.pop("tries") == 2
    assert data.pop("tries", 7) == 7
    assert "tries" not in data
    data["tries"] = 1
    del data["tries"]
    with pytest.raises(KeyError):
        data["tries"]
