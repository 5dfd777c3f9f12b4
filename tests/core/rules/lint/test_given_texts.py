"""Texts that rule objects were given in place of lists are found when the rules are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from each import each

from sansio_smtp.rules.lint.given_texts import texts_for_lists


@attrs.define
class Settings:
    domains: tuple[str, ...] = ()
    senders: list[str] | None = None
    blocked: set[str] = attrs.field(factory=set[str])
    _kinds: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)
    either: tuple[str, ...] | str = ()
    text: str = ""
    sequence: Sequence[str] = ()
    unknown: NotThere = ""  # type: ignore[name-defined] # noqa: F821 # pyright: ignore[reportUndefinedVariable]
    without: Any = attrs.field(default="", type=None)


@each(
    ("given", "said"),
    [
        (
            {"domains": "old.example"},
            "Settings(domains='old.example'): a text in place of a tuple; write ('old.example',)",
        ),
        ({"senders": "a"}, "Settings(senders='a'): a text in place of a list; write ['a']"),
        ({"blocked": "a"}, "Settings(blocked='a'): a text in place of a set; write {'a'}"),
        ({"kinds": "a"}, "Settings(kinds='a'): a text in place of a frozenset; write frozenset(['a'])"),
        ({"secrets": "abc"}, "Settings(secrets=text): a text in place of a tuple; write (text,)"),
    ],
)
def test_a_text_in_place_of_a_list(given: dict[str, Any], said: str) -> None:
    assert list(texts_for_lists(Settings(**given), globals())) == [said]


@each(
    "given",
    [{}, {"domains": ("old.example",)}, {"either": "a"}, {"text": "a"}, {"sequence": "a"}, {"unknown": "a"}],
)
def test_what_is_right_or_uncertain(given: dict[str, Any]) -> None:
    assert list(texts_for_lists(Settings(**given), globals())) == []


def test_an_annotation_that_cannot_be_read_and_a_class_without_fields() -> None:
    assert list(texts_for_lists(Settings("old.example"), {})) != []
    assert list(texts_for_lists(Settings(senders="a"), {})) != []  # type: ignore[arg-type]
    assert list(texts_for_lists("old.example", {})) == []
