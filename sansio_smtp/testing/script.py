r"""Dialogue scripts: what arrives, what must leave, in the C:/S: notation of the RFCs.

::

    # RCPT refused by a rule
    # ask: RCPT
    S: 220 mx.example ESMTP
        -> C: 220 mx.example ESMTP
    C: RCPT TO:<bad@mx.example>
        ? RCPT bad@mx.example
        ! answer 550 5.7.1 not here
        -> C: 550 5.7.1 not here
    C: <eof>
        -> close S, C

Flush-left is what happens to the proxy. Consecutive lines of one side are one segment.

``C: text``, ``S: text``   octets arrive, CRLF implied; `notation` has the escapes
``C: <eof>``, ``S: <eof>`` the side sends no more
``C: <tls>``, ``S: <tls>`` the TLS handshake with it is complete; with more words, `handshakes` says which:
                           ``S: <tls TLSv1.2 verified subject=CN=mx.example>``
``S: <tls failed: why>``   it has failed
``<connected verify>``     a server is connected, for which this is the level of TLS
``<connected none kept>``  the same over a connection that another session has given back
``<timeout>``, ``<shutdown>``, ``<shutdown now>``, ``<unreachable>``, ``<client lost>``

Indented is what the proxy must do about it, and the verdicts that its questions get.

``-> C: text``, ``-> S: text``   octets leave
``-> close S, C``, ``-> abort S`` sides are closed
``-> release S``                 the connection to the server is given back
``-> tls C``, ``-> tls S``       the TLS handshake with the side begins
``-> connect other``             another server is asked for; ``home`` is the one of the start. What ``S:``
                                  says from then on is said by that one, its greeting first.
``? RCPT bad@mx.example``         a question: a verb with the address or all of the argument
``? REPLY 250 ok``                or only the code; lines of one reply are parted by ``\r\n``
``? HEADERS text``, ``? BODY_LINE text``, ``? BODY_LINES text``, ``? BODY_CHUNK text``, ``? MESSAGE text``
                                  with the decoded content, its last CRLF implied; ``<last>`` marks the
                                  end of a body. A place alone takes any question of that place.
``? CLIENT_CHANGED 192.0.2.7:51000``
                                  with the address of the client that XCLIENT has named
``? LOGIN PLAIN ann``              with the mechanism and name with which a client logs in to the proxy
``? SERVER_LOGIN PLAIN LOGIN, for ann, after 535``
                                  how to log in to a server: with the mechanisms that it offers, the name
                                  that the client has said, and the refusal of the attempt before
``! login PLAIN | \0ann\0secret``, ``! login LOGIN | - | ann | secret``
                                  with this mechanism, initial response (``-``: none, ``empty``: no octet)
                                  and responses
``! continue``, ``! answer 550 5.7.1 no``, ``! disconnect 421 4.7.0 go away``, ``! replace text``
``! route other``, ``! route home RCPT TO:<c@mx.example>``
                                  to that server, as it is or as another command
``! swallow 250 ok``, ``! inspect HEADERS, MESSAGE``
``! add RCPT TO:<c@mx.example>``  in front of a verdict: a recipient that it adds

Lines that begin with ``#`` are comments, except for these, at the top::

    # ask: RCPT, MESSAGE                    hook places and verbs to ask for
    # config: bare_newline=reject, max_line=1000
    # client: 192.0.2.1:51000, name=host.example, tls=TLSv1.3
                                            what the driver knows of the client, as `ClientInfo` has it
    # show: complete, violation             events that the script states as well
    # play: whole                           the outcome depends on the cuts, as with BODY_CHUNK

Shown events are ``-> complete 120 edited broken=SIZE``, ``-> answered 250`` (a message), ``-> violation C``,
``-> received C: EHLO x`` (secrets masked), ``-> chunk: text`` (`Config.tap`), ``-> client 192.0.2.7:51000``
(named with XCLIENT), and ``-> unusable why`` (a server).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import attrs

from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Config, UpstreamTls
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import CLIENT, SERVER, Side
from sansio_smtp.wire.commands import Command

from .copied import flush_left
from .handshakes import read_handshake
from .notation import did_you_mean, octets
from .settings import SETTINGS, read_setting
from .verdicts import HOME, SaidVerdict, said

__all__ = [
    "Asked",
    "Closed",
    "Connected",
    "Eof",
    "Feed",
    "Handshake",
    "Item",
    "Level",
    "Script",
    "ScriptError",
    "Sent",
    "Shown",
    "Signal",
    "TlsDue",
    "Verdict",
    "parse",
]

SIDES: Final = {"C": CLIENT, "S": SERVER}
SIGNALS: Final = ("timeout", "shutdown", "shutdown now", "unreachable", "client lost")

_INPUT: Final = re.compile(r"([CS]):(?: (.*))?", re.DOTALL)
_OUTPUT: Final = re.compile(r"-> ([CS]):(?: (.*))?", re.DOTALL)
_CLOSE: Final = re.compile(r"-> (close|abort|release) ([CS](?:, ?[CS])*)")
_TLS: Final = re.compile(r"<tls(?: (.+))?>")
_TLS_DUE: Final = re.compile(r"-> tls ([CS])")
_CONNECTED: Final = re.compile(r"<connected ([^ ]+)( kept)?>")
_CONNECT: Final = re.compile(r"-> connect ([^ ]+)")
_SHOWN: Final = re.compile(
    r"-> (complete [0-9]+.*|answered [0-9]+|violation [CS]|received [CS]: .*|chunk: .*|chunk:"
    r"|client .+|unusable .+)"
)
_QUESTION: Final = re.compile(r"\? ([A-Z0-9_-]+)(?: (.*))?", re.DOTALL)


_FORGOTTEN_COLON: Final = re.compile(r"ask [A-Z_]+(?:, ?[A-Z_]+)*")


class ScriptError(ValueError):
    """A script that cannot be read: where, and what is wrong."""


@attrs.frozen
class Item:
    """One statement of a script."""

    line: int


@attrs.frozen
class Feed(Item):
    """A side sends octets."""

    side: Side
    data: bytes


@attrs.frozen
class Eof(Item):
    """A side sends no more."""

    side: Side


@attrs.frozen
class Handshake(Item):
    """The TLS handshake with a side has ended: with this TLS, or why it has failed."""

    side: Side
    end: TlsInfo | str


@attrs.frozen
class Level(Item):
    """A server is connected, and this is what TLS is on its connection."""

    level: UpstreamTls
    kept: bool


@attrs.frozen
class Signal(Item):
    """Something else happens: one of `SIGNALS`."""

    name: str


@attrs.frozen
class Verdict(Item):
    """The open question is answered."""

    verdict: SaidVerdict


@attrs.frozen
class Sent(Item):
    """Octets must leave to a side."""

    side: Side
    data: bytes


@attrs.frozen
class Closed(Item):
    """A side must be closed."""

    side: Side
    how: str
    """``close``, ``abort`` if its connection is reset, ``release`` if it is given back."""


@attrs.frozen
class TlsDue(Item):
    """The TLS handshake with a side must begin."""

    side: Side


@attrs.frozen
class Connected(Item):
    """Another server must be asked for; None is the one of the start."""

    upstream: str | None


@attrs.frozen
class Asked(Item):
    """A question must be asked; ``detail`` is None if any will do."""

    place: str
    detail: str | None


@attrs.frozen
class Shown(Item):
    """An event that the script wants to see, as `player` writes it."""

    kind: str
    text: str


HAPPENS: Final = Feed | Eof | Handshake | Level | Signal
"""What happens to the proxy, besides the verdicts that it gets."""


@attrs.frozen
class Script:
    """A dialogue. ``items`` alternate between what happens and what must follow from it."""

    name: str
    items: tuple[Item, ...]
    config: Config = attrs.field(factory=Config)
    client: ClientInfo | None = None
    """What the driver knows of the client."""
    ask: frozenset[str] = frozenset()
    show: frozenset[str] = frozenset()
    whole_only: bool = False
    """True if what must leave depends on how the octets were cut (``# play: whole``)."""


def parse(text: str, name: str = "<script>") -> Script:
    """Reads a script. It may be indented as a whole, and each line may begin with ``E``, as pytest prints
    the dialogue of a test that fails; the whole report of pytest may be around it. Raises `ScriptError`,
    which says where and what."""
    return _Parser(name).parse(flush_left(text.replace("\r\n", "\n")))


@attrs.define
class _Parser:
    name: str
    line: int = 0
    items: list[Item] = attrs.field(factory=list[Item])
    headers: dict[str, Any] = attrs.field(factory=dict[str, Any])
    added: tuple[Command, ...] = ()
    """The recipients of ``! add`` for the next verdict."""

    def parse(self, text: str) -> Script:
        # Not splitlines(): that cuts at form feeds and at several characters beyond ASCII, too.
        for self.line, line in enumerate(text.split("\n"), 1):
            if line.endswith((" ", "\t")) and line.strip():
                raise self._error("blank at the end of the line; write \\x20 if it is meant")
            try:
                self._statement(line)
            except ScriptError:
                raise
            except (ValueError, LocalProtocolError) as error:
                raise self._error(str(error)) from None
        if not self.items:
            raise self._error("nothing happens in this script")
        if not isinstance(self.items[0], HAPPENS):
            self.line = self.items[0].line
            raise self._error("something must happen first")
        return Script(self.name, tuple(self.items), **self.headers)

    def _error(self, what: str) -> ScriptError:
        return ScriptError(f"{self.name}:{self.line}: {what}")

    def _statement(self, line: str) -> None:
        if not line.strip():
            return
        if line.startswith("#"):
            self._comment(line[1:].strip())
        elif line[0] in " \t":
            self._indented(line.strip(" \t"))
        else:
            self._happens(line)

    def _happens(self, line: str) -> None:
        if match := _CONNECTED.fullmatch(line):
            self.items.append(Level(self.line, UpstreamTls(match[1]), match[2] is not None))
            return
        if line[0] == "<" and line[-1] == ">":
            name = line[1:-1]
            if name not in SIGNALS:
                raise self._error(f"unknown event {line}{did_you_mean(name, SIGNALS)}")
            self.items.append(Signal(self.line, name))
            return
        match = _INPUT.fullmatch(line)
        if match is None:
            raise self._error(f"{_what_begins(line)}: {line!r}")
        side, text = SIDES[match[1]], match[2] or ""
        if text == "<eof>":
            self.items.append(Eof(self.line, side))
            return
        if match := _TLS.fullmatch(text):
            self.items.append(Handshake(self.line, side, read_handshake(match[1] or "")))
            return
        data = octets(text)
        last = self.items[-1] if self.items else None
        if isinstance(last, Feed) and last.side is side:
            self.items[-1] = Feed(last.line, side, last.data + data)
        else:
            self.items.append(Feed(self.line, side, data))

    def _indented(self, line: str) -> None:
        if line.startswith("#"):
            self._comment(line[1:].strip())
        elif match := _OUTPUT.fullmatch(line):
            self.items.append(Sent(self.line, SIDES[match[1]], octets(match[2] or "")))
        elif match := _CLOSE.fullmatch(line):
            for side in match[2].replace(",", " ").split():
                self.items.append(Closed(self.line, SIDES[side], match[1]))
        elif match := _TLS_DUE.fullmatch(line):
            self.items.append(TlsDue(self.line, SIDES[match[1]]))
        elif match := _CONNECT.fullmatch(line):
            self.items.append(Connected(self.line, None if match[1] == HOME else match[1]))
        elif match := _SHOWN.fullmatch(line):
            kind = match[1].partition(" ")[0].removesuffix(":")
            if kind not in self.headers.get("show", ()):
                raise self._error(f"'-> {kind}' needs a line '# show: {kind}' at the top")
            self.items.append(Shown(self.line, kind, match[1]))
        elif match := _QUESTION.fullmatch(line):
            self.items.append(Asked(self.line, match[1], match[2]))
        elif line.startswith("! add "):
            self.added = (*self.added, Command.of(line.removeprefix("! add ")))
        elif line.startswith("! "):
            self.items.append(Verdict(self.line, said(line[2:], self.added)))
            self.added = ()
        else:
            kinds = "'-> ' (what must leave), '? ' (a question) or '! ' (a verdict)"
            raise self._error(f"an indented line begins with {kinds}: {line!r}")

    def _comment(self, text: str) -> None:
        key, colon, value = text.partition(":")
        key = key.strip()
        if key.lower() in SETTINGS and (not key.islower() or not colon):
            raise self._error(f"a setting is written '# {key.lower()}: …'")
        if _FORGOTTEN_COLON.fullmatch(text):
            raise self._error(f"a colon is missing: '# ask: {text.partition(' ')[2]}'")
        if not colon or not key.isalpha() or not key.islower():
            return
        if key not in SETTINGS:
            if hint := did_you_mean(key, SETTINGS):
                raise self._error(f"unknown setting {key!r}{hint}")
            return
        if self.items:
            raise self._error(f"'# {key}:' must stand before the first event")
        read_setting(self.headers, key, value.strip())


def _what_begins(line: str) -> str:
    """What is wrong with a line of which nobody knows what it is."""
    if line.startswith(("->", "? ", "! ")):
        return "what follows from an event is indented; put blanks before this line"
    if line[:2].upper() in ("C:", "S:"):
        return f"write '{line[:2].upper()} {line[2:].lstrip()}'; after the colon stands one blank"
    return "a line begins with 'C: ' (the client says), 'S: ' (the server says), '<', '#', or is indented"


def groups(items: tuple[Item, ...]) -> Iterator[tuple[list[Item], list[Item]]]:
    """Pairs of what happens and what must follow. The end of input belongs to the octets before it."""
    happens: list[Item] = []
    follows: list[Item] = []
    for item in items:
        if not isinstance(item, HAPPENS | Verdict):
            follows.append(item)
            continue
        if happens and not (isinstance(item, Eof) and not follows and _feeds(happens[-1], item.side)):
            yield happens, follows
            happens, follows = [], []
        happens.append(item)
    if happens:
        yield happens, follows


def _feeds(item: Item, side: Side) -> bool:
    return isinstance(item, Feed) and item.side is side
