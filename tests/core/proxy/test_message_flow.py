"""A message on its way through a dialogue, in every mode and to every end."""

from __future__ import annotations

import pytest

from core.scene import PLAIN, Scene, lines
from sansio_smtp.config import BareNewline, Config, Dialect, Tap
from sansio_smtp.errors import InternalError
from sansio_smtp.events import AwaitReply, BodyComplete, MessageAnswered, SendToServer
from sansio_smtp.questions import Answer, Continue, Disconnect, Replace
from sansio_smtp.states import MESSAGE, Message, MessageStep
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
REJECT = Config(bare_newline=BareNewline.REJECT)


def test_relay() -> None:
    """Pieces pass as they come; the reply of the server is that of the message."""
    scene = Scene().in_content()
    assert scene.client("Hello", "..") == ["S: Hello|.."]
    assert scene.event(SendToServer).shown is None
    assert scene.client(".") == ["complete 10", "S: ."]
    assert scene.event(AwaitReply).command.kind.value == "end of data"
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken"]
    assert scene.proxy.buffered == 0


def test_the_account_names_the_envelope() -> None:
    scene = Scene().in_content()
    scene.client(".")
    scene.server("250 taken")
    answered = scene.event(MessageAnswered)
    assert [command.raw for command in answered.envelope.recipients] == [b"RCPT TO:<b@mx>"]
    assert not scene.proxy.envelope.recipients


def test_an_empty_message() -> None:
    assert Scene().in_content().client(".") == ["complete 0", "S: ."]


def test_two_messages_in_one_session() -> None:
    scene = Scene().in_content()
    for _ in range(2):
        assert scene.client("Hi", ".") == ["S: Hi", "complete 4", "S: ."]
        assert scene.server("250 taken") == ["answered 250", "C: 250 taken"]
        scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "DATA")
        scene.server("250 a", "250 b", "354 go")


def test_tap() -> None:
    scene = Scene(config=Config(tap=Tap.LINES)).in_content()
    shown = scene.client("Hello", "..", ".")
    assert shown == ["S: Hello|..", "chunk b'Hello\\r\\n'", "chunk b'.\\r\\n'", "complete 10", "S: ."]


def test_behind_an_accepted_header_section_the_rest_passes() -> None:
    scene = Scene("HEADERS").in_content()
    scene.client("A: b", "")
    assert scene.answer(Continue()) == ["S: A: b|"]
    assert scene.client("..rest") == ["S: ..rest"]
    assert scene.client(".") == ["complete 15", "S: ."]


def test_lines_edited() -> None:
    scene = Scene("BODY_LINE").in_content()
    assert scene.client("one", "two", ".") == ["? BodyQuestion"]
    assert scene.answer(Replace(b".1\n")) == ["S: ..1", "? BodyQuestion"]
    assert scene.answer(Replace(b"")) == ["? BodyQuestion"]
    assert scene.question.last
    assert scene.answer(Continue()) == ["complete 4 edited", "S: ."]


def test_hold() -> None:
    """The server sees nothing of the message before the verdict, not even DATA."""
    scene = Scene("MESSAGE").in_content()
    assert scene.client("Hello", "..") == []
    assert scene.client(".") == ["? MessageQuestion"]
    assert scene.question.data == b"Hello\r\n.\r\n"
    assert scene.answer(Continue()) == ["complete 10", "S: DATA"]
    assert scene.server("354 go") == ["S: Hello|..", "S: ."]
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken"]


def test_hold_of_an_empty_message() -> None:
    scene = Scene("MESSAGE").in_content()
    scene.client(".")
    assert scene.answer(Continue()) == ["complete 0", "S: DATA"]
    assert scene.server("354 go") == ["S: ."]


def test_a_held_message_refused_is_an_ordinary_reply() -> None:
    """RFC 5321 §4.1.1.5: the server is reset, and the session goes on."""
    scene = Scene("MESSAGE").in_content()
    scene.client("Hello", ".")
    assert scene.answer(Answer(NO)) == ["S: RSET", "answered 550", "C: 550 no"]
    assert scene.client("MAIL FROM:<c>") == ["S: MAIL FROM:<c>"]
    assert scene.server("250 reset") == []
    assert scene.server("250 ok") == ["C: 250 ok"]


@pytest.mark.parametrize(
    ("place", "first"),
    [(place, Continue()) for place in ("HEADERS", "BODY_CHUNK", "BODY_LINE")]
    + [("MESSAGE", Continue()), ("MESSAGE", Answer(NO))],
)
def test_the_next_message_is_a_new_one(place: str, first: Continue | Answer) -> None:
    """Nothing of one message, nor of its verdict, is left for the next."""
    refused = isinstance(first, Answer)
    scene = Scene(place).in_content()
    scene.client("one", ".")
    scene.answer(first)
    scene.settle()
    if refused:
        scene.server("250 reset")
    else:
        scene.server(*(["354 go"] if place == "MESSAGE" else []))
        scene.server("250 taken")
    for text in ("MAIL FROM:<c>", "RCPT TO:<d>"):
        scene.client(text)
        scene.server("250 ok")
    scene.client("DATA")
    if place != "MESSAGE":
        scene.server("354 go")
    assert scene.client("two", ".")[-1].startswith("? ")
    assert b"one" not in scene.question.data
    assert scene.question.data == b"two\r\n"
    scene.answer(Continue())
    scene.settle()
    shown = scene.server("354 go") if place == "MESSAGE" else ["S: two", "S: ."]
    assert shown == ["S: two", "S: ."]
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken"]


@pytest.mark.parametrize(("code", "told"), [(400, "400 x"), (451, "451 x"), (554, "554 x"), (250, None)])
@pytest.mark.parametrize("pipelined", [False, True])
def test_the_server_refuses_the_data_of_a_held_message(code: int, told: str | None, pipelined: bool) -> None:
    """The client takes its transaction for ended, so the server must, before it sees the next one."""
    scene = Scene("MESSAGE").in_content()
    scene.client("Hello", ".")
    scene.answer(Continue())
    if pipelined:
        assert scene.client("MAIL FROM:<c>") == []
    told = told or "451 4.3.0 upstream server did not take the message"
    spelled = ["S: RSET", *(["S: MAIL FROM:<c>"] if pipelined else []), f"answered {told[:3]}", f"C: {told}"]
    assert sorted(scene.server(f"{code} x")) == sorted(spelled)
    sends = [event.data for event in scene.last if isinstance(event, SendToServer)]
    assert sends == lines("RSET", *(["MAIL FROM:<c>"] if pipelined else [])).splitlines(keepends=True)


def test_a_held_message_ended_with_421_needs_no_reset() -> None:
    """Both sides are closed after it."""
    scene = Scene("MESSAGE").in_content()
    scene.client("Hello", ".")
    bye = Answer(Reply.of(421, "bye"))
    assert scene.answer(bye) == ["answered 421", "C: 421 bye", "close S", "close C"]


def test_a_held_message_where_the_server_took_data_itself() -> None:
    """No recipient was accepted, so DATA was the server's to judge, and it said 354."""
    for verdict, spelled in (
        (Continue(), ["complete 4", "S: Hi", "S: ."]),
        (Answer(NO), ["abort S", "answered 550", "C: 550 no"]),
    ):
        scene = Scene("MESSAGE").greeted()
        assert scene.client("DATA") == ["S: DATA"]
        assert scene.server("354 go") == ["C: 354 go"]
        assert scene.client("Hi", ".") == ["? MessageQuestion"]
        assert scene.answer(verdict) == spelled


def test_a_held_message_may_wait_for_the_reply_to_a_reset() -> None:
    """A server without PIPELINING gets DATA when it has answered what went before."""
    scene = Scene("MESSAGE", "DATA").with_recipient(*PLAIN)
    scene.client("DATA")
    assert scene.answer(Answer(NO)) == ["S: RSET", "C: 550 no"]
    assert scene.client("DATA") == ["? CommandQuestion"]
    assert scene.answer(Continue()) == []
    assert scene.server("250 reset") == ["C: 354 end data with <CR><LF>.<CR><LF>"]


@pytest.mark.parametrize("place", ["HEADERS", "BODY_CHUNK", "BODY_LINE"])
@pytest.mark.parametrize("ended", [False, True])
def test_a_streamed_message_refused(place: str, ended: bool) -> None:
    """RFC 5321 §4.1.1.4: end-of-data is the only way to end it, so it is not sent, and the server is left.
    The client gets the reply to end-of-data, not before."""
    scene = Scene(place).in_content()
    text = ("A: b", "", "rest", ".")
    assert scene.client(*(text if ended else text[:2])) == ["? " + type(scene.question).__name__]
    if ended:
        assert scene.answer(Answer(NO)) == ["abort S", "answered 550", "C: 550 no"]
    else:
        assert scene.answer(Answer(NO)) == ["abort S"]
        assert scene.client("rest") == []
        assert scene.client(".") == ["answered 550", "C: 550 no"]
    assert scene.client("NOOP") == [
        "C: 421 4.3.2 upstream connection ended with the refused message",
        "close C",
    ]


def test_a_message_refused_after_its_end_was_seen() -> None:
    scene = Scene("BODY_LINE").in_content()
    scene.client(".")
    assert scene.question.last
    assert scene.answer(Answer(NO)) == ["abort S", "answered 550", "C: 550 no"]


@pytest.mark.parametrize("place", ["HEADERS", "BODY_LINE", "MESSAGE"])
def test_disconnect(place: str) -> None:
    scene = Scene(place).in_content()
    scene.client("A: b", "", ".")
    spelled = scene.answer(Disconnect(NO))
    told = ["answered 550"] if place == "MESSAGE" else []
    end = "close S" if place == "MESSAGE" else "abort S"
    assert spelled == [*told, "C: 550 no", end, "close C"]


def test_content_refused_while_it_streams() -> None:
    """RFC 5321 §2.3.8. What was clean went out; the rest is dropped up to its end."""
    scene = Scene(config=REJECT).in_content()
    assert scene.client("one", "two\nthree") == ["S: one|two", "violation CLIENT", "abort S"]
    (refused,) = [text for text in scene.client("four", ".") if text.startswith("C:")]
    assert refused.startswith("C: 550 5.5.2")


def test_content_refused_behind_its_last_octet() -> None:
    scene = Scene(config=REJECT).in_content()
    shown = scene.client("one\ntwo", ".")
    assert shown[:4] == ["S: one", "violation CLIENT", "abort S", "answered 550"]


def test_content_refused_while_it_is_held() -> None:
    scene = Scene("MESSAGE", config=REJECT).in_content()
    scene.client("zero")
    assert scene.proxy.buffered == 6
    assert scene.client("one\ntwo") == ["violation CLIENT", "S: RSET"]
    assert scene.proxy.buffered == 0
    assert scene.client("more") == []
    assert scene.client(".")[0] == "answered 550"
    assert scene.server("250 reset") == []
    assert scene.client("NOOP") == ["S: NOOP"]


def test_the_size_that_the_server_announced_is_the_limit() -> None:
    """RFC 1870 §6.2: refused here, before the server must."""
    scene = Scene().in_content("250-mx", "250-SIZE 6", "250 PIPELINING")
    assert scene.client("1234567") == ["S: 123456", "violation CLIENT", "abort S"]
    assert scene.client(".") == ["answered 552", "C: 552 5.3.4 message is larger than 6 octets"]


def test_a_message_that_an_edit_made_too_large() -> None:
    scene = Scene("HEADERS").in_content("250-mx", "250-SIZE 20", "250 PIPELINING")
    scene.client("A: b", "", "Hi", ".")
    shown = scene.answer(Replace(b"A: b\r\nX: yyyyyyyy\r\n\r\n"))
    assert [text.split()[0] for text in shown] == ["S:", "abort", "answered", "C:"]
    assert shown[-1] == "C: 552 5.3.4 message is larger than 20 octets after an edit"


def test_a_message_that_is_too_large_to_be_held() -> None:
    scene = Scene("MESSAGE", config=Config(max_held=5)).in_content()
    assert scene.client("Hello") == ["S: RSET"]
    (_, refused) = scene.client(".")
    assert refused.startswith("C: 552 5.3.4")


def test_what_an_edit_breaks_is_told() -> None:
    scene = Scene("MESSAGE").in_content(mail="MAIL FROM:<a> SIZE=4")
    scene.client("Hi", ".")
    shown = scene.answer(Replace("grüß dich".encode()))
    assert shown[0] == "complete 13 edited SIZE 8BITMIME SMTPUTF8"
    assert scene.event(BodyComplete).edited


def test_what_is_held_counts_and_is_forgotten() -> None:
    scene = Scene("MESSAGE").in_content()
    scene.client("x" * 98)
    assert scene.proxy.buffered == 100
    scene.took(scene.proxy.timed_out())
    assert scene.proxy.buffered == 0


@pytest.mark.parametrize("first", [421, 550])
def test_the_first_refusal_stands(first: int) -> None:
    """A rule has refused the message, then the proxy finds what it does not pass on; the server is reset at
    most once."""
    scene = Scene("HEADERS", "MESSAGE", config=REJECT).in_content()
    scene.client("A: b", "")
    assert scene.answer(Answer(Reply.of(first, "no"))) == (["S: RSET"] if first == 550 else [])
    assert scene.client("one\ntwo") == ["violation CLIENT"]
    shown = scene.client(".")
    assert shown[:2] == [f"answered {first}", f"C: {first} no"]
    assert shown[2:] == ([] if first == 550 else ["close S", "close C"])


def test_a_verdict_answers_in_the_place_of_the_server() -> None:
    """Promise P8: 2xx for a message only from the server, or by an explicit verdict."""
    scene = Scene("MESSAGE").in_content()
    scene.client("Hi", ".")
    assert scene.answer(Answer(Reply.of(250, "kept"))) == ["S: RSET", "answered 250", "C: 250 kept"]


def test_what_state_a_message_is_in() -> None:
    scene = Scene("HEADERS", "MESSAGE").in_content()
    seen = [scene.proxy.snapshot().message]
    for do in (
        lambda: scene.client("A: b", ""),
        lambda: scene.answer(Continue()),
        lambda: scene.client("."),
        lambda: scene.answer(Continue()),
        lambda: scene.server("354 go"),
    ):
        do()
        seen.append(scene.proxy.snapshot().message)
    assert [message.name for message in seen] == [
        "NONE",
        "JUDGING",
        "STREAMING",
        "JUDGING",
        "AWAITING_DATA",
        "NONE",
    ]


def test_a_message_that_passes_as_it_is() -> None:
    """`Scene` gives each input to `pass_on` as well, where that takes it."""
    scene = Scene().greeted(*PLAIN)
    for texts in (("x", "."),), (("x",), ("y",), ("z", ".")):
        for line, reply in (("MAIL FROM:<a@me>", "250 ok"), ("RCPT TO:<b@mx>", "250 ok"), ("DATA", "354 go")):
            scene.client(line)
            scene.server(reply)
        for text in texts:
            scene.client(*text)
            assert scene.proxy.passing.passed
        assert scene.server("250 taken") == ["answered 250", "C: 250 taken"]


def test_a_step_that_the_table_does_not_have_is_a_fault_of_the_library() -> None:
    scene = Scene().in_content()
    scene.client("x")
    with pytest.MonkeyPatch.context() as patch:
        # Not delitem: that would put the step back at the end of the table, and docs are made of its order.
        left = {step: to for step, to in MESSAGE[Message.STREAMING].items() if step is not MessageStep.ENDED}
        patch.setitem(MESSAGE, Message.STREAMING, left)
        with pytest.raises(InternalError, match="STREAMING: not foreseen: end-of-data goes to the server"):
            scene.client(".")


def lmtp(client: Dialect, server: Dialect, *ask: str) -> Scene:
    """After 354 to a message for two."""
    hello = "LHLO" if client is Dialect.LMTP else "EHLO"
    scene = Scene(*ask, config=Config(client_dialect=client, upstream_dialect=server))
    scene.server("220 mx")
    scene.client(f"{hello} me")
    scene.server("250-mx", "250 PIPELINING")
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>", "DATA")
    scene.server("250 a", "250 b", "250 c", *([] if ask else ["354 go"]))
    return scene


def test_an_lmtp_server_owes_a_reply_for_each_recipient() -> None:
    scene = lmtp(Dialect.SMTP, Dialect.LMTP)
    assert scene.client("Hi", ".") == ["S: Hi", "complete 4", "S: ."]
    assert scene.server("250 b") == []
    assert scene.server("250 c") == ["answered 250", "C: 250 b"]
    assert [reply.code for _, reply in scene.event(MessageAnswered).results] == [250, 250]


def test_a_client_of_lmtp_gets_a_reply_for_each_recipient() -> None:
    scene = lmtp(Dialect.LMTP, Dialect.SMTP)
    scene.client("Hi", ".")
    assert scene.server("550 no") == ["C: 550 no", "answered 550", "C: 550 no"]


def test_a_refusal_is_for_each_recipient() -> None:
    scene = lmtp(Dialect.LMTP, Dialect.LMTP, "MESSAGE")
    scene.client("Hi", ".")
    assert scene.answer(Answer(NO)) == ["S: RSET", "C: 550 no", "answered 550", "C: 550 no"]
    scene = lmtp(Dialect.LMTP, Dialect.LMTP, "MESSAGE")
    scene.client("Hi", ".")
    shown = scene.answer(Disconnect(NO))
    assert shown == ["C: 550 no", "answered 550", "C: 550 no", "close S", "close C"]
