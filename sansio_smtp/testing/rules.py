r"""Rules in a unit test: a whole dialogue without a network.

    s = session(my_rules)
    s.mail("ann@example.com")
    assert s.rcpt("bob@old.example") == Reject(550, "5.1.1 That domain has moved")
    s.rcpt("bob@example.com")
    assert s.message(b"Subject: hi\r\n\r\nhello\r\n") is None
    assert s.delivered[0].content.startswith(b"Subject: hi\r\nX-Scanned-By: ")

Each step goes through a real `Proxy` to a server that accepts everything, so the result is what would be on
the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import attrs

from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import Config
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.host import Host
from sansio_smtp.rules.later import run_at_once
from sansio_smtp.rules.loading import rules_of
from sansio_smtp.rules.ruleset import RuleSet

from .chunks import Chunker, whole
from .peers import FakeServer
from .steps import Said, Step, Steps, client_at, willing_server

__all__ = ["AsyncSession", "Session", "async_session", "session"]

Run: TypeAlias = Callable[[Callable[[], Step]], Said]
"""Runs an async function to its end and returns its result, as ``trio.run`` does."""


def session(
    *rules: object,
    ip: str = "192.0.2.1",
    helo: str = "client.example",
    login: str | None = None,
    login_unknown: bool = False,
    server: Callable[[], FakeServer] | None = None,
    host: Host | None = None,
    config: Config | None = None,
    on_error: OnError | None = None,
    run: Run | None = None,
    client: ClientInfo | None = None,
    cut: Chunker = whole,
) -> Session:
    """A client that has connected, sent EHLO, and logged in if ``login`` is given, as far as the rules allow.
    With ``login_unknown`` it logs in with a mechanism that does not tell who it is.

    ``rules``: modules, functions, rule classes or instances, lists of them, or one `RuleSet`. An empty ``ip``
    means a client on a unix socket; ``client`` says more of the client than its address, such as its TLS, and
    takes the place of ``ip``. ``server`` makes the upstream server, once for each connection to one. A rule
    that fails raises its error in the test; with ``on_error`` the client is answered as in a running proxy
    instead. ``run`` is needed if an async rule really waits, as in ``run=trio.run``. ``cut`` cuts what the
    client sends into segments, such as `bytewise`.

    Used as ``with session(...) as s:``, it adds the dialogue to the error of a test that fails.
    """
    known = client or client_at(ip)
    made = Session(_ruleset(rules), known, server or willing_server, host, config, on_error, cut, run)
    made.connect()
    if made.ok:
        made.helo(helo)
    if login is not None and made.ok:
        made.auth(login)
    elif login_unknown and made.ok:
        made.auth("", mechanism="GSSAPI")
    return made


async def async_session(
    *rules: object,
    ip: str = "192.0.2.1",
    helo: str = "client.example",
    login: str | None = None,
    login_unknown: bool = False,
    server: Callable[[], FakeServer] | None = None,
    host: Host | None = None,
    config: Config | None = None,
    on_error: OnError | None = None,
    client: ClientInfo | None = None,
    cut: Chunker = whole,
) -> AsyncSession:
    """Like `session`, for tests that are async themselves: each step is awaited."""
    known = client or client_at(ip)
    made = AsyncSession(_ruleset(rules), known, server or willing_server, host, config, on_error, cut)
    await made.connect()
    if made.ok:
        await made.helo(helo)
    if login is not None and made.ok:
        await made.auth(login)
    elif login_unknown and made.ok:
        await made.auth("", mechanism="GSSAPI")
    return made


def _ruleset(rules: tuple[object, ...]) -> RuleSet:
    only = rules[0] if len(rules) == 1 else None
    return only if isinstance(only, RuleSet) else rules_of(*rules)


@attrs.define(eq=False, repr=False)
class Session(Steps[Said]):
    """A dialogue whose steps return when they are done; see `session`."""

    _run: Run | None = None

    def _step(self, do: Callable[[], Coroutine[Any, Any, None]]) -> Said:
        if self._run is not None:
            return self._run(lambda: self._perform(do))
        try:
            said: Said = run_at_once(self._perform(do))
        except (RuntimeError, LocalProtocolError) as error:
            if any(rule.is_async for rule in self.rules.rules):
                error.add_note("If a rule waits for something, use session(..., run=trio.run).")
            raise
        return said


@attrs.define(eq=False, repr=False)
class AsyncSession(Steps[Step]):
    """A dialogue whose steps are awaited; see `async_session`."""

    def _step(self, do: Callable[[], Coroutine[Any, Any, None]]) -> Step:
        return self._perform(do)
