"""Sorts mistakes as one reads the files that have them."""

from __future__ import annotations

from collections.abc import Iterable

from sansio_smtp.rules.lint.problems import Problem

__all__ = ["in_order"]


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """The mistakes of each file together, by line; files in the order of their first mistakes."""
    found = list(problems)
    places = {name: place for place, name in enumerate(dict.fromkeys(each.file for each in found))}
    return sorted(found, key=lambda each: (places[each.file], each.line))
