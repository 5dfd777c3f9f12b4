"""The timeouts of each phase of a session, and how to read them from settings. The core says what it waits
for (`sansio_smtp.WaitingFor`); the driver has the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import attrs

from .kinds import SOME_SECONDS, Kind

if TYPE_CHECKING:
    from sansio_smtp import WaitingFor

__all__ = ["OPTION_PHASES", "PHASES", "TIMEOUTS", "Timeouts"]


@attrs.frozen(kw_only=True)
class Timeouts:
    """Seconds for each phase. The defaults are those of RFC 5321 §4.5.3.2 or longer."""

    connect: float = 30
    """Making a connection to the server."""
    proxy_header: float = 30
    """The PROXY header of a client that must send one, as a whole."""
    handshake: float = 30
    """A TLS handshake with the client or the server, as a whole."""
    greeting: float = 300
    """The server's greeting."""
    idle: float = 300
    """The client's next command, between mail transactions."""
    command: float = 300
    """The client's next command, in a mail transaction."""
    reply: float = 300
    """The server's reply to a command."""
    content: float = 180
    """More mail data from the client."""
    final_reply: float = 600
    """The server's reply to a message. A shorter time causes duplicates: the server may accept a message
    after the client was told that it failed (RFC 1047)."""
    verdict: float = 600
    """The verdict of the rules: of all rules that are asked at one point."""

    @property
    def shortest(self) -> float:
        """The shortest timeout."""
        return min(float(seconds) for seconds in attrs.astuple(self))

    @property
    def table(self) -> dict[WaitingFor, float]:
        """What the core waits for → seconds. For a command it is the timeout in a mail transaction."""
        from sansio_smtp import WaitingFor  # imported late: --help needs only the phases

        return {
            WaitingFor(_as_option(phase)): seconds
            for phase, seconds in attrs.asdict(self).items()
            if phase not in _OF_THE_DRIVER
        }


_OF_THE_DRIVER: Final = ("connect", "proxy_header", "idle")
"""Phases that the core does not know, or does not distinguish from others."""
PHASES: Final = tuple(field.name for field in attrs.fields(Timeouts))

Changes: TypeAlias = tuple[tuple[str, float], ...]
"""Phases and their seconds; later ones override earlier ones."""


def _as_option(phase: str) -> str:
    return phase.replace("_", "-")


OPTION_PHASES: Final = {_as_option(phase): phase for phase in PHASES}
"""Name of a phase on the command line → its name in the settings file."""
_SECONDS: Final[Any] = Annotated[float, SOME_SECONDS]
_TABLE: Final = attrs.make_class(
    "_TABLE", {key: attrs.field(type=_SECONDS, default=None) for key in ("all", *PHASES)}, frozen=True
)
"""The table in a settings file."""


def _read(text: str) -> Changes:
    """Reads ``SECONDS`` (all phases) or ``PHASE=SECONDS`` (one)."""
    name, equals, number = text.rpartition("=")
    if not equals:
        try:
            return _for_all(SOME_SECONDS.parse(number))
        except ValueError as error:
            raise ValueError(f"{error}, or one phase and its seconds such as reply=120") from None
    if name not in OPTION_PHASES:
        from sansio_smtp.names import closest  # imported late: --help does not need it

        meant = closest(name, OPTION_PHASES)
        hint = f"did you mean {meant}={number}?" if meant else f"phases: {', '.join(OPTION_PHASES)}"
        raise ValueError(f"no phase {name!r}; {hint}")
    return ((OPTION_PHASES[name], SOME_SECONDS.parse(number)),)


def _from_toml(table: Any, folder: Path) -> Changes:
    """Puts the value for all phases first, so that the value of a single phase overrides it."""
    given = {phase: seconds for phase, seconds in attrs.asdict(table).items() if seconds is not None}
    for_all = _for_all(given.pop("all")) if "all" in given else ()
    return (*for_all, *given.items())


def _for_all(seconds: float) -> Changes:
    return tuple((phase, seconds) for phase in PHASES)


def _combine(changes: Sequence[Changes]) -> Timeouts:
    return Timeouts(**dict(chain.from_iterable(changes)))


TIMEOUTS: Final[Kind[Timeouts]] = Kind(
    toml=_TABLE,
    shape="list",
    read=_read,
    from_toml=_from_toml,
    combine=_combine,
    metavar="[PHASE=]SECONDS",
)
"""A phase that is given leaves the other phases as they are."""
