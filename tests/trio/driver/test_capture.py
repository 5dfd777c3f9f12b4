"""The server that keeps every message: octet for octet, with its envelope, or not at all."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import pytest
import trio
from streams import Peer, TrioStream, memory
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_proxy.account.kept import Kept, KeptMail
from trio_proxy.driver.capture import CaptureSession
from trio_proxy.storage.maildir import Maildir

Logs = list[MutableMapping[str, Any]]
SECONDS = 30.0
KEPT = b"250 2.0.0 kept as ..."


@asynccontextmanager
async def capturing(
    directory: Path, kept: KeptMail | None = None
) -> AsyncIterator[tuple[Peer, CaptureSession]]:
    """A client that has been greeted, and its session; at the end the session must have ended."""
    maildir = Maildir(directory)
    end, stream = memory()
    ours = TrioStream(stream)
    session = CaptureSession(ours, "peer:1", maildir, kept)
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            client = Peer(end, ours)
            await client.expect(b"220 capture.invalid ESMTP...")
            yield client, session
            client.half_close()
    assert ours.end == "closed"


async def talk(client: Peer, *lines: bytes) -> None:
    """Alternately a command and the reply to it."""
    for command, reply in zip(lines[::2], lines[1::2], strict=True):
        await client.send(command)
        await client.expect(reply)


async def envelope(client: Peer, *recipients: bytes) -> None:
    await talk(client, b"MAIL FROM:<a@me.example>", b"250 2.1.0 ok")
    for recipient in recipients or [b"b@mx.example"]:
        await talk(client, b"RCPT TO:<%s>" % recipient, b"250 2.1.5 ok")
    await talk(client, b"DATA", b"354 go ahead")


async def say_quit(client: Peer) -> None:
    await client.send(b"QUIT")
    assert await client.rest() == b"221 2.0.0 bye\r\n"


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def kept(directory: Path) -> bytes:
    (message,) = (directory / "new").iterdir()
    return message.read_bytes()


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        pytest.param(b"", b"", id="empty"),
        pytest.param(b"\r\n", b"\r\n", id="one empty line"),
        pytest.param(b"Subject: hi\r\n\r\ntext\r\n", b"Subject: hi\r\n\r\ntext\r\n", id="plain"),
        pytest.param(
            b"..\r\n...\r\n..a\r\n\r\n..\r\nQUIT\r\n", b".\r\n..\r\n.a\r\n\r\n.\r\nQUIT\r\n", id="dots"
        ),
        pytest.param(bytes(range(14, 256)) + b"\r\n", bytes(range(14, 256)) + b"\r\n", id="8-bit"),
        pytest.param(b"a\0b\0\r\n\0\r\n", b"a\0b\0\r\n\0\r\n", id="NUL"),
        pytest.param(b"x" * 300_000 + b"\r\n", b"x" * 300_000 + b"\r\n", id="one long line"),
    ],
)
@pytest.mark.parametrize("step", [None, 1_000, 1])
async def test_a_message_is_kept_octet_for_octet(
    wire: bytes, message: bytes, step: int | None, tmp_path: Path
) -> None:
    if step == 1 and len(wire) > 1_000:
        step = 77
    async with capturing(tmp_path) as (client, _):
        await envelope(client)
        octets = wire + b".\r\n"
        for at in range(0, len(octets), step or len(octets)):
            await client.raw(octets[at : at + (step or len(octets))])
        await client.expect(KEPT)
        await say_quit(client)
    assert kept(tmp_path) == message
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_the_envelope_is_kept_beside_it(tmp_path: Path) -> None:
    async with capturing(tmp_path) as (client, _):
        await client.send(b"EHLO me.example")
        while (await client.line())[3:4] == b"-":
            pass
        await talk(
            client,
            b"MAIL FROM:<a@me.example> SIZE=100 BODY=8BITMIME", b"250 2.1.0 ok",
            b"RCPT TO:<Refused.Robert@mx.example>", b"550 5.1.1 this recipient is always refused",
            b"RCPT TO:<b@mx.example>", b"250 2.1.5 ok",
            b"RCPT TO:<c@mx.example>", b"250 2.1.5 ok",
            b"DATA", b"354 go ahead",
        )  # fmt: skip
        await client.send(b"..hi", b".")
        reply = (await client.line()).decode()
        await talk(client, b"MAIL FROM:<>", b"250 2.1.0 ok", b"RCPT TO:<d@mx.example>", b"250 2.1.5 ok")
        await talk(client, b"DATA", b"354 go ahead", b".", KEPT)
        await say_quit(client)
    name = reply.removeprefix("250 2.0.0 kept as ")
    assert (tmp_path / "new" / name).suffix == ".eml"
    record = json.loads((tmp_path / "envelopes" / f"{name}.json").read_text())
    assert record.pop("received")
    assert record == {
        "mail_from": "a@me.example",
        "mail_parameters": {"SIZE": "100", "BODY": "8BITMIME"},
        "rcpt_to": ["b@mx.example", "c@mx.example"],
        "helo": "me.example",
        "login": None,
        "login_mechanism": None,
        "peer": "peer:1",
        "size": 5,
    }
    records = [json.loads(path.read_text()) for path in (tmp_path / "envelopes").iterdir()]
    (bounce,) = [record for record in records if record["mail_from"] != "a@me.example"]
    assert (bounce["mail_from"], bounce["rcpt_to"], bounce["size"]) == ("", ["d@mx.example"], 0)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        path.stem for path in (tmp_path / "envelopes").iterdir()
    }


@pytest.mark.parametrize(
    ("head", "subject"),
    [
        (b"", ""),
        (b"From: a@x\r\n\r\nSubject: of the body\r\n", ""),
        (b"subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_aus?= K\r\n\r\n", "Grüße aus K"),
        (b"Subject:\r\n\r\n", ""),
        (b"Subject: one\r\nSubject: two\r\n", "one"),
        (b"Subject: %s\r\n\r\n" % (b"x" * 10_000), "x" * 1_000),
        (b"X: %s\r\nSubject: late\r\n\r\n" % (b"x" * 40_000), "late"),
        (b"X: %s\r\nSubject: too late\r\n\r\n" % (b"x" * 70_000), ""),
    ],
)
async def test_it_tells_what_it_has_kept(head: bytes, subject: str, tmp_path: Path) -> None:
    told = KeptMail()
    async with capturing(tmp_path, told) as (client, _):
        for _ in range(2):  # nothing of a message is left for the next one
            await envelope(client, b"b@mx.example", b"c@mx.example")
            await client.raw(head + b".\r\n")
            await client.expect(KEPT)
        await say_quit(client)
    names = [path.name for path in (tmp_path / "new").iterdir()]
    assert len(names) == 2
    for name in names:
        assert told.take(name) == Kept(f"new/{name}", "a@me.example", subject)
        assert told.take(name) is None


class Recorded(KeptMail):
    def __init__(self) -> None:
        super().__init__()
        self.added: list[Kept] = []

    def add(self, queue_id: str, kept: Kept) -> None:
        self.added.append(kept)


async def test_it_tells_nothing_of_what_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    monkeypatch.setattr("test_capture.Maildir", lambda path: Full(path, at="keep"))
    told = Recorded()
    async with capturing(tmp_path, told) as (client, _):
        await envelope(client)
        await client.raw(b"Subject: x\r\n\r\n.\r\n")
        await client.expect(b"452 ...")
        await say_quit(client)
    assert told.added == []
    assert len(logs) == 1


async def test_commands_out_of_turn(tmp_path: Path) -> None:
    async with capturing(tmp_path) as (client, _):
        await talk(
            client,
            b"RCPT TO:<b@mx.example>", b"503 5.5.1 MAIL first",
            b"DATA", b"503 5.5.1 MAIL first",
            b"MAIL a@me.example", b"501 5.5.4 write MAIL FROM:<address>",
            b"MAIL FROM:<a@me.example>", b"250 2.1.0 ok",
            b"MAIL FROM:<z@me.example>", b"503 5.5.1 RSET first",
            b"DATA", b"554 5.5.1 no valid recipients",
            b"RCPT TO:<refused@mx.example>", b"550 5.1.1 this recipient is always refused",
            b"DATA", b"554 5.5.1 no valid recipients",
            b"RCPT nobody", b"501 5.5.4 write RCPT TO:<address>",
            b"RCPT TO:<b@mx.example>", b"250 2.1.5 ok",
            b"RSET", b"250 2.0.0 ok",
            b"RCPT TO:<b@mx.example>", b"503 5.5.1 MAIL first",
            b"NOOP", b"250 2.0.0 ok",
            b"HELO me", b"250 capture.invalid",
            b"VRFY b", b"252 2.5.2 send some mail, it will be kept",
            b"HELP", b"214 MAIL, RCPT, DATA, AUTH; a recipient that begins with 'refused' is refused",
            b"XYZZY", b"500 5.5.1 unknown command",
        )  # fmt: skip
        await say_quit(client)
    assert files(tmp_path) == {}


async def test_a_client_that_logs_in(tmp_path: Path) -> None:
    async with capturing(tmp_path) as (client, _):
        await talk(
            client,
            b"AUTH NTLM", b"504 5.5.4 this is not known here; use PLAIN LOGIN XOAUTH2 OAUTHBEARER",
            b"AUTH LOGIN", b"334 VXNlcm5hbWU6",
            b"*", b"501 5.7.0 cancelled, as you said",
            b"AUTH LOGIN", b"334 VXNlcm5hbWU6",
            b"QUIT", b"334 UGFzc3dvcmQ6",  # it is base64, and no command
            b"DATA", b"235 2.7.0 any login is accepted here",
            b"AUTH PLAIN AGFubgBz", b"503 5.5.1 you have logged in already",
            b"MAIL FROM:<a@me.example>", b"250 2.1.0 ok",
            b"AUTH PLAIN AGFubgBz", b"503 5.5.1 not between MAIL and the end of the message",
            b"RCPT TO:<b@mx.example>", b"250 2.1.5 ok",
            b"DATA", b"354 go ahead",
            b".", KEPT,
        )  # fmt: skip
        await say_quit(client)
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "envelopes").iterdir())
    assert record["login_mechanism"] == "LOGIN"


async def test_all_in_one_packet(tmp_path: Path) -> None:
    async with capturing(tmp_path) as (client, _):
        await client.raw(
            b"EHLO me\r\nMAIL FROM:<a@me>\r\nRCPT TO:<b@mx>\r\nDATA\r\none\r\n.\r\n"
            b"MAIL FROM:<a@me>\r\nRCPT TO:<b@mx>\r\nDATA\r\ntwo\r\n.\r\nQUIT\r\n"
        )
        replies = (await client.rest()).split(b"\r\n")
    final = [reply[:3] for reply in replies if reply[3:4] == b" "]
    assert final == [b"250", b"250", b"250", b"354", b"250", b"250", b"250", b"354", b"250", b"221"]
    assert {path.read_bytes() for path in (tmp_path / "new").iterdir()} == {b"one\r\n", b"two\r\n"}


@pytest.mark.parametrize("how", [Peer.half_close, Peer.close, Peer.reset])
@pytest.mark.parametrize("octets", [b"", b"half a line", b"one line\r\n", b"x" * 300_000, b"one\r\n."])
async def test_a_message_that_was_cut_is_not_kept(octets: bytes, how: Any, tmp_path: Path) -> None:
    async with capturing(tmp_path) as (client, _):
        await envelope(client)
        await client.raw(octets)
        await wait_all_tasks_blocked()
        assert len(list((tmp_path / "tmp").iterdir())) == 1
        how(client)
    assert files(tmp_path) == {}


async def test_shutdown(tmp_path: Path) -> None:
    async with capturing(tmp_path) as (client, session):
        await talk(client, b"MAIL FROM:<a@me.example>", b"250 2.1.0 ok")
        session.shutdown()
        await talk(client, b"RSET", b"250 2.0.0 ok")
        session.shutdown()
        assert await client.rest() == b""


async def test_shutdown_at_once_keeps_no_half_message(tmp_path: Path) -> None:
    async with capturing(tmp_path) as (client, session):
        await envelope(client)
        await client.raw(b"half a message\r\n")
        await wait_all_tasks_blocked()
        session.shutdown(now=True)
        assert await client.rest() == b""
    assert files(tmp_path) == {}


async def test_a_silent_client_is_left(autojump_clock: MockClock, tmp_path: Path) -> None:
    end, stream = memory()
    session = CaptureSession(TrioStream(stream), "peer", Maildir(tmp_path))
    with trio.fail_after(700):
        await session.run()
    assert trio.current_time() >= 600
    assert (await end.receive_some()).startswith(b"220 ")


# The disk


@attrs.define(eq=False)
class Full(Maildir):
    """A disk that is full from some point on."""

    at: str = "create"
    code: int = errno.ENOSPC

    def create(self) -> tuple[str, BinaryIO]:
        if self.at == "create":
            raise OSError(self.code, os.strerror(self.code))
        name, file = super().create()
        return name, Writes(file, self.code) if self.at == "write" else file  # type: ignore[return-value]

    def keep(self, name: str, file: BinaryIO, envelope: dict[str, object]) -> None:
        raise OSError(self.code, os.strerror(self.code))


class Writes:
    """A file that cannot be written."""

    def __init__(self, file: BinaryIO, code: int) -> None:
        self.file = file
        self.code = code

    def write(self, data: bytes) -> int:
        raise OSError(self.code, os.strerror(self.code))

    def close(self) -> None:
        self.file.close()
        raise OSError(self.code, os.strerror(self.code))  # as a flush does


@pytest.mark.parametrize("at", ["create", "write", "keep"])
@pytest.mark.parametrize(
    ("code", "refused"),
    [
        (errno.ENOSPC, b"452 4.3.1 the message cannot be kept here"),
        (errno.EDQUOT, b"452 4.3.1 the message cannot be kept here"),
        (errno.EIO, b"451 4.3.0 the message cannot be kept here, try again later"),
        (errno.EACCES, b"451 4.3.0 the message cannot be kept here, try again later"),
        (errno.EMFILE, b"451 4.3.0 the message cannot be kept here, try again later"),
    ],
)
async def test_a_message_that_cannot_be_kept_is_refused(
    at: str, code: int, refused: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    monkeypatch.setattr("test_capture.Maildir", lambda path: Full(path, at=at, code=code))
    async with capturing(tmp_path) as (client, _):
        await talk(client, b"MAIL FROM:<a@me.example>", b"250 2.1.0 ok")
        await talk(client, b"RCPT TO:<b@mx.example>", b"250 2.1.5 ok")
        if at == "create":
            await talk(client, b"DATA", refused)
        else:
            await talk(client, b"DATA", b"354 go ahead")
            await client.raw(b"text\r\n")
            await wait_all_tasks_blocked()
            await client.raw(b"more\r\n.\r\n")
            await client.expect(refused)
        await talk(client, b"RSET", b"250 2.0.0 ok")
        await say_quit(client)
    assert files(tmp_path) == {}
    assert [entry["event"] for entry in logs] == ["message cannot be kept"]
    assert os.strerror(code) in logs[0]["error"]


@attrs.define(eq=False)
class Slow(Maildir):
    """The first message is on disk when the second one is."""

    second: threading.Event = attrs.field(factory=threading.Event)
    first: list[str] = attrs.field(factory=list)

    def keep(self, name: str, file: BinaryIO, envelope: dict[str, object]) -> None:
        self.first.append(name)
        if self.first[0] == name:
            assert self.second.wait(20)
        super().keep(name, file, envelope)
        self.second.set()


async def test_a_disk_that_is_slow_for_one_is_not_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maildir = Slow(tmp_path)
    monkeypatch.setattr("test_capture.Maildir", lambda _: maildir)
    kept: list[int] = []

    async def submit(number: int) -> None:
        async with capturing(tmp_path) as (client, _):
            await envelope(client)
            await client.raw(b"text\r\n.\r\n")
            await client.expect(KEPT)
            kept.append(number)
            await say_quit(client)

    with trio.fail_after(15):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit, 0)
            nursery.start_soon(submit, 1)
    assert len(kept) == 2


async def test_an_internal_error_ends_one_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("it is planted")

    monkeypatch.setattr("trio_proxy.driver.capture._path_reply", fails)
    async with capturing(tmp_path) as (client, _):
        await client.send(b"MAIL FROM:<a@me.example>")
        assert await client.rest() == b"421 4.3.0 internal error, try again later\r\n"
    (line,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert line["event"] == "internal error of the built-in server, closing"
    assert line["exc_info"]
