"""The compared proxies, and how to start each in front of a server."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from .programs import CHECKOUT, HERE, Failed, free_port, require, running, which

from interop_certificates import Certificates  # isort: skip  # found through .programs
from interop_postfix import Postfix, prepare  # isort: skip

__all__ = [
    "BEFORE",
    "HAPROXY",
    "MAIN",
    "RELAY",
    "RULES",
    "Peer",
    "Place",
    "Running",
    "haproxy_command",
    "modes",
    "others",
    "ours",
    "own_command",
    "with_rule",
]

MAIN, BEFORE = "sansio-smtp", "before"
OPEN_FILES = 20_000
PURE = {"SANSIO_SMTP_PURE": "1"}
"""Switches off the code in C."""

_HAPROXY = """
global
    nbthread 1
    maxconn {connections}
defaults
    mode tcp
    timeout connect 5s
    timeout client 300s
    timeout server 300s
"""
NO_REUSE = "ssl verify none no-ssl-reuse"
"""TLS to a server, for HAProxy. TLS sessions are not resumed: each connection makes a full handshake."""

RULES = {
    "rcpt": """
from sansio_smtp.rules import Reject

def rcpt(tx, to):
    if to.domain == "nowhere.example":
        return Reject(550, "5.1.2 no such domain")
""",
    "headers": """
from sansio_smtp.rules import Reject

def headers(tx, headers):
    if headers.get("Subject", "").startswith("[spam]"):
        return Reject(550, "5.7.1 no spam")
""",
    "body_line": """
from sansio_smtp.rules import Reject

def body_line(tx, line):
    if line.startswith(b"EICAR"):
        return Reject(550, "5.7.1 no virus")
""",
    "message": """
from sansio_smtp.rules import Reject

def message(tx, msg):
    if b"lottery" in msg.body:
        return Reject(550, "5.7.1 no lottery")
""",
}
"""Phase → a rule that checks and lets everything pass."""

_POSTFIX_MAIN = """
smtpd_tls_security_level = none
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
default_transport = discard
smtpd_reject_unlisted_recipient = no
smtpd_recipient_limit = 100000
smtpd_forbid_bare_newline = normalize
message_size_limit = 0
virtual_mailbox_limit = 0
smtpd_authorized_xclient_hosts =
max_use = 1000000
max_idle = 1000s
"""
_POSTFIX_SERVICE = """
127.0.0.1:{listen} inet n - n - 40 smtpd
    -o smtpd_proxy_filter=127.0.0.1:{upstream}
    -o smtpd_proxy_timeout=100s
"""

_HARAKA = {
    "smtp.ini": "listen=127.0.0.1:{listen}\nnodes=0\n",
    "plugins": "all_recipients\nqueue/smtp_proxy\n",
    "smtp_proxy.ini": "host=127.0.0.1\nport={upstream}\nmax_connections=100\n",
    "log.ini": "[main]\nlevel=ERROR\n",
    "me": "proxy.example\n",
}
_ALL_RECIPIENTS = "exports.register = function () {};\nexports.hook_rcpt = (next) => next(OK);\n"


@dataclass(frozen=True)
class Place:
    """The place of a peer: in front of this port, with TLS on both sides if there are certificates."""

    tmp: Path
    upstream: int
    tls: Certificates | None = None


@dataclass(frozen=True)
class Running:
    pid: int
    port: int


@dataclass(frozen=True)
class Peer:
    name: str
    start: Callable[[Peer, Place], AbstractContextManager[Running]]
    share: float = 1.0
    """The share of the messages of each workload, so that a slow peer does not take all the time."""
    idle: Sequence[int] = (1000, 5000)
    """The number of sessions that are opened to measure one."""
    options: tuple[str, ...] = ()
    checkout: Path | None = None
    """The checkout of our variants; None for other peers."""
    environment: tuple[tuple[str, str], ...] = ()
    under: tuple[str, ...] = ()
    """A command under which our variants run."""
    tls: bool = False
    """True if it can be measured with TLS on both sides."""
    streams: bool = False
    """True if it passes a message on before it has all of it."""

    def running(self, place: Place) -> AbstractContextManager[Running]:
        return self.start(self, place)


def ours(name: str, *options: str, checkout: Path = CHECKOUT, **environment: str) -> Peer:
    """The `smtp-proxy` of a checkout with these options."""
    said = tuple(environment.items())
    return Peer(name, _ours, options=options, checkout=checkout, environment=said, tls=True, streams=True)


def with_rule(peer: Peer, rule: str, tmp: Path) -> Peer:
    """Our variant with one of the `RULES`."""
    file = tmp / f"{rule}_rule.py"
    file.write_text(RULES[rule])
    return replace(peer, name=f"{peer.name}, {rule} rule", options=(*peer.options, "--rules", str(file)))


KEPT = "kept connections"
"""The name of our variant that keeps its connections to the server."""


def with_options(peer: Peer, what: str, *options: str) -> Peer:
    """Our variant with more options."""
    return replace(peer, name=f"{peer.name}, {what}", options=(*peer.options, *options))


def own_command(peer: Peer, *options: str) -> list[str]:
    """The command line of our variant."""
    return _python(peer, "-m", "trio_proxy", *peer.options, *options)


def _python(peer: Peer, *arguments: str) -> list[str]:
    """A Python command line. `-P`: does not import from the current directory."""
    assert peer.checkout is not None
    variables = [f"PYTHONPATH={peer.checkout}", *(f"{name}={value}" for name, value in peer.environment)]
    return ["env", *variables, *peer.under, sys.executable, "-P", *arguments]


@contextlib.contextmanager
def _ours(peer: Peer, place: Place) -> Iterator[Running]:
    port = free_port()
    listen, upstream = f"127.0.0.1:{port}", f"127.0.0.1:{place.upstream}"
    options = ["-q", "--max-connections", str(OPEN_FILES), "--grace", "1"]
    if place.tls is not None:
        listen, upstream = f"smtps://{listen}", f"smtps://{upstream}"
        options += [*place.tls.options, "--upstream-tls", "encrypt"]
    command = own_command(peer, *options, "--listen", listen, "--upstream", upstream)
    with running(peer.name, command, port, place.tmp) as pid:
        yield Running(pid, port)


def _relay(program: str) -> Callable[[Peer, Place], AbstractContextManager[Running]]:
    @contextlib.contextmanager
    def start(_peer: Peer, place: Place) -> Iterator[Running]:
        port = free_port()
        addresses = ["--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{place.upstream}"]
        with running("relay", [sys.executable, str(HERE / program), *addresses], port, place.tmp) as pid:
            yield Running(pid, port)

    return start


def haproxy_command(config: Path, *lines: str) -> list[str]:
    config.write_text(_HAPROXY.format(connections=OPEN_FILES // 2 - 100) + "\n".join(lines) + "\n")
    return [require("haproxy"), "-db", "-q", "-f", str(config)]


@contextlib.contextmanager
def _haproxy(_peer: Peer, place: Place) -> Iterator[Running]:
    port = free_port()
    tls, to_server = (f" ssl crt {place.tls.both}", NO_REUSE) if place.tls else ("", "")
    lines = [
        f"listen smtp\n    bind 127.0.0.1:{port}{tls}",
        f"    server sink 127.0.0.1:{place.upstream} {to_server}",
    ]
    command = haproxy_command(place.tmp / f"haproxy-{port}.cfg", *lines)
    with running("HAProxy", command, port, place.tmp) as pid:
        yield Running(pid, port)


@contextlib.contextmanager
def _postfix(_peer: Peer, place: Place) -> Iterator[Running]:
    """Starts Postfix. Its master is not our child; the working processes are children of the master."""
    port = free_port()
    root = Path(tempfile.mkdtemp(prefix="benchmark-postfix-"))
    root.chmod(0o755)
    try:
        services = _POSTFIX_SERVICE.format(listen=port, upstream=place.upstream)
        server: Postfix = prepare(root, main=_POSTFIX_MAIN, services=services, port=port)
        try:
            server.start()
        except (AssertionError, RuntimeError, OSError) as error:
            raise Failed(f"Postfix: {error}") from None
        try:
            yield Running(int((root / "queue" / "pid" / "master.pid").read_text()), port)
        finally:
            server.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def _aiosmtpd(_peer: Peer, place: Place) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, str(HERE / "aiosmtpd_proxy.py"), str(port), str(place.upstream)]
    with running("aiosmtpd", command, port, place.tmp) as pid:
        yield Running(pid, port)


def _haraka(modules: Path) -> Callable[[Peer, Place], AbstractContextManager[Running]]:
    @contextlib.contextmanager
    def start(_peer: Peer, place: Place) -> Iterator[Running]:
        port = free_port()
        root = place.tmp / f"haraka-{port}"
        (root / "plugins").mkdir(parents=True)
        shutil.copytree(modules / "Haraka" / "config", root / "config")  # no defaults without these files
        (root / "plugins" / "all_recipients.js").write_text(_ALL_RECIPIENTS)
        for name, text in _HARAKA.items():
            (root / "config" / name).write_text(text.format(listen=port, upstream=place.upstream))
        command = [require("node"), str(modules / "Haraka" / "bin" / "haraka"), "-c", str(root)]
        with running("Haraka", command, port, place.tmp) as pid:
            yield Running(pid, port)

    return start


LOOP = Peer("Python byte relay", _relay("epoll_relay.py"), streams=True)
RELAY = Peer("Trio byte relay", _relay("relay.py"), streams=True)
HAPROXY = Peer("HAProxy", _haproxy, tls=True, streams=True)


def others(haraka: Path | None) -> Iterator[Peer]:
    """The other peers that are installed. `haraka` is a node_modules directory with Haraka."""
    yield LOOP
    yield RELAY
    if which("haproxy"):
        yield HAPROXY
    if which("postfix") and os.geteuid() == 0 and importlib.util.find_spec("trustme"):
        yield Peer("Postfix proxy filter", _postfix, share=0.4, idle=(20,))
    if importlib.util.find_spec("aiosmtpd"):
        yield Peer("aiosmtpd", _aiosmtpd, share=0.2)
    if haraka is not None and which("node"):
        if not (haraka / "Haraka" / "bin" / "haraka").exists():
            raise Failed(f"there is no Haraka in {haraka}")
        yield Peer("Haraka", _haraka(haraka), share=0.1, idle=(1000,))


def modes(checkout: Path, name: str) -> list[Peer]:
    """One peer for each way to run a checkout: pure Python, with the library in C if it is built, and with
    tasks."""
    plain = ours(name, checkout=checkout)
    found = [ours(name, checkout=checkout, **PURE)]
    program = "from sansio_smtp.wire import scan; print(getattr(scan, 'accelerated', False))"
    if _said(plain, "-c", program).strip() == "True":
        found.append(ours(f"{name}, with C", checkout=checkout))
    if "--io" in _said(plain, "-m", "trio_proxy", "--help"):
        found.append(ours(f"{name}, --io tasks", "--io", "tasks", checkout=checkout, **PURE))
    return found


def _said(peer: Peer, *arguments: str) -> str:
    command = _python(peer, *arguments)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    return done.stdout
