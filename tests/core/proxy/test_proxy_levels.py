"""What a driver reads: which side may be read, what is waited for; and how a dialogue is ended from
outside."""

from __future__ import annotations

import pytest

from core.scene import Scene, every_cut
from sansio_smtp.config import Config, UpstreamTls
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    MessageAnswered,
    WaitingFor,
)
from sansio_smtp.questions import Answer, Continue
from sansio_smtp.states import Phase
from sansio_smtp.wire.commands import END_OF_DATA
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
BOTH = {CLIENT, SERVER}


def test_waiting_for() -> None:
    """RFC 5321 §4.5.3.2: each of these has its own patience."""
    scene = Scene("RCPT")
    proxy = scene.proxy
    seen = [proxy.waiting_for]
    scene.server("220 mx")
    for client, server in (("EHLO me", "250 mx"), ("MAIL FROM:<a>", "250 a"), ("RCPT TO:<b>", None)):
        seen.append(proxy.waiting_for)
        scene.client(client)
        seen.append(proxy.waiting_for)
        scene.server(server) if server else scene.answer(Continue())
    scene.server("250 b")
    scene.client("DATA")
    scene.server("354 go")
    seen.append(proxy.waiting_for)
    scene.client(".")
    seen.append(proxy.waiting_for)
    assert proxy.awaiting is END_OF_DATA
    scene.took(proxy.timed_out())
    seen.append(proxy.waiting_for)
    assert [waiting_for.value for waiting_for in seen] == [
        "greeting",
        "command",
        "reply",
        "command",
        "reply",
        "command",
        "verdict",
        "content",
        "final-reply",
        "nothing",
    ]


def test_states() -> None:
    scene = Scene()
    assert scene.proxy.states == (Phase.GREETING, Phase.GREETING)
    scene.in_content()
    assert scene.proxy.states == (Phase.CONTENT, Phase.CONTENT)
    scene.client(".")
    scene.server("421 bye")
    assert scene.proxy.states == (Phase.CLOSED, Phase.CLOSED)


def test_the_client_is_not_read_while_a_question_is_open() -> None:
    scene = Scene("RCPT").greeted()
    assert scene.proxy.may_read == BOTH
    scene.client("RCPT TO:<b>")
    assert scene.proxy.may_read == {SERVER}
    scene.answer(Continue())
    assert scene.proxy.may_read == BOTH


def test_the_client_is_not_read_at_the_cap_of_the_queue() -> None:
    scene = Scene(config=Config(max_pipelined=2)).greeted()
    assert scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>") == [
        "S: MAIL FROM:<a>",
        "S: RCPT TO:<b>",
    ]
    assert scene.proxy.may_read == {SERVER}
    assert scene.server("250 a") == ["C: 250 a", "S: RCPT TO:<c>"]
    assert scene.proxy.may_read == {SERVER}
    scene.server("250 b")
    assert scene.proxy.may_read == BOTH


def test_the_client_is_not_read_when_too_much_waits_unparsed() -> None:
    scene = Scene(config=Config(read_ahead=20, max_line=30))
    scene.client("x" * 29)
    assert scene.proxy.may_read == BOTH  # a line that is too long must be seen to be so
    scene.client("")
    assert scene.proxy.buffered == 33
    assert scene.proxy.may_read == {SERVER}


def test_the_server_is_not_read_when_its_replies_wait_for_verdicts() -> None:
    scene = Scene("REPLY", config=Config(read_ahead=10)).greeted()
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>")
    scene.server("250 a", "250")
    assert scene.proxy.may_read == {SERVER}
    scene.server("250 c")
    assert scene.proxy.may_read == set()
    scene.answer(Continue())
    assert scene.proxy.may_read == {SERVER}


def test_buffered_counts_all_that_is_kept() -> None:
    scene = Scene("HEADERS").greeted()
    scene.client("NOOP", "NOOP")
    assert scene.proxy.buffered == 8
    scene.proxy.receive_from(CLIENT, b"RS")
    scene.proxy.receive_from(SERVER, b"250")
    assert scene.proxy.buffered == 13
    scene = Scene("HEADERS").in_content()
    scene.client("A: b")
    scene.proxy.receive_from(CLIENT, b"\r\n.")
    assert scene.proxy.waiting_for is WaitingFor.VERDICT
    scene = Scene("MESSAGE").in_content()
    scene.client("A: b")
    scene.proxy.receive_from(CLIENT, b".")
    assert scene.proxy.buffered == 7
    scene.took(scene.proxy.timed_out())
    assert scene.proxy.buffered == 0


def test_who_has_ended_is_not_read() -> None:
    scene = Scene().greeted()
    scene.client("NOOP")
    assert scene.took(scene.proxy.eof_from(CLIENT)) == []
    assert scene.proxy.may_read == {SERVER}
    assert scene.server("250 ok") == ["C: 250 ok", "close S", "close C"]
    assert scene.proxy.may_read == set()


def test_the_server_that_has_ended_is_not_read() -> None:
    scene = Scene("REPLY").greeted()
    scene.client("NOOP")
    scene.server("250 ok")
    assert scene.took(scene.proxy.eof_from(SERVER)) == []
    assert scene.proxy.may_read == set()
    assert scene.answer(Continue())[0] == "C: 250 ok"


def test_the_server_that_was_left_is_not_read() -> None:
    scene = Scene("HEADERS").in_content()
    scene.client("")
    scene.answer(Answer(NO))
    assert scene.proxy.may_read == {CLIENT}
    assert scene.server("250 what") == []


def test_progress_is_made_by_whole_things_only() -> None:
    """A peer that sends an octet now and then must not hold the dialogue open."""
    scene = Scene("RCPT").greeted()
    for pieces in every_cut(b"NOOP\r\n"):
        before = scene.proxy.progress
        for piece in pieces:
            assert scene.proxy.progress == before
            scene.proxy.receive_from(CLIENT, piece)
        assert scene.proxy.progress == before + 1
        scene.server("250 ok")
        assert scene.proxy.progress == before + 2
    scene.client("RCPT TO:<b>")
    before = scene.proxy.progress
    scene.answer(Continue())
    assert scene.proxy.progress == before + 1


def test_the_client_leaves_before_it_is_greeted() -> None:
    scene = Scene()
    assert scene.took(scene.proxy.eof_from(CLIENT)) == ["close S", "close C"]


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
