"""What a server says of its limits is read strictly: what is no number limits nothing."""

from __future__ import annotations

import pytest

from sansio_smtp.ends.limits import MAILMAX, RCPTMAX, Limits, limits
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
