"""How a dialogue is ended from outside."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.config import Config, UpstreamTls
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    WaitingFor,
)
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
BOTH = {CLIENT, SERVER}


def test_the_server_cannot_be_reached() -> None:
    shown = Scene().took(Scene().proxy.server_unreachable())
    assert shown == ["C: 421 4.4.1 upstream server cannot be reached, try again later", "close S", "close C"]


@pytest.mark.parametrize("stalled", [False, True])
def test_timeout(stalled: bool) -> None:
    scene = Scene().in_content()
    scene.client(".")
    told = scene.took(scene.proxy.timed_out(stalled=stalled))
    code = "421" if stalled else "451"
    assert [text[:12] for text in told] == [f"answered {code}", f"C: {code} 4.4.2", "close S", "close C"]
    assert scene.proxy.timed_out() == []


@pytest.mark.parametrize("waiting_for", [member for member in WaitingFor if member is not WaitingFor.NOTHING])
def test_every_timeout_is_answered(waiting_for: WaitingFor) -> None:
    scenes = [
        Scene(),
        Scene().greeted(),
        Scene().greeted(),
        Scene().in_content(),
        Scene().in_content(),
        Scene("NOOP").greeted(),
        Scene(config=Config(upstream_tls=UpstreamTls.MAY)).introduced("250-mx", "250 STARTTLS"),
    ]
    scenes[6].server("220 go")
    scenes[2].client("NOOP")
    scenes[4].client(".")
    scenes[5].client("NOOP")
    (scene,) = [scene for scene in scenes if scene.proxy.waiting_for is waiting_for]
    shown = scene.took(scene.proxy.timed_out())
    assert shown[-1] == "close C"
    assert any(text.startswith("C: 4") for text in shown)
    assert scene.proxy.closed


def test_shutdown_when_idle() -> None:
    bye = ["C: 421 4.3.2 service is shutting down, try again later", "close S", "close C"]
    for scene in (Scene(), Scene().greeted()):
        assert scene.took(scene.proxy.shutdown()) == bye


def test_shutdown_now() -> None:
    scene = Scene().in_content()
    shown = scene.took(scene.proxy.shutdown(now=True))
    assert [text[:6] for text in shown] == ["C: 421", "abort ", "close "]
    assert scene.took(scene.proxy.shutdown(now=True)) == []
    assert scene.took(scene.proxy.shutdown()) == []


def test_every_input_is_ignored_when_it_is_over() -> None:
    scene = Scene().greeted()
    scene.took(scene.proxy.eof_from(CLIENT))
    proxy = scene.proxy
    assert proxy.closed
    for events in (
        proxy.receive_from(CLIENT, b"NOOP\r\n"),
        proxy.receive_from(SERVER, b"250 ok\r\n"),
        proxy.eof_from(CLIENT),
        proxy.eof_from(SERVER),
        proxy.timed_out(),
        proxy.server_unreachable(),
    ):
        assert events == []
    assert (proxy.may_read, proxy.buffered) == (set(), 0)


def test_what_is_known_of_the_client() -> None:
    scene = Scene().greeted()
    assert scene.proxy.hello is not None
    assert scene.proxy.hello.raw == b"EHLO me"
    assert scene.proxy.login is None
    assert scene.proxy.accepted_login is None
    assert scene.proxy.client_info.helo == "me"


def test_the_client_leaves_before_it_is_greeted() -> None:
    scene = Scene()
    assert scene.took(scene.proxy.eof_from(CLIENT)) == ["close S", "close C"]


def test_a_server_that_is_lost_before_its_first_octet() -> None:
    scene = Scene()
    lost = ["C: 421 4.4.2 upstream server closed the connection", "close S", "close C"]
    assert scene.took(scene.proxy.eof_from(SERVER)) == lost
