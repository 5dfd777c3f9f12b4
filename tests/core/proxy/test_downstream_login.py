from __future__ import annotations

from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Config, LoginMode
from sansio_smtp.events import Event, SendToClient
from sansio_smtp.proxy.downstream import Downstream
from sansio_smtp.sasl_client import LoginAttempt
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import Login


def kept() -> tuple[Downstream, LoginAttempt]:
    downstream = Downstream(Config(), [])
    attempt = LoginAttempt("PLAIN", "Ann", b"secret")
    downstream.keep_attempt(attempt, Login("ann", "Ann"))
    return downstream, attempt


def test_an_attempt_counts_when_it_is_accepted() -> None:
    downstream, attempt = kept()
    assert downstream.login is None
    assert not downstream.authenticated
    downstream.accept_attempt()
    assert downstream.login == Login("ann", "Ann")
    assert downstream.authenticated
    assert downstream.attempt is attempt  # another server may have to be told it


def test_an_attempt_that_is_dropped_is_wiped() -> None:
    downstream, attempt = kept()
    downstream.drop_attempt()
    downstream.drop_attempt()
    assert downstream.attempt is None
    assert attempt.password() == ""


def test_the_end_wipes_it() -> None:
    downstream, attempt = kept()
    downstream.close()
    assert attempt.password() == ""


def test_a_client_that_begins_anew_has_said_nothing() -> None:
    downstream, attempt = kept()
    downstream.rename(ClientInfo(tls=TlsInfo(version="TLSv1.3")), None)
    assert attempt.password() == ""


def told(mode: LoginMode, line: bytes, reply: Reply) -> tuple[bytes, bytes | None]:
    """What the client gets and what is shown of a reply in which a server repeats a secret."""
    out: list[Event] = []
    downstream = Downstream(Config(login_mode=mode), out)
    downstream.greet(Reply.of(220, "hi"))
    downstream.keep_secret(Command.parse(b"AUTH PLAIN AGFubgBzZXNhbWUtMTc="))
    downstream.end.receive_data(line + b"\r\n")
    downstream.end.next_event()
    downstream.fill(downstream.end.newest, reply)
    (*_, sent) = out
    assert isinstance(sent, SendToClient)
    return sent.data, sent.shown


def test_a_secret_that_a_server_repeats_may_not_be_the_clients() -> None:
    reply, masked = Reply.of(250, "ok, sesame-17"), b"250 ok, ********\r\n"
    for mode in (LoginMode.INJECT, LoginMode.TRANSLATE):
        assert told(mode, b"NOOP", reply) == (masked, masked)
        assert told(mode, b"NOOP", Reply.of(250, "ok")) == (b"250 ok\r\n", b"250 ok\r\n")
        assert told(mode, b"EHLO sesame-17", reply) == (reply.raw, masked)
    assert told(LoginMode.RELAY, b"NOOP", reply) == (reply.raw, masked)
