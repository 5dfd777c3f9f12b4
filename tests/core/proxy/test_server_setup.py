"""What a server must be sent before the next command of the client, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from each import each

from sansio_smtp.client_info import ClientInfo, Forwarded, TlsInfo
from sansio_smtp.config import Config, SendClient, UpstreamTls
from sansio_smtp.networks import Networks
from sansio_smtp.proxy.downstream import Downstream
from sansio_smtp.proxy.server_setup import Lack, begins_transaction, next_step, requires_tls
from sansio_smtp.proxy.upstream import Carried, Upstream
from sansio_smtp.wire.commands import Command, auth_line
from sansio_smtp.wire.replies import Reply

EHLO, HELO, MAIL = Command.of("EHLO me"), Command.of("HELO me"), Command.of("MAIL FROM:<a>")
RCPT, NOOP, QUIT = Command.of("RCPT TO:<b>"), Command.of("NOOP"), Command.of("QUIT")
CLIENT = ClientInfo(address="192.0.2.1:51000")
NAME = "NAME=[UNAVAILABLE] ADDR=192.0.2.1"


class Server:
    """A leg, and what has been said on it."""

    def __init__(self, *, client: ClientInfo = CLIENT, **settings: object) -> None:
        self.config = Config(**settings)  # type: ignore[arg-type]
        self.client = Downstream(self.config, [], client)
        self.leg = Upstream(self.config)
        self.leg.connected()
        self._hears("220 mx")
        self.leg.greeted()
        self.leg.set_up()

    def says(self, line: str | Command, *replies: str) -> Server:
        self.leg.end.send_command(Command.of(line) if isinstance(line, str) else line)
        self._hears(*replies)
        return self

    def offers(self, *keywords: str) -> Server:
        lines = ["mx", *keywords]
        replies = [f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines]
        return self.says("EHLO me", "\r\n".join(replies))

    def encrypted(self) -> Server:
        self.says("STARTTLS", "220 go")
        self.leg.tls_started(TlsInfo(version="TLSv1.3"))
        return self

    def step(self, command: Command = EHLO) -> str | None:
        found = next_step(self.config, self.leg, self.client, command)
        if isinstance(found, Lack):
            return f"lack {found.reply.code}: {found.why}"
        return found.raw.decode() if found is not None else None

    def _hears(self, *replies: str) -> None:
        self.leg.end.receive_data(b"".join(reply.encode() + b"\r\n" for reply in replies))
        for _ in replies:
            self.leg.end.next_event()


def client_said(server: Server, line: str) -> None:
    """The client was told 2xx to this EHLO or HELO."""
    end = server.client.end
    end.send_reply(Reply.of(220))
    end.receive_data(line.encode() + b"\r\n")
    end.next_event()
    server.client.fill(end.exchanges[0], Reply.of(250))


@pytest.mark.parametrize("command", [EHLO, HELO, MAIL, RCPT, NOOP])
def test_by_default_it_lacks_nothing(command: Command) -> None:
    assert Server().step(command) is None


@each("level", UpstreamTls)
@each("send", SendClient)
def test_for_quit_it_never_lacks_anything(level: UpstreamTls, send: SendClient) -> None:
    assert Server(upstream_tls=level, send_client=send).step(QUIT) is None


# TLS


@each("level", [UpstreamTls.MAY, UpstreamTls.ENCRYPT, UpstreamTls.VERIFY])
@each(
    ("command", "name"),
    [(EHLO, "me"), (HELO, "me"), (MAIL, "localhost"), (NOOP, "localhost"), (Command.of("HELO"), "localhost")],
)
def test_starttls_comes_before_the_clients_command(level: UpstreamTls, command: Command, name: str) -> None:
    server = Server(upstream_tls=level)
    assert server.step(command) == f"EHLO {name}"
    server.leg.introduce()
    assert server.offers("STARTTLS").step(command) == "STARTTLS"
    after = None if command.verb in (b"EHLO", b"HELO") else f"EHLO {name}"
    assert server.encrypted().step(command) == after, "nothing is known that came in plain text"


@pytest.mark.parametrize("replies", [("mx",), ()])
def test_a_server_without_starttls(replies: Sequence[str]) -> None:
    for level in (UpstreamTls.MAY, UpstreamTls.ENCRYPT, UpstreamTls.VERIFY):
        server = Server(upstream_tls=level)
        server.offers() if replies else server.says("EHLO me", "502 no")
        expected = "lack 421: it does not offer STARTTLS, which is required" if level.required else None
        assert server.step() == expected


def test_a_server_that_refused_starttls() -> None:
    server = Server(upstream_tls=UpstreamTls.MAY).offers("STARTTLS").says("STARTTLS", "454 no")
    server.leg.refuse_tls()
    assert server.step() is None


# XCLIENT


@pytest.mark.parametrize(("command", "proto"), [(EHLO, "ESMTP"), (HELO, "SMTP")])
def test_xclient(command: Command, proto: str) -> None:
    server = Server(send_client=SendClient.XCLIENT)
    assert server.step(command) == "EHLO me"
    server.offers("XCLIENT ADDR NAME PROTO HELO")
    assert server.step(command) == f"XCLIENT {NAME} PROTO={proto} HELO=me"
    server.says("XCLIENT ADDR=192.0.2.1", "220 mx")
    server.leg.take_name()
    assert server.step(command) is None
    assert server.step(MAIL) == "EHLO localhost"


@pytest.mark.parametrize("offer", ["XFORWARD NAME", "XCLIENT", "XCLIENT ODD"])
def test_a_server_that_does_not_let_us_say_who_the_client_is(offer: str) -> None:
    server = Server(send_client=SendClient.XCLIENT).offers(offer)
    assert server.step() == "lack 421: it does not offer XCLIENT to this proxy"


def test_xclient_comes_after_tls() -> None:
    server = Server(send_client=SendClient.XCLIENT, upstream_tls=UpstreamTls.MAY)
    server.offers("STARTTLS", "XCLIENT ADDR")
    assert server.step() == "STARTTLS"
    assert server.encrypted().step() == "EHLO me"
    assert server.offers("XCLIENT ADDR").step() == "XCLIENT ADDR=192.0.2.1"


def test_auto_goes_without() -> None:
    server = Server(send_client=SendClient.AUTO)
    assert server.step() == "EHLO me"
    assert server.offers().step() is None
    assert server.step(MAIL) is None


# XFORWARD


@pytest.mark.parametrize("send", [SendClient.XFORWARD, SendClient.AUTO])
def test_xforward_comes_before_each_mail(send: SendClient) -> None:
    server = Server(send_client=send).offers("XFORWARD NAME ADDR")
    for command in (EHLO, RCPT, NOOP):
        assert server.step(command) is None
    for _ in range(2):
        mail = Command.of("MAIL FROM:<a>")
        assert server.step(mail) == f"XFORWARD {NAME}"
        server.leg.take_forwarded(mail)
        assert server.step(mail) is None


@pytest.mark.parametrize("offer", ["DSN", "XFORWARD", "XCLIENT ADDR"])
def test_a_server_without_xforward(offer: str) -> None:
    server = Server(send_client=SendClient.XFORWARD).offers(offer)
    assert server.step(MAIL) == "lack 421: it does not offer XFORWARD to this proxy"


def test_a_client_that_says_helo_or_nothing() -> None:
    server = Server(send_client=SendClient.XFORWARD)
    assert server.step(HELO) == "EHLO me"
    assert server.step(MAIL) == "EHLO localhost"
    server.offers("XFORWARD ADDR").says("HELO me", "250 mx")
    assert server.step(HELO) is None
    assert server.step(MAIL) == "XFORWARD ADDR=192.0.2.1"


def test_auto_sends_on_what_a_relay_has_said_also_after_xclient() -> None:
    relays = Networks.parse(["0.0.0.0/0"])
    server = Server(send_client=SendClient.AUTO, accept_xforward=relays)
    server.leg.take_name()
    server.offers("XFORWARD ADDR")
    assert server.step(MAIL) is None
    server.client.forward_for(Forwarded(ip="192.0.2.9"))
    assert server.step(MAIL) == "XFORWARD ADDR=192.0.2.9"


# EHLO and MAIL, which the client had answered elsewhere


@pytest.mark.parametrize("line", ["EHLO me", "HELO me"])
def test_the_hello_of_the_client(line: str) -> None:
    server = Server()
    client_said(server, line)
    assert server.step(MAIL) == line
    assert server.step(EHLO) is None
    server.says(line, "250 mx")
    assert server.step(MAIL) is None


def test_mail_of_a_transaction_that_began_elsewhere() -> None:
    server = Server(send_client=SendClient.XFORWARD).offers("XFORWARD ADDR")
    server.leg.carried = Carried(MAIL, server.client.end.envelope)
    assert server.step(NOOP) is None
    assert server.step(RCPT) == "XFORWARD ADDR=192.0.2.1"
    server.leg.take_forwarded(RCPT)
    assert server.step(RCPT) == MAIL.raw.decode()
    server.says(MAIL, "250 ok")
    assert server.step(RCPT) is None


@pytest.mark.parametrize(
    ("line", "required"),
    [
        ("MAIL FROM:<a> REQUIRETLS", True),
        ("mail from:<a> size=1 requiretls", True),
        ("MAIL FROM:<requiretls@x>", False),
        ("MAIL FROM: REQUIRETLS", True),
        ("MAIL FROM:<a>", False),
        ("X-ANY REQUIRETLS", False),
    ],
)
def test_a_message_that_requires_tls(line: str, required: bool) -> None:
    """RFC 8689 §2."""
    assert requires_tls(Command.of(line)) is required


def test_what_begins_a_transaction() -> None:
    assert begins_transaction(MAIL)
    assert begins_transaction(Command.of("SOML FROM:<a>"))
    assert not begins_transaction(RCPT)
    assert not begins_transaction(Command.of("X-ANY"))


@pytest.mark.parametrize("line", [b"MAIL FROM:<a> REQUIRETLS", b"REQUIRETLS=="])
def test_a_line_of_an_auth_exchange_is_no_command(line: bytes) -> None:
    assert not requires_tls(auth_line(line))
