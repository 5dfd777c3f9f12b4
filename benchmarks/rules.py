"""Measures the cost of rules: the core and its rules without a socket, with one rule of each kind and with
none.

`python benchmarks/rules.py`; `--quick` only finds mistakes. `--check` counts Python calls, which are the same
on every machine, and fails if there are more than `LIMITS` allows.

All kinds are measured in one process and in turn, so that a slow phase of the machine affects all. Rules run
as in the service, under its watchdog; none of them waits, changes or refuses anything.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # works from a checkout too

from benchmarks.core import GO, GREETING, Step, mail, transaction
from sansio_smtp import (
    SERVER,
    Ask,
    ClientInfo,
    Config,
    Event,
    MessageAnswered,
    Proxy,
    SendToClient,
    SendToServer,
)
from sansio_smtp.rules import Rule, RuleSet
from trio_proxy.account.account import Account
from trio_proxy.driver.judging import Judging
from trio_proxy.driver.servers import Servers
from trio_proxy.driver.settings import Settings
from trio_proxy.rulebook.host import RuleSettings
from trio_proxy.rulebook.watchdog import Watchdog
from trio_proxy.text.session_log import SessionLog


def by_domain(_tx: Any, to: Any) -> None:
    """A `rcpt` rule."""
    if to.domain == "nowhere.example":
        raise ValueError


def by_field(_tx: Any, headers: Any) -> None:
    """A `headers` rule."""
    if "X-Refused" in headers:
        raise ValueError


def by_line(_tx: Any, line: bytes) -> None:
    """A `body_line` rule."""
    if line.startswith(b"refused"):
        raise ValueError


def by_chunk(_tx: Any, chunk: bytes) -> None:
    """A `body` rule."""
    if b"refused" in chunk:
        raise ValueError


def by_message(_tx: Any, message: Any) -> None:
    """A `message` rule."""
    if "X-Refused" in message.headers:
        raise ValueError


KINDS: Final[dict[str, Callable[..., None] | None]] = {
    "none": None,
    "rcpt": by_domain,
    "headers": by_field,
    "body_line": by_line,
    "body": by_chunk,
    "message": by_message,
}
"""Phase → its rule."""


class Dialogue:
    """One session, greeted, with a rule of one kind."""

    def __init__(self, kind: str, watchdog: Watchdog) -> None:
        function = KINDS[kind]
        rules = () if function is None else (Rule(kind, function, f"benchmark.{kind}"),)
        ruleset = RuleSet(rules)
        settings = Settings(
            connect=_no_server,
            rules=lambda: nullcontext(ruleset),
            rule_settings=RuleSettings(watchdog=watchdog),
        )
        log = SessionLog("c1", ClientInfo())
        self._judging = Judging(settings, log, Account(log, Servers(settings, log)))
        self._proxy = Proxy(Config(), self._judging.ask)
        self._judging.begin(self._proxy, 1, None)
        whole = kind == "message"
        self.small, self.large = _steps(mail(4096), whole=whole), _steps(mail(MEGABYTES * 10**6), whole=whole)
        self.play(GREETING)

    def play(self, steps: Sequence[Step]) -> list[Event]:
        """Does what `Sides.take` and `Relay.apply` do, and takes each send out of its event. Returns the
        events of the last input."""
        proxy = self._proxy
        receive, judging = proxy.receive_from, self._judging
        events: list[Event] = []
        for side, data in steps:
            if proxy.pass_on(side, data) is not None:
                events = [proxy.take_answered()] if proxy.answers and side is SERVER else []
                continue
            events = receive(side, data)
            while events:
                question: Any = None
                for event in events:
                    kind = type(event)
                    if kind is SendToServer or kind is SendToClient:
                        event.data  # type: ignore[union-attr] # noqa: B018
                    elif kind is Ask:
                        question = event.question  # type: ignore[union-attr]
                if question is None:
                    break
                said = judging.start(self._proxy, question)
                assert isinstance(said, list), "this would need a task"
                events = said
        return events

    def verify(self) -> None:
        """Checks the result: a fast wrong answer is useless."""
        for steps in (self.small, self.large):
            last = self.play(steps)
            assert any(isinstance(e, MessageAnswered) and e.reply.code == 250 for e in last), "not accepted"


def _steps(content: bytes, *, whole: bool) -> list[Step]:
    """The steps of one message. ``whole``: there is a question about the whole message, so the server gets
    DATA after it."""
    steps = transaction(content)
    if whole:
        steps.remove((SERVER, GO))
        steps.insert(-1, (SERVER, GO))
    return steps


async def _no_server() -> Any:
    raise OSError


MEGABYTES: Final = 10
LIMITS: Final[dict[str, tuple[int, int]]] = {
    "rcpt": (16, 20),
    "headers": (40, 90),
    "body_line": (475, 14_200),
    "body": (425, 1_000),
    "message": (345, 150),
}
"""Phase of the rule → the most Python calls that it may add to a message of 4 KiB, and to a MB of content."""


def seconds(dialogues: dict[str, Dialogue], size: str, times: int, rounds: int) -> dict[str, list[float]]:
    """CPU seconds for a message with each kind of rule, one figure for each round."""
    found: dict[str, list[float]] = {kind: [] for kind in dialogues}
    for _ in range(rounds):
        for kind, dialogue in dialogues.items():
            steps = getattr(dialogue, size)
            start = time.process_time()
            for _ in range(times):
                dialogue.play(steps)
            found[kind].append((time.process_time() - start) / times)
    return found


def calls(dialogue: Dialogue, steps: Sequence[Step]) -> int:
    """Number of Python functions that are called while the steps are played."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        dialogue.play(steps)
    finally:
        sys.setprofile(None)
    return count


def time_all(dialogues: dict[str, Dialogue], *, quick: bool) -> None:
    """Prints the table of times: the least of all rounds, because other work on the machine can only add to
    it; and the median of the ratios to no rule in the same round."""
    rounds, times = (3, 20) if quick else (40, 60)
    small = seconds(dialogues, "small", times, rounds)
    large = seconds(dialogues, "large", 1, 1 if quick else 15)
    print(f"{'rule':12}{'4 KiB, µs':>12}{'more':>8}{'ratio':>8}{'a MB, ms':>12}{'more':>8}{'ratio':>8}")
    for kind in dialogues:
        message, megabyte = (
            min(small[kind]) * 1e6,
            min(large[kind]) * 1e3 / MEGABYTES,
        )
        figures = ""
        for found, base, value, width in (
            (small, min(small["none"]) * 1e6, message, 1),
            (large, min(large["none"]) * 1e3 / MEGABYTES, megabyte, 2),
        ):
            ratio = statistics.median(
                one / none for one, none in zip(found[kind], found["none"], strict=True)
            )
            figures += f"{value:12.{width}f}{value - base:8.{width}f}{ratio:8.2f}"
        print(f"{kind:12}{figures}")


def count_all(dialogues: dict[str, Dialogue], *, check: bool) -> int:
    """Prints the table of calls. Returns the number of limits that are exceeded."""
    print(f"{'rule':12}{'calls, 4 KiB':>14}{'more':>8}{'calls, a MB':>14}{'more':>8}{'limits':>16}")
    failed = 0
    nothing: tuple[int, int] | None = None
    for kind, dialogue in dialogues.items():
        message, large = calls(dialogue, dialogue.small), calls(dialogue, dialogue.large)
        megabyte = (large - message) // MEGABYTES
        nothing = nothing or (message, megabyte)
        more = message - nothing[0], megabyte - nothing[1]
        limits = LIMITS.get(kind)
        said = "" if limits is None else f"{limits[0]} / {limits[1]}"
        print(f"{kind:12}{message:14}{more[0]:8}{megabyte:14}{more[1]:8}{said:>16}")
        failed += limits is not None and (more[0] > limits[0] or more[1] > limits[1])
    return failed if check else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="much less time on each figure")
    parser.add_argument(
        "--check", action="store_true", help="count calls only, and compare them with the limits"
    )
    options = parser.parse_args(arguments)
    watchdog = Watchdog(2)
    dialogues = {kind: Dialogue(kind, watchdog) for kind in KINDS}
    with watchdog.installed():
        for dialogue in dialogues.values():
            dialogue.verify()
        if not options.check:
            time_all(dialogues, quick=options.quick)
        failed = count_all(dialogues, check=options.check)
    if failed:
        print(f"FAILED  {failed} kinds of rules need more calls than their limit", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
