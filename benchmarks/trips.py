"""Measures the way through the core: the calls for one input, and how often they change the module.

`python benchmarks/trips.py`; `--show NAME` prints the calls of a trip, `--check` fails if a trip is longer
than its limit. To count another checkout: `PYTHONPATH=CHECKOUT python benchmarks/trips.py`.

One input is traced with `sys.setprofile`. Each call of a function in a file of the package counts. Calls of C
code, of code that attrs generates, and of the rule do not. A generator or a comprehension counts if it is a
function for Python. "Changes" are calls in another module than the call before.

For whole messages every call counts, also of code that attrs generates, because it measures Python's work.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))  # after PYTHONPATH

import sansio_smtp
from sansio_smtp import CLIENT, SERVER, Ask, Event, Proxy, Side
from sansio_smtp.rules import Reject, RuleSession
from sansio_smtp.rules.loading import rules_of

try:
    import h11
except ImportError:  # only for comparison
    h11 = None

MAIL = (CLIENT, b"MAIL FROM:<a@client.example>\r\n")
RCPT = (CLIENT, b"RCPT TO:<b@server.example>\r\n")
OK = (SERVER, b"250 2.0.0 Ok\r\n")
GREETING = (
    (SERVER, b"220 mx.example ESMTP\r\n"),
    (CLIENT, b"EHLO client.example\r\n"),
    (SERVER, b"250-mx.example\r\n250-PIPELINING\r\n250-SIZE\r\n250 8BITMIME\r\n"),
)
QUIT = ((CLIENT, b"QUIT\r\n"), (SERVER, b"221 2.0.0 Bye\r\n"))
TO_CONTENT = (MAIL, OK, RCPT, OK, (CLIENT, b"DATA\r\n"), (SERVER, b"354 go ahead\r\n"))
GROUP = ((CLIENT, MAIL[1] + RCPT[1] + b"DATA\r\n"), (SERVER, OK[1] * 2 + b"354 go ahead\r\n"))
CONTENT = (CLIENT, b"Subject: x\r\n\r\n" + b"The quick brown fox jumps over the lazy dog\r\n" * 90 + b".\r\n")
WHOLE = ((CLIENT, CONTENT[1] + GROUP[0][1]), (SERVER, OK[1] + GROUP[1][1]))
TO_FIFTY = (*TO_CONTENT[:2], *TO_CONTENT[2:4] * 50, *TO_CONTENT[4:])
SEGMENT = (CLIENT, b"The quick brown fox jumps over the lazy dog\r\n" * 100)

Step = tuple[Side, bytes]


@dataclass(frozen=True)
class Call:
    depth: int
    module: str
    name: str


@dataclass
class Trace:
    """The calls of functions that are written in a file of one package, in order."""

    package: str
    generated: bool = False
    """True if code that attrs generates counts too."""
    calls: list[Call] = field(default_factory=list)
    depth: int = 0

    def run(self, do: Callable[[], object]) -> Trace:
        sys.setprofile(self._note)
        try:
            do()
        finally:
            sys.setprofile(None)
        return self

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        module = frame.f_globals.get("__name__", "")
        file = frame.f_code.co_filename
        if file.startswith("<attrs generated") and self.generated:
            module = file.split()[-1].rpartition(".")[0]
        elif file.startswith("<"):
            return
        if module.partition(".")[0] != self.package:
            return
        if event == "call":
            self.calls.append(Call(self.depth, module, frame.f_code.co_qualname))
            self.depth += 1
        elif event == "return":
            self.depth -= 1

    @property
    def figures(self) -> tuple[int, int, int]:
        modules = [call.module for call in self.calls]
        return len(modules), len(set(modules)), sum(a != b for a, b in pairwise(modules))


def after(*steps: Step) -> Proxy:
    """A session whose opening is already known, and whose ends have got it."""
    for _ in range(2):
        proxy = Proxy()
        for step in GREETING:
            take(proxy, step)
    assert proxy.states
    for step in steps:
        take(proxy, step)
    return proxy


def take(proxy: Proxy, step: Step) -> None:
    """Gives an input to the core as the driver does."""
    if proxy.pass_on(*step) is None:
        proxy.receive_from(*step)


def relayed(step: Step, *before: Step) -> Trace:
    """The cost of one input without a question."""
    proxy = after(*before)
    return Trace("sansio_smtp").run(lambda: take(proxy, step))


def whole(*steps: Step, before: tuple[Step, ...] = ()) -> Trace:
    """The cost of the third of equal messages in one session."""
    proxy = after(*before, *steps * 2)
    trace = Trace("sansio_smtp", generated=True)
    for step in steps:
        trace.run(partial(take, proxy, step))
    return trace


def session() -> Trace:
    """The cost of a session that sends one message and quits, without making its `Proxy`."""
    after()
    trace, proxy = Trace("sansio_smtp", generated=True), Proxy()
    for step in (*GREETING, *TO_CONTENT, CONTENT, OK, *QUIT):
        trace.run(partial(take, proxy, step))
    return trace


def rcpt(_tx: Any, _to: Any) -> Reject:
    return Reject(550, "5.7.1 not here")


def refused() -> Trace:
    """The cost of a RCPT that a rule refuses: from the client's octets to the reply."""
    rules = rules_of(rcpt)
    proxy = Proxy(ask=rules.ask)
    session = RuleSession(rules, proxy)

    def give(step: Step) -> list[Event]:
        events = proxy.receive_from(*step)
        asked = [event for event in events if isinstance(event, Ask)]
        for event in asked:
            events = [*events, *proxy.answer(event.question, session.judge_now(event.question))]
        return events

    for step in (*GREETING, MAIL, OK):
        give(step)
    events: list[Event] = []
    trace = Trace("sansio_smtp").run(lambda: events.extend(give(RCPT)))
    assert any(b"550 5.7.1 not here" in getattr(event, "data", b"") for event in events)
    return trace


def h11_piece(*, of_body: bool) -> Trace:
    connection = h11.Connection(h11.SERVER)

    def give(data: bytes) -> None:
        connection.receive_data(data)
        assert connection.next_event() is not h11.NEED_DATA

    head = b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100000\r\n\r\n"
    if of_body:
        give(head)
        return Trace("h11").run(lambda: give(b"x" * 4400))
    return Trace("h11").run(lambda: give(head))


TRIPS: dict[str, tuple[Callable[[], Trace], tuple[int, int, int]]] = {
    "MAIL to the server": (lambda: relayed(MAIL), (2, 2, 1)),
    "reply to the client": (lambda: relayed(OK, MAIL), (2, 2, 1)),
    "a segment of content": (lambda: relayed(SEGMENT, *TO_CONTENT), (47, 7, 27)),
    "RCPT refused by a rule": (refused, (57, 23, 42)),
    "a message, reply by reply": (lambda: whole(*TO_CONTENT, CONTENT, OK), (19, 2, 16)),
    "a message, in a group": (lambda: whole(*GROUP, CONTENT, OK), (22, 2, 8)),
    "a message, before the reply": (lambda: whole(*WHOLE, before=GROUP), (118, 17, 89)),
    "a session, one message": (session, (48, 6, 32)),
    "50 recipients": (lambda: whole(*TO_FIFTY, CONTENT, OK), (220, 2, 215)),
}
"""Name → the function that makes the trip, and the most calls, modules and changes that it may have: a few
more than when the limit was set."""

FOR_COMPARISON = {
    "h11: a request head": lambda: h11_piece(of_body=False),
    "h11: a piece of a body": lambda: h11_piece(of_body=True),
}


def show(trace: Trace) -> None:
    for call in trace.calls:
        print(f"    {'  ' * call.depth}{call.module.removeprefix(trace.package + '.')}: {call.name}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--show", metavar="NAME", help="print the calls of trips whose name contains this")
    parser.add_argument("--check", action="store_true", help="status 1 if a trip is longer than its limit")
    options = parser.parse_args(arguments)
    print(f"{Path(sansio_smtp.__file__).parent}\n")
    print(f"{'trip':28}{'calls':>8}{'modules':>10}{'changes':>10}")
    too_long = []
    for name, (trip, limits) in TRIPS.items():
        trace = trip()
        report(name, trace, options.show)
        if any(figure > limit for figure, limit in zip(trace.figures, limits, strict=True)):
            too_long.append(f"{name}: {trace.figures} where at most {limits} is allowed")
    for name, trip in FOR_COMPARISON.items() if h11 else ():
        report(name, trip(), options.show)
    if options.check and too_long:
        print("\n" + "\n".join(too_long), file=sys.stderr)
        return 1
    return 0


def report(name: str, trace: Trace, shown: str | None) -> None:
    print(f"{name:28}{trace.figures[0]:8}{trace.figures[1]:10}{trace.figures[2]:10}")
    if shown is not None and shown in name:
        show(trace)


if __name__ == "__main__":
    sys.exit(main())
