"""Draws fields as real programs write them: text in many charsets, under right and wrong labels.

And a reader of fields, written from RFC 2047 and the Encoding Standard, not from the code that it tests: what
it shows before an edit and after it is compared.
"""

# ruff: noqa: RUF001 - characters that look like others are some of what has to stay as it is

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import attrs
from hypothesis import strategies as st

__all__ = ["Reader", "fields", "prefixes", "shown"]

Reader = Callable[[bytes, str], str | None]
"""Octets and a label to text; None for a label that is not known."""

TEXTS: Final = (
    *(
        "hello world",
        "“hi” – 5 €",
        "naïve café",
        "Grüße aus Köln",
        "ÅÄÖ åäö",
        "Привет, мир",
        "привіт ґ",
        "Ελληνικά",
    ),
    *("שלום", "مرحبا", "สวัสดี", "Việt", "İstanbul ığ", "Łódź żółć", "中文測試", "简体中文 镕", "繁體中文 嗰"),
    *(
        "日本語①髙﨑",
        "ｱｲｳ カナ",
        "한국어 똠방각하",
        "a\u0301",
        "🙂 ok",
        "=?utf-8?q?evil?=",
        'a, b <c@d>; "e" \\',
        "~ \\ ¥",
    ),
    *("x\x01y", "tab\there", "  two  blanks  ", "", "line\r\nBcc: x", "nul\0", "?=", "_ =20 ?"),
)
CHARSETS: Final = (
    *(
        "utf-8",
        "ascii",
        "latin-1",
        "cp1252",
        "cp1250",
        "cp1251",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
    ),
    *(
        "cp1258",
        "cp874",
        "koi8-r",
        "koi8-u",
        "iso8859-2",
        "iso8859-5",
        "iso8859-7",
        "iso8859-15",
        "gb2312",
        "gbk",
    ),
    *(
        "gb18030",
        "big5",
        "big5hkscs",
        "euc-jp",
        "iso2022-jp",
        "shift-jis",
        "cp932",
        "euc-kr",
        "cp949",
        "cp850",
    ),
    *("cp866", "utf-16", "utf-16-le", "utf-7", "hz", "iso2022-kr", "mac-roman"),
)
LABELS: Final = (
    *("utf-8", "UTF8", "us-ascii", "ascii", "iso-8859-1", "ISO_8859-1", "latin1", "windows-1252", "cp1252"),
    *(
        "windows-1250",
        "windows-1251",
        "cp-1251",
        "cp1251",
        "win-1251",
        "windows-1254",
        "iso-8859-9",
        "windows-1255",
    ),
    *(
        "iso-8859-8-i",
        "windows-1256",
        "windows-1257",
        "windows-1258",
        "tis-620",
        "iso-8859-11",
        "koi8-r",
        "koi8-u",
    ),
    *(
        "iso-8859-2",
        "iso-8859-5",
        "iso-8859-7",
        "iso-8859-15",
        "gb2312",
        "GBK",
        "x-gbk",
        "gb18030",
        "big5",
        "cp950",
    ),
    *(
        "big5-hkscs",
        "euc-jp",
        "iso-2022-jp",
        "ISO-2022-JP-MS",
        "shift_jis",
        "Shift-JIS",
        "windows-31j",
        "x-sjis",
    ),
    *("euc-kr", "ks_c_5601-1987", "ksc5601", "cp949", "cp-850", "ibm866", "utf-16", "utf-16be", "utf-7"),
    *(
        "unicode-1-1-utf-7",
        "hz-gb-2312",
        "iso-2022-kr",
        "iso-2022-cn",
        "macintosh",
        "x-unknown",
        "unknown-8bit",
    ),
    *("default", "iso-8859-1*de", "utf-8*en", "rot13", "x-user-defined"),
)

# Of the labels above those that are right for what is written in a charset, or that real programs use for it.
USUAL: Final = {
    "utf-8": ("utf-8", "us-ascii", "iso-8859-1", "x-unknown"),
    "cp1252": ("windows-1252", "iso-8859-1", "us-ascii", "utf-8"),
    "cp1250": ("windows-1250", "iso-8859-2", "iso-8859-1"),
    "cp1251": ("windows-1251", "cp-1251", "win-1251", "iso-8859-5", "us-ascii"),
    "cp1254": ("windows-1254", "iso-8859-9"),
    "cp1255": ("windows-1255", "iso-8859-8-i"),
    "cp874": ("tis-620", "iso-8859-11"),
    "gbk": ("gb2312", "GBK", "x-gbk", "iso-8859-1", "us-ascii"),
    "gb18030": ("gb2312", "gb18030"),
    "big5hkscs": ("big5", "cp950", "big5-hkscs"),
    "cp932": ("shift_jis", "windows-31j", "x-sjis", "iso-2022-jp"),
    "cp949": ("ks_c_5601-1987", "euc-kr", "ksc5601", "cp949"),
    "iso2022-jp": ("iso-2022-jp", "us-ascii"),
}

_WORD: Final = re.compile(rb"=\?([^? \t]+)\?([bBqQ])\?([^?]*)\?=")


@attrs.frozen
class _Written:
    octets: bytes
    label: str


def _encodable(charset: str) -> list[str]:
    found = []
    for text in TEXTS:
        try:
            text.encode(charset)
        except UnicodeEncodeError:
            continue
        found.append(text)
    return found


_ENCODABLE: Final = {charset: _encodable(charset) for charset in CHARSETS}


@st.composite
def _written(draw: st.DrawFn) -> _Written:
    charset = draw(st.sampled_from(CHARSETS))
    text = draw(st.sampled_from(_ENCODABLE[charset]))
    octets = text.encode(charset)
    kind = draw(st.sampled_from(["usual", "usual", "any", "cut", "octets"]))
    label = draw(st.sampled_from(LABELS if kind == "any" else USUAL.get(charset, (charset,))))
    if kind == "cut":
        octets = octets[draw(st.integers(0, 2)) : len(octets) - draw(st.integers(0, 2))]
    elif kind == "octets":
        octets = draw(st.binary(max_size=12))
    return _Written(octets, label)


def _word(octets: bytes, label: str, how: str) -> bytes:
    """An encoded word (RFC 2047 §2), with its encoding as some program writes it."""
    if how in "bB":
        text = base64.b64encode(octets)
    else:
        quoted = b"".join(
            b"=%02X" % o if o in b"=?_ \t\r\n" or not 32 < o < 127 else bytes([o]) for o in octets
        )
        text = quoted
    return b"=?%b?%b?%b?=" % (label.encode(), how.encode(), text.rstrip(b"=") if how == "B" else text)


@st.composite
def _words(draw: st.DrawFn) -> bytes:
    """One text in some words, split anywhere: inside a character too."""
    written = draw(_written())
    cuts = sorted(draw(st.lists(st.integers(0, len(written.octets)), max_size=3)))
    bounds = [0, *cuts, len(written.octets)]
    pieces = [written.octets[a:b] for a, b in pairwise(bounds)]
    blank = draw(st.sampled_from([b" ", b" ", b"\r\n ", b"  ", b"\t"]))
    return blank.join(_word(piece, written.label, draw(st.sampled_from("bBqQ"))) for piece in pieces)


@st.composite
def _raw(draw: st.DrawFn) -> bytes:
    octets = draw(_written()).octets
    return re.sub(rb"[\r\n\0]", b"", octets)


_PLAIN: Final = st.sampled_from(
    [b"Re:", b"hello", b"[list]", b"a=?b", b"=?utf-8?b?x?=", b"=?utf-8?x?y?=", b"(c)", b"=?", b"?=", b"-"]
)


@st.composite
def fields(draw: st.DrawFn) -> bytes:
    """The value of a field such as Subject, with folds."""
    parts = draw(st.lists(st.one_of(_words(), _words(), _raw(), _PLAIN), min_size=1, max_size=4))
    blanks = st.sampled_from([b" ", b" ", b"  ", b"\r\n ", b"\t"])
    value = b" " + parts[0]
    for part in parts[1:]:
        value += draw(blanks) + part
    lines = [line for line in value.split(b"\r\n") if line.strip(b" \t")]
    return b"\r\n".join(lines)


prefixes = st.sampled_from(
    ["[ext] ", "[ext]", "EXT: ", "[ü] ", "[ü]", "“a b” ", "=? ", "x  ", "[=20_] ", "警告：", "[ext] [ü] - "]
)


def shown(value: bytes, read: Reader) -> str:
    """What a reader shows of a field: words side by side in the same charset are read as one, a word in a
    charset that is not known is shown as it stands there, octets without a charset are UTF-8 or windows-1252.
    """
    value = re.sub(rb"\r?\n(?=[ \t])", b"", value)
    text: list[str] = []
    run: list[tuple[str, bytes, bytes]] = []

    def flush() -> None:
        while run:
            label, octets, source = run.pop(0)
            while run and run[0][0] == label:
                _, more, also = run.pop(0)
                octets, source = octets + more, source + b" " + also
            found = read(octets, label.partition("*")[0])
            text.append(_plain(source, read) if found is None and octets else found or "")

    at = 0
    for word in _WORD.finditer(value):
        octets = _decoded(word[3], word[2])
        if octets is None:  # text that looks like a word
            continue
        between = value[at : word.start()]
        if between.strip(b" \t") or not run:
            flush()
            text.append(_plain(between, read))
        run.append((word[1].decode("latin-1").lower(), octets, word[0]))
        at = word.end()
    flush()
    text.append(_plain(value[at:], read))
    return "".join(text).translate({0: "\ufffd", 10: " ", 13: " "}).strip(" \t")


def _decoded(text: bytes, how: bytes) -> bytes | None:
    if how in b"qQ":
        return quopri.decodestring(text, header=True)
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return None


def _plain(octets: bytes, read: Reader) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return read(octets, "windows-1252") or ""
