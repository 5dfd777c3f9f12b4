"""A provider with OAuth: a token endpoint, and a server with the dialect of Office 365 or of Gmail.

Both know which tokens have been issued. The endpoint says what it is told to, once for each word in
`Provider.plan`, and then gives tokens.
"""

from __future__ import annotations

import json
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from drivers import DEADLINE, Peer, Script, Upstream

__all__ = ["DIALECTS", "Provider", "running_provider"]


class Provider:
    """What the endpoint and the server have in common, and what they have seen."""

    def __init__(self) -> None:
        self.plan: list[str] = []
        """What the endpoint says next: ``slow``, ``html``, ``revoked``, ``busy``."""
        self.issued = 0
        self.valid: set[str] = set()
        self.requests: list[dict[str, str]] = []
        self.shown: list[tuple[str, str]] = []
        """Each account and token that the server was shown."""
        self.answers: list[bytes] = []
        """What the client said in answer to a challenge."""
        self.messages: list[bytes] = []
        self.asks_again = False
        """True: the server asks for the token again and again."""
        self.gate = threading.Event()
        """The endpoint waits for it."""
        self.gate.set()
        self.over = threading.Event()
        """Set when the test is over."""
        self.rest = ""
        """The end of each token."""
        self.url = ""
        self.port = 0

    def issue(self) -> str:
        self.issued += 1
        token = f"tok3n-secret-{self.issued}{self.rest}"
        self.valid = {token}
        return token

    def asked(self, form: dict[str, str]) -> tuple[int, str, str]:
        """Status, media type and content."""
        self.requests.append(form)
        word = self.plan.pop(0) if self.plan else "token"
        assert self.gate.wait(DEADLINE)
        if word == "slow":
            self.over.wait(DEADLINE)
        if word == "html":
            return 200, "text/html", "<html>Welcome to the hotel</html>"
        if word == "busy":
            return 503, "text/plain", "try later"
        said: dict[str, Any] = {"token_type": "Bearer", "expires_in": 3599, "access_token": self.issue()}
        if word == "revoked":
            text = "AADSTS700082: The refresh token has expired"
            return 400, "application/json", json.dumps({"error": "invalid_grant", "error_description": text})
        return 200, "application/json", json.dumps(said)

    def takes(self, said: bytes) -> bool:
        """True if the message of XOAUTH2 holds a token that is valid."""
        user, auth = said.split(b"\1")[:2]
        token = auth.removeprefix(b"auth=Bearer ").decode()
        self.shown.append((user.removeprefix(b"user=").decode(), token.rstrip("x")))
        return token in self.valid


@contextmanager
def running_provider(dialect: str) -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, kind, text = provider.asked(dict(parse_qsl(body.decode())))
            with suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_address[1]}/token"
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    upstream = Upstream()
    provider.port = upstream.port
    try:
        with upstream.plays(DIALECTS[dialect](provider)):
            yield provider
    finally:
        provider.over.set()
        server.shutdown()
        server.server_close()
        thread.join(DEADLINE)
        upstream.close()


def _server(
    provider: Provider,
    greeting: list[bytes],
    offers: list[bytes],
    auth: Callable[[Peer, bytes], bool],
    no: bytes,
) -> Script:
    """A server that takes mail from those who have logged in."""

    def script(peer: Peer) -> None:
        is_known = False
        peer.send(*greeting)
        while True:
            try:
                line = peer.line()
            except (EOFError, ConnectionError):
                return
            verb = line[:4].upper()
            if verb == b"EHLO":
                peer.send(*offers)
            elif verb == b"AUTH":
                is_known = auth(peer, line) or is_known
            elif verb == b"MAIL" and not is_known:
                peer.send(no)
            elif verb == b"DATA":
                peer.send(b"354 Start mail input; end with <CRLF>.<CRLF>")
                provider.messages.append(peer.message())
                peer.send(b"250 2.0.0 OK")
            elif verb == b"QUIT":
                peer.send(b"221 2.0.0 Service closing transmission channel")
                return
            else:
                peer.send(b"250 2.1.0 Ok")

    return script


def office_365(provider: Provider) -> Script:
    """Refuses a token with 535 at once, and answers 535 where the standard says 501."""

    def auth(peer: Peer, line: bytes) -> bool:
        _, mechanism, *initial = line.split()
        if mechanism != b"XOAUTH2":
            peer.send(b"504 5.7.4 Unrecognized authentication type [AM0PR01CA0001.eurprd01.prod.outlook.com]")
            return False
        if not initial:
            peer.send(b"334 ")
            initial = [peer.line()]
        while provider.asks_again and initial[0] != b"*":
            peer.send(b"334 ")
            provider.answers.append(peer.line())
            initial = provider.answers[-1:]
        if initial[0] == b"*" or not provider.takes(b64decode(initial[0])):
            peer.send(b"535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.outlook.com]")
            return False
        peer.send(b"235 2.7.0 Authentication successful")
        return True

    provider.rest = "x" * 1_500  # they are so long; AUTH cannot carry them in its line
    greeting = [b"220 AM0PR01CA0001.outlook.office365.com Microsoft ESMTP MAIL Service ready"]
    offers = [
        b"250-AM0PR01CA0001.outlook.office365.com Hello [192.0.2.1]",
        b"250-SIZE 157286400",
        b"250-PIPELINING",
        b"250-DSN",
        b"250-ENHANCEDSTATUSCODES",
        b"250-AUTH LOGIN XOAUTH2",
        b"250-8BITMIME",
        b"250-BINARYMIME",
        b"250-CHUNKING",
        b"250 SMTPUTF8",
    ]
    no = b"530 5.7.57 Client not authenticated to send mail. [AM0PR01CA0001.eurprd01.prod.outlook.com]"
    return _server(provider, greeting, offers, auth, no)


def gmail(provider: Provider) -> Script:
    """Says in a challenge what is wrong with a token, and waits for an empty line before it refuses it."""

    def auth(peer: Peer, line: bytes) -> bool:
        _, mechanism, *initial = line.split()
        if mechanism != b"XOAUTH2":
            peer.send(b"504 5.7.4 Unrecognized Authentication Type 4711 - gsmtp")
            return False
        if not initial:
            peer.send(b"334 ")
            initial = [peer.line()]
        while provider.asks_again and initial[0] != b"*":
            peer.send(b"334 ")
            provider.answers.append(peer.line())
            initial = provider.answers[-1:]
        if initial[0] == b"*":
            peer.send(b"501 5.5.2 Cannot Decode response 4711 - gsmtp")
            return False
        if not provider.takes(b64decode(initial[0])):
            said = b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}'
            peer.send(b"334 " + b64encode(said))
            provider.answers.append(peer.line())
            peer.send(
                b"535-5.7.8 Username and Password not accepted. For more information, go to",
                b"535 5.7.8  https://support.google.com/mail/?p=BadCredentials 4711 - gsmtp",
            )
            return False
        peer.send(b"235 2.7.0 Accepted")
        return True

    greeting = [b"220 smtp.gmail.com ESMTP 4711 - gsmtp"]
    offers = [
        b"250-smtp.gmail.com at your service, [192.0.2.1]",
        b"250-SIZE 35882577",
        b"250-8BITMIME",
        b"250-AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
        b"250-ENHANCEDSTATUSCODES",
        b"250-PIPELINING",
        b"250-CHUNKING",
        b"250 SMTPUTF8",
    ]
    no = b"530 5.7.0 Authentication Required. 4711 - gsmtp"
    return _server(provider, greeting, offers, auth, no)


DIALECTS: dict[str, Callable[[Provider], Script]] = {"office365": office_365, "gmail": gmail}
