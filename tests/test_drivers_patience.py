"""Like test_drivers.py, with slow, silent or many peers: back-pressure, deadlines, memory."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from driver_dialogues import (
    MB,
    TEXT,
    deliver,
    greet,
    hello,
    is_one_refusal,
    lines,
    open_content,
    say_quit,
    take_envelope,
    take_quit,
)
from drivers import (
    COMMANDS,
    CRAMPED,
    DEADLINE,
    Driver,
    Peer,
    Upstream,
    driver,
    impatient,
    process,
    upstream,
    wait_until,
)

__all__ = ["driver", "impatient", "process", "upstream"]  # fixtures

# These tests wait, so examples are tested only in CI.
pytestmark = pytest.mark.parametrize(
    "process",
    [pytest.param(kind, marks=[] if kind == "trio" else pytest.mark.slow) for kind in COMMANDS],
    indirect=True,
    scope="module",
)


# Slow peers


@pytest.mark.slow
def test_a_server_that_reads_slowly_blocks_the_client(driver: Driver, upstream: Upstream) -> None:
    message = lines(30 * MB)
    reads_on = threading.Event()
    same = []

    def script(peer: Peer) -> None:
        greet(peer)
        take_envelope(peer)
        peer.send(b"354 go on")
        assert reads_on.wait(2 * DEADLINE)
        same.append(peer.message() == message)
        peer.send(b"250 2.0.0 kept")
        take_quit(peer)

    try:
        with (
            upstream.plays(script, receive_buffer=65_536),
            driver.grows_less_than(4 * MB),
            hello(driver, send_buffer=65_536) as client,
        ):
            open_content(client)
            sent = client.send_what_fits(message, 0.3)
            assert sent < 20 * MB  # the kernel's buffers, and no more
            reads_on.set()
            client.raw(memoryview(message)[sent:])
            client.raw(b".\r\n")
            client.expect(b"250 2.0.0 kept")
            say_quit(client)
    finally:
        reads_on.set()
    assert same == [True]


def test_a_client_that_does_not_read_its_replies(driver: Driver, upstream: Upstream) -> None:
    count, line = 250, b"250-" + b"kept" * 120
    answered = []

    def script(peer: Peer) -> None:
        greet(peer)
        while (command := peer.line()) != b"QUIT":
            if command == b"MAIL FROM:<a@me.example>":
                peer.send(b"250 ok")
                continue
            assert command == b"RCPT TO:<b@mx.example>"
            peer.send(*[line] * 100, b"250 %d" % len(answered))
            answered.append(1)
        peer.send(b"221 2.0.0 bye")
        assert peer.rest() == b""

    with (
        upstream.plays(script),
        driver.grows_less_than(4 * MB),
        hello(driver, receive_buffer=65_536) as client,
    ):
        client.send(b"MAIL FROM:<a@me.example>")
        client.expect(b"250 ok")
        client.send(*[b"RCPT TO:<b@mx.example>"] * count)
        before = -1
        while before != (before := len(answered)):
            time.sleep(0.2)
        assert before < count  # it has come to a halt
        with hello(driver) as other:
            say_quit(other)
        for number in range(count):
            client.expect(*[line] * 100, b"250 %d" % number)
        say_quit(client)


def test_a_server_that_reads_no_further_until_its_replies_are_read(
    process: Driver, upstream: Upstream, tmp_path: Path
) -> None:
    """If a driver waits for the server to read, while the server waits for the driver to read, both wait for
    ever."""
    recipients = [b"RCPT TO:<%s%d>" % (b"x" * 12_000, number) for number in range(90)]
    line = b"250-" + b"ok" * 120

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        greet(peer, b"PIPELINING")
        peer.expect(b"NOOP")
        peer.send(b"250 ok")
        for number, recipient in enumerate(recipients):
            peer.expect(recipient)
            peer.send(*[line] * 100, b"250 %d" % number)
        take_quit(peer)

    cramped = Driver(process.kind, upstream.port, tmp_path, CRAMPED)
    try:
        with upstream.plays(script, receive_buffer=4096), hello(cramped) as client:
            client.send(b"NOOP", *recipients)  # NOOP is not part of a group: the others follow its reply
            client.expect(b"250 ok")
            for number in range(len(recipients)):
                client.expect(*[line] * 100, b"250 %d" % number)
            say_quit(client)
        cramped.check()
    finally:
        cramped.stop()


def test_a_client_that_does_not_wait_for_replies(driver: Driver, upstream: Upstream) -> None:
    """Its input stays in the kernel's buffers, because the core does not allow reading."""
    stuck = threading.Event()

    def script(peer: Peer) -> None:
        greet(peer)
        peer.expect(b"NOOP")
        assert stuck.wait(2 * DEADLINE)

    try:
        with (
            upstream.plays(script),
            driver.grows_less_than(4 * MB),
            hello(driver, send_buffer=65_536) as client,
        ):
            assert client.send_what_fits(b"NOOP\r\n" * (5 * MB), 0.3) < 20 * MB
            stuck.set()
            client.expect(b"421 ...")
    finally:
        stuck.set()


def test_fifty_clients_at_once(driver: Driver, upstream: Upstream) -> None:
    messages: list[bytes] = []
    wires = [b"Subject: %d\r\n\r\n" % number + lines(5_000) for number in range(50)]
    clients: list[Peer] = []
    with upstream.plays(deliver(messages)):
        try:
            clients += (hello(driver) for _ in wires)
            for client in clients:
                open_content(client)
            for client, wire in zip(clients, wires, strict=True):
                client.raw(wire + b".\r\nQUIT\r\n")
            for client in clients:
                client.expect(b"250 2.0.0 kept", b"221 2.0.0 bye")
                assert client.rest() == b""
        finally:
            for client in clients:
                client.sock.close()
    assert sorted(messages) == sorted(wires)


@pytest.mark.slow
def test_more_clients_than_descriptors(driver: Driver, upstream: Upstream) -> None:
    """The driver may keep further clients waiting or refuse them, but must not end or spin, and must
    recover."""

    def script(peer: Peer) -> None:
        with suppress(ConnectionError):  # its client may be gone before the connection was made
            peer.send(b"220 mx.example ESMTP")
            peer.is_reset()  # either will do

    clients: list[Peer] = []
    with upstream.plays(script):
        try:
            with driver.has_no_more_descriptors_than(5):
                clients += (driver.client() for _ in range(12))
                time.sleep(0.2)
                busy = driver.busy_seconds()
                time.sleep(0.4)
                assert driver.busy_seconds() - busy < 0.2
        finally:
            for client in clients:
                client.sock.close()
        with driver.client() as client:
            client.expect(b"220 mx.example ESMTP")


# Silent peers


@pytest.mark.slow
@pytest.mark.parametrize("when", ["greeting", "command", "reply", "body", "end of data"])
def test_silence_ends_the_dialogue(impatient: Driver, upstream: Upstream, when: str) -> None:
    def script(peer: Peer) -> None:
        if when != "greeting":
            greet(peer)
        if when == "reply":
            peer.expect(b"NOOP")
        elif when in ("body", "end of data"):
            take_envelope(peer)
            peer.send(b"354 go on")
        assert peer.is_reset() == (when == "body")
        assert peer.buffer == {"body": TEXT, "end of data": TEXT + b".\r\n"}.get(when, b"")

    with upstream.plays(script), impatient.client() if when == "greeting" else hello(impatient) as client:
        if when == "reply":
            client.send(b"NOOP")
        elif when in ("body", "end of data"):
            open_content(client)
            client.raw(TEXT + (b".\r\n" if when == "end of data" else b""))
        octets = client.rest()
        assert is_one_refusal(octets), octets
        assert octets.startswith(b"451 " if when == "end of data" else b"421 ")
    impatient.check()


@pytest.mark.slow
def test_a_client_that_stays_when_it_was_told_to_go(impatient: Driver, upstream: Upstream) -> None:
    descriptors = impatient.descriptors()

    def script(peer: Peer) -> None:
        greet(peer)
        assert peer.rest() == b""

    with upstream.plays(script), hello(impatient) as client:
        assert is_one_refusal(client.rest())
        wait_until(lambda: impatient.descriptors() <= descriptors, "the client is still there")
    impatient.check()
