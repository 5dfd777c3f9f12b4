"""aiosmtpd as the server of the proxy."""

import smtplib

import pytest
from interop_aiosmtpd import Sink
from interop_proxy import StartProxy
from interop_wire import RawClient, dot_stuffed

pytestmark = pytest.mark.interop

RECIPIENT = "box@interop.test"


def test_long_lines(start_proxy: StartProxy, sink: Sink) -> None:
    """Far over the 998 octets of RFC 5321: it is not for a proxy to break them."""
    lines = [b"Subject: long", b"", b"a" * 999, b"." * 10_000, b"\xe9" * 100_000, b"b" * 900_000, b"end", b""]
    content = b"\r\n".join(lines)
    with smtplib.SMTP("127.0.0.1", start_proxy(sink.port).port, "client.test", timeout=30) as client:
        client.sendmail("a@interop.test", RECIPIENT, content)
    assert sink.contents() == [content]


def test_smtputf8(start_proxy: StartProxy, sink: Sink) -> None:
    sender, recipient = "søren@interop.test", "żółw@interop.test"
    content = "Subject: Grüße\r\n\r\ntekst\r\n".encode()
    with smtplib.SMTP("127.0.0.1", start_proxy(sink.port).port, "client.test", timeout=30) as client:
        client.ehlo()
        client.command_encoding = "utf-8"
        client.sendmail(sender, recipient, content, ["SMTPUTF8"])
    (envelope,) = sink.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (sender, [recipient])
    assert envelope.smtp_utf8
    assert sink.contents() == [content]


def test_the_empty_message(start_proxy: StartProxy, sink: Sink) -> None:
    """Not even an empty line: the final dot comes at once."""
    with RawClient(start_proxy(sink.port).port) as client:
        client.envelope("a@interop.test", RECIPIENT)
        client.command(b".", 250)
        client.quit()
    assert sink.contents() == [b""]


def test_a_server_that_offers_no_pipelining(start_proxy: StartProxy, sink: Sink) -> None:
    """A client that pipelines anyway gets its replies in order, or none of the following is true."""
    with RawClient(start_proxy(sink.port).port) as client:
        client.send(
            b"MAIL FROM:<a@interop.test>\r\nRCPT TO:<b@interop.test>\r\nRCPT TO:<c@interop.test>\r\nDATA\r\n"
        )
        assert client.replies(4) == [250, 250, 250, 354]
        client.send(dot_stuffed(b"Subject: x\r\n\r\n.\r\n") + b".\r\nNOOP\r\nQUIT\r\n")
        assert [reply.code for reply in client.replies_until_closed()] == [250, 250, 221]
    (envelope,) = sink.envelopes
    assert envelope.rcpt_tos == ["b@interop.test", "c@interop.test"]


def test_too_big_for_the_server(start_proxy: StartProxy, sink: Sink) -> None:
    with RawClient(start_proxy(sink.port).port) as client:
        client.command(b"MAIL FROM:<a@interop.test> SIZE=20000001", 552)
        client.quit()
    assert sink.envelopes == []
