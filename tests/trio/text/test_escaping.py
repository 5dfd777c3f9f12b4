"""Values of log lines that would move a terminal's cursor, or nobody would see."""

from __future__ import annotations

import io
from typing import Any

from each import each

from trio_proxy.text.escaping import escape_values
from trio_proxy.text.transcript import Transcript

ODD = [
    "\x1b[2J",
    "\x9b2J",
    "\x07",
    "a\nb",
    "a\r\nb",
    "a\u202eb",
    "a\u2066b",
    "\0",
    "a\u00adb",
    "\u2028",
    "\udc9b",
]


@each("text", ODD)
@each("key", ["event", "reason", "reply", "exception"])
def test_no_value_has_a_character_that_is_not_printed(key: str, text: str) -> None:
    values = escape_values(None, "info", {key: f"held {text} by a rule"})
    shown = values[key].replace("\n", "") if key == "exception" else values[key]
    assert shown.isprintable()
    assert shown.startswith("held ")


@each("text", ODD)
def test_a_transcript_has_none_either(text: str) -> None:
    out = io.StringIO()
    Transcript(7, out.write).note(f"Hold {text}")
    assert out.getvalue().isprintable()


class Odd:
    def __repr__(self) -> str:
        return "Odd(\x1b[2J)"


def test_values_that_are_no_text() -> None:
    values: dict[str, Any] = {"size": 3, "rate": 0.5, "edited": False, "nothing": None, "names": ["a", "b"]}
    assert escape_values(None, "info", dict(values)) == values
    assert escape_values(None, "info", {"odd": Odd(), "list": [Odd()]}) == {
        "odd": "Odd(\\x1b[2J)",
        "list": "[Odd(\\x1b[2J)]",
    }


def test_what_is_printable_stays() -> None:
    assert escape_values(None, "info", {"event": "Grüße, 日本 😀"}) == {"event": "Grüße, 日本 😀"}


def test_the_lines_of_a_traceback_stay_lines() -> None:
    text = 'Traceback:\n  File "x"\n\traise E("\x1b[2J")'
    assert escape_values(None, "error", {"exception": text})["exception"] == (
        'Traceback:\n  File "x"\n    raise E("\\x1b[2J")'
    )
