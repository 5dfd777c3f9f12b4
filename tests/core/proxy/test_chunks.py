"""A message in chunks: which chunks leave for the server, and which of the client's they answer."""

from __future__ import annotations

from typing import Any, cast

import pytest

from core.scene import few_cuts
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.proxy.chunks import ABORTING, ALLOWED, Chunks, taken
from sansio_smtp.proxy.forwarding import Part
from sansio_smtp.wire.commands import END_OF_CHUNKS, Command


class Sent:
    """In place of the queue to the server: what was given to it."""

    def __init__(self) -> None:
        self.chunks: list[tuple[bytes, Any, bool]] = []

    def send_chunk(self, octets: bytes, handle: Any, *, last: bool = False) -> None:
        self.chunks.append((octets, handle, last))

    @property
    def octets(self) -> list[bytes]:
        return [octets for octets, _, _ in self.chunks]


def exchange(line: str = "BDAT 5") -> Exchange:
    return Exchange(Command.of(line))


def begun(limit: int = 4) -> tuple[Chunks, Sent]:
    sent = Sent()
    chunks = Chunks(cast("Any", sent), limit, native=True)
    chunks.next_chunk(exchange())
    return chunks, sent


@pytest.mark.parametrize(
    ("came", "left"),
    [
        (b"", []),
        (b"abc", [b"abc"]),
        (b"abcd", [b"abcd"]),
        (b"abcde", [b"abcd", b"e"]),
        (b"abcdefgh", [b"abcd", b"efgh"]),
        (b"abcdefghi", [b"abcd", b"efgh", b"i"]),
    ],
)
def test_the_chunks_of_the_server_do_not_depend_on_segments(came: bytes, left: list[bytes]) -> None:
    for pieces in few_cuts(came):
        chunks, sent = begun()
        for piece in pieces:
            chunks.add(piece)
            assert chunks.buffered <= 4
        assert chunks.end_chunk() is bool(came)
        assert sent.octets == left
        assert chunks.buffered == 0


def test_the_reply_to_the_last_part_is_that_to_the_chunk_of_the_client() -> None:
    chunks, sent = begun()
    first = chunks.chunk
    chunks.add(b"abcdefgh")
    chunks.end_chunk()
    (_, part, _), (_, handle, last) = sent.chunks
    assert isinstance(part, Part)
    assert part.chunk is first
    assert handle is first
    assert not last


def test_parts_are_counted_until_they_are_answered() -> None:
    chunks, _ = begun()
    chunks.add(b"abcdefghi")
    assert chunks.parts == 2
    chunks.part_taken()
    chunks.end_chunk()
    assert chunks.parts == 1


def test_the_end_of_a_message_is_said_once_also_without_octets() -> None:
    chunks, sent = begun()
    message = Exchange(END_OF_CHUNKS)
    chunks.add(b"ab")
    chunks.end(message)
    assert sent.chunks == [(b"ab", message, True)]
    chunks, sent = begun()
    chunks.end(message)
    assert sent.chunks == [(b"", message, True)]


def test_chunks_that_await_a_reply() -> None:
    chunks, _ = begun()
    first = chunks.chunk
    assert first is not None
    chunks.add(b"ab")
    chunks.end_chunk()
    second, stranger = exchange(), exchange()
    chunks.next_chunk(second)
    assert [chunks.owns(each) for each in (first, second, stranger)] == [True, True, False]
    chunks.answered(stranger)
    chunks.answered(first)
    assert not chunks.owns(first)
    chunks.add(b"cd")
    chunks.end_chunk()
    assert chunks.take_awaited() == [second]
    assert chunks.take_awaited() == []


def test_what_is_dropped_does_not_leave() -> None:
    chunks, sent = begun()
    chunks.add(b"ab")
    chunks.drop()
    assert not chunks.end_chunk()
    assert (chunks.buffered, sent.chunks) == (0, [])


def test_the_reply_to_a_chunk_of_which_nothing_has_left() -> None:
    assert str(taken(exchange("BDAT 12 LAST"))) == "250 2.0.0 12 octets received"
    assert str(taken(exchange("BDAT 0"))) == "250 2.0.0 0 octets received"


def test_no_verb_both_aborts_and_passes() -> None:
    """And neither sends a message: DATA, MAIL and RCPT are in none of them."""
    assert not ABORTING & ALLOWED
    assert not {b"DATA", b"MAIL", b"RCPT", b"AUTH", b"STARTTLS", b"BDAT"} & (ABORTING | ALLOWED)
