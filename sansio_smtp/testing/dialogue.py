"""What a client is going to say, as a value: the strategies draw it, a `Session` says it."""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["Dialogue", "Turn", "stuffed"]


def stuffed(content: bytes) -> bytes:
    """A message as it stands on the wire after DATA, with its end (RFC 5321 §4.5.2). Bare newlines stay as
    they are, and no dot is added after them."""
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    wire = content.replace(b"\r\n.", b"\r\n..")
    return (b"." if wire.startswith(b".") else b"") + wire + b".\r\n"


@attrs.frozen(repr=False)
class Turn:
    """A command line without its line end. ``content`` is the message that the client sends if the server
    answers 354; it is not dot-stuffed."""

    line: bytes
    content: bytes | None = None

    def __repr__(self) -> str:
        return f"Turn({self.line!r})" if self.content is None else f"Turn({self.line!r}, {self.content!r})"

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """For Hypothesis, which would write out the attributes."""
        printer.text(repr(self))


@attrs.frozen
class Dialogue:
    """What a client says after EHLO."""

    turns: tuple[Turn, ...]
    waits: bool = True
    """False: the client sends everything at once and waits for no reply. No honest client does so."""

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """For Hypothesis, which would write how its strategy has made it, with names that are not public."""
        printer.text(repr(self))

    @property
    def octets(self) -> bytes:
        """All octets, as a client sends them that waits for no reply."""
        return b"".join(
            turn.line + b"\r\n" + (b"" if turn.content is None else stuffed(turn.content))
            for turn in self.turns
        )
