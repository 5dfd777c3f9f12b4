"""The same tests on real sockets against every driver: the Trio proxy and the examples.

The tests check what a driver adds to the core: order, and the ends of connections; test_drivers_patience.py
checks back-pressure and deadlines. The peers are raw sockets, because only these can break rules and hang
like real peers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from driver_dialogues import (
    ENVELOPE,
    MB,
    TEXT,
    deliver,
    delivered,
    greet,
    hello,
    is_one_refusal,
    lines,
    open_content,
    say_quit,
    take_envelope,
    take_message,
    take_quit,
)
from drivers import Driver, Peer, Upstream, driver, impatient, process, upstream

__all__ = ["driver", "impatient", "process", "upstream"]  # fixtures


# Messages arrive as they were sent


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(TEXT, id="plain"),
        pytest.param(b"", id="empty"),
        pytest.param(b"..\r\n...\r\n..a.\r\n\r\n..\r\n", id="dot-stuffed"),
        pytest.param(b"\0\x80\xff \x85" * 40_000 + b"\r\n", id="one long odd line"),
        pytest.param(lines(5 * MB), id="5 MB"),
    ],
)
def test_a_message_arrives_as_it_was_sent(driver: Driver, upstream: Upstream, wire: bytes) -> None:
    assert delivered(driver, upstream, wire) == wire


def test_a_bare_newline_is_normalised_and_ends_nothing(driver: Driver, upstream: Upstream) -> None:
    sent = b"one\ntwo\n.\nRSET\r\n.\nRSET\n.\r\nthree\r\n"
    # After CRLF the dot is the stuffed dot of an empty line; after a bare LF it is a dot.
    came = b"one\r\ntwo\r\n..\r\nRSET\r\n\r\nRSET\r\n..\r\nthree\r\n"
    assert delivered(driver, upstream, sent) == came


def test_a_client_that_sends_octet_by_octet(driver: Driver, upstream: Upstream) -> None:
    messages: list[bytes] = []
    with upstream.plays(deliver(messages)), driver.client() as client:
        said = b"\r\n".join([b"EHLO me.example", *ENVELOPE, b"DATA", TEXT + b".", b"QUIT", b""])
        for at in range(len(said)):
            client.raw(said[at : at + 1])
        client.expect(b"220 mx.example ESMTP")
        client.reply()
        client.expect(b"250 2.1.0 ok", b"250 2.1.0 ok", b"354 go on", b"250 2.0.0 kept", b"221 2.0.0 bye")
        assert client.rest() == b""
    assert messages == [TEXT]


# Two halves in step


def test_all_in_one_packet_to_a_server_that_drops_whoever_pipelines(
    driver: Driver, upstream: Upstream
) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"220 mx.example ESMTP")
        for command in (b"EHLO me.example", *ENVELOPE):
            peer.expect_alone(command)
            peer.send(b"250 ok")
        peer.expect_alone(b"DATA")
        peer.send(b"354 go on")
        assert peer.message() == TEXT
        assert peer.buffer == b""
        peer.send(b"250 kept")
        take_quit(peer)

    with upstream.plays(script), driver.client() as client:
        client.send(b"EHLO me.example", *ENVELOPE, b"DATA", TEXT + b".", b"QUIT")
        client.expect(b"220 mx.example ESMTP")
        client.reply()
        client.expect(b"250 ok", b"250 ok", b"354 go on", b"250 kept", b"221 2.0.0 bye")
        assert client.rest() == b""


def test_what_came_behind_a_refused_data_is_never_a_command(driver: Driver, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        greet(peer, b"PIPELINING")
        take_envelope(peer)
        peer.send(b"554 5.5.1 no")
        assert peer.rest() == b""

    with upstream.plays(script), hello(driver) as client:
        client.send(*ENVELOPE, b"DATA", b"RSET", b"MAIL FROM:<evil@me.example>", b".", b"QUIT")
        client.expect(b"250 2.1.0 ok", b"250 2.1.0 ok", b"554 5.5.1 no")
        assert re.fullmatch(rb"(5[^\r\n]*\r\n)?", client.rest())


def test_a_credential_that_looks_like_a_command(driver: Driver, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        greet(peer, b"AUTH LOGIN")
        for line, reply in (
            (b"AUTH LOGIN", b"334 VXNlcm5hbWU6"),
            (b"DATA", b"334 UGFzc3dvcmQ6"),
            (b"UVVJVA==", b"235 2.7.0 welcome"),
            (b"NOOP", b"250 ok"),
        ):
            peer.expect_alone(line)
            peer.send(reply)
        take_quit(peer)

    with upstream.plays(script), hello(driver) as client:
        client.send(b"AUTH LOGIN", b"DATA", b"UVVJVA==", b"NOOP")
        client.expect(b"334 VXNlcm5hbWU6", b"334 UGFzc3dvcmQ6", b"235 2.7.0 welcome", b"250 ok")
        say_quit(client)
    assert "UVVJVA" not in driver.log.read_text()


# A lost server


def test_a_server_that_cannot_be_reached(process: Driver, tmp_path: Path) -> None:
    nobody = Upstream()
    nobody.close()
    driver = Driver(process.kind, nobody.port, tmp_path)
    try:
        for _ in range(2):
            with driver.client() as client:
                client.send(b"EHLO me.example")
                octets = client.rest()
                assert is_one_refusal(octets)
                assert octets.startswith(b"421 4.4.1 ")  # unreachable
        driver.check()
    finally:
        driver.stop()


@pytest.mark.parametrize("how", [Peer.close, Peer.reset])
@pytest.mark.parametrize("when", ["greeting", "idle", "command", "body", "end of data"])
def test_a_server_that_dies(
    driver: Driver, upstream: Upstream, when: str, how: Callable[[Peer], None]
) -> None:
    def script(peer: Peer) -> None:
        if when == "greeting":
            return how(peer)
        greet(peer)
        if when == "command":
            peer.expect(b"NOOP")
        elif when == "body":
            take_envelope(peer)
            peer.send(b"354 go on")
            peer.expect(b"Subject: hi")
        elif when == "end of data":
            take_message(peer)
        return how(peer)

    with upstream.plays(script), driver.client() if when == "greeting" else hello(driver) as client:
        if when == "command":
            client.send(b"NOOP")
        elif when in ("body", "end of data"):
            open_content(client)
            client.raw(TEXT + (b".\r\n" if when == "end of data" else b""))
        octets = client.rest()
    assert is_one_refusal(octets), octets
    assert octets.startswith(b"451 " if when == "end of data" else b"421 ")


def test_a_server_that_refuses_in_the_middle_of_a_message(driver: Driver, upstream: Upstream) -> None:
    """The client is still sending when the connection is closed: a reset must not destroy its last reply."""

    def script(peer: Peer) -> None:
        greet(peer)
        take_envelope(peer)
        peer.send(b"354 go on")
        peer.expect(b"Subject: hi")
        peer.send(b"452 4.3.1 full")
        assert peer.is_reset()

    with upstream.plays(script), hello(driver) as client:
        open_content(client)
        client.raw(TEXT)
        client.send_what_fits(lines(2 * MB), 0.2)
        assert client.rest() == b"452 4.3.1 full\r\n"


# A client that goes


@pytest.mark.parametrize("how", [Peer.half_close, Peer.close, Peer.reset])
def test_a_message_that_was_cut_never_ends_at_the_server(
    driver: Driver, upstream: Upstream, how: Callable[[Peer], None]
) -> None:
    was_reset = []

    def script(peer: Peer) -> None:
        greet(peer)
        take_envelope(peer)
        peer.send(b"354 go on")
        peer.expect(b"Subject: hi")
        was_reset.append(peer.is_reset())
        assert b"\r\n." not in peer.buffer

    with upstream.plays(script), hello(driver) as client:
        open_content(client)
        client.raw(TEXT)
        how(client)
    assert was_reset == [True]


@pytest.mark.slow
@pytest.mark.parametrize("last", [b"NOOP", b"QUIT", b"."])
def test_a_reply_that_is_made_after_the_client_has_sent_its_end(
    driver: Driver, upstream: Upstream, last: bytes
) -> None:
    def script(peer: Peer) -> None:
        greet(peer)
        if last == b".":
            assert take_message(peer) == TEXT
        else:
            peer.expect(last)
        time.sleep(0.3)
        peer.send(b"221 bye" if last == b"QUIT" else b"250 ok")
        assert peer.rest() == b""

    with upstream.plays(script), hello(driver) as client:
        if last == b".":
            open_content(client)
            client.raw(TEXT)
        client.send(last)
        client.half_close()
        assert client.rest() == (b"221 bye\r\n" if last == b"QUIT" else b"250 ok\r\n")


def test_a_client_that_dies_behind_its_dot(driver: Driver, upstream: Upstream) -> None:
    """The server may have accepted the message, so it may finish and is not reset."""

    def script(peer: Peer) -> None:
        greet(peer)
        assert take_message(peer) == TEXT
        time.sleep(0.3)
        peer.send(b"250 2.0.0 kept")
        assert not peer.is_reset()

    with upstream.plays(script), hello(driver) as client:
        open_content(client)
        client.raw(TEXT + b".\r\n")
        client.reset()
