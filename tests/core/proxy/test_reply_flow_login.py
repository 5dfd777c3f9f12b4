"""Who the client is: its greeting command, and the identity that a server has accepted."""

from __future__ import annotations

import pytest
from each import each

from core.scene import Scene
from sansio_smtp.config import Config
from sansio_smtp.events import CLIENT, SERVER
from sansio_smtp.questions import Answer, ReplaceCommand
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import UNKNOWN_LOGIN

NO = Reply.of(550, "no")
OK = Reply.of(250, "ok")
COPY = Command.of("RCPT TO:<x@archive.example>")
NO_COPY = "C: 451 4.3.0 a recipient that this proxy adds was refused"


@each(
    ("lines", "login"),
    [
        ((("AUTH PLAIN AGFubgBz", "235 ok"),), "ann"),
        ((("AUTH PLAIN AGFubgBz", "535 no"),), None),
        ((("AUTH PLAIN", "334 "), ("AGFubgBz", "235 ok")), "ann"),
        ((("AUTH LOGIN", "334 VXNlcm5hbWU6"), ("YW5u", "334 UGFzc3dvcmQ6"), ("eA==", "235 ok")), "ann"),
        ((("AUTH GSSAPI YII=", "235 ok"),), None),
        ((("AUTH PLAIN AGFubgBz", "535 no"), ("AUTH PLAIN AGJvYgBz", "235 ok")), "bob"),
        ((("AUTH PLAIN AGFubgBz", "235 ok"), ("AUTH PLAIN AGJvYgBz", "503 once")), "ann"),
        ((("AUTH PLAIN AGFubgBz", "235 ok"), ("AUTH GSSAPI YII=", "235 ok")), None),
        ((("AUTH PLAIN AGFubgBz", "235 ok"), ("EHLO again", "250 ok")), "ann"),
        ((("AUTH LOGIN =", "334 "), ("QW5u", "334 "), ("eA", "235 ok")), "ann"),
        ((("XLOGIN YW5u", "235 ok"),), None),
    ],
)
def test_login(lines: tuple[tuple[str, str], ...], login: str | None) -> None:
    """The identity that the server has accepted, where the mechanism says it in clear."""
    scene = Scene().greeted()
    for client, server in lines:
        scene.client(client)
        scene.server(server)
    assert scene.proxy.login == login
    accepted = any(server.startswith("235") for _, server in lines)
    assert (scene.proxy.accepted_login is not None) == accepted, "unknown is not none"


def test_an_endless_exchange_has_no_name_and_fills_no_memory() -> None:
    scene = Scene().greeted()
    scene.client("AUTH PLAIN AGFubgBz")
    for _ in range(100):
        scene.server("334 more")
        scene.client("AGFubgBz")
    scene.server("235 ok")
    assert scene.proxy.accepted_login == UNKNOWN_LOGIN
    assert len(scene.proxy._commands.login) <= 10


def test_a_login_that_a_verdict_accepts() -> None:
    """In place of the server, by a program that is built on this library."""
    scene = Scene("AUTH").greeted()
    scene.client("AUTH PLAIN AGFubgBz")
    scene.answer(Answer(Reply.of(235, "ok")))
    assert scene.proxy.login == "ann"
    scene.client("AUTH PLAIN AGJvYgBz")
    scene.answer(Answer(NO))
    assert scene.proxy.login == "ann"


def test_login_is_the_identity_that_the_server_was_shown() -> None:
    """Nobody has verified what the client said where a verdict put something else in its place."""
    scene = Scene("AUTH").greeted()
    scene.client("AUTH PLAIN AGFubgBz")
    assert scene.answer(ReplaceCommand(Command.of("AUTH PLAIN AGJvYgBz"))) == ["S: AUTH PLAIN AGJvYgBz"]
    scene.server("235 ok")
    assert scene.proxy.login == "bob"


@pytest.mark.parametrize("auth", [(), ("AUTH PLAIN AGFubgBz", "535 no")])
def test_a_session_goes_on_behind_a_refused_message(auth: tuple[str, ...]) -> None:
    scene = refused(auth)
    assert scene.client("MAIL FROM:<c>") == ["connect home"]
    assert scene.proxy.may_read == {CLIENT, SERVER}
    assert scene.server("220 mx") == ["S: EHLO me"]


@pytest.mark.parametrize("line", ["AUTH PLAIN AGFubgBz", "AUTH GSSAPI YII="])
def test_a_session_that_has_logged_in_does_not(line: str) -> None:
    scene = refused((line, "235 ok"))
    assert scene.client("MAIL FROM:<c>") == [
        "C: 421 4.3.2 upstream connection ended with the refused message",
        "close C",
    ]


def refused(auth: tuple[str, ...]) -> Scene:
    """After a message that was refused while it streamed."""
    scene = Scene("HEADERS", config=Config(reconnect=True)).greeted()
    if auth:
        client, server = auth
        scene.client(client)
        scene.server(server)
    for line in ("MAIL FROM:<a>", "RCPT TO:<b>"):
        scene.client(line)
        scene.server("250 ok")
    scene.client("DATA")
    scene.server("354 go")
    scene.client("A: b", "", ".")
    assert scene.answer(Answer(NO)) == ["abort S", "answered 550", "C: 550 no"]
    return scene


def test_hello_is_what_the_server_last_took() -> None:
    scene = Scene().greeted()
    assert scene.proxy.hello is not None
    assert scene.proxy.hello.raw == b"EHLO me"
    scene.client("EHLO other")
    scene.server("550 no")
    assert scene.proxy.hello.raw == b"EHLO me"
