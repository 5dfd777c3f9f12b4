"""What a driver reads: which side may be read, what is waited for, what is known."""

from __future__ import annotations

import pytest

from core.scene import Scene, every_cut, lines
from core.spools import MemorySpool
from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import ClientTls, Config, UpstreamTls
from sansio_smtp.ends.received import Unfinished
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    WaitingFor,
)
from sansio_smtp.proxy.proxy import Proxy
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


def test_waiting_for_the_greeting_without_parts() -> None:
    """Nothing has to be made to know that."""
    proxy = Proxy()
    assert proxy.waiting_for is WaitingFor.GREETING
    assert not proxy._has_parts
    proxy.receive_from(SERVER, b"220 mx\r\n")
    assert proxy.waiting_for is WaitingFor.COMMAND


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


@pytest.mark.parametrize("last", ["", " LAST"])
def test_the_octets_of_a_chunk_are_read_whatever_waits_for_replies(last: str) -> None:
    """Else nobody would go on: its reply comes when all of them have come."""
    scene = Scene(config=Config(max_pipelined=1)).with_recipient("250-mx", "250 CHUNKING")
    assert scene.client(f"BDAT 6{last}") == []
    assert CLIENT in scene.proxy.may_read
    assert scene.client("RSET")[-1] == "S: RSET"
    assert CLIENT not in scene.proxy.may_read
    scene.server("250 ok")
    assert CLIENT in scene.proxy.may_read


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


def test_nothing_of_a_side_in_its_handshake() -> None:
    scene = Scene(config=Config(tls=ClientTls.MAY)).greeted()
    scene.client("STARTTLS")
    assert (scene.proxy.may_read, scene.proxy.waiting_for) == ({SERVER}, WaitingFor.HANDSHAKE)
    scene = Scene(config=Config(upstream_tls=UpstreamTls.MAY)).introduced("250-mx", "250 STARTTLS")
    scene.server("220 go")
    assert (scene.proxy.may_read, scene.proxy.waiting_for) == ({CLIENT}, WaitingFor.HANDSHAKE)


def test_what_is_known() -> None:
    scene = Scene()
    proxy = scene.proxy
    assert (proxy.hello, proxy.login, proxy.accepted_login, proxy.server_tls) == (None, None, None, None)
    assert (proxy.identity, proxy.forwarded) == (ClientInfo(), None)
    before = proxy.client_changes
    scene.greeted()
    scene.client("AUTH PLAIN AGFubgBw")
    scene.server("235 ok")
    assert (proxy.hello and proxy.hello.raw, proxy.login) == (b"EHLO me", "ann")
    assert proxy.accepted_login is not None
    assert proxy.client_info == ClientInfo(helo="me", login="ann", login_given="ann")
    assert proxy.client_changes > before
    assert (proxy.envelope.mail, proxy.has_more, proxy.closed) == (None, False, False)


def test_closed_after_a_reply_to_quit_that_was_passed_on() -> None:
    proxy = Scene().greeted().proxy
    assert proxy.pass_on(CLIENT, b"QUIT\r\n")
    assert not proxy.closed
    assert not proxy.passed_quit
    assert proxy.pass_on(SERVER, b"221 bye\r\n")
    assert proxy.closed
    assert proxy.passed_quit
    assert proxy.may_read == set()
    assert proxy.waiting_for is WaitingFor.NOTHING


def test_a_beginning_that_was_passed_on_changes_what_is_known() -> None:
    for _ in range(2):  # the second one begins as the first
        proxy = Proxy(Config(max_message_size=76_543))
        before = Proxy(Config(max_message_size=76_543)).client_changes
        for side, text in ((SERVER, "220 mx"), (CLIENT, "EHLO me"), (SERVER, "250 mx")):
            if proxy.pass_on(side, lines(text)) is None:
                proxy.receive_from(side, lines(text))
        assert proxy.client_changes > before
        assert proxy.hello is not None


def test_how_much_of_a_message_has_come() -> None:
    """A message that is not awaited from the client, or is refused, has no such number."""
    scene = Scene(config=Config(max_message_size=30)).with_recipient()
    assert scene.proxy.receiving is None
    scene.client("DATA")
    assert scene.proxy.receiving is None
    assert scene.proxy.unfinished is None
    scene.server("354 go")
    assert scene.proxy.receiving == 0
    scene.client("..x")
    assert scene.proxy.receiving == 4
    assert scene.proxy.unfinished == Unfinished(4)
    assert scene.proxy.message_id == b""  # it is not looked for
    scene.client("y" * 40)
    assert scene.proxy.receiving is None
    scene = Scene("MESSAGE").in_content()
    scene.client("x", ".")
    assert scene.proxy.receiving is None


def test_what_a_server_is_sent_is_not_the_clients() -> None:
    spool = MemorySpool()
    scene = Scene("MESSAGE", config=Config(max_held=10), make_spool=lambda: spool).in_content()
    scene.client("x" * 200_000, ".")
    scene.answer(Continue())
    scene.server("354 go")
    assert scene.proxy.waiting_for is WaitingFor.CONTENT
    assert scene.proxy.receiving is None


def test_how_many_commands_and_messages_there_were() -> None:
    proxy = Proxy()
    for side, text in ((SERVER, "220 mx"), (CLIENT, "EHLO me"), (SERVER, "250 mx")):
        proxy.receive_from(side, lines(text))
    passed = (
        *((CLIENT, "MAIL FROM:<a>"), (SERVER, "250 a"), (CLIENT, "RCPT TO:<b>"), (SERVER, "250 b")),
        *((CLIENT, "DATA"), (SERVER, "354 go"), (CLIENT, "x\r\n."), (SERVER, "250 kept"), (CLIENT, "NOOP")),
    )
    for side, text in passed:
        assert proxy.pass_on(side, lines(text)) is not None
    assert proxy.counts == (5, 1)
    scene = Scene(config=Config(trace=True)).greeted()
    assert scene.proxy.counts == (1, 0)


def test_no_more_is_read_while_lines_of_a_group_wait() -> None:
    proxy = Proxy(Config(), ["MAIL", "RCPT", "DATA", "IN_TURN"])
    proxy.ask_ahead(lambda _: Continue())
    for side, text in ((SERVER, "220 mx"), (CLIENT, "EHLO me"), (SERVER, "250 mx")):
        proxy.receive_from(side, lines(text))
    assert proxy.pass_on(CLIENT, lines("MAIL FROM:<a>", "RCPT TO:<b>"))
    assert proxy.may_read == {SERVER}
