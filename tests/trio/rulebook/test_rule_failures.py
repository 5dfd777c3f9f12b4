"""Rules that fail, in the executable: what the client is told, what the log says, and what it is to others.

The rules are in `wrong_rules`; one process meets them all.
"""

from __future__ import annotations

import re
import select
import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from commands import Proxy, connect, upstream
from drivers import DEADLINE, Peer

RULES = Path(__file__).with_name("wrong_rules.py")
TEXT = RULES.read_text()
RULE_TIMEOUT = 0.5
BLOCKING = 2.0
"""After so many seconds a rule that blocks is interrupted."""
TRIPS = 3
"""Of another client, as long as a rule is late: if the rule held it up there would be one at most."""
MESSAGE = b"Subject: hi\r\n\r\none\r\n"
FAILED = re.compile(rb"451 4\.3\.0 a rule of this proxy failed, try again later \(incident ([0-9a-f]{8})\)")

AT_ONCE = {
    "raises": "ValueError: secret of the operator",
    "exits": "SystemExit: 3",
    "exits_in_a_thread": "SystemExit: 3",
    "exits_in_a_task": "SystemExit: 3",
    "groups": "ExceptionGroup",
    "exits_in_a_group": "BaseExceptionGroup: several (2 sub-exceptions)",
    "is_rude": "Rude: secret of the operator",
    "is_rude_in_a_task": "Rude: secret of the operator",
    "is_cancelled_by_another_library": "CancelledError: secret of the operator",
    "is_unprintable": "Unprintable",
    "recurses": "RecursionError: ",
    "needs_memory": "Error",  # MemoryError, or OverflowError
    "says_nonsense": "wrong_rules.says_nonsense returned 'says_nonsense@x'; rcpt takes None, Accept, ",
    "says_a_tuple": "wrong_rules.says_a_tuple returned (550, 'no'); rcpt takes None, Accept, ",
    "says_a_class": "wrong_rules.says_a_class returned <class",
    "says_a_coroutine": "wrong_rules.says_a_coroutine returned a coroutine; write async def, or await it",
    "says_a_coroutine_in_a_thread": "a sync function",
    "says_a_generator": "wrong_rules.says_a_generator returned <generator",
    "says_what_cannot_be_shown": "RuntimeError",
    "adds_too_early": "add_rcpt: recipients can be added in the phases data and message only",
    "changes_the_list": "AttributeError",
    "injects_a_text": "must not hold CR, LF or NUL",
    "injects_a_rewrite": "not an address",
    "injects_parameters": "not an address",
    "injects_a_server": "Redirect",
    "injects_a_command": "",
}
IN_CONTENT = {
    "adds_too_late": ("add_rcpt: recipients can be added in the phases data and message only", b"250"),
    "injects_a_recipient": ("not an address", b"250"),
    "injects_a_value": ("CR, LF and NUL cannot be in a value", b"250"),
    "injects_a_name": ("a name is printable ASCII without blanks and colon", b"250"),
    "injects_a_field": ("not the octets of one header field", b"250"),
}
LATE = [
    "sleeps_in_a_task",
    "sleeps_in_a_thread",
    "spins_politely",
    "awaits_a_thread",
    "shields_itself",
    "will_not_be_cancelled",
]
WAITS = ["sleeps", "locks", "tries_again"]
COMPUTES = ["spins", "matches", "sleeps_where_it_awaits"]
LEAVES = {
    "leaks_a_nursery": FAILED,
    "leaks_a_scope": re.compile(rb"250 ok"),
    "leaks_a_cancelled_scope": re.compile(rb"250 ok"),
    "leaks_a_task": re.compile(rb"250 ok"),
    "leaks_a_generator": re.compile(rb"250 ok"),
    "cancels_what_it_runs_in": FAILED,
    "forgets_to_await": re.compile(rb"250 ok"),
}


class Server:
    """Takes everything, and remembers each line. A connection that is cut off in a message is no failure."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def __call__(self, peer: Peer) -> None:
        peer.send(b"220 mx.example ESMTP")
        try:
            while True:
                line = peer.line()
                self.lines.append(line)
                if line[:4] == b"EHLO":
                    peer.send(b"250-mx.example", b"250 PIPELINING")
                elif line[:4] == b"DATA":
                    peer.send(b"354 go on")
                    self.lines += peer.message().splitlines()
                    peer.send(b"250 kept")
                elif line[:4] == b"QUIT":
                    peer.send(b"221 bye")
                    return
                else:
                    peer.send(b"250 ok")
        except (EOFError, ConnectionError):
            pass


@attrs.define
class Service:
    """The process, its server, and a client that has nothing to do with the rules that fail."""

    process: Proxy
    server: Server

    def client(self) -> Peer:
        client = connect(("127.0.0.1", self.process.port))
        client.expect(b"220 ...")
        client.send(b"EHLO me.example")
        client.reply()
        return client

    def entry(self, incident: str) -> str:
        """What the log says of an incident: a line, and the traceback after it."""
        self.process.wait_for(f"incident={incident}")
        entry = self.process.said().partition(f"incident={incident}")
        line = entry[0].rpartition("\n")[2]
        return line + entry[1] + re.split(r"\n(?=\d{4}-\d\d-\d\d )", entry[2])[0]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("wrong")
    shutil.copy(RULES, directory)
    server = Server()
    with upstream(server) as mx:
        arguments = ("-l", "127.0.0.1:0", "--rules", RULES.name, "--rule-timeout", f"{RULE_TIMEOUT}")
        process = Proxy(directory, *arguments, "-u", f"127.0.0.1:{mx.port}", "-v")
        try:
            yield Service(process, server)
            assert process.process.poll() is None, "the service has ended"
        finally:
            process.kill()  # some rules never end


def begin(client: Peer) -> None:
    client.send(b"MAIL FROM:<a@me.example>")
    client.expect(b"250 ok")


def assert_told(service: Service, reply: bytes, name: str, error: str) -> str:
    """The client is told an incident, the log the rest of it. What the log says."""
    found = FAILED.fullmatch(reply)
    assert found, reply
    entry = service.entry(found[1].decode())
    assert f"rule=wrong_rules.{name}" in entry
    where = re.search(r"where=wrong_rules\.py:(\d+)", entry)
    assert where
    raised_in = re.findall(r'File ".*wrong_rules\.py", line (\d+)', entry)
    assert where[1] in (raised_in or [str(line_of(name))])
    assert error in entry
    assert "Traceback" in entry
    return entry


def line_of(name: str) -> int:
    found = re.search(rf"^(?:async )?def {name}\(", TEXT, re.M)
    assert found
    return TEXT[: found.start()].count("\n") + 1


def assert_goes_on(service: Service, client: Peer) -> None:
    """The same client goes on: another recipient, a message, another message."""
    client.send(b"RCPT TO:<fine@x>", b"DATA")
    client.expect(b"250 ok", b"354 ...")
    client.raw(MESSAGE + b".\r\n")
    client.expect(b"250 kept")
    client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<fine@x>", b"DATA")
    client.expect(b"250 ok", b"250 ok", b"354 ...")
    client.raw(MESSAGE + b".\r\n")
    client.expect(b"250 kept")
    client.send(b"QUIT")
    client.expect(b"221 bye")
    assert client.rest() == b""
    assert service.process.process.poll() is None


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_rule_fails(service: Service, name: str) -> None:
    with service.client() as client:
        begin(client)
        client.send(b"RCPT TO:<%b@x>" % name.encode())
        entry = assert_told(service, client.line(), name, AT_ONCE[name])
        returned = (
            "check_result" in entry or "sync function" in entry
        )  # of what it returned, no line is to blame
        assert returned or re.search(
            rf'File ".*wrong_rules\.py", line \d+, in (\w+\.)*({name}|main|nested)', entry
        )
        assert_goes_on(service, client)
    assert not any(b"injected" in line for line in service.server.lines)


@pytest.mark.parametrize("name", IN_CONTENT)
def test_a_rule_fails_over_a_message(service: Service, name: str) -> None:
    """It is refused, and the server does not get it, not even the beginning."""
    before = len(service.server.lines)
    with service.client() as client:
        begin(client)
        client.send(b"RCPT TO:<%b@x>" % name.encode(), b"DATA")
        client.expect(b"250 ok")
        reply = client.line()
        if reply.startswith(b"354"):
            client.raw(MESSAGE + b".\r\n")
            reply = client.line()
        assert_told(service, reply, name, IN_CONTENT[name][0])
        begin(client)
        assert_goes_on(service, client)
    lines = service.server.lines[before:]
    assert not any(b"injected" in line for line in lines)
    assert lines.count(b"one") == 2  # the messages that go on after it


def test_no_failure_hides_a_reply(service: Service) -> None:
    """What the server has said is what has happened."""
    with service.client() as client:
        begin(client)
        client.send(b"RCPT TO:<injects_a_reply@x>")
        client.expect(b"250 ok")
        service.process.wait_for(r"rule=wrong_rules\.injects_a_reply")
        assert_goes_on(service, client)


def assert_not_slowed(other: Peer, client: Peer) -> None:
    """Another client is answered again and again until this one is."""
    trips = 0
    while not select.select([client.sock], [], [], 0)[0]:
        other.send(b"NOOP")
        other.expect(b"250 ok")
        trips += 1
    assert trips >= TRIPS


@pytest.mark.slow
@pytest.mark.parametrize("name", LATE)
def test_a_rule_is_late(service: Service, name: str) -> None:
    with service.client() as client, service.client() as other:
        begin(client)
        client.send(b"RCPT TO:<%b@x>" % name.encode())
        assert_not_slowed(other, client)
        assert_told(service, client.line(), name, f"TimeoutError: no verdict within {RULE_TIMEOUT:g} s")
        assert_goes_on(service, client)


@pytest.mark.slow
@pytest.mark.parametrize("name", WAITS)
def test_a_rule_waits_where_it_blocks(service: Service, name: str) -> None:
    """Others stand still once, for a limited time; then the rule is called where it blocks nobody."""
    with service.client() as client, service.client() as other:
        begin(client)
        client.send(b"RCPT TO:<%b@x>" % name.encode())
        other.send(b"NOOP")
        entry = assert_told(service, client.line(), name, "Blocked: ")
        assert "its next calls run in a thread" in entry
        other.expect(b"250 ok")
        client.send(b"RCPT TO:<%b@x>" % name.encode())
        assert_not_slowed(other, client)
        assert_told(service, client.line(), name, "TimeoutError: ")
        assert_goes_on(service, client)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPUTES)
def test_a_rule_does_not_end(service: Service, name: str) -> None:
    """Others stand still for a limited time, each time: in a thread it could not be interrupted, and some of
    it lets no other thread run."""
    with service.client() as client, service.client() as other:
        begin(client)
        for _ in range(2):
            client.send(b"RCPT TO:<%b@x>" % name.encode())
            other.send(b"NOOP")
            entry = assert_told(service, client.line(), name, "Blocked: ")
            assert "its next calls run in a thread" not in entry
            other.expect(b"250 ok")
        assert_goes_on(service, client)


def test_a_rule_blocks_over_a_line(service: Service) -> None:
    """The message has begun; it is not ended, and the next one passes."""
    with service.client() as client, service.client() as other:
        begin(client)
        client.send(b"RCPT TO:<sleeps_over_a_line@x>", b"DATA")
        client.expect(b"250 ok", b"354 ...")
        client.raw(MESSAGE + b"two\r\nsleep\r\nthree\r\n.\r\n")
        assert_told(service, client.line(), "sleeps_over_a_line", "Blocked: ")
        other.send(b"NOOP")
        other.expect(b"250 ok")
        begin(client)
        assert_goes_on(service, client)
    assert b"three" not in service.server.lines


@pytest.mark.parametrize("name", LEAVES)
def test_a_rule_leaves_something_behind(service: Service, name: str) -> None:
    with service.client() as client:
        begin(client)
        client.send(b"RCPT TO:<%b@x>" % name.encode())
        reply = client.line()
        assert LEAVES[name].fullmatch(reply), reply
        if LEAVES[name] is FAILED:
            assert_told(service, reply, name, "")
        assert_goes_on(service, client)


def test_nothing_of_it_has_reached_a_peer(service: Service) -> None:
    """After all others: the secret that is in the rules is in the log, and nowhere else."""
    assert "secret of the operator" in service.process.said()
    assert not any(b"secret" in line or b"Traceback" in line for line in service.server.lines)
    assert DEADLINE > BLOCKING
