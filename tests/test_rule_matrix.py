"""Every phase, every verdict that is legal there, however the rule is called and the octets travel: what the
client hears, what the server hears, what becomes of the message, and that the connection goes on.

What is tested is drawn from `PHASES`, so that no phase and no verdict can be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs
import pytest
from rule_dialogues import ADDED, FIRST, KINDS, SECOND, WAYS, Expected, Ran, Way, rule, run

from sansio_smtp import CLIENT, Reply
from sansio_smtp.rules import Accept, Close, Defer, Discard, Hold, Redirect, Reject
from sansio_smtp.rules.phases import CONTENT_PHASES, PHASES

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
"""Stands for a piece that the rule has changed."""

PLACES: Final = {
    "rcpt": ("BOB", "EVE", "BOB EVE"),
    "reply": ("", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", ".", "QUIT"),
    "command": ("EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"),
}
"""phase → where in it the rule speaks: recipients, or the verb that is meant at its first time."""


@attrs.frozen
class Case:
    """What a rule says, and where."""

    phase: str
    verdict: Any = None
    at: str = ""

    def __str__(self) -> str:
        said = "octets" if self.verdict == OCTETS else type(self.verdict).__name__.removesuffix("Type")
        return "-".join([self.phase, *self.at.split(), said])

    @property
    def auth(self) -> bool:
        """Whether the client logs in."""
        return self.phase == "auth" or self.at == "AUTH"


def cases() -> Iterator[Case]:
    for phase in PHASES.values():
        said = [None, *(VERDICTS[kind] for kind in phase.verdicts), *([OCTETS] if phase.octets else [])]
        for at in PLACES.get(phase.name, ("",)):
            for verdict in said:
                yield Case(phase.name, verdict, at)


CASES: Final = list(cases())


# What must come of it. `streamed` is for messages that pass while they come, `held` for those that are held.

M1, M2 = "250 250 250 354 250", "250 250 354 250"
S1, S2 = "MAIL1 BOB EVE DATA", "MAIL2 BOB DATA"


def goes_on(told: str = M1, heard: str = S1, *, held: bool = False, hello: str = "220 250") -> Expected:
    """The first message meets its fate, and the second is delivered to the same server."""
    return Expected(f"{hello} {told} {M2} 221", (f"home EHLO {heard} {S2} QUIT",), held)


def ends(told: str, heard: str, *, at_least: bool = False) -> Expected:
    """Both sides are closed behind the verdict."""
    return Expected(f"{told} said".strip(), (f"home {heard}",), at_least=at_least)


def other(told: str, *servers: str) -> Expected:
    """The first message goes to another server, and the second to the usual one again."""
    return Expected(f"220 250 {told} {M2} 221", (*servers, f"home EHLO {S2} QUIT"))


GOES_ON: Final = goes_on()
LOGGED_IN: Final = Expected(f"220 250 235 {M1} {M2} 221", (f"home EHLO AUTH {S1} {S2} QUIT",))

HELO: Final = {
    "refused": Expected(f"220 said {M1} {M2} 221", (f"home {S1} {S2} QUIT",)),
    "Close": ends("220", ""),
    "Redirect": Expected(f"220 250 {M1} {M2} 221", ("home QUIT", f"other EHLO {S1} {S2} QUIT")),
}
LOGIN: Final = {
    "refused": Expected(f"220 250 said {M1} {M2} 221", (f"home EHLO {S1} {S2} QUIT",)),
    "Close": ends("220 250", "EHLO"),
    "Redirect": Expected(f"220 250 235 {M1} {M2} 221", ("home EHLO QUIT", f"other EHLO AUTH {S1} {S2} QUIT")),
}
UNSEEN: Final = {
    "Discard": goes_on("250 250 250 354 said", "MAIL1 BOB EVE RSET"),
    "Hold": goes_on("250 250 250 354 said", "MAIL1 BOB EVE RSET", held=True),
}
MAIL: Final = {
    **UNSEEN,
    "refused": goes_on("said 503 503 554", "BOB EVE DATA!"),
    "Close": ends("220 250", "EHLO"),
    "Redirect": other(M1, "home EHLO QUIT", f"other EHLO {S1} QUIT"),
}
DATA: Final = {
    **UNSEEN,
    "refused": goes_on("250 250 250 said", "MAIL1 BOB EVE RSET"),
    "Close": ends("220 250 250 250 250", "EHLO MAIL1 BOB EVE"),
}
RCPT: Final[dict[str, dict[str, Expected]]] = {
    "BOB": {
        "refused": goes_on("250 said 250 354 250", "MAIL1 EVE DATA"),
        "Discard": goes_on("250 said 250 354 250", "MAIL1 EVE DATA"),
        "Hold": UNSEEN["Hold"],
        "Close": ends("220 250 250", "EHLO MAIL1"),
        "Redirect": other("250 250 452 354 250", "home EHLO MAIL1 QUIT", "other EHLO MAIL1 BOB DATA QUIT"),
    },
    "EVE": {
        "refused": goes_on("250 250 said 354 250", "MAIL1 BOB DATA"),
        "Discard": goes_on("250 250 said 354 250", "MAIL1 BOB DATA"),
        "Hold": UNSEEN["Hold"],
        "Close": ends("220 250 250 250", "EHLO MAIL1 BOB"),
        "Redirect": goes_on("250 250 452 354 250", "MAIL1 BOB DATA"),
    },
    "BOB EVE": {
        "refused": goes_on("250 said said 554", "MAIL1 DATA!"),
        "Discard": goes_on("250 said said 354 250", "MAIL1 RSET"),
        "Hold": UNSEEN["Hold"],
        "Close": ends("220 250 250", "EHLO MAIL1"),
        "Redirect": other(M1, "home EHLO MAIL1 QUIT", f"other EHLO {S1} QUIT"),
    },
}
STREAMED: Final = {
    # End-of-data is the only way to end mail data (RFC 5321 §4.1.1.4), so the server is left for a new one.
    "refused": other("250 250 250 354 said", f"home EHLO {S1} ABORT"),
    "Discard": other("250 250 250 354 said", f"home EHLO {S1} ABORT"),
    "Close": ends("220 250 250 250 250 354", f"EHLO {S1} ABORT"),
}
MESSAGE: Final = {
    **UNSEEN,
    "refused": goes_on("250 250 250 354 said", "MAIL1 BOB EVE RSET"),
    "Close": ends("220 250 250 250 250 354", "EHLO MAIL1 BOB EVE"),
}
REPLY_CLOSE: Final = {
    "": ends("", ""),
    "EHLO": ends("220", "EHLO"),
    "AUTH": ends("220 250", "EHLO AUTH"),
    "MAIL": ends("220 250", "EHLO MAIL1", at_least=True),
    "RCPT": ends("220 250 250", "EHLO MAIL1 BOB", at_least=True),
    "DATA": ends("220 250 250 250 250", f"EHLO {S1} ABORT"),
    ".": ends("220 250 250 250 250 354", f"EHLO {S1}"),
    "QUIT": ends(f"220 250 {M1} {M2}", f"EHLO {S1} {S2} QUIT"),
}
QUIT: Final = {
    "refused": ends(f"220 250 {M1} {M2}", f"EHLO {S1} {S2}"),
    "Close": ends(f"220 250 {M1} {M2}", f"EHLO {S1} {S2}"),
}
COMMANDS: Final = {"EHLO": HELO, "AUTH": LOGIN, "MAIL": MAIL, "RCPT": RCPT["BOB"], "DATA": DATA, "QUIT": QUIT}
CONNECT: Final = {
    "refused": Expected("said", ()),
    "Close": Expected("said", ()),
    "Redirect": Expected(f"220 250 {M1} {M2} 221", (f"other EHLO {S1} {S2} QUIT",)),
}
TABLES: Final = {"connect": CONNECT, "helo": HELO, "auth": LOGIN, "mail": MAIL, "data": DATA}


def expected(case: Case, way: Way) -> Expected:
    if case.verdict is None or isinstance(case.verdict, bytes | Accept):
        return LOGGED_IN if case.auth else GOES_ON
    name = type(case.verdict).__name__
    key = "refused" if name in ("Reject", "Defer") else name
    if case.phase == "reply":
        # The DATA of a message that is held is the proxy's own.
        return GOES_ON if case.at == "DATA" and way.held else REPLY_CLOSE[case.at]
    if case.phase == "command":
        return COMMANDS[case.at][key]
    if case.phase == "rcpt":
        return RCPT[case.at][key]
    if case.phase in CONTENT_PHASES:
        return (MESSAGE if way.held or case.phase == "message" else STREAMED)[key]
    return TABLES[case.phase][key]


# The rules


class Speaker:
    """Says something where the case says so. ``behind`` is to be the rule behind it."""

    def __init__(self, case: Case, say: Any) -> None:
        self.case = case
        self.say = say
        self.times = 0
        """How often it has spoken."""
        self.heard = 0
        """How often the rule behind was asked where it has spoken."""
        self._speaks = False

    def __call__(self, *arguments: Any) -> Any:
        self._speaks = self.is_meant(*arguments)
        self.times += self._speaks
        return self.say(*arguments) if self._speaks else None

    def behind(self, *arguments: Any) -> None:
        if self.case.phase in ("body", "body_line"):  # of which several pieces may be asked about in a row
            self.heard += b"no cat" in arguments[1] or b"no dog" in arguments[1]
        else:
            self.heard += self._speaks

    def is_meant(self, *arguments: Any) -> bool:
        phase, at = self.case.phase, self.case.at
        if phase in ("connect", "helo", "auth", "disconnect"):
            return True
        if phase in ("reply", "command"):
            return self.times == 0 and bool(arguments[1].verb == at)
        if phase == "rcpt" and arguments[1].local.upper() not in at.split():
            return False
        if phase in ("body", "body_line") and b"no cat" not in arguments[1]:
            return False
        return bool(arguments[0].mail_from.address == FIRST.sender)


def spoken(case: Case) -> Any:
    """What a rule does to say the verdict of the case."""
    if case.verdict == OCTETS:
        return lambda tx, piece: piece.replace(b"no cat", b"no dog")
    return lambda *arguments: case.verdict


def content(message: Any, case: Case, way: Way) -> bytes:
    """A message as it must arrive."""
    data: bytes = message.content
    first = message is FIRST
    if case.verdict == OCTETS and first:
        data = data.replace(b"no cat", b"no dog")
    asked_beside = way.held and not (case == Case("message", Accept()) and first)
    head, empty, body = data.partition(b"\r\n\r\n")
    return head + b"\r\n" + ADDED + b"\r\n" + body if asked_beside else head + empty + body


def check(case: Case, way: Way, ran: Ran, said: Reply | None) -> None:
    """``case`` is what the rule said, or what a failure of it stands for."""
    wanted = expected(case, way)
    if case.phase == "command" and case.at == "QUIT" and not ran.client.gone:
        assert said is not None
        assert ran.told[-1] == said  # the session goes on until the client leaves
        ran.proxy.eof_from(CLIENT)
        ran.client.closed_by_peer()
    wanted.check(ran, said, content(FIRST, case, way), content(SECOND, case, way))


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_verdict(case: Case, kind: str, way: Way) -> None:
    """A rule of the phase says the verdict; one behind it hears of it only if it lets things go on."""
    speaker = Speaker(case, spoken(case))
    one = rule(case.phase, speaker, kind)
    ran = run([one, rule(case.phase, speaker.behind, "sync")], way, kind, auth=case.auth)
    check(case, way, ran, getattr(case.verdict, "reply", None))
    asked = not (case.phase == "reply" and case.at == "DATA" and way.held)
    assert bool(speaker.times) == asked
    passed = case.verdict is None or case.verdict == OCTETS
    assert speaker.heard == (speaker.times if passed else 0)
    assert ran.host.failures == []
    assert ran.host.decisions == [(one, case.verdict)] * (0 if passed else speaker.times)
    assert bool(ran.host.awaited) == (kind != "sync")


def test_nothing_is_forgotten() -> None:
    """Each phase with each of its verdicts, and nothing but that."""
    pairs = {(case.phase, type(case.verdict)) for case in CASES}
    assert pairs == {
        (phase.name, kind)
        for phase in PHASES.values()
        for kind in (type(None), *phase.verdicts, *([bytes] if phase.octets else []))
    }
