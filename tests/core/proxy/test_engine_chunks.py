"""A whole session with messages in chunks (RFC 3030), in one piece and octet by octet."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.config import Config
from sansio_smtp.events import CLIENT, BodyComplete, SendToServer

CHUNKING = ("250-mx", "250-PIPELINING", "250 CHUNKING")
SENT = b"BDAT 6\r\nRSET\r\nBDAT 2\r\n\r\nBDAT 7 LAST\r\nQUIT\r\n.NOOP\r\n"


@pytest.mark.parametrize("config", [Config(), Config(max_pipelined=1), Config(max_chunk=2)])
@pytest.mark.parametrize("ehlo", [CHUNKING, ("250-mx", "250 CHUNKING")])
def test_the_cuts_of_the_input_change_nothing(config: Config, ehlo: tuple[str, ...]) -> None:
    """Neither the octets that leave nor what is told of the message."""
    found = set()
    for size in (1, len(SENT)):
        scene = Scene(config=config).with_recipient(*ehlo)
        octets, sizes = b"", []
        pieces = [SENT[at : at + size] for at in range(0, len(SENT), size)]
        while not octets.endswith(b"NOOP\r\n"):
            if pieces and CLIENT in scene.proxy.may_read:
                scene.took(scene.proxy.receive_from(CLIENT, pieces.pop(0)))
            else:
                scene.server("250 ok")
            octets += b"".join(event.data for event in scene.last if isinstance(event, SendToServer))
            sizes += [event.size for event in scene.last if isinstance(event, BodyComplete)]
        found.add((octets, *sizes))
    ((_, received),) = found
    assert received == 15
