"""The settings that the ready rules' documentation shows are settings that work."""

from __future__ import annotations

import importlib
import tomllib
from textwrap import dedent
from typing import Any

import attrs
from each import each
from harness import loaded

NAMES = [
    *("allow_list", "archive", "attachments", "footer", "header_fields"),
    *("match_login", "rate_limit", "rewrite_map", "secret_scan", "staging"),
]


def rule_class(name: str) -> Any:
    (cls,) = importlib.import_module(f"trio_proxy.ready.{name}").rules
    return cls


def example(name: str) -> str:
    """The TOML in a rule's documentation."""
    text = rule_class(name).__doc__.partition("::\n\n")[2]
    return dedent(text.partition("\n\n")[0])


@each("name", NAMES)
def test_the_documented_settings_can_be_loaded(name: str) -> None:
    toml = example(name)
    table = tomllib.loads(toml)["rules"][name]
    rules = loaded(toml).ruleset.rules
    assert rules
    made: Any = getattr(rules[0].function, "__self__")  # noqa: B009
    defaults = attrs.fields_dict(rule_class(name))
    assert table
    for key in table:
        assert getattr(made, key) != defaults[key].default or key in ("mode", "field")


@each("name", NAMES)
def test_all_settings_are_documented(name: str) -> None:
    settings = {field.name for field in attrs.fields(rule_class(name)) if field.init}
    documented = set(tomllib.loads(example(name))["rules"][name])
    text = rule_class(name).__doc__
    assert not [key for key in settings - documented if f"``{key}``" not in text]
