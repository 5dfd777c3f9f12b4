"""Postfix and Exim that take mail for everybody, deliver none of it, and tell for whom each message was.

They listen on the loopback interface, and look nothing up. They relay for every client and follow local-parts
that route, as a server does for clients in its own network: Postfix by default, Exim because it is told to.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from interop_daemon import Daemon, need, open_directory
from interop_postfix import Postfix, free_port

from sansio_smtp.errors import MailboxError
from sansio_smtp.wire.domains import normal_domain

EXIM = Path("/opt/exim4/usr/sbin/exim4")
"""Debian's exim4-daemon-light, unpacked here: it cannot be installed beside Postfix."""

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/mail.log
maillog_file_prefixes = {root}
myhostname = mx.example.com
mydomain = example.com
mydestination = example.com, old.example, new.example, evil.example, xn--bcher-kva.example
mynetworks = 127.0.0.1/32
inet_interfaces = loopback-only
inet_protocols = ipv4
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
local_recipient_maps =
alias_maps =
alias_database =
local_transport = discard:
default_transport = discard:
relay_transport = discard:
smtputf8_enable = yes
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 100000
smtpd_hard_error_limit = 100000
smtpd_junk_command_limit = 100000
smtpd_client_connection_rate_limit = 0
in_flow_delay = 0
"""
MASTER_CF = """
127.0.0.1:{port} inet n - n - 10 smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - 5 trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - 5 proxymap
showq unix n - n - 2 showq
error unix - - n - 5 error
retry unix - - n - 5 error
discard unix - - n - 10 discard
anvil unix - - n - 1 anvil
"""
EXIM_CONF = """
primary_hostname = mx.example.com
exim_path = {exim}
keep_environment =
print_topbitchars = true
{tls}
allow_domain_literals = true
exim_user = nobody
exim_group = nogroup
never_users =
spool_directory = {root}/spool
log_file_path = {root}/%slog
daemon_smtp_ports = {ports}
local_interfaces = 127.0.0.1
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max_nonmail = 10000
smtp_max_unknown_commands = 10000
smtp_max_synprot_errors = 10000
smtputf8_advertise_hosts = *
percent_hack_domains = *
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
  accept logwrite = recipient [$local_part@$domain]
         logwrite = with [$tls_in_ver]
data:
  discard
"""

POSTFIX_SENT = re.compile(r": ([0-9A-Za-z]+): to=<(.*?)>, (?:orig_to=<.*?>, )?relay=")
EXIM_READ = re.compile(r"recipient \[(.*)\]$", re.MULTILINE)
"""Exim needs root to deliver, but says at RCPT for whom it takes the address, the percent hack included."""


@attrs.define
class Delivering:
    """A server that takes all mail."""

    name: str
    port: int
    _delivered: Callable[[str], set[str]]
    tls_port: int = 0
    """For TLS from the first octet; 0: there is none."""
    log: Path = Path()

    def delivered(self, answer: str) -> set[str]:
        """The mailboxes that got the last message, to which the server gave this answer: ``local@domain``, in
        lower case and without quotes."""
        return {normal(address) for address in self._delivered(answer)}


def normal(address: str) -> str:
    """An address as a server logs it."""
    local, at, domain = address.rpartition("@")
    if local.startswith('"') and local.endswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    try:
        domain = normal_domain(domain)
    except MailboxError:
        domain = f"unreadable {domain}"
    return f"{local}{at}{domain}".lower()


@contextmanager
def running_postfix() -> Iterator[Delivering]:
    need("postfix", "postfix")
    with open_directory("delivering") as root:
        server = Postfix(root, free_port(), 0)
        for name in ("etc", "queue", "data"):
            (root / name).mkdir()
        (root / "etc" / "main.cf").write_text(MAIN_CF.format(root=root))
        (root / "etc" / "master.cf").write_text(MASTER_CF.format(port=server.port))
        shutil.chown(root / "data", "postfix")
        server.verbose_port = server.port
        try:
            server.start()
        except BaseException:
            print(server.log()[-3000:])
            raise

        def delivered(answer: str) -> set[str]:
            message = answer.rpartition(" ")[2]
            log = server.log_until(f"{message}: removed", 0)
            return {to for of, to in POSTFIX_SENT.findall(log) if of == message}

        try:
            yield Delivering("postfix", server.port, delivered)
        finally:
            server.stop()


@contextmanager
def running_exim(certificate: Path | None = None) -> Iterator[Delivering]:
    """With a certificate, in a file with its key, it offers STARTTLS, and has a port for TLS from the first
    octet. It is built with GnuTLS."""
    if not EXIM.exists():
        pytest.fail(f"{EXIM} is missing: .ci/run says how to unpack it", pytrace=False)
    with open_directory("exim") as root:
        port, tls_port = free_port(), free_port() if certificate is not None else 0
        tls, ports = "tls_advertise_hosts =", f"{port}"
        paths = [root, root / "spool"]
        if certificate is not None:
            paths.append(Path(shutil.copy(certificate, root / "tls.pem")))
            tls = f"tls_advertise_hosts = *\ntls_certificate = {paths[-1]}\ntls_on_connect_ports = {tls_port}"
            ports = f"{port} : {tls_port}"
        (root / "conf").write_text(EXIM_CONF.format(root=root, ports=ports, exim=EXIM, tls=tls))
        (root / "spool").mkdir()
        for path in paths:
            shutil.chown(path, "nobody", "nogroup")
        command = [str(EXIM), "-C", str(root / "conf"), "-bdf", "-q1h"]
        daemon = Daemon(command, root / "output", ("127.0.0.1", port))
        daemon.start()
        seen = 0

        def delivered(answer: str) -> set[str]:
            nonlocal seen
            log = (root / "mainlog").read_text("utf-8", "replace")
            log, seen = log[seen:], len(log)
            return set(EXIM_READ.findall(log))

        try:
            yield Delivering("exim", port, delivered, tls_port, root / "mainlog")
        finally:
            daemon.stop()
