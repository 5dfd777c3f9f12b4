"""Plays every script of tests/dialogues: whole and cut, with questions answered at once and late, with and
without the lane."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from random import Random
from typing import Final

import pytest
from dialogue_writer import WritingTwins
from pairs import DEEP, FLAG, cases

from sansio_smtp import ClientInfo, Config
from sansio_smtp.testing import Chunker, Script, bytewise, drawn, parse, play, whole

DIALOGUES = Path(__file__).parent / "dialogues"
FILES = sorted(DIALOGUES.glob("*.txt"))

CUTS: Final = ["whole", "bytewise", *(f"drawn{seed}" for seed in range(6 if DEEP else 1))]
WAYS: Final[dict[Path, list[tuple[str, bool]]]] = {file: [] for file in FILES}
"""The ways in which each is played."""
GROUPS: Final = sorted({file.stem.partition("_")[0] for file in FILES})
"""The prefixes of file names."""
for _file, _cut, _late in cases(FILES, CUTS, FLAG):
    WAYS[_file].append((_cut, _late))
NUMBERS = [1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 15, 16, 18, 19, 20]
"""The weaknesses of the founding scripts that scripts can show; the others are limits and drivers."""


def chunker(cut: str, script: Script) -> Chunker:
    """The cuts of that name. Random cuts differ from script to script."""
    if cut == "whole" or script.whole_only:
        return whole
    return bytewise if cut == "bytewise" else drawn(Random(f"{script.name} {cut}"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_dialogue(file: Path) -> None:
    """One test for each file, because a case of pytest would cost more than playing it."""
    script = parse(file.read_text(encoding="utf-8"), f"tests/dialogues/{file.name}")
    for cut, late in WAYS[file]:
        if cut != "bytewise":
            play_in(script, cut, late)


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_dialogues_octet_by_octet(group: str) -> None:
    for file in FILES:
        if file.stem.partition("_")[0] == group:
            script = parse(file.read_text(encoding="utf-8"), f"tests/dialogues/{file.name}")
            for cut, late in WAYS[file]:
                if cut == "bytewise":
                    play_in(script, cut, late)


def play_in(script: Script, cut: str, late: bool) -> None:
    proxies: list[WritingTwins] = []

    def proxy(config: Config, ask: Collection[str], **known: ClientInfo) -> WritingTwins:
        proxies.append(WritingTwins(config, ask, **known))
        return proxies[-1]

    try:
        play(script, cut=chunker(cut, script), late=late, proxy=proxy)
    except AssertionError:
        how = f"cut {cut}, answered {'late' if late else 'at once'}"
        print(f"# what happened, {how}, up to the failure", proxies[-1].dialogue, sep="\n")
        raise


@pytest.mark.parametrize("number", NUMBERS)
def test_every_weakness_has_a_script(number: int) -> None:
    assert list(DIALOGUES.glob(f"w{number:02}_*.txt"))
