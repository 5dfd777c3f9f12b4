"""Imports that are delayed until something of the module is used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trio_proxy.commands.lazy_imports import delay_import

NAME = "a_module_of_this_test"


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "__init__.py").write_text("value = object()\n")
    (tmp_path / NAME / "inner.py").write_text(f"from {NAME} import value\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in (NAME, f"{NAME}.inner"):
        sys.modules.pop(name, None)


def imported() -> object:
    return __import__(NAME)


def is_loaded() -> bool:
    return "value" in vars(sys.modules[NAME])


def test_it_is_loaded_when_it_is_used() -> None:
    delay_import(NAME)
    early = imported()
    assert not is_loaded()
    value = early.value  # type: ignore[attr-defined]
    assert is_loaded()
    assert imported() is not early
    assert imported().value is early.value is value  # type: ignore[attr-defined]


def test_what_was_used_once_is_kept() -> None:
    """Who has imported it early has the stand-in for ever: each use of it would be slow."""
    delay_import(NAME)
    early = imported()
    value = early.value  # type: ignore[attr-defined]
    assert vars(early)["value"] is value


def test_several_modules() -> None:
    delay_import(NAME, f"{NAME}.inner")
    assert sys.modules[f"{NAME}.inner"].value is imported().value  # type: ignore[attr-defined]


def test_a_module_inside_it() -> None:
    delay_import(NAME)
    inner = __import__(f"{NAME}.inner", fromlist=["value"])
    assert inner.value is imported().value  # type: ignore[attr-defined]


def test_a_name_that_it_does_not_have() -> None:
    delay_import(NAME)
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = imported().other  # type: ignore[attr-defined]


def test_a_module_that_is_loaded_already() -> None:
    before = imported()
    delay_import(NAME)
    assert imported() is before
