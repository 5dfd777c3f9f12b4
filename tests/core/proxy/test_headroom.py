"""SIZE with room for edits, on its way to the server."""

from __future__ import annotations

import pytest
from each import each

from core.scene import Scene
from sansio_smtp.config import Config
from sansio_smtp.proxy.headroom import with_headroom
from sansio_smtp.questions import Replace
from sansio_smtp.wire.commands import Command


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("MAIL FROM:<a@x> SIZE=5", "MAIL FROM:<a@x> SIZE=15"),
        ("mail from:<a@x> BODY=8BITMIME size=5 RET=HDRS", "mail from:<a@x> BODY=8BITMIME size=15 RET=HDRS"),
        ('MAIL FROM:<"a SIZE=7 >b"@x> SIZE=5', 'MAIL FROM:<"a SIZE=7 >b"@x> SIZE=15'),
    ],
)
def test_it_is_raised_and_nothing_else(said: str, sent: str) -> None:
    assert with_headroom(Command.of(said), 10).raw == sent.encode()


@pytest.mark.parametrize("said", ["MAIL FROM:<a@x>", "MAIL FROM:<a@x> SIZE=x", 'MAIL FROM:<"SIZE=7"@x>'])
def test_without_a_size_it_is_the_same_command(said: str) -> None:
    command = Command.of(said)
    assert with_headroom(command, 10) is command


@each(
    ("ehlo", "limit", "offered"),
    [
        ("250 SIZE 100", None, "SIZE 90"),
        ("250 SIZE 100", 60, "SIZE 50"),
        ("250 SIZE 100", 600, "SIZE 90"),
        ("250 SIZE 5", None, "SIZE 1"),
        ("250 SIZE 0", None, "SIZE 0"),
        ("250 SIZE", 60, "SIZE 50"),
        ("250 DSN", 60, "SIZE 50"),
        ("250 DSN", None, ""),
    ],
)
def test_the_client_is_offered_less(ehlo: str, limit: int | None, offered: str) -> None:
    made = Scene(config=Config(headroom=10, max_message_size=limit)).introduced("250-mx", ehlo)
    (told,) = [each for each in made.took(made.last) if each.startswith("C: ")]
    found = [each[4:] for each in told.split("|") if "SIZE" in each]
    assert found == ([offered] if offered else [])


def test_what_is_declared_too_large_for_the_room_is_refused_here() -> None:
    made = Scene(config=Config(headroom=10)).introduced("250-mx", "250 SIZE 100")
    assert made.client("MAIL FROM:<a> SIZE=91") == ["C: 552 5.3.4 message is larger than 90 octets"]
    assert made.client("MAIL FROM:<a> SIZE=90") == ["S: MAIL FROM:<a> SIZE=100"]


def test_it_is_not_negative() -> None:
    with pytest.raises(ValueError, match="headroom"):
        Config(headroom=-1)


def test_the_limit_of_this_proxy_counts_without_ehlo_too() -> None:
    """For what leaves after an edit."""
    made = Scene("HEADERS", config=Config(headroom=10, max_message_size=50))
    made.server("220 mx")
    made.client("DATA")
    made.server("354 go")
    made.client("A: b", "", "text", ".")
    assert made.answer(Replace(b"A: " + b"b" * 50 + b"\r\n\r\n"))[-1] == (
        "C: 552 5.3.4 message is larger than 50 octets after an edit"
    )
