"""Edits of header fields: what they write, what they refuse, and that they touch nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from each import each

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules.headers import Headers

SECTION = b"A: 1\r\nB:  two\r\n\tfolded\r\na: 3\r\n\r\n"

Edit = Callable[[Headers], object]


def after(edit: Edit, section: bytes = SECTION) -> bytes:
    headers = Headers(section)
    edit(headers)
    return headers.raw


@each(
    ("edit", "section"),
    [
        (lambda h: h.add("X", "y"), b"A: 1\r\nB:  two\r\n\tfolded\r\na: 3\r\nX: y\r\n\r\n"),
        (lambda h: h.prepend("X", b"y"), b"X: y\r\nA: 1\r\nB:  two\r\n\tfolded\r\na: 3\r\n\r\n"),
        (lambda h: h.set("X", "y"), b"A: 1\r\nB:  two\r\n\tfolded\r\na: 3\r\nX: y\r\n\r\n"),
        (lambda h: h.set("a", "y"), b"a: y\r\nB:  two\r\n\tfolded\r\n\r\n"),
        (lambda h: h.set("A", "1"), b"A: 1\r\nB:  two\r\n\tfolded\r\n\r\n"),
        (lambda h: h.set("b", ""), b"A: 1\r\nb: \r\na: 3\r\n\r\n"),
        (lambda h: h.remove("b"), b"A: 1\r\na: 3\r\n\r\n"),
        (lambda h: h.remove("A"), b"B:  two\r\n\tfolded\r\n\r\n"),
        (lambda h: [h.remove(name) for name in "AB"], b"\r\n"),
        (lambda h: h.replace("a", "y"), b"A: y\r\nB:  two\r\n\tfolded\r\na: y\r\n\r\n"),
        (lambda h: h.replace("a", b"1"), b"A: 1\r\nB:  two\r\n\tfolded\r\na: 1\r\n\r\n"),
        (lambda h: h.replace("B", str.upper), b"A: 1\r\nB: TWO\tFOLDED\r\na: 3\r\n\r\n"),
        (lambda h: h.add_raw(b"X:y\r\n z"), b"A: 1\r\nB:  two\r\n\tfolded\r\na: 3\r\nX:y\r\n z\r\n\r\n"),
        (
            lambda h: h.prepend_raw(b"X:\r\n\ty\r\n"),
            b"X:\r\n\ty\r\nA: 1\r\nB:  two\r\n\tfolded\r\na: 3\r\n\r\n",
        ),
        (lambda h: h.replace_all(b"C: 4\r\n\r\n"), b"C: 4\r\n\r\n"),
    ],
)
def test_an_edit_touches_what_it_names(edit: Edit, section: bytes) -> None:
    headers = Headers(SECTION)
    edit(headers)
    assert headers.raw == section
    assert headers.edited
    assert headers.revision > 0


@pytest.mark.parametrize(
    "edit",
    [
        lambda h: h.remove("X"),
        lambda h: h.replace("X", "y"),
        lambda h: h.replace("B", lambda text: text),
        lambda h: h.replace("B", "two\tfolded"),
        lambda h: h.replace("B", b" two\tfolded"),
        lambda h: h.set("B", "two\tfolded"),
        lambda h: h.replace_all(SECTION),
    ],
)
def test_what_changes_nothing_is_no_edit(edit: Edit) -> None:
    headers = Headers(SECTION)
    edit(headers)
    assert not headers.edited
    assert headers.raw is SECTION
    assert headers.changes == []


def test_counts() -> None:
    headers = Headers(SECTION)
    assert headers.remove("X") == 0
    assert headers.replace("a", lambda text: "2" if text == "3" else text) == 1
    assert headers.replace("a", "5") == 2
    assert headers.remove("a") == 2


def test_a_function_that_returns_the_same_text_leaves_the_octets() -> None:
    section = b"Subject : =?utf-8?q?=C3=BC?=\r\n x\r\n\r\n"
    assert after(lambda h: h.replace("Subject", lambda text: text), section) == section
    assert after(lambda h: h.replace("Subject", "ü x"), section) == b"Subject: =?utf-8?q?=C3=BC?= x\r\n\r\n"


@pytest.mark.parametrize("hidden", [b"X-Spam: =?utf-8?q?no?=\r\n", b"X-Spam : no\r\n"])
def test_what_only_some_parsers_read_as_the_value_is_written_anew(hidden: bytes) -> None:
    assert after(lambda h: h.set("X-Spam", "no"), hidden) == b"X-Spam: no\r\n"


def test_nothing_is_replaced_if_the_function_fails_at_one() -> None:
    headers = Headers(SECTION)
    with pytest.raises(ZeroDivisionError):
        headers.replace("a", lambda text: str(1 // (3 - int(text))))
    assert not headers.edited


@each(
    ("section", "added", "prepended"),
    [
        (b"", b"X: y\r\n\r\n", b"X: y\r\n\r\n"),
        (b"\r\n", b"X: y\r\n\r\n", b"X: y\r\n\r\n"),
        (b"A: 1", b"A: 1\r\nX: y\r\n", b"X: y\r\nA: 1"),
        (b"A: 1\n\n", b"A: 1\nX: y\r\n\n", b"X: y\r\nA: 1\n\n"),
        (b"junk\r\n", b"X: y\r\njunk\r\n", b"X: y\r\njunk\r\n"),
        (
            b"A: 1\r\njunk\r\nB: 2\r\n",
            b"A: 1\r\nX: y\r\njunk\r\nB: 2\r\n",
            b"X: y\r\nA: 1\r\njunk\r\nB: 2\r\n",
        ),
        (b"A: 1\r\nB : 2\r\n", b"A: 1\r\nX: y\r\nB : 2\r\n", b"X: y\r\nA: 1\r\nB : 2\r\n"),
        (b"A: 1\r\n\r\nB: 2\r\n", b"A: 1\r\nX: y\r\n\r\nB: 2\r\n", b"X: y\r\nA: 1\r\n\r\nB: 2\r\n"),
        (b"From a Tue\r\nA: 1\r\n", b"From a Tue\r\nA: 1\r\nX: y\r\n", b"From a Tue\r\nX: y\r\nA: 1\r\n"),
        (b"From a Tue", b"From a Tue\r\nX: y\r\n", b"From a Tue\r\nX: y\r\n"),
        (b" x\r\nA: 1\r\n", b" x\r\nA: 1\r\nX: y\r\n", b" x\r\nX: y\r\nA: 1\r\n"),
        (b"\tx\r\njunk\r\n", b"\tx\r\nX: y\r\njunk\r\n", b"\tx\r\nX: y\r\njunk\r\n"),
        (b"A: 1\r\nFrom a Tue\r\n", b"A: 1\r\nX: y\r\nFrom a Tue\r\n", b"X: y\r\nA: 1\r\nFrom a Tue\r\n"),
    ],
)
def test_a_new_field_is_where_every_parser_sees_it(section: bytes, added: bytes, prepended: bytes) -> None:
    """Never after a line that some take for the end of the header section, never in front of one that
    would continue it."""
    assert after(lambda h: h.add("X", "y"), section) == added
    assert after(lambda h: h.set("X", "y"), section) == added
    assert after(lambda h: h.prepend("X", "y"), section) == prepended
    assert after(lambda h: h.add_raw(b"X: y\r\n"), section) == added
    assert after(lambda h: h.prepend_raw(b"X: y"), section) == prepended


@each(
    ("value", "written"),
    [
        ("Grüße", b"X: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"),
        ("Grüße".encode(), b"X: Gr\xc3\xbc\xc3\x9fe\r\n"),
        (b"Gr\xfc\xdfe", b"X: Gr\xfc\xdfe\r\n"),
        ("a\udcfcb", b"X: =?utf-8?q?a=C3=BCb?=\r\n"),
        (" a\t\x07", b"X:  a\t\x07\r\n"),
        ("x" * 75, b"X: " + b"x" * 75 + b"\r\n"),
        ("x" * 995, b"X: " + b"x" * 995 + b"\r\n"),
        ("x" * 996, b"X:\r\n " + b"x" * 996 + b"\r\n"),
        ("x" * 70 + " yyyyyy", b"X: " + b"x" * 70 + b"\r\n yyyyyy\r\n"),
        ("x" * 50 + " " * 90 + "y", b"X: " + b"x" * 50 + b"\r\n" + b" " * 90 + b"y\r\n"),
        (" " * 100, b"X: " + b" " * 100 + b"\r\n"),
    ],
)
def test_values_are_encoded_and_folded(value: str | bytes, written: bytes) -> None:
    raw = after(lambda h: h.add("X", value), b"A: 1\r\n").removeprefix(b"A: 1\r\n")
    assert raw == written


def test_nothing_but_folds_is_written_into_a_value() -> None:
    raw = after(lambda h: h.add("X", "word " * 40), b"A: 1\r\n").removeprefix(b"A: 1\r\n")
    assert [len(line) for line in raw.split(b"\r\n")] == [77, 75, 51, 0]
    assert raw.replace(b"\r\n", b"") == b"X: " + b"word " * 40


def test_utf8_is_written_as_it_is_in_a_transaction_that_allows_it() -> None:
    headers = Headers(b"A: 1\r\n\r\n", utf8=True)
    headers.add("From", "Jürgen <jü@x.example>")
    headers.add("X-Octets", "a\udcfcb")
    assert headers.raw == b"A: 1\r\nFrom: J\xc3\xbcrgen <j\xc3\xbc@x.example>\r\nX-Octets: a\xfcb\r\n\r\n"
    headers.utf8 = False
    headers.set("From", "Jürgen <j@x.example>")
    assert b"From: =?utf-8?q?J=C3=BCrgen?= <j@x.example>\r\n" in headers.raw


def test_no_written_line_is_blank_or_too_long() -> None:
    for count in range(1, 200):
        raw = after(lambda h, text=" ä b   cc\tddd" * count: h.add("X-Name", text), b"")  # type: ignore[misc]
        lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
        assert all(line.strip() and len(line) <= 78 for line in lines)


ANY: Any = None


@each("method", ["add", "prepend", "set", "replace"])
@each(
    ("name", "value", "why"),
    [
        ("A", "x\r\nBcc: y", r"\('A'\): CR, LF and NUL cannot be in a value: 'x\\r\\nBcc: y'"),
        ("A", "x\n", r"\('A'\): CR, LF and NUL"),
        ("A", "ü\r", r"\('A'\): CR, LF and NUL"),
        ("A", "ü\0", r"\('A'\): CR, LF and NUL"),
        ("A", b"x\r\ny", r"\('A'\): CR, LF and NUL"),
        ("A", b"x\0y", r"\('A'\): CR, LF and NUL"),
        ("A", 3, r"\('A'\): a value is str or bytes, not 3"),
        ("A", None, r"\('A'\): a value is str or bytes, not None"),
        ("A", "\ud800", r"\('A'\): a lone surrogate is no text: '\\ud800'"),
        ("A", "x" * 1_000, r"\('A'\): a line of 1001 octets that no blank allows to fold; 998 may be sent"),
        ("A:", "x", r": a name is printable ASCII without blanks and colon, not 'A:'"),
        ("", "x", r": a name is printable"),
        ("A B", "x", r": a name is printable"),
        ("A\r\nB", "x", r": a name is printable"),
        ("A\0", "x", r": a name is printable"),
        ("Ä", "x", r": a name is printable"),
        (b"A", "x", r": a name is printable ASCII without blanks and colon, not b'A'"),
        ("A" * 999, "x", r": a line of "),
    ],
)
def test_what_would_break_the_section_is_refused(method: str, name: Any, value: Any, why: str) -> None:
    headers = Headers(b"A" * 999 + b": 1\r\nA: 1\r\n\r\n")
    with pytest.raises(LocalProtocolError, match=rf"^Headers.{method}.*{why}"):
        getattr(headers, method)(name, value)
    assert not headers.edited


def test_what_a_function_returns_is_checked_too() -> None:
    headers = Headers(SECTION)
    with pytest.raises(LocalProtocolError, match=r"Headers.replace\('a'\): CR, LF and NUL"):
        headers.replace("a", lambda text: text + "\n" if text == "3" else "x")
    assert not headers.edited


def test_where_there_is_no_place_for_text() -> None:
    why = r"Headers.set\('From'\): From has no place for what is not ASCII there: 'jü@x.example'"
    with pytest.raises(LocalProtocolError, match=why):
        Headers(SECTION).set("From", "jü@x.example")


def test_a_long_value_is_not_shown_whole() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Headers(SECTION).add("A", "x" * 1_000 + "\n")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["", "A:", 1])
def test_remove_needs_a_name(name: Any) -> None:
    headers = Headers(b"junk\r\n")
    with pytest.raises(LocalProtocolError, match=r"Headers.remove: a name is printable ASCII"):
        headers.remove(name)
    assert not headers.edited


@each("method", ["add_raw", "prepend_raw"])
@each(
    "field",
    [
        b"",
        b"X",
        b"X y",
        b": y",
        b"X : y",
        b" X: y",
        b"X: y\r\nZ: y",
        b"X: y\r\n\r\n",
        b"X: y\r\n \r\n",
        b"X: y\r\n \t\r\n z",
        b"X: y\nZ: y",
        b"X: y\n z",
        b"X: y\n",
        b"X: y\rz",
        b"X: y\0",
        b"\xfc: y",
        "X: y",
        None,
    ],
)
def test_only_a_whole_field_is_taken_raw(method: str, field: Any) -> None:
    headers = Headers(SECTION)
    with pytest.raises(LocalProtocolError, match=rf"Headers\.{method}: not the octets of one header field: "):
        getattr(headers, method)(field)
    assert not headers.edited


def test_a_raw_line_may_be_too_long() -> None:
    with pytest.raises(LocalProtocolError, match=r"Headers\.add_raw: a line of 999 octets"):
        Headers(SECTION).add_raw(b"X: y\r\n " + b"z" * 998)


def test_a_raw_field_may_be_folded_in_any_legal_way() -> None:
    field = b"X:\r\n \t a\r\n\tb=\xfc\r\n  c\r\n"
    assert after(lambda h: h.prepend_raw(field)) == field + SECTION


def test_what_was_edited_is_told() -> None:
    headers = Headers(b"Subject: =?utf-8?q?alt=C3=BC?=\r\nTo: a\r\nTo: b\r\n\r\n")
    headers.add("X-Scanned-By", "smtp-proxy")
    headers.set("Subject", "neu")
    headers.set("To", "c")
    headers.remove("X-Scanned-By")
    assert headers.changes == [
        "+ X-Scanned-By: smtp-proxy",
        "- Subject: altü",
        "+ Subject: neu",
        "- To: b",
        "- To: a",
        "+ To: c",
        "- X-Scanned-By: smtp-proxy",
    ]
    assert headers.revision == len(headers.changes)


def test_what_is_told_fits_in_one_line() -> None:
    headers = Headers(b"A: \x1b[31m\x07 \xe2\x80\xae x\r\n\r\n")
    headers.remove("A")
    headers.add("Long", "x" * 200)
    assert headers.changes == ["- A: \\x1b[31m\\x07 \\u202e x", "+ Long: " + "x" * 111 + "…"]
    assert len(headers.changes[1]) == 120


def test_another_section_is_told_by_its_fields() -> None:
    headers = Headers(SECTION)
    headers.replace_all(b"a: 3\r\nC: 4\r\nC: 5\r\n")
    assert headers.changes == ["- A: 1", "- B: two\\tfolded", "+ C: 4", "+ C: 5"]
    headers.add("D", "6")
    assert headers.raw == b"a: 3\r\nC: 4\r\nC: 5\r\nD: 6\r\n"
    assert not headers.has_end


def test_fields_may_be_removed_while_they_are_looked_at() -> None:
    headers = Headers(SECTION)
    for field in headers:
        headers.remove(field.name)
    assert headers.raw == b"\r\n"


@pytest.mark.parametrize("looked", [False, True])
def test_edits_can_be_taken_back(looked: bool) -> None:
    headers = Headers(SECTION)
    if looked:
        headers.add("X", "kept")
    before, snapshot = headers.raw, headers.snapshot()
    headers.set("A", "2")
    headers.replace_all(b"C: 4\r\n")
    headers.add("D", "5")
    assert headers.changes_since(snapshot)[-1] == "+ D: 5"
    assert headers.changes_since(headers.snapshot()) == []
    headers.restore(snapshot)
    assert headers.raw == before
    assert headers.edited is looked
    assert headers.changes == (["+ X: kept"] if looked else [])
    headers.add("E", "6")
    assert headers.raw == before.removesuffix(b"\r\n") + b"E: 6\r\n\r\n"
