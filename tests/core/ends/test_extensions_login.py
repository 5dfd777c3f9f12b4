from __future__ import annotations

from sansio_smtp.ends.access import Access
from sansio_smtp.ends.extensions import Offer
from sansio_smtp.wire.replies import Reply

GIVEN = Reply.of(250, "mx", "AUTH GSSAPI", "SIZE 1000")


def test_the_login_of_the_proxy_takes_the_place_of_the_servers() -> None:
    reply = Offer().reply(GIVEN, Access({b"AUTH": b"AUTH PLAIN LOGIN"}))
    assert reply.lines == [b"mx", b"SIZE 1000", b"PIPELINING", b"AUTH PLAIN LOGIN"]


def test_none_is_offered() -> None:
    assert Offer().reply(GIVEN, Access({b"AUTH": b""})).lines == [b"mx", b"SIZE 1000", b"PIPELINING"]
