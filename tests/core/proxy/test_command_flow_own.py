"""Commands that the proxy answers itself, in their turn among the others."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import ClientTls, Config
from sansio_smtp.networks import Networks
from sansio_smtp.questions import Answer, Continue
from sansio_smtp.wire.replies import Reply

LOCAL = ClientInfo(address="127.0.0.1:50000")
TRUSTED = Networks.parse(["127.0.0.1"])
NAMED = ["client 192.0.2.1", "C: 220 mx"]


def scene(*ask: str, tls: ClientTls = ClientTls.MAY) -> Scene:
    config = Config(tls=tls, accept_xclient=TRUSTED, accept_xforward=TRUSTED)
    return Scene(*ask, config=config, client=LOCAL).greeted()


def test_no_server_sees_them() -> None:
    made = scene()
    assert made.client("XFORWARD ADDR=192.0.2.1", "XCLIENT ADDR=192.0.2.1") == ["C: 250 2.0.0 ok", *NAMED]
    assert made.client("STARTTLS") == ["C: 220 2.0.0 begin TLS now", "tls C"]


@pytest.mark.parametrize("ask", [(), ("XCLIENT",), ("COMMAND",), ("OTHER_VERBS",)])
def test_a_name_is_taken_in_turn(ask: tuple[str, ...]) -> None:
    """What came before it is answered for the client of before."""
    made = scene(*ask)
    made.client("NOOP", "XCLIENT ADDR=192.0.2.1")
    if "COMMAND" in ask:
        made.answer(Continue())
    told = made.server("250 ok")
    assert told == ["C: 250 ok", *(["? CommandQuestion"] if ask and "OTHER_VERBS" not in ask else NAMED)]
    if told[-1] == "? CommandQuestion":
        assert made.answer(Continue()) == NAMED


def test_a_verdict_may_answer_in_place() -> None:
    made = scene("STARTTLS", "XCLIENT")
    made.client("STARTTLS")
    assert made.answer(Answer(Reply.of(454, "not now"))) == ["C: 454 not now"]
    made.client("XCLIENT ADDR=192.0.2.1")
    assert made.answer(Answer(Reply.of(550, "no"))) == ["C: 550 no"]
    assert made.proxy.identity is LOCAL


def test_a_command_that_had_to_wait_for_tls_is_no_violation() -> None:
    """But it counts as an error: nobody sends such commands without end."""
    made = Scene(config=Config(tls=ClientTls.ENCRYPT, max_errors=2)).greeted()
    assert made.client("MAIL FROM:<a>") == ["C: 530 5.7.0 send STARTTLS first"]
    assert made.client("AUTH PLAIN x") == ["C: 530 5.7.0 send STARTTLS first"]
    assert made.client("RSET")[0] == "C: 421 4.7.0 too many errors, closing"
