"""Tests each phase with each verdict that it accepts: the replies to the client, the commands to the server,
the result of the message, and that the connection continues. The cases come from `PHASES`, so that no phase
or verdict can be forgotten. The way in which the rule is called and the octets come must make no difference:
`pairs` chooses these for each verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs
import pytest
from pairs import FLAG, cases, slow_where
from rule_dialogues import ADDED, FIRST, KINDS, SECOND, Expected, Ran, Way, rule, run

from sansio_smtp import CLIENT, Reply
from sansio_smtp.rules import Accept, Close, Defer, Discard, Hold, Redirect, Reject
from sansio_smtp.rules.phases import CONTENT_PHASES, PHASES
from sansio_smtp.testing import play

VERDICTS: Final[dict[type, Any]] = {
    Accept: Accept(),
    Reject: Reject(554, "5.7.1 not this"),
    Defer: Defer(450, "4.7.1 not now"),
    Discard: Discard("2.6.0 gone"),
    Hold: Hold("a test", 250, "2.6.0 kept"),
    Close: Close(554, "5.7.0 not you"),
    Redirect: Redirect("other"),
}
OCTETS: Final = b"octets"
"""A placeholder for a piece that the rule has changed."""

PLACES: Final = {
    "rcpt": ("bob", "eve", "bob eve"),
    "reply": ("", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", ".", "QUIT"),
    "command": ("EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"),
}
"""Phase → the places in it where the rule gives its verdict: recipients, or the first occurrence of a
verb."""


@attrs.frozen
class Case:
    """A verdict of a rule, and its place."""

    phase: str
    verdict: Any = None
    at: str = ""

    def __str__(self) -> str:
        said = "octets" if self.verdict == OCTETS else type(self.verdict).__name__.removesuffix("Type")
        return "-".join([self.phase, *self.at.split(), said])

    @property
    def auth(self) -> bool:
        """True if the client logs in."""
        return self.phase in ("auth", "login") or self.at == "AUTH"


def each_verdict() -> Iterator[Case]:
    for phase in PHASES.values():
        said = [None, *(VERDICTS[kind] for kind in phase.verdicts), *([OCTETS] if phase.octets else [])]
        for at in PLACES.get(phase.name, ("",)):
            for verdict in said:
                yield Case(phase.name, verdict, at)


CASES: Final = list(each_verdict())


# Expected results: replies to the client, and commands to each server, as in `Expected`.

FIRST_TAKEN, SECOND_TAKEN = "250 250 250 354 250", "250 250 354 250"
"""The replies to a message that is delivered, from MAIL to end-of-data."""
FIRST_MESSAGE, SECOND_MESSAGE = "MAIL<one> RCPT<bob> RCPT<eve> DATA", "MAIL<two> RCPT<bob> DATA"
"""The commands to a server that gets a message."""
BOTH_TAKEN, BOTH_MESSAGES = f"{FIRST_TAKEN} {SECOND_TAKEN}", f"{FIRST_MESSAGE} {SECOND_MESSAGE}"


def both_delivered(client_hears: str, *servers_hear: str) -> Expected:
    """Both messages are delivered to the last of the servers; the parameters are the replies and commands
    before them."""
    *left, last = servers_hear
    return Expected(f"{client_hears} {BOTH_TAKEN} 221", (*left, f"{last} {BOTH_MESSAGES} QUIT"))


def goes_on(client_hears: str, server_hears: str, *, held: bool = False) -> Expected:
    """The second message is delivered to the same server; the parameters belong to the first message."""
    return Expected(
        f"220 250 {client_hears} {SECOND_TAKEN} 221",
        (f"home EHLO {server_hears} {SECOND_MESSAGE} QUIT",),
        held,
    )


def elsewhere(client_hears: str, *servers_hear: str) -> Expected:
    """The same, but the second message is delivered on a new connection to the usual server."""
    return Expected(
        f"220 250 {client_hears} {SECOND_TAKEN} 221", (*servers_hear, f"home EHLO {SECOND_MESSAGE} QUIT")
    )


def ends(client_hears: str, server_hears: str, *, at_least: bool = False) -> Expected:
    """The reply of the verdict is the last, and both sides are closed; the parameters are the replies and
    commands before it."""
    return Expected(f"{client_hears} said".strip(), (f"home {server_hears}",), at_least=at_least)


PASSED: Final = both_delivered("220 250", "home EHLO")
LOGGED_IN: Final = both_delivered("220 250 235", "home EHLO AUTH")

# Name of a verdict → the expected result; ``refused`` is Reject or Defer.

CONNECT: Final = {
    "refused": Expected("said", ()),
    "Close": Expected("said", ()),
    "Redirect": both_delivered("220 250", "other EHLO"),
}
HELO: Final = {
    "refused": both_delivered("220 said", "home"),
    "Close": ends("220", ""),
    "Redirect": both_delivered("220 250", "home QUIT", "other EHLO"),
}
LOGIN: Final = {
    "refused": both_delivered("220 250 said", "home EHLO"),
    "Close": ends("220 250", "EHLO"),
    "Redirect": both_delivered("220 250 235", "home EHLO QUIT", "other EHLO AUTH"),
}
UNSEEN: Final = {  # verdicts for which the server does not see the message
    "Discard": goes_on("250 250 250 354 said", "MAIL<one> RCPT<bob> RCPT<eve> RSET"),
    "Hold": goes_on("250 250 250 354 said", "MAIL<one> RCPT<bob> RCPT<eve> RSET", held=True),
}
MAIL: Final = {
    **UNSEEN,
    # Rules have not seen a transaction begin: the proxy refuses RCPT and DATA, and the server gets RSET.
    "refused": goes_on("said 503 503 503", "RSET"),
    "Close": ends("220 250", "EHLO"),
    "Redirect": elsewhere(FIRST_TAKEN, "home EHLO QUIT", f"other EHLO {FIRST_MESSAGE} QUIT"),
}
MAIL_UNSEEN: Final = goes_on("said 503 503 554", "RCPT<bob> RCPT<eve> DATA!")
"""MAIL was refused, and no rule sees transactions: the server decides about the later commands."""
DATA: Final = {
    **UNSEEN,
    "refused": goes_on("250 250 250 said", "MAIL<one> RCPT<bob> RCPT<eve> RSET"),
    "Close": ends("220 250 250 250 250", "EHLO MAIL<one> RCPT<bob> RCPT<eve>"),
}
RCPT: Final[dict[str, dict[str, Expected]]] = {
    "bob": {
        "refused": goes_on("250 said 250 354 250", "MAIL<one> RCPT<eve> DATA"),
        "Discard": goes_on("250 said 250 354 250", "MAIL<one> RCPT<eve> DATA"),
        "Hold": UNSEEN["Hold"],
        "Close": ends("220 250 250", "EHLO MAIL<one>"),
        "Redirect": elsewhere(
            "250 250 452 354 250", "home EHLO MAIL<one> QUIT", "other EHLO MAIL<one> RCPT<bob> DATA QUIT"
        ),
    },
    "eve": {
        "refused": goes_on("250 250 said 354 250", "MAIL<one> RCPT<bob> DATA"),
        "Discard": goes_on("250 250 said 354 250", "MAIL<one> RCPT<bob> DATA"),
        "Hold": UNSEEN["Hold"],
        "Close": ends("220 250 250 250", "EHLO MAIL<one> RCPT<bob>"),
        "Redirect": goes_on("250 250 452 354 250", "MAIL<one> RCPT<bob> DATA"),
    },
    "bob eve": {
        "refused": goes_on("250 said said 554", "MAIL<one> RSET"),
        "Discard": goes_on("250 said said 354 250", "MAIL<one> RSET"),
        "Hold": UNSEEN["Hold"],
        "Close": ends("220 250 250", "EHLO MAIL<one>"),
        "Redirect": elsewhere(FIRST_TAKEN, "home EHLO MAIL<one> QUIT", f"other EHLO {FIRST_MESSAGE} QUIT"),
    },
}
STREAMED: Final = {  # a verdict on content that passes while it comes
    # Only end-of-data ends mail data (RFC 5321 §4.1.1.4), so a new connection replaces the old one.
    "refused": elsewhere("250 250 250 354 said", f"home EHLO {FIRST_MESSAGE} ABORT"),
    "Discard": elsewhere("250 250 250 354 said", f"home EHLO {FIRST_MESSAGE} ABORT"),
    "Close": ends("220 250 250 250 250 354", f"EHLO {FIRST_MESSAGE} ABORT"),
}
MESSAGE: Final = {  # a verdict on content that is held until it is complete
    **UNSEEN,
    "refused": goes_on("250 250 250 354 said", "MAIL<one> RCPT<bob> RCPT<eve> RSET"),
    "Close": ends("220 250 250 250 250 354", "EHLO MAIL<one> RCPT<bob> RCPT<eve>"),
}
REPLY_CLOSE: Final = {  # Close, by the command whose reply it is said about
    "": ends("", ""),
    "EHLO": ends("220", "EHLO"),
    "AUTH": ends("220 250", "EHLO AUTH"),
    "MAIL": ends("220 250", "EHLO MAIL<one>", at_least=True),
    "RCPT": ends("220 250 250", "EHLO MAIL<one> RCPT<bob>", at_least=True),
    "DATA": ends("220 250 250 250 250", f"EHLO {FIRST_MESSAGE} ABORT"),
    ".": ends("220 250 250 250 250 354", f"EHLO {FIRST_MESSAGE}"),
    "QUIT": ends(f"220 250 {BOTH_TAKEN}", f"EHLO {BOTH_MESSAGES} QUIT"),
}
QUIT: Final = {
    "refused": ends(f"220 250 {BOTH_TAKEN}", f"EHLO {BOTH_MESSAGES}"),
    "Close": ends(f"220 250 {BOTH_TAKEN}", f"EHLO {BOTH_MESSAGES}"),
}
COMMANDS: Final = {"EHLO": HELO, "AUTH": LOGIN, "MAIL": MAIL, "RCPT": RCPT["bob"], "DATA": DATA, "QUIT": QUIT}
TABLES: Final = {"connect": CONNECT, "helo": HELO, "auth": LOGIN, "login": LOGIN, "mail": MAIL, "data": DATA}


def expected(case: Case, way: Way) -> Expected:
    """The expected result of a verdict."""
    if case.verdict is None or isinstance(case.verdict, bytes | Accept):
        return LOGGED_IN if case.auth else PASSED
    name = type(case.verdict).__name__
    key = "refused" if name in ("Reject", "Defer") else name
    if case.phase == "reply":
        # The DATA of a held message is the proxy's own.
        return PASSED if case.at == "DATA" and way.held else REPLY_CLOSE[case.at]
    if case.phase == "command":
        if case.at == "MAIL" and key == "refused" and not way.held:
            return MAIL_UNSEEN
        return COMMANDS[case.at][key]
    if case.phase == "rcpt":
        return RCPT[case.at][key]
    if case.phase in CONTENT_PHASES:
        return (MESSAGE if way.held or case.phase == "message" else STREAMED)[key]
    return TABLES[case.phase][key]


# The rules


class Speaker:
    """A rule that gives its verdict at the place of the case; `next_rule` is the rule after it."""

    def __init__(self, case: Case, say: Any) -> None:
        self.case = case
        self.say = say
        self.times = 0
        """How often it has given its verdict."""
        self.heard = 0
        """How often the next rule was asked after a verdict of this one."""
        self._speaks = False

    def __call__(self, *arguments: Any) -> Any:
        self._speaks = self.is_meant(*arguments)
        self.times += self._speaks
        return self.say(*arguments) if self._speaks else None

    def next_rule(self, *arguments: Any) -> None:
        if self.case.phase in ("body", "body_line"):  # several pieces may be asked about in a row
            self.heard += b"no cat" in arguments[1] or b"no dog" in arguments[1]
        else:
            self.heard += self._speaks

    def is_meant(self, *arguments: Any) -> bool:
        phase, at = self.case.phase, self.case.at
        if phase in ("connect", "helo", "auth", "login", "disconnect"):
            return True
        if phase in ("reply", "command"):
            return self.times == 0 and bool(arguments[1].verb == at)
        if phase == "rcpt" and arguments[1].local not in at.split():
            return False
        if phase in ("body", "body_line") and b"no cat" not in arguments[1]:
            return False
        return bool(arguments[0].mail_from.address == FIRST.sender)


def saying(case: Case) -> Any:
    """A function that gives the verdict of the case."""
    if case.verdict == OCTETS:
        return lambda tx, piece: piece.replace(b"no cat", b"no dog")
    return lambda *arguments: case.verdict


def content(message: Any, case: Case, way: Way) -> bytes:
    """A message as it must arrive."""
    data: bytes = message.content
    first = message is FIRST
    if case.verdict == OCTETS and first:
        data = data.replace(b"no cat", b"no dog")
    header_is_added = way.held and not (case == Case("message", Accept()) and first)
    head, empty, body = data.partition(b"\r\n\r\n")
    return head + b"\r\n" + ADDED + b"\r\n" + body if header_is_added else head + empty + body


def check(case: Case, way: Way, ran: Ran, said: Reply | None) -> None:
    """``case`` is the verdict of the rule, or the one that its failure means."""
    wanted = expected(case, way)
    if case.phase == "command" and case.at == "QUIT" and not ran.client.gone:
        assert said is not None
        assert ran.told[-1] == said  # the session goes on until the client leaves
        ran.proxy.eof_from(CLIENT)
        ran.client.closed_by_peer()
    wanted.check(ran, said, content(FIRST, case, way), content(SECOND, case, way))


def comes_in_octets(case: Case, kind: str, way: Way) -> bool:
    return way.octets


CHOSEN: Final = [
    (case, kind, Way(*flags)) for case, kind, *flags in cases(CASES, KINDS, FLAG, FLAG, FLAG, FLAG)
]


@pytest.mark.parametrize(("case", "kind", "way"), slow_where(comes_in_octets, CHOSEN), ids=str)
def test_verdict(case: Case, kind: str, way: Way) -> None:
    """A rule of the phase gives the verdict; the next rule is asked only if this one lets the input pass."""
    speaker = Speaker(case, saying(case))
    one = rule(case.phase, speaker, kind)
    with run([one, rule(case.phase, speaker.next_rule, "sync")], way, kind, auth=case.auth) as ran:
        check(case, way, ran, getattr(case.verdict, "reply", None))
        asked = not (case.phase == "reply" and case.at == "DATA" and way.held)
        assert bool(speaker.times) == asked
        passed = case.verdict is None or case.verdict == OCTETS
        assert speaker.heard == (speaker.times if passed else 0)
        assert ran.host.failures == []
        assert ran.host.decisions == [(one, case.verdict)] * (0 if passed else speaker.times)
        assert bool(ran.host.awaited) == (kind != "sync")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_dialogue_that_is_printed_can_be_played(case: Case) -> None:
    """The dialogue that a failed case prints can be played as a script."""
    with run([rule(case.phase, Speaker(case, saying(case)), "sync")], Way(), "sync", auth=case.auth) as ran:
        if not ran.servers:
            assert "\n# refused before" in ran.proxy.dialogue
            return
        played = play(ran.proxy.dialogue)
    assert bytes(played.to_client) == b"".join(reply.raw for reply in ran.told)


def test_nothing_is_forgotten() -> None:
    """The cases are exactly all phases with all of their verdicts."""
    pairs = {(case.phase, type(case.verdict)) for case in CASES}
    assert pairs == {
        (phase.name, kind)
        for phase in PHASES.values()
        for kind in (type(None), *phase.verdicts, *([bytes] if phase.octets else []))
    }
