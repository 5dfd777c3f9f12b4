"""Clients that leave: with half a message, or with a whole one and no wish to hear more."""

import pytest
from interop_postfix import SENDER, Mailbox, Postfix
from interop_proxy import Proxy
from interop_wire import RawClient

pytestmark = pytest.mark.interop

HEAD = b"Subject: leaving\r\n\r\n"
# Each lacks something of CRLF . CRLF; to Postfix alone the last would be whole.
HALVES = [
    b"half a line",
    b"a line\r\n",
    b"a line\r\n.",
    b"a line\r\n.\r",
    b"a line\r\n..\r\n",
    b"a line\n.\n",
]


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("half", HALVES, ids=repr)
def test_half_a_message_is_none(
    proxy: Proxy, postfix: Postfix, mailbox: Mailbox, half: bytes, reset: bool
) -> None:
    start = len(postfix.log())
    with RawClient(proxy.port) as client:
        client.envelope(SENDER, mailbox.address)
        client.send(HEAD + half)
        if reset:
            client.reset()
    # So it is over for Postfix too, and the absence of the message means something.
    postfix.log_until("lost connection after DATA", start)
    assert mailbox.messages() == []


@pytest.mark.parametrize("farewell", [b"", b"QUIT\r\n"], ids=["silent", "QUIT"])
def test_a_client_that_half_closes_still_gets_its_replies(
    proxy: Proxy, mailbox: Mailbox, farewell: bytes
) -> None:
    """As `printf ... | nc` does: all is said, so it closes its side and listens."""
    with RawClient(proxy.port) as client:
        client.envelope(SENDER, mailbox.address)
        client.send(HEAD + b"whole\r\n.\r\n" + farewell)
        client.half_close()
        codes = [reply.code for reply in client.replies_until_closed()]
    assert codes[: 2 if farewell else 1] == ([250, 221] if farewell else [250])
    assert mailbox.message().content == b"Subject: leaving\n\nwhole\n"
