"""What a server says of its limits is read strictly: what is no number limits nothing."""

from __future__ import annotations

import pytest
from each import each

from sansio_smtp.ends.limits import MAILMAX, RCPTMAX, Limits, limits, with_recipients
from sansio_smtp.wire.commands import Command


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("MAILMAX=20 RCPTMAX=100 RCPTDOMAINMAX=1", {"MAILMAX": 20, "RCPTMAX": 100, "RCPTDOMAINMAX": 1}),
        ("mailmax=20", {"MAILMAX": 20}),
        ("RCPTMAX=999999", {"RCPTMAX": 999_999}),
        ("RCPTMAX=1 RCPTMAX=2", {"RCPTMAX": 1}),
        ("RCPTMAX=0 MAILMAX=-1 A=1000000 B= C =1 D=x E=1=2 F=+1 G=\u0661", {}),
        ("", {}),
    ],
)
def test_limits(said: str, found: dict[str, int]) -> None:
    assert limits({"LIMITS": said}) == found


def test_a_server_that_does_not_say_them() -> None:
    assert limits({"SIZE": "MAILMAX=1"}) == {}


MAIL, RCPT, NOOP = Command.of("MAIL FROM:<a>"), Command.of("RCPT TO:<b>"), Command.of("NOOP")


def test_commands_are_counted_accepted_or_not() -> None:
    counted = Limits()
    counted.learn({"LIMITS": "MAILMAX=2 RCPTMAX=1"})
    for _ in range(2):
        assert counted.exceeded_by(MAIL) is None
        counted.sent(MAIL)
        assert counted.exceeded_by(RCPT) is None
        counted.sent(RCPT)
        counted.sent(NOOP)
        assert counted.exceeded_by(RCPT) == RCPTMAX
    assert counted.exceeded_by(MAIL) == MAILMAX
    assert counted.exceeded_by(NOOP) is None
    counted.learn({})
    assert (counted.exceeded_by(MAIL), counted.exceeded_by(RCPT)) == (None, None)


@each(
    ("line", "told"),
    [
        ("LIMITS MAILMAX=3 RCPTMAX=100 A=1", "LIMITS MAILMAX=3 RCPTMAX=20 A=1"),
        ("limits  rcptmax=21", "limits RCPTMAX=20"),
        ("LIMITS RCPTMAX=20", "LIMITS RCPTMAX=20"),
        ("limits  rcptmax=5", "limits  rcptmax=5"),
        ("LIMITS MAILMAX=3", "LIMITS MAILMAX=3 RCPTMAX=20"),
        ("LIMITS", "LIMITS RCPTMAX=20"),
        ("LIMITS RCPTMAX=0", "LIMITS RCPTMAX=20"),
        ("LIMITS RCPTMAX=30 RCPTMAX=5", "LIMITS RCPTMAX=20"),
    ],
)
def test_the_smaller_number_of_recipients_is_announced(line: str, told: str) -> None:
    assert with_recipients(line.encode(), 20) == told.encode()


def test_a_number_with_too_many_digits_is_not_announced() -> None:
    """RFC 9422 §3: six at most."""
    assert with_recipients(b"LIMITS RCPTMAX=100", 10) == b"LIMITS RCPTMAX=10"
    assert with_recipients(b"LIMITS MAILMAX=1", 1_000_000) == b"LIMITS MAILMAX=1"
