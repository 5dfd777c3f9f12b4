"""Encoded words: what is read, what keeps its source, and that nothing hidden becomes structure."""

from __future__ import annotations

import re
import time

import pytest
from each import each
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sansio_smtp.rules.words import MARK, WORD_TEXT, Piece, encoded, marked, pieces, plain, words

NOT_ASCII = re.compile(r"[^\0-\x7f]|=\?")
NOTHING = re.compile(r"(?!)")


@each(
    ("value", "read"),
    [
        (b"", []),
        (b"plain", [Piece("plain")]),
        (b"gr\xfc\xdfe", [Piece("grüße")]),
        (b"\xcf\xf0\xe8\xe2", [Piece("Ïðèâ", b"\xcf\xf0\xe8\xe2")]),
        (b"\x1b$BF|\x1b(B", [Piece("\x1b$BF|\x1b(B", b"\x1b$BF|\x1b(B")]),
        (b"=?utf-8?q?a?=", [Piece("a", is_word=True)]),
        (b"a =?utf-8?q?b?= c", [Piece("a "), Piece("b", is_word=True), Piece(" c")]),
        (b"=?utf-8?q?=C3?= =?utf-8*de?q?=BC?=", [Piece("ü", is_word=True)]),
        (b"=?utf-8?q?a?=\t=?latin1?q?=FC?=", [Piece("a", is_word=True), Piece("ü", is_word=True)]),
        (b"=?x-old?q?=FC?=", [Piece("ü", b"=?x-old?q?=FC?=", is_word=True)]),
        (
            b"=?utf-8?q?=FC?= =?utf-8?b?YQ?=",
            [Piece("\ufffda", b"=?utf-8?q?=FC?= =?utf-8?b?YQ?=", is_word=True)],
        ),
        (b"=?utf-7?q?a?= b", [Piece("a", b"=?utf-7?q?a?=", is_word=True), Piece(" b")]),
        (b"=?utf-8?b?x?= a", [Piece("=?utf-8?b?x?= a")]),
        (b"=?utf-8?q?a=0D=0Ab=00?=", [Piece("a  b\ufffd", is_word=True)]),
    ],
)
def test_pieces(value: bytes, read: list[Piece]) -> None:
    assert list(pieces(value)) == read


def test_what_words_hide_can_be_made_something_else() -> None:
    assert [piece.text for piece in pieces(b"a =?x?q?b?= =?utf-8?q?c?=", str.upper)] == ["a ", "B", "C"]


OLD = Piece("ü", b"=?x-old?q?=FC?=", is_word=True)
RAW = Piece(" ïðèâ ", b" \xef\xf0\xe8\xe2 ")


@each(
    ("text", "old", "result", "sources"),
    [
        ("ü", [OLD], MARK, [OLD.source]),
        ("[ext] ü now", [OLD, Piece(" now")], f"[ext] {MARK} now", [OLD.source]),
        ("ü now (old)", [OLD, Piece(" now")], f"{MARK} now (old)", [OLD.source]),
        ("- ü -", [OLD], f"- {MARK} -", [OLD.source]),
        ("[ext] now", [OLD, Piece(" now")], "[ext] now", []),
        ("uu", [Piece("u", b"=?utf-7?q?u?=", is_word=True)], f"u{MARK}", [b"=?utf-7?q?u?="]),
        ("a hit", [Piece("hi", b"=?utf-7?q?hi?=", is_word=True)], "a hit", []),
        ("a ïðèâ", [RAW], f"a {MARK}", [b"\xef\xf0\xe8\xe2"]),
        ("a ïðèâ !", [RAW, Piece("!")], f"a {MARK}!", [b"\xef\xf0\xe8\xe2 "]),
        ("äïðèâ", [RAW], "äïðèâ", []),
        ("=?ïðèâ", [RAW], "=?ïðèâ", []),
        ("ïðèâ", [Piece("ïðèâ", b"\xef\xf0\0\xe8\xe2")], "ïðèâ", []),
        ("ï" * 901, [Piece("ï" * 901, b"\xef" * 901)], "ï" * 901, []),
        ("x", [Piece("", b"=?x-old?q??=", is_word=True), Piece("x")], "x", []),
        ("üü", [OLD, OLD], MARK + MARK, [OLD.source, OLD.source]),
        ("ü", [OLD, OLD], MARK, [OLD.source]),
    ],
)
def test_what_is_left_keeps_its_source(
    text: str, old: list[Piece], result: str, sources: list[bytes]
) -> None:
    marked_text, kept = marked(text, old)
    assert (marked_text, [piece.source for piece in kept]) == (result, sources)


def test_few_pieces_are_searched_for() -> None:
    lost = [Piece("é", b"=?x?q?a?=", is_word=True)] * 30
    assert marked("aüb", [Piece("y"), *lost, OLD, Piece("z")]) == ("aüb", [])


@each(
    ("text", "kept", "needs", "written"),
    [
        ("plain", [], NOT_ASCII, "plain"),
        ("a ü b", [], NOT_ASCII, "a =?utf-8?q?=C3=BC?= b"),
        ("a ü b", [], NOTHING, "a ü b"),
        (f"[ext] {MARK}", [OLD], NOTHING, f"[ext] {MARK}"),
        (f"[ext]{MARK}", [OLD], NOTHING, f"=?utf-8?q?=5Bext=5D?= {MARK}"),
        (f"my [ext]{MARK}", [OLD], NOTHING, f"my =?utf-8?q?=5Bext=5D?= {MARK}"),
        (f"[ü] {MARK}", [OLD], NOT_ASCII, f"=?utf-8?b?W8O8XSA=?= {MARK}"),
        (f"[ü] a {MARK}", [OLD], NOT_ASCII, f"=?utf-8?q?=5B=C3=BC=5D?= a {MARK}"),
        (f"{MARK} now", [OLD], NOTHING, f"{MARK} now"),
        (f"{MARK}, now", [OLD], NOTHING, f"{MARK} =?utf-8?q?=2C?= now"),
        (f"{MARK} ü", [OLD], NOT_ASCII, f"{MARK} =?utf-8?b?IMO8?="),
        (f"{MARK} a ü", [OLD], NOT_ASCII, f"{MARK} a =?utf-8?q?=C3=BC?="),
        (f"{MARK}{MARK}", [OLD, OLD], NOTHING, f"{MARK} =?utf-8?q??= {MARK}"),
        (f"{MARK} {MARK}", [OLD, OLD], NOTHING, f"{MARK} =?utf-8?q?_?= {MARK}"),
        (f"{MARK} a {MARK}", [OLD, OLD], NOTHING, f"{MARK} a {MARK}"),
        (f"{MARK}a{MARK}", [OLD, OLD], NOTHING, f"{MARK} =?utf-8?q?a?= {MARK}"),
        (f"{MARK} {MARK}", [OLD, RAW], NOTHING, f"{MARK} {MARK}"),
        (f"{MARK}{MARK}", [OLD, RAW], NOTHING, f"{MARK}{MARK}"),
        (f"a{MARK}", [RAW], NOTHING, f"a{MARK}"),
        ("a =?x?q?y?= b", [], WORD_TEXT, "a =?utf-8?b?PT94P3E/eT89?= b"),
    ],
)
def test_free_text_is_written(text: str, kept: list[Piece], needs: re.Pattern[str], written: str) -> None:
    assert encoded(text, kept, needs) == written


def test_all_of_a_text_in_words() -> None:
    assert words(f"a {MARK}{MARK}b") == f"=?utf-8?q?a_?= {MARK} =?utf-8?q??= {MARK} =?utf-8?q?b?="


@settings(deadline=None)
@given(text=st.text(max_size=200))
@example(text="a" + "ü" * 60)
@example(text="aa" + "€" * 60)
def test_words_are_short_and_hold_whole_characters(text: str) -> None:
    text = text.encode("utf-8", "replace").decode().replace("\0", "").replace("\r", "").replace("\n", "")
    written = words(text)
    assert all(len(word) <= 75 for word in written.split(" "))
    assert "".join(piece.text for piece in pieces(written.encode())) == text


def test_octets_outside_of_words() -> None:
    assert plain(b"a\xfc") == Piece("aü")
    assert plain("ü".encode()) == Piece("ü")
    assert plain(b"\xfc" * 4) == Piece("ü" * 4, b"\xfc" * 4)


@pytest.mark.slow
@pytest.mark.parametrize("word", [b"=?x?q?=FC?= ", b"=?utf-8?q?=FC?= a ", b"\xfc\xfc\xfc\xfc =?utf-8?q?a?= "])
def test_time_grows_with_length_only(word: bytes) -> None:
    def cost(count: int) -> float:
        start = time.process_time()
        old = list(pieces(word * count))
        text = "".join(piece.text for piece in old)
        marked(text[1:-1], old)
        marked("[ext] " + text, old)
        marked(text[::-1], old)
        return time.process_time() - start

    little = min(cost(500) for _ in range(5))
    assert any(cost(8_000) / little < 80 for _ in range(3))
