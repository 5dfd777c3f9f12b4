"""Rspamd over HTTP, against a server on a loopback port that answers as it is told."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

import pytest
import trio
from fakes import TEXT, message, on_loopback, received, transaction

from sansio_smtp.rules import Connection, Defer, Discard, Hold, Reject, Sender, Transaction
from sansio_smtp.rules.message import Message
from trio_proxy.ready.rspamd import Rspamd

LATER = Defer(451, "4.3.0 a service that checks mail is not available, try again later")


class FakeRspamd:
    """Answers each request with ``answer``: what becomes JSON, or octets that go out as they are."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.request = ""
        self.fields: list[tuple[str, str]] = []
        self.content = b""

    async def serve(self, stream: trio.abc.Stream) -> None:
        async with stream:
            head, _, body = (await received(stream, b"\r\n\r\n")).partition(b"\r\n\r\n")
            self.request, *lines = head.decode().split("\r\n")
            self.fields = [
                (name.lower(), value.strip()) for name, _, value in (x.partition(":") for x in lines)
            ]
            while len(body) < int(dict(self.fields)["content-length"]):
                body += await stream.receive_some(65_536)
            self.content = body
            answer = self.answer
            if not isinstance(answer, bytes):
                text = json.dumps(answer).encode()
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)
            await stream.send_all(answer)


async def judged(
    fake: FakeRspamd, msg: Message | None = None, tx: Transaction | None = None, **settings: Any
) -> Any:
    async with on_loopback(fake.serve) as port:
        rule = Rspamd(url=f"http://127.0.0.1:{port}", **settings)
        async with rule.running():
            return await rule.message(tx or transaction(), msg or message())


async def test_what_rspamd_is_told() -> None:
    fake = FakeRspamd({"action": "no action"})
    tx = transaction("b@mx.example", "c@mx.example", login="alice")
    assert await judged(fake, tx=tx, password="secret") is None
    assert fake.request == "POST /checkv2 HTTP/1.1"
    assert fake.content == TEXT
    told = [
        field
        for field in fake.fields
        if field[0] in ["from", "rcpt", "ip", "helo", "user", "queue-id", "password"]
    ]
    assert told == [
        ("from", "a@me.example"),
        ("rcpt", "b@mx.example"),
        ("rcpt", "c@mx.example"),
        ("ip", "192.0.2.7"),
        ("helo", "client.example"),
        ("user", "alice"),
        ("queue-id", "c7"),
        ("password", "secret"),
    ]


async def test_the_client_that_a_proxy_has_named() -> None:
    fake = FakeRspamd({"action": "no action"})
    tx = Transaction(
        Connection("192.0.2.7:4711", name="out.example", proxy_ip="10.0.0.1"), Sender.of("a@me.example")
    )
    await judged(fake, tx=tx)
    fields = dict(fake.fields)
    assert (fields["ip"], fields["hostname"]) == ("192.0.2.7", "out.example")


async def test_what_a_client_says_cannot_break_the_request() -> None:
    """Else a client could say something that keeps its mail from being looked at."""
    fake = FakeRspamd({"action": "no action"})
    tx = transaction('"a b"@mx.example', sender="j\u00fcrgen@me.example", helo="x\x01 y\x7f", peer="unix")
    assert await judged(fake, tx=tx, on_down="defer") is None
    fields = dict(fake.fields)
    assert fields["from"] == "j\u00fcrgen@me.example"
    assert fields["rcpt"] == '"a?b"@mx.example'
    assert fields["helo"] == "x??y?"
    assert "ip" not in fields
    assert "user" not in fields


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        ({"action": "no action"}, None),
        ({"action": "invented later"}, None),
        ({"action": "reject"}, Reject(550, "5.7.1 message looks like spam")),
        (
            {"action": "reject", "messages": {"smtp_message": "Gtube pattern"}},
            Reject(550, "5.7.1 Gtube pattern"),
        ),
        (
            {"action": "reject", "messages": {"smtp_message": "5.7.26 unaligned"}},
            Reject(550, "5.7.26 unaligned"),
        ),
        (
            {"action": "reject", "messages": {"smtp_message": "4.7.1 no\r\n250 yes\0\xff" + "x" * 999}},
            Reject(550, "5.7.1 4.7.1 no 250 yes " + "x" * 383),
        ),
        ({"action": "reject", "messages": ["?"]}, Reject(550, "5.7.1 message looks like spam")),
        ({"action": "soft reject"}, Defer(451, "4.7.1 try again later")),
        ({"action": "greylist", "messages": {"smtp_message": "Wait"}}, Defer(451, "4.7.1 Wait")),
        ({"action": "discard"}, Discard()),
        ({"action": "quarantine"}, Hold("rspamd: quarantine")),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_verdicts(result: Any, verdict: Any) -> None:
    msg = message()
    assert await judged(FakeRspamd(result), msg) == verdict
    assert msg.raw == TEXT


async def test_spam_is_marked() -> None:
    msg = message(b"X-Spam: No\r\n" + TEXT)
    assert await judged(FakeRspamd({"action": "add header"}), msg) is None
    assert msg.headers.get_all("X-Spam") == ["Yes"]


async def test_the_subject_is_rewritten() -> None:
    msg = message()
    assert await judged(FakeRspamd({"action": "rewrite subject", "subject": "*** hi \u20ac"}), msg) is None
    assert msg.headers.get_all("Subject") == ["*** hi \u20ac"]


async def test_a_subject_that_is_not_there_to_be_rewritten() -> None:
    msg = message()
    assert await judged(FakeRspamd({"action": "rewrite subject"}), msg) is None
    assert msg.raw == TEXT


async def test_header_fields_that_rspamd_wants() -> None:
    msg = message(b"X-Old: 1\r\nX-Old: 2\r\nX-Two: 1\r\n" + TEXT)
    milter = {
        "remove_headers": {"x-old": 0, "X-Two": 1},
        "add_headers": {
            "X-Rspamd-Server": "scan",
            "Authentication-Results": {"value": "mx;\n\tspf=pass", "order": 1},
            "X-Many": ["a", {"value": "b", "order": 0}],
        },
    }
    result = {"action": "no action", "milter": milter, "dkim-signature": "v=1;\r\n\tb=abc"}
    assert await judged(FakeRspamd(result), msg) is None
    assert msg.raw == (
        b"DKIM-Signature: v=1;\r\n\tb=abc\r\n"
        b"X-Many: b\r\n"
        b"Authentication-Results: mx;\r\n\tspf=pass\r\n"
        b"X-Two: 1\r\nFrom: a@me.example\r\nSubject: hi\r\n"
        b"X-Rspamd-Server: scan\r\n"
        b"X-Many: a\r\n\r\nhello\r\n"
    )


async def test_what_is_large_is_not_looked_at() -> None:
    fake = FakeRspamd({"action": "reject"})
    assert await judged(fake, max_size=len(TEXT) - 1) is None
    assert fake.request == ""
    assert await judged(fake, max_size=len(TEXT)) is not None


NO_ANSWERS = [
    b"HTTP/1.1 500 broken\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 403 no\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{nope",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
    b"220 mx ESMTP\r\n",
    b"",
    {"error": "task timed out"},
]


@pytest.mark.parametrize("answer", NO_ANSWERS)
async def test_an_answer_that_is_none(answer: Any, logs: list[MutableMapping[str, Any]]) -> None:
    assert await judged(FakeRspamd(answer)) == LATER
    assert await judged(FakeRspamd(answer), on_down="accept") is None
    assert [line["event"] for line in logs] == [
        "rspamd cannot be asked, mail is deferred",
        "rspamd cannot be asked, mail goes on without it",
    ]


async def test_an_rspamd_that_hangs(logs: list[MutableMapping[str, Any]]) -> None:
    class Hanging(FakeRspamd):
        async def serve(self, stream: trio.abc.Stream) -> None:
            async with stream:
                await trio.sleep_forever()

    with trio.fail_after(20):
        assert await judged(Hanging(None), timeout=0.05) == LATER
    assert len(logs) == 1


async def test_an_outage_is_logged_once_and_its_end_too(logs: list[MutableMapping[str, Any]]) -> None:
    fake = FakeRspamd({"action": "no action"})
    async with on_loopback(fake.serve) as port:
        rule = Rspamd(url="http://127.0.0.1:1")
        async with rule.running():
            for _ in range(2):
                assert await rule.message(transaction(), message()) == LATER
            rule.url = f"http://127.0.0.1:{port}/"
            for _ in range(2):
                assert await rule.message(transaction(), message()) is None
    assert [line["event"] for line in logs] == [
        "rspamd cannot be asked, mail is deferred",
        "rspamd answers again",
    ]


async def test_it_is_asked_only_while_it_runs() -> None:
    assert await Rspamd().message(transaction(), message()) == LATER


def test_an_address_that_is_none_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ValueError, match="http://HOST:PORT"):
        Rspamd(url="127.0.0.1:11333")
