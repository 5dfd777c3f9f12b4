from __future__ import annotations

from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Config
from sansio_smtp.proxy.downstream import Downstream
from sansio_smtp.sasl_client import LoginAttempt
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
