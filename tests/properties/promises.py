"""The promises about replies and content as checks of what was seen of one dialogue."""

from __future__ import annotations

import re

import attrs

from sansio_smtp import (
    CLIENT,
    SERVER,
    AwaitReply,
    BodyComplete,
    Close,
    Event,
    Kind,
    SendToServer,
    Violation,
)

from .harness import World
from .peers import REPLIES_OF_ONE
from .receivers import Bdat, Item, LenientReceiver, StrictReceiver, canonical, codes_in_turn, fits
from .scripts import tells_dialogue

_TAG = re.compile(rb"srv([0-9]+)")
BY_RULE = b"rule"
"""Stands in every reply that a verdict of the tests gives."""


@attrs.frozen
class Account:
    """What the client said, item by item, and what it was answered."""

    items: list[Item]
    replies: list[bytes]
    early: bytes | None
    """The reply that answered no item: the greeting refused, or 421 out of turn."""

    @classmethod
    def of(cls, world: World) -> Account:
        """Read anew only if there is anything new."""
        now = (world.arrived, len(world.client.sent), len(world.client.replies))
        if world.read is None or world.read[0] != now:
            world.read = (now, cls._read(world))
        account: Account = world.read[1]
        return account

    @classmethod
    def _read(cls, world: World) -> Account:
        replies = world.client.replies[1:]
        codes = codes_in_turn(int(reply[:3]) for reply in replies)
        bdat = Bdat.CHUNK if world.dialogue.in_chunks else Bdat.SKIPPED
        reader = StrictReceiver(codes, bdat, as_proxy=True)
        reader.feed(bytes(world.client.sent)[: world.arrived])
        count = len(reader.items)
        return cls(reader.items, replies[:count], replies[count] if len(replies) > count else None)


def number_of(reply: bytes) -> int | None:
    """Which of its replies the server gave; None if the reply is not the server's."""
    tag = _TAG.search(reply)
    return int(tag[1]) if tag else None


@tells_dialogue
def assert_conservation(world: World) -> None:
    """P2: a reply for each item, none without a cause; all of them, unless the dialogue was cut short."""
    account = Account.of(world)
    total = len(world.client.replies)
    assert total - 1 <= len(account.items) + (account.early is not None)
    if account.early is not None:
        # Out of turn comes only what ends the dialogue.
        assert account.early[:1] in b"45"
        assert world.proxy.closed
    left = world.proxy.closed and CLIENT in world.eof and world.client_limit is None
    broken = any(isinstance(event, Violation) for event in world.events)
    broken |= any(server.closed for server in world.servers)
    failed = world.client.codes[-1:] and world.client.codes[-1] // 100 == 4
    if world.client.done or (left and not broken and not failed):
        assert len(account.items) == len(account.replies)


@tells_dialogue
def assert_order(world: World) -> None:
    """P3: the server's replies reach the client in turn, each for the line that it was given for."""
    account = Account.of(world)
    numbers = [number for reply in account.replies if (number := number_of(reply)) is not None]
    assert numbers == sorted(set(numbers))
    for item, reply in zip(account.items, account.replies, strict=False):
        number = number_of(reply)
        if number is not None and not world.edited and "MESSAGE" not in world.ask:
            arrived = world.arrived_as(number)
            assert (arrived.kind, arrived.data) == (item.kind, canonical(item.data))


@tells_dialogue
def assert_transparency(world: World) -> None:
    """P4, without rules: what is not refused arrives as it was said, replies too."""
    account = Account.of(world)
    pairs = list(zip(account.items, account.replies, strict=False))
    forwarded = [
        (number, item.kind, canonical(item.data))
        for item, reply in pairs
        if (number := number_of(reply)) is not None
    ]
    known = {number for number, _, _ in forwarded}
    arrived = [
        (server.first + index, item.kind, item.data)
        for server in world.servers
        for index, item in enumerate(server.receiver.items)
        # A server after the first is sent what the client had said.
        if not (server.first and server.first + index not in known and _is_hello(item))
    ]
    assert arrived[: len(forwarded)] == forwarded
    hints = [event.error.reply_hint.raw for event in world.events if isinstance(event, Violation)]
    for item, reply in pairs:
        if number_of(reply) is None and reply not in hints:
            # Refused without being wrong: too big by its own account.
            too_big = reply.startswith(b"552") and item.data[:4].upper() == b"MAIL"
            assert too_big or reply[:3] in (b"421", b"221", b"451")
    for item, reply in pairs:
        number = number_of(reply)
        if number is not None and item.data[:4].upper() != b"EHLO":
            server, index = divmod(number, REPLIES_OF_ONE)
            assert reply == world.servers[server].replies[index]


def _is_hello(item: Item) -> bool:
    return item.kind == "command" and item.data[:4].upper() in (b"EHLO", b"HELO")


@tells_dialogue
def assert_truth(world: World) -> None:
    """P8: a message is accepted by the server or by a rule."""
    account = Account.of(world)
    for item, reply in zip(account.items, account.replies, strict=False):
        if item.kind == "message" and reply.startswith(b"2") and BY_RULE not in reply:
            number = number_of(reply)
            assert number is not None, "2xx to end-of-data is the proxy's own"
            assert world.arrived_as(number).kind == "message"
            assert 200 <= world.code_of(number) <= 299


@tells_dialogue
def assert_not_smuggled(world: World) -> None:
    """P5: a strict and a lenient receiver find what was announced; messages are the client's."""
    arrived: list[Item] = []
    for server, events in zip(world.servers, world.segments, strict=False):
        codes, bdat = server.codes, server.bdat
        strict = StrictReceiver(codes_in_turn(codes), bdat)
        lenient = LenientReceiver(codes_in_turn(codes), bdat)
        announced = [_plain(event) for event in events if isinstance(event, AwaitReply)]
        if _is_left(events):
            announced.append(("command", b"QUIT"))
        for receiver in (strict, lenient):
            receiver.feed(bytes(server.received))
            assert [_without_text(item) for item in receiver.items] == announced
        messages = [item.data for item in strict.items if item.kind == "message"]
        leniently = [item.data for item in lenient.items if item.kind == "message"]
        assert leniently == messages or any(b"\0" in message for message in messages)
        arrived += [
            item
            for number, item in enumerate(strict.items, server.first)
            if item.kind == "message" and (not item.in_chunks or _is_taken(world, number))
        ]
    sizes = [event.size for event in world.events if isinstance(event, BodyComplete)]
    if not world.ask and not world.dialogue.in_chunks:
        assert sizes == [len(item.data) for item in arrived]
    elif not world.ask:  # the end of a message does not leave if the server refuses a chunk before it
        completed = iter(sizes)
        assert all(len(item.data) in completed for item in arrived)
    if not world.edited:
        said = iter([item for item in Account.of(world).items if item.kind == "message"])
        # What was refused is missing; what arrived is in order and as it was said.
        assert all(any(fits(item, one) for one in said) for item in arrived)


def _is_taken(world: World, number: int) -> bool:
    """Returns True if the client was told that this message is taken. One in chunks may come without those
    that were refused, and is refused then."""
    told = {number_of(reply) for reply in world.client.replies}
    return number in told and world.code_of(number) < 300


def _is_left(events: list[Event]) -> bool:
    """Returns True if the server was told that it is left; nobody waits for what it answers to that."""
    sent = [event.shown for event in events if isinstance(event, SendToServer)]
    quits = any(isinstance(event, AwaitReply) and event.command.kind is Kind.QUIT for event in events)
    return sent[-1:] == [b"QUIT\r\n"] and not quits


def _plain(event: AwaitReply) -> tuple[str, bytes]:
    kind = event.command.kind.value
    if kind == "end of data":
        return "message", b""
    if kind == "chunk":
        return "chunk", event.command.raw
    return ("auth line" if kind == "auth line" else "command"), event.command.raw


def _without_text(item: Item) -> tuple[str, bytes]:
    if item.kind == "chunk":
        return "chunk", b"BDAT %d" % len(item.data)
    return item.kind, b"" if item.kind == "message" else item.data


@tells_dialogue
def assert_same_octets(one: World, other: World) -> None:
    """P6: both peers got the same."""
    if b"did not reset" in one.client.received + other.client.received:
        return  # a server that refuses RSET has this said when it is known
    assert one.client.received == other.client.received
    by_reply = "REPLY" in one.ask and other.client.codes[-1] >= 400
    if by_reply or (one.aborted() and other.aborted()):
        # How much of what is thrown away was sent, and of what came after a reply at which a rule has ended
        # the session, is left open.
        for items, others in zip(one.items, other.items, strict=True):
            shorter = min(len(items), len(others))
            assert items[:shorter] == others[:shorter]
            assert by_reply or len(items) == len(others)
        return
    assert one.items == other.items
    assert one.wires == other.wires


@tells_dialogue
def assert_truncated(world: World) -> None:
    """P7: no message ends at a server that did not end at the client; a started one is reset."""
    said = [item for item in Account.of(world).items if item.kind == "message"]
    strictly = leniently = 0
    for server, events in zip(world.servers, world.segments, strict=False):
        lenient = LenientReceiver(codes_in_turn(server.codes), server.bdat)
        lenient.feed(bytes(server.received))
        strictly += sum(item.kind == "message" for item in server.receiver.items)
        leniently += sum(item.kind == "message" for item in lenient.items)
        closes = [event for event in events if isinstance(event, Close) and event.side is SERVER]
        if server.receiver.in_message and closes:
            assert [event.abort for event in closes] == [True]
    assert max(strictly, leniently) <= len(said)
