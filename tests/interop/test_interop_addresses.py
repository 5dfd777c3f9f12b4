"""Real servers deliver to the mailbox that the rules have read, in whatever spelling it is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from interop_delivery import Delivering, running_exim, running_postfix
from interop_proxy import Proxy
from interop_rules import running_proxy
from interop_wire import RawClient

from sansio_smtp.testing.strategies.spellings import look_alikes, spellings
from sansio_smtp.wire.paths import read_path

pytestmark = pytest.mark.interop

MANY = settings(
    max_examples=settings().max_examples // 5,
    deadline=None,
    phases=(Phase.generate,),  # each step of shrinking would be a message
    suppress_health_check=list(HealthCheck),
)
BATCH = 25
LISTED = '[rules.allow_list]\nrecipients = ["*@example.com", "*@bücher.example"]\n'
MAPPED = """
[rules.rewrite_map.map]
"boss@old.example" = "new@new.example"
"boss@bücher.example" = "new@new.example"
"""
ARGUMENTS = look_alikes().map(lambda drawn: drawn.argument)
SPELLINGS = st.one_of(spellings(), spellings("boss", "bücher.example", "xn--bcher-kva.example"))


@pytest.fixture(scope="module", params=[running_postfix, running_exim], ids=["postfix", "exim"])
def server(request: pytest.FixtureRequest) -> Iterator[Delivering]:
    with request.param() as running:
        yield running


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    counts: Counter[str] = Counter()
    yield counts
    print("\n", *(f"{name}: {count}" for name, count in sorted(counts.items())), sep="\n")


def batch(port: int, arguments: list[str], keyword: str) -> tuple[list[bytes], str]:
    """Names each recipient in one transaction, and sends a message if any was taken. Returns those that were
    taken, and what the server said of the message."""
    with RawClient(port, 30) as client:
        client.command(f"MAIL FROM:<ann@example.com>{keyword}".encode(), 250)
        lines = [argument.encode("utf-8", "surrogateescape") for argument in arguments]
        taken = [line for line in lines if client.command(b"RCPT " + line).code == 250]
        if not taken:
            return [], ""
        client.command(b"DATA", 354)
        return taken, client.command(b"Subject: hi\r\n\r\nhello\r\n.", 250).text.decode()


def run(
    server: Delivering,
    port: int,
    drawn: st.SearchStrategy[str],
    check: Callable[[list[bytes], set[str]], None],
    counts: Counter[str],
    name: str,
) -> None:
    @MANY
    @given(st.lists(drawn, min_size=BATCH, max_size=BATCH, unique=True))
    def draw(arguments: list[str]) -> None:
        taken, answer = batch(port, arguments, " SMTPUTF8")
        delivered = server.delivered(answer) if answer else set[str]()
        counts[f"{server.name} {name}: drawn"] += len(arguments)
        counts[f"{server.name} {name}: taken"] += len(taken)
        check(taken, delivered)

    draw()


def as_read(taken: list[bytes]) -> set[str]:
    """The mailboxes that the rules have read, as servers log them."""
    mailboxes = [read_path(argument, forward=True, utf8=True) for argument in taken]
    return {f"{mailbox.local}@{mailbox.domain}".lower() for mailbox in mailboxes}


def started(directory: Path, server: Delivering, name: str, toml: str) -> Iterator[Proxy]:
    with running_proxy(directory / name, server.port, f"ready:{name}", settings=toml) as proxy:
        yield proxy


@pytest.fixture
def listed(tmp_path: Path, server: Delivering) -> Iterator[Proxy]:
    yield from started(tmp_path, server, "allow_list", LISTED)


@pytest.fixture
def mapped(tmp_path: Path, server: Delivering) -> Iterator[Proxy]:
    yield from started(tmp_path, server, "rewrite_map", MAPPED)


def test_nothing_is_delivered_to_who_is_not_on_the_list(
    server: Delivering, listed: Proxy, counted: Counter[str]
) -> None:
    def check(taken: list[bytes], delivered: set[str]) -> None:
        assert delivered == as_read(taken)
        assert all(address.endswith("@example.com") for address in delivered)

    run(server, listed.port, ARGUMENTS, check, counted, "look-alikes before an allow list")


def test_who_is_on_the_list_is_delivered_to_in_any_spelling(
    server: Delivering, listed: Proxy, counted: Counter[str]
) -> None:
    def check(taken: list[bytes], delivered: set[str]) -> None:
        assert delivered == ({"boss@example.com"} if taken else set())

    drawn = spellings("boss", "example.com", "EXAMPLE.com")
    run(server, listed.port, drawn, check, counted, "spellings before an allow list")


def test_a_domain_is_the_same_as_u_label_and_as_a_label(
    server: Delivering, listed: Proxy, counted: Counter[str]
) -> None:
    def check(taken: list[bytes], delivered: set[str]) -> None:
        assert delivered == ({"boss@xn--bcher-kva.example"} if taken else set())

    drawn = spellings("boss", "bücher.example", "xn--bcher-kva.example")
    run(server, listed.port, drawn, check, counted, "U-labels before an allow list")


def test_a_map_holds_for_all_spellings(server: Delivering, mapped: Proxy, counted: Counter[str]) -> None:
    def check(taken: list[bytes], delivered: set[str]) -> None:
        assert delivered == ({"new@new.example"} if taken else set())

    run(server, mapped.port, SPELLINGS, check, counted, "spellings before a rewrite map")


def test_without_a_rule_the_servers_are_led_elsewhere(server: Delivering, counted: Counter[str]) -> None:
    """Otherwise what is drawn would show nothing."""
    found: Counter[str] = Counter()

    def check(taken: list[bytes], delivered: set[str]) -> None:
        found["elsewhere"] += sum(address.endswith("@evil.example") for address in delivered)

    run(server, server.port, ARGUMENTS, check, counted, "look-alikes and no rule")
    counted[f"{server.name} look-alikes and no rule: delivered elsewhere"] = found["elsewhere"]
    assert found["elsewhere"] > 0
