"""`Connection`: what a rule sees of the client, and of the TLS on both sides. A proxy or relay in front of
this one may name the client, for the connection (a PROXY header, XCLIENT) or for one mail transaction
(XFORWARD). Rules see that client, not the peer of the connection::

    PROXY header, XCLIENT ─┐                ┌─ XFORWARD, until the end of the mail transaction
                           ↓                ↓
    peer, EHLO, AUTH ──> client ──> ip, port, name, protocol, helo
                            └─────> login, tls
"""

from __future__ import annotations

import attrs

from sansio_smtp.client_info import ClientInfo, Forwarded, TlsInfo
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.login_names import prepared
from sansio_smtp.wire.sasl import Login

from .data import Data

__all__ = ["Connection"]


@attrs.define(eq=False)
class Connection:
    """One client's connection, from accept to close."""

    peer: str = ""
    """The client's address for people: ``IP:PORT``, ``"unix"``, or ``"unknown"``."""
    id: str = ""
    """The name of the connection in the log and the transcript, such as ``"c7"``."""
    helo: str = ""
    """The name in the client's last EHLO or HELO; empty before."""
    login: str | None = None
    """The name with which the client has authenticated, prepared for comparing: ``Scanner``, also with a soft
    hyphen, is ``"scanner"``. None before the server's 235, and if the name is unknown (see `login_unknown`).
    Use `is_login`, or compare it with a name in lower case."""
    tls: TlsInfo | None = None
    """The TLS of the connection: ``version``, ``cipher``, ``verified``, ``subject``, ``server_name``; None in
    plain text."""
    data: Data = attrs.field(factory=Data)
    """Data that rules keep until the connection ends."""
    login_given: str | None = None
    """The login name as the client spelled it, for people; it may hold invisible characters."""
    login_unknown: bool = False
    """True if the client has authenticated with an unknown name: its mechanism does not show the name, or
    servers may read different names. A rule that depends on the name must then refuse."""
    ip: str = attrs.field(
        default=attrs.Factory(lambda self: ClientInfo(address=self.peer).ip, takes_self=True), kw_only=True
    )
    """The client's IP address, without brackets; empty for a unix socket, and if a proxy does not know it."""
    port: int | None = attrs.field(
        default=attrs.Factory(lambda self: ClientInfo(address=self.peer).port, takes_self=True), kw_only=True
    )
    """The client's port; None if it is not known."""
    name: str = attrs.field(default="", kw_only=True)
    """The client's host name, if a proxy or relay has given it."""
    protocol: str = attrs.field(default="", kw_only=True)
    """``"SMTP"`` or ``"ESMTP"``, if a proxy or relay has given it."""
    proxy_ip: str = attrs.field(default="", kw_only=True)
    """The IP address of the proxy or relay that has named the client; empty if none has."""
    ident: str = attrs.field(default="", kw_only=True)
    """The name of the message in the log of a relay, if that has given it with XFORWARD."""
    source: str = attrs.field(default="", kw_only=True)
    """``"LOCAL"`` or ``"REMOTE"``: where the message came from, if a relay has given it with XFORWARD."""
    server_tls: TlsInfo | None = attrs.field(default=None, kw_only=True)
    """The TLS of the connection to the server; None in plain text, and before there is a server."""
    _client: ClientInfo = attrs.field(init=False, repr=False)
    _followed: ClientInfo | None = attrs.field(default=None, init=False, repr=False)
    _forwarded: Forwarded | None = attrs.field(default=None, init=False, repr=False)
    _login: Login | None = attrs.field(default=None, init=False, repr=False)
    _hello: Command | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._client = ClientInfo(
            address=self.peer,
            ip=self.ip,
            port=self.port,
            name=self.name,
            protocol=self.protocol,
            proxy_ip=self.proxy_ip,
            helo=self.helo,
            login=self.login,
            login_given=self.login_given,
            login_unknown=self.login_unknown,
            tls=self.tls,
        )

    @classmethod
    def of(cls, client: ClientInfo, id: str = "") -> Connection:
        """The connection of a client, as far as it is known."""
        conn = cls(id=id, ip="", port=None)
        conn._client, conn._forwarded = client, client.forwarded
        conn._show()
        return conn

    @property
    def client(self) -> ClientInfo:
        """The client as a value, like `Proxy.client_info`."""
        return attrs.evolve(
            self._client,
            helo=self._said_helo,
            login=self.login,
            login_given=self.login_given,
            login_unknown=self.login_unknown,
            forwarded=self._forwarded,
        )

    @property
    def authenticated(self) -> bool:
        """True if the client's credentials were accepted."""
        return self.login is not None or self.login_unknown

    def is_login(self, name: str) -> bool:
        """Returns True if the client has logged in with this name, in any spelling."""
        return self.login is not None and self.login == prepared(
            name, case_sensitive=self.case_sensitive_logins
        )

    @property
    def case_sensitive_logins(self) -> bool:
        """True if `login` keeps its case: see the setting of this name."""
        return self._login is not None and self._login.case_sensitive

    def follow(self, client: ClientInfo) -> None:
        """Begins to follow a proxy, whose `identity` is now ``client``; `learn` will be called. Values that a
        test has set stay until the identity changes."""
        self._followed = client

    def learn(
        self,
        hello: Command | None,
        login: Login | None,
        client: ClientInfo | None = None,
        forwarded: Forwarded | None = None,
        server_tls: TlsInfo | None = None,
    ) -> None:
        """Updates everything from the properties of `Proxy`. ``hello`` is the last accepted EHLO or HELO,
        ``login`` the last login, and ``client`` the `identity`; None if the identity has not changed."""
        self.server_tls = server_tls
        if client is not None and client is not self._followed:
            self._client = self._followed = client
        elif hello is self._hello and login is self._login and forwarded is self._forwarded:
            return
        self._hello, self._login, self._forwarded = hello, login, forwarded
        self._show()

    @property
    def _said_helo(self) -> str:
        hello = self._hello
        return (
            self._client.helo if hello is None else hello.argument.decode("utf-8", "backslashreplace").strip()
        )

    def _show(self) -> None:
        client, forwarded, login = self._client, self._forwarded, self._login
        shown = client if forwarded is None else forwarded
        self.peer, self.ip, self.port = shown.address, shown.ip, shown.port
        self.name, self.protocol = shown.name, shown.protocol
        if forwarded is None:
            self.helo, self.proxy_ip = self._said_helo, client.proxy_ip
            self.ident = self.source = ""
        else:
            self.helo, self.proxy_ip = forwarded.helo, client.ip
            self.ident, self.source = forwarded.ident, forwarded.source
        self.tls = client.tls
        if login is None:
            self.login, self.login_given = client.login, client.login_given
            self.login_unknown = client.login_unknown
        else:
            self.login, self.login_given = login.name, login.given
            self.login_unknown = login.name is None
