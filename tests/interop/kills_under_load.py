"""Each part of a service is killed in turn, again and again, while clients send so many messages.

    PYTHONPATH=tests:tests/interop python tests/interop/kills_under_load.py 20000

Prints a line for each kill: what clients were told until the next one, what became of their messages, and how
long it took until a message was accepted of a client that connected after it. Exits with 1 if the account
does not balance, or the proxy has logged an error of its own.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter

from faults.account import Balance
from interop_daemon import open_directory
from interop_kills import KILLS, kill_in_turn, running_service
from interop_ledger import Ledger, Period

__all__ = ["line", "main"]


def line(period: Period, balance: Balance) -> str:
    after = "" if period.back is None else f"; accepted again after {period.back:.2f} s"
    return f"{period.what:18}  {period.told_so()}, {balance.in_doubt} in doubt; {_wrong(balance)}{after}"


def _wrong(balance: Balance) -> str:
    return (
        f"lost {len(balance.lost)}, doubled {len(balance.doubled)}, half {len(balance.half)}, "
        f"refused and kept {len(balance.refused)}, never sent {len(balance.unknown)}"
    )


def main(options: argparse.Namespace) -> int:
    ledger = Ledger()
    began = time.monotonic()
    with open_directory("kills") as directory, running_service(directory) as service:
        try:
            kill_in_turn(
                service, ledger, clients=options.clients, messages=options.messages, rounds=options.rounds
            )
        finally:
            settled = ledger.settle(service.keeper.contents())
            complaints = service.complaints()
            print(*(line(period, balance) for period, balance in settled), sep="\n", flush=True)
    told = sum((period.told for period, _ in settled), Counter[str]())
    print(f"{len(settled) - 1} kills in {time.monotonic() - began:.0f} s, {sum(told.values())} attempts")
    for what in KILLS:
        seconds = sorted(period.back or 0 for period, _ in settled if period.what == what)
        print(f"{what}: accepted again after {seconds[0]:.2f} to {seconds[-1]:.2f} s")
    print(*complaints, sep="\n")
    return 0 if all(balance.is_even for _, balance in settled) and not complaints else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("messages", type=int)
    parser.add_argument("--rounds", type=int, default=4, help="how often each is killed (%(default)s)")
    parser.add_argument("--clients", type=int, default=8)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all processes are ended then too
    sys.exit(main(parser.parse_args()))
