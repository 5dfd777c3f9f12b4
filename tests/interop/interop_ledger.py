"""An account that is kept from one kill to the next, and clients that send meanwhile."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import attrs
from faults.account import CLOSED, Account, Balance, Entry, Taken
from interop_failover import TAG, Attempt, Client, Fate, tagged

__all__ = ["Ledger", "Period", "load"]

SECONDS = 60.0
SESSION = 5
"""Messages."""
PAUSE = 0.05
"""Seconds after which a client tries again."""
_REFUSED = re.compile(rb"\r\n(?:\0+\.\0*|\.\0+)\r\n")
"""A line that is refused in any message: of a dot and NULs."""
_KINDS = {2: "told 250", 4: "deferred", 5: "refused", CLOSED: "cut off"}
"""First digit of the reply → what that is."""


@attrs.define(eq=False)
class Period:
    """What clients were told after one kill, and before the next one."""

    what: str
    """Was killed."""
    is_sure: bool = True
    """False if the server itself was killed: its reply to a message that it has taken may be lost."""
    killed: float = float("inf")
    """When it was dead."""
    back: float | None = None
    """Seconds from then until a message of a client was accepted that connected after it."""
    account: Account = attrs.field(factory=Account)
    """Of the messages whose end was sent, and of those that were refused."""
    told: Counter[str] = attrs.field(factory=Counter[str])

    def tell(self, attempt: Attempt, connected: float, fate: Fate, trouble: str) -> None:
        """A client, which has connected at this time, has seen this `Client.trouble`."""
        *_, last = trouble.split() or ("250",)
        code = int(last) if last.isdigit() else CLOSED
        if code or fate is Fate.IN_DOUBT:
            self.account.tell([_entry(attempt)], code)
        kind = trouble if trouble == "not connected" else _KINDS[code // 100]
        self.told[kind] += 1
        if fate is Fate.ACCEPTED and connected >= self.killed and self.back is None:
            self.back = time.monotonic() - self.killed

    def told_so(self) -> str:
        kinds = (*_KINDS.values(), "not connected")
        return ", ".join(f"{self.told[kind]} {kind}" for kind in kinds)


@attrs.define(eq=False)
class Ledger:
    """Clients tell it of each attempt. It is settled with what the server has kept."""

    periods: list[Period] = attrs.field(factory=lambda: [Period("nothing")])
    accepted: int = 0
    _of: dict[Attempt, Period] = attrs.field(factory=dict[Attempt, Period], init=False)
    _changed: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    _failure: BaseException | None = attrs.field(default=None, init=False)

    def begin(self, what: str, *, is_sure: bool) -> Period:
        """This is about to be killed."""
        period = Period(what, is_sure)
        with self._changed:
            self.periods.append(period)
        return period

    def tell(self, attempt: Attempt, connected: float, fate: Fate, trouble: str) -> None:
        with self._changed:
            period = self._of[attempt] = self.periods[-1]
            period.tell(attempt, connected, fate, trouble)
            self.accepted += fate is Fate.ACCEPTED
            self._changed.notify_all()

    def give_up(self, failure: BaseException) -> None:
        """A client has seen what must never happen."""
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Until so many messages are accepted."""
        while (before := self.accepted) < count:
            self.wait_until(lambda before=before: self.accepted > before, f"message {before + 1}")

    def wait_until(self, happens: Callable[[], bool], what: str) -> None:
        """Until clients were told so much that this is true."""
        with self._changed:
            in_time = self._changed.wait_for(lambda: self._failure or happens(), SECONDS)
            if self._failure is not None:
                raise AssertionError("a client has failed") from self._failure
        assert in_time, f"not in {SECONDS:.0f} s: {what}"

    def settle(self, contents: Iterable[bytes]) -> list[tuple[Period, Balance]]:
        """Each period with its balance. What the server has and nobody has sent is in the first one."""
        for period in self.periods:
            period.account.taken.clear()
        for content in contents:
            found = TAG.match(content)
            attempt = (int(found[1]), int(found[2])) if found else (-1, 0)
            period = self._of.get(attempt, self.periods[0])
            is_whole = attempt[0] >= 0 and content == tagged(*attempt)
            period.account.take(Taken(_entry(attempt), "server", is_whole, period.is_sure))
        return [(period, period.account.settle()) for period in self.periods]


def _entry(attempt: Attempt) -> Entry:
    """Each attempt is an entry of its own: what a client sends again is no double."""
    number, tried = attempt
    return number, f"attempt {tried}"


@contextmanager
def load(port: int, ledger: Ledger, clients: int) -> Iterator[None]:
    """So many clients send as long as this lasts, each message again until it is accepted."""
    numbers = _Numbers()
    over = threading.Event()
    with ThreadPoolExecutor(clients) as threads:
        sending = [
            threads.submit(_send, Client(port, patience=SECONDS), numbers, ledger, over)
            for _ in range(clients)
        ]
        try:
            yield
        finally:
            over.set()
        for each in sending:
            each.result(SECONDS)


class _Numbers:
    """Of messages; for all threads."""

    def __init__(self) -> None:
        self._count = itertools.count()

    def __iter__(self) -> Iterator[int]:
        return (number for number in self._count if not _REFUSED.search(tagged(number)))


def _send(client: Client, numbers: Iterable[int], ledger: Ledger, over: threading.Event) -> None:
    connected = 0.0
    try:
        for place, number in enumerate(numbers, 1):
            for tried in itertools.count():
                if over.is_set():
                    client.quit()
                    return
                connected = connected if client.is_connected else time.monotonic()
                fate = client.attempt(number, tried)
                ledger.tell((number, tried), connected, fate, client.trouble)
                if fate is Fate.ACCEPTED:
                    break
                over.wait(PAUSE)
            if place % SESSION == 0:
                client.quit()
    except BaseException as failure:
        ledger.give_up(failure)
        raise
