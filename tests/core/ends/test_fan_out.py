"""`FanOut`: which reply of a server is whose, and the one reply for all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.ends.fan_out import FanOut
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

B, C, D = (Command.parse(b"RCPT TO:<%c@mx.example>" % letter) for letter in b"bcd")
OK, LATER, NEVER = Reply.of(250, "ok"), Reply.of(451, "later"), Reply.of(550, "never")


def fan_out(*recipients: Command, by_recipient: bool) -> FanOut:
    return FanOut(Envelope(Command.parse(b"MAIL FROM:<>"), list(recipients)), by_recipient)


def summary(*replies: Reply) -> str:
    """Of an LMTP server's replies, for an SMTP client."""
    out = fan_out(*(B, C, D)[: len(replies)], by_recipient=False)
    out.sent_to((B, C, D)[: len(replies)], by_recipient=True)
    given = [each for reply in replies for each in out.take(reply)]
    assert len(given) == 1
    return str(given[0])


def test_each_recipient_gets_its_reply() -> None:
    out = fan_out(B, C, by_recipient=True)
    out.sent_to((B, C), by_recipient=True)
    assert out.take(OK) == [OK]
    assert not out.complete
    assert out.take(LATER) == [LATER]
    assert out.complete
    assert out.results(LATER) == ((B, OK), (C, LATER))


def test_recipients_for_whom_the_server_has_not_answered() -> None:
    """The client was told the last reply for them. One that a verdict has added was told nothing."""
    out = fan_out(B, C, by_recipient=True)
    out.sent_to((C, B, D), by_recipient=True)
    out.take(OK)
    assert out.results(LATER) == ((B, LATER), (C, LATER))
    out.take(NEVER)
    assert out.results(LATER) == ((B, NEVER), (C, OK))


def test_one_reply_is_for_each_recipient() -> None:
    out = fan_out(B, C, by_recipient=True)
    out.sent_to((B, C), by_recipient=False)
    assert out.take(NEVER) == [NEVER, NEVER]


def test_replies_wait_for_those_before_them() -> None:
    """The server has the recipients in another order, as rules have replaced them."""
    out = fan_out(B, C, D, by_recipient=True)
    out.sent_to((C, B), by_recipient=True)
    assert out.take(OK) == []
    assert [str(reply) for reply in out.take(NEVER)] == ["550 never", "250 ok", "250 2.1.5 taken, by a rule"]


def test_a_recipient_that_was_replaced() -> None:
    out = fan_out(B, by_recipient=True)
    out.envelope.went_as(B, D)
    out.sent_to((D,), by_recipient=True)
    assert out.take(LATER) == [LATER]
    assert out.results(LATER) == ((B, LATER),)


def test_a_recipient_that_was_added_counts_for_nobody() -> None:
    out = fan_out(B, by_recipient=False)
    out.sent_to((B, D), by_recipient=True)
    assert out.take(OK) == []
    assert out.results(LATER) == ((B, OK),)
    assert out.take(NEVER) == [OK]
    assert out.results(LATER) == ((B, OK), (D, NEVER))


def test_whose_reply_is_next() -> None:
    out = fan_out(B, C, by_recipient=False)
    out.envelope.went_as(C, added := Command.parse(b"RCPT TO:<e@mx.example>"))
    assert out.next_recipient is None
    out.sent_to((added, D), by_recipient=True)
    assert out.next_recipient is C
    out.take(OK)
    assert out.next_recipient is D
    out.take(OK)
    assert out.next_recipient is None
    out.sent_to((B, C), by_recipient=False)
    assert out.next_recipient is None


def test_nobody_that_the_server_knows() -> None:
    out = fan_out(B, by_recipient=False)
    out.sent_to((D,), by_recipient=True)
    assert [str(reply) for reply in out.take(OK)] == ["250 2.1.5 taken, by a rule"]


def test_nothing_is_known_before_the_first_reply() -> None:
    out = fan_out(B, by_recipient=True)
    assert (out.results(LATER), out.complete) == ((), False)


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ((OK, OK), "250 ok"),
        ((NEVER,), "550 never"),
        ((NEVER, NEVER), "550-<b@mx.example>: 550 never / 550 <c@mx.example>: 550 never"),
        (
            (OK, NEVER),
            "550-<c@mx.example>: 550 never / 550 refused for 1 of 2 recipients, the others have it",
        ),
        (
            (NEVER, OK, LATER),
            "451-<b@mx.example>: 550 never / 451-<d@mx.example>: 451 later"
            " / 451 refused for 2 of 3 recipients, the others have it",
        ),
    ],
)
def test_summary(replies: Sequence[Reply], said: str) -> None:
    assert summary(*replies) == said


def test_a_summary_names_not_too_many_and_not_too_much() -> None:
    many = [Command.parse(b"RCPT TO:<%d%s@mx.example>" % (number, b"x" * 500)) for number in range(30)]
    out = fan_out(Command.parse(b"RCPT nothing"), *many, by_recipient=False)
    out.sent_to(out.envelope.recipients, by_recipient=False)
    [reply] = out.take(NEVER)
    assert reply.lines[0] == b"<?>: 550 never"
    assert reply.lines[-1] == b"and 11 more"
    assert max(map(len, reply.raw.split(b"\r\n"))) <= 510


@given(st.lists(st.sampled_from((OK, LATER, NEVER)), min_size=1, max_size=8), st.booleans())
def test_2xx_means_that_all_have_it(replies: list[Reply], by_recipient: bool) -> None:
    """Promise P8, for each recipient."""
    recipients = [Command.parse(b"RCPT TO:<%d@mx.example>" % number) for number in range(len(replies))]
    out = fan_out(*recipients, by_recipient=by_recipient)
    out.sent_to(recipients, by_recipient=True)
    given = [each for reply in replies for each in out.take(reply)]
    if by_recipient:
        assert given == replies
    else:
        assert (given[0].severity == 2) is all(reply is OK for reply in replies)
        assert (given[0].severity == 4) is (LATER in replies)
