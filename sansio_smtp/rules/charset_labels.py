"""The labels of charsets in mail, and their encodings.

The labels of the WHATWG Encoding Standard (https://encoding.spec.whatwg.org/#names-and-labels), and labels
that only mail has. If they contradict each other, the standard counts.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["ASCII", "STANDARD", "encoding_of", "squashed"]


def encoding_of(label: str) -> str:
    """The encoding's name in the standard; for other encodings the name of Python's codec; empty if the label
    is not known."""
    if len(label) > _LONGEST_LABEL:
        return ""
    name = squashed(label)
    for prefix in ("", "x", "cs"):
        if name.startswith(prefix) and (found := _LABELS.get(name.removeprefix(prefix))):
            return found
    return ""


def squashed(label: str) -> str:
    """A label in lower case without blanks and punctuation: ``Windows_1252`` and ``windows 1252`` count as
    the same."""
    return _PUNCTUATION.sub("", label.lower())


_PUNCTUATION: Final = re.compile(r"[^0-9a-z]+")
_LONGEST_LABEL: Final = 60

# The name of an encoding in the standard, and its labels there.
STANDARD: Final = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
    "ibm866": "866 cp866 csibm866 ibm866",
    "iso-8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso-8859-3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
    "iso-8859-4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
    "iso-8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 "
    "iso_8859-5:1988",
    "iso-8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e "
    "iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso-8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 "
    "iso_8859-7 iso_8859-7:1987 sun_eu_greek",
    "iso-8859-8": "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 "
    "iso_8859-8 iso_8859-8:1988 visual",
    "iso-8859-8-i": "csiso88598i iso-8859-8-i logical",
    "iso-8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso-8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso-8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso-8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso-8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "macintosh": "csmacintosh mac macintosh x-mac-roman",
    "windows-874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "windows-1250": "cp1250 windows-1250 x-cp1250",
    "windows-1251": "cp1251 windows-1251 x-cp1251",
    "windows-1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 "
    "iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252",
    "windows-1253": "cp1253 windows-1253 x-cp1253",
    "windows-1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 "
    "l5 latin5 windows-1254 x-cp1254",
    "windows-1255": "cp1255 windows-1255 x-cp1255",
    "windows-1256": "cp1256 windows-1256 x-cp1256",
    "windows-1257": "cp1257 windows-1257 x-cp1257",
    "windows-1258": "cp1258 windows-1258 x-cp1258",
    "x-mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gbk": "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk",
    "gb18030": "gb18030",
    "big5": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc-jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso-2022-jp": "csiso2022jp iso-2022-jp",
    "shift_jis": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "euc-kr": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 "
    "windows-949",
    "utf-16be": "unicodefffe utf-16be",
    "utf-16le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
}

# More labels in mail, which browsers do not know.
_MAIL: Final = {
    "utf-8": "utf utf-8-mac utf-8-sig utf8mb4 utf-8n u8 cp65001 windows-65001",
    "windows-1252": "ansi ansi_x3.4-1986 ansi_x3.110-1983 iso646-us iso_646.irv:1991 csascii cp367 ibm367 us "
    "iso-ir-6 usascii us_ascii 7bit-ascii ansi-1252 win-1252 latin-1 iso-latin-1 western iso-8859-1-windows "
    "iso-8859-1-windows-3.1-latin-1 iso-8859-1-windows-3.0-latin-1 iso-8859 iso_8859_1 8859_1 en_us",
    "windows-1250": "ansi-1250 win-1250 cseewindows1250 iso-8859-2-windows-latin-2",
    "windows-1251": "ansi-1251 win-1251 win cswindows1251",
    "windows-1253": "ansi-1253 win-1253",
    "windows-1254": "ansi-1254 win-1254 iso-8859-9-windows-latin-5 turkish latin-5",
    "windows-1255": "ansi-1255 win-1255",
    "windows-1256": "ansi-1256 win-1256",
    "windows-1257": "ansi-1257 win-1257",
    "windows-1258": "ansi-1258 win-1258",
    "windows-874": "cp874 ms874 x-ibm874 ibm874 tis620 tis-620.2533 thai tis620.2529-1",
    "iso-8859-13": "latin7 l7 latin-7 iso_8859-13",
    "iso-8859-14": "latin8 l8 latin-8 iso_8859-14 iso-celtic iso-ir-199",
    "iso-8859-15": "latin9 latin-9 latin0 latin-0",
    "iso-8859-16": "latin10 l10 latin-10 iso_8859-16 iso-ir-226",
    "iso-8859-2": "latin-2",
    "koi8-u": "koi8_u",
    "gbk": "cp936 ms936 windows-936 936 gb2312-80 euc-cn euc_cn x-euc-cn gb gb_1988-80 hz-gbk cn-gb",
    "gb18030": "gb18030-2000 gb18030-2005 gb18030-2022",
    "big5": "cp950 ms950 windows-950 950 big5hkscs big5-eten x-big5 big5-tw",
    "shift_jis": "cp932 ms-kanji windows-932 932 cp943 cp943c ibm-943 x-ms-cp932 shiftjis",
    "euc-jp": "eucjp ujis u-jis eucjp-win cp51932 x-eucjp extended_unix_code_packed_format_for_japanese",
    "iso-2022-jp": "jis jis7 jis_encoding iso2022jp iso-2022-jp-1 iso-2022-jp-2 iso-2022-jp-3 "
    "iso-2022-jp-ms iso-2022-jp-2004 iso-2022-jp-ext cp50220 cp50221 cp50222 x-iso-2022-jp",
    "euc-kr": "cp949 ms949 uhc 949 ks_c_5601 ksc5601-1987 ks_x_1001 ksx1001 euckr cp51949 ks_c-5601-1987",
    "utf-16be": "ucs-2be utf16be cp1201",
    "utf-16le": "ucs-2le utf16le cp1200",
    "macintosh": "x-mac x-macroman macroman mac-roman apple-roman",
    "x-mac-cyrillic": "mac-cyrillic maccyrillic",
    # Encodings that the standard does not have, by the names of Python's codecs.
    "utf-7": "utf-7 utf7 unicode-1-1-utf-7 unicode-2-0-utf-7 x-unicode-2-0-utf-7 csunicode11utf7 utf-7-imap",
    "utf-32": "utf-32 utf32 ucs-4 iso-10646-ucs-4 csucs4",
    "utf-32-be": "utf-32be ucs-4be",
    "utf-32-le": "utf-32le ucs-4le",
    "hz": "hz hz-gb-2312 hzgb",
    "iso2022_kr": "iso-2022-kr iso2022kr csiso2022kr",
    "johab": "johab cp1361 ms1361",
    "cp437": "cp437 ibm437 437 cspc8codepage437 dos-437",
    "hp_roman8": "hp-roman8 roman8 r8 cshproman8",
    "ptcp154": "ptcp154 csptcp154 pt154 cp154 cyrillic-asian",
    "kz1048": "kz-1048 kz1048 rk1048 strk1048-2002",
    **{
        f"cp{page}": f"cp{page} ibm{page} {page} dos-{page} cp-{page} pc{page} cspc{page}"
        for page in (
            720,
            737,
            775,
            850,
            852,
            855,
            857,
            858,
            860,
            861,
            862,
            863,
            864,
            865,
            869,
            1006,
            1125,
            1140,
        )
    },
    **{f"mac_{name}": f"x-mac-{name} mac-{name}" for name in ("greek", "turkish", "iceland", "croatian")},
    "mac_latin2": "x-mac-ce mac-ce macce x-mac-centraleurroman mac-centraleurope mac-latin2",
    "mac_romanian": "x-mac-romanian mac-romanian",
}

_LABELS: Final = {
    squashed(label): encoding
    for table in (_MAIL, STANDARD)
    for encoding, labels in table.items()
    for label in labels.split()
}

ASCII: Final = frozenset(
    squashed(label)
    for label in (
        *("ascii", "us-ascii", "us", "ansi_x3.4-1968", "ansi_x3.4-1986", "iso-ir-6", "iso646-us", "csascii"),
        *("iso_646.irv:1991", "cp367", "ibm367", "7bit-ascii"),
    )
)
"""Squashed labels of ASCII: other octets under these labels are certainly mislabelled."""
