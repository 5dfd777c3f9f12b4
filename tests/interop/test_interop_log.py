"""The line of a message names the queue id by which the log of a real server is searched."""

import json
import time
from pathlib import Path

import pytest
from interop_postfix import REFUSED, SENDER, Postfix
from interop_proxy import running
from interop_wire import RawClient

pytestmark = pytest.mark.interop

MESSAGE = b"Message-ID: <where@me.example>\r\nSubject: where\r\n\r\nis it\r\n"


def test_postfix_knows_the_queue_id(postfix: Postfix, tmp_path: Path) -> None:
    mailbox = postfix.new_mailbox()
    start = len(postfix.log())
    with running(f"127.0.0.1:{postfix.port}", tmp_path, "--log-format", "json") as proxy:
        with RawClient(proxy.port) as client:
            client.send(b"MAIL FROM:<%b>\r\nRCPT TO:<%b>\r\n" % (SENDER.encode(), REFUSED.encode()))
            assert client.replies(2) == [250, 550]
            client.send(b"RCPT TO:<%b>\r\nDATA\r\n" % mailbox.address.encode())
            assert client.replies(2) == [250, 354]
            client.send(MESSAGE + b".\r\nQUIT\r\n")
            assert [reply.code for reply in client.replies_until_closed()] == [250, 221]
        until = time.monotonic() + 10
        while "message relayed" not in proxy.log() and time.monotonic() < until:
            time.sleep(0.05)
        lines = [json.loads(line) for line in proxy.log().splitlines() if line.startswith("{")]
    refused, relayed = (line for line in lines if "reply" in line)
    assert (refused["event"], refused["by"]) == ("RCPT refused", "server")
    assert refused["to"] == [{"address": REFUSED, "fate": "refused"}]
    assert relayed["to"] == [{"address": mailbox.address, "fate": "relayed"}]
    assert (relayed["from"], relayed["message_id"]) == (SENDER, "<where@me.example>")
    assert (relayed["size"], relayed["upstream"]) == (len(MESSAGE), f"127.0.0.1:{postfix.port}")
    said = postfix.log_until(f"{relayed['queue_id']}: removed", start)
    assert f"{relayed['queue_id']}: message-id=<where@me.example>" in said
