"""The phases of a dialogue in which rules are asked: what a rule is given, and what it may return."""

from __future__ import annotations

from typing import Final

import attrs

from .verdicts import Accept, Close, Defer, Discard, Hold, Redirect, Reject, Verdict

__all__ = ["CONTENT_PHASES", "PHASES", "PhaseInfo"]


@attrs.frozen
class PhaseInfo:
    """``parameters`` are the names in documentation and errors; a rule may use other names, but must take as
    many."""

    name: str
    parameters: tuple[str, ...]
    verdicts: tuple[type[Verdict], ...]
    octets: bool = False
    """True if a rule may return octets, which replace the piece that it was given."""

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(self.parameters)})"


_SESSION = (Accept, Reject, Defer, Close, Redirect)
_CONTENT = (Accept, Reject, Defer, Discard, Close)

PHASES: Final[dict[str, PhaseInfo]] = {
    phase.name: phase
    for phase in (
        PhaseInfo("connect", ("conn",), _SESSION),
        PhaseInfo("helo", ("conn", "name"), _SESSION),
        PhaseInfo("auth", ("conn", "attempt"), _SESSION),
        PhaseInfo("login", ("conn", "attempt"), (Accept, Reject, Defer, Close)),
        PhaseInfo("mail", ("tx", "sender"), (*_CONTENT, Hold, Redirect)),
        PhaseInfo("rcpt", ("tx", "to"), (*_CONTENT, Hold, Redirect)),
        PhaseInfo("data", ("tx",), (*_CONTENT, Hold)),
        PhaseInfo("headers", ("tx", "headers"), _CONTENT),
        PhaseInfo("body_line", ("tx", "line"), _CONTENT, octets=True),
        PhaseInfo("body", ("tx", "chunk"), _CONTENT, octets=True),
        PhaseInfo("message", ("tx", "msg"), (*_CONTENT, Hold)),
        PhaseInfo("reply", ("tx", "command", "answer"), (Accept, Close)),
        PhaseInfo("delivered", ("tx", "results"), ()),
        PhaseInfo("disconnect", ("conn",), ()),
        PhaseInfo("command", ("conn", "cmd"), (Accept, Reject, Defer, Close)),
    )
}
"""Name → phase, in the order of a dialogue; ``reply`` and ``command`` are asked at each reply and command."""

CONTENT_PHASES: Final = ("headers", "body_line", "body", "message")
