"""The line of each key, whatever else stands in the file."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_proxy.settings.toml_lines import lines_of

EVERYTHING = """\
# a comment
top = 1 # [not] = a table
"quoted.key".'literal key' = \"\"\"
[no]
x = 1 \\"\"\"
\"\"\"""

[server]  # after a header
listen = [
  "a", # ] "
  'b]',
]
text = '''
key = 1''''
inline = { x = 1, y = [ "}" ] }
[ outer . inner . "q\\"z" ]
	dotted . key = 2000-01-01T00:00:00Z
[[many]]
first = "\\""
[[many]]
first = 'no end of line after it'"""

LINES = {
    ("top",): 2,
    ("quoted.key", "literal key"): 3,
    ("server",): 8,
    ("server", "listen"): 9,
    ("server", "text"): 13,
    ("server", "inline"): 15,
    ("outer", "inner", 'q"z'): 16,
    ("outer", "inner", 'q"z', "dotted", "key"): 17,
    ("many",): 20,
    ("many", "first"): 21,
}


def test_every_key_has_its_line() -> None:
    tomllib.loads(EVERYTHING)
    assert lines_of(EVERYTHING) == LINES


def test_carriage_returns_change_nothing() -> None:
    assert lines_of(EVERYTHING.replace("\n", "\r\n")) == LINES


@pytest.mark.parametrize("text", ["", "\n", "# only a comment", "\t\r\n \n"])
def test_nothing_but_blanks(text: str) -> None:
    assert lines_of(text) == {}


BASIC = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters='"\\'))
SCALARS = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.booleans().map(lambda value: str(value).lower()),
    BASIC.map(lambda text: f'"{text}"'),
    BASIC.map(lambda text: f'"""\n{text}\n[x]\ny = 1 # \\"""\n"""'),
    st.sampled_from(
        ["'a#b'", "''", '""', "'''\n'\n'''''", '"""a\\\\"""', "1979-05-27", "0xff", '"\\\\"', "'\\'"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner).map(lambda items: "[ # ]\n" + ",\n".join(items) + "\n]"),
        st.lists(inner.filter(lambda value: "\n" not in value), max_size=2).map(
            lambda items: "{" + ", ".join(f"k{n} = {item}" for n, item in enumerate(items)) + "}"
        ),
    ),
    max_leaves=6,
)


@given(st.lists(st.tuples(st.sampled_from(["", "[t{}]", "[[a.t{}]]"]), VALUES), max_size=8))
def test_any_values_between_the_keys(statements: list[tuple[str, str]]) -> None:
    """Each key's line is the one on which it was written."""
    text, table, expected = "", tuple[str, ...](), dict[tuple[str, ...], int]()
    for number, (header, value) in enumerate(statements):
        if header:
            table = tuple(header.format(number).strip("[]").split("."))
            expected[table] = text.count("\n") + 1
            text += header.format(number) + "\n"
        expected[(*table, f"key{number}")] = text.count("\n") + 1
        text += f"key{number} = {value} # = [\n"
    parsed: dict[str, Any] = tomllib.loads(text)
    assert lines_of(text) == expected, parsed
