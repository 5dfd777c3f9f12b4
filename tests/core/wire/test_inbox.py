from __future__ import annotations

from random import Random

from each import each

from core.scene import every_cut
from sansio_smtp.wire.inbox import Inbox


def test_empty() -> None:
    inbox = Inbox()
    assert len(inbox) == 0
    assert inbox.empty
    assert (inbox.next_line(), inbox.peek(), inbox.take(), inbox.take(5), inbox.head()) == (
        None,
        None,
        b"",
        b"",
        b"",
    )


def test_lines_end_at_lf_whatever_stands_before_it() -> None:
    inbox = Inbox()
    inbox.feed(b"a\r\nb\n\n\r\nrest")
    assert [inbox.next_line() for _ in range(5)] == [b"a\r\n", b"b\n", b"\n", b"\r\n", None]
    assert inbox.take() == b"rest"
    assert len(inbox) == 0


def test_any_cut_gives_the_same_lines() -> None:
    for pieces in every_cut(b"ab\r\nc\n\nd"):
        inbox, found = Inbox(), []
        for piece in pieces:
            inbox.feed(piece)
            while (line := inbox.next_line()) is not None:
                found.append(line)
        assert found == [b"ab\r\n", b"c\n", b"\n"]
        assert inbox.take() == b"d"


def test_a_segment_at_an_empty_inbox_is_not_copied() -> None:
    segment = bytes(1000)
    inbox = Inbox()
    inbox.feed(segment)
    assert inbox.take() is segment


def test_take_counted_octets() -> None:
    inbox = Inbox()
    inbox.feed(b"abcdef\n")
    assert inbox.take(0) == b""
    assert inbox.take(2) == b"ab"
    assert inbox.peek() == ord("c")
    inbox.feed(b"gh")
    assert inbox.take(4) == b"cdef"
    assert inbox.next_line() == b"\n"
    assert inbox.take(2) == b"gh"
    assert inbox.peek() is None


def test_head_leaves_all_there() -> None:
    inbox = Inbox()
    inbox.feed(b"a\n" + b"b" * 100)
    inbox.next_line()
    assert inbox.head() == b"b" * 64
    assert len(inbox) == 100


def test_octets_of_the_caller_are_not_changed() -> None:
    """A line that is searched in vain is joined with the next segment in a buffer of its own."""
    first = b"abc"
    inbox = Inbox()
    inbox.feed(first)
    assert inbox.next_line() is None
    inbox.feed(b"d\n")
    assert inbox.next_line() == b"abcd\n"
    assert first == b"abc"


@each("seed", range(20))
def test_against_a_model(seed: int) -> None:
    """Any order of calls gives what the simplest queue of octets gives."""
    random = Random(seed)
    inbox, model = Inbox(), b""
    for _ in range(1000):
        match random.randrange(8):
            case 0 | 1 | 2:
                data = bytes(random.choices(b"ab\r\n", k=random.randrange(6)))
                inbox.feed(data)
                model += data
            case 3 | 4:
                end = model.find(b"\n") + 1
                assert inbox.next_line() == (model[:end] if end else None)
                model = model[end:]
            case 5:
                count = random.randrange(5)
                assert inbox.take(count) == model[:count]
                model = model[count:]
            case 6:
                assert inbox.peek() == (model[0] if model else None)
                assert inbox.head() == model[:64]
            case _:
                if random.random() < 0.3:
                    assert inbox.take() == model
                    model = b""
        assert len(inbox) == len(model)
        assert inbox.empty is (not model)
