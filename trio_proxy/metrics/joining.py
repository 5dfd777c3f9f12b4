"""`Joined`: the metrics of several workers as one view.

Each worker counts in its own registry. Nothing is shared, so there are no locks, and a worker that dies
damages nothing. The reader asks each worker for a snapshot and adds them up::

    worker 1 ── snapshot ──┐
    worker 2 ── snapshot ──┼──> Joined.take ──> families ──> the text for Prometheus
    worker 3 ── left ──────┘

A snapshot is JSON, so that it can go through a pipe or a socket. The counters of a worker that has left are
kept: a counter that went back would look like a restart. The declaration of a gauge says how its values are
joined (`Metric.join`). The multiprocess mode of the library is not used: it keeps files in a directory that
an environment variable must name before the import, and it supports neither metrics that are computed on
request nor those of processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final

import attrs
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from .table import METRICS

__all__ = ["Joined", "Published", "snapshot"]

_CREATED: Final = "_created"
"""The time at which a counter was made: not useful here, and it would double the samples."""
_JOINS: Final[dict[str, Callable[[Iterable[float]], float]]] = {
    "process_start_time_seconds": min,
    **{metric.name: metric.join for metric in METRICS.values() if metric.kind == "gauge"},
}
"""Name of a gauge → the function that joins its values; values of other gauges are added."""


@attrs.frozen(eq=False)
class Published(Collector):
    """The families of a registry, as they are shown."""

    registry: Collector

    def collect(self) -> Iterable[Family]:
        for family in self.registry.collect():
            shown = Family(family.name, family.documentation, family.type)
            for sample in family.samples:
                if not sample.name.endswith(_CREATED):
                    shown.add_sample(*sample)
            yield shown


def snapshot(registry: Collector) -> bytes:
    """All values of a registry, in one line."""
    families = [
        [
            family.name,
            family.documentation,
            family.type,
            [[sample.name, sample.labels, sample.value] for sample in family.samples],
        ]
        for family in Published(registry).collect()
    ]
    return json.dumps(families, separators=(",", ":")).encode()


@attrs.frozen
class _Key:
    name: str
    labels: tuple[tuple[str, str], ...]


@attrs.define(eq=False)
class Joined(Collector):
    """The values of several workers, by worker."""

    _latest: dict[Hashable, dict[_Key, float]] = attrs.field(factory=dict[Hashable, Any], init=False)
    _gone: dict[_Key, float] = attrs.field(factory=dict[_Key, float], init=False)
    """The counts of workers that have ended."""
    _families: dict[str, tuple[str, str]] = attrs.field(factory=dict[str, tuple[str, str]], init=False)
    """Name of a family → what it means, and its type."""
    _family_of: dict[str, str] = attrs.field(factory=dict[str, str], init=False)
    """Name of a sample → name of its family."""

    def take(self, worker: Hashable, data: bytes) -> None:
        """Takes the snapshot of a worker, which replaces its last one. Raises ValueError if it is not a
        snapshot."""
        values: dict[_Key, float] = {}
        for name, about, kind, samples in json.loads(data):
            self._families[name] = about, kind
            for sample, labels, value in samples:
                self._family_of[sample] = name
                values[_Key(sample, tuple(labels.items()))] = value
        self._latest[worker] = values

    def left(self, worker: Hashable) -> None:
        """A worker has ended. Its counters stay; its gauges are dropped."""
        for key, value in self._latest.pop(worker, {}).items():
            if self._families[self._family_of[key.name]][1] != "gauge":
                self._gone[key] = self._gone.get(key, 0) + value

    def collect(self) -> Iterable[Family]:
        found: dict[_Key, list[float]] = {}
        for values in (self._gone, *self._latest.values()):
            for key, value in values.items():
                found.setdefault(key, []).append(value)
        families = {name: Family(name, about, kind) for name, (about, kind) in self._families.items()}
        for key, each in found.items():
            join = _JOINS.get(key.name, sum)
            families[self._family_of[key.name]].add_sample(key.name, dict(key.labels), join(each))
        return families.values()
