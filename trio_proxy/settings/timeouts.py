"""How long each thing may take, in seconds. The core says what it waits for; seconds are ours."""

from __future__ import annotations

import difflib

import attrs

from sansio_smtp import WaitingFor

__all__ = ["PHASES", "Timeouts"]


@attrs.frozen(kw_only=True)
class Timeouts:
    """Seconds for each phase. The defaults are those of RFC 5321 §4.5.3.2 or longer."""

    connect: float = 30
    greeting: float = 300
    idle: float = 300
    """Between mail transactions, for the next command."""
    command: float = 300
    """Within a mail transaction, for the next command."""
    reply: float = 300
    content: float = 180
    """For the next octets of mail data."""
    final_reply: float = 600
    """From end-of-data to its reply. A shorter time makes duplicates (RFC 1047)."""
    verdict: float = 600

    @classmethod
    def parse(cls, values: tuple[str, ...]) -> Timeouts:
        """Reads ``SECONDS`` (all phases) and ``PHASE=SECONDS`` (one), later ones winning.

        Raises ValueError with one line for each value that cannot be read.
        """
        seconds: dict[str, float] = {}
        problems: list[str] = []
        for value in values:
            phase, is_one, number = value.rpartition("=")
            key = phase.replace("-", "_")
            if is_one and key not in PHASES:
                close = difflib.get_close_matches(phase, [name.replace("_", "-") for name in PHASES], 1)
                hint = f"did you mean {close[0]}={number}?" if close else f"phases: {_NAMES}"
                problems.append(f"{value!r}: no phase {phase!r}; {hint}")
                continue
            try:
                parsed = float(number)
            except ValueError:
                parsed = 0
            if not 0 < parsed < 10**9:
                problems.append(f"{value!r}: expected a number of seconds above 0, such as 30 or {_EXAMPLE}")
                continue
            seconds.update({key: parsed} if is_one else dict.fromkeys(PHASES, parsed))
        if problems:
            raise ValueError("\n".join(problems))
        return cls(**seconds)

    @property
    def table(self) -> dict[WaitingFor, float]:
        """What the core waits for → seconds, `command` being the one within a mail transaction."""
        return {
            WaitingFor(name.replace("_", "-")): seconds
            for name, seconds in attrs.asdict(self).items()
            if name not in ("connect", "idle")
        }


PHASES = tuple(field.name for field in attrs.fields(Timeouts))
_NAMES = ", ".join(name.replace("_", "-") for name in PHASES)
_EXAMPLE = "reply=120"
