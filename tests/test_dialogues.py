"""Every script of tests/dialogues: whole and cut, its questions answered at once and late."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from sansio_smtp.testing import Chunker, bytewise, drawn, parse, play, whole

DIALOGUES = Path(__file__).parent / "dialogues"
FILES = sorted(DIALOGUES.glob("*.txt"))

CHUNKERS = {"whole": whole, "bytewise": bytewise}
SEEDS = range(6)
NUMBERS = [1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 15, 16, 18, 19, 20]
"""The weaknesses of the founding scripts that scripts can show; the others are limits and drivers."""


def play_file(file: Path, cut: Chunker, late: bool) -> None:
    script = parse(file.read_text(encoding="utf-8"), f"tests/dialogues/{file.name}")
    play(script, cut=whole if script.whole_only else cut, late=late)


@pytest.mark.parametrize("late", [False, True], ids=["at_once", "late"])
@pytest.mark.parametrize("chunker", CHUNKERS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_dialogue(file: Path, chunker: str, late: bool) -> None:
    play_file(file, CHUNKERS[chunker], late)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_dialogue_with_drawn_cuts(file: Path, seed: int) -> None:
    play_file(file, drawn(Random(seed)), late=seed % 2 == 1)


@pytest.mark.parametrize("number", NUMBERS)
def test_every_weakness_has_a_script(number: int) -> None:
    assert list(DIALOGUES.glob(f"w{number:02}_*.txt"))
