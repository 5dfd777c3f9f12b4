"""What rules see of a client that a proxy or relay has named, and of TLS."""

from __future__ import annotations

from sansio_smtp import CLIENT, SERVER, ClientInfo, ClientTls, Config, Networks, TlsInfo
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.rules import Connection, Redirect, Reject, Transaction
from sansio_smtp.rules.loading import rules_of
from sansio_smtp.rules.session import RuleSession
from sansio_smtp.testing import Session, session

RELAY = ClientInfo(address="10.0.0.1:40000")
TRUSTED = Networks.parse(["10.0.0.0/8"])
CONFIG = Config(accept_xclient=TRUSTED, accept_xforward=TRUSTED, reconnect=True)
XCLIENT = "XCLIENT NAME=out.example ADDR=192.0.2.7 PORT=5555 PROTO=ESMTP HELO=out LOGIN=Ann"
XFORWARD = "XFORWARD NAME=far.example ADDR=198.51.100.7 PORT=25 HELO=far PROTO=SMTP IDENT=4F2B SOURCE=REMOTE"


class Seen:
    """Keeps what rules see of the client, by phase."""

    def __init__(self, verdict: object = None) -> None:
        self.seen: list[tuple[object, ...]] = []
        self.verdict = verdict

    def connect(self, conn: Connection) -> object:
        self._note("connect", conn)
        return self.verdict if conn.ip != RELAY.ip else None

    def mail(self, tx: Transaction, sender: object) -> None:
        self._note("mail", tx.conn)

    def rcpt(self, tx: Transaction, to: object) -> None:
        self._note("rcpt", tx.conn)

    def _note(self, phase: str, conn: Connection) -> None:
        self.seen.append((phase, conn.ip, conn.port, conn.name, conn.helo, conn.login, conn.proxy_ip))


def talk(seen: Seen, config: Config = CONFIG) -> Session:
    return session(seen, client=RELAY, config=config)


def test_after_xclient_rules_see_the_client_that_was_named() -> None:
    seen = Seen()
    s = talk(seen)
    s.command(XCLIENT)
    assert s.reply is not None
    assert s.reply.code == 220
    s.mail("a@b")
    assert seen.seen == [
        ("connect", "10.0.0.1", 40000, "", "", None, ""),
        ("connect", "192.0.2.7", 5555, "out.example", "out", "ann", "10.0.0.1"),
        ("mail", "192.0.2.7", 5555, "out.example", "out", "ann", "10.0.0.1"),
    ]


def test_a_client_that_was_named_can_be_refused() -> None:
    s = talk(Seen(Reject(554, "5.7.1 not you")))
    s.command(XCLIENT)
    assert str(s.reply) == "554 5.7.1 not you"
    assert s.closed


def test_a_client_that_was_named_can_have_another_server() -> None:
    s = talk(Seen(Redirect("other.example:25")))
    s.command(XCLIENT)
    s.helo("me")
    s.mail("a@b")
    assert s.ok
    assert [name for name, _ in s.servers] == [None, "other.example:25"]


def test_an_address_that_is_not_known_is_not_that_of_the_peer() -> None:
    seen = Seen()
    s = talk(seen)
    s.command("XCLIENT ADDR=[UNAVAILABLE] HELO=[UNAVAILABLE]")
    assert seen.seen[-1] == ("connect", "", None, "", "", None, "10.0.0.1")


def test_rules_see_the_client_of_xforward_until_the_transaction_ends() -> None:
    seen = Seen()
    s = talk(seen)
    for _ in range(2):
        s.command(XFORWARD)
        s.mail("a@b")
        s.rcpt("c@d")
        s.command("RSET")
        s.mail("a@b")
        s.command("RSET")
    outside = ("198.51.100.7", 25, "far.example", "far", None, "10.0.0.1")
    relay = ("10.0.0.1", 40000, "", "client.example", None, "")
    assert seen.seen[1:] == [("mail", *outside), ("rcpt", *outside), ("mail", *relay)] * 2
    assert s.conn.ident == ""


def test_starttls_makes_rules_forget_what_the_client_said() -> None:
    rules = rules_of(Seen())
    proxy = Proxy(Config(tls=ClientTls.MAY), rules.ask, client=RELAY)
    made = RuleSession(rules, proxy)
    proxy.receive_from(SERVER, b"220 mx\r\n")
    proxy.receive_from(CLIENT, b"EHLO me\r\n")
    proxy.receive_from(SERVER, b"250 mx\r\n")
    made.learn()
    assert (made.conn.helo, made.conn.tls) == ("me", None)
    proxy.receive_from(CLIENT, b"STARTTLS\r\n")
    proxy.tls_started(CLIENT, TlsInfo(version="TLSv1.3"))
    made.learn()
    assert (made.conn.helo, made.conn.tls) == ("", TlsInfo(version="TLSv1.3"))
    assert made.conn.ip == "10.0.0.1"
