"""Clients that talk as no well-behaved library would, through the proxy to Postfix."""

import pytest
from interop_postfix import MESSAGE_SIZE_LIMIT, REFUSED, SENDER, Mailbox, Postfix
from interop_proxy import Proxy
from interop_wire import RawClient, dot_stuffed

pytestmark = pytest.mark.interop

CONTENT = b"Subject: raw\r\n\r\n.one\r\ntwo\r\n"
KEPT = b"Subject: raw\n\n.one\ntwo\n"
MAIL = b"MAIL FROM:<%b>" % SENDER.encode()


def _rcpt(mailbox: Mailbox) -> bytes:
    return b"RCPT TO:<%b>" % mailbox.address.encode()


def test_ehlo_offers_what_a_proxy_can_keep(proxy: Proxy, postfix: Postfix) -> None:
    with RawClient(postfix.port) as direct, RawClient(proxy.port) as client:
        withheld = {b"STARTTLS", b"XCLIENT", b"XFORWARD"}
        assert withheld <= direct.keywords  # or this test shows nothing
        assert not withheld & client.keywords
        kept = {b"PIPELINING", b"SIZE", b"8BITMIME", b"ENHANCEDSTATUSCODES", b"DSN", b"SMTPUTF8"}
        assert kept <= client.keywords
        assert b"SIZE %d" % MESSAGE_SIZE_LIMIT in client.extensions
        client.quit()
        direct.quit()


def test_envelope_in_one_segment(proxy: Proxy, mailbox: Mailbox) -> None:
    with RawClient(proxy.port) as client:
        client.send(b"\r\n".join([MAIL, _rcpt(mailbox), b"DATA", b""]))
        assert client.replies(3) == [250, 250, 354]
        client.send(dot_stuffed(CONTENT) + b".\r\nQUIT\r\n")
        assert [reply.code for reply in client.replies_until_closed()] == [250, 221]
    assert mailbox.message().content == KEPT


def test_refused_recipients_in_one_segment(proxy: Proxy, mailbox: Mailbox) -> None:
    """Every reply in its place, and DATA without a recipient refused; then the same with one accepted."""
    refused = b"RCPT TO:<%b>" % REFUSED.encode()
    with RawClient(proxy.port) as client:
        client.send(b"\r\n".join([MAIL, refused, refused, b"DATA", b""]))
        assert client.replies(4) == [250, 550, 550, 554]
        client.send(b"\r\n".join([b"RSET", MAIL, refused, _rcpt(mailbox), refused, b"DATA", b""]))
        assert client.replies(6) == [250, 250, 550, 250, 550, 354]
        client.send(dot_stuffed(CONTENT) + b".\r\nQUIT\r\n")
        assert [reply.code for reply in client.replies_until_closed()] == [250, 221]
    assert mailbox.message().content == KEPT


def test_next_transaction_behind_the_final_dot(proxy: Proxy, postfix: Postfix) -> None:
    first, second = postfix.new_mailbox(), postfix.new_mailbox()
    with RawClient(proxy.port) as client:
        client.envelope(SENDER, first.address)
        client.send(dot_stuffed(CONTENT) + b"\r\n".join([b".", MAIL, _rcpt(second), b"DATA", b""]))
        assert client.replies(4) == [250, 250, 250, 354]
        client.send(dot_stuffed(CONTENT) + b".\r\nQUIT\r\n")
        assert [reply.code for reply in client.replies_until_closed()] == [250, 221]
    assert first.message().content == second.message().content == KEPT


def test_byte_by_byte(proxy: Proxy, mailbox: Mailbox) -> None:
    with RawClient(proxy.port, greet=False) as client:
        for line in (b"EHLO client.test", MAIL, _rcpt(mailbox)):
            client.send_byte_by_byte(line + b"\r\n")
            assert client.reply().code == 250
        client.send_byte_by_byte(b"DATA\r\n")
        assert client.reply().code == 354
        client.send_byte_by_byte(dot_stuffed(CONTENT) + b".\r\n")
        assert client.reply().code == 250
        client.send_byte_by_byte(b"QUIT\r\n")
        assert [reply.code for reply in client.replies_until_closed()] == [221]
    assert mailbox.message().content == KEPT


def test_the_empty_message(proxy: Proxy, mailbox: Mailbox) -> None:
    """Not even an empty line: the final dot comes at once."""
    with RawClient(proxy.port) as client:
        client.envelope(SENDER, mailbox.address)
        client.command(b".", 250)
        client.quit()
    assert mailbox.message().content == b""


def test_lower_case_verbs(proxy: Proxy, mailbox: Mailbox) -> None:
    with RawClient(proxy.port, greet=False) as client:
        client.command(b"ehlo client.test", 250)
        client.command(b"mail from:<%b>" % SENDER.encode(), 250)
        client.command(b"rCpT tO:<%b>" % mailbox.address.encode(), 250)
        client.command(b"dAtA", 354)
        client.send(dot_stuffed(CONTENT) + b".\r\nquit\r\n")
        assert [reply.code for reply in client.replies_until_closed()] == [250, 221]
    assert mailbox.message().content == KEPT


def test_declared_size_too_big(proxy: Proxy, mailbox: Mailbox) -> None:
    with RawClient(proxy.port) as client:
        client.command(b"%b SIZE=%d" % (MAIL, MESSAGE_SIZE_LIMIT + 1), 552)
        client.command(b"RSET", 250)  # until then this Postfix refuses every MAIL, whatever its size
        client.envelope(SENDER, mailbox.address)
        client.send(dot_stuffed(CONTENT))
        client.command(b".", 250)
        client.quit()
    assert mailbox.message().content == KEPT


def test_replies_are_postfix_own(proxy: Proxy, postfix: Postfix, mailbox: Mailbox) -> None:
    """Whatever Postfix says to a command, known or not, the client reads the same words."""
    box, unknown = mailbox.address.encode(), REFUSED.encode()
    commands = [
        b"NOOP",
        b"NOOP with words",
        b"VRFY " + box,
        b"VRFY " + unknown,
        b"HELP",
        b"NONSENSE",
        b"RSET",
    ]
    commands += [
        b"MAIL",
        b"MAIL FROM:<a b>",
        b"RCPT TO:<%b>" % box,
        b"DATA",
        b"EXPN list",
        b"MAIL FROM:<> X=1",
    ]
    with RawClient(postfix.port) as direct, RawClient(proxy.port) as client:
        for command in commands:
            assert client.command(command) == direct.command(command), command
        client.command(b"VRFY " + box, 252)
        client.command(b"VRFY " + unknown, 550)
        client.quit()
        direct.quit()


def test_rset_mid_transaction(proxy: Proxy, postfix: Postfix) -> None:
    dropped, kept = postfix.new_mailbox(), postfix.new_mailbox()
    with RawClient(proxy.port) as client:
        client.command(MAIL, 250)
        client.command(_rcpt(dropped), 250)
        client.command(b"RSET", 250)
        client.command(_rcpt(dropped), 503)
        client.envelope(SENDER, kept.address)
        client.send(dot_stuffed(CONTENT))
        client.command(b".", 250)
        client.quit()
    assert dropped.messages() == []
    assert kept.message().content == KEPT


@pytest.mark.parametrize("verb", [b"EHLO", b"HELO"])
def test_second_greeting_mid_transaction(proxy: Proxy, postfix: Postfix, verb: bytes) -> None:
    """It is a reset too (RFC 5321, 4.1.4), and the second EHLO reply keeps back what the first did."""
    dropped, kept = postfix.new_mailbox(), postfix.new_mailbox()
    with RawClient(proxy.port) as client:
        client.command(MAIL, 250)
        client.command(_rcpt(dropped), 250)
        reply = client.command(verb + b" again.test", 250)
        assert reply.lines[1:] == (client.extensions if verb == b"EHLO" else ())
        client.command(b"DATA", 503)
        client.envelope(SENDER, kept.address)
        client.send(dot_stuffed(CONTENT))
        client.command(b".", 250)
        client.quit()
    assert dropped.messages() == []
    delivered = kept.message()
    assert delivered.content == KEPT
    assert b"from again.test (" in delivered.trace


WITHHELD = [
    b"STARTTLS",
    b"XCLIENT ADDR=192.0.2.1 NAME=spoofed.test",
    b"XFORWARD ADDR=192.0.2.1",
]


@pytest.mark.parametrize("command", WITHHELD, ids=lambda command: command.split()[0].decode())
@pytest.mark.parametrize("case", [bytes.upper, bytes.lower], ids=["upper", "lower"])
def test_withheld_commands_never_reach_postfix(
    verbose_proxy: Proxy, postfix: Postfix, command: bytes, case: type[bytes]
) -> None:
    """Postfix would take each of them; its log of commands shows the ones around, and not these."""
    command = case(command)
    verb = command.split()[0].decode()
    start = len(postfix.log())
    with RawClient(verbose_proxy.port) as client:
        client.command(b"NOOP before " + verb.encode(), 250)
        # Pipelined with others, so that its reply must wait for its turn.
        client.send(b"\r\n".join([MAIL, command, b"RSET", b"NOOP after", b""]))
        assert client.replies(4) == [250, 502, 250, 250]
        client.quit()
    log = postfix.log_until("]: NOOP after", start)
    assert f"]: NOOP before {verb}" in log
    assert f"]: {verb}" not in log
    assert f"{verb.lower()}=" not in log  # as Postfix counts them when a client goes


def test_a_refused_chunk_is_not_read_as_commands(verbose_proxy: Proxy, postfix: Postfix) -> None:
    """What comes after BDAT is message text, whatever the answer to BDAT is."""
    chunk = b"NOOP smuggled\r\nRSET\r\n"
    start = len(postfix.log())
    with RawClient(verbose_proxy.port) as client:
        client.send(b"BDAT %d LAST\r\n" % len(chunk) + chunk + b"NOOP after chunk\r\n")
        assert client.replies(2) == [503, 250]  # there is no transaction
        client.quit()
    log = postfix.log_until("]: NOOP after chunk", start)
    assert "smuggled" not in log


def test_withheld_commands_would_be_taken_by_postfix(postfix: Postfix) -> None:
    """The counterpart without the proxy: the test above can fail."""
    start = len(postfix.log())
    with RawClient(postfix.verbose_port) as client:
        client.command(b"XFORWARD ADDR=192.0.2.1", 250)
        client.command(b"STARTTLS", 220)
    assert "]: STARTTLS" in postfix.log_until("]: STARTTLS", start)
    with RawClient(postfix.verbose_port) as client:
        client.command(b"XCLIENT ADDR=192.0.2.1 NAME=spoofed.test", 220)
    postfix.log_until("XCLIENT ADDR=192.0.2.1", start)
