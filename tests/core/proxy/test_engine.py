"""The parts of a proxy, and the pass that runs them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from core.scene import Scene
from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import BareNewline, ClientTls, Config, UpstreamTls
from sansio_smtp.errors import InternalError
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    Violation,
    WaitingFor,
)
from sansio_smtp.proxy.message_flow import MessageFlow
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import Answer, Continue
from sansio_smtp.states import Message, Phase
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")


def test_a_violation_is_told_after_what_came_before() -> None:
    """Nothing parsed before it is lost, and it is answered in its turn."""
    scene = Scene().greeted()
    assert scene.client("NOOP", "GET / HTTP/1.1") == ["S: NOOP", "violation CLIENT"]
    assert scene.event(Violation).error.reply_hint.code == 500
    last = "C: 500 5.5.1 this is an SMTP server, not HTTP; closing"
    assert scene.server("250 ok") == ["C: 250 ok", last, "close S", "close C"]


def test_the_servers_violation_ends_the_dialogue() -> None:
    scene = Scene().greeted()
    scene.client("AUTH PLAIN c2VjcmV0")
    shown = scene.took(scene.proxy.receive_from(SERVER, b"535 ok\r\n535 c2VjcmV0\n"))
    assert shown[1:] == [
        "violation SERVER",
        "C: 421 4.3.0 upstream server broke the protocol, closing",
        "close S",
        "close C",
    ]
    assert scene.event(Violation).error.evidence == b"535 ********\n"


def test_what_a_reply_lets_the_client_say_is_said_before_the_next_reply_is_read() -> None:
    """As if the two replies had come in two segments."""
    for segments in ([("250 mx", "421 bye")], [("250 mx",), ("421 bye",)]):
        scene = Scene()
        scene.server("220 mx")
        assert scene.client("HELO me", "NOOP") == ["S: HELO me"]
        out = [line for segment in segments for line in scene.server(*segment)]
        assert out == ["C: 250 mx", "S: NOOP", "C: 421 bye", "close S", "close C"]


def test_an_early_refusal_of_a_message_is_passed_on() -> None:
    assert Scene().in_content().server("552 too big") == ["C: 552 too big", "abort S", "close C"]


def test_one_question_at_a_time() -> None:
    """What comes after it waits; so do the replies, if they are asked for too."""
    scene = Scene("RCPT", "REPLY").greeted()
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>")
    assert scene.server("250 a") == []
    assert scene.answer(Continue()) == ["S: RCPT TO:<b>", "? ReplyQuestion"]
    assert scene.answer(Continue()) == ["C: 250 a", "? CommandQuestion"]
    assert scene.question.command.raw == b"RCPT TO:<c>"


def test_an_illegal_joint_state_raises_and_ends_the_dialogue() -> None:
    """It is a fault of the library, planted here; the driver calls `Proxy.broke` then."""
    scene = Scene().in_content()
    scene.client("x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MessageFlow, "close", lambda _: None)
        with pytest.raises(InternalError, match="gate SHUT does not go with message STREAMING"):
            scene.proxy.shutdown(now=True)
    shown = scene.took(scene.proxy.broke())
    assert [text[:6] for text in shown] == ["C: 421", "abort ", "close "]
    assert scene.proxy.snapshot().message is Message.NONE


def test_a_server_that_breaks_the_protocol_may_be_left_for_another() -> None:
    made = Scene(config=Config(reconnect=True, failover=1))
    assert made.server("hello")[-2:] == ["close S", "connect home"]
    assert made.server("220 two") == ["C: 220 two"]


def test_a_client_that_has_quit_need_not_wait() -> None:
    """Its end of input changes nothing: the server is being reset for the next client."""
    made = Scene(config=Config(keep=True), client=ClientInfo(address="192.0.2.1:51000")).greeted()
    assert made.client("QUIT") == ["S: RSET"]
    assert made.took(made.proxy.eof_from(CLIENT)) == []
    assert made.server("250 ok") == ["C: 221 2.0.0 bye", "release S", "close C"]


SESSION = (
    *((SERVER, b"220 mx\r\n"), (CLIENT, b"EHLO me\r\n"), (SERVER, b"250 mx\r\n")),
    *((CLIENT, b"MAIL FROM:<a@me>\r\n"), (SERVER, b"250 ok\r\n")),
    *((CLIENT, b"RCPT TO:<b@mx>\r\n"), (SERVER, b"250 ok\r\n")),
    *((CLIENT, b"DATA\r\n"), (SERVER, b"354 go\r\n"), (CLIENT, b"x\r\n.\r\n"), (SERVER, b"250 kept\r\n")),
    *((CLIENT, b"QUIT\r\n"), (SERVER, b"221 bye\r\n")),
)


def passed(config: Config, *, looks: bool = False) -> Proxy:
    """The third session of this kind: what comes of its beginning is known. ``looks``: the ends are asked."""
    for _ in range(3):
        proxy = Proxy(config)
        proxy.server_connected(UpstreamTls.NONE)
        assert proxy.waiting_for is WaitingFor.GREETING
        for side, data in SESSION:
            assert side in proxy.may_read
            if proxy.pass_on(side, data) is None:
                proxy.receive_from(side, data)
            elif proxy.answers:
                assert proxy.take_answered().envelope.recipients[0].raw == b"RCPT TO:<b@mx>"
            if looks:
                assert proxy.states
    return proxy


def draining() -> Proxy:
    """Nothing passes in it."""
    proxy = passed(Config(), looks=True)
    proxy.drain(Reply.of(421, "bye"))
    assert proxy._passing is None
    return proxy


@pytest.mark.parametrize(
    "made",
    [Proxy, draining, partial(passed, Config()), partial(passed, Config(), looks=True)],
    ids=["new", "draining", "without parts", "with parts"],
)
def test_what_was_let_go_is_free_at_once(made: Callable[[], Proxy]) -> None:
    proxy = made()
    proxy.let_go()
    found = weakref.ref(proxy)
    gc.disable()
    try:
        del proxy
        assert found() is None
    finally:
        gc.enable()


def test_a_session_that_passes_from_beginning_to_end_needs_no_parts() -> None:
    """They are made when one of them is asked for, and know all that has passed by then."""
    config = Config(max_message_size=777_001)
    proxy = passed(config)
    assert proxy.closed
    assert not proxy._has_parts
    assert proxy.identity is proxy.identity
    assert proxy.states == (Phase.CLOSED, Phase.CLOSED)
    assert proxy._has_parts
    assert passed(config, looks=True)._has_parts


def test_a_name_that_is_none() -> None:
    with pytest.raises(AttributeError, match="colour"):
        Proxy().colour  # noqa: B018


def test_what_is_wrong_with_what_the_client_sends() -> None:
    """A command is refused, so is a message; where no reply is understood, both sides are closed."""
    scene = Scene(config=Config(bare_newline=BareNewline.REJECT)).in_content()
    scene.client("a\nb")
    assert scene.client(".")[0].startswith("answered 550")
    scene = Scene().greeted()
    assert scene.client("ETRN x")[-1].startswith("C: 502 ")
    scene = Scene(config=Config(tls=ClientTls.MAY)).greeted()
    assert scene.client("STARTTLS")[-1] == "tls C"
    assert scene.client("NOOP") == ["violation CLIENT", "close S", "close C"]


def test_what_was_said_of_the_connection_before_the_parts_are_made() -> None:
    proxy = Proxy()
    proxy.server_connected(UpstreamTls.ENCRYPT)
    assert not proxy._has_parts
    assert proxy._forwarding.leg.level is UpstreamTls.ENCRYPT


def test_a_server_that_is_lost() -> None:
    scene = Scene().greeted()
    lost = "C: 421 4.4.2 upstream server closed the connection"
    assert scene.took(scene.proxy.eof_from(SERVER)) == [lost, "close S", "close C"]
    assert scene.took(scene.proxy.refuse(NO)) == []
    scene = Scene(config=Config(keep=True)).greeted()
    assert scene.client("QUIT")[-1] == "S: RSET"
    assert scene.took(scene.proxy.eof_from(SERVER)) == ["C: 221 2.0.0 bye", "close S", "close C"]
    scene = Scene(config=Config(keep=True))
    scene.proxy.server_connected(UpstreamTls.NONE, kept=True)
    scene.server("220 mx")
    assert scene.took(scene.proxy.eof_from(SERVER)) == ["close S", "connect home"]


def test_wrong_types_are_named() -> None:
    no_question: Any = None
    for use, text in (
        (lambda: Proxy("mx.example:25"), "Proxy takes a Config, not str; such as Config"),  # type: ignore[arg-type]
        (lambda: Proxy({}), "Proxy takes a Config, not dict"),  # type: ignore[arg-type]
        (lambda: Proxy(client="192.0.2.1:25"), "client is a ClientInfo, not str; such as ClientInfo"),  # type: ignore[arg-type]
        (lambda: Proxy(client=ClientInfo(tls=False)), "is a TlsInfo, or None for plain text, not bool"),  # type: ignore[arg-type]
        (
            lambda: Proxy().answer(no_question, Continue()),
            "answer takes a question, then its verdict, not None",
        ),
        (
            lambda: Proxy().answer(no_question, Answer(NO)),
            "answer takes a question, then its verdict, not None",
        ),
        (lambda: Proxy(make_spool=b""), "make_spool is a function that makes a Spool, not bytes"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=text):
            use()
