"""What sessions with the same configuration share."""

from __future__ import annotations

import pytest

from sansio_smtp.config import Chunking, Config, Dialect
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.proxy.shared import Shared, shared
from sansio_smtp.questions import CLIENT_CHANGED, COMMAND, HEADERS, IN_TURN, OTHER_VERBS, REPLY


def test_it_is_made_once() -> None:
    assert shared(Config(), frozenset({"RCPT"})) is shared(Config(), frozenset({"RCPT"}))
    assert shared(Config(), frozenset({"RCPT"})) is not shared(Config(), frozenset({"MAIL"}))
    assert shared(Config(), frozenset()) is not shared(Config(max_message_size=5), frozenset())


OTHERS = ("offer", "openings", "__weakref__")


def test_nothing_is_asked() -> None:
    nothing = shared(Config(), frozenset())
    yes = {name: getattr(nothing, name) for name in Shared.__slots__ if name not in OTHERS}
    assert not any(yes.values()), yes


def test_what_is_asked() -> None:
    some = shared(Config(), frozenset({"RCPT", "X-OURS", HEADERS, IN_TURN}))
    assert some.verbs == {b"RCPT", b"X-OURS"}
    assert some.content == {HEADERS}
    assert some.in_turn
    assert some.may_route
    assert shared(Config(), frozenset({COMMAND})).all_commands
    assert shared(Config(), frozenset({COMMAND})).may_route
    assert shared(Config(), frozenset({OTHER_VERBS})).other_verbs
    assert shared(Config(), frozenset({REPLY})).replies
    assert shared(Config(), frozenset({CLIENT_CHANGED})).client_changed


def test_data_is_asked_about_in_whichever_way_the_message_comes() -> None:
    assert shared(Config(), frozenset({"DATA"})).verbs == {b"DATA", b"BDAT"}
    assert shared(Config(), frozenset({"BDAT"})).verbs == {b"BDAT"}


@pytest.mark.parametrize("chunking", Chunking)
def test_an_lmtp_client_is_offered_no_chunks(chunking: Chunking) -> None:
    """It would be owed a reply for each recipient to a last chunk that is refused half-way."""
    for dialect, offered in ((Dialect.SMTP, chunking), (Dialect.LMTP, Chunking.NEVER)):
        config = Config(chunking=chunking, client_dialect=dialect)
        assert shared(config, frozenset()).offer.chunking is offered


def test_what_is_offered() -> None:
    offer = shared(Config(relay_keywords=["x-fine"], max_message_size=5), frozenset()).offer
    assert (offer.relay, offer.max_size) == (frozenset({"X-FINE"}), 5)


def test_a_wrong_name_is_wrong_each_time() -> None:
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="no hook place"):
            shared(Config(), frozenset({"RCTP"}))
