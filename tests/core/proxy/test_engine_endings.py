"""How a dialogue is ended from outside."""

from __future__ import annotations

import gc
import weakref

import pytest

from core.scene import Scene
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    MessageAnswered,
)
from sansio_smtp.questions import Answer
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
BOTH = {CLIENT, SERVER}


def test_the_client_said_something_and_left_before_it_was_greeted() -> None:
    scene = Scene()
    scene.client("QUIT")
    assert scene.took(scene.proxy.eof_from(CLIENT)) == []
    assert scene.server("220 mx") == ["C: 220 mx", "S: QUIT"]
    assert scene.server("221 bye") == ["C: 221 bye", "close S", "close C"]


def test_the_client_leaves_in_mail_data() -> None:
    """What it did not end must not end at the server."""
    scene = Scene().in_content()
    scene.client("half a")
    assert scene.took(scene.proxy.eof_from(CLIENT)) == ["abort S", "close C"]


def test_shutdown_waits_for_a_transaction_and_for_replies() -> None:
    scene = Scene().in_content()
    assert scene.took(scene.proxy.shutdown()) == []
    scene.client(".")
    shown = scene.server("250 taken")
    assert [text[:5] for text in shown] == ["answe", "C: 25", "C: 42", "close", "close"]
    assert scene.event(MessageAnswered).reply.code == 250
    for scene in (Scene("NOOP").greeted(), Scene().greeted(), Scene().with_recipient()):
        scene.client("NOOP")
        assert scene.took(scene.proxy.shutdown()) == []


def test_shutdown_with_a_server_that_was_left() -> None:
    scene = Scene("HEADERS").in_content()
    scene.client("")
    scene.answer(Answer(NO))
    assert scene.took(scene.proxy.shutdown()) == []
    assert [text[:6] for text in scene.client(".")] == ["answer", "C: 550", "C: 421", "close "]


def test_a_command_that_waited_is_asked_about_when_the_reply_before_it_is_known() -> None:
    scene = Scene("RCPT", "IN_TURN").greeted()
    assert scene.client("MAIL FROM:<a>", "RCPT TO:<b>") == ["S: MAIL FROM:<a>"]
    assert scene.server("250 a") == ["C: 250 a", "? CommandQuestion"]


def test_a_client_that_has_ended_gets_the_replies_that_it_is_owed() -> None:
    scene = Scene().greeted()
    scene.client("NOOP")
    assert scene.took(scene.proxy.eof_from(CLIENT)) == []
    assert scene.server("250 ok") == ["C: 250 ok", "close S", "close C"]


@pytest.mark.parametrize("fault", [False, True])
def test_a_closed_session_leaves_no_garbage(fault: bool) -> None:
    """Memory is free at once, without a run of the garbage collector: thousands of sessions end a second."""
    scene = Scene().in_content()
    if fault:
        scene.proxy.broke()
    else:
        scene.proxy.eof_from(CLIENT)
    assert scene.proxy.closed
    proxy = weakref.ref(scene.proxy)
    gc.disable()
    try:
        del scene
        assert proxy() is None
    finally:
        gc.enable()
