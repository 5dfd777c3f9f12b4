"""Comparisons that nothing fits are found when the rule is loaded."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import Any

from each import each

from sansio_smtp.rules.lint.comparisons import wrong_comparisons
from sansio_smtp.rules.lint.source import Source
from sansio_smtp.rules.phases import PHASES

_ABOVE = """\
import functools
from sansio_smtp.rules import on
BOSS = "boss@example.com"
BLOCKED = {"boss@example.com"}
MIXED = ["boss@example.com", 1]
"""


def found(text: str, phase: str = "rcpt", parameters: str = "tx, to", above: str = "") -> list[str]:
    source = f"{_ABOVE}{above}\ndef rule({parameters}):\n{indent(dedent(text), '    ')}"
    namespace: dict[str, Any] = {}
    exec(compile(source, "rules", "exec", dont_inherit=True), namespace)
    parsed = Source(source, namespace)
    function = next(iter(parsed._definitions.values()))  # pyright: ignore[reportPrivateUsage]
    return [text for _, text in wrong_comparisons(parsed, function, PHASES[phase], takes_self=False)]


@each(
    ("text", "said"),
    [
        (
            "to == 'boss@example.com'",
            "to == 'boss@example.com' is always False: a Recipient is no text; "
            "write to.address == 'boss@example.com'",
        ),
        ("BOSS != to", "BOSS != to is always True: a Recipient is no text; write BOSS != to.address"),
        (
            "to in BLOCKED",
            "to in BLOCKED is always False: a Recipient is no text; write to.address in BLOCKED",
        ),
        (
            "tx.mail_from not in ('a@example.com',)",
            "tx.mail_from not in ('a@example.com',) is always True: a Sender is no text; "
            "write tx.mail_from.address not in ('a@example.com',)",
        ),
        (
            "tx.rcpts[0] == BOSS",
            "tx.rcpts[0] == BOSS is always False: a Recipient is no text; write tx.rcpts[0].address == BOSS",
        ),
        (
            "BOSS in tx.rcpts",
            "BOSS in tx.rcpts is always False: a Recipient is no text; "
            "write BOSS in [to.address for to in tx.rcpts]",
        ),
        (
            "any(each == BOSS for each in tx.rcpts)",
            "each == BOSS is always False: a Recipient is no text; write each.address == BOSS",
        ),
        (
            "for each in tx.rcpts:\n    each == BOSS",
            "each == BOSS is always False: a Recipient is no text; write each.address == BOSS",
        ),
        (
            "to.address == 'boss@Example.COM'",
            'to.address is never "boss@Example.COM": domains are in lower case; write "boss@example.com"',
        ),
        (
            "to.domain in ['Example.com', 'x']",
            'to.domain is never "Example.com": domains are in lower case; write "example.com"',
        ),
    ],
)
def test_comparisons_that_have_always_the_same_result(text: str, said: str) -> None:
    assert found(text) == [said]


@each(
    ("text", "said"),
    [
        (
            "'secret' in line",
            "fails: line is octets (bytes), and 'secret' is a text; write b'secret' in line",
        ),
        (
            "'Grüße' not in line",
            "fails: line is octets (bytes), and 'Grüße' is a text; write 'Grüße'.encode() not in line",
        ),
        ("BOSS in line", "fails: line is octets (bytes), and BOSS is a text; write BOSS.encode() in line"),
        ("line == '.'", "is always False: line is octets (bytes), and '.' is a text; write line == b'.'"),
        ("'.' != line", "is always True: line is octets (bytes), and '.' is a text; write b'.' != line"),
    ],
)
def test_octets_and_texts(text: str, said: str) -> None:
    assert found(text, "body_line", "tx, line") == [f"{text} {said}"]


def test_octets_of_a_message() -> None:
    (said,) = found("'secret' in msg.body", "message", "tx, msg")
    assert said.endswith("write b'secret' in msg.body")


@each(
    "text",
    [
        "b'secret' in line",
        "line == b'.'",
        "line in 'abc'",
        "'secret' in line.decode()",
        "'secret' in unknown",
        "line = line.decode()\n'secret' in line",
        "unknown in line",
        "'a' < line",
    ],
)
def test_what_may_be_right_about_octets(text: str) -> None:
    assert found(text, "body_line", "tx, line") == []


def test_a_sender() -> None:
    (said,) = found("sender == ''", "mail", "tx, sender")
    assert said == "sender == '' is always False: a Sender is no text; write sender.address == ''"


@each(
    "text",
    [
        "to.address == 'Boss@example.com'",
        "to.address in BLOCKED",
        "to.local == 'BOSS'",
        "to.address == 'BOSS'",
        "to.domain < 'X'",
        "to == tx.rcpts[0]",
        "to == unknown",
        "to in MIXED",
        "to in 'boss@example.com'",
        "to is None or to == None",
        "to in {[]: 1}",
        "to in tx.rcpts",
        "tx.rcpts[:1] == BOSS",
        "BLOCKED[0] == BOSS",
        "tx.conn.helo == 'Example.com'",
        "to = str(to)\nto == BOSS",
        "for each in BLOCKED:\n    each == BOSS",
        "for each in tx.rcpts:\n    each = each.address\n    each == BOSS",
        "for number, each in enumerate(tx.rcpts):\n    each == BOSS",
    ],
)
def test_what_is_right_or_uncertain(text: str) -> None:
    assert found(text) == []


def test_a_decorator_of_others_may_give_other_arguments() -> None:
    text = "@DECORATOR\ndef rcpt(tx, to):\n    return to == 'boss@example.com'\n"
    for decorator, count in (("on('rcpt')", 1), ("functools.cache", 0)):
        above = text.replace("DECORATOR", decorator)
        assert len(found("pass", above=above)) == count
