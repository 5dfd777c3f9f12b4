"""Tables of a settings file, made into instances, and what is said of those that cannot be."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import attrs

from trio_proxy.settings.tables import structure

__all__ = ["Limits", "made", "said"]


@attrs.frozen
class Limits:
    per_minute: int
    burst: int = 5


def made(kind: Any, value: Any, **field: Any) -> Any:
    """The value as a field of this kind."""
    cls: Any = attrs.make_class("Rule", {"it": attrs.field(type=kind, **field)})
    instance, problems = structure(
        cls, {"it": value}, file="conf/proxy.toml", table_name="rules.rule", lines={}
    )
    if problems:
        assert instance is None
        raise ValueError("\n".join(problem.text for problem in problems))
    assert instance is not None
    return instance.it


def said(
    cls: type, table: str | Mapping[str, Any], lines: Mapping[str, int] | None = None, base: Any = None
) -> list[str]:
    given = tomllib.loads(table) if isinstance(table, str) else table
    instance, problems = structure(
        cls, given, file="proxy.toml", table_name="rules.it", lines=lines or {}, base=base
    )
    assert (instance is None) == bool(problems)
    return [str(problem) for problem in problems]
