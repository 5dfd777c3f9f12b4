"""Dialogues, schedules and rules that a seed makes.

Hypothesis likes small things and draws the same ones again and again; whole transactions under several
rules are seldom among them. What follows from a seed is spread evenly, and the seed is all that is needed to
see it again.
"""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
from hypothesis import strategies as st

from sansio_smtp import BareNewline, Config
from sansio_smtp.questions import (
    BODY_CHUNK,
    BODY_LINE,
    BODY_LINES,
    COMMAND,
    HEADERS,
    IN_TURN,
    MESSAGE,
    REPLY,
)
from sansio_smtp.rules.phases import PHASES
from sansio_smtp.testing.dialogue import stuffed

from .dialogues import SECRET, Dialogue, Later
from .harness import Schedule
from .peers import Style, Unit
from .rules_drawn import Drawn, actions_of

__all__ = ["SEEDS", "Seeded"]

_ADDRESSES = (b"<a@me.example>", b"<b@mx.example>", b"<c@x>", b"<>", b"<d@mx.example>")
_RECIPIENTS = tuple(address for address in _ADDRESSES if address != b"<>")
_PARAMETERS = (b"", b"", b" SIZE=10", b" BODY=8BITMIME")
_CLEAN = (b"x", b"text", b".", b"..", b"\r\n", b"\r\n", b"\r\n.", b"\r\n\r\n", b"A: b\r\n", b"Subject: q\r\n")
_PIECES = (
    *_CLEAN,
    b"\n",
    b"\r",
    b"\n.\n",
    b"\xff",
    b"z" * 1500,
    b"MAIL FROM:<evil@x>\r\n",
    b"\0",
    b"\r\n.\0\r\n",
)
_ODD = (b"NOOP\r\n", b"RSET\r\n", b"VRFY x\r\n", b"\xff\r\n", b"EHLO again\r\n")
_ANYWHERE = (b"RSET\r\n", b"RSET\r\n", b"NOOP\r\n", b"EHLO mid\r\n", b"HELO m\r\n")
_CODES = [*(0,) * 10, 1, 2, 3, 4, 5, 6, 7, 8]
_MAIL_PHASES = ("mail", "rcpt", "data", "headers", "body", "body_line", "message")
_SELDOM = frozenset(("connect", "helo", "reply", "command"))
"""Phases that every dialogue goes through early, and where most should get further."""


@attrs.define(repr=False)
class Seeded:
    """Ask for things in the same order to get the same things."""

    seed: int
    random: Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.random = Random(self.seed)

    def __repr__(self) -> str:
        return f"Seeded({self.seed})"

    def dialogue(self, *, waiting: bool = False, clean: bool = False, plain_server: bool = False) -> Dialogue:
        """``waiting``: no client that waits for nothing. ``clean``: nothing that may be refused or
        normalised. ``plain_server``: nothing that ends the session, and one server."""
        random = self.random
        style = random.choice([Style.LOCKSTEP, Style.GROUPS, *([] if waiting else [Style.EAGER])])
        units = [Unit(random.choice([b"EHLO c\r\n", b"EHLO c\r\n", b"HELO c\r\n"]))]
        for _ in range(random.choice([1, 1, 2, 2, 3])):
            units += self._mail(clean, honest=style is not Style.EAGER)
        if random.random() < 0.3:
            place = random.randrange(1, len(units) + 1)
            units.insert(place, Unit(random.choice(_ANYWHERE), group=random.random() < 0.5))
        if random.random() < 0.6:
            units.append(Unit(b"QUIT\r\n"))
        choices = [] if random.random() < 0.5 else random.choices(_CODES, k=16)
        if not plain_server and random.random() < 0.1:
            choices = [*choices[: random.randrange(12)], random.choice([9, 10, 11, 12])]
        later = [] if plain_server else [self._later() for _ in range(3)]
        config = Config() if clean else self._config()
        return Dialogue(units, style, choices, random.random() < 0.6, b"", config, later)

    def servers(self) -> list[Later]:
        """Servers after the first that do not go away."""
        return [Later(self.random.choices([*(0,) * 8, 6, 7, 8], k=5)) for _ in range(4)]

    def spool(self) -> dict[str, Any]:
        """For a world: with a spool or without, which may be full and may break."""
        room = self.random.choice([None, None, 1 << 20, 1 << 20, 30])
        return {"room": room, "readable": self.random.random() < 0.8}

    def schedule(self) -> Schedule:
        random = self.random
        sizes = random.choices([1, 1, 2, 3, 7, 16, 64, 300, 1 << 20], k=random.randrange(60))
        turns = random.choices(range(3), k=random.randrange(60))
        return Schedule(tuple(sizes), tuple(turns), random.choice([1, 1 << 30]))

    def cuts(self) -> Schedule:
        """Whose turn it is does not change."""
        return attrs.evolve(self.schedule(), turns=())

    def ask(self) -> frozenset[str]:
        """Hook places for the core alone, most often as rules ask them."""
        names = [HEADERS, BODY_CHUNK, BODY_LINE, BODY_LINES, MESSAGE, COMMAND, REPLY]
        names += ["EHLO", "HELO", "AUTH", "MAIL", "RCPT", "RSET", "DATA"]
        places = frozenset(self.random.sample(names, self.random.randrange(1, 5)))
        return places | {IN_TURN, "DATA"} if self.random.random() < 0.7 else places

    def rules(self, *, without: tuple[str, ...] = ()) -> tuple[Drawn, ...]:
        """Rules in their order, none of the phases ``without``."""
        phases = [name for name in (*_MAIL_PHASES * 3, *PHASES) if name not in without]
        return tuple(
            self._rule(self.random.choice(phases)) for _ in range(self.random.choice([1, 1, 2, 3, 5]))
        )

    def _rule(self, phase: str) -> Drawn:
        random = self.random
        actions = list(actions_of(phase))
        edits = [name for name in actions if name.startswith("edit")]
        return Drawn(
            phase,
            random.choice([*actions, *edits, *edits]),
            salt=random.randrange(1000),
            one_in=random.choice([7, 20] if phase in _SELDOM else [1, 1, 2, 3]),
            pauses=random.choice([None, None, 0, 1, 2, 5]),
            on_error=random.choice([None, None, "accept", "accept", "reject"]),
            match=random.choice([None] * 6 + ["*@mx.example"]) if phase in _MAIL_PHASES else None,
        )

    def _mail(self, clean: bool, honest: bool) -> list[Unit]:
        random = self.random
        units: list[Unit] = []
        if not clean and random.random() < 0.1:
            line = random.choice(_ODD)
            units.append(Unit(line, group=line[:4] != b"EHLO" and random.random() < 0.5))
        if random.random() < 0.1:
            units.append(Unit(b"AUTH PLAIN " + SECRET + b"\r\n", responses=(SECRET + b"\r\n",)))
        units.append(
            Unit(b"MAIL FROM:" + random.choice(_ADDRESSES) + random.choice(_PARAMETERS) + b"\r\n", group=True)
        )
        for _ in range(random.choice([1, 2, 3])):
            # "<>" is no recipient: where rules see it, it is answered 501.
            address = random.choice(_RECIPIENTS if clean else _ADDRESSES)
            units.append(Unit(b"RCPT TO:" + address + b"\r\n", group=True))
        decoded = b"".join(random.choices(_CLEAN if clean else _PIECES, k=random.randrange(8)))
        wire = stuffed(decoded) if honest or random.random() < 0.5 else decoded + b"\r\n.\r\n"
        return [*units, Unit(b"DATA\r\n", content=wire)]

    def _later(self) -> Later:
        random = self.random
        choices = random.choices([*(0,) * 8, 6, 7, 8, 9, 10, 11, 12], k=5)
        return Later(choices, random.choice([b""] * 8 + [b"554 no\r\n", None]), random.random() < 0.9)

    def _config(self) -> Config:
        random = self.random
        return Config(
            reconnect=random.random() < 0.5,
            bare_newline=random.choice([BareNewline.NORMALIZE, BareNewline.NORMALIZE, BareNewline.REJECT]),
            max_message_size=random.choice([None] * 6 + [50, 2000]),
            max_held=random.choice([10**6] * 4 + [100, 20, 1]),
            max_header_section=random.choice([10**5] * 8 + [20]),
        )


SEEDS = st.integers(0, 2**40).map(Seeded)
