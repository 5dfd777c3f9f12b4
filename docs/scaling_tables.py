"""The arithmetic of scaling.md, from the figures of performance.md; see make_diagrams.py."""

# ruff: noqa: RUF001  (the multiplication sign is meant)
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from math import ceil
from pathlib import Path

import attrs
from rule_tables import table

PAGE = Path(__file__).parent / "explanation" / "performance.md"

# What is assumed. Change these for another load, and run make_diagrams.py.
MESSAGES = 100_000_000
PEAK = 3
SIZE = 50_000
RECIPIENTS = 1.2
SESSION = 5
BUSY = 0.6
CORES = 8
CLIENTS = 1_000_000

# What performance.md does not have: see `besides_table`.
LIMIT_CPU = 865
REDIS_CPU = 24
REDIS_KEY = 219
LOG_LINE = 470

KIB, MIB, GIB = 2**10, 2**20, 2**30
SMALL, LARGE = "small, µs", "10 MiB, ms"


@attrs.frozen
class Figure:
    """A cell of a table of performance.md."""

    region: str
    row: str
    column: str

    @property
    def value(self) -> float:
        """The median, without the least and the greatest."""
        return float(self._cell.split(" ")[0].replace(",", ""))

    @property
    def source(self) -> str:
        return f"{_REGIONS[self.region]}: {self.row}, *{self.column}*"

    @property
    def _cell(self) -> str:
        for header, rows in _tables(self.region):
            for name, *cells in rows:
                if name == self.row and self.column in header:
                    return cells[header.index(self.column) - 1]
        raise KeyError(f"{PAGE.name} has no {self.source}")


_REGIONS = {
    "proxies": "[CPU](performance.md#cpu)",
    "rules": "[Rules](performance.md#rules)",
    "tls": "[TLS](performance.md#tls)",
    "memory": "[Memory](performance.md#memory)",
    "growth": "[Growth](performance.md#growth)",
}

FIGURES = {
    "plain": Figure("proxies", "sansio-smtp", SMALL),
    "plain, 10 MiB": Figure("proxies", "sansio-smtp", LARGE),
    "content": Figure("growth", "32 KiB", "sansio-smtp: ms for one MB"),
    "TLS": Figure("tls", "sansio-smtp", SMALL),
    "TLS, 10 MiB": Figure("tls", "sansio-smtp", LARGE),
    "without a rule": Figure("rules", "sansio-smtp", SMALL),
    "with a rule": Figure("rules", "sansio-smtp, rcpt rule", SMALL),
    "HAProxy": Figure("proxies", "HAProxy", SMALL),
    "HAProxy, content": Figure("growth", "32 KiB", "HAProxy: ms for one MB"),
    "a session": Figure("memory", "sansio-smtp", "idle, 5,000 sessions, KiB"),
    "a session, TLS": Figure("tls", "sansio-smtp", "idle, 200 sessions, KiB"),
    "a process": Figure("memory", "sansio-smtp", "at rest, MiB"),
    "a process, TLS": Figure("tls", "sansio-smtp", "at rest, MiB"),
}


def figures_table() -> str:
    """What the arithmetic begins with."""
    rows = [(name, f"{figure.value:,g}", figure.source) for name, figure in FIGURES.items()]
    return table(("figure", "value", "from"), rows)


def besides_table() -> str:
    """What it needs besides, and how that was measured."""
    rows = [
        (
            f"{REDIS_CPU} µs",
            "CPU time of Redis 7.0 for one call of the script of `ready:shared_rate_limit`",
            "`redis-benchmark -n 200000 -c 16 -r 100000 EVALSHA …`, then `INFO cpu`",
        ),
        (f"{REDIS_KEY} octets", "memory of Redis for one bucket", "the same, then `INFO memory`"),
        (
            f"{LIMIT_CPU} µs",
            "CPU time that this rule adds to a message in the proxy, including the cost of any rule",
            "`smtp-source -d -s 10 -m 3000 -l 4096`, with the rule and without it, by /proc/PID/schedstat",
        ),
        (f"{LOG_LINE} octets", "a line of the log for a message, as JSON", "one line"),
    ]
    return table(("value", "meaning", "measured by"), rows)


def everywhere_table() -> str:
    """What does not depend on TLS and rules."""
    average = MESSAGES / 86_400
    network = _peak() * SIZE * 8 / 1e9
    haproxy = _of("HAProxy") / 1e6 + _more_content(_of("HAProxy, content"))
    calls = _peak() * (1 + RECIPIENTS)
    rows = [
        ("messages a second, average", f"{MESSAGES:,} ÷ 86,400 s", f"{average:,.0f}"),
        ("messages a second, peak", f"× {PEAK}", f"{_peak():,.0f}"),
        ("sessions at the same time", f"peak × {SESSION} s", f"{_sessions():,.0f}"),
        ("descriptors of the proxies", "sessions × 2", f"{_sessions() * 2:,.0f}"),
        ("network, in and out", f"peak × {SIZE:,} octets", f"{network:.2f} Gbit/s each"),
        (
            "HAProxy, cores at the peak",
            f"peak × (*HAProxy* + {_beyond():.3f} MB × *HAProxy, content*) = peak × {haproxy * 1e3:.2f} ms",
            f"{_peak() * haproxy:.1f}",
        ),
        ("Redis, calls a second", f"peak × (1 + {RECIPIENTS} recipients)", f"{calls:,.0f}"),
        ("Redis, cores at the peak", f"calls × {REDIS_CPU:g} µs", f"{calls * REDIS_CPU / 1e6:.2f}"),
        (
            "Redis, memory",
            f"{CLIENTS:,} clients × 2 buckets × {REDIS_KEY} octets",
            f"{CLIENTS * 2 * REDIS_KEY / MIB:,.0f} MiB",
        ),
        ("log in a day", f"{MESSAGES:,} × {LOG_LINE} octets", f"{MESSAGES * LOG_LINE / 1e9:.0f} GB"),
    ]
    return table(("quantity", "calculation", "value"), rows)


def machines_table() -> str:
    """What depends on TLS and rules."""
    ratio = _of("TLS, 10 MiB") / _of("plain, 10 MiB")
    content = _more_content(_of("content"))
    plain = _of("plain") / 1e6 + content
    tls = _of("TLS") / 1e6 + content * ratio
    rule = (_of("with a rule") - _of("without a rule")) / 1e6
    limit = LIMIT_CPU / 1e6
    rows: list[tuple[str, ...]] = []
    for name, seconds, kind in (
        ("plain text, no rules", plain, ""),
        ("plain text, a rule", plain + rule, ""),
        ("plain text, the shared limit", plain + limit, ""),
        ("TLS on both legs, no rules", tls, ", TLS"),
        ("TLS on both legs, the shared limit", tls + limit, ", TLS"),
    ):
        busy = _peak() * seconds
        machines = ceil(busy / BUSY / CORES) + 1
        memory = _sessions() * _of(f"a session{kind}") * KIB
        memory += machines * CORES * _of(f"a process{kind}") * MIB
        rows.append(
            (
                name,
                f"{seconds * 1e3:.2f} ms",
                f"{busy:.1f}",
                f"{machines}",
                f"{memory / machines / GIB:.2f} GiB",
            )
        )
    return table(("", "CPU for a message", "busy cores at the peak", "machines", "memory of each"), rows)


def _of(name: str) -> float:
    return FIGURES[name].value


def _peak() -> float:
    return MESSAGES / 86_400 * PEAK


def _sessions() -> float:
    return _peak() * SESSION


def _beyond() -> float:
    """What a message has beyond those of *small*, in MB."""
    return (SIZE - 4096) / 1e6


def _more_content(ms_for_one_mb: float) -> float:
    return _beyond() * ms_for_one_mb / 1e3


@cache
def _tables(region: str) -> list[tuple[list[str], list[list[str]]]]:
    """Header and rows of each table of a region."""
    text = PAGE.read_text(encoding="utf-8")
    inside = text.partition(f"<!-- figures: {region} -->")[2].partition("<!-- end of figures -->")[0]
    return [_cut(found[0]) for found in re.finditer(r"(?:^\|.*\n)+", inside, re.MULTILINE)]


def _cut(text: str) -> tuple[list[str], list[list[str]]]:
    lines: Iterator[list[str]] = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()
    )
    header, _, *rows = lines
    return header, rows


REGIONS: dict[str, Callable[[], str]] = {
    "scaling-figures": figures_table,
    "scaling-besides": besides_table,
    "scaling-everywhere": everywhere_table,
    "scaling-machines": machines_table,
}
