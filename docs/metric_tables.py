"""What the documentation takes from the declared metrics; see make_diagrams.py."""

from __future__ import annotations

from collections.abc import Callable

from rule_tables import table

from trio_proxy.metrics.table import METRICS


def metrics_table() -> str:
    """Every metric of our own."""
    rows = [
        (
            f"`{metric.name}`",
            metric.kind,
            ", ".join(f"`{label}`" for label in metric.labels) or "none",
            metric.about,
        )
        for metric in METRICS.values()
    ]
    return table(("name", "type", "labels", "meaning"), rows)


REGIONS: dict[str, Callable[[], str]] = {"metrics": metrics_table}
