"""TOML tables into attrs classes, and what is said of tables that do not fit."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st
from tables import Limits, made, said

from sansio_smtp.rules import normal_domain
from trio_proxy.settings.tables import Duration, Size, structure

if TYPE_CHECKING:
    from nowhere import Client  # type: ignore[import-not-found]


# Classes


@attrs.define
class Rule:
    host: str
    delay: Duration = 300.0
    size: Size = 10
    limits: Limits | None = None
    client: Client | None = None
    sizes: list[Size] = attrs.field(factory=list)
    names: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)
    lower: str = attrs.field(default="", converter=str.lower)  # type: ignore[misc]
    count: int = attrs.field(default=1, validator=attrs.validators.gt(0))
    twice: int = attrs.field(default=2, validator=attrs.validators.instance_of(int))
    KIND: ClassVar[str] = "rule"
    _cache: dict[str, int] = attrs.field(factory=dict, init=False)
    _hidden: int = 0


def test_a_misspelt_key_is_not_said_to_be_missing_too() -> None:
    assert said(Rule, 'hosst = "h"', {"": 1, "hosst": 2}) == [
        'proxy.toml:2: [rules.it] unknown key "hosst"; did you mean "host"?'
    ]


def test_a_key_that_belongs_in_another_table() -> None:
    _, (problem,) = structure(
        Rule,
        {"host": "h", "zebra": 1},
        file="f",
        table_name="rules.it",
        lines={},
        other_place=lambda key: f" ({key} is of the zoo)",
    )
    assert problem.text.endswith("twice, hidden (zebra is of the zoo)")


def test_a_rule_with_its_settings() -> None:
    rule, problems = structure(
        Rule,
        {"host": "h", "delay": "1m", "limits": {"per_minute": 1}, "names": ["a"], "lower": "X", "hidden": 3},
        file="f",
        table_name="rules.rule",
        lines={},
    )
    assert not problems
    assert rule == Rule("h", 60.0, limits=Limits(1), names=frozenset(["a"]), lower="x", hidden=3)  # type: ignore[list-item]


def test_all_mistakes_at_once_each_with_its_line() -> None:
    table = """
delay = "soon"
delya = 3
size = "1K"
sizes = ["1K", "x",
         0]
limits.per_minute = "x"
limits.brust = 2
names = "x"
count = 0
twice = "2"
_cache = {}
KIND = "x"
"""
    lines = {
        "": 1,
        "delay": 2,
        "delya": 3,
        "sizes": 5,
        "limits.per_minute": 7,
        "limits.brust": 8,
        "count": 10,
    }
    known = "host, delay, size, limits, client, sizes, names, lower, count, twice, hidden"
    assert said(Rule, table, lines) == [
        'proxy.toml:1: [rules.it] names = "x": expected a list of texts in quotes; write ["x"]',
        'proxy.toml:1: [rules.it] twice = "2": expected a whole number; write it without quotes: 2',
        f'proxy.toml:1: [rules.it] unknown key "_cache"; known: {known}',
        f'proxy.toml:1: [rules.it] unknown key "KIND"; known: {known}',
        'proxy.toml:1: [rules.it] missing key "host": expected a text in quotes',
        'proxy.toml:2: [rules.it] delay = "soon": expected a number of seconds or a time such as "30s" or '
        '"5m"',
        'proxy.toml:3: [rules.it] unknown key "delya"; did you mean "delay"?',
        'proxy.toml:5: [rules.it] sizes[1] = "x": expected a number of bytes or a size such as "25M"',
        'proxy.toml:5: [rules.it] sizes[2] = 0: expected a number of bytes or a size such as "25M"',
        'proxy.toml:7: [rules.it] limits.per_minute = "x": expected a whole number',
        'proxy.toml:8: [rules.it.limits] unknown key "brust"; did you mean "burst"?',
        "proxy.toml:10: [rules.it] count = 0: 'count' must be > 0: 0",
    ]


def test_a_key_that_is_missing_further_down() -> None:
    assert said(Rule, 'host = "h"\nlimits = {}', {"": 1, "host": 2, "limits": 3}) == [
        'proxy.toml:3: [rules.it.limits] missing key "per_minute": expected a whole number'
    ]


def test_without_lines_the_file_is_named() -> None:
    assert said(Rule, "") == ['proxy.toml: [rules.it] missing key "host": expected a text in quotes']


def test_a_type_that_exists_for_type_checkers_only() -> None:
    assert said(Rule, 'host = "h"') == []
    (problem,) = said(Rule, 'host = "h"\nclient = "redis://h"')
    assert problem.endswith('client = "redis://h": a Client | None cannot be written in a settings file')


def test_a_base_gives_what_the_table_does_not_say() -> None:
    base = Rule("h", delay=5.0, names=frozenset(["x"]))  # type: ignore[list-item]
    rule, problems = structure(Rule, {"delay": "1m"}, file="f", table_name="rules.rule", lines={}, base=base)
    assert not problems
    assert rule == attrs.evolve(base, delay=60.0)
    assert base.delay == 5.0
    assert said(Rule, "count = 0", base=base) == ["proxy.toml: [rules.it] count = 0: 'count' must be > 0: 0"]


def test_a_class_without_settings() -> None:
    @attrs.define
    class Plain:
        pass

    assert said(Plain, "") == []
    assert said(Plain, "x = 1") == ['proxy.toml: [rules.it] unknown key "x"; there are no keys here']


def test_old_attrs_and_slots_and_inheritance() -> None:
    import attr

    @attr.s(auto_attribs=True, slots=False)
    class Base:
        limits: Limits
        x: Any = None

    @attr.s
    class Old(Base):
        y: Any = attr.ib(default=1)
        _z: Any = attr.ib(default=1)

    rule, problems = structure(
        Old, {"limits": {"per_minute": 2}, "y": [1], "z": 2, "x": 5}, file="", table_name="", lines={}
    )
    assert not problems
    assert rule == Old(limits=Limits(2), y=[1], z=2, x=5)


def test_annotations_are_read_where_the_class_was_written() -> None:
    """Rule files are no modules that could be imported, and two of them may have the same name."""
    source = (
        "from __future__ import annotations\n"
        "import attrs\n"
        "from trio_proxy.settings import Size as S\n"
        "@attrs.define\n"
        "class Rule:\n"
        "    it: S = 1\n"
        "    def rcpt(self, tx, to): ...\n"
    )
    module = ModuleType("of_nobody")
    exec(compile(source, "of_nobody.py", "exec"), module.__dict__)
    assert "of_nobody" not in sys.modules
    rule, problems = structure(module.Rule, {"it": "1K"}, file="f", table_name="t", lines={})
    assert not problems
    assert rule == module.Rule(1000)


@attrs.define
class Early:
    it: Later = 1


Later = Size


def test_a_name_that_comes_behind_the_class() -> None:
    rule, problems = structure(Early, {"it": "1K"}, file="f", table_name="t", lines={})
    assert (rule, problems) == (Early(1000), [])


def test_an_abstract_class() -> None:
    @attrs.define
    class Abstract(ABC):
        a: int = attrs.field(default=1, validator=attrs.validators.gt(0))

        @abstractmethod
        def rcpt(self) -> None: ...

    (problem,) = said(Abstract, "a = 1")
    assert "Can't instantiate abstract class Abstract" in problem


def test_a_dataclass_in_a_table() -> None:
    @dataclass
    class Point:
        x: int
        y: int = 0

    rule = attrs.make_class("Rule", {"at": attrs.field(type=Point)})
    assert said(rule, "at = {x = 1}") == []
    (problem,) = said(rule, "at = {z = 1}")
    assert problem.startswith("proxy.toml: [rules.it] at = {...}: required field missing @ $.x; extra fields")


# Converters and validators


def to_seconds(text: str) -> float:
    if not text.endswith("s"):
        raise ValueError(f"{text!r} has no s")
    return float(text[:-1])


def test_a_converter_says_by_its_annotation_what_it_takes() -> None:
    assert made(float, "5s", converter=to_seconds) == 5.0
    assert made(float, "5s", converter=attrs.converters.optional(to_seconds)) == 5.0
    assert made(float, "5s", converter=attrs.Converter(to_seconds)) == 5.0
    with pytest.raises(ValueError, match=r"it = 5: expected a text in quotes$"):
        made(float, 5, converter=to_seconds)
    with pytest.raises(ValueError, match=r"it = \"5\": '5' has no s$"):
        made(float, "5", converter=to_seconds)


def test_a_converter_without_annotations_takes_what_the_field_is() -> None:
    assert made(tuple[Size, ...], ["1K"], converter=tuple) == (1000,)
    assert made(Path, "x", converter=Path) == Path("conf/x")
    assert made(timedelta, 5, converter=lambda seconds: timedelta(seconds=seconds)) == timedelta(seconds=5)
    with pytest.raises(ValueError, match=r"it\[0\] = \"x\": expected a number of bytes"):
        made(tuple[Size, ...], ["x"], converter=tuple)
    with pytest.raises(ValueError, match=r"it = \"x\": unsupported type"):
        made(timedelta, "x", converter=lambda seconds: timedelta(seconds=seconds))


def test_a_converter_of_a_list_is_asked_which_entries_are_wrong() -> None:
    def in_normal_form(given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(normal_domain(each) for each in given)

    rule = attrs.make_class(
        "Rule", {"it": attrs.field(type=tuple[str, ...], default=(), converter=in_normal_form)}
    )
    assert said(rule, 'it = ["Old.Example"]') == []
    assert said(rule, 'it = ["old example", "old.example", "bob@old.example"]') == [
        'proxy.toml: [rules.it] it[0] = "old example": a blank is in no domain',
        'proxy.toml: [rules.it] it[2] = "bob@old.example": this is an address; its domain is old.example',
    ]


def test_a_converter_that_refuses_a_list_for_no_entry_alone() -> None:
    def two(given: tuple[str, ...]) -> tuple[str, ...]:
        if len(given) != 2:
            raise ValueError("give two")
        return given

    def different(given: tuple[str, ...]) -> tuple[str, ...]:
        if len({*given}) < len(given):
            raise ValueError("one is named twice")
        return given

    with pytest.raises(ValueError, match=r"it = \[...\]: give two$"):
        made(tuple[str, ...], ["x"], converter=two)
    with pytest.raises(ValueError, match=r"it = \[...\]: one is named twice$"):
        made(tuple[str, ...], ["x", "x"], converter=different)


def test_every_validator_is_asked() -> None:
    @attrs.define
    class Checked:
        a: int = attrs.field(default=1, validator=attrs.validators.gt(0))
        b: str = attrs.field(default="x", validator=attrs.validators.in_(("x", "y")))
        c: Any = attrs.field(default=None, validator=attrs.validators.instance_of((str, type(None))))
        d: str = attrs.field(default="x", validator=attrs.validators.matches_re("[a-z]"))

    assert said(Checked, 'a = 0\nb = "z"\nc = 5\nd = "5"') == [
        "proxy.toml: [rules.it] a = 0: 'a' must be > 0: 0",
        "proxy.toml: [rules.it] b = \"z\": 'b' must be in ('x', 'y') (got 'z')",
        "proxy.toml: [rules.it] c = 5: 'c' must be (<class 'str'>, <class 'NoneType'>) (got 5 that is "
        "a <class 'int'>).",
        "proxy.toml: [rules.it] d = \"5\": 'd' must match regex '[a-z]' ('5' doesn't)",
    ]


def test_validators_that_compare_fields() -> None:
    @attrs.define
    class Range:
        low: int = 0
        high: int = attrs.field(default=9)

        @high.validator
        def _check(self, _: attrs.Attribute[int], value: int) -> None:
            if value < self.low:
                raise ValueError(f"high is below low ({self.low})")

    assert said(Range, "low = 5\nhigh = 6") == []
    assert said(Range, "low = 5\nhigh = 4") == ["proxy.toml: [rules.it] high = 4: high is below low (5)"]
    assert said(Range, "high = -1") == ["proxy.toml: [rules.it] high is below low (0)"]
    assert said(Range, "low = 10") == ["proxy.toml: [rules.it] high is below low (10)"]


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (ValueError("a and b exclude each other"), "a and b exclude each other"),
        (TypeError("no"), "no"),
        (KeyError("x"), "KeyError: x"),
        (RuntimeError("broken"), "RuntimeError: broken"),
        (ValueError(), "ValueError: "),
        (OSError(2, "No such file"), "FileNotFoundError: [Errno 2] No such file"),
    ],
)
def test_what_init_raises_is_said(raised: Exception, text: str) -> None:
    @attrs.define
    class Strict:
        a: int = 1

        def __attrs_post_init__(self) -> None:
            raise raised

    assert said(Strict, "a = 1", {"": 7}) == [f"proxy.toml:7: [rules.it] {text}"]
    assert made_in_list(Strict) == [f"proxy.toml: [rules.it] them[0] = {{...}}: {text}"]


def made_in_list(cls: type) -> list[str]:
    outer = attrs.make_class("Outer", {"them": attrs.field(type=list[cls])})  # type: ignore[valid-type]
    return said(outer, "them = [{a = 1}]")


# Secrets


@attrs.define
class Vault:
    password: str = ""
    api_token: str = ""
    SECRET: int = 0
    key: Any = attrs.field(default="", validator=attrs.validators.instance_of(str))
    keys: dict[str, int] = attrs.field(factory=dict)
    url: int = 0
    pattern: str = attrs.field(default="", validator=attrs.validators.matches_re("[a-z]*"))
    plain: int = 0

    def __attrs_post_init__(self) -> None:
        if self.password:
            raise ValueError(f"{self.password!r} is no password, and {self.api_token} no token")


@each(
    ("table", "problem"),
    [
        ("password = 12345", 'password = "********": expected a text in quotes'),
        ("api_token = [98765]", 'api_token = "********": expected a text in quotes'),
        ('SECRET = "s3cret"', 'SECRET = "********": expected a whole number'),
        (
            "key = 4711",
            "key = \"********\": 'key' must be <class 'str'> (got ******** that is a <class 'int'>).",
        ),
        ('keys = {a = "hush"}', 'keys.a = "********": expected a whole number'),
        ('password = "it\'s \\"me"\napi_token = "xyzzy"', '"********" is no password, and ******** no token'),
        ('url = "redis://:pass@h/0"', 'url = "redis://********@h/0": expected a whole number'),
        ('plain = "hunter2"\napi_token = "hunter2"', 'plain = "hunter2": expected a whole number'),
        # A short secret makes no other text unreadable.
        ('plain = "e"\napi_token = "e"', 'plain = "e": expected a whole number'),
        (
            'plain = "e"\npassword = "it"',
            '"********" is no password, and  no token\n'
            'proxy.toml: [rules.it] plain = "e": expected a whole number',
        ),
    ],
)
def test_secrets_are_not_shown(table: str, problem: str) -> None:
    lines = sorted(line.replace("'********'", '"********"') for line in said(Vault, table))
    assert "\n".join(lines) == f"proxy.toml: [rules.it] {problem}"


@given(st.text(), st.sampled_from(["password", "api_token", "SECRET", "key", "keys"]))
def test_no_secret_is_ever_shown(tail: str, key: str) -> None:
    secret = f"hunter2{tail}"
    for value in (secret, [secret], {"x": secret}):
        assert "hunter2" not in str(said(Vault, {key: value, "plain": "x"}))
