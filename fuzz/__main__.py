"""Searches for octets that break a promise: all targets, one after the other, for a given time. Useful inputs
stay in DIR/corpus; the next search begins with them and with the dialogue scripts. Findings are written to
DIR/findings, and make the exit status 1.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Final

import attrs

from .target import Target
from .targets import NAMES, target

__all__ = ["main"]

_ROOT: Final = Path(__file__).resolve().parents[1]
_SEEDS_IN_A_SECOND: Final = 6
"""The number of seeds for each second of search, because each seed is tried first."""
_STATUS: Final = re.compile(r"^#[0-9]+\s.*? cov: ([0-9]+) ft: ([0-9]+) corp: ([0-9]+)", re.MULTILINE)
_TRIED: Final = re.compile(r"^tried: ([0-9]+)", re.MULTILINE)
_EXECUTED: Final = re.compile(r"^stat::number_of_executed_units: ([0-9]+)", re.MULTILINE)


@attrs.frozen
class Searched:
    """The result of one search."""

    name: str
    executions: int
    edges: int
    kept: int
    seconds: float
    """CPU seconds."""
    findings: tuple[Path, ...]
    failure: str = ""
    """The reason for an early end; else empty."""


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    add = parser.add_argument
    add("--seconds", type=float, default=60.0, metavar="N", help="for all targets together (60)")
    add(
        "--seed",
        type=int,
        metavar="N",
        help="the same search each time, as far as the time lets (another one)",
    )
    add("--target", action="append", choices=NAMES, help="only this; may be repeated")
    add("--dir", type=Path, default=_ROOT / ".fuzz", help="where inputs and findings are kept (.fuzz)")
    add("--list", action="store_true", help="say what the targets are, and search nothing")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    names = tuple(options.target or NAMES)
    if options.list:
        for name in names:
            print(f"{name:18} {target(name).what}")
        return 0
    print(f"{'target':18} {'executions':>10} {'edges':>6} {'kept':>6} {'CPU s':>6} {'findings':>8}")
    results = []
    for name in names:
        results.append(search(target(name), options.seconds / len(names), options.dir, options.seed))
        print(row(results[-1]), flush=True)
    executions, seconds = sum(one.executions for one in results), sum(one.seconds for one in results)
    found = [path for one in results for path in one.findings]
    print(f"{executions} executions in {seconds / 60:.1f} CPU-minutes, {len(found)} findings")
    for path in found:
        print(f"\n--- {path}\n{path.read_text(encoding='utf-8', errors='replace')[-3000:]}")
    failures = [one for one in results if one.failure]
    for one in failures:
        print(f"\n--- {one.name} ended early\n{one.failure}")
    return 1 if found or failures else 0


def row(one: Searched) -> str:
    counts = f"{one.executions:10} {one.edges:6} {one.kept:6}"
    return f"{one.name:18} {counts} {one.seconds:6.0f} {len(one.findings):8}"


def search(chosen: Target, seconds: float, directory: Path, seed: int | None = None) -> Searched:
    """Runs one search in a separate process, and reads the output of libFuzzer. Two searches with the same
    ``seed`` differ only in the inputs kept before, and in how far they get in the time."""
    corpus, findings = directory / "corpus" / chosen.name, directory / "findings" / chosen.name
    corpus.mkdir(parents=True, exist_ok=True)
    before = _used()
    with tempfile.TemporaryDirectory() as temporary:
        seeds = Path(temporary, "seeds")
        write_seeds(chosen, seeds, most=max(20, int(seconds * _SEEDS_IN_A_SECOND)))
        words = Path(temporary, "words")
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in chosen.words))
        options = [
            f"-max_total_time={max(1, round(seconds))}", f"-max_len={chosen.longest}", "-print_final_stats=1",
            "-timeout=60", "-report_slow_units=1000", "-rss_limit_mb=2048", f"-artifact_prefix={temporary}/",
        ]  # fmt: skip
        if chosen.words:
            options.append(f"-dict={words}")
        if seed is not None:
            options.append(f"-seed={seed}")
        search = [sys.executable, "-m", "fuzz.search", chosen.name, str(findings)]
        command = [*search, str(max(2.0, seconds) * 1.5), *options]
        # Uses the scan of mail data in Python, so that the search sees its branches; the target "content"
        # compares it with the one in C.
        done = subprocess.run(
            [*command, str(corpus), str(seeds)],
            cwd=_ROOT,
            env={**os.environ, "SANSIO_SMTP_PURE": "1", **({} if seed is None else {"PYTHONHASHSEED": "0"})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds * 2 + 900,
        )
        for artifact in Path(temporary).glob(
            "*-*"
        ):  # findings of libFuzzer: an input that takes too long, or too much memory
            findings.mkdir(parents=True, exist_ok=True)
            (findings / f"{artifact.name[:40]}.octets").write_bytes(artifact.read_bytes())
            (findings / f"{artifact.name[:40]}.txt").write_text(done.stdout[-4_000:])
    executed = _TRIED.findall(done.stdout) or _EXECUTED.findall(done.stdout)
    status = _STATUS.findall(done.stdout) or [(0, 0, 0)]
    return Searched(
        chosen.name,
        int(executed[-1]) if executed else 0,
        int(status[-1][0]),
        int(status[-1][2]),
        _used() - before,
        tuple(sorted(findings.glob("*.txt"))),
        "" if done.returncode == 0 else done.stdout[-2_000:],
    )


def write_seeds(chosen: Target, directory: Path, most: int) -> None:
    """Writes the octets with which a search begins, at most ``most``."""
    directory.mkdir(parents=True)
    seeds = [seed for seed in chosen.seeds() if len(seed) <= chosen.longest]
    if len(seeds) > most:
        seeds = Random(chosen.name).sample(seeds, most)
    for seed in seeds:
        (directory / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


def _escaped(word: bytes) -> str:
    return "".join(
        chr(octet) if 32 < octet < 127 and octet not in b'"\\' else f"\\x{octet:02X}" for octet in word
    )


def _used() -> float:
    """Seconds of CPU of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
