"""Reads lists of mailboxes in header fields (RFC 5322 §3.4) for guards: as all mail programs do, or as
unclear.

Mail programs write more than RFC 5322 allows: ``Smith, Ann <a@b>``, ``a@b <a@b>``, ``EXAMPLE\\ann <a@b>``.
They also read more than it allows, in different ways: in ``bob@c <a@b>`` some find one address, some the
other. A rule with only one reading can be bypassed. So a list is *clear* only if all common mail programs
find the same addresses in it::

    octets ──> tokens ──> elements, between , ; : ──> the mailboxes
                 │             │
                 └─ unclosed   └─ an @ that is no part of a plain address in a plain place ──> not clear

Every possible address has an ``@``. So if each ``@`` belongs to an address that the text around it cannot
make longer, or is in a quoted name before such an address, the programs differ only in names.

Any octets can be read, in time proportional to their length; nothing raises.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable
from typing import Final

import attrs

from .mime import decode

__all__ = ["MailboxList", "NamedMailbox", "read_mailboxes", "written"]

_FOLD: Final = re.compile(rb"\r?\n(?=[ \t])")
_TOKEN: Final = re.compile(
    r"(?P<blank>[ \t]++)"
    r'|"(?P<quoted>(?>(?:[^"\\]|\\.)*))"'
    r"|\((?P<comment>[^()\\]*+)\)"
    r"|<(?P<angle>[^<>()\"]*+)>"
    r"|(?P<separator>[,;:])"
    r'|(?P<word>[^ \t"()<>,;:]++)',
    re.DOTALL,
)
_AFTER_UNCLOSED: Final = re.compile(
    r"(?P<blank>[ \t]++)|<(?P<angle>[^<>]*+)>?|(?P<separator>[,;])|(?P<word>[^ \t<,;]++)", re.DOTALL
)
"""Tokens after an unclosed quote or comment: quotes and parentheses count as letters there."""
_PLAIN: Final = re.compile(r'[^\s"()<>,:;@\\\[\]]+@[^\s"()<>,:;@\\\[\]]+')
_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_ODD_ESCAPE: Final = re.compile(r"\\(?![0-9A-Za-z])")
_WORD: Final = re.compile(r"=\?[^? \t]+\?[bBqQ]\?[^? \t]*\?=")
_TO_ESCAPE: Final = re.compile(r'[\\"]')
_LONGEST_WORD: Final = 400
"""The most octets between two blanks in a quoted name: a line of a field has at most 998 (RFC 5322
§2.1.1)."""
_WORD_OCTETS: Final = 42
"""The octets of one encoded word: encoded it has fewer than 76 characters (RFC 2047 §2)."""


@attrs.frozen
class NamedMailbox:
    """One mailbox of a list."""

    name: str
    """The display name as shown: without quotes, encoded words decoded once; empty if there is none."""
    address: str
    """The address as written in the list; empty for a name without anything that could be an address."""


@attrs.frozen
class MailboxList:
    """The content of a list of mailboxes."""

    found: tuple[NamedMailbox, ...]
    """The mailboxes in order. If the list is not clear, they are the best guess."""
    clear: bool
    """True if all mail programs find exactly these addresses."""


def read_mailboxes(values: Iterable[bytes]) -> MailboxList:
    """Reads the values of all fields of one name, as sent, folded or not."""
    found: list[NamedMailbox] = []
    clear = True
    for value in values:
        reader = _Reader(_FOLD.sub(b"", value).rstrip(b"\r\n").decode("utf-8", "surrogateescape"))
        reader.read()
        found += reader.found
        clear = clear and reader.clear
    return MailboxList(tuple(found), clear)


def written(mailbox: NamedMailbox, *, utf8: bool = False) -> bytes:
    """The text of a mailbox for a field, so that all mail programs find its address. The address is not
    changed. ``utf8``: the name may be written in UTF-8 (RFC 6532)."""
    address = mailbox.address.encode("utf-8", "surrogateescape")
    name = "".join(char if char.isprintable() else " " for char in mailbox.name).strip()
    if not name:
        return address
    octets = name.encode("utf-8", "surrogateescape")
    fits = all(len(word) <= _LONGEST_WORD for word in octets.split(b" "))
    if fits and "=?" not in name and (name.isascii() or utf8):
        return b'"%b" <%b>' % (_TO_ESCAPE.sub(r"\\\g<0>", name).encode("utf-8", "surrogateescape"), address)
    return b"%b <%b>" % (b" ".join(_encoded_words(octets)), address)


def _encoded_words(octets: bytes) -> Iterable[bytes]:
    at = 0
    while at < len(octets):
        end = at + _WORD_OCTETS
        while end < len(octets) and octets[end] & 0xC0 == 0x80 and end > at + 1:  # within a character
            end -= 1
        yield b"=?utf-8?b?%b?=" % b2a_base64(octets[at:end], newline=False)
        at = end


class _Reader:
    """Reads one field. An *element* is the text between two separators."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.found: list[NamedMailbox] = []
        self.clear = all(char == "\t" or char >= " " for char in text) and "\x7f" not in text
        self._in_group = False
        self._group, self._group_at = "", 0
        """The name of an open group, and the number of its first mailbox."""
        self._before = ""
        """Names without an address, as in ``Smith, Ann <a@b>``."""
        self._begin()

    def _begin(self) -> None:
        self._phrase: list[str] = []
        self._name: list[str] = []
        """The phrase, with the comments in it and after it as most programs show them."""
        self._comments: list[str] = []
        self._words: list[str] = []
        self._angle: str | None = None
        self._has_quoted = False
        self._quoted_at = False

    def read(self) -> None:
        at, tokens = 0, _TOKEN
        while at < len(self._text):
            if token := tokens.match(self._text, at):
                at = token.end()
                self._take(token.lastgroup or "", token[token.lastgroup or 0])
            else:  # an unclosed or unopened quote or comment
                self.clear = False
                tokens = _AFTER_UNCLOSED
                at += self._text[at] != "<"
        self._end_element("")
        if self._in_group:
            self.clear = False
            self._keep_group()
        if self._before and not self.found:
            self.clear = False
            self._keep("", "")

    def _take(self, kind: str, text: str) -> None:
        if kind == "separator":
            self._end_element(text)
        elif kind == "angle":
            if self._angle is not None:
                self.clear = False
            self._angle = text.strip(" \t")
        elif kind == "comment":
            self._comments.append(text)
            self._name.append(f"({text})" if text.strip() else "")
        elif kind == "blank":
            self._phrase.append(" ")
            self._name.append(" ")
        else:
            if self._angle is not None:  # only comments may follow the address
                self.clear = False
            if kind == "quoted":
                self._has_quoted = True
                self._quoted_at = self._quoted_at or "@" in text
                if "\\" in text and any(char in text for char in "@<>"):
                    self.clear = False  # programs disagree on where such a text ends
                text = _PAIR.sub(r"\1", text)
            else:
                self._words.append(text)
                if _ODD_ESCAPE.search(text):
                    self.clear = False
            self._phrase.append(text)
            self._name.append(text)

    def _end_element(self, separator: str) -> None:
        if separator == ":":
            self._begin_group()
            return
        if separator == ";":
            self._group = ""
        phrase = "".join(self._phrase).strip()
        bare = [word for word in self._words if "@" in word]
        if self._angle is not None:
            self._add(phrase, self._angle, bare)
        elif len(self._words) == 1 and bare and not self._has_quoted:
            self._add("", bare[0], ())
        elif phrase:
            self._without_address(phrase, bare, separator)
        elif any("@" in comment for comment in self._comments):
            self.clear = False
        if separator == ";":
            self._in_group = False
        self._begin()

    def _begin_group(self) -> None:
        """Begins a group: ``name: mailbox, mailbox;``. Its name is not a display name."""
        if self._in_group or self._angle is not None or self._quoted_at or self._at_in_words():
            self.clear = False
        self._in_group = True
        self._group, self._group_at = "".join(self._name).strip(), len(self.found)
        self._begin()

    def _keep_group(self) -> None:
        """Treats an unclosed group as a name with a colon, as in ``Re: Ann <a@b>``."""
        if self._group and self._group_at < len(self.found):
            first = self.found[self._group_at]
            name = f"{self._group}: {first.name}" if first.name else self._group
            self.found[self._group_at] = attrs.evolve(first, name=_decoded(name))

    def _at_in_words(self) -> bool:
        return any("@" in text for text in (*self._words, *self._comments))

    def _without_address(self, phrase: str, bare: list[str], separator: str) -> None:
        if bare or self._quoted_at or any("@" in comment for comment in self._comments):
            self.clear = False
        if bare:
            found = _PLAIN.search(max(bare, key=len))
            rest = " ".join(word for word in phrase.split() if "@" not in word)
            self._keep(rest, found[0] if found else bare[0])
        else:
            self._shown(phrase, "")
            self._before += "".join(self._name).strip() + (f"{separator} " if separator else "")

    def _add(self, phrase: str, address: str, bare: Iterable[str]) -> None:
        """Adds a mailbox. The list becomes unclear if text beside the address could be another address."""
        if not _is_plain(address):
            self.clear = False
            found = _PLAIN.search(address.rpartition(":")[2])
            address = found[0] if found else address
        if self._quoted_at and sum(piece != " " for piece in self._phrase) > 1:
            self.clear = False  # some programs find an address where a quoted name touches other text
        for word in bare:
            if len(self._words) > 1 or self._has_quoted or not _same(word, address):
                self.clear = False
        for comment in self._comments:
            odd = any(char in comment for char in '"<>') or (
                "@" in comment and not _same(comment.strip(), address)
            )
            if odd:
                self.clear = False
        for text in (phrase, *self._comments):
            self._shown(text, address)
        self._keep("".join(self._name) if phrase else " ".join(self._comments), address)

    def _shown(self, text: str, address: str) -> None:
        """Returns the name as shown. Encoded words that hide a possible address make the list unclear."""
        if "=?" not in text:
            return
        if "=?" in _WORD.sub("", text):
            self.clear = False
        shown = _decoded(text)
        if any(char in shown for char in "@<>") and not _same(shown.strip(), address):
            self.clear = False

    def _keep(self, name: str, address: str) -> None:
        name = _decoded(self._before + name if name else self._before.strip(" ,;"))
        self._before = ""
        self.found.append(NamedMailbox(" ".join(name.split()), address))


def _is_plain(address: str) -> bool:
    return _PLAIN.fullmatch(address) is not None and address.isprintable() and "=?" not in address


def _same(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def _decoded(text: str) -> str:
    return decode(text.encode("utf-8", "surrogateescape"))
