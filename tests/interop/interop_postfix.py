"""A real Postfix of our own: its configuration, its queue and its mailboxes live in one temporary directory.

It listens on the loopback interface only, resolves nothing, relays nowhere and delivers every accepted
message into a Maildir, so that a test can read back exactly what Postfix made of what it was sent.
"""

import itertools
import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from interop_certificates import Authority

DOMAIN = "interop.test"
SENDER = f"sender@{DOMAIN}"
REFUSED = f"unknown@{DOMAIN}"
MESSAGE_SIZE_LIMIT = 12_000_000
MAILBOX_COUNT = 300
MAILBOX_UID = 65534  # nobody: the agent that writes the Maildirs refuses to run as root

# What Postfix itself prepends to a message on its way into a Maildir; everything after is the sender's.
TRACE_HEADERS = (b"Return-Path:", b"X-Original-To:", b"Delivered-To:", b"Received:")

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/mail.log
maillog_file_prefixes = {root}
myhostname = mx.{domain}
mydestination =
mynetworks = 127.0.0.1/32
inet_interfaces = loopback-only
inet_protocols = ipv4
default_process_limit = 20

# Nothing leaves the machine: no look-ups, and no transport but the one into the mailboxes.
smtp_dns_support_level = disabled
disable_dns_lookups = yes
smtpd_peername_lookup = no
default_transport = error:nothing leaves this test
smtpd_relay_restrictions = reject_unauth_destination

# Every mailbox is known by name, so any other recipient of the domain is refused with 550.
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = texthash:{root}/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_mailbox_limit = 0
alias_maps =
alias_database =

# The message must come out as it went in: Postfix completes the headers of local clients otherwise.
local_header_rewrite_clients =
message_size_limit = {limit}

# The Postfix of Debian 12 takes more than CRLF . CRLF for the end of data by default. Later ones do not,
# and would hide what the proxy lets through.
smtpd_forbid_bare_newline = no

# A thousand messages from one address are not an attack here, and neither are provoked errors.
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_error_sleep_time = 0
in_flow_delay = 0

# Everything a proxy must keep from its client is on offer: STARTTLS, XCLIENT and (by default) CHUNKING.
smtpd_tls_security_level = may
smtpd_tls_cert_file = {root}/tls.pem
smtpd_tls_key_file = {root}/tls.pem
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_authorized_xforward_hosts = 127.0.0.1
"""

# type, private, unprivileged, chroot, wakeup, maxproc, command. The second smtpd logs every command it gets.
SMTPD_CF = """
127.0.0.1:{port} inet n - n - 30 smtpd
127.0.0.1:{verbose_port} inet n - n - 5 smtpd
    -o debug_peer_list=127.0.0.1
"""

# cleanup and bounce insist on "no limit" (0); the limits of smtpd and qmgr bound them.
MASTER_CF = """
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - 5 trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - 5 proxymap
proxywrite unix - - n - 1 proxymap
showq unix n - n - 2 showq
error unix - - n - 5 error
retry unix - - n - 5 error
virtual unix - n n - 20 virtual
anvil unix - - n - 1 anvil
"""


@dataclass(frozen=True)
class Delivered:
    """One message as found in a Maildir, taken apart into Postfix's headers and the sender's bytes."""

    trace: bytes
    content: bytes  # line ends are LF: that is how a Maildir keeps them

    @classmethod
    def parse(cls, raw: bytes) -> "Delivered":
        end = 0
        for header in TRACE_HEADERS:
            assert raw.startswith(header, end), f"{header!r} expected at {end} of {raw[:800]!r}"
            end = raw.index(b"\n", end) + 1
            while raw[end : end + 1] in (b" ", b"\t"):
                end = raw.index(b"\n", end) + 1
        return cls(raw[:end], raw[end:])


@dataclass(frozen=True)
class Mailbox:
    address: str
    maildir: Path
    postfix: "Postfix"

    def messages(self) -> list[Delivered]:
        """Everything delivered here, once Postfix has nothing left to deliver."""
        self.postfix.wait_until_idle()
        new = self.maildir / "new"
        files = sorted(new.iterdir()) if new.is_dir() else []
        return [Delivered.parse(file.read_bytes()) for file in files]

    def message(self) -> Delivered:
        messages = self.messages()
        assert len(messages) == 1, f"{len(messages)} messages in {self.address}, not one"
        return messages[0]


@dataclass
class Postfix:
    root: Path
    port: int
    verbose_port: int
    """0: there is none."""
    _used: int = field(default=0)

    def new_mailbox(self) -> Mailbox:
        """A mailbox no other test has used."""
        name = f"box{self._used}"
        self._used += 1
        assert self._used <= MAILBOX_COUNT, "raise MAILBOX_COUNT"
        return Mailbox(f"{name}@{DOMAIN}", self.root / "mail" / name, self)

    def log(self) -> str:
        return (self.root / "mail.log").read_text("utf-8", "replace")

    def log_until(self, needle: str, start: int, seconds: float = 20) -> str:
        """The log from `start` on, once `needle` is in it: Postfix writes its log in its own time."""
        deadline = time.monotonic() + seconds
        while needle not in (log := self.log()[start:]):
            assert time.monotonic() < deadline, f"{needle!r} is not in Postfix's log:\n{log[-4000:]}"
            time.sleep(0.05)
        return log

    def wait_until_idle(self, seconds: float = 60) -> None:
        """Wait until all that Postfix took is delivered: it queues a message before it says 250."""
        deadline = time.monotonic() + seconds
        while left := self._queued():
            assert time.monotonic() < deadline, f"Postfix still holds {left} messages:\n{self.log()[-2000:]}"
            time.sleep(0.05)

    def _queued(self) -> int:
        # In the order in which a message passes through them, so that none can slip by between two looks.
        names = ("maildrop", "incoming", "active", "deferred", "hold")
        return sum(1 for name in names for path in (self.root / "queue" / name).rglob("*") if path.is_file())

    def run(self, verb: str, seconds: float = 60) -> int:
        # Into a file: daemons inherit the descriptors, and nobody would ever see the end of a pipe.
        with (self.root / "control.log").open("ab") as output:
            command = ["postfix", "-c", str(self.root / "etc"), verb]
            return subprocess.run(
                command, check=False, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=seconds
            ).returncode

    def start(self) -> None:
        if self.run("start") != 0:
            said = (self.root / "control.log").read_text("utf-8", "replace")
            raise RuntimeError(f"Postfix did not start:\n{said}")
        try:
            for port in (self.port, self.verbose_port):
                if port:
                    self._check_greeting(port)
        except BaseException:
            self.run("stop")
            raise

    def _check_greeting(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            greeting = connection.recv(512)
            assert greeting.startswith(b"220 "), f"{greeting!r}\n{self.log()}"
            connection.sendall(b"QUIT\r\n")

    def stop(self) -> None:
        status = self.run("stop")
        assert status == 0, f"postfix stop: {status}"


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_FIRST_PORT = 10_000 + 5_000 * (_WORKER % 4)
_PORTS = itertools.cycle(range(_FIRST_PORT, _FIRST_PORT + 5_000))
for _ in range(7 * os.getpid() % 5_000):  # another run at the same time begins elsewhere
    next(_PORTS)


def free_port() -> int:
    """A port free at this moment; for servers that cannot be given port 0.

    The kernel gives out none of these, and each worker has its own: until the server takes it, nobody does.
    """
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the ports have no end")


def prepare(root: Path, *, main: str = "", services: str = "", port: int = 0) -> Postfix:
    """Write everything Postfix needs below `root`. `main` is added to main.cf. `services`, in the notation of
    master.cf, take the place of the two smtpd; `port` is then one of theirs that greets in plain text."""
    postfix = Postfix(root, port, 0) if services else Postfix(root, free_port(), free_port())
    values = {"root": root, "domain": DOMAIN, "uid": MAILBOX_UID, "limit": MESSAGE_SIZE_LIMIT}
    ports = {"port": postfix.port, "verbose_port": postfix.verbose_port}
    for name in ("etc", "queue", "data", "mail"):
        (root / name).mkdir()
    (root / "etc" / "main.cf").write_text(_merged(MAIN_CF.format(**values), main))
    (root / "etc" / "master.cf").write_text((services or SMTPD_CF.format(**ports)) + MASTER_CF)
    mailboxes = (f"box{number}@{DOMAIN} box{number}/\n" for number in range(MAILBOX_COUNT))
    (root / "mailboxes").write_text("".join(mailboxes))
    shutil.chown(root / "data", "postfix")
    shutil.chown(root / "mail", MAILBOX_UID, MAILBOX_UID)
    Authority(root / "ca.pem").issue(root / "tls.pem", "localhost", f"mx.{DOMAIN}", "127.0.0.1")
    return postfix


def _merged(*texts: str) -> str:
    """main.cf in which what comes later counts, each parameter once: Postfix warns of a second, and postlogd
    stalls if it has much to warn of before it reads."""
    said: dict[str, str] = {}
    for line in "\n".join(texts).splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, value = line.partition("=")
            said[name.strip()] = value.strip()
    return "".join(f"{name} = {value}\n" for name, value in said.items())
