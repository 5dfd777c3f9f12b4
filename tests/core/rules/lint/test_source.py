"""A rule file as it was written."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from each import each

from core.rules.written import executed
from sansio_smtp import rules as api
from sansio_smtp.rules.lint.source import UNKNOWN, Source, wrong_definitions

TEXT = """\
import os.path, sys as system
from sansio_smtp import rules as api
from sansio_smtp.rules import Reject, on

def first(argument):
    local = 1
    for counter in (): ...
    with argument as opened: ...
    [each for each in argument]
    import inner, inner.deep as deep; from inner import wide
    def nested(): ...
    class Nested: ...

@on("rcpt")
@on(
    "mail"
)
async def second(tx, to): ...

class Third:
    @on("rcpt")
    def method(self, tx, to): ...

one = two = 1
three, (four, *five) = 1, (2, 3)
six: int = 6
six += 1
argument = local = each = inner = deep = wide = nested = Nested = "changes its meaning"
first.attribute = 1
print()
rules = [
    first,
    Third,
]
"""
LINES = {
    name: line
    for line, *names in [
        *((1, "os.path", "system"), (2, "api"), (3, "Reject"), (5, "first"), (18, "second"), (20, "Third")),
        *((24, "one", "two"), (25, "three", "four", "five"), (27, "six"), (28, "argument"), (31, "rules")),
        (0, "method", "counter", "opened", "nothing"),
    ]
    for name in names
}


def expression(text: str) -> Any:
    return ast.parse(text, mode="eval").body


def wrong(text: str) -> list[str]:
    text = "from sansio_smtp.rules import *; import functools\n" + text
    namespace = executed(text)
    return [f"{line}: {text}" for line, text in wrong_definitions(Source(text, namespace), namespace)]


@each("name", LINES)
def test_where_a_name_gets_its_meaning(name: str) -> None:
    assert Source(TEXT, {}).line_of(name) == LINES[name]


@each(
    ("text", "lines"),
    [
        (TEXT, [32, 33]),
        ("rules = (1,\n2)", [1, 2]),
        ("rules: list = [\n1, 2]", [2, 2]),
        ("rules = [1]\nrules += [2]", [2, 2]),
        ("rules = [\n*names]", [1, 1]),
        ("rules = make()", [1, 1]),
        ("if True: rules = [1, 2]", [0, 0]),
        ("def rules(): ...", [1, 1]),
    ],
)
def test_where_an_item_of_a_list_is_written(text: str, lines: list[int]) -> None:
    """Or at least the list."""
    assert [Source(text, {}).line_of_item("rules", number, 2) for number in range(2)] == lines


@pytest.mark.parametrize(
    ("name", "first_line", "line"),
    [
        ("first", 5, 5),
        ("second", 14, 18),
        ("method", 21, 22),
        ("second", 18, 0),
        ("other", 5, 0),
        ("first", 6, 0),
    ],
)
def test_a_function_is_found_where_its_code_begins(name: str, first_line: int, line: int) -> None:
    found = Source(TEXT, {}).definition(name, first_line)
    assert (found.lineno if found else 0) == line


def test_functions_are_found_as_python_numbers_them() -> None:
    namespace = executed(TEXT)
    for function in (namespace["first"], namespace["second"], namespace["Third"].method):
        code = function.__code__
        assert Source(TEXT, namespace).definition(code.co_name, code.co_firstlineno) is not None


@each(
    ("name", "meaning"),
    [
        ("Reject", api.Reject),
        ("api.Reject", api.Reject),
        ("api.verdicts.Reject", api.Reject),
        ("one", 1),
        *(
            (name, UNKNOWN)
            for name in ("nothing", "api.nothing", "api.Reject.reply", "one.real", "first()", "1 + 1")
        ),
        *((name, UNKNOWN) for name in ("inner", "deep", "wide", "nested", "Nested")),
        *(
            (name, UNKNOWN)
            for name in ("argument", "local", "each", "counter", "opened", "api.make().Reject")
        ),
    ],
)
def test_what_a_name_means(name: str, meaning: Any) -> None:
    """As far as that is the same in the whole file."""
    assert Source(TEXT, executed(TEXT)).meaning(expression(name)) is meaning


def test_a_file_that_is_none() -> None:
    with pytest.raises(SyntaxError):
        Source("def", {})
    assert Source("# -*- coding: latin-1 -*-\nname = '\xe9'".encode("latin-1"), {}).line_of("name") == 2


# Rules that get lost

TWICE = "is defined twice; the one in line {} would never be asked. Give each its own name, and write"


@each(
    ("text", "found"),
    [
        (
            "def rcpt(tx, to): ...\nasync def rcpt(tx, to): ...",
            [f'3: rcpt() {TWICE.format(2)} @on("rcpt") before it'],
        ),
        (
            "def mail(tx, sender): ...\n\n@on('mail')\ndef mail(tx, sender): ...\ndef mail(): ...",
            [
                f'6: mail() {TWICE.format(5)} @on("mail") before it',
            ],
        ),
        (
            "@on('mail')\ndef _(tx, to): ...\n@on('rcpt')\ndef _(tx, to): ...",
            [f'5: _() {TWICE.format(3)} @on("rcpt") before it'],
        ),
        (
            "@on('mail')\ndef check(tx, to): ...\ndef check(): ...",
            [f'4: check() {TWICE.format(3)} @on("rcpt") before it'],
        ),
        (
            "def check(): ...\n@on('mail')\ndef check(tx, to): ...",
            [f'4: check() {TWICE.format(2)} @on("rcpt") before it'],
        ),
        (
            "class Rule:\n    def rcpt(self): ...\n    def rcpt(self): ...",
            [f'4: rcpt() {TWICE.format(3)} @on("rcpt") before it'],
        ),
        ("def helper(): ...\ndef helper(): ...", []),
        ("if True:\n    def rcpt(): ...\nelse:\n    def rcpt(): ...", []),
        ("def rcpt(): ...\nclass Rule:\n    def rcpt(self): ...", []),
        ("@functools.cache\ndef helper(): ...\n@functools.cache\ndef helper(): ...", []),
    ],
)
def test_of_two_functions_with_one_name_the_first_would_be_lost(text: str, found: list[str]) -> None:
    assert wrong(text) == found


HIDES = """
def hides(function): return lambda *arguments: None
def shows(function): return functools.wraps(function)(lambda *arguments: None)
"""
HIDDEN = "the decorator above @on hides it; write @on above the other"


@each(
    ("text", "found"),
    [
        ("@hides\n@on('rcpt')\ndef check(tx, to): ...", [f"7: check(): {HIDDEN}"]),
        (
            "class Rule:\n    @hides\n    @on('rcpt')\n    def check(self, tx, to): ...",
            [f"8: check(): {HIDDEN}"],
        ),
        ("@on('rcpt')\n@hides\ndef check(tx, to): ...", []),
        ("@shows\n@on('rcpt')\ndef check(tx, to): ...", []),
        ("@hides\ndef check(tx, to): ...", []),
        ("@on('rcpt')\ndef check(tx, to): ...\ndel check", []),
        ("class Rule:\n    @staticmethod\n    @on('rcpt')\n    def check(tx, to): ...", []),
        ("class Rule:\n    @on('rcpt')\n    def check(tx, to): ...\ndel Rule", []),
    ],
)
def test_a_mark_that_a_decorator_hides(text: str, found: list[str]) -> None:
    assert wrong(HIDES + text) == found
