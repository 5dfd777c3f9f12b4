"""``smtp-proxy check`` and the upstream server."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from checks import Capture, Said, checked
from commands import upstream
from drivers import Peer, Script, closed_port

from trio_proxy.commands import check_upstream
from trio_proxy.settings.route_tables import RouteTable
from trio_proxy.settings.rule_table import RuleTable
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination

HAS_IPV6 = socket.has_dualstack_ipv6()


def answer(*lines: bytes, ehlo: tuple[bytes, ...] = (b"250 mx.example",)) -> Script:
    """A server that greets, answers EHLO, and says goodbye."""

    def script(peer: Peer) -> None:
        peer.send(*lines)
        try:
            assert re.fullmatch(rb"EHLO (\[127\.0\.0\.1\]|\[IPv6:::1\]|localhost)", peer.line())
            peer.send(*ehlo)
            assert peer.line() == b"QUIT"
            peer.send(b"221 2.0.0 bye")
        except (EOFError, ConnectionError):
            return

    return script


def reached(capsys: Capture, script: Script) -> Said:
    with upstream(script) as server:
        said = checked(capsys, upstream=Address("127.0.0.1", server.port))

        def known(lines: list[str]) -> list[str]:
            return [line.replace(f"127.0.0.1:{server.port}", "HOST") for line in lines]

        return Said(said.status, known(said.out), known(said.err))


def test_what_the_server_says_of_itself(capsys: Capture) -> None:
    offers = (b"250-mx.example", b"250-SIZE 10240000", b"250-PIPELINING", b"250 8BITMIME")
    said = reached(capsys, answer(b"220 mx.example ESMTP Postfix", ehlo=offers))
    expected = "  upstream    HOST: 220 mx.example ESMTP Postfix; SIZE 10240000, PIPELINING, 8BITMIME"
    assert said == Said(0, [expected], [])


def test_a_line_without_a_keyword_is_left_out(capsys: Capture) -> None:
    said = reached(capsys, answer(b"220 smtp-sink ESMTP", ehlo=(b"250-smtp-sink", b"250-DSN", b"250 ")))
    assert said == Said(0, ["  upstream    HOST: 220 smtp-sink ESMTP; DSN"], [])


def test_a_server_that_speaks_the_other_protocol(capsys: Capture) -> None:
    spoken: list[bytes] = []

    def lmtp_only(peer: Peer) -> None:
        peer.send(b"220 mx.example LMTP")
        with suppress(EOFError, ConnectionError):
            while True:
                spoken.append(peer.line())
                peer.send(b"250 mx.example" if spoken[-1][:4] == b"LHLO" else b"500 5.5.1 what?")

    with upstream(lmtp_only) as server:
        port = server.port
        good = checked(capsys, upstream=Address("127.0.0.1", port, lmtp=True))
    assert good == Said(0, [f"  upstream    lmtp://127.0.0.1:{port}: 220 mx.example LMTP; no extensions"], [])
    assert spoken == [b"LHLO [127.0.0.1]", b"QUIT"]
    with upstream(lmtp_only) as server:
        said = checked(capsys, upstream=Address("127.0.0.1", server.port))
    assert said.err[0].endswith(
        "answers EHLO with 500 5.5.1 what?; does it speak LMTP? Then write lmtp:// before its address"
    )


def test_a_server_of_few_words(capsys: Capture) -> None:
    said = reached(capsys, answer(b"220-one", b"220 two"))
    assert said == Said(0, ["  upstream    HOST: 220-one; no extensions"], [])


def test_no_terminal_is_tricked_by_a_greeting(capsys: Capture) -> None:
    said = reached(capsys, answer(b"220 \x1b[31mred\x07 \xff", ehlo=(b"250-x", b"250 X \x1b\x9b")))
    assert said.status == 0
    assert said.out[0].startswith("  upstream    HOST: 220 \\x1b[31mred\\x07 \\xff; ")
    assert said.out[0].isprintable()


def hangs_up(*before: bytes) -> Script:
    """A server that says each line in answer to one of the client's, and then closes."""

    def script(peer: Peer) -> None:
        for number, line in enumerate(before):
            if number:
                peer.line()
            peer.send(line)

    return script


def test_the_goodbye_does_not_matter(capsys: Capture) -> None:
    assert reached(capsys, hangs_up(b"220 mx.example", b"250 mx.example")).status == 0
    assert reached(capsys, hangs_up(b"220 mx.example", b"250 mx.example", b"nonsense")).status == 0


def falls_silent(*before: bytes) -> Script:
    """The same, but it does not close: it waits until the client does."""

    def script(peer: Peer) -> None:
        hangs_up(*before)(peer)
        with suppress(ConnectionError):
            peer.rest()

    return script


def test_nobody_waits_for_a_goodbye(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_upstream, "_GOODBYE_SECONDS", 0.1)
    said = reached(capsys, falls_silent(b"220 mx.example", b"250 mx.example"))
    assert said == Said(0, ["  upstream    HOST: 220 mx.example; no extensions"], [])


@pytest.mark.parametrize("before", [(), (b"220 mx.example",), (b"220-mx.example",)])
def test_a_server_that_says_nothing(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, before: tuple[bytes, ...]
) -> None:
    monkeypatch.setattr(check_upstream, "_SECONDS", 0.2)
    said = reached(capsys, falls_silent(*before))
    assert said == Said(69, [], ["upstream HOST: no answer within 0.2 s; is it an SMTP server?"])


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (hangs_up(), "cannot be reached: it closed the connection; is it running, and the address right?"),
        (
            hangs_up(b"220 hi"),
            "cannot be reached: it closed the connection; is it running, and the address right?",
        ),
        (answer(b"554 5.7.1 not you"), "greets with 554 5.7.1 not you; it would refuse the clients too"),
        (answer(b"421 busy"), "greets with 421 busy; it would refuse the clients too"),
        (
            answer(b"220 hi", ehlo=(b"550-no", b"550 never")),
            "answers EHLO with 550-no; it would refuse the clients too",
        ),
        (
            hangs_up(b"HTTP/1.1 400 Bad Request\x1b"),
            "does not speak SMTP: reply line does not begin with a code from 200 to 599: b'H'; a web server "
            "answers so (HTTP/1.1 400); is the port right?",
        ),
    ],
)
def test_servers_that_cannot_be_used(capsys: Capture, script: Script, complaint: str) -> None:
    said = reached(capsys, script)
    assert said == Said(69, [], [f"upstream HOST: {complaint}"])


def test_no_server(capsys: Capture) -> None:
    with closed_port() as port:
        said = checked(capsys, upstream=Address("127.0.0.1", port))
    why = "Connection refused; is it running, and the address right?"
    assert said == Said(69, [], [f"upstream 127.0.0.1:{port}: cannot be reached: {why}"])
    assert checked(capsys, upstream=Address("a..b", 25), named={"send_client"}).err == [
        "upstream a..b:25: cannot be reached: 'a..b' is no host name; is it running, and the address right?"
    ]


def test_it_waits_no_longer_than_the_service_would(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> str:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    monkeypatch.setattr(check_upstream, "_introduction", never)
    said = checked(capsys, upstream=Address("127.0.0.1", 25), timeouts=Timeouts(greeting=0.01))
    assert said.err == ["upstream 127.0.0.1:25: no answer within 0.01 s; is it an SMTP server?"]


def test_a_port_for_tls(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> str:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    monkeypatch.setattr(check_upstream, "_SECONDS", 0.01)
    monkeypatch.setattr(check_upstream, "_introduction", never)
    assert checked(capsys, upstream=Address("127.0.0.1", 465)).err == [
        "upstream smtp://127.0.0.1:465: no answer within 0.01 s; is it a port for TLS from the first "
        "octet? Then "
        "write smtps:// before its address"
    ]


def test_a_server_on_a_unix_socket(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # its path may have about a hundred octets

    def serve(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        peer = object.__new__(Peer)  # its __init__ sets TCP_NODELAY
        peer.sock, peer.buffer = sock, bytearray()
        with sock:
            answer(b"220 mx.example")(peer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.sock")
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        said = checked(capsys, upstream=Address(path="s.sock"))
        thread.join(5)
    assert said == Said(0, ["  upstream    unix:s.sock: 220 mx.example; no extensions"], [])


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_a_server_on_ipv6(capsys: Capture) -> None:
    seen: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        with Peer(listener.accept()[0]) as peer:
            peer.send(b"220 mx.example")
            seen.append(peer.line())
            peer.send(b"250 mx.example")

    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        assert checked(capsys, upstream=Address("::1", listener.getsockname()[1])).status == 0
        thread.join(5)
    assert seen == [b"EHLO [IPv6:::1]"]


def test_without_a_server_messages_are_kept(capsys: Capture) -> None:
    assert checked(capsys, capture=Path("mail")) == Said(
        0, ["  upstream    none: messages are kept in mail"], []
    )
    assert not Path("mail").exists()


def test_a_server_of_a_list_that_is_down_is_a_warning(capsys: Capture) -> None:
    """As long as each list that has it has another one that can be used."""
    with upstream(answer(b"220 mx.example")) as server, closed_port() as down, closed_port() as other:
        up, off, away = (Destination(Address("127.0.0.1", port)) for port in (server.port, down, other))
        said = checked(capsys, upstream=(off, up))
        why = f"upstream {off}: cannot be reached: Connection refused; is it running, and the address right?"
        assert said.status == 0
        assert said.err == [f"warning: others of its list are used: {why}"]
        assert len(said.out) == 1

        routes = (RouteTable(name="a", upstream=(off, away)), RouteTable(name="b", upstream=(up, away)))
        said = checked(capsys, upstream=(up,), routes=routes)
        assert said.status == 69
        assert said.err == [why, why.replace(str(off), str(away))]

        said = checked(capsys, upstream=(off, up), routes=(RouteTable(name="a", upstream=(off,)),))
        assert (said.status, said.err) == (69, [why])


@pytest.mark.parametrize(
    ("offers", "arguments", "warned"),
    [
        (b"250 SIZE", {}, True),
        (b"250 AUTH PLAIN", {}, False),
        (b"250 SIZE", {"accept_xclient": ("127.0.0.1",)}, False),
    ],
)
def test_a_limit_for_logins_needs_a_server_that_offers_them(
    capsys: Capture, offers: bytes, arguments: dict[str, Any], warned: bool
) -> None:
    table = RuleTable({"per": "login", "messages": {"day": 9}}, {"": 3, "per": 4}, "proxy.toml")
    limited = {"rules": ("ready:rate_limit",), "rule_settings": {"rate_limit": table}} | arguments
    with (
        upstream(answer(b"220 mx.example", ehlo=(b"250-mx.example", offers))) as server,
        closed_port() as down,
    ):
        up = Destination(Address("127.0.0.1", server.port))
        said = checked(capsys, upstream=(up,), **limited)
        warning = (
            'warning: proxy.toml:4: [rules.rate_limit] per = "login" counts by IP address: nobody logs in '
            "here, as the server offers no AUTH"
        )
        assert said.err == ([warning] if warned else [])
        off = Destination(Address("127.0.0.1", down))  # what this one offers is not known
        assert warning not in checked(capsys, upstream=(up, off), **limited).err
