"""Replies to chunks (RFC 3030): which are the client's, and what a refusal does."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.config import Config
from sansio_smtp.events import CLIENT
from sansio_smtp.questions import Answer, Continue, ReplaceReply
from sansio_smtp.wire.replies import Reply

CHUNKING = ("250-mx", "250-PIPELINING", "250 CHUNKING")
LOCK_STEP = ("250-mx", "250 CHUNKING")
OK = Reply.of(250, "ok")


def parts(*ehlo: str, sent: bytes = b"BDAT 8\r\nabcdefgh") -> Scene:
    """A chunk of the client that leaves in three parts."""
    scene = Scene(config=Config(max_chunk=3)).with_recipient(*ehlo)
    scene.took(scene.proxy.receive_from(CLIENT, sent))
    return scene


@pytest.mark.parametrize("ehlo", [CHUNKING, LOCK_STEP])
def test_the_client_gets_one_reply_to_one_chunk(ehlo: tuple[str, ...]) -> None:
    scene = parts(*ehlo)
    assert [line for line in scene.server("250 part") if line[0] == "C"] == []
    assert [line for line in scene.server("250 part") if line[0] == "C"] == []
    assert scene.server("250 whole") == ["C: 250 whole"]


@pytest.mark.parametrize("accepted", [0, 1])
def test_a_part_that_is_refused_refuses_the_chunk(accepted: int) -> None:
    scene = parts(*LOCK_STEP)
    for _ in range(accepted):
        scene.server("250 part")
    assert scene.server("452 full") == ["S: RSET", "answered 452", "C: 452 full"]
    assert scene.server("250 reset") == []
    assert scene.client("NOOP") == ["S: NOOP"]


@pytest.mark.parametrize("line", [b"BDAT 3\r\nabc", b"BDAT 8\r\nabcdefgh", b"BDAT 3 LAST\r\nabc"])
def test_421_ends_both_sides(line: bytes) -> None:
    """Whichever chunk it answers."""
    scene = parts(*LOCK_STEP, sent=line)
    assert scene.server("421 leaving") == ["answered 421", "C: 421 leaving", "close S", "close C"]


def test_421_to_a_chunk_that_has_been_answered_here() -> None:
    scene = Scene("BODY_CHUNK").with_recipient(*CHUNKING)
    scene.client("BDAT 3", "x")
    scene.answer(Continue())
    scene.client("BDAT 3", "y")
    scene.answer(Answer(OK))
    assert scene.server("421 leaving") == ["C: 421 leaving", "close S", "close C"]


def test_a_rule_may_change_the_reply_to_a_chunk() -> None:
    scene = Scene("REPLY").with_recipient(*CHUNKING)
    scene.client("BDAT 3", "x")
    assert scene.server("250 three") == ["? ReplyQuestion"]
    assert scene.answer(ReplaceReply(Reply.of(251, "ours"))) == ["C: 251 ours"]
