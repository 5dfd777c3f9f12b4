"""The dashboard and the alerts ask for metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trio_proxy.metrics.table import METRICS, sample_names

DEPLOY = Path(__file__).parents[3] / "deploy"
NOT_OURS = {
    "process_cpu_seconds_total", "process_max_fds", "process_open_fds", "process_resident_memory_bytes", "up",
}  # fmt: skip
NAME = re.compile(r"\b(?:smtp_proxy_\w+|process_\w+|up(?=\{))")


def queries() -> Iterator[str]:
    """Each query of the dashboard and of the alerts."""
    dashboard: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (variable["query"]["query"] for variable in dashboard["templating"]["list"][1:])
    alerts = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    yield from re.findall(r"expr: (?:\|\n)?((?:.+\n)+?)(?= +(?:for|labels):)", alerts)


def test_every_metric_that_is_asked_for_exists() -> None:
    asked = {name for query in queries() for name in NAME.findall(query)}
    assert asked - NOT_OURS <= sample_names()
    assert asked >= NOT_OURS


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    text = "\n".join(queries())
    assert [metric.name for metric in METRICS.values() if metric.name not in text] == []


def test_every_label_that_is_asked_for_exists() -> None:
    labels = {label for metric in METRICS.values() for label in metric.labels} | {"job", "instance", "le"}
    for query in queries():
        for grouped in re.findall(r"by \(([^)]*)\)", query):
            assert set(grouped.split(", ")) <= labels, query
        for inside in re.findall(r"\{([^}]*)\}", query):
            assert set(re.findall(r"(\w+)(?:=~|=|!=)", inside)) <= labels, query


def test_panels_do_not_lie_over_each_other() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
