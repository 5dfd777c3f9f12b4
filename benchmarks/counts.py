"""Counts the system calls of the executable for one message in a session that is kept open, with strace.

`python -m benchmarks.counts`; `--check` fails if there are more than `LIMIT`. The count is nearly the same on
every machine. smtp-source sends a few messages in one run and many in another, and the difference is used.
With more sessions each poll finds more inputs, and the figure depends less on the load of the machine: on one
machine 17.2 to 17.8 for ten sessions, 16.2 to 16.4 for forty.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .peers import Peer, Place, modes
from .programs import CHECKOUT, Failed, Sink, execute, require
from .workloads import WORKLOADS, Workload, source

__all__ = ["LIMIT", "NAMES", "calls"]

LIMIT = 17.0
"""For one message, of forty sessions: 16 are the recv and the send of each of 8 inputs."""
FEW, MANY = 80, 680
CHECKED = "40 sessions"
NAMES = {"keep-alive": 10, CHECKED: 40, "one session": 1}
"""Kinds of runs, and their sessions."""
_LINE = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", re.MULTILINE)


def calls(peer: Peer, tmp: Path, sink: Sink, sessions: int) -> Counter[str]:
    """Calls for 1,000 messages, by their names."""
    (workload,) = (replace(each, sessions=sessions) for each in WORKLOADS if each.name == "keep-alive")
    few, many = (_counted(peer, tmp, sink, workload, messages) for messages in (FEW, MANY))
    many.subtract(few)
    return Counter({name: round(count * 1000 / (MANY - FEW)) for name, count in many.items() if count > 0})


def _counted(peer: Peer, tmp: Path, sink: Sink, workload: Workload, messages: int) -> Counter[str]:
    """The calls of a whole run of the program."""
    file = tmp / "strace.txt"
    strace = ("strace", "-D", "-f", "-qq", "-c", "-o", str(file))
    with (
        sink.expecting(f"{peer.name} under strace") as sent,
        replace(peer, under=strace).running(Place(tmp, sink.port)) as running,
    ):
        execute(source(workload, running.port, messages), peer.name)
        sent[0] = messages
    deadline = time.monotonic() + 10  # with -D, strace ends a moment after the program
    while not (file.exists() and " total\n" in file.read_text()):
        if time.monotonic() > deadline:
            raise Failed("strace has written no table")
        time.sleep(0.02)
    found = Counter({name: int(count) for count, name in _LINE.findall(file.read_text())})
    file.unlink()
    del found["total"]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help=f"status 1 if there are more than {LIMIT:.0f}")
    parser.add_argument("--checkout", type=Path, default=CHECKOUT, help="of which the program is run")
    options = parser.parse_args(arguments)
    require("strace")
    too_many = False
    with contextlib.ExitStack() as stack:
        tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        tmp.chmod(0o755)
        sink = stack.enter_context(Sink(tmp).running())
        for number, peer in enumerate(modes(options.checkout.resolve(), "sansio-smtp")):
            for name, sessions in NAMES.items():
                try:
                    found = calls(peer, tmp, sink, sessions)
                except Failed as error:
                    print(f"FAILED  {error}", file=sys.stderr)
                    return 1
                total = found.total() / 1000
                shown = ", ".join(f"{call} {count / 1000:.2f}" for call, count in found.most_common(8))
                print(f"{peer.name}, {name}: {total:.1f} system calls a message ({shown})")
                too_many |= number == 0 and name == CHECKED and total > LIMIT
    if options.check and too_many:
        print(f"at most {LIMIT:.0f} are allowed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
