"""MIME for rules: text in header fields (RFC 2047, RFC 2231), and whole messages as `email.message` objects.

Fields are read and written here, in time that grows in proportion to their length: the standard library takes
seconds for a hostile list of addresses of 8 kB. This is the only module that imports `email`, for whole
messages only.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from encodings.aliases import aliases
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from sansio_smtp.errors import LocalProtocolError

if TYPE_CHECKING:
    from email.message import EmailMessage as EmailMessage
    from email.message import Message

__all__ = ["decode", "encode", "parse", "serialise"]

_FOLD: Final = re.compile(rb"\r?\n(?=[ \t])")
_ONE_LINE: Final = {0: "\ufffd", 10: " ", 13: " "}

# RFC 2047 §2. The text may hold blanks here: senders get that wrong, and readers do not mind.
_WORD: Final = re.compile(rb"=\?([^? \t]{1,40})\?([bBqQ])\?([^?]*)\?=")
_NEEDS_WORD: Final = re.compile(r"[^\0-\x7f]|=\?")
_NOT_IN_Q: Final = re.compile(rb"[^ 0-9A-Za-z!*+/-]")
_WORD_OCTETS: Final = 42
_WORD_TEXT: Final = 56
"""What one encoded word holds, and that encoded: with its 12 others it fits in a line with ``Subject: ``."""

# The charsets that are read. Other names are never looked up: Python would remember each of them.
_CHARSETS: Final = {
    **{codec: codec for codec in aliases.values()},
    **aliases,
    "cp874": "cp874",
    "iso_8859_8_i": "iso8859_8",
    "koi8_u": "koi8_u",
    "windows_31j": "cp932",
    "windows_874": "cp874",
    "x_gbk": "gbk",
    "x_sjis": "shift_jis",
}

# A list of addresses (RFC 5322 §3.4) in parts: a comment; a phrase, with the address or colon after it.
_ADDRESS_PART: Final = re.compile(
    r"\((?P<comment>(?:[^()\\]|\\.)*+)(?P<close>\)?)"
    r'|(?P<phrase>(?:"(?:[^"\\]|\\.)*+"?|[^"\\,:;<>()@])++)(?P<after><[^>]*>?|:|)'
    r"|<[^>]*>?|."
)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"?')
_QUOTED_OCTETS: Final = re.compile(rb'("(?:[^"\\]|\\.)*+"?)')
_SPECIAL: Final = re.compile(r'[()<>\[\]:;@\\,"]')
_TO_ESCAPE: Final = re.compile(r'[\\"]')
_PAIR: Final = re.compile(r"\\(.)")
_PARAMETER: Final = re.compile(r'(;[ \t]*[^ \t=;"*]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)"|([^ \t;"]*))')
_NOT_IN_PARAMETER: Final = re.compile(rb"[^0-9A-Za-z._-]")

_ADDRESSES: Final = frozenset(
    (
        *("from", "sender", "reply-to", "to", "cc", "bcc", "return-path", "delivered-to", "errors-to"),
        *("resent-from", "resent-sender", "resent-reply-to", "resent-to", "resent-cc", "resent-bcc"),
        *("disposition-notification-to", "mail-followup-to", "mail-reply-to"),
    )
)
_PARAMETERS: Final = frozenset(("content-type", "content-disposition"))
_ASCII_ONLY: Final = frozenset(
    (
        *(
            "date",
            "resent-date",
            "message-id",
            "resent-message-id",
            "in-reply-to",
            "references",
            "content-id",
        ),
        *("mime-version", "content-transfer-encoding", "dkim-signature", "arc-message-signature", "arc-seal"),
    )
)

_LONGEST_STRUCTURED: Final = 16_384
"""Characters of a field that the standard library is given to take apart, see above."""


def decode(value: bytes, name: str = "") -> str:
    """The value of a header field as text: unfolded (RFC 5322 §2.2.3), encoded words decoded (RFC 2047), no
    blanks around it. Never raises.

    Octets are UTF-8, or else ISO 8859-1. There is no CR, LF, NUL or lone surrogate in the result, even if an
    encoded word hides one: it may be written into a field again. If the field of that name holds addresses,
    what an encoded word hides is quoted where it could be taken for an address.
    """
    value = _FOLD.sub(b"", value)
    if b"=?" not in value:
        text = _text(value)
    elif name.lower() in _ADDRESSES:
        pieces = enumerate(_QUOTED_OCTETS.split(value))
        text = "".join(_decoded(piece, _in_quotes if i % 2 else _as_phrase) for i, piece in pieces)
    else:
        text = _decoded(value)
    return text.translate(_ONE_LINE).strip(" \t")


def encode(name: str, value: str) -> bytes:
    """``value`` in ASCII, in one line, as it is written in a field of this name.

    Names of people, comments, parameters and free text are encoded each in their way. Raises
    `LocalProtocolError` where the field has no place for such text, as in an address (SMTPUTF8 has), a date
    or a message id, and `UnicodeEncodeError` for a lone surrogate that stands for no octet.
    """
    text = _text(value.encode("utf-8", "surrogateescape"))
    field = name.lower()
    if field in _ADDRESSES:
        text = "".join(_encoded_address_part(part) for part in _ADDRESS_PART.finditer(text))
    elif field in _PARAMETERS:
        text = _PARAMETER.sub(_encoded_parameter, text)
    elif field not in _ASCII_ONLY:
        text = _encoded_text(text)
    if not text.isascii():
        raise LocalProtocolError(f"{name} has no place for what is not ASCII there")
    return text.encode("ascii")


def parse(data: bytes) -> EmailMessage:
    """A message as the standard library reads it. Never raises, neither do its fields: one that the library
    cannot take apart, or that is long, reads as empty; a message whose parts cannot be found has one."""
    from email import message_from_bytes
    from email.parser import BytesHeaderParser

    policy = _reading_policy()
    try:
        message: Any = message_from_bytes(data, policy=policy)
    except Exception:
        # Such as RecursionError: parts in parts in parts.
        message = BytesHeaderParser(policy=policy).parsebytes(data)
    return cast("EmailMessage", message)


def serialise(message: Message, *, utf8: bool = False) -> bytes:
    """A message of the standard library as octets with CRLF, 8-bit text as it is, fields that were read and
    not changed as they were. ``utf8``: no encoded words. Raises `LocalProtocolError`."""
    from email import policy
    from email.message import Message

    if not isinstance(message, Message):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise LocalProtocolError(f"an EmailMessage or bytes, not {type(message).__name__}")
    try:
        return message.as_bytes(policy=policy.SMTP.clone(refold_source="none", utf8=utf8))
    except Exception as error:
        raise LocalProtocolError(f"the message cannot be written: {error}") from error


@cache
def _reading_policy() -> Any:
    from email.headerregistry import UnstructuredHeader
    from email.policy import EmailPolicy

    class ReadingPolicy(EmailPolicy):
        def header_fetch_parse(self, name: str, value: str) -> Any:
            if hasattr(value, "name"):  # a header object, which somebody has set
                return value
            known: Any = self.header_factory
            long = len(value) > _LONGEST_STRUCTURED and not issubclass(known[name], UnstructuredHeader)
            try:
                return super().header_fetch_parse(name, "" if long else value)
            except Exception:
                return super().header_fetch_parse(name, "")

    return ReadingPolicy()


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _decoded(value: bytes, made: Callable[[str], str] = str) -> str:
    """The text of a value with encoded words. Blanks between two of them are dropped (RFC 2047 §6.2)."""
    parts: list[str] = []
    at = 0
    charset = ""
    run: list[bytes] = []  # words side by side: a character may begin in one and end in the next
    for word in _WORD.finditer(value):
        between = value[at : word.start()]
        apart = not at or bool(between.strip(b" \t"))
        name = word[1].partition(b"*")[0].decode("latin-1")  # a language may follow (RFC 2231 §5)
        if apart or name != charset:
            parts.append(made(_in_charset(b"".join(run), charset)))
            run.clear()
        if apart:
            parts.append(_text(between))
        charset = name
        run.append(_octets_of(word))
        at = word.end()
    parts.append(made(_in_charset(b"".join(run), charset)))
    parts.append(_text(value[at:]))
    return "".join(parts)


def _as_phrase(text: str) -> str:
    return f'"{_in_quotes(text)}"' if _SPECIAL.search(text) else text


def _in_quotes(text: str) -> str:
    return _TO_ESCAPE.sub(r"\\\g<0>", text)


def _octets_of(word: re.Match[bytes]) -> bytes:
    if word[2] in b"qQ":
        return binascii.a2b_qp(word[3], header=True)
    try:
        return binascii.a2b_base64(word[3] + b"==")
    except binascii.Error:
        return word[0]


def _in_charset(octets: bytes, charset: str) -> str:
    codec = _CHARSETS.get(re.sub(r"[^0-9a-z]+", "_", charset.lower()), "ascii")
    if codec == "ascii":  # or unknown: most are ASCII and something else
        return _text(octets)
    try:
        text = octets.decode(codec, "replace")
    except (LookupError, ValueError):  # no charset, such as "rot13"
        return _text(octets)
    return text.encode("utf-8", "replace").decode()  # UTF-7 can hold lone surrogates


def _encoded_text(text: str) -> str:
    """Words before the first one that has to be encoded, and after the last one, stay as they are."""
    found = [match.end() for match in _NEEDS_WORD.finditer(text)]
    if not found:
        return text
    first, last = found[0] - 1, found[-1]
    start = max(text.rfind(" ", 0, first), text.rfind("\t", 0, first)) + 1
    ends = [end for end in (text.find(" ", last), text.find("\t", last)) if end >= 0]
    end = min(ends, default=len(text))
    return text[:start] + _words(text[start:end]) + text[end:]


def _words(text: str) -> str:
    octets = text.encode()
    words: list[bytes] = []
    start = 0
    while start < len(octets):
        end = min(start + _WORD_OCTETS, len(octets))
        while end < len(octets) and octets[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        words.append(_word(octets[start:end]))
        start = end
    return b" ".join(words).decode("ascii")


def _word(octets: bytes) -> bytes:
    q = _NOT_IN_Q.sub(_in_q, octets).replace(b" ", b"_")
    b = binascii.b2a_base64(octets, newline=False)
    readable = len(q) <= min(_WORD_TEXT, len(b) * 3 // 2)
    return b"=?utf-8?q?%b?=" % q if readable else b"=?utf-8?b?%b?=" % b


def _in_q(octet: re.Match[bytes]) -> bytes:
    return b"=%02X" % ord(octet[0])


def _encoded_address_part(part: re.Match[str]) -> str:
    """Encoded words are possible in comments and phrases only (RFC 2047 §5)."""
    if part[0].isascii():
        return part[0]
    if part["comment"]:
        return f"({_words(_PAIR.sub(_second, part['comment']))}{part['close']}"
    phrase, after = part["phrase"], part["after"]
    if not after or phrase.isascii():
        return part[0]  # an address, with what cannot be in it
    words = _words(_QUOTED.sub(_unquoted, phrase).strip(" \t"))
    return (" " if part.start() else "") + words + (" " if after != ":" else "") + after


def _unquoted(quoted: re.Match[str]) -> str:
    return _PAIR.sub(_second, quoted[1])


def _second(pair: re.Match[str]) -> str:
    return pair[1]


def _encoded_parameter(parameter: re.Match[str]) -> str:
    """RFC 2231 §4."""
    quoted, bare = parameter[2], parameter[3]
    text = bare if quoted is None else _PAIR.sub(_second, quoted)
    if text.isascii():
        return parameter[0]
    octets = _NOT_IN_PARAMETER.sub(_in_percent, text.encode())
    return f"{parameter[1]}*=utf-8''{octets.decode('ascii')}"


def _in_percent(octet: re.Match[bytes]) -> bytes:
    return b"%%%02X" % ord(octet[0])
