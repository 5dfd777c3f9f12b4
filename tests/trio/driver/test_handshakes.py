"""TLS in a session, with either peer: when it begins, what it may not be given, and how it fails."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from certificates import client_context, pair_for, write_authority
from streams import Peer
from tcp_peers import MOMENT, TcpRunning, over_tcp
from trio.testing import MockClock

from sansio_smtp import Config, Question, Route, UpstreamTls
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.text.addresses import Address
from trio_proxy.tls.server_side import ServerTls
from trio_proxy.tls.upstream import UpstreamSecurity

Logs = list[MutableMapping[str, Any]]
NAME = "mx.example"
HELLO = b"220 mx.example ESMTP"
FAILED = b"421 4.7.5 "


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    pair_for(folder, NAME)
    pair_for(folder, "other.example")
    write_authority(folder)
    return folder


def certificates(files: Path, name: str = NAME) -> ServerTls:
    return ServerTls.load([pair_for(files, name)])


def upstream(files: Path, level: UpstreamTls, *, implicit: bool = False) -> Any:
    security = UpstreamSecurity.load(level, files / "one-ca.pem")
    leg = security.leg(Address(NAME, 465 if implicit else 25, tls=implicit))
    return lambda _: leg


@asynccontextmanager
async def session(clock: MockClock, files: Path, **settings: Any) -> AsyncIterator[TcpRunning]:
    config = settings.pop("config", Config(tls="may"))
    async with over_tcp(clock, config=config, tls=certificates(files), **settings) as run:
        yield run


async def begin_tls(
    peer: Peer, context: ssl.SSLContext, *, server_side: bool = False, name: str | None = None
) -> Any:
    """The peer speaks TLS from now on."""
    stream = trio.SSLStream(
        peer.stream, context, server_hostname=name, server_side=server_side, https_compatible=True
    )
    peer.stream = stream  # type: ignore[assignment]
    with trio.fail_after(60):
        await stream.do_handshake()
    return stream


async def greeted(run: TcpRunning) -> None:
    await run.server.send(HELLO)
    await run.client.expect(HELLO)


async def hello(run: TcpRunning, *keywords: bytes) -> list[bytes]:
    """EHLO, and the keywords that the client is offered."""
    await run.client.send(b"EHLO me.example")
    await run.server.expect(b"EHLO me.example")
    await run.server.send(b"250-mx.example", *(b"250-" + keyword for keyword in keywords), b"250 DSN")
    offered: list[bytes] = []
    while (line := await run.client.line())[3:4] == b"-":
        offered.append(line[4:])
    return [*offered, line[4:]]


async def quit_(run: TcpRunning) -> None:
    await run.client.send(b"QUIT")
    await run.server.expect(b"QUIT")
    await run.server.send(b"221 bye")
    await run.client.expect(b"221 bye")
    assert await run.client.rest() == b""
    run.client.close()
    await run.until_ended()


# The client


async def test_a_client_begins_tls(mock_clock: MockClock, files: Path) -> None:
    async with session(mock_clock, files) as run:
        await greeted(run)
        assert b"STARTTLS" in await hello(run)
        await run.client.send(b"STARTTLS")
        await run.client.expect(b"220 ...")
        stream = await begin_tls(run.client, client_context(), name=NAME)
        assert stream.version() == "TLSv1.3"
        assert b"STARTTLS" not in await hello(run)
        await quit_(run)


async def test_the_pump_waits_for_input_when_the_server_makes_tls_begin(
    mock_clock: MockClock, files: Path
) -> None:
    """The ClientHello belongs to the handshake, not to the pump, which was waiting for a command."""
    async with session(mock_clock, files) as run:
        await greeted(run)
        await hello(run, b"PIPELINING")
        await run.client.send(b"NOOP", b"STARTTLS")
        await run.server.expect(b"NOOP")
        await trio.testing.wait_all_tasks_blocked(0.001)
        await run.server.send(b"250 2.0.0 ok")
        await run.client.expect(b"250 2.0.0 ok", b"220 ...")
        await begin_tls(run.client, client_context(), name=NAME)
        await hello(run)
        await quit_(run)


@pytest.mark.parametrize("in_one", [True, False])
async def test_plain_text_after_starttls_is_never_acted_on(
    mock_clock: MockClock, files: Path, logs: Logs, in_one: bool
) -> None:
    async with session(mock_clock, files) as run:
        await greeted(run)
        await hello(run)
        injected = b"MAIL FROM:<evil@me.example>\r\n"
        await run.client.raw(b"STARTTLS\r\n" + injected * in_one)
        if not in_one:
            await run.client.expect(b"220 ...")
            await run.client.raw(injected)
        rest = await run.client.rest()
        assert b"250" not in rest
        run.client.close()
        assert b"MAIL" not in await run.server.rest()
        run.server.close()
        await run.until_ended()
    if not in_one:
        (line,) = [line for line in logs if line["event"] == "TLS handshake failed"]
        assert (line["side"], line["error"]) == ("client", "what came is not TLS")


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_half_a_clienthello_and_silence(
    mock_clock: MockClock, files: Path, logs: Logs, sent: bytes
) -> None:
    timeouts = Timeouts(handshake=20)
    async with session(mock_clock, files, timeouts=timeouts) as run:
        await greeted(run)
        await hello(run)
        await run.client.send(b"STARTTLS")
        await run.client.expect(b"220 ...")
        before = trio.current_time()
        if sent:
            await run.client.raw(sent)
        assert await run.client.rest() == b""
        assert 20 <= trio.current_time() - before <= 20 * 33 / 32 + MOMENT
        run.client.close()
        run.server.close()
        await run.until_ended()
    assert [line["waiting_for"] for line in logs if line["event"] == "timeout"] == ["handshake"]


async def test_a_drip_gains_no_time(mock_clock: MockClock, files: Path) -> None:
    async with session(mock_clock, files, timeouts=Timeouts(handshake=20)) as run:
        await greeted(run)
        await hello(run)
        await run.client.send(b"STARTTLS")
        await run.client.expect(b"220 ...")
        before = trio.current_time()
        try:
            for octet in b"\x16\x03\x01\x02\x00" + bytes(100):
                await run.client.raw(bytes([octet]))
                await trio.sleep(5)
        except trio.BrokenResourceError:
            pass
        assert trio.current_time() - before <= 40
        run.client.close()
        run.server.close()
        await run.until_ended()


async def test_a_client_that_ends_in_place_of_a_handshake(
    mock_clock: MockClock, files: Path, logs: Logs
) -> None:
    async with session(mock_clock, files) as run:
        await greeted(run)
        await hello(run, b"PIPELINING")
        await run.client.send(b"NOOP", b"STARTTLS")
        run.client.half_close()
        await run.server.expect(b"NOOP")
        await trio.testing.wait_all_tasks_blocked(0.001)
        await run.server.send(b"250 2.0.0 ok")
        await run.client.rest()
        run.client.close()
        await run.server.rest()
        run.server.close()
        await run.until_closed()
    assert "timeout" not in [line["event"] for line in logs]


async def test_a_client_that_resets_in_place_of_a_handshake(mock_clock: MockClock, files: Path) -> None:
    async with session(mock_clock, files) as run:
        await greeted(run)
        await hello(run)
        await run.client.send(b"STARTTLS")
        await run.client.expect(b"220 ...")
        run.client.reset()
        await run.server.rest()
        run.server.close()
        await run.until_closed()


async def test_the_end_of_tcp_in_a_message_is_no_end_of_the_message(
    mock_clock: MockClock, files: Path
) -> None:
    async with session(mock_clock, files) as run:
        await greeted(run)
        await hello(run)
        await run.client.send(b"STARTTLS")
        await run.client.expect(b"220 ...")
        await begin_tls(run.client, client_context(), name=NAME)
        await hello(run)
        await run.content()
        await run.client.raw(b"Subject: hi\r\n\r\ntext\r\n")
        await run.server.expect(b"Subject: hi", b"", b"text")
        run.client.half_close()  # no close_notify
        assert await run.server.rest() == b""
        assert run.server.was_reset
        run.server.close()
        await run.until_closed()


async def test_a_shutdown_in_the_middle_of_a_handshake(mock_clock: MockClock, files: Path) -> None:
    async with session(mock_clock, files) as run:
        await greeted(run)
        await hello(run)
        await run.client.send(b"STARTTLS")
        await run.client.expect(b"220 ...")
        run.session.shutdown()
        assert await run.client.rest() == b"", "nothing in plain text"
        run.client.close()
        run.server.close()
        await run.until_closed()


# The server


def server_context(files: Path, name: str = NAME) -> ssl.SSLContext:
    return certificates(files, name).context


@pytest.mark.parametrize("level", [UpstreamTls.MAY, UpstreamTls.ENCRYPT, UpstreamTls.VERIFY])
@pytest.mark.parametrize("implicit", [False, True])
async def test_a_server_with_tls(
    mock_clock: MockClock, files: Path, level: UpstreamTls, implicit: bool
) -> None:
    async with session(mock_clock, files, upstream_tls=upstream(files, level, implicit=implicit)) as run:
        if implicit:
            await begin_tls(run.server, server_context(files), server_side=True)
        await run.server.send(HELLO)
        await run.client.expect(HELLO)
        await run.client.send(b"EHLO me.example")
        if not implicit:
            await run.server.expect(b"EHLO me.example")
            await run.server.send(b"250-mx.example", b"250 STARTTLS")
            await run.server.expect(b"STARTTLS")
            await run.server.send(b"220 go on")
            await begin_tls(run.server, server_context(files), server_side=True)
        await run.server.expect(b"EHLO me.example")
        await run.server.send(b"250-mx.example", b"250 DSN")
        while (await run.client.line())[3:4] == b"-":
            pass
        await quit_(run)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(
    ("level", "fault", "error"),
    [
        (UpstreamTls.VERIFY, "name", "the certificate is not for mx.example"),
        (UpstreamTls.MAY, "garbage", "what came is not TLS"),
        (UpstreamTls.MAY, "end", "the peer has closed the connection during the handshake"),
        (UpstreamTls.ENCRYPT, "silence", None),
    ],
)
async def test_a_server_whose_tls_fails_is_not_used(
    mock_clock: MockClock,
    files: Path,
    logs: Logs,
    implicit: bool,
    level: UpstreamTls,
    fault: str,
    error: str | None,
) -> None:
    settings = {"upstream_tls": upstream(files, level, implicit=implicit), "timeouts": Timeouts(handshake=20)}
    async with session(mock_clock, files, **settings) as run:
        if not implicit:
            await greeted(run)
            await run.client.send(b"EHLO me.example")
            await run.server.expect(b"EHLO me.example")
            await run.server.send(b"250-mx.example", b"250 STARTTLS")
            await run.server.expect(b"STARTTLS")
            await run.server.send(b"220 go on")
        if fault == "name":
            with pytest.raises(trio.BrokenResourceError):
                await begin_tls(run.server, server_context(files, "other.example"), server_side=True)
        elif fault == "garbage":
            assert await run.server.more(), "the ClientHello"
            await run.server.raw(b"220 mx.example, as if nothing were\r\n")
        elif fault == "end":
            run.server.half_close()
        rest = await run.client.rest()
        assert rest.startswith(b"421 4."), rest
        assert rest.count(b"\r\n") == 1
        run.client.close()
        await run.server.rest()
        run.server.close()
        await run.until_ended()
    found = [line for line in logs if line["event"] == "TLS handshake failed"]
    if error is not None:
        assert [(line["side"], line["error"]) for line in found] == [("server", error)]
    assert not [line for line in logs if line["event"].startswith("internal error")]


async def test_a_rule_names_a_server_that_speaks_tls_from_the_first_octet(
    mock_clock: MockClock, files: Path
) -> None:
    implicit = upstream(files, UpstreamTls.VERIFY, implicit=True)(None)

    async def route(question: Question[Any]) -> Any:
        return Route("smtps://mx.example")

    settings: dict[str, Any] = {
        "config": Config(reconnect=True),
        "upstream_tls": lambda name: None if name is None else implicit,
        "ask": frozenset({"RCPT"}),
        "judge": route,
    }
    async with session(mock_clock, files, **settings) as run:
        await greeted(run)
        await hello(run)
        await run.client.send(b"MAIL FROM:<a@me.example>")
        await run.server.expect(b"MAIL FROM:<a@me.example>")
        await run.server.send(b"250 2.1.0 ok")
        await run.client.expect(b"250 2.1.0 ok")
        await run.client.send(b"RCPT TO:<b@mx.example>")
        await run.server.rest()
        await trio.testing.wait_all_tasks_blocked(0.001)
        (second,) = run.servers
        await begin_tls(second, server_context(files), server_side=True)
        await second.send(HELLO)
        await second.expect(b"EHLO me.example")
        await second.send(b"250 mx.example")
        await second.expect(b"MAIL FROM:<a@me.example>")
        await second.send(b"250 2.1.0 ok")
        await second.expect(b"RCPT TO:<b@mx.example>")
        await second.send(b"250 2.1.5 ok")
        await run.client.expect(b"250 2.1.5 ok")
        await run.client.send(b"QUIT")
        await second.expect(b"QUIT")
        await second.send(b"221 bye")
        await run.client.expect(b"221 bye")
        for peer in (run.client, run.server, second):
            peer.close()
        await run.until_ended()


async def test_replies_after_the_220_of_a_server_are_never_passed_on(
    mock_clock: MockClock, files: Path
) -> None:
    async with session(mock_clock, files, upstream_tls=upstream(files, UpstreamTls.MAY)) as run:
        await greeted(run)
        await run.client.send(b"EHLO me.example")
        await run.server.expect(b"EHLO me.example")
        await run.server.send(b"250-mx.example", b"250 STARTTLS")
        await run.server.expect(b"STARTTLS")
        await run.server.send(b"220 go on", b"250-mx.example", b"250 EVIL")
        assert b"EVIL" not in await run.client.rest()
        run.client.close()
        await run.server.rest()
        run.server.close()
        await run.until_ended()


# What people are told


async def test_no_secret_is_told_of_a_session_in_tls(mock_clock: MockClock, files: Path, logs: Logs) -> None:
    """Credentials in TLS on both legs, and a server that repeats them."""
    lines: list[str] = []
    context = certificates(files).context
    async with session(
        mock_clock,
        files,
        config=Config(tls="encrypt", trace=True),
        upstream_tls=upstream(files, UpstreamTls.VERIFY),
        write_transcript=lines.append,
        show_states=True,
    ) as run:
        await greeted(run)
        await run.client.send(b"STARTTLS")
        await run.client.expect(b"220...")
        await begin_tls(run.client, client_context("one"), name=NAME)
        await run.client.send(b"EHLO me.example")
        await run.server.expect(b"EHLO me.example")
        await run.server.send(b"250-mx.example", b"250 STARTTLS")
        await run.server.expect(b"STARTTLS")
        await run.server.send(b"220 go")
        await begin_tls(run.server, context, server_side=True)
        await run.server.expect(b"EHLO me.example")
        await run.server.send(b"250-mx.example", b"250 AUTH PLAIN")
        while (await run.client.line())[3:4] == b"-":
            pass
        await run.client.send(b"AUTH PLAIN AGFubgB0b3BzZWNyZXQ=")
        await run.server.expect(b"AUTH PLAIN AGFubgB0b3BzZWNyZXQ=")
        await run.server.send(b"235 AGFubgB0b3BzZWNyZXQ= topsecret is fine")
        await run.client.expect(b"235 AGFubgB0b3BzZWNyZXQ= topsecret is fine")
        await run.client.send(b"DATA\0 topsecret")
        await run.client.line()
        await quit_(run)
    told = "\n".join(lines) + str(logs)
    assert "AGFubgB0" not in told
    assert "topsecret" not in told
    arrows = [line.split(" c1 ")[1][:4] for line in lines]
    assert arrows.index("C ~>") > arrows.index("C ->")
    assert "C <-" not in arrows[arrows.index("C <~") :]
    assert "U ->" not in arrows[arrows.index("U ~>") :]
    assert "=== server: TLSv1.3, TLS_AES_256_GCM_SHA384, certificate verified" in "\n".join(lines)
    assert {entry.get("tls") for entry in logs if entry["event"] == "protocol violation"} == {"TLSv1.3"}
