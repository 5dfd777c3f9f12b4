"""The examples that are no proxy: a server that prints mail, a client that sends it, and a property. The
proxies are tested in test_drivers.py."""

from __future__ import annotations

import ast
import asyncio
import re
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trustme
from drivers import Peer, Upstream, upstream
from hypothesis import example, given

from sansio_smtp import Command, Envelope
from sansio_smtp.rules import Reject
from sansio_smtp.testing import Dialogue, Sizes, Turn, bytewise, session, whole
from sansio_smtp.testing.strategies import cuts, dialogues
from sansio_smtp.wire.reply_reader import ReplyReader

__all__ = ["upstream"]  # a fixture

EXAMPLES = Path(__file__).parent.parent / "examples"
HELLO = EXAMPLES / "hello.eml"
PAGE = EXAMPLES.parent / "docs" / "how-to" / "own-server-and-client.md"


@pytest.fixture(scope="module", autouse=True)
def examples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        yield


def test_each_example_says_how_to_run_it() -> None:
    programs = [file for file in EXAMPLES.glob("*.py") if file.stem not in ("common", "starttls", "my_rules")]
    assert len(programs) == 7
    for file in programs:
        about = ast.get_docstring(ast.parse(file.read_text())) or ""
        assert re.search(rf"^    (python|pytest -q) examples/{file.name}", about, re.M), file


# The server


class Writer:
    """Takes what a server sends."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.closed = False

    def write(self, octets: bytes) -> None:
        assert not self.closed
        self.sent += octets

    async def drain(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def served(octets: bytes, cut: Callable[[bytes], Any] = whole) -> list[str]:
    """The replies to a client that sends this, and then no more."""
    module, writer = import_module("print_mail"), Writer()

    async def run() -> None:
        reader = asyncio.StreamReader()
        for piece in cut(octets):
            reader.feed_data(piece)
        reader.feed_eof()
        await module.session(reader, writer)

    asyncio.run(run())
    assert writer.closed
    replies, read = ReplyReader(1 << 20), []
    replies.feed(writer.sent)
    while reply := replies.next_reply():
        read.append(str(reply))
    assert replies.empty
    return read


MAIL = b"EHLO me\r\nMAIL FROM:<ann@me.example>\r\nRCPT TO:<bob@mx.example>\r\n"


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_a_message_is_printed(cut: Any, capsys: pytest.CaptureFixture[str]) -> None:
    message = b"DATA\r\nSubject: \x1b[2Jgr\xc3\xbc\xc3\x9fe\r\n\r\n..dot\r\n.\r\nQUIT\r\n"
    *_, kept, bye = served(MAIL + message, cut)
    assert (kept, bye) == ("250 ok", "221 bye")
    assert capsys.readouterr().out == (
        "MAIL FROM:<ann@me.example>\nRCPT TO:<bob@mx.example>\nSubject: [2Jgrüße\n\n.dot\n\n"
    )


@pytest.mark.parametrize(
    ("octets", "last"),
    [
        (b"", "220 print.example ESMTP"),
        (b"EHLO", "220 print.example ESMTP"),
        (MAIL, "250 ok"),
        (MAIL + b"DATA\r\n", "354 go ahead"),
        (MAIL + b"DATA\r\nSubject: x\r\n", "354 go ahead"),
        (MAIL + b"BDAT 3\r\nab", "250 ok"),
        (MAIL + b"BDAT 3 LAST\r\nabc", "502 not known here"),
        (MAIL + b"BDAT 3\r\nabc", "502 not known here"),
        (MAIL + b"BDAT x\r\n", "501 5.5.4 BDAT without a valid octet count; closing"),
        (b"DATA\r\n", "503 MAIL, RCPT, DATA: in this order"),
        (b"RCPT TO:<bob@mx.example>\r\n", "503 MAIL, RCPT, DATA: in this order"),
        (b"XODD\r\n", "502 not known here"),
        (b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", "502 not known here"),
        (b"VRFY bob\r\n", "252 send it, and see"),
    ],
)
def test_clients_that_stop_or_go_astray(octets: bytes, last: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert served(octets)[-1] == last
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "octets", [b"\x16\x03\x01", b"GET / HTTP/1.0\r\n", b"x" * 100_000, b"\xff\0\r\n", b"\r\n" * 50]
)
def test_what_is_no_smtp_is_refused(octets: bytes) -> None:
    assert served(octets)[-1].startswith("5")


def test_a_message_that_is_too_large(capsys: pytest.CaptureFixture[str]) -> None:
    large = b"x" * 1000 + b"\r\n"
    replies = served(MAIL + b"DATA\r\n" + large * 10_000 + b".\r\nNOOP\r\n")
    assert replies[-2].startswith("552 ")
    assert replies[-1] == "250 ok"
    assert capsys.readouterr().out == ""


@given(dialogues(), cuts())
@example(Dialogue((Turn(b"STARTTLS"), Turn(b"NOOP"))), Sizes())
def test_no_client_breaks_the_server(dialogue: Dialogue, cut: Sizes) -> None:
    assert served(b"EHLO me\r\n" + dialogue.octets, cut)[0] == "220 print.example ESMTP"


# The client


CA = trustme.CA()


@pytest.fixture
def send(upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs the client against the server. Its message if it fails, or an empty string."""
    CA.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    module: ModuleType = import_module("send_mail")
    monkeypatch.setenv("SMTP_PASSWORD", "secret")

    def run(*options: str, script: Callable[[Peer], None], file: Path = HELLO) -> str:
        arguments = [f"127.0.0.1:{upstream.port}", "ann@me.example", "bob@mx.example", str(file)]
        arguments += ["--ca", str(tmp_path / "ca.pem"), "--timeout", "20", *options]
        monkeypatch.setattr(sys, "argv", ["send_mail.py", *arguments])
        with upstream.plays(script):
            try:
                module.main()
            except SystemExit as ended:
                return str(ended.code)
        return ""

    return run


def to_tls(peer: Peer, name: str = "127.0.0.1", injected: Sequence[bytes] = ()) -> None:
    """A server, up to the TLS handshake, and with it. The lines ``injected`` come before it."""
    peer.send(b"220 mx.example ESMTP")
    peer.expect(b"EHLO client.example")
    peer.send(b"250-mx.example", b"250 STARTTLS")
    peer.expect(b"STARTTLS")
    peer.send(b"220 begin", *injected)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CA.issue_cert(name).configure_cert(context)
    peer.sock = context.wrap_socket(peer.sock, server_side=True)


def to_data(peer: Peer) -> None:
    to_tls(peer)
    peer.expect(b"EHLO client.example")
    peer.send(b"250-mx.example", b"250 AUTH LOGIN PLAIN")
    peer.expect(b"AUTH PLAIN AGFubgBzZWNyZXQ=")
    peer.send(b"235 welcome")
    for line in (b"MAIL FROM:<ann@me.example>", b"RCPT TO:<bob@mx.example>"):
        peer.expect(line)
        peer.send(b"250 ok")
    peer.expect(b"DATA")
    peer.send(b"354 go ahead")


def test_a_message_is_sent(send: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    messages: list[bytes] = []

    def script(peer: Peer) -> None:
        to_data(peer)
        messages.append(peer.message())
        peer.send(b"250 kept")
        peer.expect(b"QUIT")
        peer.send(b"221 bye")

    assert send("--user", "ann", script=script) == ""
    assert messages == [HELLO.read_bytes().replace(b"\n", b"\r\n")]
    out = capsys.readouterr().out
    assert "C: AUTH PLAIN ********\nS: 235 welcome\n" in out
    assert "AGFub" not in out


def test_a_server_without_tls_gets_no_mail(send: Callable[..., str]) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"220 mx.example")
        peer.expect(b"EHLO client.example")
        peer.send(b"250 mx.example")
        assert peer.rest() == b""

    said = send(script=script)
    assert said == "not sent: the server does not offer STARTTLS; --no-tls sends in plain text"


def test_the_client_sends_to_the_server_in_plain_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the docstring of the server says, and the page about both."""
    server, client = import_module("print_mail"), import_module("send_mail")
    for shown in (server.__doc__ or "", PAGE.read_text()):
        option, *arguments = re.findall(
            r"python examples/send_mail.py (--no-tls) 127.0.0.1:2525 (\S+) (\S+) examples/hello.eml", shown
        )[0]
    arguments.append(str(HELLO))

    async def run() -> None:
        async with await asyncio.start_server(server.session, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            monkeypatch.setattr(sys, "argv", ["send_mail.py", option, f"127.0.0.1:{port}", *arguments])
            await asyncio.to_thread(client.main)

    asyncio.run(run())
    out = capsys.readouterr().out
    assert "C: QUIT\nS: 221 bye\n" in out
    assert f"MAIL FROM:<ann@me.example>\nRCPT TO:<bob@mx.example>\n{HELLO.read_text()}" in out


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("print_mail", "", "the following arguments are required: HOST:PORT"),
        (
            "print_mail",
            "localhost",
            "argument HOST:PORT: 'localhost' is no host and port, such as 127.0.0.1:2525",
        ),
        ("send_mail", "", "the following arguments are required: HOST:PORT, sender, recipient, file"),
        ("send_mail", "mx.example a@a b@b FILE", "argument HOST:PORT: 'mx.example' is no host and port"),
        ("send_mail", "mx.example:25 a@a b@b no.eml", "argument file: there is no file 'no.eml'"),
        ("send_mail", "mx.example:25 a@a b@b FILE --ca no.pem", "argument --ca: there is no file 'no.pem'"),
        ("send_mail", "mx.example:25 a@a b@b FILE --user ann", "--user needs the password in the variable"),
        ("send_mail", "mx.example:25 a@a b@b FILE --user ann --no-tls", "--user needs TLS"),
    ],
)
def test_wrong_arguments(
    program: str,
    arguments: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("SMTP_PASSWORD", raising=False)
    monkeypatch.setattr(sys, "argv", [program, *arguments.replace("FILE", str(HELLO)).split()])
    with pytest.raises(SystemExit) as ended:
        import_module(program).main()
    assert ended.value.code == 2
    assert f"error: {said}" in capsys.readouterr().err


@pytest.mark.parametrize("program", ["print_mail", "send_mail"])
def test_help(program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    with pytest.raises(SystemExit, match="0"):
        import_module(program).main()
    assert "HOST:PORT" in capsys.readouterr().out


def test_a_port_that_is_in_use_or_is_none(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    for port in (upstream.port, 70_000):
        monkeypatch.setattr(sys, "argv", ["print_mail.py", f"127.0.0.1:{port}"])
        with pytest.raises(SystemExit, match=f"cannot listen on 127.0.0.1:{port}: "):
            import_module("print_mail").main()


def test_a_port_that_no_server_listens_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["send_mail.py", "127.0.0.1:70000", "a@a", "b@b", str(HELLO)])
    with pytest.raises(SystemExit, match="not sent: "):
        import_module("send_mail").main()


def test_a_certificate_of_somebody_else(send: Callable[..., str]) -> None:
    def script(peer: Peer) -> None:
        with pytest.raises(ssl.SSLError):
            to_tls(peer, "other.example")

    assert "certificate verify failed" in send(script=script)


def test_octets_before_the_handshake_are_not_read(send: Callable[..., str]) -> None:
    def script(peer: Peer) -> None:
        to_tls(peer, injected=(b"250-mx.example", b"250 AUTH PLAIN"))
        peer.is_reset()

    assert send(script=script).startswith("not sent: octets came before the TLS handshake")


def test_a_server_without_logins(send: Callable[..., str]) -> None:
    def script(peer: Peer) -> None:
        to_tls(peer)
        peer.expect(b"EHLO client.example")
        peer.send(b"250 AUTH GSSAPI")
        peer.is_reset()

    assert send("--user", "ann", script=script) == "not sent: the server does not offer AUTH PLAIN"


@pytest.mark.parametrize(
    ("line", "answer"),
    [(b"MAIL", b"450 later"), (b"RCPT", b"550 nobody"), (b"DATA", b"554 no"), (b"EHLO", b"421 bye")],
)
def test_a_server_that_refuses(send: Callable[..., str], line: bytes, answer: bytes) -> None:
    def script(peer: Peer) -> None:
        to_tls(peer)
        while not (command := peer.line()).startswith(line):
            peer.send(b"250 ok")
        assert command
        peer.send(answer)
        peer.is_reset()

    refusal = send(script=script)
    assert refusal.startswith(f"not sent: {line.decode()}")
    assert refusal.endswith(f": {answer.decode()}")


def test_a_message_that_is_refused(send: Callable[..., str]) -> None:
    def script(peer: Peer) -> None:
        to_data(peer)
        peer.message()
        peer.send(b"554 5.7.1 spam")
        peer.is_reset()

    assert send("--user", "ann", script=script) == "not sent: the message: 554 5.7.1 spam"


@pytest.mark.parametrize("said", [0, 1, 2, 3, 4, 5, 6])
def test_a_server_that_goes_away(send: Callable[..., str], said: int) -> None:
    """After each of its replies."""

    def script(peer: Peer) -> None:
        if said == 0:
            return
        if said == 1:
            peer.send(b"220 mx.example")
            peer.line()
            return
        to_tls(peer)
        for answer in [b"250 mx.example", b"250 ok", b"250 ok", b"354 go ahead"][: said - 2]:
            peer.line()
            peer.send(answer)
        if said == 6:
            peer.message()
        else:
            peer.line()

    assert re.match("not sent: .+", send(script=script))


@pytest.mark.parametrize("place", ["greeting", "EHLO", "under TLS"])
def test_garbage_from_a_server(send: Callable[..., str], place: str) -> None:
    def script(peer: Peer, octets: bytes) -> None:
        if place == "under TLS":
            to_tls(peer)
            peer.line()
        elif place == "EHLO":
            peer.send(b"220 mx.example")
            peer.line()
        try:
            peer.raw(octets)
            peer.is_reset()
        except OSError:
            pass  # the client has gone before it has read all of it

    for octets in (b"hello\r\n", b"250-a\r\n550 b\r\n", b"250 ok\n", b"250 " + b"x" * 1_000_000):
        said = send(script=lambda peer, octets=octets: script(peer, octets))
        assert "the server does not speak SMTP" in said


def test_content_that_cannot_be_sent(send: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "nul.eml").write_bytes(b"a\r\n\0.\r\nb\r\n")

    def script(peer: Peer) -> None:
        to_data(peer)
        peer.is_reset()

    said = send("--user", "ann", script=script, file=tmp_path / "nul.eml")
    assert said.startswith("not sent: this message cannot be sent: ")


def test_an_address_that_would_be_two_commands(send: Callable[..., str], monkeypatch: Any) -> None:
    module = import_module("send_mail")

    def script(peer: Peer) -> None:
        peer.send(b"220 mx.example")
        peer.is_reset()

    original = module.Client.say
    monkeypatch.setattr(module.Client, "say", lambda self, line: original(self, f"{line}\r\nQUIT"))
    assert "must not hold CR" in send(script=script)


# The property


def test_the_property_holds() -> None:
    module = import_module("test_property")
    module.test_no_envelope_gets_through()
    module.test_other_mail_arrives()
    module.test_no_dialogue_gets_through()


def test_the_property_finds_a_rule_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("test_property")
    monkeypatch.setattr(module.my_rules, "rcpt", lambda tx, to: None)
    envelope = Envelope(Command.of("MAIL FROM:<>"), [Command.of("RCPT TO:<bob@old.example>")])
    with pytest.raises(AssertionError) as failed:
        module.test_no_envelope_gets_through.hypothesis.inner_test(envelope, b"")
    assert "C: RCPT TO:<bob@old.example>\n" in "\n".join(failed.value.__notes__)


def test_the_property_finds_a_rule_that_refuses_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("test_property")
    monkeypatch.setattr(module.my_rules, "rcpt", lambda tx, to: Reject(550, "5.1.6 no"))
    envelope = Envelope(Command.of("MAIL FROM:<>"), [Command.of("RCPT TO:<bob@new.example>")])
    with pytest.raises(AssertionError):
        module.test_other_mail_arrives.hypothesis.inner_test(envelope, b"")


def test_a_mark_of_the_sender_is_replaced() -> None:
    with session(import_module("my_rules")) as s:
        s.mail("ann@example.com")
        s.rcpt("bob@example.net")
        s.message(b"X-Scanned-By: nobody\r\nSubject: hi\r\n\r\nhello\r\n")
        assert s.delivered[0].content == b"X-Scanned-By: smtp-proxy\r\nSubject: hi\r\n\r\nhello\r\n"
