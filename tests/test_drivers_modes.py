"""Both ways of reading sockets, the reactor and the pairs of tasks, give peers the same octets. From outside
one cannot see how a proxy reads its sockets. So each dialogue goes through two processes, one in each mode,
and the tests compare the octets that client and servers got, and the ends of their connections.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Final

import attrs
import pytest
from drivers import DEADLINE, Driver, Peer, wait_until
from io_modes import MODES
from mode_dialogues import CLOSED, Act, Outcome, Server, Way, played

HELLO: Final = b"EHLO me.example\r\n"
ENVELOPE: Final = (b"MAIL FROM:<a@me.example>\r\n", b"RCPT TO:<b@mx.example>\r\n")
TEXT: Final = b"Subject: hi\r\n\r\none\r\n..two\r\n"
LINES: Final = (HELLO, *ENVELOPE, b"DATA\r\n", TEXT + b".\r\n", b"QUIT\r\n")
"""Each line is sent after one more reply."""
DIALOGUE: Final = b"".join(LINES)
VERBS: Final = (b"", b"EHLO", b"MAIL", b"RCPT", b"DATA", b".", b"QUIT")
ENDS: Final[tuple[Way, ...]] = ("fin", "rst")


@attrs.frozen
class Process:
    driver: Driver
    listener: socket.socket


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Process]]:
    """One process in each mode, each with its own server."""
    with ExitStack() as stack:
        started: list[Process] = []
        for mode in ("reactor", "tasks"):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            directory = tmp_path_factory.mktemp(mode)
            port = listener.getsockname()[1]
            driver = Driver("trio", port, directory, options=["--io", mode, "--timeout", "4"])
            stack.callback(driver.stop)
            started.append(Process(driver, listener))
        yield started
        for process in started:
            process.driver.check()


def same(processes: list[Process], acts: list[Act], server: Server | None = None) -> Outcome:
    """The outcome of a dialogue, which is the same in both modes."""
    one, other = (played(process.driver.port, process.listener, acts, server) for process in processes)
    assert one == other
    return one


def in_turn(*lines: bytes, end: Way | None = None) -> list[Act]:
    """Each line is sent when what was sent before it has been answered."""
    acts = [Act(line, replies=number + 1) for number, line in enumerate(lines)]
    return [*acts, Act(end=end, replies=len(lines) + 1)] if end is not None else acts


def test_in_turn_and_all_at_once(processes: list[Process]) -> None:
    usual = same(processes, in_turn(*LINES))
    assert usual.client.endswith(b"250 2.0.0 kept\r\n221 2.0.0 bye\r\n")
    assert usual.servers == [(DIALOGUE, CLOSED)]
    assert same(processes, [Act(DIALOGUE)]) == usual
    assert same(processes, [Act(DIALOGUE)], Server(pipelining=False, cut=True)) == usual


def whole_lines(octets: int) -> int:
    """The number of whole `LINES` in the first octets of the dialogue."""
    return sum(len(b"".join(LINES[: number + 1])) <= octets for number in range(len(LINES)))


def test_a_cut_at_every_octet(processes: list[Process]) -> None:
    """The rest comes when the whole lines before it have been answered."""
    usual = same(processes, in_turn(*LINES))
    for at in range(1, len(DIALOGUE)):
        acts = [Act(DIALOGUE[:at]), Act(DIALOGUE[at:], replies=1 + whole_lines(at))]
        assert same(processes, acts) == usual, at


@pytest.mark.parametrize("end", ENDS)
def test_a_client_that_goes_after_every_octet(processes: list[Process], end: Way) -> None:
    complete = 0
    for at in range(1, len(DIALOGUE)):
        outcome = same(processes, [Act(DIALOGUE[:at]), Act(end=end, replies=1 + whole_lines(at))])
        ((arrived, _),) = outcome.servers
        assert DIALOGUE.startswith(arrived), at
        complete += b"\r\n.\r\n" in arrived
    assert complete == len(LINES[-1])  # only after the client's own end of mail data


@pytest.mark.parametrize("verb", VERBS)
def test_a_server_that_goes_with_its_reply(processes: list[Process], verb: bytes) -> None:
    """The client sends nothing more, because the order of its next line and the server's end may vary."""
    acts = in_turn(*LINES[: VERBS.index(verb)])
    for end, said in product(ENDS, (b"250 2.0.0 ok\r\n", b"354 go\r\n", b"", b"2", b"421 4.3.2 bye\r\n")):
        if verb or end == "fin":  # a connection that is reset at once may never be made
            same(processes, acts, Server({verb: said}, ends={verb: end}))


WRONG: Final = (
    b"?\r\n", b"250\r\n", b"250 ok\n", b"250 ok\r250 ok\r\n", b"250 o\0k\r\n", b"250-a\r\n251 b\r\n",
    b"999 x\r\n", b"150 wait\r\n", b"354 go on\r\n", b"334 \r\n", b"220 go\r\n", b"450 4.0.0 later\r\n",
    b"550 5.0.0 no\r\n", b"421 4.3.2 bye\r\n", b"250-" + b"x" * 70_000, b"\r\n", b"250 ok\r\n250 twice\r\n",
)  # fmt: skip
"""Octets that a server may send in place of any reply."""


@pytest.mark.parametrize("verb", VERBS)
def test_a_server_that_says_something_else(processes: list[Process], verb: bytes) -> None:
    before = LINES[: VERBS.index(verb)]
    bye = Act(end="fin") if verb == b"QUIT" else Act(b"QUIT\r\n")
    acts = [*in_turn(*before), attrs.evolve(bye, replies=len(before) + 1)]
    for reply, cut in product(WRONG, (False, True)):
        if verb == b"DATA" and reply.startswith(b"354"):
            continue  # that is what it should say
        if cut and (len(reply) > 100 or b"twice" in reply):
            continue  # the order of the second reply and QUIT may vary
        outcome = same(processes, acts, Server({verb: reply}, cut=cut))
        assert len(outcome.servers) == 1, reply


SMUGGLED: Final = b"MAIL FROM:<evil@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nx\r\n.\r\n"
FALSE_ENDS: Final = (
    b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n.\0\r\n", b"\r\n\0.\r\n",
    b"\r\n.\r\r\n", b"\r\r\n.\r\n", b"\n\n.\r\n", b"\r\n..\r\n", b"\0\r\n",
)  # fmt: skip
EARLY: Final = (
    b"".join(ENVELOPE) + b"DATA\r\n" + SMUGGLED,
    b"DATA\r\nQUIT\r\n.\r\n",
    b"RCPT TO:<b@x>\r\nDATA\r\n.\r\n",
    b"STARTTLS\r\nNOOP injected\r\n",
    b"AUTH PLAIN\r\nQUIT\r\n",
    b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
    b"EHLO again\r\nNOOP\r\n",
    b"NOOP x\rQUIT\r\n",
    b"NOOP \0\r\n",
    b"NOOP\nQUIT\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"NOOP " + b"x" * 13_000 + b"\r\n",
    b"NOOP\r\n" * 300,
    b"XCLIENT ADDR=192.0.2.1\r\n",
    b"\r\n" * 30,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
)
"""Octets that a client may send at any time, all at once."""


def test_smuggling(processes: list[Process]) -> None:
    for false, cut in product(FALSE_ENDS, (0, 1, 2, 3)):
        content = b"text" + false + SMUGGLED
        head, tail = content[: 4 + cut], content[4 + cut :]
        acts = [*in_turn(*LINES[:4]), Act(head, replies=5), Act(tail + b"QUIT\r\n")]
        same(processes, [*acts, Act(end="fin", replies=6)])


@pytest.mark.parametrize("refused", [b"", b"RCPT", b"DATA"])
def test_early_data_and_violations(processes: list[Process], refused: bytes) -> None:
    answers = {refused: b"550 5.0.0 no\r\n"} if refused else {}
    for said, before in product(EARLY, (0, 3, 4)):
        acts = [*in_turn(*LINES[:before]), Act(said + b"QUIT\r\n", end="fin", replies=before + 1)]
        same(processes, acts, Server(answers))


# A stop


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_sockets_that_wait_for_anything_count_and_are_gone_after_a_stop(mode: str, tmp_path: Path) -> None:
    """One is closed and lingers, two wait for a greeting, two for a connection to be made."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))  # has room for two
        options = ["--io", mode, "--max-connections", "5", "--grace", "60"]
        driver = Driver("trio", listener.getsockname()[1], tmp_path, options=options)
        stack.callback(driver.stop)
        before = driver.descriptors()
        lingering = stack.enter_context(driver.client())
        with Peer(listener.accept()[0]) as server:
            server.send(b"220 mx.example")
            lingering.expect(b"220 mx.example")
            lingering.send(b"QUIT")
            server.expect(b"QUIT")
            server.send(b"221 bye")
            lingering.expect(b"221 bye")
            assert lingering.rest() == server.rest() == b""
        clients = [stack.enter_context(driver.client()) for _ in range(4)]
        wait_until(lambda: driver.descriptors() == before + 1 + 2 * len(clients), "not all are connecting")
        lingering.send(b"NOOP")  # it may go on as long as it says something
        with driver.client() as client:
            assert client.rest().startswith(b"421 4.3.2 too many connections")
        lingering.close()
        wait_until(lambda: driver.descriptors() == before + 2 * len(clients), "a socket lingers for nobody")
        clients.append(stack.enter_context(driver.client()))
        wait_until(lambda: driver.descriptors() == before + 2 * len(clients), "it is not connecting")
        driver.process.terminate()
        assert driver.process.wait(DEADLINE) == 0
        told = {client.rest() for client in clients}
        assert told == {b"421 4.3.2 service is shutting down, try again later\r\n"}
        assert "Traceback" not in driver.log.read_text()
