"""What a driver cannot give a proxy."""

from __future__ import annotations

import pytest

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import CLIENT, SERVER
from sansio_smtp.proxy.argument_checks import check_last_reply, check_refusal, check_side
from sansio_smtp.wire.replies import Reply


def test_sides() -> None:
    check_side(CLIENT)
    check_side(SERVER)
    for side in ("client", None, b"NOOP\r\n", []):
        with pytest.raises(TypeError, match=r"a side is sansio_smtp.CLIENT or sansio_smtp.SERVER, not "):
            check_side(side)


def test_replies_that_refuse_a_client() -> None:
    for code in (421, 450, 554):
        check_refusal(Reply.of(code, "no"))
    with pytest.raises(LocalProtocolError, match="a client is refused with 4xx or 5xx, not with 250 ok"):
        check_refusal(Reply.of(250, "ok"))
    with pytest.raises(TypeError, match=r"a client is refused with a Reply, not str; such as Reply.of"):
        check_refusal("554 no")


def test_the_last_reply_of_a_service_that_stops() -> None:
    check_last_reply(Reply.of(421, "bye"))
    with pytest.raises(LocalProtocolError, match="gets 421, not 554 no"):
        check_last_reply(Reply.of(554, "no"))
    with pytest.raises(TypeError, match=r"a session ends with a Reply, not str; such as Reply.of"):
        check_last_reply("421 bye")
