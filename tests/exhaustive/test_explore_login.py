"""The exhaustive check finds what is planted in the login of the proxy."""

from __future__ import annotations

import attrs
import pytest

from sansio_smtp.proxy import server_setup
from sansio_smtp.proxy.login_flow import LoginFlow
from sansio_smtp.proxy.upstream import Upstream

from .configurations import CONFIGURATIONS
from .dialogue import script
from .search import explore

GREETED = ("S: 220 s greeting", "C: EHLO c", r"S: 250-s EHLO c\r\n250 AUTH PLAIN")
CONFIGURATION = attrs.evolve(
    CONFIGURATIONS["login-inject"], start=GREETED, lines=("MAIL FROM:<m>", "RSET"), signals=False
)


def fault() -> str:
    """The first fault that is found; its dialogue shows it by itself too."""
    (found, *_) = explore(CONFIGURATION, depth=9).found
    _, broken = script(CONFIGURATION, found.path)
    assert broken == found.what
    return found.what


def test_mail_before_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_setup, "_wants_login", lambda *_: False)
    assert fault().startswith("login: MAIL before the proxy has logged in")


def test_a_login_that_is_not_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Upstream, "log_in", lambda _: None)
    assert fault().startswith("login: AUTH to a server that has accepted one")


def test_a_login_that_is_due_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoginFlow, "close", lambda _: None)
    configuration = CONFIGURATIONS["login-inject-routes"]
    found = explore(configuration, depth=6).found
    assert any("InternalError" in each.what for each in found)
