"""The exhaustive check finds what is planted in the rules of TLS and of who the client is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from sansio_smtp import CLIENT, SERVER, Event, Phase, Proxy, SendToServer, Side
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.events import Close, StartTLS
from sansio_smtp.proxy import server_setup
from sansio_smtp.proxy.upstream import Upstream
from sansio_smtp.states import FRAMING, Step

from .configurations import CONFIGURATIONS
from .dialogue import script
from .search import explore


def fault(name: str, make: Callable[..., Proxy] = Proxy, **changes: Any) -> str:
    """The first fault that is found; its dialogue shows it by itself too."""
    configuration = attrs.evolve(CONFIGURATIONS[name], **changes)
    (found, *_) = explore(configuration, make=make, depth=9).found
    _, broken = script(configuration, found.path, make)
    assert broken == found.what
    return found.what


def nothing(*_: object, **__: object) -> None:
    """Stands for a method."""


GREETED = ("S: 220 s greeting",)
RENAMED = {"lines": ("XCLIENT ADDR=192.0.2.2", "AUTH PLAIN AGA", "MAIL FROM:<m>"), "start": GREETED}
ENCRYPTED = {"lines": ("EHLO c", "STARTTLS", "MAIL FROM:<m>"), "start": GREETED}
FORWARDED = {"lines": ("EHLO c", "MAIL FROM:<m>", "RSET"), "start": GREETED, "ask": frozenset()}


@pytest.mark.parametrize(
    ("owner", "method", "name", "changes", "what"),
    [
        (ServerConnection, "injected", "tls-client-pipelined", {}, "P12: octets before the handshake"),
        (
            Upstream,
            "greet_again",
            "tls-client",
            ENCRYPTED,
            "order: MAIL to a server that has accepted no EHLO",
        ),
        (
            Upstream,
            "greet_again",
            "identity-in",
            RENAMED,
            "order: MAIL to a server that has accepted no EHLO",
        ),
        (Upstream, "go_stale", "identity-in", RENAMED, "login: AUTH to a server that knows another client"),
    ],
)
def test_what_is_not_done_is_missed(
    owner: type, method: str, name: str, changes: Any, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, method, nothing)
    usual = {"signals": False, "in_flight": 3 if "pipelined" in name else 1, "routes": ()}
    assert fault(name, **usual | changes).startswith(what)


def test_plain_text_where_tls_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_setup, "_NO_TLS", None)
    assert fault("tls-server-encrypt") == "TLS: NOOP in plain text"


def test_a_transaction_whose_client_was_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_setup, "_forward", lambda *_: None)
    usual = {"signals": False, "in_flight": 1, "routes": ()}
    assert fault("identity-forwarded", **usual | FORWARDED).startswith(
        "identity: MAIL to a server that does not"
    )


@pytest.mark.parametrize(
    ("phase", "step", "following"),
    [(Phase.BLOCKED, Step.START_TLS, Phase.COMMAND), (Phase.TLS, Step.TLS_STARTED, Phase.TLS)],
)
def test_a_wrong_transition_is_found(
    monkeypatch: pytest.MonkeyPatch, phase: Phase, step: Step, following: Phase
) -> None:
    monkeypatch.setitem(FRAMING[phase], step, following)
    assert fault("tls-client").startswith("P")


class NeverBegins(Proxy):
    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        return [event for event in super().receive_from(side, data) if not isinstance(event, StartTLS)]


class SpeaksIntoTheHandshake(Proxy):
    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        events = super().receive_from(side, data)
        if StartTLS(SERVER) in events:
            events.append(SendToServer(b"EHLO c\r\n"))
        return events


class GoesOnAfterOctetsInTheHandshake(Proxy):
    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        if side is CLIENT and self.states[0] is Phase.TLS:
            return []
        return super().receive_from(side, data)


class GoesOnInPlainText(Proxy):
    def tls_failed(self, side: Side, why: str) -> list[Event]:
        return [Close(CLIENT)] if side is CLIENT else super().tls_failed(side, why)


@pytest.mark.parametrize(
    ("make", "name", "what"),
    [
        (NeverBegins, "tls-client", "P11: the TLS handshake with the client never begins"),
        (NeverBegins, "tls-server", "P11: the TLS handshake with the server never begins"),
        (SpeaksIntoTheHandshake, "tls-server", "P12: EHLO within the TLS handshake with the server"),
        (GoesOnAfterOctetsInTheHandshake, "tls-client", "P12: octets before the handshake"),
        (GoesOnInPlainText, "tls-client", "P12: the client is closed, but not the dialogue"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_planted_fault_is_found(make: type[Proxy], name: str, what: str) -> None:
    assert fault(name, make).startswith(what)
