"""The queue at the end and at the beginning of a connection that is kept for other clients."""

from __future__ import annotations

from core.scene import Scene
from sansio_smtp.config import Config, UpstreamTls
from sansio_smtp.events import SERVER

REPLACED = ["close S", "connect home"]


def scene(*, kept: bool = False) -> Scene:
    made = Scene(config=Config(keep=True))
    if kept:
        made.proxy.server_connected(UpstreamTls.NONE, kept=True)
    made.server("220 mx")
    return made


def test_the_reset_comes_after_what_was_sent_before() -> None:
    made = scene()
    made.client("EHLO me")
    made.server("250 mx")
    assert made.client("RCPT TO:<a>", "NOOP", "QUIT") == ["S: RCPT TO:<a>"]
    assert made.server("250 ok") == ["C: 250 ok", "S: NOOP"]
    assert made.server("250 ok") == ["C: 250 ok", "S: RSET"]
    assert made.server("250 ok") == ["C: 221 2.0.0 bye", "release S", "close C"]


def test_what_the_client_said_is_said_again_and_what_the_proxy_said_is_not() -> None:
    made = scene(kept=True)
    made.client("HELO me", "NOOP")
    assert made.took(made.proxy.eof_from(SERVER)) == REPLACED
    assert made.server("220 mx") == ["S: HELO me"]
    made = scene(kept=True)
    assert made.client("NOOP") == ["S: EHLO localhost"]
    assert made.took(made.proxy.eof_from(SERVER)) == REPLACED
    assert made.server("220 mx") == ["S: NOOP"]
