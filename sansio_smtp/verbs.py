"""The verbs of SMTP in one table, with their meaning for this library. Everything that depends on a verb is a
column: how the octets after it are parsed (`Kind`), the effect of an accepted command on the mail transaction
(`Effect`), if a verdict may send it to another server, in which phase rules see it, and if it is forwarded
(`Support`). A verb that is not in the table is `UNKNOWN`: it is forwarded unchanged, and the server answers
it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs

__all__ = ["UNKNOWN", "VERBS", "Effect", "Kind", "Support", "Verb"]


class Kind(Enum):
    """The meaning of a client's line for the framing: how the octets after it are parsed."""

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is a Python call, in every lookup

    PLAIN = "plain"
    """One line, one reply. Nothing more is sent to a server before that reply."""
    GROUP = "group"
    """One line, one reply. More lines may be sent before that reply, in a command group (RFC 2920 §3.1)."""
    HELLO = "hello"
    DATA = "data"
    AUTH = "auth"
    AUTH_LINE = "auth line"
    END_OF_DATA = "end of data"
    """The end of mail data, or of the last chunk when all its octets have come."""
    CHUNK = "chunk"
    """BDAT: the octets after it are counted (RFC 3030 §2). More chunks follow."""
    LAST_CHUNK = "last chunk"
    """BDAT with LAST, before all its octets have come."""
    DROPPED_CHUNK = "dropped chunk"
    """A refused BDAT that belongs to no message: its octets are counted, and dropped."""
    QUIT = "quit"
    STARTTLS = "starttls"
    """If it is accepted, the octets after it are a TLS handshake (RFC 3207)."""
    IDENTITY = "identity"
    """A line that names the client: XCLIENT, after which the session begins again, or XFORWARD."""
    VIOLATION = "violation"
    """Octets that cannot be read as a line; the reply to them is the last one."""


class Effect(Enum):
    """The effect of an accepted command on the mail transaction (RFC 5321 §3.3)."""

    __hash__ = object.__hash__

    BEGIN = "begins"
    ADD_RECIPIENT = "adds a recipient"
    END = "ends"


class Support(Enum):
    """How a command is handled."""

    __hash__ = object.__hash__

    FORWARDED = "forwarded"
    OWN = "answered by the proxy, to a client that may send it; else refused"
    """It concerns only one of the two connections."""
    REFUSED = "502, not forwarded"
    """It changes the framing, the roles or the number of replies in a way that is not implemented."""
    FOREIGN = "500, then the session ends"
    """The first word of an HTTP request, which a browser or an attacker sends to a mail port."""


@attrs.frozen(eq=False)
class Verb:
    """One row of the table."""

    kind: Kind = Kind.PLAIN
    effect: Effect | None = None
    """The effect of a 2xx reply on the mail transaction; None: no effect."""
    routed: bool = False
    """True if a verdict may send it to another server (`Route`)."""
    phase: str | None = None
    """The phase in which rules see it, besides ``command``."""
    support: Support = Support.FORWARDED
    before_tls: bool = False
    """True if a client that must use TLS may send it before TLS (RFC 3207 §4)."""


_REFUSED: Final = Verb(support=Support.REFUSED)
_FOREIGN: Final = Verb(support=Support.FOREIGN)

VERBS: Final[dict[bytes, Verb]] = {
    b"EHLO": Verb(Kind.HELLO, Effect.END, routed=True, phase="helo", before_tls=True),
    b"HELO": Verb(Kind.HELLO, Effect.END, routed=True, phase="helo", before_tls=True),
    b"LHLO": Verb(Kind.HELLO, Effect.END, routed=True, phase="helo", before_tls=True),
    b"AUTH": Verb(Kind.AUTH, routed=True, phase="auth"),
    b"MAIL": Verb(Kind.GROUP, Effect.BEGIN, routed=True, phase="mail"),
    b"RCPT": Verb(Kind.GROUP, Effect.ADD_RECIPIENT, routed=True, phase="rcpt"),
    b"DATA": Verb(Kind.DATA, phase="data"),
    b"BDAT": Verb(Kind.CHUNK, phase="data"),
    b"RSET": Verb(Kind.GROUP, Effect.END),
    b"QUIT": Verb(Kind.QUIT, before_tls=True),
    b"NOOP": Verb(before_tls=True),
    b"VRFY": Verb(),
    b"EXPN": Verb(),
    b"HELP": Verb(),
    # They begin a transaction like MAIL (RFC 821 §3.4), at servers that still know them.
    **dict.fromkeys(b"SEND SOML SAML".split(), Verb(Kind.GROUP, Effect.BEGIN, routed=True, phase="mail")),
    b"STARTTLS": Verb(Kind.STARTTLS, Effect.END, support=Support.OWN, before_tls=True),
    b"XCLIENT": Verb(Kind.IDENTITY, Effect.END, support=Support.OWN),
    b"XFORWARD": Verb(Kind.IDENTITY, support=Support.OWN),
    **dict.fromkeys(b"TURN ATRN ETRN XEXCH50 X-EXPS X-LINK2STATE".split(), _REFUSED),
    b"PROXY": _REFUSED,  # a header that comes before the dialogue, from a balancer that may send it
    b"BURL": _REFUSED,  # it completes a message without DATA (RFC 4468 §3)
    **dict.fromkeys(b"GET POST PUT HEAD DELETE OPTIONS CONNECT TRACE PATCH PRI".split(), _FOREIGN),
}
"""Verb, upper-case → its row."""

UNKNOWN: Final = Verb()
"""The row for every verb that is not in the table."""
