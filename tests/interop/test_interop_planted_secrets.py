"""Marked secrets in all that a proxy is given: nothing that it writes or that others see of it holds one.

Logs at ``-vv``, with the states of the core; transcripts, metrics, spans, reprs in rules, quarantined mail,
every file that it has made, its arguments (``ps``) and its environment, and what the client is told. The
server is a bad one: it says back what it hears, in several writings.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs
import pytest
from interop_certificates import Certificates
from interop_proxy import Proxy, running
from interop_secrets import EchoServer, found_in, running_echo
from interop_wire import RawClient

pytestmark = pytest.mark.interop

SECRETS = {
    "the client's password": b"client-Pw/7+q=Zebra9",
    "the client's token": b"client-Tok.3n_Quagga~8",
    "the password of the proxy": b"inject-Pw/5+q=Okapi6",
    "the refresh token": b"refresh-Tok/4+Bongo3",
    "the new refresh token": b"renewed-Tok/9+Eland2",
    "the client secret": b"app-Secret/8+Kudu77x",
    "the access token": b"access-Tok.6n_Impala5",
    "the password of a service": b"service-Pw.2n_Gnu44x",
}
PASSWORD, TOKEN = SECRETS["the client's password"], SECRETS["the client's token"]
ANSWERS = ("yes", "echo535", "echo334", "echo421", "garbage", "close")
RULES = """
from sansio_smtp.rules import Hold


def command(conn, cmd):
    print(conn, repr(conn), cmd, repr(cmd), repr(cmd.command), vars(cmd) if hasattr(cmd, "__dict__") else "")


def auth(conn, attempt):
    print(attempt, repr(attempt), format(attempt), dir(attempt))
    if conn.helo and conn.helo.startswith("fails"):
        raise ValueError(f"the rule for {attempt!r} of {conn!r} has failed")


def reply(tx, command, answer):
    print(tx, repr(command), repr(answer), answer)


def mail(tx, sender):
    print(tx, repr(tx), repr(tx.conn))
    if tx.conn.helo and tx.conn.helo.startswith("hold"):
        return Hold(f"{tx!r} {tx.conn!r}")
"""
SPANS = """
import atexit

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

out = open({path!r}, "w", buffering=1)
atexit.register(out.close)
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=out)))
trace.set_tracer_provider(provider)
"""
"""Rules that are none: all spans are written to a file."""
CHECKS = """

def login(conn, attempt):
    print(attempt, repr(attempt))
    if attempt.name == "fails":
        raise ValueError(f"the rule for {attempt!r} has failed")
    if attempt.password():
        from sansio_smtp.rules import Accept
        return Accept()
"""


def b64(octets: bytes) -> bytes:
    return b64encode(octets)


PLAIN = b64(b"\0ann\0" + PASSWORD)
LOGINS: dict[str, tuple[bytes, ...]] = {
    "PLAIN": (b"AUTH PLAIN " + PLAIN,),
    "PLAIN, by itself": (b"AUTH PLAIN", PLAIN),
    "LOGIN": (b"AUTH LOGIN", b64(b"ann"), b64(PASSWORD)),
    "LOGIN, with the name": (b"AUTH LOGIN " + b64(b"ann"), b64(PASSWORD)),
    "CRAM-MD5": (b"AUTH CRAM-MD5", b64(b"ann " + PASSWORD)),
    "XOAUTH2": (b"AUTH XOAUTH2 " + b64(b"user=ann\1auth=Bearer " + TOKEN + b"\1\1"),),
    "OAUTHBEARER": (b"AUTH OAUTHBEARER " + b64(b"n,a=ann,\1auth=Bearer " + TOKEN + b"\1\1"),),
    "X-ODD": (b"AUTH X-ODD " + b64(PASSWORD), b64(TOKEN)),
    "fails": (b"AUTH PLAIN " + b64(b"\0fails\0" + PASSWORD),),
    # Spelled as nobody should.
    "a tab": (b"AUTH\tPLAIN " + PLAIN,),
    "no base64": (b"AUTH PLAIN " + PASSWORD,),
    "a password in the clear": (b"AUTH LOGIN", b"ann", PASSWORD),
    "two blanks": (b"auth  plain  " + PLAIN + b" ",),
    "an equals sign": (b"AUTH=PLAIN " + PLAIN,),
    "no mechanism": (b"AUTH " + PLAIN,),
    "cancelled": (b"AUTH LOGIN", b64(PASSWORD), b"*"),
    "octets too many": (b"AUTH PLAIN " + PLAIN + b"\0",),
}


@attrs.frozen
class Seen:
    """What can be seen of a proxy while it runs, and of what it leaves."""

    told: dict[str, bytes]
    """What was looked at, by its name."""

    def holding(self, secrets: dict[str, bytes]) -> list[str]:
        return [f"{name}: {each}" for name, octets in self.told.items() for each in found_in(octets, secrets)]


def log_in(proxy: Proxy, server: str, login: tuple[bytes, ...]) -> bytes:
    """A client that says its login, goes on with a message if it may, and says its login again."""
    told = bytearray()
    with RawClient(proxy.port, 8, greet=False) as client:
        try:
            for line in (b"EHLO %b.test" % server.encode(), *login):
                client.send(line + b"\r\n")
                answer = client.reply()
                told += b"%d " % answer.code + answer.text + b"\n"
                if answer.code >= 400:
                    break
            for line in (b"MAIL FROM:<ann@x.test>", b"RCPT TO:<bob@x.test>", b"DATA"):
                answer = client.command(line)
                told += answer.text + b"\n"
            if answer.code == 354:
                told += client.command(b"Subject: hi\r\n\r\nhello\r\n.").text
            client.send(b"RSET\r\n" + b"\r\n".join(login) + b"\r\nQUIT\r\n")
            client.half_close()  # the server may have taken QUIT for a line of a login
            for reply in client.replies_until_closed():
                told += reply.text + b"\n"
        except (EOFError, OSError):
            pass  # what the client is told is that the session is over
        except AssertionError as error:
            raise AssertionError(f"{server} {login}: {error}") from None
    return bytes(told)


@contextmanager
def proxy_with_secrets(
    server: EchoServer, directory: Path, certificates: Certificates, *options: str, rules: str = RULES
) -> Iterator[Proxy]:
    (directory / "watch.py").write_text(rules)
    (directory / "traces.py").write_text(SPANS.format(path=str(directory / "made" / "spans")))
    common = ["--transcript", "-vv", "--otel", *certificates.options]
    common += ["--rules", str(directory / "traces.py"), "--rules", str(directory / "watch.py")]
    common += [
        "--admin",
        f"unix:{directory / 'admin'}",
        "--tls",
        "may",
        "--quarantine",
        str(directory / "made" / "quarantine"),
    ]
    (directory / "made").mkdir()
    with running(server.port, directory / "made", *common, *options, rules_fail=True) as proxy:
        yield proxy


def page_of(admin: Path, page: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(admin))
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % page.encode())
        told = b""
        while said := connection.recv(1 << 16):
            told += said
    return told


def seen_of(proxy: Proxy, directory: Path) -> dict[str, bytes]:
    """All that a user of the machine, or somebody with the files, can see."""
    process = Path("/proc", str(proxy.process.pid))
    seen = {name: (process / name).read_bytes() for name in ("cmdline", "environ", "comm", "status")}
    for page in ("/metrics", "/readyz", "/healthz", "/nothing"):
        seen[page] = page_of(directory / "admin", page)
    assert b"smtp_proxy" in seen["/metrics"]
    for task in (process / "task").iterdir():
        seen[f"task {task.name}"] = (task / "comm").read_bytes()
    for file in (directory / "made").rglob("*"):
        seen[f"the name of {file.name}"] = str(file).encode()
        if file.is_file():
            seen[str(file.relative_to(directory))] = file.read_bytes()
    return seen


def checked(seen: dict[str, bytes], certificates: Certificates, *known: str) -> None:
    """``known``: what the client was given by others, such as the reply of a server to its own login."""
    key = b"".join(certificates.key.read_bytes().split(b"\n")[1:-2])
    secrets = SECRETS | {f"line {n} of the key": key[n * 48 : n * 48 + 48] for n in range(len(key) // 48)}
    assert len(secrets) > len(SECRETS)
    found = Seen({name: octets for name, octets in seen.items() if name not in known}).holding(secrets)
    assert found == []
    assert b'"name": "SMTP session"' in seen["made/spans"]


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with running_echo() as server:
        yield server


@pytest.fixture
def provider() -> Iterator[str]:
    """A token endpoint that says back what it was sent, every other time."""
    asked = 0

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal asked
            asked += 1
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            said: dict[str, object] = {
                "access_token": SECRETS["the access token"].decode(),
                "refresh_token": SECRETS["the new refresh token"].decode(),
                "expires_in": 1,
            }
            if asked % 2 == 0:
                said = {"error": "invalid_request", "error_description": f"{body} {self.headers}"}
            octets = json.dumps(said).encode()
            self.send_response(200 if asked % 2 else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever, args=[0.02])
        thread.start()
        try:
            yield f"http://127.0.0.1:{endpoint.server_address[1]}/token"
        finally:
            endpoint.shutdown()
            thread.join(15)


def test_what_is_planted_would_be_found() -> None:
    """In each writing, also in the middle of other octets."""
    for secret in SECRETS.values():
        for before in (b"", b"\0", b"\0ann\0", b"user=ann\1auth=Bearer "):
            for text in (before + secret, b64(before + secret + b"\1\1"), (before + secret).hex().encode()):
                assert found_in(b"<" + text + b">", {"it": secret}), text
    assert found_in(b"nothing of it", SECRETS) == []


@pytest.mark.parametrize("mode", ["relay", "translate", "inject"])
def test_no_login_of_a_client_is_seen(
    mode: str, server: EchoServer, certificates: Certificates, tmp_path: Path
) -> None:
    options: list[str] = ["--login", mode]
    own = SECRETS["the password of the proxy"]
    if mode == "inject":
        (tmp_path / "password").write_bytes(own)
        options += ["--upstream-user", "scanner", "--upstream-password-file", str(tmp_path / "password")]
    told: list[bytes] = []
    checks = "" if mode == "relay" else CHECKS
    with proxy_with_secrets(server, tmp_path, certificates, *options, rules=RULES + checks) as proxy:
        for name, login in LOGINS.items():
            # Each answer of the server to the usual logins; two to those that it hardly gets to see.
            hows = ("hold", "fails", *ANSWERS) if name in ("PLAIN", "LOGIN") else ("yes", "echo535")
            for how in hows:
                # A password that was refused is not said again; another one is.
                (tmp_path / "password").write_bytes(own + b"-%d" % len(told))
                told.append(log_in(proxy, how, login))
        seen = seen_of(proxy, tmp_path)
    for file in ("proxy.stdout", "proxy.stderr"):  # with what is said at the end
        seen[file] = (tmp_path / "made" / file).read_bytes()
    if mode != "relay":  # a client may be told what it has said, where it talks to its own server
        assert Seen({"the client": b"".join(told)}).holding({"the password of the proxy": own}) == []
    checked(seen, certificates)
    said = own if mode == "inject" else PASSWORD
    assert found_in(bytes(server.heard), {"it": said}), "nobody has said the secret"
    assert re.search(rb"AUTH (?:PLAIN|LOGIN|SCRAM-SHA-256) \*{8}", seen["proxy.stdout"])
    assert any("quarantine" in name and name.endswith(".json") for name in seen)


@pytest.mark.parametrize("mode", ["inject", "translate"])
def test_no_token_is_seen(
    mode: str, server: EchoServer, provider: str, certificates: Certificates, tmp_path: Path
) -> None:
    (tmp_path / "app").write_bytes(SECRETS["the client secret"])
    refresh = tmp_path / "refresh"
    if mode == "translate":
        refresh.mkdir()
        (refresh / "ann").write_bytes(SECRETS["the refresh token"])
    else:
        refresh.write_bytes(SECRETS["the refresh token"])
    options = ["--login", mode, "--oauth-url", provider, "--oauth-client-id", "app"]
    options += [
        "--oauth-client-secret-file",
        str(tmp_path / "app"),
        "--oauth-refresh-token-file",
        str(refresh),
    ]
    options += ["--upstream-user", "ann"] if mode == "inject" else []
    told: list[bytes] = []
    with proxy_with_secrets(server, tmp_path, certificates, *options, rules=RULES + CHECKS) as proxy:
        told += [log_in(proxy, how, LOGINS["PLAIN"]) for how in (*ANSWERS, *ANSWERS)]
        seen = seen_of(proxy, tmp_path)
    for file in ("proxy.stdout", "proxy.stderr"):
        seen[file] = (tmp_path / "made" / file).read_bytes()
    own = {name: secret for name, secret in SECRETS.items() if not name.startswith("the client's ")}
    assert Seen({"the client": b"".join(told)}).holding(own) == []
    checked(seen, certificates)
    assert found_in(bytes(server.heard), {"it": SECRETS["the access token"]}), "nobody has said the token"


def test_what_services_are_told_is_not_seen(
    server: EchoServer, certificates: Certificates, tmp_path: Path
) -> None:
    """Passwords in the settings, of services that cannot be reached: the log says so."""
    password = SECRETS["the password of a service"].decode()
    (tmp_path / "proxy.toml").write_text(
        f'[rules.rspamd]\nurl = "http://127.0.0.1:9"\npassword = "{password}"\n'
        f'[rules.shared_rate_limit]\nurl = "redis://:{password}@127.0.0.1:9/0"\nmessages = {{ minute = 1 }}\n'
    )
    options = ["--config", str(tmp_path / "proxy.toml"), "--rules", "ready:rspamd"]
    options += ["--rules", "ready:shared_rate_limit"]
    with proxy_with_secrets(server, tmp_path, certificates, *options) as proxy:
        told = log_in(proxy, "yes", ())
        seen = seen_of(proxy, tmp_path)
    for file in ("proxy.stdout", "proxy.stderr"):
        seen[file] = (tmp_path / "made" / file).read_bytes()
    checked(seen | {"the client": told}, certificates)
    assert b"127.0.0.1:9" in seen["proxy.stderr"]
