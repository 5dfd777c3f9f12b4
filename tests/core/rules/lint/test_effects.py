"""Statements of a rule file that do not do what they seem to do."""

from __future__ import annotations

import pytest

from sansio_smtp import rules as api
from sansio_smtp.rules.lint.effects import without_effect
from sansio_smtp.rules.lint.source import Source

NAMES = {name: getattr(api, name) for name in api.__all__}


async def nap(seconds: float) -> None:
    pass


def said(body: str) -> list[str]:
    text = f"async def rcpt(tx, to):\n    {body}\n"
    return [
        f"{line}: {text}" for line, text in without_effect(Source(text, {**NAMES, "api": api, "nap": nap}))
    ]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("raise Reject(550, 'no')", "a verdict is returned, not raised; write return Reject(550, 'no')"),
        ("raise Reject", "a verdict is returned, not raised; write return Reject"),
        ("Reject(550, 'no')", "Reject(550, 'no') by itself does nothing; write return Reject(550, 'no')"),
        ("api.Discard()", "api.Discard() by itself does nothing; write return api.Discard()"),
        ("Hold", "Hold by itself does nothing; write return Hold"),
        ("nap(1)", "nap(1) does nothing before it is awaited; write await nap(1)"),
        (f"Reject(550, '{'x' * 60}')", "Reject(...) by itself does nothing; write return Reject(...)"),
    ],
)
def test_what_does_nothing(body: str, text: str) -> None:
    assert said(body) == [f"2: {text}"]


@pytest.mark.parametrize(
    "body",
    [
        *("return Reject(550)", "verdict = Reject(550)", "raise", "raise ValueError", "raise api.Nothing()"),
        *("await nap(1)", "made = nap(1)", "print(1)", "to.rewrite('a@b')", "'a text'", "unknown()"),
    ],
)
def test_what_may_do_something(body: str) -> None:
    assert said(body) == []
