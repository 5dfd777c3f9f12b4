"""Octets under a label as browsers read them; tests/interop compares every character with a real one."""

# ruff: noqa: RUF001 - wide forms are what some of it is about

from __future__ import annotations

import codecs

import pytest
from each import each
from hypothesis import given, settings
from hypothesis import strategies as st
from webencodings import lookup

from sansio_smtp.rules import charset_labels, charsets
from sansio_smtp.rules.charsets import decode, decode_strictly, encode

LABELS = [
    *charset_labels.STANDARD,
    "us-ascii",
    "",
    "iso-8859-1",
    "gb2312",
    "utf-7",
    "hz",
    "iso-2022-kr",
    "cp850",
]


@each(
    ("octets", "label", "text"),
    [
        (b"\x93hi\x94 \x80", "iso-8859-1", "“hi” €"),
        (b"\x93hi\x94 \x80", "us-ascii", "“hi” €"),
        (b"\x93hi\x94 \x80", "", "“hi” €"),
        (b"\x93hi\x94 \x80", "x-unknown", "“hi” €"),
        ("ü".encode(), "us-ascii", "ü"),
        ("ü".encode(), "iso-8859-1", "Ã¼"),
        (b"\x81\x8d\x8f\x90\x9d", "windows-1252", "\x81\x8d\x8f\x90\x9d"),
        (b"\xfd\xfe", "iso-8859-9", "ış"),
        (b"\x80\xa1\xff", "tis-620", "€ก\ufffd"),
        (b"\xca\xd9", "windows-1255", "\u05ba\ufffd"),
        (b"\xae\xbe\xa4", "koi8-u", "ўЎє"),
        (b"\xef\xf0\xe8", "cp-1251", "при"),
        ("镕\u4e02".encode("gbk"), "gb2312", "镕\u4e02"),
        (b"\x80 \xa6\xd9 \x81", "gbk", "€ \ufe10 \ufffd"),
        ("똠방각하".encode("cp949"), "ks_c_5601-1987", "똠방각하"),
        ("①髙﨑～－".encode("cp932"), "shift_jis", "①髙﨑～－"),
        (b"\xa0\xfd", "shift_jis", "\ufffd\ufffd"),
        (b"\xa1\xc1\xa1\xdd\xad\xa1\xf9\xa1\xfc\xfe", "euc-jp", "～－①纊＂"),
        (b"\x8f\xb0\xa1\x8f\xa2\xb7\x8e\xb1", "euc-jp", "丂～ｱ"),
        (b"\xad \xff\xfc", "euc-jp", "\ufffd \ufffd\ufffd"),
        (b"\xf9\xad\xaa\xa2", "euc-jp", "丨\ufffd\ufffd"),
        (b"\x1b$B-!F|\x1b(Ba", "iso-2022-jp", "①日a"),
        (b"\x1b$@F|\nF|\x1b(B", "iso-2022-jp", "日\nF|"),
        (b"\x1b(J\\~\x1b(I1\x1b(B1", "iso-2022-jp", "\xa5\u203eｱ1"),
        (b"\x1b$(D0!\x1b$(C0!\x1b$A0!\x1b(H", "iso-2022-jp", "丂가啊"),
        (b"\xb1\x1b[", "iso-2022-jp", "\ufffd\ufffd\ufffd"),
        (b"a\x1b[", "iso-2022-jp", "a\ufffd["),
        (b"\xa1\x45 \xa2\x41\xa1\xfe\xa4\xa4", "big5", "‧ ∕／中"),
        (b"\xa4", "big5", "\ufffd"),
        (b"a\0\xac\x20\0", "utf-16", "a€\ufffd"),
        (b"\xff\xfea\0", "utf-16", "a"),
        (b"\xfe\xff\0a", "utf-16", "a"),
        (b"\0a", "utf-16be", "a"),
        (b"\xc3", "utf-8", "\ufffd"),
        (b"\xef\xbb\xbfa\xef\xbb\xbf", "utf-8", "a\ufeff"),
        (b"+AGE-+2AA-", "utf-7", "a\ufffd"),
        (b"+2D3eAA-", "utf-7", "\U0001f600"),
        (b"~{VPND~}", "hz-gb-2312", "中文"),
        (b"\x1b$)C\x0eGQ\x0f", "iso-2022-kr", "한"),
    ],
)
def test_octets_are_read(octets: bytes, label: str, text: str) -> None:
    assert decode(octets, label) == text


@each(
    ("octets", "label", "text"),
    [
        (b"\x93", "iso-8859-1", "“"),
        (b"\xc3", "utf-8", None),
        (b"+AGE-", "utf-7", None),
        (b"abc", "x-unknown", None),
        (b"\x1b$)A\x0eVP\x0f", "iso-2022-cn", None),
        (b"\x1b$B", "", None),
        (b"abc\t", "us-ascii", "abc\t"),
        (b"a\xfcb \x80 \xe9\xe9\xfc", "us-ascii", "aüb € ééü"),
        (b"a\xfcb", "", "aüb"),
        ("ü".encode(), "", "ü"),
        ("ü".encode(), "us-ascii", None),
        ("Привет".encode("koi8-r"), "us-ascii", None),
        ("Привет".encode("koi8-r"), "", None),
        (b"\x81", "", None),
    ],
)
def test_or_not(octets: bytes, label: str, text: str | None) -> None:
    assert decode_strictly(octets, label) == text


@each(
    ("text", "label", "octets"),
    [
        ("ü", "iso-8859-1", b"\xfc"),
        ("€", "iso-8859-1", None),
        ("€", "windows-1252", b"\x80"),
        ("ü", "us-ascii", None),
        ("中", "gb2312", b"\xd6\xd0"),
        ("镕", "gb2312", None),
        ("镕", "gbk", b"\xe9F"),
        ("①", "shift_jis", None),
        ("①", "windows-31j", b"\x87@"),
        ("똠", "euc-kr", None),
        ("¢", "euc-jp", None),
        ("日", "iso-2022-jp", b"\x1b$BF|\x1b(B"),
        ("a", "utf-16", b"\xff\xfea\0"),
        ("ü", "Windows_1252", b"\xfc"),
    ],
)
def test_text_is_written_for_all_readers(text: str, label: str, octets: bytes | None) -> None:
    if octets is None:
        with pytest.raises(UnicodeEncodeError):
            encode(text, label)
    else:
        assert encode(text, label) == octets


def test_or_in_html() -> None:
    assert encode("5 €", "iso-8859-1", "xmlcharrefreplace") == b"5 &#8364;"


@each("label", [label for label in LABELS if charsets.is_transparent(label)])
def test_tags_are_found_in_most(label: str) -> None:
    for octet in b"<>=\"'/!-?&;":
        for other in range(0x80, 0x100):
            assert chr(octet) in decode(bytes([other, octet]), label)


@pytest.mark.parametrize("label", ["UTF-16", "utf-7", "iso-2022-jp", "hz-gb-2312", "iso-2022-kr", "johab"])
def test_and_in_some_not(label: str) -> None:
    assert not charsets.is_transparent(label)


def test_no_charset_no_octets() -> None:
    with pytest.raises(LookupError, match="no charset of this name is known: 'x-unknown'"):
        encode("a", "x-unknown")


@each("label", sorted(set(charset_labels.STANDARD) - {"koi8-u", "big5", "gbk", "gb18030"}))
def test_what_python_reads_is_read_the_same(label: str) -> None:
    """Single octets, against the codecs of `webencodings`, where those have something."""
    found = lookup(label)
    assert found
    codec = found.codec_info
    for octet in range(0x20, 0x100):
        try:
            text, _ = codec.decode(bytes([octet]), "strict")
        except UnicodeDecodeError:
            continue
        if "\uf8f0" <= text <= "\uf8f3" or not text:  # which browsers do not have
            continue
        assert decode(bytes([octet]), label) == text


@settings(deadline=None)
@given(octets=st.binary(max_size=60), label=st.sampled_from(LABELS))
def test_nothing_raises(octets: bytes, label: str) -> None:
    text = decode(octets, label)
    assert text == text.encode().decode()
    assert decode_strictly(octets, label) in (None, text)


@settings(deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30), label=st.sampled_from(LABELS))
def test_what_is_written_is_read(text: str, label: str) -> None:
    try:
        octets = encode(text, label)
    except (UnicodeEncodeError, LookupError):
        return
    assert decode(octets, label) == text


def test_a_codec_is_known_for_each_label() -> None:
    assert charsets.codec("ks_c_5601-1987") == "cp949"
    assert charsets.codec("iso-8859-2") == "iso-8859-2"
    assert charsets.codec("x-unknown") == ""
    assert codecs.lookup(charsets.codec("logical")).name == "iso8859-8"


@each(
    ("text", "charset"),
    [
        *(
            ("日本", "cp932"),
            ("テスト", "cp932"),
            ("会議のお知らせ", "cp932"),
            ("您好", "big5"),
            ("會議通知", "big5"),
        ),
        *(
            ("发票", "gbk"),
            ("테스트", "cp949"),
            ("Příliš", "iso8859-2"),
            ("Zażółć", "cp1250"),
            ("тест", "koi8-r"),
        ),
    ],
)
def test_what_has_no_label_and_does_not_look_western(text: str, charset: str) -> None:
    assert decode_strictly(text.encode(charset), "") is None


@pytest.mark.parametrize(
    "text", ["Grüße", "“hi” €", "[Café] naïve – test", "5 º, 3 m² à 20 °C ½", "¿Qué?", "Ærø"]
)
def test_what_has_no_label_and_looks_western(text: str) -> None:
    assert decode_strictly(text.encode("cp1252"), "") == text
