"""The two ends composed: commands, replies, limits and questions."""

from __future__ import annotations

import pytest

from core.scene import Scene, lines, spell
from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Config, Dialect, EarlyTalkers
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    AwaitReply,
    Close,
    SendToServer,
)
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import Continue, Disconnect, Replace, ReplyQuestion
from sansio_smtp.states import Phase
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")


def test_the_greeting_is_the_servers() -> None:
    """RFC 5321 §3.1. What the client sent too early waits for it."""
    scene = Scene()
    assert scene.client("EHLO me") == []
    assert scene.server("220 mx") == ["C: 220 mx", "S: EHLO me"]
    assert scene.event(AwaitReply).command.raw == b"EHLO me"


def test_a_greeting_that_refuses_closes_both_sides() -> None:
    assert Scene().server("554 no") == ["C: 554 no", "close S", "close C"]


def test_ehlo_is_rewritten_and_helo_is_not() -> None:
    scene = Scene().greeted("250-mx", "250-STARTTLS", "250 DSN")
    scene.client("EHLO me")
    assert scene.server("250-mx", "250-STARTTLS", "250 DSN") == ["C: 250-mx|250-DSN|250 PIPELINING"]
    scene.client("HELO me")
    assert scene.server("250-mx", "250 STARTTLS") == ["C: 250-mx|250 STARTTLS"]
    scene.client("EHLO me")
    assert scene.server("502-no", "502 STARTTLS") == ["C: 502-no|502 STARTTLS"]


def test_further_keywords_are_relayed_by_choice() -> None:
    config = Config(relay_keywords=frozenset({"X-FINE"}), max_message_size=50)
    scene = Scene(config=config)
    scene.server("220 mx")
    scene.client("EHLO me")
    assert scene.server("250-mx", "250 X-FINE") == ["C: 250-mx|250-X-FINE|250-PIPELINING|250 SIZE 50"]


@pytest.mark.parametrize(
    ("ours", "theirs", "limit"), [(None, 0, None), (None, 9, 9), (9, 0, 9), (9, 5, 5), (5, 9, 5)]
)
def test_the_smaller_size_holds(ours: int | None, theirs: int, limit: int | None) -> None:
    """RFC 1870 §4."""
    scene = Scene(config=Config(max_message_size=ours)).in_content("250-mx", f"250 SIZE {theirs}")
    shown = scene.client("12345678901")
    assert ("violation CLIENT" in shown) is (limit is not None)
    assert shown[0] == "S: " + "12345678901"[:limit]


def test_our_limit_holds_without_ehlo() -> None:
    scene = Scene(config=Config(max_message_size=3))
    scene.server("220 mx")
    for text, reply in (("MAIL FROM:<a>", "250 a"), ("RCPT TO:<b>", "250 b"), ("DATA", "354 go")):
        scene.client(text)
        scene.server(reply)
    assert "violation CLIENT" in scene.client("12345")


def test_trace() -> None:
    scene = Scene(config=Config(trace=True)).greeted()
    assert scene.client("noop x") == ["received CLIENT noop x", "S: noop x"]
    assert scene.server("250-a", "250 b") == ["received SERVER 250-a\r\n250 b", "C: 250-a|250 b"]
    assert scene.client("TURN")[0] == "received CLIENT TURN"


def test_replies_may_be_asked_for() -> None:
    scene = Scene("REPLY")
    assert scene.server("220 mx") == ["? ReplyQuestion"]
    assert isinstance(scene.question, ReplyQuestion)
    assert scene.question.command is None
    assert scene.answer(Continue()) == ["C: 220 mx"]
    scene.client("NOOP")
    scene.server("250 ok")
    assert scene.question.command.raw == b"NOOP"
    assert scene.answer(Disconnect(NO)) == ["C: 550 no", "close S", "close C"]


def test_a_verdict_for_a_dialogue_that_has_ended_is_ignored() -> None:
    scene = Scene("RCPT").greeted()
    scene.client("RCPT TO:<b>")
    scene.took(scene.proxy.eof_from(SERVER))
    for verdict in (Continue(), Replace(b"of the wrong type")):
        assert spell(scene.proxy.answer(scene.question, verdict)) == []


def test_defaults() -> None:
    proxy = Proxy()
    assert (proxy.config, proxy.ask) == (Config(), frozenset())
    assert proxy.awaiting is None


def test_pass_through_keeps_every_octet() -> None:
    """Odd spacing and case are the server's to judge."""
    scene = Scene().greeted()
    for text in ("mail  FROM:<a> ", "Rset\t", "X-ANY \xff"):
        scene.client(text)
        assert scene.event(SendToServer).data == text.encode("latin-1") + b"\r\n"
        scene.server("250 ok")


def test_the_client_is_refused_from_outside() -> None:
    """As its greeting, or in reply to what it waits for, or unasked with 421 only."""
    assert Scene().took(Scene().proxy.refuse(NO)) == ["C: 550 no", "close S", "close C"]
    scene = Scene().greeted()
    for proxy in (scene.proxy, Scene().in_content().proxy):
        with pytest.raises(LocalProtocolError):
            proxy.refuse(Reply.of(250, "ok"))
    scene.client("NOOP")
    assert scene.took(scene.proxy.refuse(Reply.of(421, "bye"))) == ["C: 421 bye", "close S", "close C"]


def test_what_is_known_of_the_client() -> None:
    proxy = Proxy(client=ClientInfo(address="192.0.2.1:51000", tls=TlsInfo(version="TLSv1.3")))
    assert proxy.client_info == ClientInfo(address="192.0.2.1:51000", tls=TlsInfo(version="TLSv1.3"))
    scene = Scene()
    scene.server("220 mx")
    scene.client("EHLO \xff[x] ")
    scene.server("250 mx")
    assert scene.proxy.client_info.helo == "\\xff[x]"


def test_without_the_lane_all_takes_the_general_path() -> None:
    scene = Scene(config=Config(lane=False)).with_recipient()
    assert scene.client("DATA") == ["S: DATA"]
    assert scene.server("354 go") == ["C: 354 go"]
    assert scene.client("text") == ["S: text"]
    assert scene.client(".") == ["complete 6", "S: ."]
    assert scene.server("250 ok") == ["answered 250", "C: 250 ok"]
    assert scene.proxy.progress == 12


def test_what_was_passed_on_may_be_a_message() -> None:
    """Its event is taken or forgotten."""
    for forget in (False, True):
        proxy = Proxy()
        proxy.receive_from(SERVER, lines("220 mx"))
        proxy.receive_from(CLIENT, lines("EHLO me"))
        proxy.receive_from(SERVER, lines("250 mx"))
        for side, text in ((CLIENT, "DATA"), (SERVER, "354 go"), (CLIENT, "x\r\n."), (SERVER, "250 taken")):
            assert proxy.pass_on(side, lines(text)) == lines(text)
        assert proxy.answers
        if forget:
            proxy.forget_answered()
        else:
            assert proxy.take_answered().reply.code == 250
        assert not proxy.answers
        with pytest.raises(LocalProtocolError, match="answered no message"):
            proxy.take_answered()


def test_where_nothing_is_ever_passed_on() -> None:
    proxy = Proxy(ask=("RCPT",))
    assert proxy.pass_on(SERVER, lines("220 mx")) is None
    proxy.forget_answered()
    with pytest.raises(LocalProtocolError, match="answered no message"):
        proxy.take_answered()


def test_a_rehearsal() -> None:
    hello = ((SERVER, b"220 mx\r\n"), (CLIENT, b"EHLO me\r\n"))
    proxy = Proxy()
    opened = proxy.rehearse((*hello, (SERVER, b"250-mx\r\n250 SIZE 9\r\n")))
    assert opened is not None
    assert opened.reply == b"250-mx\r\n250-SIZE 9\r\n250 PIPELINING\r\n"
    assert (opened.max_size, opened.takes_groups) == (9, False)
    assert proxy.states[0] is Phase.GREETING, "it is another session that has begun"
    for inputs in (
        (*hello, (SERVER, b"250-mx\r\n")),
        (*hello, (SERVER, b"250 mx\r\n250 mx\r\n")),
        (*hello, (SERVER, b"500 no\r\n")),
        hello,
        hello[:1],
    ):
        assert proxy.rehearse(inputs) is None
    lhlo = ((SERVER, b"220 mx\r\n"), (CLIENT, b"HELO me\r\n"), (SERVER, b"250 mx\r\n"))
    assert proxy.rehearse(lhlo) is not None
    assert Proxy(Config(upstream_dialect=Dialect.LMTP)).rehearse(lhlo) is None


def test_a_fault_before_the_parts_are_made() -> None:
    assert spell(Proxy().broke()) == ["C: 421 4.3.0 internal error, try again later", "abort S", "close C"]


def test_who_speaks_before_the_greeting_is_refused_or_counted() -> None:
    """RFC 5321 §3.1: a client waits for the greeting."""
    scene = Scene(config=Config(early_talkers=EarlyTalkers.REFUSE))
    refused = ["C: 554 5.5.1 you spoke before the greeting", "close S", "close C"]
    assert scene.client("EHLO me") == refused
    assert scene.client("EHLO me") == []
    assert scene.proxy.tally.take_hits() == ("early_talkers",)
    scene = Scene()
    assert scene.client("EHLO me") == []
    assert scene.client("NOOP") == []
    assert scene.server("220 mx") == ["C: 220 mx", "S: EHLO me"]
    assert scene.proxy.tally.take_hits() == ("early_talkers",)


def test_a_session_that_is_to_end_ends_after_its_transaction() -> None:
    reply = Reply.of(421, "enough", enhanced="4.7.0")
    scene = Scene().greeted()
    assert scene.took(scene.proxy.drain(reply)) == ["C: 421 4.7.0 enough", "close S", "close C"]
    scene = Scene().with_recipient()
    assert scene.proxy.drain(reply) == []
    assert scene.proxy.shutdown() == []
    scene.client("DATA")
    scene.server("354 go")
    scene.client("x", ".")
    assert scene.server("250 kept")[-3:] == ["C: 421 4.7.0 enough", "close S", "close C"]


def greeted() -> Proxy:
    proxy = Proxy()
    proxy.receive_from(SERVER, b"220 mx\r\n")
    return proxy


def test_a_side_that_is_none() -> None:
    for use in (
        lambda: greeted().receive_from("client", b"NOOP\r\n"),  # type: ignore[arg-type]
        lambda: greeted().receive_from(b"NOOP\r\n", CLIENT),  # type: ignore[arg-type]
        lambda: greeted().eof_from("client"),  # type: ignore[arg-type]
        lambda: greeted().tls_started("client", TlsInfo(version="TLSv1.3")),  # type: ignore[arg-type]
        lambda: greeted().tls_failed("client", "why"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=r"a side is sansio_smtp.CLIENT or sansio_smtp.SERVER"):
            use()


def test_octets_of_every_kind_are_taken() -> None:
    for kind in (bytearray, memoryview):
        proxy, buffer = greeted(), bytearray(b"NOOP\r\nNO")
        assert proxy.pass_on(CLIENT, kind(buffer)) is None
        proxy.receive_from(CLIENT, kind(buffer))
        buffer[:] = b"x" * len(buffer)
        proxy.receive_from(CLIENT, b"OP\r\n")
        (event, _) = proxy.receive_from(SERVER, b"250 ok\r\n")[1:]
        assert event == SendToServer(b"NOOP\r\n")


def test_wrong_types_are_named() -> None:
    for use, text in (
        (lambda: greeted().receive_from(CLIENT, "NOOP\r\n"), "receive_from takes bytes, not str"),  # type: ignore[arg-type]
        (lambda: greeted().receive_from(SERVER, None), "receive_from takes bytes, not None"),  # type: ignore[arg-type]
        (lambda: Proxy().tls_started(SERVER, None), "info is a TlsInfo, not None"),  # type: ignore[arg-type]
        (lambda: Proxy().prefer(7), "upstream is the name of a server as a str, or None, not int"),  # type: ignore[arg-type]
        (lambda: greeted().refuse("554 no"), "a client is refused with a Reply, not str"),  # type: ignore[arg-type]
        (lambda: greeted().drain("421 bye"), "a session ends with a Reply, not str"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=text):
            use()


def test_nothing_more_to_send() -> None:
    with pytest.raises(LocalProtocolError, match=r"call more.. only while has_more is True"):
        greeted().more()


def test_what_a_server_is_may_be_said_in_words() -> None:
    proxy = Proxy()
    proxy.server_connected("encrypt", "lmtp")
    with pytest.raises(ValueError, match='this is "none", "may", "encrypt" or "verify", not'):
        proxy.server_connected("always")
    with pytest.raises(ValueError, match='this is "smtp" or "lmtp", not'):
        proxy.server_connected("may", "imap")
    proxy.receive_from(SERVER, b"220 mx\r\n")
    proxy.receive_from(CLIENT, b"EHLO me\r\n")
    *_, close = proxy.receive_from(SERVER, b"250 mx\r\n")
    assert close == Close(CLIENT), "no TLS, no session"


def test_no_octets_are_the_end_of_input() -> None:
    """As a socket gives it; and of either kind of reading."""
    for side in (CLIENT, SERVER):
        for empty in (b"", bytearray(), memoryview(b"")):
            read, told = greeted(), greeted()
            assert read.pass_on(side, empty) is None
            assert read.receive_from(side, empty) == told.eof_from(side)
            assert read.closed


def test_a_reply_after_which_the_session_ends() -> None:
    """The server lacks what the next command needs. No octet of its input is left, which is not its end."""
    proxy = Proxy(Config(send_client="xforward"))  # type: ignore[arg-type]
    for side, text in ((SERVER, "220 mx"), (CLIENT, "EHLO me"), (SERVER, "250 mx")):
        proxy.receive_from(side, lines(text))
    proxy.receive_from(CLIENT, lines("NOOP", "MAIL FROM:<a@me>"))
    assert proxy.receive_from(SERVER, lines("250 ok"))[0].data == b"250 ok\r\n"  # type: ignore[union-attr]
    assert proxy.closed
