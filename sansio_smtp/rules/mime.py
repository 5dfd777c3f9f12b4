"""MIME for rules: text in header fields (RFC 2047, RFC 2231), and whole messages as `email.message` objects.

Fields are read and written here, in time proportional to their length: the standard library takes seconds for
a hostile list of addresses of 8 kB. Only this module imports `email`, and only for whole messages.

Mail programs show the parts of a field that a rule does not change as before: `decode` reads charsets as they
do, and `encode` gets the octets of the old field, so that unreadable text keeps its octets. The module
`words` explains this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, cast

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import charsets
from sansio_smtp.rules.words import MARK, WORD_TEXT, Piece, encoded, marked, pieces, plain, words

if TYPE_CHECKING:
    from email.message import EmailMessage as EmailMessage
    from email.message import Message

__all__ = ["decode", "encode", "parse", "serialise"]

_ORDINARY: Final = re.compile(rb"[\t -~]*")
_FOLD: Final = re.compile(rb"\r?\n(?=[ \t])")
# Text that needs encoded words: all that is not ASCII; text that looks like an encoded word; nothing.
_NOT_ASCII: Final = re.compile(r"[^\0-\x7f]|=\?")
_NOTHING: Final = re.compile(r"(?!)")
_TOUCHING: Final = re.compile(rf'[^ \t"]{MARK}|{MARK}[^ \t"]')
_STRUCTURE: Final = re.compile(rb"([,;:<>()]+)")

# A list of addresses (RFC 5322 §3.4) in parts: a comment; a phrase, with the address or colon after it.
_ADDRESS_PART: Final = re.compile(
    r"\((?P<comment>(?>(?:[^()\\]|\\.)*))(?P<close>\)?)"
    r'|(?P<phrase>(?>(?:"(?>(?:[^"\\]|\\.)*)"?|[^"\\,:;<>()@])+))(?P<after><[^>]*>?|:|)'
    r"|<[^>]*>?|."
)
_QUOTED: Final = re.compile(r'"((?>(?:[^"\\]|\\.)*))"?')
_QUOTED_OCTETS: Final = re.compile(rb'("(?>(?:[^"\\]|\\.)*)"?)')
_SPECIAL: Final = re.compile(r'[()<>\[\]:;@\\,"]')
_SPECIAL_IN_PARAMETERS: Final = re.compile(r'[;\\"]')
_TO_ESCAPE: Final = re.compile(r'[\\"]')
_PAIR: Final = re.compile(r"\\(.)")
_PARAMETER: Final = re.compile(r'(;[ \t]*[^ \t=;"*]+)[ \t]*=[ \t]*(?:"((?>(?:[^"\\]|\\.)*))"|([^ \t;"]*))')
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
"""The most characters of a field that the standard library parses, see above."""


def decode(value: bytes, name: str = "") -> str:
    """The value of a header field as text: unfolded (RFC 5322 §2.2.3), encoded words decoded (RFC 2047), no
    blanks around it. Never raises.

    Octets are UTF-8, or else windows-1252. The result holds no CR, LF, NUL or lone surrogate, even if an
    encoded word hides one, so it can be written into a field again. If a field of that name holds addresses
    or parameters, hidden text of an encoded word is quoted where it could be read as an address or a
    parameter.
    """
    if _ORDINARY.fullmatch(value) and b"=?" not in value:  # nothing to decode: 1 µs in place of 13
        return value.decode("ascii").strip(" \t")
    return "".join(piece.text for piece in _pieces(value, name)).strip(" \t")


def encode(name: str, value: str, old: bytes = b"", *, utf8: bool = False) -> bytes:
    """``value`` in one line, encoded for a field of this name: in ASCII, or in UTF-8 if ``utf8``.

    ``old`` is the old value of the field. Its unreadable parts that are still in ``value`` keep their octets.
    Text hidden by its encoded words stays hidden.

    Names of people, comments, parameters and free text are encoded in different ways. Raises
    `LocalProtocolError` if such text is not possible there, as in an address (without SMTPUTF8), a date or a
    message id, and `UnicodeEncodeError` for a lone surrogate that does not represent an octet.
    """
    octets = value.encode("utf-8", "surrogateescape")
    value = charsets.text_of(octets)
    field = name.lower()
    was = list(_pieces(old, name))
    text, kept = marked(value, was)
    hides = "=?" in text and _still_hidden(text, was)
    if not kept and not hides and (utf8 or value.isascii()):
        return octets
    needs = _needs(text, kept, utf8=utf8, hides=hides)
    if kept and field in _PARAMETERS and needs.search(text):
        text = value  # a percent-encoded parameter cannot hold a source
        kept.clear()
        needs = _needs(text, kept, utf8=utf8, hides=hides)
    written = _written(field, text, kept, needs)
    if not (utf8 or written.isascii()):
        raise LocalProtocolError(f"{name} has no place for what is not ASCII there")
    parts = written.encode().split(MARK.encode())
    sources = (*(piece.source for piece in kept), b"")
    return b"".join(octets for pair in zip(parts, sources, strict=True) for octets in pair)


def parse(data: bytes) -> EmailMessage:
    """A message as the standard library reads it. Neither this nor its fields raise: a field that the library
    cannot parse, or that is too long, is empty; a message whose parts cannot be found has one part."""
    from email import message_from_bytes
    from email.parser import BytesHeaderParser

    policy = _reading_policy()
    try:
        message: Any = message_from_bytes(data, policy=policy)
    except Exception:
        # Such as RecursionError, from deeply nested parts.
        message = BytesHeaderParser(policy=policy).parsebytes(data)
    return cast("EmailMessage", message)


def serialise(message: Message, *, utf8: bool = False) -> bytes:
    """A message of the standard library as octets with CRLF. 8-bit text and fields that were read but not
    changed keep their octets. ``utf8``: no encoded words. Raises `LocalProtocolError`."""
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
            if hasattr(value, "name"):  # a header object that was set by code
                return value
            known: Any = self.header_factory
            long = len(value) > _LONGEST_STRUCTURED and not issubclass(known[name], UnstructuredHeader)
            try:
                return super().header_fetch_parse(name, "" if long else value)
            except Exception:
                return super().header_fetch_parse(name, "")

    return ReadingPolicy()


def _pieces(value: bytes, name: str) -> Iterator[Piece]:
    value = _FOLD.sub(b"", value)
    field = name.lower()
    if field not in _ADDRESSES and field not in _PARAMETERS:
        yield from pieces(value)
        return
    bare = _as_phrase if field in _ADDRESSES else _as_value
    for i, part in enumerate(_QUOTED_OCTETS.split(value)):
        for piece in pieces(part, _in_quotes if i % 2 else bare):
            if piece.source and not piece.is_word:
                yield from map(plain, _STRUCTURE.split(piece.source))
            else:
                yield piece


def _written(field: str, text: str, kept: list[Piece], needs: re.Pattern[str]) -> str:
    if field in _ADDRESSES:
        return _ADDRESS_PART.sub(partial(_address_part, needs), text)
    if field in _PARAMETERS:
        return _PARAMETER.sub(partial(_parameter, needs), text)
    return text if field in _ASCII_ONLY else encoded(text, kept, needs)


def _still_hidden(text: str, was: list[Piece]) -> bool:
    """Returns True if text that was shown before would now become an encoded word, because encoded words had
    hidden it or a part of it."""
    shown = "".join(piece.text for piece in was)
    plain_text = MARK.join(piece.text for piece in was if not piece.is_word)
    return any(word[0] in shown and word[0] not in plain_text for word in WORD_TEXT.finditer(text))


def _needs(text: str, kept: list[Piece], *, utf8: bool, hides: bool) -> re.Pattern[str]:
    # Octets that are not UTF-8 are kept: no program could read both.
    raw = not all(piece.source.isascii() for piece in kept)
    if not text.isascii() and (raw or not utf8):
        return _NOT_ASCII
    return WORD_TEXT if hides else _NOTHING


def _as_phrase(text: str) -> str:
    return f'"{_in_quotes(text)}"' if _SPECIAL.search(text) else text


def _as_value(text: str) -> str:
    return f'"{_in_quotes(text)}"' if _SPECIAL_IN_PARAMETERS.search(text) else text


def _in_quotes(text: str) -> str:
    return _TO_ESCAPE.sub(r"\\\g<0>", text)


def _address_part(needs: re.Pattern[str], part: re.Match[str]) -> str:
    """Encodes a part of an address field. Encoded words are possible only in comments and phrases (RFC 2047
    §5)."""
    if part["comment"]:
        if not needs.search(part["comment"]):
            return part[0]
        return f"({words(_PAIR.sub(_second, part['comment']))}{part['close']}"
    phrase, after = part["phrase"], part["after"]
    if not after or not (needs.search(phrase) or _TOUCHING.search(phrase)):
        return part[0]  # an address, maybe an invalid one
    text = words(_QUOTED.sub(_unquoted, phrase).strip(" \t"))
    return (" " if part.start() else "") + text + (" " if after != ":" else "") + after


def _unquoted(quoted: re.Match[str]) -> str:
    return _PAIR.sub(_second, quoted[1])


def _second(pair: re.Match[str]) -> str:
    return pair[1]


def _parameter(needs: re.Pattern[str], parameter: re.Match[str]) -> str:
    """Encodes a parameter (RFC 2231 §4)."""
    quoted, bare = parameter[2], parameter[3]
    text = bare if quoted is None else _PAIR.sub(_second, quoted)
    if not needs.search(text):
        return parameter[0]
    octets = _NOT_IN_PARAMETER.sub(_in_percent, text.encode())
    return f"{parameter[1]}*=utf-8''{octets.decode('ascii')}"


def _in_percent(octet: re.Match[bytes]) -> bytes:
    return b"%%%02X" % ord(octet[0])
