"""Why something cannot be sent now: in each phase there is a reason, and it says what comes first."""

from __future__ import annotations

from each import each

from sansio_smtp.ends.objections import (
    after_end,
    cannot_accept,
    cannot_reply,
    cannot_send,
    no_chunk_to_drop,
    no_handshake,
    not_one_line,
    not_one_message,
    not_one_reply,
    wrong_code,
)
from sansio_smtp.states import REPLY_CODES, Phase
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import END_OF_DATA, Command
from sansio_smtp.wire.replies import Reply

NOOP, OK = Command.of("NOOP"), Reply.of(250, "ok")


def test_each_phase_has_a_reason_not_to_send_a_command() -> None:
    told = {phase: str(cannot_send(NOOP, phase, Command.of("EHLO me"))) for phase in Phase}
    assert len({*told.values()}) == len(Phase)
    assert told[Phase.BLOCKED] == (
        "NOOP cannot be sent in phase BLOCKED: the server has not answered EHLO me yet; "
        "give its octets to receive_data, and call next_event"
    )
    assert told[Phase.CONTENT].endswith(
        "send the message with send_message, or in pieces with send_content and after the last one "
        "send_end_of_data"
    )


def test_end_of_data_has_a_name() -> None:
    told = str(cannot_send(NOOP, Phase.BLOCKED, END_OF_DATA))
    assert told.startswith(
        "NOOP cannot be sent in phase BLOCKED: the server has not answered the message yet"
    )
    told = str(cannot_send(END_OF_DATA, Phase.MUST_CLOSE, END_OF_DATA))
    assert told.startswith("end-of-data cannot be sent in phase MUST_CLOSE: the dialogue is over")


def test_end_of_data_for_a_message_that_has_ended_or_not_begun() -> None:
    told = [str(cannot_send(END_OF_DATA, Phase.COMMAND, awaiting)) for awaiting in (END_OF_DATA, None, NOOP)]
    begun = "end-of-data cannot be sent in phase COMMAND: "
    itself = "; send_message ends its message itself"
    first = f"{begun}send DATA first, and read its 354{itself}"
    assert told == [f"{begun}the message has ended already{itself}", first, first]


def test_why_no_chunk_is_dropped() -> None:
    told = [str(no_chunk_to_drop(newest)) for newest in (None, END_OF_DATA, NOOP)]
    begun = "drop_chunk(stray=True) drops the BDAT that next_event returned last, but "
    then = ": call it before the BDAT is answered"
    assert told == [
        f"{begun}no command awaits a reply{then}",
        f"{begun}the message has ended{then}",
        f"{begun}the newest command is NOOP{then}",
    ]


def test_each_phase_has_a_reason_not_to_send_a_reply() -> None:
    told = {phase: str(cannot_reply(OK, phase, None)) for phase in Phase}
    assert all(f"250 ok cannot be sent in phase {phase.name}: " in text for phase, text in told.items())
    assert "a greeting is 220" in told[Phase.GREETING]
    assert "no command awaits a reply" in told[Phase.COMMAND]
    assert "the message has not ended" in told[Phase.CONTENT]
    assert "the connection is closed" in told[Phase.CLOSED]


def test_a_reply_that_the_command_does_not_take() -> None:
    assert "it is no reply to NOOP; only DATA and AUTH take 3xx" in str(
        cannot_reply(Reply.of(354, "go"), Phase.COMMAND, NOOP)
    )


def test_what_was_refused_has_a_name() -> None:
    said = [str(cannot_accept(OK, each)) for each in (NOOP, END_OF_DATA, Command(b"", b"", Kind.VIOLATION))]
    assert said == [
        "250 ok cannot be sent: NOOP was refused; send error.reply_hint of the event Refused",
        "250 ok cannot be sent: the message was refused; send error.reply_hint of the event ContentRefused",
        "250 ok cannot be sent: the line was refused; send error.reply_hint of the event Refused",
    ]


def test_a_code_that_the_command_does_not_take() -> None:
    assert str(wrong_code(OK, Command.of("DATA"))) == (
        "250 ok is no reply to DATA: send 354 to get the message, or 4xx or 5xx to refuse it"
    )


@each(("kind", "codes"), [(kind, codes) for (kind, _), codes in REPLY_CODES.items()])
def test_the_right_codes_are_named(kind: Kind, codes: tuple[int, ...]) -> None:
    _, told = str(wrong_code(OK, Command(b"X", b"X", kind))).split(": send ")
    assert all(str(code) in told for code in codes)


def test_a_handshake_that_nothing_has_begun() -> None:
    assert str(no_handshake(Phase.COMMAND)).startswith(
        "no TLS handshake is due in phase COMMAND: it comes after"
    )
    told = str(no_handshake(Phase.MUST_CLOSE))
    assert told.endswith(
        "MUST_CLOSE: the peer has broken the protocol, or the dialogue is over; close the connection"
    )
    assert str(no_handshake(Phase.CLOSED)).endswith("CLOSED: the connection is closed")


def test_octets_after_the_end() -> None:
    assert str(after_end()) == "the peer's input has ended; a new connection needs a new object"


def test_more_than_one_text() -> None:
    for error in (not_one_line(), not_one_message()):
        assert str(error).endswith("; a handle is given as handle=...")
    assert 'Reply.of(250, "ok")' in str(not_one_reply())
