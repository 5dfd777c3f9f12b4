"""Replies of a server whose connection is kept, or was."""

from __future__ import annotations

from core.scene import Scene
from sansio_smtp.config import Config, UpstreamTls


def test_the_reply_to_the_reset_is_not_told() -> None:
    made = Scene(config=Config(keep=True)).greeted()
    made.client("QUIT")
    assert made.server("250 reset") == ["C: 221 2.0.0 bye", "release S", "close C"]


def test_a_server_that_was_kept_leaves_or_answers() -> None:
    made = Scene(config=Config(keep=True))
    made.proxy.server_connected(UpstreamTls.NONE, kept=True)
    made.server("220 mx")
    made.client("EHLO me")
    assert made.server("421 idle") == ["close S", "connect home"]
    assert made.server("220 mx") == ["S: EHLO me"]
    assert made.server("250 mx") == ["C: 250-mx|250 PIPELINING"]
