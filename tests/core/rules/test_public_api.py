"""What `sansio_smtp.rules` offers."""

from __future__ import annotations

import sansio_smtp.rules as rules
from sansio_smtp.rules.phases import PHASES


def test_everything_offered_is_there_once() -> None:
    assert sorted(set(rules.__all__)) == sorted(rules.__all__)
    for name in rules.__all__:
        assert getattr(rules, name) is not None


def test_all_verdicts_are_offered() -> None:
    legal = {kind.__name__ for phase in PHASES.values() for kind in phase.verdicts}
    assert legal <= set(rules.__all__)


def test_each_phase_with_verdicts_has_a_name_for_its_annotation() -> None:
    for phase in PHASES.values():
        name = "Body" if phase.octets else phase.name.capitalize()
        if phase.verdicts:
            assert f"{name}Verdict" in rules.__all__
