"""Draws envelopes: the MAIL command of a message and its RCPT commands, with parameters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Final

from hypothesis import strategies as st

from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.wire.commands import Command

from .choice import either
from .spellings import LookAlike, look_alikes, spellings

__all__ = ["DOMAINS", "envelopes", "recipients", "senders"]

DOMAINS: Final[tuple[str, ...]] = ("mx.example", "other.example")
"""Where recipients are, if a test does not say it."""
_LOCALS: Final[tuple[str, ...]] = ("bob", "eve", "Bob", "a.b", "ann+list", "postmaster", "o'hara", "x" * 64)
_MAIL: Final[tuple[str, ...]] = (
    "<ann@me.example>",
    "<ann@me.example>",
    "<>",
    "<ann@me.example> SIZE=1000",
    "<ann@me.example> BODY=8BITMIME",
    "<Ann.Smith@ME.example> SIZE=5 BODY=8BITMIME",
    "<ann@me.example> RET=HDRS ENVID=QQ314159",
    "<jürgen@bücher.example> SMTPUTF8",
)
_RCPT: Final[tuple[str, ...]] = (
    "",
    "",
    "",
    " NOTIFY=NEVER",
    " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@mx.example",
)
_ODD_MAIL: Final[tuple[bytes, ...]] = (
    b"FROM:ann@me.example", b"from: <ann@me.example>", b"FROM:<ann@me.example", b"FROM:ann@me.example>",
    b"FROM:<@relay.example:ann@me.example>", b'FROM:<"ann smith"@me.example>', b"FROM:<ann@[192.0.2.1]>",
    b"FROM:<ann@[IPv6:::1]>", b"FROM:<ann@-me-.example>", b"FROM:<ann>", b"FROM:< >", b"FROM:", b"FROM",
    b"", b"FROM:<" + b"a" * 300 + b"@me.example>", b"FROM:<ann@" + b"b." * 200 + b"example>",
    b"FROM:<ann@me.example> SIZE=99999999999999999999", b"FROM:<ann@me.example> SIZE=-1",
    b"FROM:<ann@me.example> SIZE", b"FROM:<ann@me.example> SIZE=1 SIZE=2", b"FROM:<ann@me.example> BODY=x",
    b"FROM:<ann@me.example> X-ODD=" + b"y" * 400, b"FROM:<ann@me.example> AUTH=<>", b"FROM:<\xff@me.example>",
    b"FROM:<ann@me.example>\tSIZE=1", b"FROM:<ann@me.example> RCPT TO:<v@x>", b"TO:<ann@me.example>",
)  # fmt: skip
_ODD_RCPT: Final[tuple[bytes, ...]] = (
    b"TO:<>", b"TO:", b"TO", b"", b"TO:<@>", b"TO:<bob>", b"TO:<postmaster>", b"TO:<bob@[192.0.2.1]>",
    b"TO:<" + b"a" * 300 + b"@mx.example>", b"TO:<\xff\xfe@mx.example>", b"TO:<bob@mx.example> NOTIFY=",
    b"TO:<bob@mx.example> X=" + b"y" * 400, b"FROM:<bob@mx.example>", b"TO:<bob@mx.example>,<eve@mx.example>",
)  # fmt: skip


def senders(*, hostile: bool | None = None) -> st.SearchStrategy[Command]:
    """MAIL commands: ordinary ones have an address or the null path, and the parameters SIZE, BODY, RET,
    ENVID and SMTPUTF8. Hostile ones cannot be read, are read differently by different servers, or are too
    long."""
    usual = st.sampled_from(_MAIL).map(lambda path: Command.parse(b"MAIL FROM:" + path.encode()))
    unusual = st.sampled_from(_ODD_MAIL).map(lambda argument: Command.parse(b"MAIL " + argument))
    return either(hostile, usual, unusual)


def recipients(
    domains: Sequence[str] = DOMAINS, *, hostile: bool | None = None
) -> st.SearchStrategy[Command]:
    """RCPT commands for mailboxes in ``domains``: ordinary ones with the parameters NOTIFY and ORCPT. Hostile
    ones spell a mailbox in every way that some server takes for the same (`spellings`), look like a mailbox
    of one domain and are one of another (`look_alikes`), or cannot be read."""
    if not domains:
        raise ValueError("domains is empty: name the domains of the recipients, as in ['mx.example']")
    domain = st.sampled_from(tuple(domains))
    parts = st.tuples(st.sampled_from(_LOCALS), domain, st.sampled_from(_RCPT))
    usual = parts.map(lambda drawn: _rcpt(*drawn))
    spelt = st.one_of([spellings("bob", name, name.upper()) for name in domains])
    alike = st.one_of([look_alikes(*names).map(_argument) for names in product(domains, repeat=2)])
    argument = st.one_of(spelt, alike).map(_octets)
    unusual = st.one_of(argument, st.sampled_from(_ODD_RCPT)).map(lambda each: Command.parse(b"RCPT " + each))
    return either(hostile, usual, unusual)


def envelopes(
    domains: Sequence[str] = DOMAINS, *, hostile: bool | None = None
) -> st.SearchStrategy[Envelope]:
    """One MAIL and up to four RCPT, with recipients in ``domains``: see `senders` and `recipients`. An
    ordinary envelope has at least one recipient. A hostile one is hostile throughout: it may have no
    recipient, or one twice. If both are drawn, about a third of the envelopes are ordinary, a third have one
    or two hostile recipients among ordinary ones, and in a third anything may be hostile: so most reach the
    server."""
    plain, odd = recipients(domains, hostile=False), recipients(domains, hostile=True)
    each_domain = [recipients([name], hostile=False) for name in domains]
    some = st.lists(plain, min_size=1, max_size=4)
    # If a rule refuses one of several domains, these still have a recipient.
    in_turn = st.permutations(range(len(domains))).flatmap(
        lambda order: st.tuples(*(each_domain[index] for index in order[:4])).map(list[Command])
    )
    usual = st.tuples(senders(hostile=False), st.one_of(some, in_turn)).map(_envelope)
    unusual = st.tuples(senders(hostile=True), st.lists(odd, max_size=4)).map(_envelope)
    if hostile is not None:
        return unusual if hostile else usual
    among = st.lists(st.tuples(odd, st.integers(0, 4)), min_size=1, max_size=2)
    mixed = st.tuples(usual, among).map(lambda drawn: _mixed(*drawn))
    any_sender = st.tuples(senders(), st.lists(recipients(domains), max_size=4)).map(_envelope)
    return st.one_of(usual, mixed, any_sender)


def _envelope(drawn: tuple[Command, list[Command]]) -> Envelope:
    return Envelope(*drawn)


def _mixed(usual: Envelope, odd: Sequence[tuple[Command, int]]) -> Envelope:
    """Hostile recipients among the first ordinary ones, four in all at most."""
    found = usual.recipients[: 4 - len(odd)]
    for command, place in odd:
        found.insert(place, command)
    return Envelope(usual.mail, found)


def _rcpt(local: str, domain: str, parameters: str) -> Command:
    return Command.parse(f"RCPT TO:<{local}@{domain}>{parameters}".encode())


def _argument(drawn: LookAlike) -> str:
    return drawn.argument


def _octets(argument: str) -> bytes:
    return argument.encode("utf-8", "surrogateescape")
