"""Measures the cost of one recipient or header field among many, compared with one among a hundred.

`python benchmarks/growth.py`. The last column is the ratio of the costs: 1.0 means that the cost grows with
the number, 100 that it grows with its square. `--many N` uses another number than 10,000; `--checkout DIR`
measures the code of another directory.
"""

from __future__ import annotations

import argparse
import functools
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FEW = 100


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--many", type=int, default=10_000, metavar="N")
    parser.add_argument("--checkout", default=str(Path(__file__).resolve().parent.parent), metavar="DIR")
    return parser.parse_args()


OPTIONS = arguments()
sys.path.insert(0, OPTIONS.checkout)

from sansio_smtp import Config  # noqa: E402 - of the checkout that is to be measured
from sansio_smtp.rules import Discard, Headers, Hold, Recipient, Transaction, on  # noqa: E402
from sansio_smtp.testing import session  # noqa: E402
from trio_proxy.ready.allow_list import AllowList  # noqa: E402
from trio_proxy.ready.archive import Archive  # noqa: E402
from trio_proxy.ready.rate_limit import RateLimit  # noqa: E402
from trio_proxy.ready.rewrite_map import RewriteMap  # noqa: E402
from trio_proxy.ready.staging import Staging  # noqa: E402

CONFIG = Config(max_recipients=1_000_000, max_header_section=2**30)


@on("rcpt")
def look(tx: Transaction, to: Recipient) -> None:
    len(tx.rcpts)


@on("rcpt")
def discard(tx: Transaction, to: Recipient) -> Discard:
    return Discard()


@on("rcpt")
def hold(tx: Transaction, to: Recipient) -> Hold:
    return Hold("a measurement")


@on("rcpt")
def rewrite(tx: Transaction, to: Recipient) -> None:
    to.rewrite(f"x{to.address}")


@on("data")
def add_recipients(tx: Transaction) -> None:
    for number in range(len(tx.rcpts)):
        tx.add_rcpt(f"more{number}@example.com")


RECIPIENTS: dict[str, tuple[Any, ...]] = {
    "no rule": (),
    "a rule that looks at tx.rcpts": (look,),
    "Discard for each": (discard,),
    "Hold for each": (hold,),
    "rewrite() of each": (rewrite,),
    "add_rcpt() for each, in data": (add_recipients,),
    "ready:staging": (Staging("box@example.com"),),
    "ready:archive": (Archive("archive@example.com", recipients=("*@nowhere.example",)),),
    "ready:allow_list": (AllowList(recipients=("*@example.com",)),),
    "ready:rate_limit": (RateLimit(recipients={"day": 10**9}),),
    "ready:rewrite_map": (RewriteMap(map={"@example.com": "@new.example"}),),
}
EDITS: dict[str, Callable[[Headers, str], Any]] = {
    "read by a rule": lambda headers, name: headers.get(name),
    "added by a rule": lambda headers, name: headers.add("X-New", name),
    "prepended by a rule": lambda headers, name: headers.prepend("X-New", name),
    "set by a rule": lambda headers, name: headers.set(name, "new"),
    "replaced by a rule": lambda headers, name: headers.replace(name, "new"),
    "removed by a rule": lambda headers, name: headers.remove(name),
}


def recipients(rules: tuple[Any, ...], count: int) -> float:
    s = session(*rules, config=CONFIG)
    s.mail("ann@example.com")
    started = time.process_time()
    for number in range(count):
        s.rcpt(f"user{number}@example.com")
    s.message(b"Subject: hi\r\n\r\nhello\r\n")
    return time.process_time() - started


def header_fields(edit: Callable[[Headers, str], Any] | None, count: int) -> float:
    @on("headers")
    def rule(tx: Transaction, headers: Headers) -> None:
        for field in headers if edit is not None else ():
            if edit is not None:
                edit(headers, field.name)

    s = session(rule, config=CONFIG)
    s.mail("ann@example.com")
    s.rcpt("bob@example.com")
    message = b"".join(b"X-%d: some text\r\n" % number for number in range(count)) + b"\r\nhello\r\n"
    started = time.process_time()
    s.message(message)
    return time.process_time() - started


def row(name: str, measure: Callable[[int], float]) -> None:
    measure(10)  # imports, tables, compiled expressions
    gc.collect()
    few = min(measure(FEW) for _ in range(5)) / FEW
    many = measure(OPTIONS.many) / OPTIONS.many
    print(f"{name:<32}{few * 1e6:>12.1f} µs{many * 1e6:>12.1f} µs{many / few:>10.1f}", flush=True)


def main() -> None:
    print(f"{'':<32}{f'of {FEW}':>15}{f'of {OPTIONS.many:,}':>15}{'ratio':>10}")
    for name, rules in RECIPIENTS.items():
        row(f"recipient, {name}"[:32], functools.partial(recipients, rules))
    row("header field, a rule that rests", functools.partial(header_fields, None))
    for name, edit in EDITS.items():
        row(f"header field, {name}", functools.partial(header_fields, edit))


if __name__ == "__main__":
    main()
