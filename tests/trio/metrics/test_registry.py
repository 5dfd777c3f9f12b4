"""What is counted is shown under the names that are declared, and nothing else is."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from prometheus_client.registry import Collector

from sansio_smtp import CLIENT, SERVER, Close, Origin, SendToClient
from trio_proxy.account.records import (
    Fate,
    MessageRecord,
    Recipient,
    RefusalRecord,
    Seconds,
    SessionRecord,
)
from trio_proxy.driver.streams import SocketStream
from trio_proxy.limits.hits import Hits
from trio_proxy.limits.table import CONNECTIONS, LIMITS
from trio_proxy.metrics.joining import Joined, Published, snapshot
from trio_proxy.metrics.meter import NO_METER, Ending
from trio_proxy.metrics.registry import Metrics
from trio_proxy.metrics.table import METRICS, sample_names

LABELS = [limit.label for limit in LIMITS]


def values(registry: Collector, name: str) -> dict[str, float]:
    """The values of the labels, with blanks between them → the value."""
    return {
        " ".join(sample.labels.values()): sample.value
        for family in Published(registry).collect()
        for sample in family.samples
        if sample.name == name
    }


def busy() -> Metrics:
    """Each metric has a value."""
    metrics = Metrics()
    session = metrics.session()
    session.begins()
    session.passed(b"220 mx\r\n")
    session.ended()
    to = Recipient("b@mx.example", Fate.RELAYED, "server", "250 ok")
    taken = Seconds(0.2, 0.0, 1.5)
    metrics.tell(MessageRecord("", (to,), "server", "250 ok", 250, received=2_000, seconds=taken))
    metrics.tell(RefusalRecord("RCPT", "", "c@mx.example", "rule:greylist", "451 later", 451))
    metrics.tell(SessionRecord("me.example", 2.0))
    metrics.secured(CLIENT, "TLSv1.3")
    metrics.not_secured(SERVER)
    metrics.connected("mx.example:25", 0.002)
    metrics.connected("other.example:25", 0.0, kept=True)
    metrics.not_connected("other.example:25")
    metrics.rule_called("greylist", "rcpt", 0.3)
    metrics.rule_decided("greylist", "rcpt", "defer")
    hits = Hits(lambda: 0.0)
    hits.hit(CONNECTIONS)
    metrics.watch("smtp_proxy_limit_hits_total", hits.readings)
    metrics.watch("smtp_proxy_reloads_total", lambda: [(("done",), 1), (("refused",), 0)])
    metrics.watch("smtp_proxy_held_bytes", lambda: [((), 4_096)])
    metrics.watch("smtp_proxy_certificate_expires_seconds", lambda: [(("mx.example",), 1.9e9)])
    return metrics


def test_each_declared_metric_is_shown() -> None:
    shown = {s.name for family in Published(busy().registry).collect() for s in family.samples}
    own = {name for name in shown if name.startswith("smtp_proxy_")}
    assert own == sample_names()
    assert "process_resident_memory_bytes" in shown


def test_labels_are_the_declared_ones() -> None:
    for family in busy().registry.collect():
        for sample in family.samples:
            if (metric := METRICS.get(sample.name)) is not None:
                assert tuple(sample.labels) == metric.labels
                assert family.documentation == metric.about


def test_replies_by_code_and_origin() -> None:
    metrics = Metrics()
    session = metrics.session()
    session.passed(b"250 ok\r\n")
    session.passed(b"250 ok\r\n550-no\r\n550 never\r\n354 go\r\n")
    no, ruled = b"550-no\r\n550 never\r\n", Origin.RULE
    session.replies([SendToClient(no, no, ruled), Close(CLIENT), SendToClient(no, no, ruled)])
    assert values(metrics.registry, "smtp_proxy_replies_total") == {
        "2xx 250 server": 2,
        "5xx 550 server": 1,
        "3xx 354 server": 1,
        "5xx 550 rule": 2,
    }


@pytest.mark.parametrize(
    ("last", "said", "how"),
    [
        (SendToClient(b"221 bye\r\n"), [], "quit"),
        (SendToClient(b"421 no\r\n", None, Origin.RULE), [], "rule"),
        (SendToClient(b"421 no\r\n", None, Origin.PROXY), [], "proxy"),
        (SendToClient(b"421 no\r\n", None, Origin.SERVER), [], "server"),
        (SendToClient(b"250 ok\r\n"), [], "client"),
        (SendToClient(b"421 no\r\n"), [Ending.TIMEOUT, Ending.ERROR], "timeout"),
        (SendToClient(b"421 no\r\n"), [Ending.SHUTDOWN], "shutdown"),
    ],
)
def test_how_a_session_has_ended(last: SendToClient, said: list[Ending], how: str) -> None:
    metrics = Metrics()
    session = metrics.session()
    session.begins()
    session.replies([last])
    assert values(metrics.registry, "smtp_proxy_sessions_open") == {"": 1}
    for ending in said:
        session.ends_by(ending)
    session.ended()
    session.ended()
    assert values(metrics.registry, "smtp_proxy_sessions_ended_total") == {how: 1}
    assert values(metrics.registry, "smtp_proxy_sessions_open") == {"": 0}


def test_a_session_that_has_not_begun_does_not_end() -> None:
    metrics = Metrics()
    metrics.session().ended()
    assert values(metrics.registry, "smtp_proxy_sessions_ended_total") == {}


def test_names_of_servers_are_bounded() -> None:
    """Rules may name any number of servers."""
    metrics = Metrics()
    metrics.connected("usual", 0.1)
    for number in range(300):
        metrics.not_connected(f"host{number}.example:25")
    metrics.not_connected("usual")
    up = values(metrics.registry, "smtp_proxy_upstream_up")
    assert len(up) == 101
    assert up["usual"] == up["other"] == 0
    failed = values(metrics.registry, "smtp_proxy_upstream_connects_total")
    assert failed["other failed"] == 201


def test_a_server_that_is_left_out_is_neither_up_nor_down() -> None:
    """An alert on a server that is not used would never end. What was counted stays."""
    metrics = Metrics()
    metrics.not_connected("a.example:25")
    metrics.connected("b.example:25", 0.1)
    metrics.left_out("a.example:25")
    metrics.left_out("never.example:25")
    assert values(metrics.registry, "smtp_proxy_upstream_up") == {"b.example:25": 1}
    assert values(metrics.registry, "smtp_proxy_upstream_connects_total")["a.example:25 failed"] == 1
    metrics.connected("a.example:25", 0.1)
    assert values(metrics.registry, "smtp_proxy_upstream_up")["a.example:25"] == 1


def test_what_became_of_messages() -> None:
    metrics = busy()
    shown = metrics.registry
    held = Recipient("b@mx.example", Fate.HELD, "rule:keep", "250 ok")
    for _ in range(2):  # refused at DATA: nothing is known of its size or its time
        metrics.tell(MessageRecord("", (held,), "rule:keep", "250 ok", 250))
    assert values(shown, "smtp_proxy_messages_total") == {"relayed server": 1, "held rule": 2}
    assert values(shown, "smtp_proxy_refusals_total") == {"RCPT rule": 1}
    assert values(shown, "smtp_proxy_message_bytes_sum") == {"": 2_000}
    assert values(shown, "smtp_proxy_message_seconds_sum") == {"client": 0.2, "server": 1.5, "rules": 0.0}


def test_octets_of_a_socket() -> None:
    metrics = Metrics()
    one, other = socket.socketpair()
    with other:
        stream = metrics.octets[CLIENT].counted(SocketStream)(one)
        with pytest.raises(BlockingIOError):
            stream.sock.recv(100)
        other.sendall(b"EHLO x\r\n")
        assert stream.sock.recv(100, socket.MSG_PEEK) == b"EHLO x\r\n"
        assert stream.sock.recv(100) == b"EHLO x\r\n"
        assert stream.send_now(b"250 ok, go on\r\n") == 15
        assert one.fileno() < 0
        stream.sock.close()
    assert values(metrics.registry, "smtp_proxy_network_bytes_total") == {
        "client received": 8,
        "client sent": 15,
        "server received": 0,
        "server sent": 0,
    }


def test_workers_are_joined() -> None:
    """Counters are added, also those of a worker that has left; gauges as their declarations say."""
    joined, first, second = Joined(), busy(), busy()
    second.connected("other.example:25", 0.1)
    second.session().begins()
    joined.take(1, snapshot(first.registry))
    joined.take(2, snapshot(first.registry))
    joined.take(2, snapshot(second.registry))

    def now(name: str) -> Any:
        return values(joined, name)

    assert now("smtp_proxy_limit_hits_total") == dict.fromkeys(LABELS, 0) | {"connections": 2}
    assert now("smtp_proxy_rule_seconds_count") == {"greylist rcpt": 2}
    assert now("smtp_proxy_sessions_open") == {"": 1}
    assert now("smtp_proxy_upstream_up") == {"mx.example:25": 1, "other.example:25": 0}
    joined.left(2)
    assert now("smtp_proxy_limit_hits_total") == dict.fromkeys(LABELS, 0) | {"connections": 2}
    assert now("smtp_proxy_sessions_open") == {"": 0}
    joined.left(1)
    assert now("smtp_proxy_limit_hits_total") == dict.fromkeys(LABELS, 0) | {"connections": 2}
    assert now("smtp_proxy_upstream_up") == {}


def test_nothing_is_counted_by_default() -> None:
    session = NO_METER.session()
    session.begins()
    session.passed(b"220 mx\r\n")
    session.ended()
    assert not NO_METER.counts
    assert NO_METER.session() is session
