"""Header fields as they are found; edits are in test_headers_edits.py."""

from __future__ import annotations

from each import each
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.rules.headers import Field, Headers

SECTION = (
    b"Received: from a by b;\r\n\tTue, 3 Mar 2026 10:00:00 +0100\r\n"
    b"Subject:=?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"RECEIVED: from c by a\r\n"
    b"To : A <a@x.example>,\r\n   b@x.example\r\n"
    b"X-Empty:\r\n"
    b"X-Latin: f\xfcr\r\n"
    b"\r\n"
)


def test_fields_are_read_by_name_whatever_its_case() -> None:
    headers = Headers(SECTION)
    assert headers.get("subject") == headers.get("Subject") == "Grüße"
    assert headers.get("Received") == "from a by b;\tTue, 3 Mar 2026 10:00:00 +0100"
    assert headers.get_all("received") == ["from a by b;\tTue, 3 Mar 2026 10:00:00 +0100", "from c by a"]
    assert headers.get("to") == "A <a@x.example>,   b@x.example"
    assert headers.get("x-empty") == ""
    assert headers.get("x-latin") == "für"
    assert "X-LATIN" in headers
    assert len(headers) == 6


def test_what_is_not_there() -> None:
    headers = Headers(SECTION)
    assert headers.get("Cc") is None
    assert headers.get("Cc", "none") == "none"
    assert headers.get_all("Cc") == []
    assert headers.get_raw("Cc") is None
    assert "Cc" not in headers
    assert 1 not in headers
    assert "" not in headers


def test_octets_are_kept() -> None:
    headers = Headers(SECTION)
    assert headers.get_raw("received") == b" from a by b;\r\n\tTue, 3 Mar 2026 10:00:00 +0100"
    assert headers.get_raw("subject") == b"=?utf-8?q?Gr=C3=BC=C3=9Fe?="
    assert headers.get_raw("to") == b" A <a@x.example>,\r\n   b@x.example"
    assert headers.get_raw("x-empty") == b""
    assert b"".join(field.raw for field in headers) + b"\r\n" == SECTION


def test_nothing_is_taken_apart_or_copied_before_it_is_asked_for() -> None:
    headers = Headers(SECTION)
    assert headers.raw is SECTION
    assert not headers.edited
    assert headers.get("Subject")
    assert headers.raw is SECTION
    assert headers.changes == []
    assert repr(headers) == f"Headers({SECTION!r})"


def test_a_field() -> None:
    received, subject, *_ = Headers(SECTION)
    assert received.name == "Received"
    assert received.raw == b"Received: from a by b;\r\n\tTue, 3 Mar 2026 10:00:00 +0100\r\n"
    assert received.octets == b" from a by b;\r\n\tTue, 3 Mar 2026 10:00:00 +0100"
    assert subject.value == "Grüße"
    assert str(subject) == "Subject: Grüße"
    assert subject == Field("Subject", b"Subject:=?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n")


@each(
    ("section", "names", "end"),
    [
        (b"", [], b""),
        (b"\r\n", [], b"\r\n"),
        (b"\n", [], b"\n"),
        (b"A: 1\r\n", ["A"], b""),
        (b"A: 1", ["A"], b""),
        (b"A: 1\r\n\r\n", ["A"], b"\r\n"),
        (b"A: 1\n b\nB:\n\n", ["A", "B"], b"\n"),
        (b"A: 1\r\n b", ["A"], b""),
        (b"A: 1\r\n \r\n\t\r\nB: 2\r\n", ["A", "B"], b""),
        (b" x\r\nA: 1\r\n", ["", "A"], b""),
        (b"From a@b Tue\r\nA: 1\r\n", ["", "A"], b""),
        (b"junk\r\n folded\r\nA: 1\r\n", ["", "A"], b""),
        (b": x\r\nA: 1\r\n", ["", "A"], b""),
        (b"A B: 1\r\nA\xfc: 1\r\nA\0: 1\r\n", ["", "", ""], b""),
        (b"A: 1\r\n\r\nB: 2\r\n\r\n", ["A", "", "B"], b"\r\n"),
        (b"A \t: 1\rB: 2\r\n", ["A"], b""),
        (b"\r\n x\r\n", [""], b""),
    ],
)
def test_the_section_is_all_in_fields(section: bytes, names: list[str], end: bytes) -> None:
    headers = Headers(section)
    assert headers.has_end is (end != b"")
    assert [field.name for field in headers] == names
    assert b"".join(field.raw for field in headers) + end == section
    assert len(headers) == len(names)


def test_a_line_that_is_no_field_has_a_value_all_the_same() -> None:
    headers = Headers(b"From a@b Tue 10:00\r\nA: 1\r\n")
    (line, _) = headers
    assert (line.name, line.octets, line.value) == ("", b"From a@b Tue 10:00", "From a@b Tue 10:00")
    assert str(line) == "From a@b Tue 10:00"
    assert headers.get("") is None
    assert headers.get_all("") == []


def test_no_name_makes_another_one_match() -> None:
    headers = Headers(b"Subject: x\r\n")
    assert [name in headers for name in ("Subject:", "Subj", "Subject ", ".*")] == [False] * 4


# The first field of a name, of a section that was not taken apart

_PARTS = [
    b"A",
    b"a",
    b"AB",
    b"B-",
    b":",
    b" :",
    b"\t:",
    b" ",
    b"\t",
    b"x",
    b"\r\n",
    b"\n",
    b"\r\n ",
    b"\n\t",
    b"From ",
    b"\xff",
]


@given(
    st.lists(st.sampled_from(_PARTS), max_size=12),
    st.sampled_from(["A", "a", "AB", "B-", "x", "From", "\u212a", "", "A:"]),
)
def test_a_field_is_found_without_taking_the_section_apart(parts: list[bytes], name: str) -> None:
    section = b"".join(parts)
    apart = Headers(section)
    len(apart)
    assert apart._fields is not None
    whole = Headers(section)
    assert whole.get(name) == apart.get(name)
    assert (name in whole, whole.get_raw(name)) == (name in apart, apart.get_raw(name))
