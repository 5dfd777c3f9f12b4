"""A browser is the oracle: it shows every footer, and every character of a field that a rule has edited."""

from __future__ import annotations

import os
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from interop_chromium import Chromium
from neighbours.charsets import fields, prefixes, shown
from neighbours.html import pages

from sansio_smtp.rules import Connection, Message, Transaction, charsets
from sansio_smtp.rules.charset_labels import STANDARD, encoding_of
from sansio_smtp.rules.headers import Headers
from trio_proxy.ready.footer import Footer

pytestmark = [pytest.mark.interop, pytest.mark.any_io]

T = TypeVar("T")
MANY = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 1
FOOTER = Footer("Example Ltd\n1 Example Street")
SEEN = "Example Ltd 1 Example Street"


@pytest.fixture
def chromium(tmp_path: object) -> Chromium:
    return Chromium(tmp_path)  # type: ignore[arg-type]


def drawn(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """Different values of a strategy, in their order."""
    found: list[T] = []
    limits = settings(
        max_examples=count * MANY,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )

    @limits
    @given(strategy)
    def note(value: T) -> None:
        found.append(value)

    note()
    return list(dict.fromkeys(found))


def footed(page: str) -> str:
    head = b"Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    message = Message(head + page.encode())
    FOOTER.message(Transaction(Connection()), message)
    return message.raw.removeprefix(head).decode()


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("scripts", [False, True])
def test_every_footer_is_seen_and_all_else_as_before(chromium: Chromium, scripts: bool) -> None:
    before = drawn(pages(), 500)
    texts = [*map(words, chromium.shown([*before, *map(footed, before)], scripts=scripts))]
    wrong: list[tuple[str, str, str]] = []
    for page, was, now in zip(before, texts[: len(before)], texts[len(before) :], strict=True):
        # A page that is cut off in "</" shows that: what follows makes a tag of it.
        expected = (was.removesuffix("</") if page.endswith("</") else was) + SEEN
        if now.replace(" ", "") != expected.replace(" ", ""):
            wrong.append((page, was, now))
    print(f"{len(before)} pages, the footer is seen in {len(before) - len(wrong)}")
    assert not wrong
    assert len(before) > 250


def octets_of(value: bytes) -> list[tuple[bytes, str]]:
    """What a reader of the field decodes."""
    found: list[tuple[bytes, str]] = []

    def note(octets: bytes, label: str) -> str:
        found.append((octets, label))
        return ""

    shown(value, note)
    return found


def edited(value: bytes, prefix: str, utf8: bool) -> bytes:
    headers = Headers(b"Subject:" + value + b"\r\n\r\n", utf8=utf8)
    headers.replace("Subject", lambda old: prefix + old)
    return headers.get_raw("Subject") or b""


def test_every_character_of_an_edited_field_is_shown_as_before(chromium: Chromium) -> None:
    cases = drawn(st.tuples(fields(), prefixes, st.booleans()), 1_000)
    both = [(value, edited(value, prefix, utf8), prefix) for value, prefix, utf8 in cases]
    asked = list(dict.fromkeys(each for pair in both for value in pair[:2] for each in octets_of(value)))
    # Labels that only mail has are shown to the browser by their names in its standard.
    names = [encoding_of(label) if encoding_of(label) in STANDARD else "" for _, label in asked]
    answers = chromium.decoded(
        [(name or "x", octets) for name, (octets, _) in zip(names, asked, strict=True)]
    )
    known = dict(zip(asked, answers, strict=True))

    def read(octets: bytes, label: str) -> str | None:
        if encoding_of(label) and encoding_of(label) not in STANDARD:
            return charsets.decode(octets, label)  # such as UTF-7
        return known[octets, label]

    lost = [
        (old, new) for old, new, prefix in both if words(shown(new, read)) != words(prefix + shown(old, read))
    ]
    print(f"{len(both)} fields, {len(asked)} texts that Chromium has decoded, {len(lost)} shown otherwise")
    assert not lost


SINGLE = sorted(label for label in STANDARD if len(charsets.decode(b"aa", label)) == 2)
NOT_BY_THE_STANDARD = [b"\x88\x62", b"\x88\x64", b"\x88\xa3", b"\x88\xa5"]
"""Of Big5 each is two characters; Chromium shows half a surrogate pair."""
DOUBLE = ["gbk", "gb18030", "big5", "euc-jp", "shift_jis", "euc-kr"]


@pytest.mark.parametrize("labels", [SINGLE, *([label] for label in DOUBLE)], ids=["all", *DOUBLE])
def test_octets_are_read_as_a_browser_reads_them(chromium: Chromium, labels: list[str]) -> None:
    leads = range(0x80, 0x100)
    all_octets = [bytes([lead]) for lead in leads]
    if labels != SINGLE:
        all_octets += [bytes([lead, trail]) for lead in leads for trail in range(0x20, 0x100)]
    asked = [(label, octets) for label in labels for octets in all_octets]
    wrong: dict[tuple[str, bytes], tuple[str | None, str]] = {}
    for (label, octets), text in zip(asked, chromium.decoded(asked), strict=True):
        ours = charsets.decode(octets, label)
        # What we cannot read keeps its octets, and what nobody can read may be any number of U+FFFD.
        if ours != text and "\ufffd" not in ours and octets not in NOT_BY_THE_STANDARD:
            wrong[label, octets] = (text, ours)
    assert not wrong


def test_what_is_signed_or_encrypted_has_no_footer() -> None:
    body = b"Content-Type: text/html\r\n\r\n<p>hello</p>\r\n--b\r\nContent-Type: %b\r\n\r\nx\r\n--b--\r\n"
    kinds = [
        (b"multipart/signed", b"application/pgp-signature"),
        (b"multipart/signed", b"application/pkcs7-signature"),
        (b"multipart/encrypted", b"application/octet-stream"),
        (b"multipart/mixed", b"application/pkcs7-mime"),
        (b"multipart/mixed", b"application/x-pkcs7-mime"),
    ]
    for kind, inner in kinds:
        raw = b"Subject: x\r\nContent-Type: %b; boundary=b\r\n\r\n--b\r\n" % kind + body % inner
        message = Message(raw)
        FOOTER.message(Transaction(Connection()), message)
        assert message.raw == raw
