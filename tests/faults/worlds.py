"""The proxies that are tried, in one table: how they read, what they speak, which rules they have."""

from __future__ import annotations

from typing import Final, Literal

import attrs

from .dialogue import PHASES

__all__ = ["WORLDS", "World"]

Rules = Literal["", "login", "edited", "held", "spooled", "quarantine", "rspamd", "clamd", "redis"]
_TLS: Final = ("starttls", "handshake", "auth")
_SMTPS: Final = ("header", "handshake")
_CHUNKED: Final = ("bdat", "last")
_DATA: Final = ("data", "content", "dot")
_SOMETIMES: Final = {*_TLS, *_SMTPS, *_CHUNKED, *_DATA}
"""Phases that not all worlds have."""


@attrs.frozen(kw_only=True)
class World:
    """One way to run the proxy, and what its peers speak."""

    name: str
    io: Literal["reactor", "tasks", "memory"]
    """How sockets are read; or streams in memory in place of sockets, with tasks."""
    tls: bool = False
    """STARTTLS and AUTH on both legs."""
    smtps: bool = False
    """The client speaks TLS from the first octet, after a PROXY header. It does not log in, and the server
    speaks plain text."""
    login: Literal["relay", "inject", "translate"] = "relay"
    """Who logs in to the server. With ``inject`` the client does not."""
    tokens: bool = False
    """The proxy shows the server access tokens in place of passwords."""
    lmtp: Literal["", "client", "server", "both"] = ""
    """Who speaks LMTP."""
    chunks: bool = False
    """The client sends BDAT."""
    pipelined: bool = False
    """The client sends MAIL to DATA in one group."""
    servers: int = 1
    """More than one: a list, the first of which fails."""
    kept: bool = False
    """Connections to the server are kept for the next client."""
    limits: Literal["", "messages", "connections"] = ""
    """What may come at a low rate only; all other limits of the service are tight then too (`limits`)."""
    reloads: bool = False
    """Rules, certificates and server are replaced (`reloads`) at the moment of the fault."""
    rules: Rules = ""
    parties: tuple[str, ...] = ("server", "client")
    focus: tuple[str, ...] = ()
    """If there are any, the phases for which this world is made. Of the faults of server and client in all
    others every fourth is tried: each way to fail in a quarter of the phases, other ones in each world."""

    @property
    def lmtp_client(self) -> bool:
        return self.lmtp in ("client", "both")

    @property
    def lmtp_server(self) -> bool:
        return self.lmtp in ("server", "both")

    @property
    def encrypts(self) -> bool:
        """True if the client speaks TLS at some time."""
        return self.tls or self.smtps

    @property
    def phases(self) -> tuple[str, ...]:
        """Those that come to pass."""
        phases = self._phases(self.chunks, smtps=self.smtps)
        return tuple(phase for phase in phases if phase != "auth" or self.login != "inject")

    @property
    def server_phases(self) -> tuple[str, ...]:
        """The same at the server: a message that is held goes on after DATA."""
        return self._phases(self.chunks and not self.rules)

    def _phases(self, chunks: bool, *, smtps: bool = False) -> tuple[str, ...]:
        has = {*(_TLS if self.tls else ()), *(_SMTPS if smtps else ()), *(_CHUNKED if chunks else _DATA)}
        return tuple(phase for phase in PHASES if phase in has or phase not in _SOMETIMES)


WORLDS: Final = {
    world.name: world
    for world in (
        World(name="reactor", io="reactor", parties=("server", "client", "machine", "service")),
        World(name="tasks", io="tasks", parties=("server", "client", "machine", "service")),
        World(name="memory", io="memory"),
        World(name="pipelined", io="reactor", pipelined=True),
        World(name="chunks", io="reactor", chunks=True),
        World(name="chunks-tasks", io="tasks", chunks=True),
        World(name="tls", io="reactor", tls=True, parties=("server", "client", "service")),
        World(name="tls-tasks", io="tasks", tls=True),
        World(
            name="smtps",
            io="reactor",
            smtps=True,
            parties=("server", "client", "service"),
            focus=("connect", "header", "handshake", "greeting"),
        ),
        World(
            name="smtps-tasks",
            io="tasks",
            smtps=True,
            parties=("server", "client", "service"),
            focus=("header", "handshake"),
        ),
        World(
            name="inject",
            io="reactor",
            tls=True,
            login="inject",
            parties=("server", "client", "service"),
            focus=("ehlo", "auth", "mail"),
        ),
        World(name="inject-tasks", io="tasks", tls=True, login="inject", focus=("auth", "mail")),
        World(
            name="translate",
            io="reactor",
            tls=True,
            login="translate",
            parties=("server", "client", "service"),
            focus=("ehlo", "auth"),
        ),
        World(name="translate-tasks", io="tasks", tls=True, login="translate", focus=("auth",)),
        World(
            name="inject-tokens",
            io="tasks",
            tls=True,
            login="inject",
            tokens=True,
            parties=("tokens", "server"),
            focus=("auth",),
        ),
        World(
            name="translate-tokens",
            io="reactor",
            tls=True,
            login="translate",
            tokens=True,
            rules="login",
            parties=("tokens", "server", "client"),
            focus=("auth",),
        ),
        World(name="lmtp", io="reactor", lmtp="server"),
        World(name="lmtp-both", io="tasks", lmtp="both"),
        World(name="lmtp-client", io="reactor", lmtp="client", focus=("rcpt", "data", "content", "dot")),
        World(name="list", io="reactor", servers=2, parties=("server", "client", "machine", "service")),
        World(name="list-tasks", io="tasks", servers=2),
        World(name="kept", io="reactor", kept=True, parties=("server", "client", "machine", "service")),
        World(name="kept-tasks", io="tasks", kept=True),
        World(name="edited", io="reactor", rules="edited", parties=("server", "client", "rule", "service")),
        World(name="held", io="reactor", rules="held", parties=("server", "client", "rule", "service")),
        World(name="held-memory", io="memory", rules="held", parties=("server", "client", "rule")),
        World(name="held-chunks", io="reactor", chunks=True, rules="held"),
        World(
            name="edited-tasks",
            io="tasks",
            rules="edited",
            parties=("server", "client", "rule", "service"),
            focus=("content", "dot"),
        ),
        World(
            name="held-tasks",
            io="tasks",
            rules="held",
            parties=("server", "client", "rule", "service"),
            focus=("content", "dot"),
        ),
        World(name="spooled-tasks", io="tasks", rules="spooled", focus=("content", "dot")),
        World(
            name="reloads",
            io="reactor",
            tls=True,
            reloads=True,
            servers=2,
            parties=("server", "client", "reload"),
            focus=("greeting", "rcpt", "content", "dot"),
        ),
        World(
            name="reloads-tasks",
            io="tasks",
            tls=True,
            reloads=True,
            servers=2,
            rules="edited",
            parties=("server", "client", "reload"),
            focus=("dot",),
        ),
        World(
            name="limits",
            io="reactor",
            limits="messages",
            focus=("greeting", "mail", "content", "dot"),
        ),
        World(
            name="limits-tasks",
            io="tasks",
            limits="connections",
            rules="held",
            parties=("client", "rule"),
            focus=("greeting", "content", "dot"),
        ),
        World(name="spooled", io="reactor", rules="spooled", parties=("server", "client", "machine")),
        World(name="quarantine", io="tasks", rules="quarantine", parties=("client", "machine", "service")),
        World(name="rspamd", io="reactor", rules="rspamd", parties=("scanner",)),
        World(name="clamd", io="tasks", rules="clamd", parties=("scanner",)),
        World(name="redis", io="reactor", rules="redis", parties=("scanner",)),
    )
}
