"""What a client has done, in numbers, and the limits that it reaches."""

from __future__ import annotations

from sansio_smtp.config import Config
from sansio_smtp.proxy import own_replies
from sansio_smtp.proxy.tally import Tally


def test_junk_is_what_leads_to_no_mail() -> None:
    tally = Tally(Config(max_junk=3))
    for verb in b"EHLO MAIL RCPT DATA BDAT QUIT AUTH STARTTLS".split():
        tally.command(verb)
    assert (tally.commands, tally.junk, tally.room_for_junk, tally.over) == (8, 0, 3, None)
    for verb in b"NOOP RSET XYZZY".split():
        tally.command(verb)
    assert (tally.junk, tally.room_for_junk, tally.over) == (3, 0, None)
    for verb in b"HELP VRFY".split():
        tally.command(verb)
        assert tally.over is own_replies.TOO_MUCH_JUNK
    assert tally.take_hits() == ("max_junk",)


def test_refusals_slow_the_client_and_then_end_its_session() -> None:
    tally = Tally(Config(max_refusals=3, soft_errors=2))
    seen = []
    for _ in range(5):
        tally.refused()
        seen.append((tally.slow, tally.over))
    over = own_replies.TOO_MANY_ERRORS
    assert seen == [(False, None), (True, None), (True, None), (True, over), (True, over)]
    assert tally.take_hits() == ("soft_errors", "max_refusals")
    assert tally.take_hits() == ()


def test_a_trusted_client_is_counted_and_let_be() -> None:
    tally = Tally(Config(max_refusals=1, soft_errors=1, max_junk=1))
    tally.trust(True)
    for _ in range(5):
        tally.command(b"NOOP")
        tally.refused()
    assert (tally.refusals, tally.junk, tally.slow, tally.over, tally.take_hits()) == (5, 5, False, None, ())
    assert tally.room_for_junk > 10**9
    tally.trust(False)  # it has named another client
    tally.command(b"NOOP")
    assert tally.over is own_replies.TOO_MUCH_JUNK


def test_a_message_that_is_accepted_lets_the_counts_begin_anew() -> None:
    tally = Tally(Config(max_refusals=1, soft_errors=1, max_junk=1))
    for accepted in (False, True):
        for verb in b"NOOP NOOP".split():
            tally.command(verb)
            tally.refused()
        assert tally.slow
        assert tally.over is not None
        tally.answered(accepted=accepted)
        assert (tally.refusals == 0, tally.junk == 0, not tally.slow, tally.over is None) == (accepted,) * 4
    assert (tally.messages, tally.commands) == (2, 4)


def test_hits_that_nobody_takes_are_not_kept_for_ever() -> None:
    tally = Tally(Config())
    tally.hit("")
    for _ in range(1000):
        tally.hit("max_recipients")
    assert tally.take_hits() == ("max_recipients",) * 100


def test_what_was_passed_on() -> None:
    tally = Tally(Config(max_junk=5))
    tally.refused()
    tally.passed(4, 2)
    assert (tally.commands, tally.junk, tally.refusals, tally.messages) == (4, 2, 1, 0)
    tally.passed(9, 1, 3)
    assert (tally.commands, tally.junk, tally.refusals, tally.messages) == (13, 1, 0, 3)
    tally.line()
    tally.count_no_further_than(13)
    assert tally.commands == 13


def test_an_early_talker() -> None:
    tally = Tally(Config())
    tally.spoke_early()
    assert tally.early
    assert tally.take_hits() == ("early_talkers",)


def test_changes_in_the_client_are_counted() -> None:
    tally = Tally(Config())
    assert tally.client_changes == 0
    tally.client_changed()
    tally.client_changed()
    assert tally.client_changes == 2
