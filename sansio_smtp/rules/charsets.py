"""Decodes charsets by their labels in mail, as browsers and mail programs do. A label often names a smaller
charset than the real one: Windows text is labelled iso-8859-1, GBK gb2312, UHC ks_c_5601-1987. Browsers
therefore use the larger charset for each of these labels, and the WHATWG Encoding Standard says which one:
`charset_labels`.

Python's codecs differ from that standard in some places. They are corrected here, so that text that a rule
rewrites in UTF-8 is shown as before:

- octets 80 to 9F that a Windows code page leaves undefined are the control characters of that number;
- gb18030 has the euro sign at 80, and twenty characters that Python has in the private use area;
- euc-jp and iso-2022-jp have the characters of NEC and IBM, and full-width forms as Windows has them;
- big5 is that of Windows, with what Hong Kong has added;
- shift_jis has nothing at A0 and FD to FF.

Browsers do not support UTF-7 and the ISO 2022 charsets of Korea and China, because they hide ASCII; mail
programs read them, and so does `decode`. `decode_strictly` does not accept UTF-7, because there are two ways
to read it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from encodings.aliases import aliases
from typing import Final

from sansio_smtp.rules.charset_labels import ASCII, encoding_of, squashed

__all__ = ["codec", "decode", "decode_strictly", "encode", "is_ascii", "is_transparent", "text_of"]


def is_ascii(label: str) -> bool:
    """Returns True for a label of us-ascii, or an empty one, which means us-ascii (RFC 2045 §5.2)."""
    return not label or squashed(label) in ASCII


def is_transparent(label: str) -> bool:
    """Returns True if tags can be found in the octets of this charset: ``<``, ``>``, ``=`` and quotes have
    the octets of ASCII, and these octets mean nothing else."""
    return encoding_of(label) not in _OPAQUE


def codec(label: str) -> str:
    """The Python codec that comes closest to the real charset of this label; empty if it is not known. Other
    names are not looked up, because Python would cache each of them."""
    encoding = encoding_of(label)
    return _CODECS.get(encoding, encoding)


def decode(octets: bytes, label: str) -> str:
    """The text that browsers and mail programs show; U+FFFD for what cannot be read. Never raises.

    Without a label, and with us-ascii or an unknown label, it uses `text_of`.
    """
    encoding = encoding_of(label)
    if not encoding or is_ascii(label):
        return text_of(octets)
    if encoding in _READERS:
        return _READERS[encoding](octets)
    return octets.decode(_CODECS.get(encoding, encoding), "replace")


def decode_strictly(octets: bytes, label: str) -> str | None:
    """Like `decode`, but None if the text cannot be read, or if programs read it in different ways. These
    are:

    - text with an unknown label;
    - UTF-7, and UTF-8 labelled us-ascii;
    - text without a label, or labelled us-ascii, that is not UTF-8 and does not look like windows-1252, which
    has a few letters and signs among ASCII;
    - text without a label with the octets of an ISO 2022 charset.
    """
    encoding = encoding_of(label)
    if is_ascii(label):
        if not _ISO_2022.isdisjoint(octets):
            return None
        text = text_of(octets)
        if text.isascii() or (not label and text.encode() == octets):
            return text
        return None if text.encode() == octets or _NOT_WESTERN.search(octets) else text
    if encoding in ("", "utf-7"):
        return None
    text = decode(octets, label)
    return None if "\ufffd" in text else text


def encode(text: str, label: str, errors: str = "strict") -> bytes:
    """Text in octets that all programs decode alike, those that read the label as browsers do and those that
    read the smaller charset that it names.

    ``errors`` is as in `str.encode`. Raises `UnicodeEncodeError` if the charset does not have the characters,
    and `LookupError` if the label is not known.
    """
    if not (known := codec(label)):
        raise LookupError(f"no charset of this name is known: {label!r}")
    named = _PYTHON.get(_PUNCTUATION.sub("_", label.strip().lower()), known)
    octets = text.encode(named, errors)
    if octets.decode(named) != decode(octets, label):
        raise UnicodeEncodeError(named, text, 0, len(text), "readers differ in what it means")
    return octets


def text_of(octets: bytes) -> str:
    """Text without a charset: UTF-8, or else windows-1252. Never raises."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("cp1252", "sansio_smtp.windows")


_OPAQUE: Final = frozenset(
    (
        *("utf-16le", "utf-16be", "utf-32", "utf-32-be", "utf-32-le", "utf-7"),
        *("iso-2022-jp", "iso2022_kr", "hz", "johab", "cp1140"),
    )
)
_PUNCTUATION: Final = re.compile(r"[^0-9a-z]+")
_ISO_2022: Final = frozenset(b"\x0e\x0f\x1b")
# Four octets above ASCII in a row are more likely Cyrillic, Greek or Chinese in some other charset. Rare
# signs, and @ \ ^ ` { | ~ right after such an octet, are more likely characters of Shift_JIS or Big5.
_NOT_WESTERN: Final = re.compile(
    rb"[\x80-\xff]{4}|[\x81\x83\x86-\x89\x8d\x8f\x90\x98\x9d\xa4\xa6\xa8\xac\xaf\xb1\xb3\xb8\xb9\xbe]"
    rb"|[\x80-\xff][@\\^`{|~]"
)
# The charset that a label literally names.
_PYTHON: Final = {**{name: name for name in aliases.values()}, **aliases}

# Python's name of an encoding, if it differs.
_WINDOWS: Final = {f"windows-{page}": f"cp{page}" for page in (874, *range(1250, 1259))}
_CODECS: Final = {
    **_WINDOWS,
    "ibm866": "cp866",
    "iso-8859-8-i": "iso-8859-8",
    "macintosh": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
}


def _windows(page: str) -> Callable[[bytes], str]:
    return lambda octets: octets.decode(page, "sansio_smtp.windows")


def _gap_of_windows(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    octet = error.object[error.start]
    # Among these code pages, Python lacks CA only in Hebrew.
    return chr(octet) if octet < 0xA0 else "\u05ba" if octet == 0xCA else "\ufffd", error.start + 1


# Characters that Python's gb18030 puts in the private use area, but that now have other code points.
_GB18030_OLD: Final = (
    *(0xE5E5, 0xE78D, 0xE78E, 0xE78F, 0xE790, 0xE791, 0xE792, 0xE793, 0xE794, 0xE795, 0xE796),
    *(0xE7C7, 0xE81E, 0xE826, 0xE82B, 0xE82C, 0xE832, 0xE843, 0xE854, 0xE864),
)
_GB18030_NEW: Final = (
    "\u3000\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19\u1e3f龴龵龶龷龸龹龺龻"
)
_GB18030: Final = dict(zip(_GB18030_OLD, _GB18030_NEW, strict=True))


def _gb18030(octets: bytes) -> str:
    return octets.decode("gb18030", "sansio_smtp.gb18030").translate(_GB18030)


def _gap_of_gb18030(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\u20ac" if error.object[error.start] == 0x80 else "\ufffd", error.start + 1


_KOI8_U: Final = {0x255D: "\u045e", 0x256C: "\u040e"}


def _koi8_u(octets: bytes) -> str:
    return octets.decode("koi8_u").translate(_KOI8_U)


_NOT_IN_SHIFT_JIS: Final = dict.fromkeys(range(0xF8F0, 0xF8F4), "\ufffd")


def _shift_jis(octets: bytes) -> str:
    return octets.decode("cp932", "replace").translate(_NOT_IN_SHIFT_JIS)


_BIG5: Final = {
    b"\xa1\x45": "\u2027",
    b"\xa1\x4e": "\ufe51",
    b"\xa1\xc2": "\u00af",
    b"\xa1\xe3": "\uff5e",
    b"\xa1\xf2": "\u2295",
    b"\xa1\xf3": "\u2299",
    b"\xa2\x41": "\u2215",
    b"\xa2\x42": "\ufe68",
    b"\xa2\x44": "\uffe5",
    b"\xa2\x46": "\uffe0",
    b"\xa2\x47": "\uffe1",
}
_BIG5_PAIR: Final = b"|".join(map(re.escape, _BIG5))
_BIG5_RUN: Final = re.compile(
    rb"((?>(?:[^\x81-\xfe]|(?!%b)[\x81-\xfe].?)*))(%b)?" % (_BIG5_PAIR, _BIG5_PAIR), re.DOTALL
)


def _big5(octets: bytes) -> str:
    runs: list[tuple[bytes, bytes]] = _BIG5_RUN.findall(octets)
    return "".join(run.decode("big5hkscs", "replace") + _BIG5.get(pair, "") for run, pair in runs)


# Left: the characters in JIS X 0208; right: in its Windows form.
_EUC_JP: Final = {
    0x301C: "\uff5e",
    0x2016: "\u2225",
    0x2212: "\uff0d",
    0xA2: "\uffe0",
    0xA3: "\uffe1",
    0xAC: "\uffe2",
}
_EUC_JP_ROWS: Final = (0xAD, 0xF9, 0xFA, 0xFB, 0xFC)


def _euc_jp(octets: bytes) -> str:
    octets = octets.replace(
        b"\x8f\xa2\xb7", b"\xa1\xc1"
    )  # the tilde of JIS X 0212, which Python has in ASCII
    return octets.decode("euc_jp", "sansio_smtp.euc_jp").translate(_EUC_JP)


def _gap_of_euc_jp(error: UnicodeError) -> tuple[str, int]:
    """Decodes the rows of NEC and IBM, by their places in Shift_JIS."""
    assert isinstance(error, UnicodeDecodeError)
    pair = error.object[error.start : error.start + 2]
    if len(pair) < 2 or pair[0] not in _EUC_JP_ROWS or not 0xA1 <= pair[1] <= 0xFE:
        return "\ufffd", error.start + 1
    row, cell = pair[0] - 0x80, pair[1] - 0x80
    lead = (row - 0x21) // 2 + (0x81 if row < 0x5F else 0xC1)
    trail = cell + (0x7E if row % 2 == 0 else 0x1F if cell < 0x60 else 0x20)
    return bytes((lead, trail)).decode("cp932", "replace"), error.start + 2


# An escape sequence switches the charset (ISO 2022); the end of a line switches back.
_ESCAPE: Final = re.compile(rb"(\x1b\([BHIJ]|\x1b\$\(?[@ABCD]|\n)")
_TO_ASCII: Final = b"\x1b(B"
_HIGH: Final = bytes(octet | 0x80 for octet in range(256))


def _iso_2022_jp(octets: bytes) -> str:
    text: list[str] = []
    mode = _TO_ASCII
    for piece in _ESCAPE.split(octets):
        if piece.startswith(b"\x1b"):
            mode = piece
        elif piece == b"\n":
            mode = _TO_ASCII
            text.append("\n")
        elif not piece.isascii():
            text.append("\ufffd" * len(piece))
        else:
            text.append(_SETS.get(mode, _ascii)(piece))
    return "".join(text)


def _ascii(octets: bytes) -> str:
    return octets.replace(b"\x1b", b"\xff").decode("ascii", "replace")  # an escape sequence that is not known


def _roman(octets: bytes) -> str:
    return _ascii(octets).replace("\\", "\xa5").replace("~", "\u203e")


def _jis_x_0212(octets: bytes) -> str:
    pairs = (octets[i : i + 2] for i in range(0, len(octets), 2))
    return _euc_jp(b"".join(b"\x8f" + pair.translate(_HIGH) for pair in pairs))


_SETS: Final[dict[bytes, Callable[[bytes], str]]] = {
    b"\x1b(J": _roman,
    b"\x1b(H": _roman,
    b"\x1b(I": lambda octets: _shift_jis(octets.translate(_HIGH)),
    b"\x1b$@": lambda octets: _euc_jp(octets.translate(_HIGH)),
    b"\x1b$B": lambda octets: _euc_jp(octets.translate(_HIGH)),
    b"\x1b$(D": _jis_x_0212,
    b"\x1b$A": lambda octets: _gb18030(octets.translate(_HIGH)),
    b"\x1b$(C": lambda octets: octets.translate(_HIGH).decode("cp949", "replace"),
}


def _utf_8(octets: bytes) -> str:
    return octets.decode("utf-8-sig", "replace")  # without a byte order mark


def _utf_16(octets: bytes) -> str:
    """A byte order mark overrides the label. Without one, the text is little-endian, as in browsers."""
    if octets.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return octets.decode("utf-16", "replace")
    return octets.decode("utf-16-le", "replace")


def _utf_7(octets: bytes) -> str:
    text = octets.decode("utf-7", "replace")  # it can hold lone surrogates
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_READERS: Final[dict[str, Callable[[bytes], str]]] = {
    **{encoding: _windows(page) for encoding, page in _WINDOWS.items()},
    "gbk": _gb18030,
    "gb18030": _gb18030,
    "koi8-u": _koi8_u,
    "shift_jis": _shift_jis,
    "big5": _big5,
    "euc-jp": _euc_jp,
    "iso-2022-jp": _iso_2022_jp,
    "utf-8": _utf_8,
    "utf-16le": _utf_16,
    "utf-7": _utf_7,
}

codecs.register_error("sansio_smtp.windows", _gap_of_windows)
codecs.register_error("sansio_smtp.gb18030", _gap_of_gb18030)
codecs.register_error("sansio_smtp.euc_jp", _gap_of_euc_jp)
