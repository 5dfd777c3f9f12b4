from __future__ import annotations

from each import each

from sansio_smtp.ends.received import Unfinished
from sansio_smtp.events import WaitingFor
from sansio_smtp.proxy import own_replies
from sansio_smtp.wire.replies import Reply

NAMED = {name: value for name, value in vars(own_replies).items() if isinstance(value, Reply)}
TIMEOUTS = {f"timeout {waiting_for.value}": reply for waiting_for, reply in own_replies.TIMEOUTS.items()}
ALL = (
    NAMED
    | TIMEOUTS
    | {"too big": own_replies.too_big(10), "header section": own_replies.header_section_too_large(10)}
    | {
        "reverse-path": own_replies.bad_reverse_path("why"),
        "forward-path": own_replies.bad_forward_path("why"),
        "attribute": own_replies.bad_attribute("why"),
    }
)


@each("name", ALL)
def test_a_reply_that_no_client_can_choke_on(name: str) -> None:
    """RFC 5321 §4.5.3.1.5 (512 octets) and §4.2 (ASCII text)."""
    reply = ALL[name]
    assert len(reply.raw) <= 512
    assert reply.raw.isascii()
    assert len(reply.lines) == 1
    assert len(reply.lines[0]) > 3 or reply is own_replies.ASK_MESSAGE  # a challenge of no octets


@each("name", ALL)
def test_enhanced_code_has_the_class_of_the_code(name: str) -> None:
    """RFC 2034 §4: the class is the first digit of the reply code; 3xx has none."""
    reply = ALL[name]
    if reply.severity == 3:
        assert reply.enhanced is None
    else:
        assert reply.enhanced is not None
        assert int(reply.enhanced[0]) == reply.severity


def test_there_is_a_reply_to_every_timeout() -> None:
    assert set(own_replies.TIMEOUTS) == set(WaitingFor) - {WaitingFor.NOTHING}


def test_trouble_with_the_server_is_transient() -> None:
    """A message must not bounce because of a server that cannot be reached or does not answer."""
    permanent = {name for name, reply in ALL.items() if reply.severity == 5}
    assert permanent == {
        "too big",
        "header section",
        "reverse-path",
        "forward-path",
        "NO_TRANSACTION",
        "NO_RECIPIENT",
        "NO_RECIPIENT_LMTP",
        "UNKNOWN_VERB",
        "NO_ARGUMENT",
        "IN_TRANSACTION",
        "IN_MESSAGE",
        "NO_CHUNKS",
        "NOBODY_THERE",
        "MESSAGE_OVER",
        "NOT_BINARY",
        "TLS_REQUIRED",
        "EARLY",
        "attribute",
        *("LOG_IN_FIRST", "LOGGED_IN_ALREADY", "NO_AUTH_HERE", "LOGIN_CANCELLED", "BAD_AUTH"),
        *("NO_SUCH_MECHANISM", "NO_BASE64", "NO_PLAIN_MESSAGE", "BAD_CREDENTIALS", "WRONG_LOGIN"),
    }  # which are no trouble with the server


def test_end_of_data_is_answered_451_not_421() -> None:
    """The reply to a message says what became of the message."""
    assert {own_replies.LOST_MESSAGE.code, own_replies.NOT_TAKEN.code} == {451}
    assert own_replies.TIMEOUTS[WaitingFor.FINAL_REPLY].code == 451


def test_a_chunk_that_is_taken() -> None:
    assert own_replies.chunk_taken(86).raw == b"250 2.0.0 86 octets received\r\n"


def test_too_big() -> None:
    assert own_replies.too_big(1234).raw == b"552 5.3.4 message is larger than 1234 octets\r\n"


def test_a_path_that_cannot_be_read() -> None:
    """RFC 3463 §3.2: X.1.7 for the sender, X.1.3 for the recipient."""
    assert own_replies.bad_reverse_path("it is odd").raw == b"501 5.1.7 it is odd\r\n"
    assert own_replies.bad_forward_path("it is odd").raw == b"501 5.1.3 it is odd\r\n"


@each(
    ("unfinished", "reply"),
    [
        (None, own_replies.TIMEOUTS[WaitingFor.CONTENT]),
        (Unfinished(0), own_replies.TIMEOUTS[WaitingFor.CONTENT]),
        (Unfinished(0, in_chunks=True), own_replies.TIMEOUTS[WaitingFor.CONTENT]),
        (Unfinished(1), own_replies.NO_END),
        (Unfinished(0, bare_lf=True), own_replies.NO_END),  # refused for its first octet
        (Unfinished(1, in_chunks=True), own_replies.CHUNK_NOT_ENDED),
    ],
)
def test_the_reply_to_half_a_message_does_not_say_that_nothing_came(
    unfinished: Unfinished | None, reply: Reply
) -> None:
    assert own_replies.to_timeout(WaitingFor.CONTENT, unfinished) is reply
    assert own_replies.to_timeout(WaitingFor.REPLY, unfinished) is own_replies.TIMEOUTS[WaitingFor.REPLY]
