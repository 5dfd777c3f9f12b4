"""Python's smtplib through the proxy into Postfix: what arrives is what was sent."""

import smtplib
from collections.abc import Iterator

import pytest
from interop_postfix import MESSAGE_SIZE_LIMIT, REFUSED, SENDER, Mailbox, Postfix
from interop_proxy import Proxy
from interop_wire import as_kept, message

pytestmark = pytest.mark.interop

HEAD = b"Subject: smtplib\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"


@pytest.fixture
def client(proxy: Proxy) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP(proxy.host, proxy.port, "client.test", timeout=30) as client:
        yield client


CONTENTS = {
    "headers only": HEAD,
    "eight bits": HEAD + bytes(set(range(256)) - set(b"\r\n")) + b"\r\n",
    "dots at line starts": HEAD + b".\r\n..\r\n...\r\n.a\r\n. \r\n.\r\n",
    "ends in a dot line": HEAD + b"text\r\n.\r\n",
    "ends in empty lines": HEAD + b"text\r\n\r\n\r\n",
    "looks like a dialogue": HEAD
    + b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n354 go\r\nQUIT\r\n",
    "longest lines": HEAD + b"\r\n".join([b"x" * 998, b"." * 998, b"\xff" * 998]) + b"\r\n",
    "over-long lines": HEAD + b"\r\n".join([b"y" * 5_000, b"." * 70_000, b"z" * 200_000]) + b"\r\n",
    "two empty lines first": b"\r\n\r\nno header at all\r\n",
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_content_arrives_unchanged(client: smtplib.SMTP, mailbox: Mailbox, content: bytes) -> None:
    assert client.sendmail(SENDER, mailbox.address, content, ["BODY=8BITMIME"]) == {}
    assert mailbox.message().content == as_kept(content)


def test_empty_message(client: smtplib.SMTP, mailbox: Mailbox) -> None:
    client.sendmail(SENDER, mailbox.address, b"")
    assert mailbox.message().content == b"\n"


def test_five_megabytes(client: smtplib.SMTP, mailbox: Mailbox) -> None:
    line = bytes(set(range(128, 256))) * 5 + b"\r\n"
    content = HEAD + (b"." + line) * (5_000_000 // len(line))
    options = ["BODY=8BITMIME", f"SIZE={len(content)}"]
    assert client.sendmail(SENDER, mailbox.address, content, options) == {}
    assert mailbox.message().content == as_kept(content)


def test_a_message_over_the_limit_is_refused(client: smtplib.SMTP, proxy: Proxy, mailbox: Mailbox) -> None:
    """Undeclared, so that its size shows only on the way; the connection may end with it, no more."""
    content = HEAD + (b"x" * 998 + b"\r\n") * (MESSAGE_SIZE_LIMIT // 1000 + 10)
    client.ehlo()
    del client.esmtp_features["size"]  # smtplib itself declares the size otherwise
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        client.sendmail(SENDER, mailbox.address, content)
    assert refusal.value.smtp_code == 552
    assert mailbox.messages() == []
    with smtplib.SMTP(proxy.host, proxy.port, "client.test", timeout=30) as another:
        another.sendmail(SENDER, mailbox.address, HEAD)
    assert mailbox.message().content == as_kept(HEAD)


def test_one_of_several_recipients_is_refused(client: smtplib.SMTP, postfix: Postfix) -> None:
    mailboxes = [postfix.new_mailbox() for _ in range(3)]
    recipients = [mailboxes[0].address, REFUSED, mailboxes[1].address, mailboxes[2].address]
    refused = client.sendmail(SENDER, recipients, HEAD + b"for many\r\n")
    assert {address: code for address, (code, _) in refused.items()} == {REFUSED: 550}
    for mailbox in mailboxes:
        assert mailbox.message().content == as_kept(HEAD + b"for many\r\n")


def test_several_messages_per_connection(client: smtplib.SMTP, mailbox: Mailbox) -> None:
    contents = [message(number) for number in range(10)]
    for content in contents:
        client.sendmail(SENDER, mailbox.address, content)
        # A refusal in between must have no effect on the next message.
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail(SENDER, REFUSED, b"nobody reads this\r\n")
    arrived = sorted(delivered.content for delivered in mailbox.messages())
    assert arrived == sorted(as_kept(content) for content in contents)


def test_helo_instead_of_ehlo(client: smtplib.SMTP, mailbox: Mailbox) -> None:
    assert client.helo()[0] == 250
    client.sendmail(SENDER, mailbox.address, HEAD + b"old\r\n")
    delivered = mailbox.message()
    assert delivered.content == as_kept(HEAD + b"old\r\n")
    assert b"with SMTP id" in delivered.trace


def test_smtputf8(client: smtplib.SMTP, mailbox: Mailbox) -> None:
    content = "Subject: Grüße\r\n\r\nZażółć gęślą jaźń\r\n".encode()
    sender = "søren@interop.test"
    client.ehlo()
    assert client.has_extn("smtputf8")
    client.command_encoding = "utf-8"
    client.sendmail(sender, mailbox.address, content, ["SMTPUTF8", "BODY=8BITMIME"])
    delivered = mailbox.message()
    assert delivered.content == as_kept(content)
    assert f"Return-Path: <{sender}>".encode() in delivered.trace


def test_null_sender_and_dsn_parameters(client: smtplib.SMTP, mailbox: Mailbox) -> None:
    client.sendmail("", mailbox.address, HEAD, ["RET=HDRS", "ENVID=QQ314159"], ["NOTIFY=NEVER"])
    assert b"Return-Path: <>" in mailbox.message().trace
