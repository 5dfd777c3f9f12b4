"""What is known of the content of a message that is passed on (`Config.account`)."""

from __future__ import annotations

import pytest
from twins import Twins

from core.scene import lines
from sansio_smtp import CLIENT, SERVER, CommandRefused, Config, MessageAnswered
from sansio_smtp.ends.exchanges import Content

ACCOUNT = Config(account=True)
MESSAGE = ("Message-ID: <a@me>", "", "text", ".")
CAME = sum(len(line) + 2 for line in MESSAGE[:-1])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("final", ["250 ok", "250-ok\r\n250 kept", "451 later"])
def test_content_that_is_passed_on(whole: bool, final: str) -> None:
    """Twice: the first mail transaction begins at rest, the second one after it."""
    twins = Twins(ACCOUNT)
    for side, text in ((SERVER, ("220 mx",)), (CLIENT, ("EHLO me",)), (SERVER, ("250 mx",))):
        twins.receive_from(side, lines(*text))
    for number in range(2):
        for line, reply in (("MAIL FROM:<a>", "250 a"), ("RCPT TO:<b>", "250 b"), ("DATA", "354 go")):
            twins.receive_from(CLIENT, lines(line))
            twins.receive_from(SERVER, lines(reply))
        message = lines(f"Message-ID: <{number}@me>", *MESSAGE[1:])
        for piece in (message,) if whole else (message[:22], message[22:]):
            twins.receive_from(CLIENT, piece)
        events = twins.receive_from(SERVER, lines(*final.split("\r\n")))
        (answered,) = [event for event in events if isinstance(event, MessageAnswered)]
        assert answered.content == Content(CAME, CAME, b"<%d@me>" % number)


def test_a_refusal_is_not_passed_on() -> None:
    twins = Twins(ACCOUNT)
    for side, text in ((SERVER, ("220 mx",)), (CLIENT, ("EHLO me",)), (SERVER, ("250 mx",))):
        twins.receive_from(side, lines(*text))
    twins.receive_from(CLIENT, lines("MAIL FROM:<a>"))
    events = twins.receive_from(SERVER, lines("550 no"))
    assert [event.shown for event in events if isinstance(event, CommandRefused)] == ["550 no"]
