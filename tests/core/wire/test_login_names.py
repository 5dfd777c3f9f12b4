"""Names that are spelled differently and prepared alike."""

from __future__ import annotations

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.wire.login_names import prepared

WIDE = {number: number + 0xFEE0 for number in range(0x21, 0x7F)}
"""ASCII → full width."""


@each(
    "name",
    [
        "scanner",
        "Scanner",
        "SCANNER",
        " scanner ",
        "scan\u00adner",
        "scan\u200b\u2060ner",
        "\ufeffscanner",
        "scanner".translate(WIDE),
        "scanner\u00a0",
        "scanner\u3000",
    ],
)
def test_spellings_of_one_name(name: str) -> None:
    assert prepared(name) == "scanner"


@each(
    ("name", "as_prepared"),
    [
        ("Jürgen", "jürgen"),
        ("Ju\u0308rgen", "jürgen"),
        ("a\u3000b", "a b"),
        ("Ⅸ", "ix"),  # RFC 4013 §3
        ("ª", "a"),
        ("אבג@example.com", "אבג@example.com"),
        ("straße", "strasse"),
        ("😀", "😀"),
    ],
)
def test_other_names(name: str, as_prepared: str) -> None:
    assert prepared(name) == as_prepared


def test_case_may_matter() -> None:
    assert prepared("Scan\u00adner", case_sensitive=True) == "Scanner"
    assert prepared("SCAN".translate(WIDE), case_sensitive=True) == "SCAN"


@each(
    "name",
    [
        "",
        " ",
        "\u00ad",
        "a\0b",
        "a\nb",
        "\x1b[31m",
        "a\x9bb",
        "a\u202eb",
        "a\u200eb",
        "a\ue000b",
        "a\ufffdb",
        "a\u2028b",
        "a\u2ff0b",
        "a\u115fb",
        "a\u3164b",
        "a\U000e0100b",
        "a\U000e0041b",
    ],
)
def test_what_cannot_be_a_name(name: str) -> None:
    assert prepared(name) is None


def test_what_does_not_come_to_rest_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sansio_smtp.wire.login_names.normalize", lambda form, text: text + "x")
    assert prepared("ü") is None


@given(st.text(), st.booleans())
def test_to_prepare_twice_changes_nothing(name: str, case_sensitive: bool) -> None:
    once = prepared(name, case_sensitive=case_sensitive)
    if once is not None:
        assert prepared(once, case_sensitive=case_sensitive) == once
        assert once
        assert once.isprintable()
        assert prepared(once) == prepared(name)
