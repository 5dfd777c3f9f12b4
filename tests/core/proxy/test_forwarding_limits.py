"""A server is not sent more than it has announced (RFC 9422)."""

from __future__ import annotations

from core.scene import Scene

FULL = "C: 452 4.5.3 too many recipients"
OVER = ["C: 421 4.3.2 upstream server takes no more messages in this session", "close S", "close C"]


def with_limits(text: str) -> Scene:
    return Scene().introduced("250-mx", "250-PIPELINING", f"250 LIMITS {text}")


def test_recipients() -> None:
    made = with_limits("RCPTMAX=1")
    made.client("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>", "NOOP")
    assert made.server("250 ok", "550 no") == ["C: 250 ok", "C: 550 no", FULL]
    assert made.server("250 noop") == ["C: 250 noop"]
    assert made.client("RCPT TO:<c>") == [FULL]


def test_messages() -> None:
    made = with_limits("MAILMAX=1")
    assert made.client("MAIL FROM:<a>", "RSET", "MAIL FROM:<a>", "RCPT TO:<b>") == [
        "S: MAIL FROM:<a>",
        "S: RSET",
    ]
    assert made.server("250 ok", "250 ok") == ["C: 250 ok", "C: 250 ok", *OVER]
