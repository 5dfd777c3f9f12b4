"""A message that is too large to be held in memory: it goes through a spool, and out piece by piece."""

from __future__ import annotations

from core.scene import Scene, lines
from core.spools import MemorySpool
from sansio_smtp import CLIENT, SERVER, Answer, Config, Continue, Proxy, Replace, Reply, WaitingFor

BODY = b"x" * 76 + b"\r\n"
MESSAGE = b"A: b\r\n\r\n" + BODY * 2000
"""About 2.4 pieces of 64 KiB."""


def scene(spool: MemorySpool, **limits: int) -> Scene:
    made = Scene("MESSAGE", config=Config(max_held=1000, **limits))
    made.proxy = Proxy(Config(max_held=1000, **limits), ("MESSAGE",), lambda: spool)
    return made.in_content()


def say(made: Scene, data: bytes = MESSAGE) -> list[str]:
    return made.took(made.proxy.receive_from(CLIENT, data + b".\r\n"))


def pieces(made: Scene) -> list[bytes]:
    """All that is left, as a driver fetches it."""
    sent = []
    while made.proxy.has_more:
        sent.append(b"".join(getattr(event, "data", b"") for event in made.proxy.more()))
    return sent


def test_it_leaves_in_pieces_and_is_answered_by_the_server() -> None:
    spool = MemorySpool()
    made = scene(spool)
    assert say(made) == ["? MessageQuestion"]
    assert bytes(made.question.data) == MESSAGE
    assert made.proxy.buffered < 1000
    made.answer(Continue())
    assert not made.proxy.has_more, "DATA has not been answered"
    first = made.server("354 go")
    assert made.proxy.has_more
    assert made.proxy.waiting_for is WaitingFor.CONTENT
    sent = [line.removeprefix("S: ").encode() for line in first] + pieces(made)
    assert b"".join(sent[1:]).endswith(b"\r\n.\r\n")
    assert len(sent) == 4
    assert spool.closed
    assert made.server("250 taken") == ["answered 250", "C: 250 taken"]


def test_an_edited_header_section_in_front_of_what_is_in_the_spool() -> None:
    made = scene(MemorySpool())
    say(made)
    made.answer(Replace(b"N: o\r\n\r\n", rest=8))
    events = made.proxy.receive_from(SERVER, lines("354 go"))
    sent = b"".join(getattr(event, "data", b"") for event in events) + b"".join(pieces(made))
    assert sent == b"N: o\r\n\r\n" + MESSAGE[8:] + b".\r\n"


def test_refused_it_is_forgotten() -> None:
    spool = MemorySpool()
    made = scene(spool)
    say(made)
    made.proxy.answer(made.question, Answer(Reply.of(550, "no")))
    assert spool.closed


def test_a_disk_that_is_full() -> None:
    spool = MemorySpool(room=5000)
    made = scene(spool)
    told = [*made.took(made.proxy.receive_from(CLIENT, MESSAGE)), *say(made, b"")]
    assert "C: 451 4.3.0 the message cannot be kept here, try again later" in told
    assert spool.closed
    assert not made.proxy.closed


def test_a_disk_that_cannot_be_read_before_the_verdict() -> None:
    spool = MemorySpool(readable=False)
    made = scene(spool)
    assert "C: 451 4.3.0 the message cannot be kept here, try again later" in say(made)


def test_a_disk_that_cannot_be_read_behind_the_verdict() -> None:
    spool = MemorySpool()
    made = scene(spool)
    say(made)
    spool.readable = False
    assert "C: 451 4.3.0 the message cannot be kept here, try again later" in made.answer(Continue())


def test_a_disk_that_cannot_be_read_in_mid_message() -> None:
    """The server is reset, so that it does not take half of it."""
    spool = MemorySpool()
    made = scene(spool)
    say(made)
    made.answer(Continue())
    made.server("354 go")
    spool.readable = False
    told = made.took(made.proxy.more())
    assert told == [
        "abort S",
        "answered 451",
        "C: 451 4.3.0 the message cannot be kept here, try again later",
    ]
    assert not made.proxy.has_more


def test_the_server_goes_in_mid_message() -> None:
    made = scene(spool := MemorySpool())
    say(made)
    made.answer(Continue())
    made.server("354 go")
    made.took(made.proxy.eof_from(SERVER))
    assert made.proxy.closed
    assert not made.proxy.has_more
    assert spool.closed
