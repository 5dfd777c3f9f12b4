"""Every setting of the service, each declared once.

A field of `Options` declares a setting. Its command-line option, environment variable, key in the settings
file, check, default, ``--help`` and documentation are made from this field. To add a setting, add a field
(and use its value).

``--help`` imports this module, so it needs nothing but the standard library and attrs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from trio_proxy.limits.rates import Rate
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination

from .declaring import Setting, setting, settings_of
from .kinds import (
    ADMIN,
    COUNT,
    DIRECTORY,
    DIRECTORY_OR_NONE,
    DURATION,
    FILE,
    FILES,
    FLAG,
    HOST_NAME,
    LISTENERS,
    NETWORKS,
    RATE,
    RULE_FILES,
    SECRET_URL,
    SIZE,
    SOME_TIME,
    SWITCH,
    TEXT,
    UPSTREAMS,
    WORKERS,
    Kind,
    number_of,
    one_of,
    size_from,
)
from .place import Place
from .rule_table import RuleTable
from .timeouts import OPTION_PHASES, TIMEOUTS, Timeouts

if TYPE_CHECKING:
    from sansio_smtp.rules.decorators import OnError

    from .route_tables import RouteTable

__all__ = [
    "ALL_TABLES",
    "CONFLICTS",
    "DEFAULTS",
    "LIMITS",
    "RULES",
    "SERVER",
    "SETTINGS",
    "TABLES",
    "Conflict",
    "Options",
]

SERVER: Final = "server"
RULES: Final = "rules"
OAUTH: Final = "oauth"
LOGIN: Final = "login"
LIMITS: Final = "limits"
ALL_TABLES: Final = (
    f"[{SERVER}]",
    f"[{SERVER}.timeouts]",
    f"[{LIMITS}]",
    f"[{LOGIN}]",
    f"[{OAUTH}]",
    f"[{RULES}]",
    f"[{RULES}.NAME]",
    "[[route]]",
)
"""Each table that a settings file may have, as it is written there, in the order of the documentation."""
TABLES: Final = tuple(
    name.strip("[]") for name in ALL_TABLES if not name.startswith("[[") and "." not in name
)
"""The tables whose keys are settings of the service."""

_LEAST_LINE: Final = 512
"""RFC 5321 §4.5.3.1: a command line or reply line of up to this length must be accepted."""
_ON_ERROR: Final[Kind[OnError]] = one_of("defer", "reject", "accept")
_CLIENT_TLS: Final[Kind[Literal["none", "may", "encrypt"]]] = one_of("none", "may", "encrypt")
_LOGIN: Final[Kind[Literal["relay", "inject", "translate"]]] = one_of("relay", "inject", "translate")
_LOG_FORMAT: Final[Kind[Literal["text", "json", "auto"]]] = one_of("text", "json", "auto")
_LOG_ADDRESSES: Final[Kind[Literal["full", "hashed", "none"]]] = one_of("full", "hashed", "none")
_IO: Final[Kind[Literal["reactor", "tasks"]]] = one_of("reactor", "tasks")
_UPSTREAM_TLS: Final[Kind[Literal["none", "may", "encrypt", "verify"]]] = one_of(
    "none", "may", "encrypt", "verify"
)


@attrs.frozen(kw_only=True)
class Options:
    """All settings of the service. Times are in seconds, sizes in octets.

    The settings are in the order of ``--help``.
    """

    # fmt: off
    config: Path | None = setting(
        None, FILE, None, short="-c",
        help=f"A settings file, such as proxy.toml, with the tables {', '.join(ALL_TABLES[:-1])} (settings "
        f"of a rule) and {ALL_TABLES[-1]}. Options override it.",
    )
    rules: tuple[str, ...] = setting(
        RULES, RULE_FILES, (), key="files", short="-r",
        help="Rules: a file with functions named after phases (connect, helo, auth, mail, rcpt, data, "
        "headers, body_line, body, message, reply, delivered, disconnect), or ready:NAME. Repeatable: rules "
        "are asked in this order.",
    )
    listen: tuple[Address, ...] = setting(
        SERVER, LISTENERS, (Address("127.0.0.1", 2525),), short="-l",
        help="Where clients connect: HOST:PORT, [IPV6]:PORT or unix:PATH; smtps://HOST:PORT or "
        "smtps+unix:PATH for TLS from the first octet, as on port 465; lmtp://HOST:PORT or lmtp+unix:PATH "
        "for LMTP. Repeatable. Port 0 takes a free port and prints it.",
    )
    upstream: tuple[Destination, ...] = setting(
        SERVER, UPSTREAMS, (), short="-u", unset="a built-in server that keeps the messages",
        help="The server for the clients: HOST (port 25), HOST:PORT or unix:PATH; smtps://HOST (port 465), "
        "smtps://HOST:PORT or smtps+unix:PATH for TLS from the first octet; lmtp://HOST (port 24), "
        "lmtp://HOST:PORT or lmtp+unix:PATH for LMTP. Repeatable: a server is used while those before it "
        "cannot be used; with ,weight=N after each, the servers share the clients.",
    )
    open_relay_warning: bool = setting(
        SERVER, SWITCH, True, unset="true",
        help="Warn if clients on other machines can reach an upstream server that may trust this machine.",
    )
    capture: Path = setting(
        SERVER, DIRECTORY, Path("captured-mail"),
        help="The Maildir of the built-in server; envelopes go into DIR/envelopes.",
    )
    transcript: bool = setting(
        SERVER, FLAG, False, help="Show the dialogues with client and server, with secrets masked."
    )
    tls_cert: tuple[Path, ...] = setting(
        SERVER, FILES, (),
        help="A certificate to show to clients, with its chain, in PEM; clients are then offered STARTTLS. "
        "Repeatable: the name that the client asks for (SNI) selects the certificate, else the first is "
        "used.",
    )
    tls_key: tuple[Path, ...] = setting(
        SERVER, FILES, (),
        help="The private key of a certificate, in PEM, without a passphrase: one for each certificate, in "
        "the same order.",
    )
    self_signed: bool = setting(
        SERVER, FLAG, False,
        help="Make a certificate for development, and print its fingerprint. Clients do not trust it.",
    )
    tls: Literal["none", "may", "encrypt"] | None = setting(
        SERVER, _CLIENT_TLS, None, unset="may with a certificate, else none",
        help="STARTTLS for clients: not offered; offered; required, with 530 for commands before it. Without "
        "an upstream server it is offered, with a certificate that is made when it is used.",
    )
    tls_client_ca: Path | None = setting(
        SERVER, FILE, None,
        help="Ask clients for a certificate. If a client shows one, an authority in this file must have "
        "signed it.",
    )
    auth_without_tls: bool = setting(
        SERVER, FLAG, False, in_core=True,
        help="Offer AUTH to clients in plain text. Without this option, AUTH is offered only with TLS, and "
        "to clients on this machine. (Without an upstream server any login is accepted, from everywhere.)",
    )
    upstream_tls: Literal["none", "may", "encrypt", "verify"] | None = setting(
        SERVER, _UPSTREAM_TLS, None,
        unset="verify to smtps://, none to loopback and unix sockets, else may",
        help="TLS to the server: never; if it offers STARTTLS; always; always, and only with a valid "
        "certificate. If required TLS is not possible, clients get 421 and try again later.",
    )
    upstream_ca: Path | None = setting(
        SERVER, FILE, None, unset="those of the system",
        help="The authorities that may sign the certificate of the server, in PEM.",
    )
    upstream_tls_name: str | None = setting(
        SERVER, HOST_NAME, None, unset="the name in --upstream",
        help="The name that the certificate of the server must have. It is also sent to the server (SNI).",
    )
    upstream_cert: Path | None = setting(
        SERVER, FILE, None, help="A certificate to show to the server, if it asks for one."
    )
    upstream_key: Path | None = setting(
        SERVER, FILE, None, help="The private key of that certificate."
    )
    upstream_keep: int = setting(
        SERVER, number_of("connections", smallest=0), 0, unset="none",
        help="Keep up to so many idle connections to each server for later clients. A connection is not kept "
        "if the next client could notice the previous one, for example after a login.",
    )
    upstream_keep_time: float = setting(
        SERVER, SOME_TIME, 30.0,
        help="How long a kept connection may be idle. Servers close idle connections after a while.",
    )
    upstream_keep_uses: int = setting(
        SERVER, number_of("clients"), 100, help="How many clients may use one kept connection."
    )
    login_mode: Literal["relay", "inject", "translate"] = setting(
        LOGIN, _LOGIN, "relay", key="mode", option="--login", in_core=True,
        help="Who logs in to the server: the client; the proxy, as --upstream-user for all clients; the "
        "proxy as the client, after that has logged in to the proxy with PLAIN or LOGIN.",
    )
    upstream_user: str | None = setting(
        LOGIN, TEXT, None, key="user", help="The account of the proxy at the server, with --login inject."
    )
    upstream_password_file: Path | None = setting(
        LOGIN, FILE, None, key="password_file", unset="SMTP_PROXY_UPSTREAM_PASSWORD, or a token",
        help="A file with the password of that user. It is read at each login.",
    )
    oauth_url: str | None = setting(
        OAUTH, SECRET_URL, None, key="url",
        help="The token endpoint (RFC 6749) of the provider of the access tokens with which the proxy logs "
        "in.",
    )
    oauth_client_id: str | None = setting(
        OAUTH, TEXT, None, key="client_id",
        help="The id of this application at the provider.",
    )
    oauth_client_secret_file: Path | None = setting(
        OAUTH, FILE, None, key="client_secret_file", unset="SMTP_PROXY_OAUTH_CLIENT_SECRET, else none",
        help="A file with the secret of this application, if it has one.",
    )
    oauth_refresh_token_file: Path | None = setting(
        OAUTH, FILE, None, key="refresh_token_file",
        unset="SMTP_PROXY_OAUTH_REFRESH_TOKEN, else the client secret alone is used",
        help="A file with a refresh token, or a directory with a file for each account, named after it. A "
        "new token from the provider replaces the old one there.",
    )
    oauth_scope: str | None = setting(
        OAUTH, TEXT, None, key="scope",
        help="The scope of the token, as the provider calls it.",
    )
    oauth_timeout: float = setting(
        OAUTH, SOME_TIME, 10.0, key="timeout", help="How long the provider may take to give a token."
    )
    accept_proxy: tuple[str, ...] = setting(
        SERVER, NETWORKS, (),
        help="Clients from here must begin with a PROXY header, version 1 or 2, that names the real client: "
        "a network, an address, or unix. Repeatable.",
    )
    accept_xclient: tuple[str, ...] = setting(
        SERVER, NETWORKS, (), in_core=True,
        help="Clients from here may name the real client with XCLIENT. Repeatable.",
    )
    accept_xforward: tuple[str, ...] = setting(
        SERVER, NETWORKS, (), in_core=True,
        help="Clients from here may name the client of a message with XFORWARD. Repeatable.",
    )
    send_client: str = setting(
        SERVER, one_of("none", "proxy", "proxy2", "xclient", "xforward", "auto"), "none", in_core=True,
        help="How to tell the server who the client is: not at all; in a PROXY header, version 1 or 2; with "
        "XCLIENT; with XFORWARD; with XCLIENT or else XFORWARD, if the server offers one of them.",
    )
    bare_newline: str = setting(
        SERVER, one_of("normalize", "reject"), "normalize", in_core=True,
        help="A CR or LF that is not part of CRLF: change LF to CRLF and CR to a space, or refuse the "
        "message.",
    )
    nul: str = setting(
        SERVER, one_of("pass", "refuse"), "pass", in_core=True,
        help="NUL octets in messages: pass them on, or refuse the message.",
    )
    chunking: str = setting(
        SERVER, one_of("server", "always", "never"), "server", in_core=True,
        help="CHUNKING and BINARYMIME (BDAT): offer them to a client if the server offers them, offer "
        "CHUNKING always, or offer neither.",
    )
    case_sensitive_logins: bool = setting(
        SERVER, FLAG, False, in_core=True,
        help="Rules see logins that differ only in case as different; by default, as the same.",
    )
    max_message_size: int | None = setting(
        SERVER, SIZE, None, in_core=True, unset="what the upstream server announces",
        help="Refuse larger messages (such as 25M).",
    )
    headroom: int = setting(
        SERVER, SIZE, 0, in_core=True, unset="none",
        help="Room for what rules add to a message: the size offered to clients is smaller by this, and the "
        "size declared to the server is larger by this.",
    )
    max_connections: int = setting(
        SERVER, number_of("clients"), 1000, help="Clients at the same time; more get 421."
    )
    max_network_connections: int = setting(
        LIMITS, number_of("clients", smallest=0), 100,
        help="Clients of one network at the same time; more get 421. 0: no limit.",
    )
    connection_rate: Rate | None = setting(
        LIMITS, RATE, Rate(3_000, 60),
        help='New connections of one network in so many seconds; more get 421. "none": no limit.',
    )
    message_rate: Rate | None = setting(
        LIMITS, RATE, Rate(6_000, 60),
        help='Messages of one network in so many seconds; after that its sessions get 421. "none": no limit.',
    )
    command_rate: Rate | None = setting(
        LIMITS, RATE, Rate(60_000, 60),
        help='Commands of one network in so many seconds; after that its sessions get 421. "none": no limit.',
    )
    min_rate: Rate | None = setting(
        LIMITS, RATE, Rate(6_000, 60),
        help="Octets of a message in so many seconds; a client that sends it slower gets 421. "
        '"none": no limit.',
    )
    max_errors: int = setting(
        LIMITS, number_of("lines"), 20, in_core=True,
        help="Lines of a client that the proxy itself refuses; one more gets 421.",
    )
    soft_errors: int = setting(
        LIMITS, number_of("replies"), 10, in_core=True,
        help="Replies 4xx and 5xx since the last accepted message; a client with so many is read slower, by "
        "--error-delay.",
    )
    error_delay: float = setting(
        LIMITS, SOME_TIME, 1.0,
        help="The delay after each input of a client that has reached --soft-errors.",
    )
    max_refusals: int = setting(
        LIMITS, number_of("replies"), 100, in_core=True,
        help="Replies 4xx and 5xx since the last accepted message; after one more the next command gets 421.",
    )
    max_junk: int = setting(
        LIMITS, number_of("commands"), 100, in_core=True,
        help="Commands without mail (NOOP, RSET, VRFY, EXPN, HELP, unknown ones) since the last accepted "
        "message; one more gets 421.",
    )
    early_talkers: str = setting(
        LIMITS, one_of("serve", "refuse"), "serve", in_core=True,
        help="Clients that speak before the greeting: serve or refuse them.",
    )
    max_recipients: int = setting(
        LIMITS, number_of("recipients"), 10_000, in_core=True,
        help="Accepted recipients of one message; one more gets 452.",
    )
    max_line: int = setting(
        LIMITS, size_from(_LEAST_LINE), 12_288, in_core=True,
        help="A command of a client, or a line of its login; a longer one gets 500 and ends the session.",
    )
    max_header_section: int = setting(
        LIMITS, SIZE, 262_144, in_core=True,
        help="The header section of a message, if rules see its header fields; a larger one gets 552.",
    )
    max_reply: int = setting(
        LIMITS, size_from(_LEAST_LINE), 65_536, in_core=True,
        help="A reply of the server, with all its lines; a longer one ends the session with 421.",
    )
    max_held_total: int = setting(
        LIMITS, SIZE, 256 * 2**20,
        help="Total memory of messages that are kept whole; beyond it messages go to --spool, or get 452.",
    )
    network_prefix_v4: int = setting(
        LIMITS, number_of("bits", largest=32), 32, help="How many bits of an IPv4 address name its network."
    )
    network_prefix_v6: int = setting(
        LIMITS, number_of("bits", largest=128), 64,
        help="How many bits of an IPv6 address name its network.",
    )
    exempt_networks: tuple[str, ...] = setting(
        LIMITS, NETWORKS, ("127.0.0.0/8", "::1"), unset="127.0.0.0/8 and ::1",
        help="Clients from here are exempt from the limits of networks. So are clients that may name the "
        "real client (PROXY header, XCLIENT, XFORWARD). Repeatable.",
    )
    timeouts: Timeouts = setting(
        SERVER, TIMEOUTS, Timeouts(), option="--timeout", unset="those of RFC 5321, 4.5.3.2",
        help=f"The time limit of every wait, or of one phase: {', '.join(OPTION_PHASES)}. Repeatable.",
    )
    io: Literal["reactor", "tasks"] | None = setting(
        SERVER, _IO, None, unset="reactor where there is epoll, else tasks",
        help="How sockets are read: by one task for all sessions, which costs less, or by a pair of tasks "
        "for each session. Peers see no difference.",
    )
    grace: float = setting(
        SERVER, DURATION, 30.0,
        help="How long messages in flight may take to finish when the service stops.",
    )
    workers: int | Literal["auto"] | None = setting(
        SERVER, WORKERS, None, unset="one process, without a parent",
        help="Serve clients in so many processes, or in one for each processor. A parent process starts and "
        "replaces them.",
    )
    control: Path | None = setting(
        SERVER, FILE, None,
        help="With --workers: the unix socket on which smtp-proxy reload reaches the parent.",
    )
    user: str | None = setting(
        SERVER, TEXT, None, unset="the user that starts it",
        help="The user NAME, or NAME:GROUP. If started as root, the service becomes this user as soon as it "
        "listens.",
    )
    rule_timeout: float = setting(
        RULES, SOME_TIME, 30.0, key="timeout", help="How long one call of a rule may take."
    )
    on_rule_error: OnError = setting(
        RULES, _ON_ERROR, "defer", key="on_error",
        help="If a rule fails or takes too long: answer 451, answer 550, or go on without this rule.",
    )
    addresses: str = setting(
        RULES, one_of("strict", "lenient"), "strict", in_core=True,
        help="A path of MAIL or RCPT that servers may read in different ways: refuse it with 501, or let it "
        "pass. Without rules it always passes.",
    )
    reload: bool = setting(
        RULES, SWITCH, False,
        help="Watch the files of rules and the settings file; new connections use the new rules.",
    )
    quarantine: Path = setting(
        RULES, DIRECTORY, Path("quarantine"), help="The directory for messages that a rule holds."
    )
    max_held: int = setting(
        RULES, SIZE, 32 * 2**20, in_core=True,
        help="The largest message kept in memory for a rule that wants it whole.",
    )
    spool: Path | None = setting(
        RULES, DIRECTORY_OR_NONE, None, unset="larger messages are refused",
        help="The directory for temporary files of messages larger than --max-held.",
    )
    admin: Address | None = setting(
        SERVER, ADMIN, None,
        help="Serve /healthz, /readyz and /metrics (Prometheus) over HTTP at this address: HOST:PORT, "
        "usually 127.0.0.1:9025, or unix:PATH.",
    )
    otel: bool = setting(
        SERVER, FLAG, False,
        help="Make OpenTelemetry spans of sessions, messages and rules, for the tracer provider that the "
        "environment or a file of rules has set.",
    )
    log_format: Literal["text", "json", "auto"] = setting(
        SERVER, _LOG_FORMAT, "auto", unset="text on a terminal, else json",
        help="The format of log lines: text for people, or JSON with one object in a line.",
    )
    log_addresses: Literal["full", "hashed", "none"] = setting(
        SERVER, _LOG_ADDRESSES, "full",
        help="Mail addresses in log lines: as they are; replaced by a hash, which one can compute from the "
        "address and the key; or left out.",
    )
    log_key_file: Path | None = setting(
        SERVER, FILE, None, unset="a random key for each run",
        help="A file with the key of the hashes in log lines.",
    )
    verbose: int = setting(
        SERVER, COUNT, 0, short="-v", help="Log more than the results of messages; twice: everything."
    )
    quiet: bool = setting(
        SERVER, FLAG, False, short="-q", help="Log only errors, and print nothing at the start."
    )
    # fmt: on

    # The fields below are not settings.
    rule_settings: Mapping[str, RuleTable] = attrs.field(factory=dict[str, RuleTable])
    """The ``[rules.NAME]`` tables of the settings file, not yet read."""
    routes: tuple[RouteTable, ...] = ()
    """The ``[[route]]`` tables of the settings file."""
    given: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False, eq=False)
    """The values from the command line and the environment, by the name of the setting."""
    named: frozenset[str] = attrs.field(default=frozenset(), repr=False, eq=False)
    """The names of settings that are given anywhere, also in the settings file."""
    places: Mapping[str, Place] = attrs.field(factory=dict[str, Place], repr=False, eq=False)
    """Name of a setting → its place in the settings file, for settings whose value comes from there."""
    unread: frozenset[str] = attrs.field(default=frozenset(), repr=False, eq=False)
    """The names of settings that may have been given, in a value or a key that could not be read."""

    def servers_of(self, name: str) -> tuple[Destination, ...] | None:
        """The servers of the route of this name; None if there is no such route."""
        return next((route.upstream for route in self.routes if route.name == name), None)

    @property
    def has_certificate(self) -> bool:
        """True if TLS with clients is possible."""
        return bool(self.tls_cert) or self.self_signed

    @property
    def only_keeps(self) -> bool:
        """True if the settings name no server: the built-in one keeps all messages."""
        return not self.upstream and not self.routes

    @property
    def makes_certificate(self) -> bool:
        """True if a certificate is made when a client wants TLS. Workers would make one each."""
        has_any = self.has_certificate or self.tls_key
        return self.only_keeps and not has_any and self.workers is None and self.tls != "none"

    @property
    def worker_count(self) -> int:
        """How many processes serve clients."""
        if self.workers == "auto":
            return _processors()
        return self.workers or 1

    @property
    def verbosity(self) -> int:
        """-1 quiet, 0, 1 ``-v``, 2 ``-vv``."""
        return -1 if self.quiet else self.verbose


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


DEFAULTS: Final = Options()
"""The default of each setting, for code that needs one."""
SETTINGS: Final[dict[str, Setting]] = settings_of(Options)
"""Name → setting, in the order of ``--help``."""


@attrs.frozen
class Conflict:
    """Two settings that contradict each other."""

    name: str
    other: str
    why: str
    """The text that follows the name of the first."""


CONFLICTS: Final = (
    Conflict("capture", "upstream", "is for the built-in server; with an upstream server there is none"),
)
