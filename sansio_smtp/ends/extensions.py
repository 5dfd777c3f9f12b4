"""EHLO keywords (RFC 5321 §4.1.1.1): what is offered to the client is what the server offers, less what
this proxy cannot frame, plus what it does itself."""

from __future__ import annotations

from typing import Final

from sansio_smtp.wire.commands import octet_count
from sansio_smtp.wire.replies import Reply

__all__ = ["OURS", "RELAYED", "keywords", "offer"]

RELAYED: Final[frozenset[str]] = frozenset(
    ("SIZE", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "LIMITS", "HELP", "AUTH")
)
"""Relayed as the server says them. Every other keyword is hidden."""

OURS: Final = ("PIPELINING",)
"""Offered whatever the server offers: keeping two halves in step is the proxy's job."""


def keywords(reply: Reply) -> dict[str, str]:
    """The keywords of an EHLO reply, upper-case, with their arguments."""
    found: dict[str, str] = {}
    for line in reply.lines[1:]:
        keyword, argument = _split(line)
        found.setdefault(keyword, argument)
    return found


def offer(reply: Reply, extra: frozenset[str] = frozenset(), max_size: int | None = None) -> Reply:
    """The EHLO reply for the client: the greeting line and relayed lines keep their octets.

    ``extra`` are further keywords to relay; ``max_size`` lowers the announced SIZE (RFC 1870), or
    announces it where the server does not.
    """
    lines = reply.lines
    kept = lines[:1]
    allowed = RELAYED | extra
    for line in lines[1:]:
        keyword, argument = _split(line)
        if keyword not in allowed or keyword in OURS:
            continue
        if keyword == "SIZE" and max_size is not None:
            limit = octet_count(argument)
            if limit == 0 or limit > max_size:
                continue
            max_size = None
        kept.append(line)
    kept += [keyword.encode() for keyword in OURS]
    if max_size is not None:
        kept.append(b"SIZE %d" % max_size)
    return Reply.of(reply.code, *kept)


def _split(line: bytes) -> tuple[str, str]:
    """Keyword and argument; "AUTH=LOGIN", which some old servers say, counts as AUTH."""
    text = line.decode("ascii", "replace")
    keyword, _, argument = text.partition(" ")
    return keyword.partition("=")[0].upper(), argument.strip()
