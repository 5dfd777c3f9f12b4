"""Attributes that a rule class does not have are found when its rules are loaded."""

from __future__ import annotations

from textwrap import indent
from typing import Any

from each import each

from sansio_smtp.rules.lint.own_attributes import unknown_on_self
from sansio_smtp.rules.lint.source import Source

IMPORTS = """
import attrs, dataclasses
from abc import ABC, ABCMeta
from ast import NodeVisitor
from typing import ClassVar
"""
FILTER = """
@attrs.define
class Filter:
    domains: tuple = ()
    seen: set = attrs.field(factory=set, init=False)
    GUARDS: ClassVar[bool] = True
    def rcpt(self, tx, to):
"""


def found(text: str, *, entry: str = "Filter") -> list[str]:
    written = IMPORTS + text
    namespace: dict[str, Any] = {"__name__": "my_rules"}
    exec(compile(written, "rules", "exec", dont_inherit=True), namespace)
    given = eval(entry, namespace)
    cls = given if isinstance(given, type) else type(given)
    lines = written.splitlines()
    said = list(unknown_on_self(Source(written, namespace), cls, given))
    assert all("self." in lines[line - 1] for line, _ in said)
    return [each for _, each in said]


def in_rcpt(body: str, **given: str) -> list[str]:
    return found(FILTER + indent(body, "        "), **given)


@each(
    ("body", "said"),
    [
        ("self.domians", 'self.domians: a Filter has no domians; did you mean "domains"?'),
        ("self.sen.add(1)", 'self.sen: a Filter has no sen; did you mean "seen"?'),
        ("self.rctp(tx, to)", 'self.rctp: a Filter has no rctp; did you mean "rcpt"?'),
        ("self.qqqq", "self.qqqq: a Filter has no qqqq"),
        ("[self.qqqq for _ in ()]", "self.qqqq: a Filter has no qqqq"),
        ("id(self), self.qqqq", "self.qqqq: a Filter has no qqqq"),
        ("try:\n    self.qqqq\nexcept ValueError:\n    pass", "self.qqqq: a Filter has no qqqq"),
    ],
)
def test_attributes_that_do_not_exist(body: str, said: str) -> None:
    assert in_rcpt(body) == [said]
    assert in_rcpt(body, entry="Filter()") == [said]


@each(
    "body",
    [
        "self.domains, self.seen, self.GUARDS, self.rcpt, self.__class__, self.__len, self.__len__",
        "self.count = 1; self.count",
        "to.count = 1; self.count",
        "if hasattr(self, 'count'):\n    self.count",
        "try:\n    self.count\nexcept AttributeError:\n    pass",
        "del self.count",
        "tx.domians",
        "helper(self); self.count",
        "tx.data['rule'] = self; self.count",
        "setattr(tx, to, 1); self.count",
        "object.__setattr__(tx, to, 1); self.count",
        "tx.__dict__.update(); self.count",
        "def inner(self):\n    self.count",
        "for self in ():\n    self.count",
    ],
)
def test_uncertain_attributes_are_not_reported(body: str) -> None:
    assert in_rcpt(body) == []


METHOD = "    def rcpt(self, tx, to):\n        self.count\n"


@each(
    "before",
    [
        "class Filter:\n    count = 1\n",
        "class Filter:\n    count: int\n",
        "class Filter:\n    def count(self): pass\n",
        "class Filter:\n    @property\n    def count(self): pass\n",
        "class Filter:\n    def __getattr__(self, name): return name\n",
        "class Filter:\n    def __getattribute__(self, name): return name\n",
        "@attrs.define(slots=False)\nclass Filter:\n    count: int\n",
        "@dataclasses.dataclass\nclass Filter:\n    count: int\n",
        "class Base:\n    count = 1\nclass Filter(Base):\n",
        "class Base:\n    def open(self): self.count = 1\nclass Filter(Base):\n",
        "class Base:\n    def __getattr__(self, name): return name\nclass Filter(Base):\n",
        "class Filter(NodeVisitor):\n",
        "class Meta(type): pass\nclass Filter(metaclass=Meta):\n",
        "if 0:\n    class Filter: pass\nclass Filter:\n",
    ],
)
def test_classes_that_have_the_attribute_or_may_have_it(before: str) -> None:
    assert found(before + METHOD) == []


def test_the_methods_of_base_classes_in_the_file_are_looked_at() -> None:
    text = f"class Base(ABC):\n{METHOD}class Filter(Base):\n    pass\n"
    assert found(text) == ["self.count: a Base has no count"]
    assert found(f"{text}    count = 1\n") == []


def test_an_instance_may_have_more_than_its_class() -> None:
    text = f"class Filter:\n    def __init__(self, **given): pass\n{METHOD}"
    assert found(text) == ["self.count: a Filter has no count"]
    assert found(f"{text}made = Filter()\nmade.count = 1\n", entry="made") == []
    unseen = "object.__getattribute__(made, '__dict__').update([('cou' + 'nt', 1)])\n"
    assert found(f"{text}made = Filter()\n{unseen}", entry="made") == []


@each(
    "method",
    [
        "@staticmethod\n    def rcpt(tx, to): tx.count",
        "def rcpt(): self.count",
        "def rcpt(this, tx, to): this.count",
        "rcpt = lambda self, tx, to: self.count",
    ],
)
def test_only_methods_with_self_are_looked_at(method: str) -> None:
    assert found(f"class Filter:\n    {method}\n") == []
