"""The figures as text: a section for each part of a run, and the plots."""

from __future__ import annotations

from collections.abc import Callable

from . import charts, latency, memory, ranges
from .figures import Figures, Table, grid, short, spread
from .peers import BEFORE, HAPROXY, MAIN, RULES
from .workers import MEMORY, ON_ALL, ON_ONE, TWO, TWO_HAPROXY, WORKERS
from .workloads import WORKLOADS

__all__ = ["PLOTS", "SECTIONS"]

WITH_C = f"{MAIN}, with C"
BASE = HAPROXY.name
UNITS = {workload.name: workload.unit for workload in WORKLOADS}
MB_IN_10_MIB = 10.48576


def machine(figures: Figures) -> str:
    return grid(["", ""], figures.facts.items()) if figures.facts else ""


def targets(figures: Figures) -> str:
    """The targets, and the results."""
    rows: list[list[str]] = []

    def row(what: str, table: str, one: str, base: str, column: str, target: str) -> None:
        found = figures.tables[table].ratios(one, base, column) if table in figures.tables else []
        if found:
            rows.append([what, target, spread(found, 2)])

    for name, target in (
        ("keep-alive", "1.6"),
        ("50 recipients", "1.6"),
        ("pipelined", "1.9"),
        ("small", "2.2"),
    ):
        row(f"CPU, {name}, ÷ HAProxy", "proxies", MAIN, BASE, name, f"≤ {target}")
    row("CPU, 10 MiB, ÷ HAProxy", "proxies", MAIN, BASE, "10 MiB", "≤ 1.8")
    row("CPU, 10 MiB, with C, ÷ HAProxy", "proxies", WITH_C, BASE, "10 MiB", "≤ 1.3")
    for name in UNITS:
        row(
            f"CPU, {name}, Postfix's proxy filter ÷ ours",
            "proxies",
            "Postfix proxy filter",
            MAIN,
            name,
            "> 1",
        )
    for peer, least in (("aiosmtpd", 8), ("Haraka", 13)):
        row(f"CPU, keep-alive, {peer} ÷ ours", "proxies", peer, MAIN, "keep-alive", f"≥ {least}")
    row("p50 of one session, ÷ HAProxy", "latency", MAIN, BASE, latency.P50, "≤ 1.5")
    row("the same by neighbouring bursts", "latency", MAIN, BASE, latency.PAIRED, "≤ 1.5")
    kept = figures.tables.get("memory", Table(""))
    for column, target in (
        (memory.AT_REST, "≤ 32"),
        (memory.per_session(5000), "≤ 8"),
        (memory.BUSY, "≤ 300"),
    ):
        if (value := kept.median(MAIN, column)) is not None:
            rows.append([f"memory, {column}", target, short(value)])
    of_rules = f"rules of {MAIN}"
    row("`rcpt` rule, keep-alive, ÷ without", of_rules, f"{MAIN}, rcpt rule", MAIN, "keep-alive", "≤ 1.15")
    row(
        "`headers` rule, keep-alive, ÷ without",
        of_rules,
        f"{MAIN}, headers rule",
        MAIN,
        "keep-alive",
        "≤ 1.25",
    )
    if (extra := body_line_extra(figures, MAIN)) is not None:
        rows.append(["`body_line` rule, ms more for one MB", "≤ 4", short(extra)])
    row("TLS on both legs, keep-alive, ÷ HAProxy", "TLS", MAIN, BASE, "keep-alive", "≤ 1.5")
    row("TLS on both legs, 10 MiB, ÷ HAProxy", "TLS", MAIN, BASE, "10 MiB", "≤ 1.3")
    row("TLS on both legs, 10 MiB, with C, ÷ HAProxy", "TLS", WITH_C, BASE, "10 MiB", "≤ 1.3")
    for range_ in ranges.RANGES:
        costs = growth_costs(figures, range_, MAIN)
        if costs:
            ratios = [cost / costs[min(range_.middle, len(costs) - 1)] for cost in costs]
            what = f"growth with {range_.name}: CPU for one {range_.per} ÷ that in the middle"
            rows.append([what, "0.9 to 1.1", f"{min(ratios):.2f} to {max(ratios):.2f}"])
    calls = figures.tables.get("system calls", Table(""))
    if (value := calls.median(MAIN, "keep-alive")) is not None:
        rows.append(["system calls for a message, keep-alive", "≤ 18", short(value)])
    of_python = figures.tables.get("Python calls", Table(""))
    if (value := of_python.median(MAIN, "keep-alive")) is not None:
        rows.append(["Python calls for a message in the core, keep-alive", "≤ 130", short(value)])
    return grid(["", "target", "measured"], rows) if rows else ""


def body_line_extra(figures: Figures, name: str) -> float | None:
    """Milliseconds that a `body_line` rule adds to one MB."""
    table = figures.tables.get(f"rules of {name}", Table(""))
    ruled, plain = (table.median(row, "10 MiB") for row in (f"{name}, body_line rule", name))
    return None if ruled is None or plain is None else (ruled - plain) * 1e3 / MB_IN_10_MIB


def compared(table: str, text: str = "Ratios to HAProxy:") -> Callable[[Figures], str]:
    def section(figures: Figures) -> str:
        found = figures.tables.get(table)
        if found is None:
            return ""
        parts = ["CPU time for one message:", found.markdown("", UNITS)]
        if BASE in found.rows:
            parts = [text, found.ratios_markdown("÷ HAProxy", BASE), *parts]
        if BEFORE in found.rows:
            parts += ["What is left of the time before:", found.ratios_markdown("÷ before", BEFORE, [MAIN])]
        return "\n\n".join(parts)

    return section


def rules(figures: Figures) -> str:
    found = []
    for name, table in figures.tables.items():
        if not name.startswith("rules of "):
            continue
        peer = name.removeprefix("rules of ")
        rows = [f"{peer}, {rule} rule" for rule in RULES]
        found += [f"Ratios to {peer} without rules:", table.ratios_markdown("÷ without", peer, rows)]
        if (extra := body_line_extra(figures, peer)) is not None:
            found.append(f"The `body_line` rule adds {short(extra)} ms to one MB.")
        found += ["CPU time for one message:", table.markdown("", UNITS)]
    return "\n\n".join(found)


def tls(figures: Figures) -> str:
    kept = figures.tables.get("memory under TLS")
    found = compared("TLS", "TLS on both legs; ratios to HAProxy doing the same:")(figures)
    return "\n\n".join([found, "Memory:", kept.markdown("")]) if found and kept else found


def keep(figures: Figures) -> str:
    found = []
    for name, table in figures.tables.items():
        if not name.startswith("keep: "):
            continue
        title = name.removeprefix("keep: ")
        rows = [row for row in table.rows if row != MAIN]
        found += [f"{title[0].upper() + title[1:]}, ratios to one connection for each client:"]
        found += [table.ratios_markdown("÷ without", MAIN, rows)]
        found += ["CPU time for one message:", table.markdown("", UNITS)]
    return "\n\n".join(found)


def workers(figures: Figures) -> str:
    found: list[str] = []
    for name, title in (
        (ON_ONE, "CPU time for one message, all processes of the proxy on one core:"),
        (ON_ALL, "Wherever the system runs them:"),
        (MEMORY, "Memory, of all processes:"),
    ):
        table = figures.tables.get(name)
        if table is not None and table.rows:
            found += [title, table.markdown("")]
            if name != MEMORY:
                of_ours = [row for row in table.rows if row.startswith(MAIN)]
                found += [
                    table.ratios_markdown("÷ one process", MAIN, of_ours),
                    table.ratios_markdown("÷ two processes", TWO, [WORKERS]),
                ]
                if TWO_HAPROXY in table.rows:
                    found.append(table.ratios_markdown("÷ one process", BASE, [TWO_HAPROXY]))
    return "\n\n".join(found)


def one_session(figures: Figures) -> str:
    table = figures.tables.get("latency")
    if table is None:
        return ""
    ratios = table.ratios_markdown("÷ HAProxy", BASE)
    return "\n\n".join([table.markdown("one session"), "The percentiles as ratios:", ratios])


def of_memory(figures: Figures) -> str:
    table = figures.tables.get("memory")
    found = [table.markdown("PSS")] if table else []
    if soak := figures.tables.get("soak"):
        found.append(soak.markdown("messages"))
    return "\n\n".join(found)


def growth_costs(figures: Figures, range_: ranges.Range, peer: str) -> list[float]:
    table = figures.tables.get(f"growth: {range_.name}")
    if table is None:
        return []
    values = [table.median(step.said, peer) for step in range_.steps]
    costs = [value for value in values if value is not None]
    return ranges.without_fixed(range_, costs) if len(costs) > 1 else []


def growth(figures: Figures) -> str:
    found = []
    for range_ in ranges.RANGES:
        table = figures.tables.get(f"growth: {range_.name}")
        if table is None:
            continue
        unit, factor = range_.unit
        titles = [range_.name]
        columns: list[list[str]] = []
        for peer in sorted(table.columns, key=lambda name: name != MAIN):
            costs = growth_costs(figures, range_, peer)
            middle = costs[min(range_.middle, len(costs) - 1)]
            titles += [f"{peer}: {unit} for one {range_.per}", "÷ middle"]
            columns += [[short(cost * factor) for cost in costs], [f"{cost / middle:.2f}" for cost in costs]]
        if MAIN in table.columns and BASE in table.columns:
            titles.append(f"÷ {BASE}")
            columns.append([spread(table.ratios_between(step.said, MAIN, BASE), 2) for step in range_.steps])
        body = [[step.said, *cells] for step, *cells in zip(range_.steps, *columns, strict=False)]
        found.append(grid(titles, body))
    return "\n\n".join(found)


def where(figures: Figures) -> str:
    found = []
    for name, table in figures.tables.items():
        if not name.startswith("where: "):
            continue
        found += [f"{name.removeprefix('where: ')}, CPU time for one message:", table.markdown("")]
    if of_python := figures.tables.get("Python calls"):
        found += ["Python calls in the core for one message:", of_python.markdown("")]
    if calls := figures.tables.get("system calls"):
        found += ["System calls for one message, as strace counts them:", calls.markdown("")]
    if by_name := figures.tables.get("system calls by name"):
        found += ["Those of keep-alive that are most frequent:", by_name.markdown("")]
    return "\n\n".join(found)


SECTIONS: dict[str, Callable[[Figures], str]] = {
    "machine": machine,
    "targets": targets,
    "proxies": compared("proxies"),
    "rules": rules,
    "tls": tls,
    "keep": keep,
    "workers": workers,
    "latency": one_session,
    "memory": of_memory,
    "growth": growth,
    "where": where,
}
"""Name of a region of the page → its text; empty if it was not measured."""


def plot_proxies(figures: Figures) -> str:
    table = figures.tables.get("proxies")
    if table is None or BASE not in table.rows:
        return ""
    groups = {}
    for column in table.columns:
        ratios = {row: table.ratio(row, BASE, column) for row in table.rows}
        groups[column] = {row: ratio for row, ratio in ratios.items() if ratio is not None}
    return charts.bars("CPU for one message, as a ratio to HAProxy's byte copy", groups, most=15)


def plot_memory(figures: Figures) -> str:
    table = figures.tables.get("memory")
    if table is None:
        return ""
    groups = {}
    for column in (memory.per_session(1000), memory.per_session(5000), memory.IN_MESSAGE, memory.BUSY):
        values = {row: table.median(row, column) for row in table.rows}
        if found := {row: value for row, value in values.items() if value is not None}:
            groups[column.removesuffix(", KiB")] = found
    return charts.bars("KiB for one session", groups, most=60) if groups else ""


def plot_growth(range_: ranges.Range) -> Callable[[Figures], str]:
    def plot(figures: Figures) -> str:
        series = {}
        for peer in (MAIN, BASE):
            if costs := growth_costs(figures, range_, peer):
                series[peer] = [cost * range_.unit[1] for cost in costs]
        if not series:
            return ""
        steps = [step.said for step in range_.steps][: max(map(len, series.values()))]
        return charts.lines(f"CPU for one {range_.per}, {range_.unit[0]}, by {range_.name}", steps, series)

    return plot


PLOTS: dict[str, Callable[[Figures], str]] = {
    "proxies": plot_proxies,
    "memory": plot_memory,
    **{f"growth-{range_.name}": plot_growth(range_) for range_ in ranges.RANGES},
}
"""Name of a file → its plot; empty if it was not measured."""
