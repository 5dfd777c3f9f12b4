"""Refuses messages that contain a secret, such as a private key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final, Literal

import attrs

from sansio_smtp.rules import (
    BodyVerdict,
    Defer,
    Headers,
    HeadersVerdict,
    Message,
    MessageVerdict,
    Reject,
    Transaction,
    on,
    threaded,
)

from ._contents import TooMuch
from ._parts import TOO_MANY, Part, read
from ._readings import contents_of, doubt_of

__all__ = ["SecretScan", "rules"]

Kind = Literal["aws", "github", "google", "password", "private_key", "slack", "stripe"]
# The word boundary is checked after the fixed octets: a search for these is ten times as fast.
PATTERNS: Final[dict[Kind, re.Pattern[bytes]]] = {
    "aws": re.compile(rb"A[KS]IA(?<=\b....)[A-Z0-9]{16}\b"),
    "github": re.compile(rb"gh[oprsu]_(?<=\b....)[A-Za-z0-9]{36}|github_pat_(?<=\b.{11})[A-Za-z0-9_]{36}"),
    "google": re.compile(rb"AIza(?<=\b....)[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    "password": re.compile(rb"[Pp](?:ass|ASS)(?<=\b....)(?i:word|wd|phrase)[ \t]*[:=][ \t]*[^ \t\r\n]{6}"),
    "private_key": re.compile(rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    "slack": re.compile(rb"xox[abeoprs]-(?<=\b.{5})[A-Za-z0-9-]{10}"),
    "stripe": re.compile(rb"_live_(?<=\b[rs]k_live_)[A-Za-z0-9]{24}"),
}
ORDINARY: Final = b"Received: from  by ; \r\nFrom: \r\nDate: \r\n\r\n\r\n"
"""Text that every message has: a pattern that matches it would refuse all mail."""
WINDOW: Final = 65_536
"""The number of octets that are searched at once."""


_FIRST: Final = re.compile(r"(?:\(\?[a-z]+\))?\^")
_LAST: Final = re.compile(r"(?<!\\r\?)(?<!\\)\$\Z")


def _finds_in_lines(rule: object, attribute: object, patterns: dict[str, re.Pattern[str]]) -> None:
    """Raises ValueError for an expression that is meant for lines, but would match only at one place of a
    message."""
    for name, pattern in patterns.items():
        if _FIRST.match(pattern.pattern) and not pattern.flags & re.MULTILINE:
            raise ValueError(
                f'the pattern "{name}" begins with ^, which matches only at the first octet of a message; '
                "write (?m)^ to match at each line"
            )
        if _LAST.search(pattern.pattern):
            raise ValueError(f'the pattern "{name}" ends with $, but lines end in CR LF; write (?m)...\\r?$')


@attrs.frozen(eq=False)
class SecretScan:
    r"""Refuses messages in which a regular expression finds something. ::

        [rules.secret_scan]
        builtin = ["aws", "private_key"]         # if left out: all but "password"
        patterns = { ticket = 'SECRET-\d{6}' }   # your own, with names for the reply
        whole = true                             # decode base64 and quoted-printable too
        action = "defer"                         # if left out: "reject"
        text = "5.7.1 no secrets, please"        # of the reply; the pattern's name is added
        broken = false                           # if left out: true

    Without ``whole`` the message is searched as it streams, in its octets as sent, and every match of up to
    ``max_match`` octets is found. With ``whole`` the message is held until all of it is there (it is refused
    if it is larger than what the proxy holds), and its parts are searched as any common mail program decodes
    them. ``broken`` then refuses messages whose parts mail programs read in different ways; without it they
    pass if no reading holds a secret. Archives and encrypted parts are not opened.
    """

    guards: ClassVar[bool] = True
    builtin: tuple[Kind, ...] = tuple(name for name in PATTERNS if name != "password")
    patterns: dict[str, re.Pattern[str]] = attrs.field(
        factory=dict[str, re.Pattern[str]], validator=_finds_in_lines
    )
    whole: bool = False
    action: Literal["reject", "defer"] = "reject"
    text: str = "5.7.1 the message seems to hold a secret"
    max_match: int = attrs.field(default=1_024, validator=attrs.validators.ge(1))
    broken: bool = True
    _search: dict[str, re.Pattern[bytes]] = attrs.field(
        init=False, repr=False, factory=dict[str, re.Pattern[bytes]]
    )

    def __attrs_post_init__(self) -> None:
        if not (self.builtin or self.patterns):
            raise ValueError("nothing would be searched: builtin and patterns are empty")
        self._search.update((name, PATTERNS[name]) for name in self.builtin)
        for name, own in self.patterns.items():
            self._search[name] = re.compile(own.pattern.encode(), own.flags & ~re.UNICODE)
        for name, pattern in self._search.items():
            self._refusal(name)  # raises if this cannot be a reply
            if pattern.search(b"") or pattern.search(ORDINARY):
                raise ValueError(f'the pattern "{name}" finds something in every message')

    @property
    def streams(self) -> bool:
        return not self.whole

    def headers(self, tx: Transaction, headers: Headers) -> HeadersVerdict:
        return self._look(headers.raw) or self._look(_readable(headers))

    @on("body", when="streams")
    def search_piece(self, tx: Transaction, chunk: bytes) -> BodyVerdict:
        key = f"secret_scan {id(self)}"
        if key not in tx.data:
            tx.data[key] = _Windows(self.max_match)
        for window in tx.data[key].feed(chunk):
            for name, pattern in self._search.items():
                if window.holds(pattern):
                    return self._refusal(name)
        return None

    @on("message", when="whole")
    @threaded  # large messages take a while
    def search_whole(self, tx: Transaction, msg: Message) -> MessageVerdict:
        root = read(msg.raw)
        doubt = doubt_of(root)
        if doubt == TOO_MANY or (doubt and self.broken):
            return self._doubtful(doubt)
        try:
            return next((refusal for octets in _everything(root) if (refusal := self._look(octets))), None)
        except TooMuch as error:
            return self._doubtful(str(error))

    def _doubtful(self, doubt: str) -> Reject | Defer:
        return self._answer(f"5.6.0 what mail programs read in different ways is refused here: {doubt}")

    def _look(self, octets: bytes) -> Reject | Defer | None:
        found = (name for name, pattern in self._search.items() if pattern.search(octets))
        return next(map(self._refusal, found), None)

    def _refusal(self, name: str) -> Reject | Defer:
        return self._answer(f"{self.text} ({name})")

    def _answer(self, text: str) -> Reject | Defer:
        if self.action == "reject":
            return Reject(550, text)
        return Defer(451, re.sub("^5(?=[.])", "4", text))


def _everything(root: Part) -> Iterator[bytes]:
    """A message as it was sent, and everything decoded from it. Raises `TooMuch`."""
    for part in root.walk():
        yield _readable(part.fields)
        if part.content_type.startswith("text/"):
            yield part.text.encode("utf-8", "replace")
    yield from contents_of(root, loosely=doubt_of(root) != "")


def _readable(headers: Headers) -> bytes:
    return "\n".join(field.value for field in headers).encode("utf-8", "replace")


@attrs.frozen
class _Window:
    """A piece of a stream. A match must begin between ``first`` and ``last``; a match may extend into the
    octets before and after, or look at them."""

    octets: bytes
    first: int
    last: int
    """A match that begins after this offset is found in the next window."""

    def holds(self, pattern: re.Pattern[bytes]) -> bool:
        """Returns True if the pattern matches in this window."""
        match = pattern.search(self.octets, self.first)
        return match is not None and match.start() <= self.last


class _Windows:
    """Cuts a stream into windows that overlap, at offsets that do not depend on how the stream arrives."""

    def __init__(self, max_match: int) -> None:
        self._margin = max_match + 1
        self._size = max(WINDOW, 4 * self._margin)
        self._step = self._size - 2 * self._margin
        self._held = bytearray()
        self._first = 0

    def feed(self, chunk: bytes) -> Iterator[_Window]:
        """The windows that this chunk completes; with an empty chunk the last one."""
        self._held += chunk
        while len(self._held) > self._size:
            yield _Window(bytes(self._held[: self._size]), self._first, self._size - self._margin - 1)
            del self._held[: self._step]
            self._first = self._margin
        if not chunk:
            yield _Window(bytes(self._held), self._first, len(self._held))


rules = [SecretScan]
