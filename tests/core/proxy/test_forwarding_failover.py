"""The queue of commands when a server fails: what it has not answered goes to the next one, in order."""

from __future__ import annotations

from core.scene import Scene
from sansio_smtp.config import Config
from sansio_smtp.events import SERVER

CONFIG = Config(reconnect=True, failover=1)


def test_what_was_not_answered_comes_before_what_was_not_sent() -> None:
    made = Scene(config=CONFIG).greeted("250 mx")
    assert made.client("NOOP 1", "NOOP 2", "NOOP 3") == ["S: NOOP 1"]
    assert made.took(made.proxy.eof_from(SERVER))[-2:] == ["close S", "connect home"]
    assert made.server("220 two") == ["S: EHLO me"]
    assert made.server("250-two", "250 PIPELINING") == ["S: NOOP 1"]
    assert made.server("250 1") == ["C: 250 1", "S: NOOP 2"]


def test_a_server_that_can_be_told_is_told_quit() -> None:
    made = Scene(config=CONFIG)
    made.server("220 mx")
    made.client("EHLO me")
    assert made.server("451 later")[1:] == ["S: QUIT", "close S", "connect home"]
    made = Scene(config=CONFIG)
    made.server("220 mx")
    made.client("EHLO me")
    assert made.took(made.proxy.eof_from(SERVER))[1:] == ["close S", "connect home"]


def test_a_server_that_owes_nothing_is_replaced_when_it_is_needed() -> None:
    made = Scene(config=CONFIG).greeted()
    assert made.took(made.proxy.eof_from(SERVER)) == ["close S"]
    assert made.client("NOOP") == ["connect home"]
