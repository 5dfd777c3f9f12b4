"""A client that has quit need not wait; a server that was kept may be gone."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.config import Config, UpstreamTls
from sansio_smtp.events import CLIENT, SERVER


def quit_early() -> Scene:
    made = Scene(config=Config(keep=True)).introduced()
    assert made.client("QUIT") == ["S: RSET"]
    return made


@pytest.mark.parametrize("leave", ["eof_from", "client_lost"])
def test_the_client_leaves_before_the_server_is_reset(leave: str) -> None:
    made = quit_early()
    given = [CLIENT] if leave == "eof_from" else []
    assert made.took(getattr(made.proxy, leave)(*given)) == []
    assert not made.proxy.closed
    assert made.server("250 ok") == ["C: 221 2.0.0 bye", "release S", "close C"]


def test_the_server_ends() -> None:
    made = quit_early()
    assert made.took(made.proxy.eof_from(SERVER)) == ["C: 221 2.0.0 bye", "close S", "close C"]


def test_a_kept_server_ends() -> None:
    made = Scene(config=Config(keep=True))
    made.proxy.server_connected(UpstreamTls.NONE, kept=True)
    made.server("220 mx")
    assert made.took(made.proxy.eof_from(SERVER)) == ["close S", "connect home"]
