"""`Metrics`: the `Meter` that counts, in a registry of its own.

What happens for every command is counted in plain integers and dictionaries, which are read on request.
Everything else is counted in counters of the library, whose labels are looked up once (`_Children`).
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from sansio_smtp import CLIENT, SERVER, Event, Origin, SendToClient, Side, __version__
from trio_proxy.account.records import MessageRecord, Record, RefusalRecord

from .meter import Ending
from .sockets import Octets
from .table import METRICS, Metric

__all__ = ["Metrics", "Readings"]

T = TypeVar("T", Counter, Gauge, Histogram)
Readings = Callable[[], Iterable[tuple[tuple[str, ...], float]]]
"""Gives the labels and the value of each sample."""

_MOST_UPSTREAMS: Final = 100
_OTHER: Final = "other"
"""The label for servers beyond the limit, because rules may name any number of servers."""
_ENDS_BY_REPLY: Final = b"421"
_QUIT: Final = b"221"


class Metrics:
    """Counts for the whole service. ``is_ready`` tells if new clients are accepted."""

    counts = True

    def __init__(self, is_ready: Callable[[], bool] = lambda: True) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.octets = {CLIENT: Octets(), SERVER: Octets()}
        """The octets that have gone through the sockets of each side."""
        self.begun = 0
        self.ended: Counts[str] = Counts()
        self.replied: Counts[tuple[bytes, Origin]] = Counts()
        self._messages: Counts[tuple[str, str]] = Counts()
        self._sizes = self._children("smtp_proxy_message_bytes", Histogram)
        self._waits = self._children("smtp_proxy_message_seconds", Histogram)
        self._refusals = self._children("smtp_proxy_refusals_total", Counter)
        self._tls = self._children("smtp_proxy_tls_handshakes_total", Counter)
        self._tls_failures = self._children("smtp_proxy_tls_failures_total", Counter)
        self._connects = self._children("smtp_proxy_upstream_connects_total", Counter)
        self._connect_seconds = self._children("smtp_proxy_upstream_connect_seconds", Histogram)
        self._up = self._children("smtp_proxy_upstream_up", Gauge)
        self._rule_seconds = self._children("smtp_proxy_rule_seconds", Histogram)
        self._verdicts = self._children("smtp_proxy_rule_verdicts_total", Counter)
        ProcessCollector(registry=self.registry)
        for name, readings in self._read(is_ready).items():
            self.registry.register(_Read(METRICS[name], readings))

    def watch(self, name: str, readings: Readings) -> None:
        """Reads the counter or gauge of this name with ``readings`` at each request."""
        self.registry.register(_Read(METRICS[name], readings))

    # Called by the driver: see `Meter`

    def session(self) -> _Session:
        return _Session(self)

    def secured(self, side: Side, version: str) -> None:
        self._tls.of(side.value, version).inc()

    def not_secured(self, side: Side) -> None:
        self._tls_failures.of(side.value).inc()

    def connected(self, upstream: str, seconds: float, *, kept: bool = False) -> None:
        name = self._named(upstream)
        self._connects.of(name, "kept" if kept else "connected").inc()
        if not kept:
            self._connect_seconds.of(name).observe(seconds)
            self._up.of(name).set(1)

    def not_connected(self, upstream: str) -> None:
        name = self._named(upstream)
        self._connects.of(name, "failed").inc()
        self._up.of(name).set(0)

    def left_out(self, upstream: str) -> None:
        self._up.forget(upstream)

    def rule_called(self, rule: str, phase: str, seconds: float) -> None:
        self._rule_seconds.of(rule, phase).observe(seconds)

    def rule_decided(self, rule: str, phase: str, verdict: str) -> None:
        self._verdicts.of(rule, phase, verdict).inc()

    # Results of mail

    def tell(self, record: Record) -> None:
        """Counts a record of the account of a session."""
        if isinstance(record, MessageRecord):
            self._messages[record.fate.value, record.by.partition(":")[0]] += 1
            if record.received is not None:
                self._sizes.of().observe(record.received)
            if (taken := record.seconds) is not None:
                self._waits.of("client").observe(taken.client)
                self._waits.of("server").observe(taken.server)
                self._waits.of("rules").observe(taken.rules)
        elif isinstance(record, RefusalRecord):
            self._refusals.of(record.verb, record.by.partition(":")[0]).inc()

    # Called by sessions

    def session_begins(self) -> None:
        self.begun += 1

    def session_ended(self, how: str) -> None:
        self.ended[how] += 1

    def replied_with(self, code: bytes, origin: Origin) -> None:
        self.replied[code, origin] += 1

    def _named(self, upstream: str) -> str:
        return upstream if self._up.has(upstream) or len(self._up) < _MOST_UPSTREAMS else _OTHER

    def _children(self, name: str, made: type[T]) -> _Children[T]:
        metric = METRICS[name]
        more: dict[str, Any] = {"buckets": metric.buckets} if metric.buckets else {}
        return _Children(made(metric.family, metric.about, metric.labels, registry=self.registry, **more))

    def _read(self, is_ready: Callable[[], bool]) -> dict[str, Readings]:
        return {
            "smtp_proxy_info": lambda: [((__version__,), 1)],
            "smtp_proxy_ready": lambda: [((), is_ready())],
            "smtp_proxy_sessions_open": lambda: [((), self.begun - self.ended.total())],
            "smtp_proxy_sessions_total": lambda: [((), self.begun)],
            "smtp_proxy_sessions_ended_total": lambda: [((how,), n) for how, n in self.ended.items()],
            "smtp_proxy_messages_total": self._messages.items,
            "smtp_proxy_replies_total": self._replies,
            "smtp_proxy_network_bytes_total": self._network,
        }

    def _replies(self) -> Iterator[tuple[tuple[str, ...], float]]:
        for (code, origin), number in self.replied.items():
            text = code.decode("ascii")
            yield (f"{text[0]}xx", text, origin.value), number

    def _network(self) -> Iterator[tuple[tuple[str, ...], float]]:
        for side, octets in self.octets.items():
            yield (side.value, "received"), octets.received
            yield (side.value, "sent"), octets.sent


class _Session:
    """The `SessionMeter` that counts."""

    __slots__ = ("_code", "_how", "_is_open", "_metrics", "_origin")

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._is_open = False
        self._how = ""
        self._code = b""  # of the last reply
        self._origin = Origin.SERVER

    def begins(self) -> None:
        self._is_open = True
        self._metrics.session_begins()

    def replies(self, events: Sequence[Event]) -> None:
        for event in events:
            if type(event) is SendToClient:
                self._code, self._origin = event.data[:3], event.origin
                self._metrics.replied_with(self._code, self._origin)

    def passed(self, octets: bytes) -> None:
        for line in octets.splitlines() if octets.count(b"\n") > 1 else (octets,):
            if line[3:4] != b"-":
                self._code, self._origin = line[:3], Origin.SERVER
                self._metrics.replied_with(self._code, Origin.SERVER)

    def ends_by(self, ending: Ending) -> None:
        self._how = self._how or ending.value

    def ended(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        if self._how:
            how = self._how
        elif self._code == _QUIT:
            how = "quit"
        elif self._code == _ENDS_BY_REPLY:
            how = self._origin.value
        else:
            how = "client"
        self._metrics.session_ended(how)


class _Children(Generic[T]):
    """The counters of one metric; each is made once."""

    def __init__(self, parent: T) -> None:
        self._parent: T = parent
        self._known: dict[tuple[str, ...], T] = {}

    def __len__(self) -> int:
        return len(self._known)

    def has(self, *values: str) -> bool:
        return values in self._known

    def of(self, *values: str) -> T:
        """The counter with these values of the labels."""
        child = self._known.get(values)
        if child is None:
            child = self._known[values] = self._parent.labels(*values) if values else self._parent
        return child

    def forget(self, *values: str) -> None:
        """Removes the counter with these values of the labels. Its next use begins again."""
        if self._known.pop(values, None) is not None:
            self._parent.remove(*values)


class _Read(Collector):
    """A metric that is read at each request."""

    def __init__(self, metric: Metric, readings: Readings) -> None:
        self._metric = metric
        self._readings = readings

    def collect(self) -> Iterable[Family]:
        metric = self._metric
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.family, metric.about, labels=metric.labels)
        for labels, value in self._readings():
            family.add_metric(labels, value)
        yield family
