"""A thousand messages at once, from clients of two kinds."""

import smtplib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from interop_postfix import SENDER
from interop_wire import RawClient, dot_stuffed, message, number_of

COUNT = 1000
CONNECTIONS = 8  # at any time
PER_CONNECTION = 25


def _send_with_smtplib(port: int, recipient: str, numbers: Iterable[int]) -> None:
    with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=60) as client:
        for number in numbers:
            assert client.sendmail(SENDER, recipient, message(number), ["BODY=8BITMIME"]) == {}


def _send_pipelined(port: int, recipient: str, numbers: Iterable[int]) -> None:
    """As fast as RFC 2920 permits: the next transaction follows right after the final dot of the last."""
    envelope = b"MAIL FROM:<%b> BODY=8BITMIME\r\nRCPT TO:<%b>\r\nDATA\r\n" % (
        SENDER.encode(),
        recipient.encode(),
    )
    with RawClient(port, 60) as client:
        client.send(envelope)
        assert client.replies(3) == [250, 250, 354]
        *others, last = numbers
        for number in others:
            client.send(dot_stuffed(message(number)) + b".\r\n" + envelope)
            assert client.replies(4) == [250, 250, 250, 354]
        client.send(dot_stuffed(message(last)) + b".\r\nQUIT\r\n")
        assert [reply.code for reply in client.replies_until_closed()] == [250, 221]


def send_all(port: int, recipient: str) -> None:
    senders: tuple[Callable[[int, str, Iterable[int]], None], ...] = (_send_with_smtplib, _send_pipelined)
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        sent = [
            threads.submit(senders[index % 2], port, recipient, range(first, first + PER_CONNECTION))
            for index, first in enumerate(range(0, COUNT, PER_CONNECTION))
        ]
        for future in sent:
            future.result(120)


def assert_all_arrived(contents: list[bytes], kept: Callable[[bytes], bytes]) -> None:
    """Each message exactly once, and octet for octet; `kept` tells how the peer keeps its line ends."""
    assert len(contents) == COUNT
    arrived = {number_of(content): content for content in contents}
    assert sorted(arrived) == list(range(COUNT))
    changed = [number for number, content in arrived.items() if content != kept(message(number))]
    assert changed == []
