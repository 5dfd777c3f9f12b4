"""Ends of data that only one side takes for one.

Only CRLF . CRLF ends a message. Debian 12's Postfix also takes others for the end, so a message that holds
one of them and then the text of a second transaction becomes two messages there, the second from whomever
the sender likes. Through the proxy, Postfix must see what the client meant: one message, or none.
"""

import pytest
from interop_postfix import SENDER, Mailbox, Postfix
from interop_proxy import Proxy
from interop_wire import RawClient, Reply

pytestmark = pytest.mark.interop

# Those that Postfix takes for the end: it ignores any number of CRs before LF, and needs none.
ENDS_FOR_POSTFIX = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\n.\r\r\n",
    b"\r\n.\r\r\r\n",
]
# Those some other server might.
ENDS_FOR_OTHERS = [
    b"\r.\r\n",
    b"\r.\r",
    b"\r.\n",
    b"\n.\r",
    b"\r\n.\r",
    b"\r\n.\r\x00\n",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
    b"\r\n.\x0b\n",
    b"\r\n.\x85",
]
PLANTED = b"MAIL FROM:<planted@interop.test>\r\nRCPT TO:<%b>\r\nDATA\r\nSubject: planted\r\n\r\nplanted text"
END = b"\r\n.\r\n"


def _attempt(port: int, mailbox: Mailbox, sequence: bytes, *, slowly: bool = False) -> list[Reply]:
    """Send one message with a second one planted after `sequence`; all replies after the 354."""
    with RawClient(port) as client:
        client.envelope(SENDER, mailbox.address)
        outer = b"Subject: outer\r\n\r\nouter text"
        data = outer + sequence + PLANTED % mailbox.address.encode() + END + b"QUIT\r\n"
        try:
            client.send_byte_by_byte(data) if slowly else client.send(data)
        except (BrokenPipeError, ConnectionResetError):
            assert slowly  # it was refused before all was sent, which is fine; its replies may be lost
        return client.replies_until_closed()


def _promised(replies: list[Reply]) -> int:
    """How many messages the client was told are taken."""
    return sum(reply.code == 250 and b"queued as" in reply.text for reply in replies)


@pytest.mark.parametrize("slowly", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("sequence", ENDS_FOR_POSTFIX + ENDS_FOR_OTHERS, ids=repr)
def test_not_the_end_of_data(proxy: Proxy, mailbox: Mailbox, sequence: bytes, slowly: bool) -> None:
    replies = _attempt(proxy.port, mailbox, sequence, slowly=slowly)
    messages = mailbox.messages()
    assert len(messages) == _promised(replies), replies
    assert len(messages) <= 1, replies
    # One answer for the one message, and perhaps a farewell: no other command was ever seen.
    assert replies[0].code == 250 or replies[0].code >= 500, replies
    assert [reply.code for reply in replies[1:]] in ([], [221], [421]), replies
    if messages:
        assert replies[0].code == 250
        assert b"Subject: outer" in messages[0].content
        assert messages[0].content.endswith(b"planted text\n")


def test_the_end_of_data(proxy: Proxy, mailbox: Mailbox) -> None:
    """The one true end: here the client itself means two messages, and gets two."""
    replies = _attempt(proxy.port, mailbox, END)
    assert [reply.code for reply in replies] == [250, 250, 250, 354, 250, 221]
    contents = sorted(delivered.content for delivered in mailbox.messages())
    assert contents == [b"Subject: outer\n\nouter text\n", b"Subject: planted\n\nplanted text\n"]


@pytest.mark.parametrize("sequence", ENDS_FOR_POSTFIX, ids=repr)
def test_without_the_proxy_there_are_two_messages(
    postfix: Postfix, mailbox: Mailbox, sequence: bytes
) -> None:
    """Or the tests above would pass with any proxy, or none."""
    replies = _attempt(postfix.port, mailbox, sequence)
    assert len(mailbox.messages()) == _promised(replies) == 2


def test_bare_line_feeds_are_line_ends(proxy: Proxy, mailbox: Mailbox) -> None:
    """Where nothing is at stake a bare LF does no harm: the lines arrive as lines.

    Two dots after a bare LF are a stuffed one, as Python's smtplib sends it; one is the message's own.
    """
    with RawClient(proxy.port) as client:
        client.envelope(SENDER, mailbox.address)
        client.send(b"Subject: bare\r\n\r\none\ntwo\n.three\n..four\n\nfive\r\n..six\r\n.\r\n")
        assert client.reply().code == 250
        client.quit()
    assert mailbox.message().content == b"Subject: bare\n\none\ntwo\n.three\n.four\n\nfive\n.six\n"


def test_a_whole_session_in_one_segment(proxy: Proxy, mailbox: Mailbox) -> None:
    """A client that waits for nothing, not even for 354, is told the truth, whatever that is."""
    with RawClient(proxy.port, greet=False) as client:
        planted = PLANTED % mailbox.address.encode()
        client.send(b"EHLO client.test\r\n" + planted + END + b"RSET\r\n" + planted + END + b"QUIT\r\n")
        replies = client.replies_until_closed()
    assert len(mailbox.messages()) == _promised(replies), replies
    assert replies[-1].code == 221 or replies[-1].code >= 421, replies
