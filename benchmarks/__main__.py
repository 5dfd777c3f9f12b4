"""Measures the cost of the proxy and of others in one run: CPU, latency, memory, growth.

smtp-source or `client.py` → a proxy → smtp-sink, over loopback. Compare ratios within one run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from . import machine, page, parts
from .figures import Figures
from .peers import BEFORE, MAIN, Peer, modes, others
from .programs import CHECKOUT, EX_UNAVAILABLE, Failed, Sink, require
from .running import Run


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--part", action="append", choices=list(parts.PARTS), help="only this; may be repeated")
    add("--peer", action="append", metavar="TEXT", help="only peers whose names begin so; may be repeated")
    add("--rounds", type=int, default=3, help="how many count, after one that warms up (3)")
    add("--against", type=Path, metavar="DIR", help="another checkout of this project, as a row of its own")
    add("--haraka", type=Path, metavar="NODE_MODULES", help="where Haraka is installed (or HARAKA_MODULES)")
    add("--quick", action="store_true", help="few messages, one round: only finds mistakes")
    add("--limit", type=float, default=1200.0, help="begin no round after so many seconds (1200)")
    add("--save", type=Path, metavar="FILE.json", help="keep the figures")
    add("--load", type=Path, metavar="FILE.json", help="begin with figures that were kept")
    add("--write", type=Path, metavar="PAGE.md", help="put tables and plots into this page")
    options = parser.parse_args(arguments)
    if options.haraka is None and "HARAKA_MODULES" in os.environ:
        options.haraka = Path(os.environ["HARAKA_MODULES"])
    options.rounds = 1 if options.quick else max(1, options.rounds)
    return options


def peers(options: argparse.Namespace) -> list[Peer]:
    found = modes(CHECKOUT, MAIN)
    if options.against is not None:
        found += modes(options.against.resolve(), BEFORE)[:1]
    found += others(options.haraka)
    wanted = options.peer or [""]
    return [peer for peer in found if peer.name.startswith(tuple(wanted))]


def ended(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)  # so that all started programs are ended too


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    require("smtp-source")
    require("smtp-sink")
    if not Path("/proc/self/task").is_dir():
        print("only on Linux: the CPU of a process is read from /proc", file=sys.stderr)
        return EX_UNAVAILABLE
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, ended)
    figures = Figures.load(options.load) if options.load else Figures()
    try:
        with contextlib.ExitStack() as stack:
            tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
            tmp.chmod(0o755)
            sink = stack.enter_context(Sink(tmp).running())
            run = Run(tmp, sink, peers(options), options.rounds, options.quick, options.limit, figures)
            chosen = options.part if options.part is not None else [] if options.load else parts.DEFAULT
            if chosen:
                said = sys.argv[1:] if arguments is None else arguments
                figures.facts |= machine.facts(options.against, options.haraka, said)
            for name in chosen:
                parts.PARTS[name](run)
                if options.save:
                    figures.save(options.save)
            run.progress("done")
    except Failed as error:
        print(f"\nFAILED  {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; all that was started is ended", file=sys.stderr)
        return 130
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(page.as_text(figures))
    if options.write:
        print(f"\n{options.write}: {', '.join(page.write(figures, options.write))}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
