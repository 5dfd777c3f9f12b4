"""What the table of keywords says is done, and is shown by the scripts that it names."""

from __future__ import annotations

import re
from pathlib import Path

from each import each

from sansio_smtp.ends.extensions import OURS, RELAYED
from sansio_smtp.ends.keyword_table import KEYWORDS, Handling, named
from sansio_smtp.verbs import VERBS, Support

DIALOGUES = Path(__file__).parents[2] / "dialogues"


OFFERED = re.compile(r"S: 250[- ]([^ ]+)")
TOLD = re.compile(r" +-> C: 250[- ]([^ ]+)")


@each("keyword", KEYWORDS)
def test_its_script_shows_it(keyword: str) -> None:
    row = KEYWORDS[keyword]
    lines = (DIALOGUES / f"{row.script}.txt").read_text(encoding="utf-8").splitlines()
    offered, told = (
        {found[1].upper() for line in lines if (found := pattern.match(line))} for pattern in (OFFERED, TOLD)
    )
    assert (keyword in told) == (row.handling is not Handling.HIDDEN)
    if row.handling not in (Handling.OWN, Handling.ALWAYS):
        assert keyword in offered


def test_what_is_offered_follows_from_the_table() -> None:
    assert named(Handling.RELAYED) == RELAYED
    assert set(OURS) == named(Handling.ALWAYS)
    assert all(row.why and row.rfc for row in KEYWORDS.values())


def test_a_verb_that_is_refused_is_not_offered() -> None:
    refused = {name.decode() for name, verb in VERBS.items() if verb.support is Support.REFUSED}
    assert not refused & (RELAYED | set(OURS))
