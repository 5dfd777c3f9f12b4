"""Checks a whole dialogue, with receivers that share no code with the library. Each check names its promise
in docs/explanation/design.md. All use only what was really sent and received, not the state of the proxy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from properties.harness import merged, without_lost_content
from properties.receivers import Bdat, Item, LenientReceiver, Replier, StrictReceiver, canonical, fits

from sansio_smtp import CLIENT, SERVER, Close, Config, Event, Release, Violation
from sansio_smtp.config import Chunking, ClientTls, Dialect, LoginMode, SendClient, UpstreamTls
from sansio_smtp.networks import NO_NETWORKS

from .world import World

__all__ = ["check", "check_same", "replies_of"]

_LINE: Final = re.compile(rb"[2-5][0-9][0-9](?:[ -][^\r\n\0]*)?\r\n")
_CUT_ANYWHERE: Final = frozenset({"BODY_CHUNK", "BODY_LINES", "COMMAND", "DATA", "BDAT"})
"""Hook places whose questions depend on what has arrived, so that cuts matter."""


def check(world: World) -> None:
    """Runs all checks of one dialogue."""
    _check_replies(bytes(world.to_client))
    if not _is_simple(world):
        return
    said = _said(world)
    arrived = [item for number in range(len(world.to_servers)) for item in _arrived(world, number)]
    if not world.tape.settings.ask:
        _check_messages(world, said, arrived)


def check_same(one: World, other: World) -> None:
    """Checks P1: the same tape with other cuts. Octets lost with a reset connection may differ in number."""
    settings = one.tape.settings
    if settings.whole_only or settings.ask & _CUT_ANYWHERE or one.disturbed or other.disturbed:
        return
    for world in (one, other):
        if any(isinstance(event, Violation) and event.side is SERVER for event in world.events):
            return  # such as a reply in advance, which is one only if it comes before the command is sent
    assert one.to_client == other.to_client, "the cuts change what the client is sent"
    for side in (CLIENT, SERVER):
        ours, theirs = (without_lost_content(merged(_told(world), side)) for world in (one, other))
        assert ours == theirs, f"the cuts change events of the {side.value}"
    _check_releases(one, other)


def _check_releases(one: World, other: World) -> None:
    """Checks that a connection is released in both plays, or in none. This may depend on the cuts only if the
    server sends unasked input: input that has already come closes the connection; the new owner finds later
    input."""
    released = [world for world in (one, other) if any(isinstance(event, Release) for event in world.events)]
    if len(released) == 1:
        (closed,) = (world for world in (one, other) if world not in released)
        more = len(closed.from_servers[-1]) > len(released[0].from_servers[-1])
        assert more, "the cuts change if the connection is given back"


def _told(world: World) -> list[Event]:
    """The events, with each released connection shown as closed; without what is wrong in a line that got no
    reply, as the server said 421 before: it depends on the cuts if such a line is read at all."""
    codes = [code for code, _ in replies_of(bytes(world.to_client))]
    left = codes[-1:] == [421]
    return [
        Close(SERVER) if isinstance(event, Release) else event
        for event in world.events
        if not (left and isinstance(event, Violation) and _is_unanswered(event, world))
    ]


def _is_unanswered(event: Violation, world: World) -> bool:
    return event.side is CLIENT and event.error.reply_hint.raw not in world.to_client


def replies_of(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """The whole replies in octets that are well-formed: code and octets."""
    current = b""
    for line in octets.split(b"\r\n")[:-1]:
        current += line + b"\r\n"
        if line[3:4] != b"-":
            yield int(line[:3]), current
            current = b""


def _check_replies(octets: bytes) -> None:
    """Checks that every octet for a client belongs to a well-formed reply, whose lines have one code."""
    at, code = 0, b""
    while at < len(octets):
        line = _LINE.match(octets, at)
        assert line, f"the client is sent what is no reply: {octets[at : at + 80]!r}"
        assert code in (b"", line[0][:3]), "a reply with two codes"
        code = line[0][:3] if line[0][3:4] == b"-" else b""
        at = line.end()
    assert not code, "a reply without its last line"


def _is_simple(world: World) -> bool:
    """True if the octets alone determine their meaning: no TLS, no identities, no LMTP, no login by the
    proxy."""
    config = world.config
    return (
        config.client_dialect is config.upstream_dialect is Dialect.SMTP
        and config.tls is ClientTls.NONE
        and config.upstream_tls is UpstreamTls.NONE
        and config.accept_xclient is config.accept_xforward is NO_NETWORKS
        and config.send_client is SendClient.NONE
        and config.login_mode is LoginMode.RELAY
        and not config.keep
        and not world.shaking
        and all(record.letter not in "rbk" for record in world.tape.records)
    )


def _offers_chunks(config: Config, to_client: bytes) -> bool:
    offered = re.search(rb"^250[ -]CHUNKING\r$", to_client, re.MULTILINE | re.IGNORECASE)
    return config.chunking is not Chunking.NEVER and offered is not None


def _said(world: World) -> list[tuple[Item, int]]:
    """The commands and messages of the client, each with the code of its reply. Checks P2: no reply without a
    cause."""
    codes = [code for code, _ in replies_of(bytes(world.to_client))][1:]
    given: list[int] = []

    def replier(_: Item) -> int:
        code = codes[len(given)] if len(given) < len(codes) else 0
        given.append(code)
        return code

    chunks = _offers_chunks(world.config, bytes(world.to_client))
    reader = StrictReceiver(replier, Bdat.CHUNK if chunks else Bdat.SKIPPED, as_proxy=True)
    reader.feed(bytes(world.from_client))
    items = reader.items
    early = len(codes) - len(items)
    assert early <= 1, f"{len(codes)} replies to {len(items)} commands and messages"
    if early == 1:
        assert codes[-1] >= 400, "a reply that nothing has caused"
        assert CLIENT in world.gone, "a reply out of turn, and the dialogue goes on"
    return list(zip(items, given, strict=True))


def _arrived(world: World, number: int) -> list[tuple[Item, int]]:
    """The commands and messages at a server, each with the code of its reply.

    Checks P5: strict and lenient receivers find the same, and it is what the proxy has announced.
    """
    octets = bytes(world.to_servers[number])
    codes = [code for code, _ in replies_of(_whole_replies(bytes(world.from_servers[number])))]
    strict = StrictReceiver(_in_turn(codes[1:]), Bdat.CHUNK)
    lenient = LenientReceiver(_in_turn(codes[1:]), Bdat.CHUNK)
    strict.feed(octets)
    lenient.feed(octets)
    nul = any(b"\0" in item.data for item in strict.items)
    ours, theirs = (
        [(item.kind, item.data) for item in receiver.items if not nul or item.kind != "message"]
        for receiver in (strict, lenient)
    )
    assert ours == theirs, f"servers may read what is sent in two ways: {ours} {theirs}"
    if strict.in_message and SERVER in world.gone and number == len(world.to_servers) - 1:
        closes = [event for event in world.events if isinstance(event, Close) and event.side is SERVER]
        assert closes[-1].abort, "P7: a message without an end, and the connection is closed in order"
    return list(zip(strict.items, [*codes[1:], *(0,) * len(strict.items)], strict=False))


def _in_turn(codes: list[int]) -> Replier:
    left = iter(codes)
    return lambda _: next(left, 0)


def _whole_replies(octets: bytes) -> bytes:
    """The octets of a server up to the first that are not a reply."""
    at, last, code = 0, 0, b""
    while line := re.compile(rb"[2-5][0-9][0-9](?:[ -][^\n]*)?\n").match(octets, at):
        if code not in (b"", line[0][:3]):
            break
        at = line.end()
        code = line[0][:3] if line[0][3:4] == b"-" else b""
        if not code:
            last = at
    return octets[:last].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _check_messages(world: World, said: list[tuple[Item, int]], arrived: list[tuple[Item, int]]) -> None:
    """Checks P4, P7, P8 without rules: each message at the server was completed by the client, unchanged and
    in order; and 2xx to a message comes from the server."""
    ours = [item for item, _ in said if item.kind == "message"]
    left = iter(ours)
    theirs = [item for item, _ in arrived if item.kind == "message" and not item.in_chunks]
    for item in theirs:
        assert any(fits(item, one) for one in left), f"no message of the client: {item.data[:200]!r}"
    assert sum(item.kind == "message" for item, _ in arrived) <= len(ours), (
        "P7: more messages than were ended"
    )
    accepted = sum(item.kind == "message" and 200 <= code <= 299 for item, code in said)
    taken = sum(item.kind == "message" and 200 <= code <= 299 for item, code in arrived)
    assert accepted <= taken, f"P8: {accepted} messages were accepted, {taken} by a server"
    commands = [canonical(item.data) for item, _ in said if item.kind != "message"]
    own = [b"QUIT", b"RSET", b"EHLO", b"HELO", b"NOOP", b"MAIL", b"BDAT"]
    if any(item.in_chunks for item, _ in said):
        own.append(b"DATA")  # for what came in chunks: the server may not take them, or not know of MAIL
    for item, _ in arrived:
        if item.kind == "command" and item.data[:4].upper() not in own:
            assert item.data in commands, f"P4: a command that nobody has said: {item.data!r}"
