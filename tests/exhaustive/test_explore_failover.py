"""The exhaustive check finds what is planted where servers are left for others, and where they are kept."""

from __future__ import annotations

import attrs
import pytest

from sansio_smtp.proxy import failover
from sansio_smtp.proxy.failover import Failover
from sansio_smtp.proxy.keeping import Keeping

from .configurations import CONFIGURATIONS
from .dialogue import script
from .search import explore

HELLO = ("S: 220 s greeting", "C: EHLO c", "S: 250 s EHLO c")
MAIL = ("C: MAIL FROM:<m>", "S: 250 s MAIL FROM:<m>", "C: RCPT TO:<r1>", "S: 250 s RCPT TO:<r1>")
DATA = ("C: DATA", "S: 354 s DATA", "C: a: b")


def fault(name: str, *start: str, lines: tuple[str, ...]) -> str:
    """The first fault that is found; its dialogue shows it by itself too."""
    configuration = attrs.evolve(CONFIGURATIONS[name], start=(*HELLO, *start), lines=lines, in_flight=1)
    (found, *_) = explore(configuration, depth=6).found
    _, broken = script(configuration, found.path)
    assert broken == found.what
    return found.what


def test_a_login_that_is_sent_to_a_second_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "_AGAIN", failover._AGAIN | {b"AUTH"})
    assert fault("failover", lines=("AUTH PLAIN AGA",)) == "login: AUTH PLAIN AGA is sent to a second server"


def test_a_recipient_that_the_next_server_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failover, "_is_possible", lambda _: True)
    wrong = fault("failover", *MAIL, lines=("RSET",))
    assert wrong.startswith("envelope: a server is left that has accepted")


def test_a_message_whose_server_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failover, "_is_possible", lambda _: True)
    assert "DETACHED does not go with message STREAMING" in fault("failover", *MAIL, *DATA, lines=("RSET",))


def test_a_kept_server_that_knows_of_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Keeping, "_is_clean", lambda *_: True)
    assert fault("keep", lines=("AUTH PLAIN AGA", "QUIT")).startswith("keep: ")
