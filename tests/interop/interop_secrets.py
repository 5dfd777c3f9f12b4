"""Secrets to be planted, the ways in which each may be written, and a server that says back what it hears."""

from __future__ import annotations

import re
import socketserver
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, cast
from urllib.parse import quote, quote_plus

__all__ = ["EchoServer", "forms", "found_in", "running_echo"]

_SHORTEST: Final = 8
"""Octets of a form that is looked for: shorter ones are anywhere."""


def forms(secret: bytes) -> dict[str, bytes]:
    """Every writing of a secret that is looked for, by its name."""
    found = {
        "plain": secret,
        "url": quote(secret, safe="").encode(),
        "form": quote_plus(secret).encode(),
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "hex, apart": secret.hex(" ").encode(),
        "repr": repr(secret)[2:-1].encode(),
        "escapes": b"".join(b"\\x%02x" % octet for octet in secret),
        "utf-16": secret.decode("latin-1").encode("utf-16-le"),
        "reversed": secret[::-1],
    }
    for before in range(3):  # where it stands in the octets that are encoded makes another text of it
        text = b64encode(bytes(before) + secret)
        inner = text[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
        found[f"base64 at {before}"] = inner
        found[f"base64url at {before}"] = inner.replace(b"+", b"-").replace(b"/", b"_")
        found[f"hex of base64 at {before}"] = inner.hex().encode()
        found[f"base64 of base64 at {before}"] = b64encode(inner[: len(inner) // 3 * 3])[:-4]
    return {name: form for name, form in found.items() if len(form) >= _SHORTEST}


def found_in(octets: bytes, secrets: dict[str, bytes]) -> list[str]:
    """Which secrets stand in the octets, and how: ``"the password, base64 at 1: …what stands around it"``."""
    found: list[str] = []
    for name, secret in secrets.items():
        for form, text in forms(secret).items():
            at = octets.find(text)
            if at >= 0:
                found.append(f"{name}, {form}: {octets[max(0, at - 60) : at + len(text) + 20]!r}")
    return found


class EchoServer:
    """What a server heard, and where it is. How it answers a login, the client says in its EHLO."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heard = bytearray()


_MECHANISMS: Final = b"PLAIN LOGIN CRAM-MD5 XOAUTH2 OAUTHBEARER X-ODD"


class _Handler(socketserver.StreamRequestHandler):
    timeout = 20

    def handle(self) -> None:
        with suppress(OSError):
            self._talk()

    @property
    def _echo(self) -> EchoServer:
        return cast("_Server", self.server).echo

    def _say(self, *lines: bytes) -> None:
        self.wfile.write(b"".join(line + b"\r\n" for line in lines))

    def _hear(self) -> bytes:
        line = self.rfile.readline()
        self._echo.heard += line
        if not line:
            raise OSError("gone")
        return line.rstrip(b"\r\n")

    def _talk(self) -> None:
        self._say(b"220 mx.test ESMTP")
        how, said = b"yes", b""
        while True:
            line = self._hear()
            verb = line[:4].upper()
            if verb == b"EHLO":
                how = line[5:].split(b".")[0]
                self._say(b"250-mx.test", b"250-AUTH " + _MECHANISMS, b"250 8BITMIME")
            elif verb == b"AUTH":
                said = self._login(line.split(b" ")[1:])
                if b" * " in said:
                    self._say(b"501 5.7.0 cancelled: " + said)
                elif not self._answer(how, said):
                    return
            elif verb == b"DATA":
                self._say(b"354 go on")
                while self._hear() != b".":
                    pass
                self._say(b"250 2.0.0 kept for " + said)
            elif verb == b"QUIT":
                self._say(b"221 2.0.0 bye")
                return
            else:
                self._say(b"250 2.0.0 ok " + said if how.startswith(b"echo") else b"250 2.0.0 ok")

    def _login(self, words: list[bytes]) -> bytes:
        """All that the client has said, in its own writing and decoded."""
        heard = words[1:]
        count = {b"LOGIN": 2, b"CRAM-MD5": 1, b"X-ODD": 2}.get(words[0].upper(), 1)
        for challenge in (b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6")[: count - len(heard)]:
            self._say(b"334 " + challenge)
            heard.append(self._hear())
        plain = b" ".join(_decoded(each) for each in heard)
        return b" ".join(heard) + b" " + re.sub(rb"[^!-~]", b" ", plain)

    def _answer(self, how: bytes, said: bytes) -> bool:
        """Returns False if it closes the connection."""
        if how == b"echo535":
            self._say(b"535-5.7.8 wrong: " + said, b"535 5.7.8 again: " + quote(said).encode())
        elif how == b"echo334":
            self._say(b"334 " + b64encode(said))
            self._hear()
            self._say(b"535 5.7.8 so it is " + said)
        elif how == b"echo421":
            self._say(b"421 4.7.0 bye, " + said)
            return False
        elif how == b"garbage":
            self._say(b"what is " + said)
        elif how == b"close":
            return False
        else:
            self._say(b"235 2.7.0 welcome, " + said)
        return True


def _decoded(word: bytes) -> bytes:
    try:
        return b64decode(word)
    except ValueError:
        return word


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    echo: EchoServer


@contextmanager
def running_echo() -> Iterator[EchoServer]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.echo = EchoServer(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        try:
            yield server.echo
        finally:
            server.shutdown()
            thread.join(15)
