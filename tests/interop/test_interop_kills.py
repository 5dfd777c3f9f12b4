"""Each part of a service is killed under load: no message is lost or doubled, and service comes back."""

from __future__ import annotations

import pytest
from faults.account import Balance
from interop_daemon import open_directory
from interop_failover import Fate, tagged
from interop_kills import KILLS, kill_in_turn, running_service
from interop_ledger import Ledger, Period

MESSAGES = 240


@pytest.mark.interop
@pytest.mark.alone
def test_each_part_is_killed_under_load() -> None:
    ledger = Ledger()
    with open_directory("kills") as directory, running_service(directory) as service:
        kill_in_turn(service, ledger, clients=6, messages=MESSAGES, rounds=1)
        settled = ledger.settle(service.keeper.contents())
        complaints = service.complaints()
        accepted = next(service.keeper.directory.glob("*.eml"))
        accepted.unlink()
        with_a_loss = ledger.settle(service.keeper.contents())
    for period, balance in settled:
        print(f"{period.what}: {period.told_so()}, {balance.in_doubt} in doubt, {period.back} s")
    assert [period.what for period, _ in settled] == ["nothing", *KILLS]
    assert [wrong(balance) for _, balance in settled] == [{}] * (1 + len(KILLS))
    assert complaints == []
    assert sum(period.told["refused"] for period, _ in settled) == 0
    assert ledger.accepted >= MESSAGES
    assert sum(len(balance.lost) for _, balance in with_a_loss) == 1


def wrong(balance: Balance) -> dict[str, object]:
    columns = ("lost", "doubled", "half", "refused", "unknown", "stalled")
    return {name: found for name in columns if (found := getattr(balance, name))}


TOLD = [
    (Fate.ACCEPTED, ""),
    (Fate.IN_DOUBT, "dot 451"),
    (Fate.IN_DOUBT, "lost after the dot"),
    (Fate.REFUSED, "lost before the dot"),
    (Fate.REFUSED, "MAIL 421"),
    (Fate.REFUSED, "not connected"),
]
"""Of messages 0 to 5."""
ACCEPTED, DEFERRED, CUT, UNFINISHED, *_ = [tagged(number) for number in range(len(TOLD))]


def settled_once(*contents: bytes, is_sure: bool = True) -> tuple[Period, dict[str, object], int]:
    ledger = Ledger()
    ledger.begin("Redis", is_sure=is_sure)
    for number, (fate, trouble) in enumerate(TOLD):
        ledger.tell((number, 0), 0, fate, trouble)
    first, (period, balance) = ledger.settle(contents)
    return period, wrong(first[1]) | wrong(balance), balance.in_doubt


def test_the_account_has_each_message_once() -> None:
    period, found, in_doubt = settled_once(ACCEPTED, CUT)
    assert (found, in_doubt) == ({}, 1)
    assert period.told_so() == "1 told 250, 2 deferred, 0 refused, 2 cut off, 1 not connected"


@pytest.mark.parametrize(
    ("contents", "found"),
    [
        ((), {"lost": [(0, "attempt 0")]}),
        ((ACCEPTED, ACCEPTED), {"doubled": [(0, "attempt 0")]}),
        ((ACCEPTED[:-2],), {"half": [(0, "attempt 0")]}),
        ((ACCEPTED, DEFERRED), {"refused": [(1, "attempt 0")]}),
        ((ACCEPTED, CUT, CUT), {"doubled": [(2, "attempt 0")]}),
        ((ACCEPTED, UNFINISHED), {"unknown": [(3, "attempt 0")]}),
        ((ACCEPTED, tagged(9)), {"unknown": [(9, "attempt 0")]}),
        (
            (ACCEPTED, b"Subject: of nobody\r\n"),
            {"half": [(-1, "attempt 0")], "unknown": [(-1, "attempt 0")]},
        ),
    ],
)
def test_the_account_notices(contents: tuple[bytes, ...], found: dict[str, object]) -> None:
    assert settled_once(*contents)[1] == found


def test_the_reply_of_a_killed_server_may_be_lost() -> None:
    assert settled_once(ACCEPTED, DEFERRED, is_sure=False)[1:] == ({}, 1)


def test_what_a_client_sends_again_is_no_double() -> None:
    ledger = Ledger()
    ledger.tell((0, 0), 0, Fate.IN_DOUBT, "lost after the dot")
    ledger.tell((0, 1), 0, Fate.ACCEPTED, "")
    ((_, balance),) = ledger.settle([tagged(0, 0), tagged(0, 1)])
    assert (wrong(balance), balance.in_doubt) == ({}, 1)


def test_service_is_back_for_who_connects_after_the_kill() -> None:
    period = Period("HAProxy", killed=10.0)
    period.tell((0, 0), 9.9, Fate.ACCEPTED, "")
    assert period.back is None
    period.tell((1, 0), 10.1, Fate.REFUSED, "not connected")
    assert period.back is None
    period.tell((1, 1), 10.2, Fate.ACCEPTED, "")
    assert period.back is not None
