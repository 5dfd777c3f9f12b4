"""Dovecot after Postfix, with the mechanisms of OAuth: it asks the provider about each token (RFC 7662)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import attrs
from interop_daemon import Daemon, need, open_directory
from interop_peers import DOVECOT, MAIN_CF, PASSWORD, service
from interop_postfix import Mailbox, Postfix, free_port, prepare

__all__ = ["MECHANISMS", "OAuthPeers", "Provider", "running_oauth_peers"]

MECHANISMS = ("scram-sha-256", "xoauth2", "oauthbearer")

_SERVICES = {
    **{mechanism: {"smtpd_sasl_mechanism_filter": mechanism} for mechanism in MECHANISMS},
    "xoauth2, TLS": {"smtpd_sasl_mechanism_filter": "xoauth2", "smtpd_tls_security_level": "encrypt"},
}
"""By name: what is said in master.cf besides `MAIN_CF`."""

_PASSDB = """
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {root}/oauth2.conf
}}
"""
_OAUTH2 = """
introspection_mode = get
introspection_url = {url}/introspect?token=
username_attribute = username
active_attribute = active
active_value = true
timeout_msecs = 5000
rawlog_dir =
"""


class Provider:
    """Issues tokens, and says which of them are valid."""

    def __init__(self) -> None:
        self.issued = 0
        self.asked_about: list[str] = []
        self.valid: dict[str, str] = {}
        """Token → account."""
        self.account = "ann@example.com"
        self.url = ""

    def issue(self) -> dict[str, Any]:
        self.issued += 1
        token = f"token-{self.issued}-" + "x" * 900  # as long as real ones: AUTH cannot carry it in its line
        self.valid = {token: self.account}
        return {"access_token": token, "token_type": "Bearer", "expires_in": 3600}

    def introspect(self, token: str) -> dict[str, Any]:
        self.asked_about.append(token)
        account = self.valid.get(token)
        return {"active": "false"} if account is None else {"active": "true", "username": account}


@contextmanager
def running_provider() -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            assert form["grant_type"] == "refresh_token"
            self._say(provider.issue())

        def do_GET(self) -> None:
            self._say(provider.introspect(parse_qs(urlsplit(self.path).query)["token"][0]))

        def _say(self, said: dict[str, Any]) -> None:
            octets = json.dumps(said).encode()
            with suppress(ConnectionError):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(octets)))
                self.end_headers()
                self.wfile.write(octets)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(15)


@attrs.define
class OAuthPeers:
    postfix: Postfix
    ports: dict[str, int]
    """Of the services, by their names."""
    ca: Path
    """Has issued the certificate of the service ``xoauth2, TLS``, for 127.0.0.1."""
    provider: Provider

    def new_mailbox(self) -> Mailbox:
        return self.postfix.new_mailbox()


@contextmanager
def _running_dovecot(provider: Provider) -> Iterator[Path]:
    """The socket at which Postfix asks about logins."""
    need("dovecot", "dovecot-core")
    with open_directory("oauth") as root:
        (root / "oauth2.conf").write_text(_OAUTH2.format(url=provider.url))
        text = DOVECOT.format(root=root, password=PASSWORD)
        text = text.replace("= plain login scram-sha-256", f"= {' '.join(MECHANISMS)}")
        text = text.replace("passdb {", _PASSDB.format(root=root) + "passdb {", 1)
        (root / "dovecot.conf").write_text(text)
        command = ["dovecot", "-F", "-c", str(root / "dovecot.conf")]
        daemon = Daemon(command, root / "output", root / "auth")
        daemon.start()
        try:
            yield root / "auth"
        finally:
            daemon.stop()


@contextmanager
def running_oauth_peers() -> Iterator[OAuthPeers]:
    need("postfix", "postfix")
    ports = {name: free_port() for name in _SERVICES}
    services = "".join(service(ports[name], said) for name, said in _SERVICES.items())
    with (
        running_provider() as provider,
        _running_dovecot(provider) as socket,
        open_directory("oauth-postfix") as root,
    ):
        main = MAIN_CF.format(socket=socket)
        postfix = prepare(root, main=main, services=services, port=ports["xoauth2"])
        postfix.start()
        try:
            yield OAuthPeers(postfix, ports, root / "ca.pem", provider)
        finally:
            postfix.stop()
