"""Patterns for addresses: what they fit, in any spelling, and what can fit nothing."""

from __future__ import annotations

import pytest
from each import each

from sansio_smtp.errors import MailboxError
from sansio_smtp.rules.patterns import patterns_of


@each(
    ("pattern", "address", "fits"),
    [
        ("*", "bob@example.com", True),
        ("*", "", True),
        ("*", "postmaster", True),
        ("<>", "", True),
        ("<>", "bob@example.com", False),
        ("*@*", "", False),
        ("*@*", "postmaster", False),
        ("Postmaster", "postmaster", True),
        ("postmaster", "postmaster@example.com", False),
        ("bob@example.com", "Bob@example.com", True),
        ("bob@example.com", "bobby@example.com", False),
        ("*@Example.COM.", "bob@example.com", True),
        ("*@example.com", "bob@sub.example.com", False),
        ("*@*.example.com", "bob@sub.example.com", True),
        ("*@*.example.com.", "bob@sub.example.com", True),
        ("*.example.com", "bob@sub.example.com", True),
        ("*.example.com", "bob@example.com", False),
        ("b?b@example.com", "bob@example.com", True),
        ("b?b@example.com", "boob@example.com", False),
        ("bob@*", "bob@anywhere.example", True),
        ("ann@*", '"ann@x"@evil.example', False),
        ("*@bücher.example", "bob@xn--bcher-kva.example", True),
        ("*@*.bücher.example", "bob@a.xn--bcher-kva.example", True),
        ("JÜRGEN@example.com", "jürgen@example.com", True),
        ("ju\u0308rgen@example.com", "jürgen@example.com", True),
        ('"bob"@example.com', "bob@example.com", True),
        ('"bob x"@example.com', '"Bob X"@example.com', True),
        ("bob*@example.com", '"bob x"@example.com', True),
        ('bob"*@example.com', '"bob\\"x"@example.com', True),
        ("*@[192.0.2.1]", "bob@[192.0.2.1]", True),
        ("*@192.0.2.1", "bob@[192.0.2.1]", True),
        ("*@[192.0.2.*]", "bob@[192.0.2.1]", True),
        ("[ab]ob@x.example", "bob@x.example", False),
    ],
)
def test_what_a_pattern_fits(pattern: str, address: str, fits: bool) -> None:
    assert patterns_of((pattern,)).fits(address) == fits
    assert patterns_of(("nobody@nowhere.example", pattern)).fits(address) == fits


@pytest.mark.parametrize(
    ("pattern", "address", "fits"),
    [
        ("[ab]ob@x.example", "bob@x.example", True),
        ("[!ab]ob@x.example", "bob@x.example", False),
        ("bob@[xy].example", "bob@y.example", True),
        ("*@[192.0.2.1]", "bob@[192.0.2.1]", True),
        ("*@[192.0.2.1]", "bob@1", False),
    ],
)
def test_classes_of_characters(pattern: str, address: str, fits: bool) -> None:
    assert patterns_of((pattern,), classes=True).fits(address) == fits


@each(
    ("pattern", "why"),
    [
        ("example.com", r"\*@example.com"),
        ("", "neither"),
        ("@example.com", "one side of the @"),
        ("bob@", "one side of the @"),
        ("bob@exam ple", "no domain holds"),
        ("bob@b*ücher.example", "in ASCII"),
        ("*bücher.example", "in ASCII"),
        ("bob@straße.example", "different ways"),
        ("bob@a..b", "empty label"),
        ('"@x', "quotes"),
    ],
)
def test_what_can_fit_nothing(pattern: str, why: str) -> None:
    with pytest.raises(MailboxError, match=why) as caught:
        patterns_of((pattern,))
    assert f'"{pattern}" fits no address: ' in str(caught.value)


def test_no_pattern_fits_nothing() -> None:
    assert not patterns_of(()).fits("bob@example.com")
    assert not patterns_of(()).fits("")
