"""Commands (RFC 5321 §4.1): a value type that keeps the original octets."""

from __future__ import annotations

import re
from typing import Any, Final, Never, cast

import attrs

from sansio_smtp.arguments import wrong_type
from sansio_smtp.errors import LocalProtocolError, MailboxError
from sansio_smtp.verbs import UNKNOWN, VERBS, Effect, Kind

from .paths import Mailbox, read_path

__all__ = [
    "END_OF_CHUNKS",
    "END_OF_DATA",
    "Command",
    "Parameter",
    "Path",
    "auth_line",
    "chunk_command",
    "chunk_size",
    "octet_count",
]

# A verb ends at SP, TAB or the end of the line. So "Subject: x" has no verb.
_VERB: Final = re.compile(rb"([A-Za-z][A-Za-z0-9-]*)(?=[ \t]|\Z)")
_BDAT: Final = re.compile(rb"BDAT[ ]+([0-9]{1,19})([ ]+LAST)?[ \t]*", re.IGNORECASE)
# A quoted string between the brackets may hold any of these (RFC 5321 §4.1.2).
_PATH: Final = re.compile(
    rb'(?:FROM|TO):[ \t]*(<(?:"(?:[^"\\\0]|\\[^\0])*"|[^">\0])*>|[^<> \t][^ \t]*)(?:[ \t]+(.*))?',
    re.I | re.DOTALL,
)
# RFC 4422 §3.1. A word in mixed case may be base64, of a client that left out the mechanism.
_MECHANISM: Final = re.compile(rb"[A-Z0-9_-]{1,20}|[a-z0-9_-]{1,20}")
_NOT_READ: Final = object()
_WITH_REVERSE_PATH: Final = frozenset(name for name, verb in VERBS.items() if verb.effect is Effect.BEGIN)

_MAX_CHUNK: Final = 2**63 - 1
_CHUNK: Final = Kind.CHUNK


@attrs.frozen
class Parameter:
    """``keyword[=value]`` after a path (RFC 5321 §4.1.2); the keyword is upper-case."""

    keyword: str
    value: str | None = None


@attrs.frozen
class Path:
    """A reverse-path or forward-path with its parameters (RFC 5321 §4.1.2).

    ``address`` is the text between the angle brackets; it is empty for the null reverse-path. Octets that are
    not UTF-8 are kept by surrogateescape.
    """

    address: str
    parameters: tuple[Parameter, ...] = ()

    def parameter(self, keyword: str) -> str | None:
        """The value of a parameter, ``""`` if it has none, or None if it is not there."""
        for parameter in self.parameters:
            if parameter.keyword == keyword:
                return parameter.value or ""
        return None


def _public(kind: Kind, words: list[bytes]) -> int:
    """The number of words at the beginning of a line that cannot be secret. In a misspelt AUTH the first word
    may already be a secret."""
    if kind is not Kind.AUTH:
        return 0
    return 2 if len(words) > 1 and _MECHANISM.fullmatch(words[1]) else 1


@attrs.define(eq=False, slots=True, repr=False)
class Command:
    """One line of the client. ``raw`` is the line without its CRLF, exactly as it came.

    ``secret`` is True if the line holds a credential, which appears in no repr, log or transcript: see
    `shown`. Treat a command as immutable.
    """

    verb: bytes
    """First word in upper case, as bytes: ``b"MAIL"``; ``b""`` if the line does not begin with one. It equals
    no str."""
    raw: bytes
    kind: Kind = Kind.PLAIN
    secret: bool = False
    _path: object = attrs.field(default=_NOT_READ, init=False)

    @classmethod
    def parse(cls, raw: bytes) -> Command:
        """Reads a line without its CRLF. Any octets give a command; `verb` is empty if the line does not
        begin with a verb."""
        try:
            match = _VERB.match(raw)
        except TypeError:
            raise wrong_type("Command.parse takes bytes", raw, "Command.of takes text") from None
        if match is None:
            return cls(b"", raw, secret=b"AUTH" in raw.upper())
        verb = match[1].upper()
        kind = VERBS.get(verb, UNKNOWN).kind
        if kind is _CHUNK and (last := _BDAT.fullmatch(raw)) is not None and last[2]:
            kind = Kind.LAST_CHUNK
        is_secret = b"AUTH" in verb and len(words := raw.split()) > max(_public(kind, words), 1)
        return cls(verb, raw, kind, is_secret)

    @classmethod
    def of(cls, line: Command | str | bytes, *more: Never) -> Command:
        """A command of our own, such as ``Command.of("MAIL FROM:<ann@example.com>")``: one line, without its
        CRLF.

        Raises `LocalProtocolError` if it holds CR, LF or NUL, or has no verb."""
        if more:
            raise TypeError(
                'Command.of takes the whole line as one text, such as "RCPT TO:<ann@example.com>"'
            )
        if isinstance(line, str):
            line = line.encode("utf-8", "surrogateescape")  # as `Path` decodes
        if isinstance(line, bytes):
            line = cls.parse(line)
        elif not isinstance(line, Command):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise wrong_type("a command is a str, bytes or Command", line, 'such as "EHLO me.example"')
        line.check()
        if not line.verb:
            raise LocalProtocolError(
                f"not a command line: {line.shown!r}; a command begins with a verb, such as NOOP"
            )
        return line

    def as_secret(self) -> Command:
        """The same line, treated as a credential."""
        return Command(self.verb, self.raw, self.kind, secret=True)

    def as_dropped(self) -> Command:
        """The same BDAT, which belongs to no message."""
        return Command(self.verb, self.raw, Kind.DROPPED_CHUNK)

    def as_plain(self) -> Command:
        """The same line, treated as one that does not change the framing."""
        return Command(self.verb, self.raw, Kind.PLAIN, self.secret)

    def check(self) -> None:
        """Raises `LocalProtocolError` if the line could be read as more than one line."""
        raw = self.raw
        if b"\r" in raw or b"\n" in raw or b"\0" in raw:
            hint = "; send each line by itself, without its CRLF" if b"\0" not in raw else ""
            raise LocalProtocolError(f"a command must not hold CR, LF or NUL: {self.shown!r}{hint}")

    @property
    def argument(self) -> bytes:
        """The octets after the verb and one space."""
        return self.raw[len(self.verb) + 1 :]

    @property
    def shown(self) -> bytes:
        """The line as a log or a transcript may show it, secrets masked."""
        if not self.secret:
            return self.raw
        words = self.raw.split()
        return b" ".join((*words[: _public(self.kind, words)], b"********"))

    @property
    def secrets(self) -> list[bytes]:
        """The credentials in the line, as sent. Words of fewer than four octets are left out."""
        words = self.raw.split() if self.secret else []
        return [word for word in words[_public(self.kind, words) :] if len(word) >= 4]

    @property
    def path(self) -> Path | None:
        """The path of MAIL or RCPT with its parameters, read leniently and as the client spelled it; None if
        the line has no readable path. To compare addresses use `mailbox`."""
        if self._path is _NOT_READ:
            self._path = self._read_path()
        return cast("Path | None", self._path)

    def _read_path(self) -> Path | None:
        match = _PATH.fullmatch(self.argument.strip(b" \t"))
        if match is None:
            return None
        address = match[1].removeprefix(b"<").removesuffix(b">")
        words = (match[2] or b"").split()
        parameters = (_text(word).partition("=") for word in words)
        return Path(
            _text(address),
            tuple(
                Parameter(keyword.upper(), value if is_set else None) for keyword, is_set, value in parameters
            ),
        )

    @property
    def mailbox(self) -> Mailbox | None:
        """The mailbox that MAIL or RCPT names, for comparing: its domain is in lower case, and quotes and
        source routes, which change nothing, are gone.

        None for other commands, and for a path that is none or that servers may read in different ways: what
        is decided by a mailbox is best refused then, with 501."""
        forward = self.verb == b"RCPT"
        if not forward and self.verb not in _WITH_REVERSE_PATH:
            return None
        try:
            return read_path(self.argument, forward=forward, utf8=True)
        except MailboxError:
            return None

    @property
    def declared_size(self) -> int:
        """The SIZE parameter of MAIL in octets (RFC 1870 §6); 0 if there is none that can be read."""
        path = self.path
        return octet_count((path.parameter("SIZE") or "") if path else "")

    def __repr__(self) -> str:
        return f"Command({self.shown!r})"

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """For Hypothesis: a call that makes this command again, to paste into a test. Secrets are masked."""
        printer.text(f"Command.parse({self.shown!r})")

    def __str__(self) -> str:
        return self.shown.decode("utf-8", "backslashreplace")


END_OF_DATA: Final = Command(b"", b".", Kind.END_OF_DATA)
"""Represents end-of-data where replies are matched to commands."""
END_OF_CHUNKS: Final = attrs.evolve(END_OF_DATA)
"""The same for a client's last chunk. It is a different object, because the refusal of an earlier chunk may
already have answered the message."""


def auth_line(raw: bytes) -> Command:
    """A line of the client in an AUTH exchange (RFC 4954 §4). It is opaque and secret, and not a command."""
    return Command(b"", raw, Kind.AUTH_LINE, secret=True)


def chunk_command(size: int, *, last: bool) -> Command:
    """The BDAT for a chunk of this many octets."""
    raw = b"BDAT %d LAST" % size if last else b"BDAT %d" % size
    return Command(b"BDAT", raw, Kind.LAST_CHUNK if last else Kind.CHUNK)


def octet_count(text: str) -> int:
    """The number in 1 to 20 ASCII digits (RFC 1870 §3); 0 for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 20 else 0


def chunk_size(command: Command) -> int | None:
    """The octet count that a BDAT line announces (RFC 3030 §2), or None if it announces none."""
    match = _BDAT.fullmatch(command.raw)
    size = int(match[1]) if match else None
    return size if size is not None and size <= _MAX_CHUNK else None


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")
