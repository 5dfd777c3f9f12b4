"""The promises about replies and content as checks of what was seen of one dialogue."""

from __future__ import annotations

import re

import attrs

from sansio_smtp import CLIENT, SERVER, AwaitReply, BodyComplete, Close, Violation

from .harness import World
from .receivers import Item, LenientReceiver, StrictReceiver, canonical, codes_in_turn

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
        replies = world.client.replies[1:]
        reader = StrictReceiver(codes_in_turn(int(reply[:3]) for reply in replies), as_proxy=True)
        reader.feed(bytes(world.client.sent)[: world.arrived])
        count = len(reader.items)
        return cls(reader.items, replies[:count], replies[count] if len(replies) > count else None)


def number_of(reply: bytes) -> int | None:
    """Which of its replies the server gave; None if the reply is not the server's."""
    tag = _TAG.search(reply)
    return int(tag[1]) if tag else None


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
    broken = any(isinstance(event, Violation) for event in world.events) or world.server.closed
    failed = world.client.codes[-1:] and world.client.codes[-1] // 100 == 4
    if world.client.done or (left and not broken and not failed):
        assert len(account.items) == len(account.replies)


def assert_order(world: World) -> None:
    """P3: the server's replies reach the client in turn, each for the line that it was given for."""
    account = Account.of(world)
    numbers = [number for reply in account.replies if (number := number_of(reply)) is not None]
    assert numbers == sorted(set(numbers))
    for item, reply in zip(account.items, account.replies, strict=False):
        number = number_of(reply)
        if number is not None and not world.edited and "MESSAGE" not in world.ask:
            arrived = world.server.receiver.items[number]
            assert (arrived.kind, arrived.data) == (item.kind, canonical(item.data))


def assert_transparency(world: World) -> None:
    """P4, without rules: what is not refused arrives as it was said, replies too."""
    account = Account.of(world)
    pairs = list(zip(account.items, account.replies, strict=False))
    forwarded = [(item.kind, canonical(item.data)) for item, reply in pairs if number_of(reply) is not None]
    arrived = [(item.kind, item.data) for item in world.server.receiver.items]
    assert arrived[: len(forwarded)] == forwarded
    hints = [event.error.reply_hint.raw for event in world.events if isinstance(event, Violation)]
    for item, reply in pairs:
        if number_of(reply) is None and reply not in hints:
            # Refused without being wrong: too big by its own account, or nobody is there to take it.
            too_big = reply.startswith(b"552") and item.data[:4].upper() == b"MAIL"
            assert too_big or reply[:3] in (b"421", b"221", b"451")
    for item, reply in pairs:
        number = number_of(reply)
        if number is not None and item.data[:4].upper() != b"EHLO":
            assert reply == world.server.replies[number]


def assert_truth(world: World) -> None:
    """P8: a message is accepted by the server or by a rule."""
    account = Account.of(world)
    for item, reply in zip(account.items, account.replies, strict=False):
        if item.kind == "message" and reply.startswith(b"2") and BY_RULE not in reply:
            number = number_of(reply)
            assert number is not None, "2xx to end-of-data is the proxy's own"
            assert world.server.receiver.items[number].kind == "message"
            assert 200 <= world.server.codes[number] <= 299


def assert_same_envelopes(world: World) -> None:
    """P8 as well: a message goes where the client was told that it goes, and nowhere else. Lines are
    known by the number of the server's reply to them; so no rule may have replaced that."""
    account = Account.of(world)
    server = world.server
    arrived = zip(server.receiver.items, server.codes, range(len(server.codes)), strict=True)
    sent = _envelopes(list(arrived))
    pairs = zip(account.items, account.replies, strict=False)
    told = _envelopes([(item, int(reply[:3]), number_of(reply)) for item, reply in pairs])
    for number, envelope in told.items():
        if number is not None:
            known = [line for line in envelope if line is not None]
            # Whether a refused DATA ends the transaction is not said anywhere; we end it, to be safe.
            assert sent[number] == known or ("DATA" in world.ask and set(sent[number]) <= set(known))


def _envelopes(lines: list[tuple[Item, int, int | None]]) -> dict[int | None, list[int | None]]:
    """Of each accepted message, by number: the numbers of its accepted MAIL and RCPT."""
    envelopes: dict[int | None, list[int | None]] = {}
    envelope: list[int | None] = []
    for item, code, number in lines:
        verb = item.data[:4].upper() if item.kind == "command" else b""
        if item.kind == "message":
            if code < 300:
                envelopes[number] = envelope
            envelope = []
        elif code < 300 and verb in (b"RSET", b"EHLO", b"HELO"):
            envelope = []
        elif code < 300 and verb == b"MAIL":
            envelope = [number]
        elif code < 300 and verb == b"RCPT":
            envelope = [*envelope, number]
    return envelopes


def assert_not_smuggled(world: World) -> None:
    """P5: a strict and a lenient receiver find what was announced; messages are the client's."""
    codes = world.server.codes
    strict, lenient = StrictReceiver(codes_in_turn(codes)), LenientReceiver(codes_in_turn(codes))
    announced = [_plain(event) for event in world.events if isinstance(event, AwaitReply)]
    for receiver in (strict, lenient):
        receiver.feed(bytes(world.server.received))
        assert [_without_text(item) for item in receiver.items] == announced
    arrived = [item.data for item in strict.items if item.kind == "message"]
    leniently = [item.data for item in lenient.items if item.kind == "message"]
    assert leniently == arrived or any(b"\0" in message for message in arrived)
    completed = [event for event in world.events if isinstance(event, BodyComplete)]
    if not world.ask:
        assert [event.size for event in completed] == [len(message) for message in arrived]
    if not world.edited:
        said = iter([canonical(item.data) for item in Account.of(world).items if item.kind == "message"])
        # What was refused is missing; what arrived is in order and as it was said.
        assert all(message in said for message in arrived)


def _plain(event: AwaitReply) -> tuple[str, bytes]:
    kind = event.command.kind.value
    if kind == "end of data":
        return "message", b""
    return ("auth line" if kind == "auth line" else "command"), event.command.raw


def _without_text(item: Item) -> tuple[str, bytes]:
    return item.kind, b"" if item.kind == "message" else item.data


def assert_truncated(world: World) -> None:
    """P7: no message ends at the server that did not end at the client; a started one is reset."""
    codes = world.server.codes
    said = [item for item in Account.of(world).items if item.kind == "message"]
    lenient = LenientReceiver(codes_in_turn(codes))
    lenient.feed(bytes(world.server.received))
    for receiver in (world.server.receiver, lenient):
        assert sum(item.kind == "message" for item in receiver.items) <= len(said)
    if world.server.receiver.in_message and SERVER in world.closed:
        closes = [event for event in world.events if isinstance(event, Close) and event.side is SERVER]
        assert [event.abort for event in closes] == [True]
