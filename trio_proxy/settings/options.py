"""Every setting of the service, each declared once.

The option of the command line, the environment variable, the key of the settings file and its check, the
default, ``--help`` and the tables of the documentation follow from the field of `Options` that declares a
setting. To add one, add a field (and use its value).

``--help`` imports this module, so it needs nothing but the standard library and attrs.
"""

from __future__ import annotations

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
from .rule_table import RuleTable
from .timeouts import OPTION_PHASES, TIMEOUTS, Timeouts

if TYPE_CHECKING:
    from sansio_smtp.rules.decorators import OnError

    from .route_tables import RouteTable

__all__ = ["CONFLICTS", "DEFAULTS", "RULES", "SETTINGS", "TABLES", "Conflict", "Options"]

SERVER: Final = "server"
RULES: Final = "rules"
OAUTH: Final = "oauth"
LOGIN: Final = "login"
LIMITS: Final = "limits"
TABLES: Final = (SERVER, LIMITS, LOGIN, OAUTH, RULES)
"""The tables of the settings file, in the order of the documentation."""

_LEAST_LINE: Final = 512
"""RFC 5321 §4.5.3.1: no command line, and no line of a reply, may be refused that is shorter."""
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
    """What the service is asked to do. Times are seconds, sizes are octets.

    The fields that `setting` makes stand in the order of ``--help``.
    """

    # fmt: off
    config: Path | None = setting(
        None, FILE, None, short="-c",
        help="A settings file, such as proxy.toml: [server], [server.timeouts], [rules] and [rules.NAME] for "
        "the settings of rules. Options win.",
    )
    rules: tuple[str, ...] = setting(
        RULES, RULE_FILES, (), key="files", short="-r",
        help="Rules: functions named after phases (connect, helo, auth, mail, rcpt, data, headers, "
        "body_line, body, message, reply, delivered, disconnect), or ready:NAME. Repeatable, asked in this "
        "order.",
    )
    listen: tuple[Address, ...] = setting(
        SERVER, LISTENERS, (Address("127.0.0.1", 2525),), short="-l",
        help="Where clients connect: HOST:PORT, [IPV6]:PORT or unix:PATH; smtps://HOST:PORT or "
        "smtps+unix:PATH for TLS from the first octet, as on port 465; lmtp://HOST:PORT or lmtp+unix:PATH "
        "for LMTP. Repeatable. Port 0 takes a free port and prints it.",
    )
    upstream: tuple[Destination, ...] = setting(
        SERVER, UPSTREAMS, (), short="-u", unset="a built-in server that keeps the messages",
        help="The server that clients are connected to: HOST (port 25), HOST:PORT or unix:PATH; smtps://HOST "
        "(port 465), smtps://HOST:PORT or smtps+unix:PATH for TLS from the first octet; lmtp://HOST (port "
        "24), lmtp://HOST:PORT or lmtp+unix:PATH for LMTP. Repeatable: the next one is used while those "
        "before it cannot be; or, with ,weight=N after each, shares of clients.",
    )
    open_relay_warning: bool = setting(
        SERVER, SWITCH, True, unset="true",
        help="Warn if clients from elsewhere reach an upstream server that may trust this machine.",
    )
    capture: Path = setting(
        SERVER, DIRECTORY, Path("captured-mail"),
        help="The Maildir of the built-in server; envelopes go into DIR/envelopes.",
    )
    transcript: bool = setting(
        SERVER, FLAG, False, help="Show both legs of every dialogue, secrets masked."
    )
    tls_cert: tuple[Path, ...] = setting(
        SERVER, FILES, (),
        help="A certificate to show to clients, and its chain, in PEM; STARTTLS is offered then. Repeatable: "
        "the name that the client asks for (SNI) chooses, else it is the first.",
    )
    tls_key: tuple[Path, ...] = setting(
        SERVER, FILES, (),
        help="The private key of a certificate, in PEM, without a passphrase: one for each certificate, in "
        "their order.",
    )
    self_signed: bool = setting(
        SERVER, FLAG, False,
        help="Make a certificate for development, which nobody trusts, and print its fingerprint.",
    )
    tls: Literal["none", "may", "encrypt"] | None = setting(
        SERVER, _CLIENT_TLS, None, unset="may with a certificate, else none",
        help="STARTTLS for clients: not offered; offered; demanded, with 530 to what comes before it.",
    )
    tls_client_ca: Path | None = setting(
        SERVER, FILE, None,
        help="Ask clients for a certificate. One that is shown must come from an authority in this file.",
    )
    auth_without_tls: bool = setting(
        SERVER, FLAG, False, in_core=True,
        help="Offer AUTH to clients in plain text. Without this it is offered under TLS, and to clients on "
        "this machine.",
    )
    upstream_tls: Literal["none", "may", "encrypt", "verify"] | None = setting(
        SERVER, _UPSTREAM_TLS, None,
        unset="verify to smtps://, none to loopback and unix sockets, else may",
        help="TLS to the server: never; if it offers STARTTLS; always; always, with a certificate that is "
        "right. What is not possible defers mail with 421.",
    )
    upstream_ca: Path | None = setting(
        SERVER, FILE, None, unset="those of the system",
        help="The authorities that may sign the certificate of the server, in PEM.",
    )
    upstream_tls_name: str | None = setting(
        SERVER, HOST_NAME, None, unset="that of --upstream",
        help="The name that the certificate of the server must have, and that is asked for (SNI).",
    )
    upstream_cert: Path | None = setting(
        SERVER, FILE, None, help="A certificate to show to the server, if it asks for one."
    )
    upstream_key: Path | None = setting(
        SERVER, FILE, None, help="The private key of that certificate."
    )
    upstream_keep: int = setting(
        SERVER, number_of("connections", smallest=0), 0, unset="none",
        help="Keep up to so many idle connections to each server, for the next clients. A connection whose "
        "next user could notice the one before, such as one with a login, is not kept.",
    )
    upstream_keep_time: float = setting(
        SERVER, SOME_TIME, 30.0, help="For a kept connection to be idle; servers close theirs after a while."
    )
    upstream_keep_uses: int = setting(
        SERVER, number_of("clients"), 100, help="For one connection that is kept."
    )
    login_mode: Literal["relay", "inject", "translate"] = setting(
        LOGIN, _LOGIN, "relay", key="mode", option="--login", in_core=True,
        help="Who logs in to the server: the client; the proxy, as --upstream-user for all clients; "
        "the proxy, when the client has logged in to it with PLAIN or LOGIN, and as that client.",
    )
    upstream_user: str | None = setting(
        LOGIN, TEXT, None, key="user", help="As whom the proxy logs in, with --login inject."
    )
    upstream_password_file: Path | None = setting(
        LOGIN, FILE, None, key="password_file", unset="SMTP_PROXY_UPSTREAM_PASSWORD, or a token",
        help="A file with the password of that user. It is read at each login.",
    )
    oauth_url: str | None = setting(
        OAUTH, SECRET_URL, None, key="url",
        help="The token endpoint (RFC 6749) of the provider whose access tokens the proxy logs in with.",
    )
    oauth_client_id: str | None = setting(
        OAUTH, TEXT, None, key="client_id",
        help="What the provider calls this application.",
    )
    oauth_client_secret_file: Path | None = setting(
        OAUTH, FILE, None, key="client_secret_file", unset="SMTP_PROXY_OAUTH_CLIENT_SECRET, else none",
        help="A file with the secret of this application, if it has one.",
    )
    oauth_refresh_token_file: Path | None = setting(
        OAUTH, FILE, None, key="refresh_token_file",
        unset="SMTP_PROXY_OAUTH_REFRESH_TOKEN, else the client secret alone is used",
        help="A file with a refresh token, or a directory with a file for each account, named after it. A "
        "new one that the provider gives is written there.",
    )
    oauth_scope: str | None = setting(
        OAUTH, TEXT, None, key="scope",
        help="What the token is for, as the provider calls it.",
    )
    oauth_timeout: float = setting(
        OAUTH, SOME_TIME, 10.0, key="timeout", help="For the provider to give a token."
    )
    accept_proxy: tuple[str, ...] = setting(
        SERVER, NETWORKS, (),
        help="Clients from here must begin with a PROXY header, version 1 or 2, that says who the client is: "
        "a network, an address, or unix. Repeatable.",
    )
    accept_xclient: tuple[str, ...] = setting(
        SERVER, NETWORKS, (), in_core=True,
        help="Clients from here may say with XCLIENT who the client is. Repeatable.",
    )
    accept_xforward: tuple[str, ...] = setting(
        SERVER, NETWORKS, (), in_core=True,
        help="Clients from here may say with XFORWARD who the client of a message is. Repeatable.",
    )
    send_client: str = setting(
        SERVER, one_of("none", "proxy", "proxy2", "xclient", "xforward", "auto"), "none", in_core=True,
        help="How the server is told who the client is: not at all; in a PROXY header, version 1 or 2; with "
        "XCLIENT; with XFORWARD; with the first of these two that it offers, if any.",
    )
    bare_newline: str = setting(
        SERVER, one_of("normalize", "reject"), "normalize", in_core=True,
        help="A CR or LF that is no CRLF: make LF a CRLF and CR a space, or refuse the message.",
    )
    nul: str = setting(
        SERVER, one_of("pass", "refuse"), "pass", in_core=True, help="NUL octets in messages."
    )
    chunking: str = setting(
        SERVER, one_of("server", "always", "never"), "server", in_core=True,
        help="CHUNKING and BINARYMIME (BDAT): offer them to a client if the server offers them, offer "
        "CHUNKING always, or offer neither.",
    )
    case_sensitive_logins: bool = setting(
        SERVER, FLAG, False, in_core=True,
        help="For rules, logins that differ in case are different ones; by default they are one.",
    )
    max_message_size: int | None = setting(
        SERVER, SIZE, None, in_core=True, unset="what the upstream server announces",
        help="Refuse larger messages (such as 25M).",
    )
    headroom: int = setting(
        SERVER, SIZE, 0, in_core=True, unset="none",
        help="Room for what rules add to a message: clients are offered so much less than the server takes, "
        "and the server is told so much more than they declare.",
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
        help="Replies 4xx and 5xx since the last message that was accepted; a client that has had so many is "
        "read slower, by --error-delay.",
    )
    error_delay: float = setting(
        LIMITS, SOME_TIME, 1.0, help="After each input of such a client."
    )
    max_refusals: int = setting(
        LIMITS, number_of("replies"), 100, in_core=True,
        help="Replies 4xx and 5xx since then; after one more the next command gets 421.",
    )
    max_junk: int = setting(
        LIMITS, number_of("commands"), 100, in_core=True,
        help="Commands that lead to no mail (NOOP, RSET, VRFY, EXPN, HELP, unknown ones) since then; one "
        "more gets 421.",
    )
    early_talkers: str = setting(
        LIMITS, one_of("serve", "refuse"), "serve", in_core=True,
        help="Clients that speak before the greeting.",
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
        help="The header section of a message whose header fields rules see; beyond it 552.",
    )
    max_reply: int = setting(
        LIMITS, size_from(_LEAST_LINE), 65_536, in_core=True,
        help="A reply of the server, all its lines together; a longer one ends the session with 421.",
    )
    max_held_total: int = setting(
        LIMITS, SIZE, 256 * 2**20,
        help="Memory of all messages together that are kept whole; beyond it they go to --spool, or get 452.",
    )
    network_prefix_v4: int = setting(
        LIMITS, number_of("bits", largest=32), 32, help="Of an IPv4 address, to say its network."
    )
    network_prefix_v6: int = setting(
        LIMITS, number_of("bits", largest=128), 64, help="The same for IPv6."
    )
    exempt_networks: tuple[str, ...] = setting(
        LIMITS, NETWORKS, ("127.0.0.0/8", "::1"), unset="127.0.0.0/8 and ::1",
        help="Clients from here have none of the limits of networks; those that may say who the client is "
        "(PROXY header, XCLIENT, XFORWARD) have none either. Repeatable.",
    )
    timeouts: Timeouts = setting(
        SERVER, TIMEOUTS, Timeouts(), option="--timeout", unset="those of RFC 5321, 4.5.3.2",
        help=f"For every wait, or for one: {', '.join(OPTION_PHASES)}. Repeatable.",
    )
    io: Literal["reactor", "tasks"] | None = setting(
        SERVER, _IO, None, unset="reactor where there is epoll, else tasks",
        help="How sockets are read: by one task for all sessions, which costs less, or by a pair of tasks "
        "for each session, the plain way. Peers see no difference.",
    )
    grace: float = setting(
        SERVER, DURATION, 30.0, help="For messages in flight to finish when the service stops."
    )
    workers: int | Literal["auto"] | None = setting(
        SERVER, WORKERS, None, unset="one process, without a parent",
        help="Serve clients in so many processes, or in one for each processor, under a parent that starts "
        "and replaces them.",
    )
    control: Path | None = setting(
        SERVER, FILE, None, help="With --workers: a unix socket on which smtp-proxy reload asks the parent."
    )
    user: str | None = setting(
        SERVER, TEXT, None, unset="that of the start",
        help="NAME or NAME:GROUP. Started as root, be this user as soon as it listens.",
    )
    rule_timeout: float = setting(
        RULES, SOME_TIME, 30.0, key="timeout", help="For one call of a rule."
    )
    on_rule_error: OnError = setting(
        RULES, _ON_ERROR, "defer", key="on_error",
        help="When a rule fails or is too late: 451, 550, or go on as if it said nothing.",
    )
    addresses: str = setting(
        RULES, one_of("strict", "lenient"), "strict", in_core=True,
        help="A path of MAIL or RCPT that servers may read in different ways: refuse it with 501, or let it "
        "pass. Without rules it always passes.",
    )
    reload: bool = setting(
        RULES, SWITCH, False,
        help="Watch the rules and the settings file; new connections get the new rules.",
    )
    quarantine: Path = setting(
        RULES, DIRECTORY, Path("quarantine"), help="Where messages go that a rule holds."
    )
    max_held: int = setting(
        RULES, SIZE, 32 * 2**20, in_core=True,
        help="The largest message kept in memory for a rule that wants it whole.",
    )
    spool: Path | None = setting(
        RULES, DIRECTORY_OR_NONE, None, unset="larger messages are refused",
        help="Messages larger than --max-held go through a file in this directory.",
    )
    admin: Address | None = setting(
        SERVER, ADMIN, None,
        help="Serve /healthz, /readyz and /metrics (Prometheus) there, over HTTP: HOST:PORT, usually "
        "127.0.0.1:9025, or unix:PATH.",
    )
    otel: bool = setting(
        SERVER, FLAG, False,
        help="Make spans of OpenTelemetry of sessions, messages and rules, for the tracer provider that the "
        "environment or a file of rules has set.",
    )
    log_format: Literal["text", "json", "auto"] = setting(
        SERVER, _LOG_FORMAT, "auto", unset="text on a terminal, else json",
        help="How log lines are written: for people, or as JSON, one object in a line.",
    )
    log_addresses: Literal["full", "hashed", "none"] = setting(
        SERVER, _LOG_ADDRESSES, "full",
        help="Mail addresses in log lines: as they are; in their place a hash, by which a message is found "
        "with the address and the key; or left out.",
    )
    log_key_file: Path | None = setting(
        SERVER, FILE, None, unset="a key of this run of the service, which nobody knows",
        help="A file with the key of these hashes.",
    )
    verbose: int = setting(
        SERVER, COUNT, 0, short="-v", help="Log more than what became of mail; twice: everything."
    )
    quiet: bool = setting(
        SERVER, FLAG, False, short="-q", help="Log errors only, and do not say what was started."
    )
    # fmt: on

    # What follows is no setting.
    rule_settings: Mapping[str, RuleTable] = attrs.field(factory=dict[str, RuleTable])
    """The ``[rules.NAME]`` tables of the settings file, not yet read."""
    routes: tuple[RouteTable, ...] = ()
    """The ``[[route]]`` tables of the settings file."""
    given: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False, eq=False)
    """What the command line and the environment say, by the name of the setting."""
    named: frozenset[str] = attrs.field(default=frozenset(), repr=False, eq=False)
    """The settings that are given, there or in the settings file."""

    def servers_of(self, name: str) -> tuple[Destination, ...] | None:
        """The servers of the route of this name; None if there is no such route."""
        return next((route.upstream for route in self.routes if route.name == name), None)

    @property
    def has_certificate(self) -> bool:
        """True if TLS with clients is possible."""
        return bool(self.tls_cert) or self.self_signed

    @property
    def verbosity(self) -> int:
        """-1 quiet, 0, 1 ``-v``, 2 ``-vv``."""
        return -1 if self.quiet else self.verbose


DEFAULTS: Final = Options()
"""The value of each setting that is not given: code that needs a default takes it from here."""
SETTINGS: Final[dict[str, Setting]] = settings_of(Options)
"""Name → setting, in the order of ``--help``."""


@attrs.frozen
class Conflict:
    """Two settings that make no sense together."""

    name: str
    other: str
    why: str
    """What the first is, to follow its name."""


CONFLICTS: Final = (
    Conflict("capture", "upstream", "is for the built-in server; with an upstream server there is none"),
)
