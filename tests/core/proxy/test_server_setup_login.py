"""When a server must be logged in to."""

from __future__ import annotations

import pytest

from core.login_talk import PLAIN, scene
from core.scene import Scene
from sansio_smtp.config import Config, LoginMode


@pytest.mark.parametrize("line", ["NOOP", "RSET", "VRFY x", "RCPT TO:<b@mx>", "HELO me"])
@pytest.mark.parametrize("mode", ["inject", "translate"])
def test_not_before_other_commands(mode: str, line: str) -> None:
    assert scene(mode).client(line) == [f"S: {line}"]


def test_after_helo() -> None:
    one = Scene(config=Config(login_mode=LoginMode.INJECT))
    one.server("220 mx")
    one.client("HELO me")
    one.server("250 mx")
    assert one.client("MAIL FROM:<a@me>") == ["S: EHLO me"]
    assert one.server("250 mx") == ["? LoginQuestion"]
    assert one.question.mechanisms == ()


def test_when_the_client_logs_in() -> None:
    assert scene("translate").client(PLAIN) == ["? LoginQuestion"]
