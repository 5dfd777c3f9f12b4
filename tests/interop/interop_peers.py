"""One Postfix with a service for each thing that a server may do with TLS, and with who the client is.

All of them take mail for the mailboxes of `interop_postfix`, and let clients log in with any name and
`PASSWORD`, which Dovecot checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from interop_daemon import Daemon, need, open_directory
from interop_postfix import Mailbox, Postfix, free_port, prepare

__all__ = ["PASSWORD", "SERVER_NAME", "Peers", "running_peers"]

PASSWORD = "correct-horse/battery+staple"
SERVER_NAME = "mx.interop.test"

_LOGGED_IN = {"smtpd_recipient_restrictions": "permit_sasl_authenticated,reject"}
SERVICES = {
    # They take mail of clients that have logged in; all mechanisms, or one.
    "login": _LOGGED_IN,
    "login, PLAIN": {**_LOGGED_IN, "smtpd_sasl_mechanism_filter": "plain"},
    "login, LOGIN": {**_LOGGED_IN, "smtpd_sasl_mechanism_filter": "login"},
    "login, TLS": {**_LOGGED_IN, "smtpd_tls_security_level": "encrypt", "smtpd_tls_auth_only": "yes"},
    "plain": {},
    "starttls": {"smtpd_tls_security_level": "may"},
    "implicit": {"smtpd_tls_security_level": "encrypt", "smtpd_tls_wrappermode": "yes"},
    "required": {"smtpd_tls_security_level": "encrypt", "smtpd_tls_auth_only": "yes"},
    # Offers STARTTLS, answers 454 to it, and takes no mail without.
    "absent": {"smtpd_tls_security_level": "encrypt", "smtpd_tls_cert_file": "/nonexistent"},
    "xclient": {"smtpd_authorized_xclient_hosts": "127.0.0.1"},
    "xforward": {"smtpd_authorized_xforward_hosts": "127.0.0.1"},
    "header": {"smtpd_upstream_proxy_protocol": "haproxy"},
    "header, implicit": {
        "smtpd_upstream_proxy_protocol": "haproxy",
        "smtpd_tls_security_level": "encrypt",
        "smtpd_tls_wrappermode": "yes",
    },
    "everything": {
        "smtpd_tls_security_level": "may",
        "smtpd_authorized_xclient_hosts": "127.0.0.1",
        "smtpd_authorized_xforward_hosts": "127.0.0.1",
    },
}
"""By name: what is said in master.cf besides `MAIN_CF`."""

MAIN_CF = """
smtpd_tls_security_level = none
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_authorized_xclient_hosts =
smtpd_authorized_xforward_hosts =
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {socket}
smtpd_sasl_security_options = noanonymous
smtpd_sender_login_maps =
mynetworks =
notify_classes =
"""

DOVECOT = """
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
ssl = no
protocols =
disable_plaintext_auth = no
auth_mechanisms = plain login scram-sha-256
auth_failure_delay = 0
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent allow_all_users=yes
}}
service auth {{
  unix_listener {root}/auth {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


@attrs.define
class Peers:
    postfix: Postfix
    ports: dict[str, int]
    """Of the services, by their names."""
    ca: Path
    """Has issued the certificate of the server, for `SERVER_NAME`, localhost and 127.0.0.1."""

    def new_mailbox(self) -> Mailbox:
        return self.postfix.new_mailbox()


@contextmanager
def running_dovecot() -> Iterator[Path]:
    """The socket at which Postfix asks about logins."""
    need("dovecot", "dovecot-core")
    with open_directory("sasl") as root:
        config = root / "dovecot.conf"
        config.write_text(DOVECOT.format(root=root, password=PASSWORD))
        daemon = Daemon(["dovecot", "-F", "-c", str(config)], root / "output", root / "auth")
        daemon.start()
        try:
            yield root / "auth"
        finally:
            daemon.stop()


def service(port: int | str, options: dict[str, str]) -> str:
    """An smtpd in the notation of master.cf."""
    said = "".join(f"    -o {name}={value}\n" for name, value in options.items())
    return f"127.0.0.1:{port} inet n - n - 20 smtpd\n{said}"


@contextmanager
def running_peers() -> Iterator[Peers]:
    need("postfix", "postfix")
    ports = {name: free_port() for name in SERVICES}
    services = "".join(service(ports[name], options) for name, options in SERVICES.items())
    with running_dovecot() as socket, open_directory("peers") as root:
        main = MAIN_CF.format(socket=socket)
        postfix = prepare(root, main=main, services=services, port=ports["plain"])
        postfix.start()
        try:
            yield Peers(postfix, ports, root / "ca.pem")
        finally:
            postfix.stop()
