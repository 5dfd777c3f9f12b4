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
    unknown: NotThere = ""  # type: ignore[name-defined] # noqa: F821
    without: Any = attrs.field(default="", type=None)


@each(
    ("given", "said"),
    [
        (
            {"domains": "old.example"},
            "Settings(domains='old.example'): a text in place of a tuple; write ('old.example',)",
        ),
        (
            {"domains": tuple("old.example")},
            "Settings(domains='old.example'): a text in place of a tuple; write ('old.example',)",
        ),
        ({"senders": list("a@b.c")}, "Settings(senders='a@b.c'): a text in place of a list; write ['a@b.c']"),
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
    [
        {},
        {"domains": ("old.example",)},
        {"domains": tuple("abc.")[1:]},
        {"domains": tuple("abcd")},
        {"domains": (*"abc.", "de")},
        {"domains": (*"abc.", 1)},
        {"either": "a"},
        {"text": "a"},
        {"sequence": "a"},
        {"unknown": "a"},
    ],
)
def test_what_is_right_or_uncertain(given: dict[str, Any]) -> None:
    assert list(texts_for_lists(Settings(**given), globals())) == []


def test_an_annotation_that_cannot_be_read_and_a_class_without_fields() -> None:
    given: Any = "old.example"
    assert len(list(texts_for_lists(Settings(given), {}))) == 1
    assert list(texts_for_lists(Settings(unknown=given), {})) == []
    assert list(texts_for_lists(given, {})) == []
