"""For the tests of the drivers: usual steps of both peers."""

from __future__ import annotations

import re

from drivers import Driver, Peer, Script, Upstream

MB = 1_000_000
ENVELOPE = (b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>")
TEXT = b"Subject: hi\r\n\r\none\r\ntwo\r\n"


# The server's side


def greet(peer: Peer, *keywords: bytes) -> None:
    peer.send(b"220 mx.example ESMTP")
    peer.expect(b"EHLO me.example")
    peer.send(b"250-mx.example", *(b"250-" + keyword for keyword in keywords), b"250 8BITMIME")


def take_envelope(peer: Peer) -> None:
    for command in ENVELOPE:
        peer.expect(command)
        peer.send(b"250 2.1.0 ok")
    peer.expect(b"DATA")


def take_message(peer: Peer) -> bytes:
    take_envelope(peer)
    peer.send(b"354 go on")
    return peer.message()


def take_quit(peer: Peer) -> None:
    peer.expect(b"QUIT")
    peer.send(b"221 2.0.0 bye")
    assert peer.rest() == b""


def deliver(messages: list[bytes]) -> Script:
    def script(peer: Peer) -> None:
        greet(peer)
        messages.append(take_message(peer))
        peer.send(b"250 2.0.0 kept")
        take_quit(peer)

    return script


# The client's side


def hello(driver: Driver, **buffers: int) -> Peer:
    client = driver.client(**buffers)
    client.expect(b"220 mx.example ESMTP")
    client.send(b"EHLO me.example")
    assert client.reply()[-1][:4] == b"250 "
    return client


def open_content(client: Peer) -> None:
    client.send(*ENVELOPE, b"DATA")
    client.expect(b"250 2.1.0 ok", b"250 2.1.0 ok", b"354 go on")


def say_quit(client: Peer) -> None:
    client.send(b"QUIT")
    client.expect(b"221 2.0.0 bye")
    assert client.rest() == b""


def submit(driver: Driver, wire: bytes) -> None:
    with hello(driver) as client:
        for command in ENVELOPE:
            client.send(command)
            client.expect(b"250 2.1.0 ok")
        client.send(b"DATA")
        client.expect(b"354 go on")
        client.raw(wire + b".\r\n")
        client.expect(b"250 2.0.0 kept")
        say_quit(client)


def delivered(driver: Driver, upstream: Upstream, wire: bytes) -> bytes:
    messages: list[bytes] = []
    with upstream.plays(deliver(messages)):
        submit(driver, wire)
    (message,) = messages
    return message


def lines(octets: int) -> bytes:
    """Text in which no two lines are alike, and some begin with a dot."""
    count = octets // 64 + 1
    return (
        b"".join(b"%s%062d\r\n" % (b".." if i % 7 == 0 else b"", i) for i in range(count))[:octets] + b"\r\n"
    )


def is_one_refusal(octets: bytes) -> bool:
    return re.fullmatch(rb"4[0-9]{2} [^\r\n]*\r\n", octets) is not None
