"""Two servers in a list, of which one or both fail: nothing is lost or doubled, and what clients see."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from interop_failover import Attempt, Breaker, Client, Fate, Keeper, attempts_in, send_all
from interop_proxy import Proxy, running
from interop_wire import deadline

pytestmark = pytest.mark.interop

CLIENTS = 4
SESSION = 5
"""Messages."""
EVERY = 10
"""Messages that a server keeps before it is killed."""
SEEN = {"DATA 421", "dot 421", "dot 451", "lost before the dot", "lost after the dot"}
"""What a client may see when a server is killed; before a recipient was accepted it sees nothing. It is lost
if it was still sending after 421."""
LEFT_OUT = "upstream server is left out"


@pytest.fixture
def a(tmp_path: Path) -> Iterator[Keeper]:
    """The first server of the list. It is not started yet."""
    keeper = Keeper.at(tmp_path / "a")
    yield keeper
    keeper.daemon.kill()


@pytest.fixture
def b(tmp_path: Path) -> Iterator[Keeper]:
    """The second server of the list. It is not started yet."""
    keeper = Keeper.at(tmp_path / "b")
    yield keeper
    keeper.daemon.kill()


@pytest.fixture
def proxy(tmp_path: Path, a: Keeper, b: Keeper) -> Iterator[Proxy]:
    with running(a.address, tmp_path / "proxy", "--upstream", b.address, "--verbose") as proxy:
        yield proxy


def wrong(found: Counter[Attempt], fates: Mapping[Attempt, Fate]) -> dict[str, list[Attempt]]:
    """Attempts of which the servers have something else than the clients were told."""
    told = {fate: {each for each, what in fates.items() if what is fate} for fate in Fate}
    return {
        "lost": sorted(told[Fate.ACCEPTED] - found.keys()),
        "doubled": sorted(each for each, times in found.items() if times > 1),
        "kept though refused": sorted(told[Fate.REFUSED] & found.keys()),
        "never sent": sorted(found.keys() - fates.keys()),
    }


NOTHING: dict[str, list[Attempt]] = {"lost": [], "doubled": [], "kept though refused": [], "never sent": []}


def test_a_server_that_is_down_is_not_noticed(b: Keeper, proxy: Proxy) -> None:
    b.daemon.start()
    client = Client(proxy.port)
    for number in range(6):
        client.send(number)
        if number % 2:
            client.quit()
    assert client.seen == {}  # nothing but the usual replies
    assert wrong(attempts_in(b.contents()), client.fates) == NOTHING
    assert b.count == 6
    assert LEFT_OUT in proxy.log()


def test_a_server_that_dies_between_messages_is_not_noticed(a: Keeper, b: Keeper, proxy: Proxy) -> None:
    a.daemon.start()
    b.daemon.start()
    client = Client(proxy.port)
    client.send(0)
    a.daemon.kill()
    client.send(1)
    b.daemon.kill()
    a.daemon.start()
    client.send(2)
    client.quit()
    assert client.seen == {}
    assert set(client.fates) == {(0, 0), (1, 0), (2, 0)}
    assert set(attempts_in(a.contents())) == {(0, 0), (2, 0)}
    assert set(attempts_in(b.contents())) == {(1, 0)}


@pytest.mark.parametrize(("dies", "has_it"), [("before", False), ("after", True)])
def test_a_server_that_dies_after_the_dot(
    a: Keeper, b: Keeper, proxy: Proxy, dies: str, has_it: bool
) -> None:
    """It may have the message or not, so the client decides if it is sent again, and not the proxy."""
    a.daemon.command.append(dies)
    a.daemon.start()
    b.daemon.start()
    client = Client(proxy.port)
    assert client.attempt(0) is Fate.IN_DOUBT
    assert client.seen == {"dot 451": 1}
    assert (a.count, b.count) == (has_it, 0)
    client.send(0, tried=1)
    client.quit()
    assert client.seen == {"dot 451": 1}
    assert set(attempts_in(b.contents())) == {(0, 1)}


@pytest.mark.parametrize(("restarted", "count"), [("a", 2_000), ("ab", 1_000)], ids=["one", "in-turn"])
def test_servers_that_are_restarted_again_and_again(
    a: Keeper, b: Keeper, proxy: Proxy, restarted: str, count: int
) -> None:
    a.daemon.start()
    b.daemon.start()
    clients = [Client(proxy.port, is_pipelining=bool(number % 2)) for number in range(CLIENTS)]
    breaker = Breaker([{"a": a, "b": b}[name] for name in restarted], EVERY)
    with deadline(60, f"{count} messages"), breaker.breaking():
        shares = [(client, range(number, count, CLIENTS)) for number, client in enumerate(clients)]
        send_all(shares, SESSION, breaker.told)
    fates = {attempt: fate for client in clients for attempt, fate in client.fates.items()}
    seen = sum((client.seen for client in clients), Counter[str]())
    print(f"restarts: {breaker.restarts}; kept: {a.count} and {b.count}; seen: {dict(seen)}")
    assert {number for (number, _), fate in fates.items() if fate is Fate.ACCEPTED} == set(range(count))
    assert wrong(attempts_in([*a.contents(), *b.contents()]), fates) == NOTHING
    assert set(seen) <= SEEN
    assert breaker.restarts > 2
    assert a.count
    assert b.count


def test_servers_are_reread_for_new_sessions(a: Keeper, b: Keeper, tmp_path: Path) -> None:
    """All of them or none; a session goes on with the servers with which it began."""
    for keeper in (a, b):
        keeper.daemon.start()
    file = tmp_path / "proxy.toml"

    def write(upstream: str, more: str = "") -> None:
        file.write_text(f'[server]\nupstream = "{upstream}"\n{more}')

    def reread(upstream: str, said: str, more: str = "") -> None:
        write(upstream, more)
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_for(said)

    route = f'[[route]]\nname = "lists"\nsender = "*@client.test"\nupstream = "{a.address}"\n'
    write(a.address)
    proxy = Proxy.run(tmp_path, "--listen", "127.0.0.1:0", "--config", str(file))
    old = Client(proxy.port)
    old.send(0)
    reread(b.address, "upstream servers reloaded")
    old.send(1)
    new = Client(proxy.port)
    new.send(2)
    reread(
        a.address,
        'proxy.toml:3: [server] unknown key "upstraem"; did you mean "upstream"?',
        'upstraem = "x"\n',
    )
    reread(a.address, "[[route]] listen", f'{route}listen = "127.0.0.1:1"\n')
    third = Client(proxy.port)
    third.send(3)  # neither the rest of a wrong file
    reread(b.address, "routes=lists", route)
    fourth = Client(proxy.port)
    fourth.send(4)
    for client in (old, new, third, fourth):
        client.quit()
        assert client.seen == {}
    proxy.stop()
    assert set(attempts_in(a.contents())) == {(0, 0), (1, 0), (4, 0)}
    assert set(attempts_in(b.contents())) == {(2, 0), (3, 0)}


def test_all_servers_down(a: Keeper, b: Keeper, proxy: Proxy) -> None:
    client = Client(proxy.port)
    for tried in range(3):
        client.fates[0, tried] = client.attempt(0, tried)
    assert client.seen == {"greeting 421": 3}
    b.daemon.start()
    client.send(0, tried=3)
    b.daemon.kill()
    assert client.attempt(1) is Fate.REFUSED
    assert client.seen == {"greeting 421": 3, "MAIL 421": 1}
    a.daemon.start()
    client.send(1, tried=1)
    client.quit()
    assert client.seen == {"greeting 421": 3, "MAIL 421": 1}
    assert set(attempts_in(a.contents())) == {(1, 1)}
    assert set(attempts_in(b.contents())) == {(0, 3)}
