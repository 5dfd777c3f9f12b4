"""A message that is kept until its verdict, in memory or in a spool."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from each import each

from core.spools import MemoryRoom, MemorySpool
from sansio_smtp.proxy.message_store import MessageStore

LETTER = b"A: b\r\n\r\n.dot\r\n" + b"x" * 70_000 + b"\r\nend\r\n"


def wire(held: MessageStore) -> bytes:
    return b"".join(held.wire())


def held(data: bytes, limit: int, spool: MemorySpool | None = None, step: int = 1000) -> MessageStore:
    made = MessageStore(limit, (lambda: spool) if spool is not None else None)
    for at in range(0, len(data), step):
        assert made.add(data[at : at + step])
    return made


KINDS: list[Callable[[bytes], MessageStore]] = [
    lambda data: held(data, 1 << 20),
    lambda data: held(data, 10, MemorySpool()),
    lambda data: held(data, 69_000, MemorySpool()),
]


@pytest.mark.parametrize("make", KINDS)
def test_what_was_kept_leaves(make: Callable[[bytes], MessageStore]) -> None:
    message = make(LETTER)
    assert bytes(message.finish()) == LETTER
    assert message.size == len(LETTER)
    assert message.unsendable() is None
    assert wire(message) == LETTER.replace(b"\r\n.", b"\r\n..")
    assert wire(message) == b"", "once"


@pytest.mark.parametrize("make", KINDS)
def test_a_last_line_without_its_end_gets_one(make: Callable[[bytes], MessageStore]) -> None:
    message = make(LETTER[:-2])
    assert bytes(message.finish()) == LETTER
    assert message.size == len(LETTER)


def test_nothing_stays_nothing() -> None:
    message = held(b"", 10)
    assert message.finish() == b""
    assert wire(message) == b""


def test_the_line_end_that_is_added_may_be_what_is_too_large_for_memory() -> None:
    spool = MemorySpool()
    message = held(b"x" * 10, 11, spool)
    assert bytes(message.finish()) == b"x" * 10 + b"\r\n"
    assert spool.octets == b"x" * 10 + b"\r\n"


def test_more_than_may_be_kept() -> None:
    message = MessageStore(10)
    assert message.add(b"x" * 10)
    assert not message.add(b"x")


def test_what_does_not_fit_anywhere() -> None:
    message = held(b"x" * 10, 10, MemorySpool(room=15))
    with pytest.raises(OSError, match="no space"):
        message.add(b"x" * 10)


def test_only_what_is_in_memory_counts_as_buffered() -> None:
    message = held(b"x" * 1000, 100, MemorySpool(), step=50)
    assert (message.buffered, message.size, message.spooled) == (0, 1000, True)
    message = held(b"x" * 100, 100, MemorySpool())
    assert (message.buffered, message.size, message.spooled) == (100, 100, False)


@each("make", KINDS)
@each(
    ("data", "rest", "left"),
    [
        (b"N: o\n", None, b"N: o\r\n"),
        (b"N: o", None, b"N: o\r\n"),
        (b"", None, b""),
        (b"N: o\r\n\r\n", 8, b"N: o\r\n\r\n" + LETTER[8:]),
        (b"N: o", 6, b"N: o\r\n" + LETTER[6:]),
        (b"", 8, LETTER[8:]),
        (b"N: o\r\n", len(LETTER), b"N: o\r\n"),
    ],
)
def test_replaced(make: Callable[[bytes], MessageStore], data: bytes, rest: int | None, left: bytes) -> None:
    message = make(LETTER)
    message.finish()
    message.replace(data, rest)
    assert message.size == len(left)
    assert b"".join(message.pieces()) == left
    assert wire(message) == b"".join(held_wire(left))


def held_wire(data: bytes) -> list[bytes]:
    plain = held(data, 1 << 20)
    plain.finish()
    return list(plain.wire())


@pytest.mark.parametrize("make", KINDS)
def test_a_line_of_nul_and_dot(make: Callable[[bytes], MessageStore]) -> None:
    message = make(LETTER + b"\0.\r\nQUIT\r\n")
    message.finish()
    assert message.unsendable() is not None
    harmless = make(LETTER + b"\0x\r\n")
    harmless.finish()
    assert harmless.unsendable() is None


def test_closed() -> None:
    spool = MemorySpool()
    message = held(LETTER, 10, spool)
    message.finish()
    message.close()
    message.close()
    assert spool.closed
    assert wire(message) == b""


@pytest.mark.parametrize("limit", [100, 3])
def test_a_binary_message_is_kept_as_it_is(limit: int) -> None:
    """It leaves in chunks, which need no line ends; nothing in it ends a message."""
    spool = MemorySpool()
    kept = MessageStore(limit, lambda: spool, binary=True)
    octets = b"\0.\0\r\n\n\r"
    assert kept.add(octets)
    assert bytes(kept.finish()) == octets
    assert kept.unsendable() is None
    assert (kept.size, b"".join(kept.wire())) == (len(octets), octets)


def test_an_edit_of_a_binary_message_is_not_put_right() -> None:
    kept = MessageStore(100, binary=True)
    kept.add(b"ab\n")
    kept.replace(b"\n\r", 1)
    assert b"".join(kept.wire()) == b"\n\rb\n"
    kept.replace(b"\r", None)
    assert b"".join(kept.wire()) == b"\r"


def test_a_large_binary_message_leaves_memory_in_pieces() -> None:
    kept = MessageStore(1 << 20, binary=True)
    kept.add(b"x" * 150_000)
    assert [len(piece) for piece in kept.wire()] == [65_536, 65_536, 18_928]


def test_the_memory_of_all_messages_is_shared() -> None:
    room = MemoryRoom(100)
    one, other = MessageStore(80, room=room), MessageStore(80, room=room)
    assert one.add(b"x" * 60)
    assert not other.add(b"x" * 60)
    assert other.crowded
    assert not one.add(b"x" * 60)
    assert not one.crowded, "it is too large by itself"
    one.close()
    one.close()
    assert room.taken == 0


def test_a_message_goes_to_the_spool_where_there_is_no_room() -> None:
    room, spool = MemoryRoom(50), MemorySpool()
    message = MessageStore(1000, lambda: spool, room=room)
    for _ in range(3):
        assert message.add(b"x" * 40)
    assert (message.spooled, room.taken, spool.octets) == (True, 0, b"x" * 120)


def test_an_edit_takes_what_room_there_is() -> None:
    room = MemoryRoom(50)
    message = MessageStore(1000, room=room)
    assert message.add(b"A: b\r\n\r\ntext\r\n")
    message.finish()
    message.replace(b"A: longer\r\n\r\n", 8)
    assert room.taken == message.size == 19
    message.replace(b"x" * 100, None)
    assert room.taken == 0
    assert wire(message) == b"x" * 100 + b"\r\n"


def test_room_is_given_back_whatever_happens() -> None:
    room = MemoryRoom(50)
    message = MessageStore(1000, room=room)
    assert message.add(b"text")
    del message
    assert room.taken == 0
