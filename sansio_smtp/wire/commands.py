"""Commands (RFC 5321 §4.1): a value type that keeps the octets it came in, and what each verb means
to framing. The meaning of a verb is data in one table, not a class each."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

import attrs

from sansio_smtp.errors import LocalProtocolError

__all__ = [
    "END_OF_DATA",
    "HTTP_VERBS",
    "REFUSED_VERBS",
    "VERB_KINDS",
    "Command",
    "Kind",
    "Parameter",
    "Path",
    "auth_line",
    "chunk_size",
    "octet_count",
]


class Kind(Enum):
    """What a client line means to framing; everything else about it is the server's to judge."""

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is a Python call, in every lookup

    PLAIN = "plain"
    """One line for one reply; whoever sends it waits for that reply before the next line."""
    GROUP = "group"
    """As PLAIN, and may have more lines behind it in a command group (RFC 2920 §3.1)."""
    HELLO = "hello"
    DATA = "data"
    AUTH = "auth"
    AUTH_LINE = "auth line"
    END_OF_DATA = "end of data"
    QUIT = "quit"
    VIOLATION = "violation"
    """Octets that cannot be read as a line; the reply to them is the last one."""


VERB_KINDS: Final[dict[bytes, Kind]] = {
    b"MAIL": Kind.GROUP,
    b"RCPT": Kind.GROUP,
    b"RSET": Kind.GROUP,
    b"SEND": Kind.GROUP,
    b"SOML": Kind.GROUP,
    b"SAML": Kind.GROUP,
    b"EHLO": Kind.HELLO,
    b"HELO": Kind.HELLO,
    b"DATA": Kind.DATA,
    b"AUTH": Kind.AUTH,
    b"QUIT": Kind.QUIT,
    b"NOOP": Kind.PLAIN,
    b"VRFY": Kind.PLAIN,
    b"EXPN": Kind.PLAIN,
    b"HELP": Kind.PLAIN,
}
"""Verbs with a meaning to framing, or known to have none. Any other verb is `Kind.PLAIN`."""

REFUSED_VERBS: Final[frozenset[bytes]] = frozenset(
    b"STARTTLS BDAT XCLIENT XFORWARD TURN ATRN ETRN XEXCH50 X-EXPS X-LINK2STATE LHLO".split()
)
"""Verbs that change framing, roles or the number of replies (LHLO, RFC 2033 §4.2) in a way that is
not carried: answered 502, never forwarded."""

HTTP_VERBS: Final[frozenset[bytes]] = frozenset(
    b"GET POST PUT HEAD DELETE OPTIONS CONNECT TRACE PATCH PRI".split()
)
"""First words of HTTP requests: a browser or a forged request talking to a mail port."""

# A verb ends at SP, TAB or the end of the line: "Subject: x" is no command, whoever says so.
_VERB: Final = re.compile(rb"([A-Za-z][A-Za-z0-9-]*)(?=[ \t]|\Z)")
_BDAT: Final = re.compile(rb"BDAT[ ]+([0-9]{1,19})(?:[ ]+LAST)?[ \t]*", re.IGNORECASE)
# Between the brackets a quoted string may hold any of them (RFC 5321 §4.1.2).
_PATH: Final = re.compile(
    rb'(?:FROM|TO):[ \t]*(<(?:"(?:[^"\\\0]|\\[^\0])*"|[^">\0])*>|[^<> \t][^ \t]*)(?:[ \t]+(.*))?',
    re.I | re.DOTALL,
)
_FORBIDDEN: Final = re.compile(rb"[\r\n\0]")

_MAX_CHUNK: Final = 2**63 - 1


@attrs.frozen
class Parameter:
    """``keyword[=value]`` behind a path (RFC 5321 §4.1.2); the keyword is upper-case."""

    keyword: str
    value: str | None = None


@attrs.frozen
class Path:
    """A reverse-path or forward-path with its parameters (RFC 5321 §4.1.2).

    ``address`` is what stands between the angle brackets; it is empty for the null reverse-path.
    Octets that are not UTF-8 are kept by surrogateescape.
    """

    address: str
    parameters: tuple[Parameter, ...] = ()

    def parameter(self, keyword: str) -> str | None:
        """The value of a parameter, ``""`` if it has none, or None if it is not there."""
        for parameter in self.parameters:
            if parameter.keyword == keyword:
                return parameter.value or ""
        return None


@attrs.define(eq=False, slots=True, repr=False)
class Command:
    """One client line. ``raw`` is the line without its CRLF, exactly as it came.

    ``secret`` marks a credential: its text appears in no repr, log or transcript (`shown`).
    Treat it as immutable.
    """

    verb: bytes
    """First word, upper-case; ``b""`` if the line does not begin with one."""
    raw: bytes
    kind: Kind = Kind.PLAIN
    secret: bool = False

    @classmethod
    def parse(cls, raw: bytes) -> Command:
        """Reads a line (without CRLF). Any octets give a command; see `verb`."""
        match = _VERB.match(raw)
        if match is None:
            return cls(b"", raw, secret=b"AUTH" in raw.upper())
        verb = match[1].upper()
        return cls(verb, raw, VERB_KINDS.get(verb, Kind.PLAIN), b"AUTH" in verb and len(raw.split()) > 2)

    @classmethod
    def of(cls, line: str | bytes) -> Command:
        """A command of our own. Raises `LocalProtocolError` if it holds CR, LF or NUL, or has no verb."""
        command = cls.parse(line.encode() if isinstance(line, str) else line)
        command.check()
        if not command.verb:
            raise LocalProtocolError(f"not a command line: {command.shown!r}")
        return command

    def check(self) -> None:
        """Raises `LocalProtocolError` if the line could be read as more than one line."""
        if _FORBIDDEN.search(self.raw):
            raise LocalProtocolError(f"a command must not hold CR, LF or NUL: {self.shown!r}")

    @property
    def argument(self) -> bytes:
        """What follows the verb and one blank."""
        return self.raw[len(self.verb) + 1 :]

    @property
    def shown(self) -> bytes:
        """The line as a log or a transcript may show it, secrets masked."""
        if not self.secret:
            return self.raw
        if self.kind is Kind.AUTH:
            return b" ".join(self.raw.split()[:2]) + b" ********"
        return b"********"

    @property
    def secrets(self) -> list[bytes]:
        """The credentials in the line, as they were sent, but for words too short to tell anything."""
        words = self.raw.split() if self.secret else []
        return [word for word in (words[2:] if self.kind is Kind.AUTH else words) if len(word) >= 4]

    @property
    def path(self) -> Path | None:
        """The path of MAIL or RCPT, read leniently; None if there is none to be read."""
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
    def declared_size(self) -> int:
        """The SIZE parameter of MAIL (RFC 1870 §6), 0 if there is none that can be read."""
        path = self.path
        return octet_count((path.parameter("SIZE") or "") if path else "")

    def __repr__(self) -> str:
        return f"Command({self.shown!r})"

    def __str__(self) -> str:
        return self.shown.decode("utf-8", "backslashreplace")


END_OF_DATA: Final = Command(b"", b".", Kind.END_OF_DATA)
"""Stands for the end of mail data wherever a reply is matched to what it answers."""


def auth_line(raw: bytes) -> Command:
    """One line of an AUTH exchange (RFC 4954 §4): opaque, secret, never a command."""
    return Command(b"", raw, Kind.AUTH_LINE, secret=True)


def octet_count(text: str) -> int:
    """The number that 1 to 20 ASCII digits say (RFC 1870 §3), 0 for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 20 else 0


def chunk_size(command: Command) -> int | None:
    """The octet count that a BDAT line announces (RFC 3030 §2), or None if it announces none."""
    match = _BDAT.fullmatch(command.raw)
    size = int(match[1]) if match else None
    return size if size is not None and size <= _MAX_CHUNK else None


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")
