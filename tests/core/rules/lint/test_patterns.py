"""Patterns that no address fits are said, with the one that was probably meant."""

from __future__ import annotations

from each import each

from sansio_smtp.rules.lint.patterns import wrong_address_pattern


@each(
    "pattern",
    [
        "*@example.com",
        "bob@example.com",
        "bob.*@example.com",
        "bob+*@*.example.com",
        "*",
        "*.example.com",
        "?ob@example.com",
        "POSTMASTER",
        "<>",
        '"a b"@example.com',
        '"(a"@example.com',
        "*@[192.0.2.1]",
        "jürgen@münchen.example",
        "bob%elsewhere.example@example.com",
    ],
)
def test_patterns_that_an_address_may_fit(pattern: str) -> None:
    assert wrong_address_pattern(pattern) == ""


@each(
    ("pattern", "text"),
    [
        ("", "empty"),
        ("  ", "empty"),
        (" *@example.com", 'did you mean "*@example.com"?'),
        ("example.com", 'did you mean "*@example.com"?'),
        (".example.com", 'did you mean "*@example.com"?'),
        ("@example.com", 'did you mean "*@example.com"?'),
        ("bob", 'did you mean "bob@example.com"?'),
        ("bob@", 'did you mean "bob@example.com"?'),
        ("<bob@example.com>", 'did you mean "bob@example.com"?'),
        ("Bob <bob@example.com>", 'did you mean "bob@example.com"?'),
        ("*@a.example, *@b.example", 'write "*@a.example", "*@b.example"'),
        ("*@a.example;*@b.example", 'write "*@a.example", "*@b.example"'),
        ("*@a.example *@b.example", 'write "*@a.example", "*@b.example"'),
        (".*@example.com", "no regular expression"),
        (r"bob@example\.com", "no regular expression"),
        ("mailto:bob@example.com", "no address looks like that"),
    ],
)
def test_patterns_that_no_address_fits(pattern: str, text: str) -> None:
    assert text in wrong_address_pattern(pattern)
