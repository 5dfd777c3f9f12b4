"""Reads messages back from a Maildir."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

__all__ = ["Captured", "read_messages"]


@attrs.frozen(kw_only=True)
class Captured:
    """A message that came through the proxy, or that a rule has put into quarantine."""

    mail_from: str
    rcpt_to: tuple[str, ...]
    content: bytes
    """Decoded; lines end in CRLF."""
    upstream: str | None = None
    """The server that a rule wanted it to go to; None: the usual one."""
    envelope: Mapping[str, Any] = attrs.field(repr=False)
    """What else is known: ``helo``, ``mail_parameters``, ``reason`` of a held message, and so on."""


def read_messages(maildir: Path, upstreams: Mapping[str, str]) -> list[Captured]:
    """All messages in a `Maildir`, oldest first; an empty list if there is no such directory.

    ``upstreams``: client address of a connection → the server that a rule wanted for it.
    """
    folder = maildir / "new"
    files = sorted(folder.iterdir(), key=_age) if folder.exists() else []
    return [_read(file, maildir / "envelopes" / f"{file.name}.json", upstreams) for file in files]


def _read(file: Path, beside: Path, upstreams: Mapping[str, str]) -> Captured:
    envelope: dict[str, Any] = json.loads(beside.read_text())
    return Captured(
        mail_from=envelope["mail_from"] or "",
        rcpt_to=tuple(envelope["rcpt_to"]),
        content=file.read_bytes(),
        upstream=upstreams.get(envelope["peer"]),
        envelope=envelope,
    )


def _age(file: Path) -> tuple[float, int]:
    """The order of messages: the time in seconds, then the number in which they began."""
    seconds, fraction, rest = file.name.split(".", 2)
    return float(f"{seconds}.{fraction}"), int(rest.partition("Q")[2].partition(".")[0])
