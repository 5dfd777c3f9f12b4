"""EHLO keywords in one table: how each of them is handled, and why. A keyword is relayed if it only adds
parameters to MAIL and RCPT, or verbs with one line and one reply: then the server decides, and the proxy need
not know more. A keyword that changes the meaning of the next octets, the number of replies or the identity of
the client is offered only if the proxy implements it. A keyword that is not in the table is hidden, unless
`Config.relay_keywords` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

import attrs

__all__ = ["KEYWORDS", "Handling", "Keyword", "named"]


class Handling(Enum):
    """How a keyword of the server is handled."""

    RELAYED = "relayed, as the server says it"
    ALWAYS = "offered always"
    OWN = "the proxy offers its own, if it is configured"
    VERIFIED = "relayed to a client under TLS, if the server's certificate was verified"
    CHUNKS = "as the server says it, if `Config.chunking` lets it"
    HIDDEN = "hidden"


@attrs.frozen
class Keyword:
    """One row of the table."""

    handling: Handling
    rfc: str
    """The RFC or program that defines it."""
    why: str
    script: str
    """A dialogue script that shows it, without ``.txt``."""


_RELAYED, _HIDDEN = Handling.RELAYED, Handling.HIDDEN

KEYWORDS: Final[Mapping[str, Keyword]] = {
    "8BITMIME": Keyword(_RELAYED, "RFC 6152", "octets above 127 pass whatever was declared", "w20_keywords"),
    "SMTPUTF8": Keyword(
        _RELAYED,
        "RFC 6531",
        "octets above 127 pass in commands too; hidden if the server does not offer 8BITMIME, which it needs",
        "keywords_smtputf8",
    ),
    "SIZE": Keyword(
        _RELAYED, "RFC 1870", "lowered to the proxy's own limit, and enforced", "w20_size_lowered"
    ),
    "DSN": Keyword(_RELAYED, "RFC 3461", "parameters of MAIL and RCPT", "w20_keywords"),
    "ENHANCEDSTATUSCODES": Keyword(
        _RELAYED, "RFC 2034", "the proxy's own replies have such codes too", "w20_keywords"
    ),
    "HELP": Keyword(_RELAYED, "RFC 5321", "one line, one reply", "w20_keywords"),
    "AUTH": Keyword(
        _RELAYED,
        "RFC 4954",
        "where the client may log in; where the proxy logs in by itself, it offers its own",
        "w20_keywords",
    ),
    "LIMITS": Keyword(
        _RELAYED,
        "RFC 9422",
        "RCPTMAX and MAILMAX are enforced: the server is not sent more than it has announced. RCPTMAX is "
        "lowered to the proxy's own limit",
        "limits_rcptmax",
    ),
    "DELIVERBY": Keyword(
        _RELAYED,
        "RFC 2852",
        "a parameter of MAIL; the server counts the time, from when it gets MAIL",
        "keywords_parameters",
    ),
    "FUTURERELEASE": Keyword(
        _RELAYED, "RFC 4865", "parameters of MAIL; the server keeps the message", "keywords_parameters"
    ),
    "MT-PRIORITY": Keyword(
        _RELAYED,
        "RFC 6710",
        "a parameter of MAIL; the proxy has no queue to give a priority in",
        "keywords_parameters",
    ),
    "RRVS": Keyword(
        _RELAYED,
        "RFC 7293",
        "a parameter of RCPT about the owner of the mailbox; the server that delivers checks it",
        "keywords_parameters",
    ),
    "CONPERM": Keyword(
        _RELAYED,
        "RFC 4141",
        "a parameter of MAIL that lets servers convert the content",
        "keywords_parameters",
    ),
    "CONNEG": Keyword(
        _RELAYED,
        "RFC 4141",
        "a parameter of RCPT; what the recipient can read comes in the lines of its reply",
        "keywords_parameters",
    ),
    "PIPELINING": Keyword(
        Handling.ALWAYS, "RFC 2920", "a server without it gets one command at a time", "w07_serialised"
    ),
    "REQUIRETLS": Keyword(
        Handling.VERIFIED, "RFC 8689", "MAIL with it goes over such a connection only", "w05_requiretls"
    ),
    "STARTTLS": Keyword(
        Handling.OWN, "RFC 3207", "it concerns one connection; each has its own TLS", "w05_starttls"
    ),
    "XCLIENT": Keyword(Handling.OWN, "Postfix", "to clients that may say who the client is", "xclient"),
    "XFORWARD": Keyword(Handling.OWN, "Postfix", "to clients that may say who the client is", "xforward"),
    "CHUNKING": Keyword(
        Handling.CHUNKS,
        "RFC 3030",
        "octets are counted, never parsed; a server without it gets DATA",
        "w06_bdat_lock_step",
    ),
    "BINARYMIME": Keyword(
        Handling.CHUNKS, "RFC 3030", "only with CHUNKING: as DATA it could be cut in two", "w06_bdat_binary"
    ),
    "BURL": Keyword(_HIDDEN, "RFC 4468", "it completes a message without its octets", "w20_keywords"),
    "CHECKPOINT": Keyword(_HIDDEN, "RFC 1845", "a message would begin in its middle", "keywords_hidden"),
    "ETRN": Keyword(_HIDDEN, "RFC 1985", "the server would connect to somebody else", "w20_keywords"),
    "ATRN": Keyword(_HIDDEN, "RFC 2645", "client and server would change their roles", "w20_keywords"),
    "TURN": Keyword(_HIDDEN, "RFC 821", "client and server would change their roles", "keywords_hidden"),
    "VERB": Keyword(_HIDDEN, "Sendmail", "replies would come that no command asked for", "keywords_hidden"),
    "XEXCH50": Keyword(_HIDDEN, "Exchange", "octets follow the line", "w20_keywords"),
    "X-EXPS": Keyword(_HIDDEN, "Exchange", "a login that is not read here", "w20_keywords"),
    "X-ANONYMOUSTLS": Keyword(_HIDDEN, "Exchange", "TLS that is not seen here", "keywords_hidden"),
}
"""Keyword, upper-case → its row."""


def named(handling: Handling) -> frozenset[str]:
    """The keywords with this handling."""
    return frozenset(name for name, row in KEYWORDS.items() if row.handling is handling)
