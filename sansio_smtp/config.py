"""`Config`: the limits and choices of one session. Seconds, addresses and files are settings of the
driver."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import attrs

from .arguments import check_number
from .names import did_you_mean
from .networks import NO_NETWORKS, Networks

__all__ = [
    "Addresses",
    "BareNewline",
    "Chunking",
    "ClientTls",
    "Config",
    "Dialect",
    "EarlyTalkers",
    "LoginMode",
    "Nul",
    "SendClient",
    "Tap",
    "UpstreamTls",
]


class _Choice(Enum):
    """Its members can be given by their values; a value of no member is an error of the caller."""

    @classmethod
    def _missing_(cls, value: object) -> None:
        values = [str(member.value) for member in cls]
        *before, last = [f'"{each}"' for each in values]
        hint = did_you_mean(value, values) if isinstance(value, str) else ""
        raise ValueError(f"this is {', '.join(before)} or {last}, not {value!r:.60}{hint}")


class Addresses(_Choice):
    """What happens to a path that servers may read in different ways, if rules see mail transactions."""

    STRICT = "strict"
    """It is answered 501."""
    LENIENT = "lenient"
    """It passes, if any path can be found in the command. Rules see the best guess at its mailbox."""


class BareNewline(_Choice):
    """What happens to a CR or LF that is not part of CRLF. It is never passed on as it is."""

    NORMALIZE = "normalize"
    """Bare LF becomes CRLF (dot-stuffing redone), bare CR becomes a space."""
    REJECT = "reject"
    """A message that holds one is refused with a 5xx; a command line that holds one ends the session."""


class Nul(_Choice):
    """What happens to NUL in mail data.

    A line of one dot and NULs is refused in either case: a receiver that drops NUL reads it as
    end-of-data.
    """

    PASS = "pass"
    REFUSE = "refuse"


class Tap(_Choice):
    """Selects the `BodyChunk` events that show decoded content while it passes: none, pieces, or lines."""

    OFF = "off"
    CHUNKS = "chunks"
    LINES = "lines"


class EarlyTalkers(_Choice):
    """What becomes of a client that sends something before its greeting, as no right client does (RFC 5321
    §3.1). In either case nothing of it reaches a server before the greeting."""

    SERVE = "serve"
    """It is served as others are."""
    REFUSE = "refuse"
    """Its greeting is 554, and the session ends."""


class Dialect(_Choice):
    """The protocol that a peer speaks."""

    SMTP = "smtp"
    LMTP = "lmtp"
    """LHLO in place of EHLO, and after end-of-data one reply for each accepted recipient (RFC 2033 §4)."""


class Chunking(_Choice):
    """Offers a client CHUNKING and BINARYMIME (RFC 3030), or hides them."""

    SERVER = "server"
    """CHUNKING is offered if the server offers it, and BINARYMIME if the server offers both."""
    ALWAYS = "always"
    """CHUNKING is offered always; a message for a server that lacks it is kept whole, and sent after DATA."""
    NEVER = "never"
    """Both are hidden, and BDAT is refused."""


class ClientTls(_Choice):
    """What STARTTLS is to a client (RFC 3207)."""

    NONE = "none"
    """It is not offered."""
    MAY = "may"
    """It is offered."""
    ENCRYPT = "encrypt"
    """It is offered, and a client in plain text gets 530 for all commands but EHLO, HELO, NOOP, STARTTLS and
    QUIT."""


class UpstreamTls(_Choice):
    """What TLS is to a server, as Postfix names the levels."""

    NONE = "none"
    """It is not used."""
    MAY = "may"
    """It is used if the server offers it and takes STARTTLS; its certificate is not checked."""
    ENCRYPT = "encrypt"
    """Without it the client gets 421. The certificate of the server is not checked."""
    VERIFY = "verify"
    """As ENCRYPT; the certificate must be right, and for the name of the server."""

    @property
    def required(self) -> bool:
        """True if nothing may go in plain text."""
        return self is UpstreamTls.ENCRYPT or self is UpstreamTls.VERIFY


class LoginMode(_Choice):
    """Who logs in to a server (RFC 4954)."""

    RELAY = "relay"
    """The client, whose AUTH exchange is relayed."""
    INJECT = "inject"
    """The proxy, with what the verdict on a `LoginQuestion` says. The client needs no login; if LOGIN is
    asked about, it must log in to the proxy before it sends mail."""
    TRANSLATE = "translate"
    """The proxy, when the client has logged in to the proxy with PLAIN or LOGIN. The client's login is
    accepted if the server accepts that of the proxy."""


class SendClient(_Choice):
    """How a server is told who the client is."""

    NONE = "none"
    PROXY = "proxy"
    """By the driver, in a PROXY header, version 1, before all else on a connection."""
    PROXY2 = "proxy2"
    """By the driver, in a PROXY header, version 2."""
    XCLIENT = "xclient"
    XFORWARD = "xforward"
    AUTO = "auto"
    """With XCLIENT if the server offers it, else with XFORWARD if it offers that, else not at all."""

    @property
    def in_header(self) -> bool:
        """True if a connection to a server belongs to one client from its first octet."""
        return self is SendClient.PROXY or self is SendClient.PROXY2


# What is wrong with a setting is a ValueError, whatever it is: so a program that reads settings has one error
# to show.


def _positive(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_number(attribute.name, value)


def _positive_or_none(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        _positive(_, attribute, value)


def _not_negative(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_number(attribute.name, value, 0)


def _flag(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{attribute.name} is True or False, not {value!r:.60}")  # noqa: TRY004 - see above


def _host_name(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f'{attribute.name} is a name such as "proxy.example.com", not {value!r:.60}')


def _try(name: str, converter: Any, value: object) -> None:
    """Raises what a converter raises, with the name of the setting, which a converter does not know."""
    try:
        if converter is not None and not isinstance(value, Iterator):  # which can be read once only
            converter(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _networks(given: Networks | Iterable[str]) -> Networks:
    if isinstance(given, Networks):
        return given
    if isinstance(given, str):
        raise ValueError(f'this is a list of networks: write ["{given}"]')  # noqa: TRY004 - see above
    try:
        return Networks.parse(given)
    except TypeError:
        right = 'this is a list of networks such as ["192.0.2.0/24", "unix"]'
        raise ValueError(f"{right}, not {given!r:.60}") from None


def _keywords(names: Iterable[str]) -> frozenset[str]:
    if isinstance(names, str):
        raise ValueError(f'this is a set of names: write {{"{names.upper()}"}}')  # noqa: TRY004 - see above
    try:
        return frozenset(str.upper(name) for name in names)
    except TypeError:
        right = 'this is a set of names such as {"X-FINE"}'
        raise ValueError(f"{right}, not {names!r:.60}") from None


_NAME: Final = re.compile(r"[^\0-\x20\x7f]+")
_KNOWN_AS: Final = {
    name: setting
    for setting, names in {
        "tls": "starttls use_starttls enable_starttls require_starttls use_tls require_tls ssl client_tls",
        "auth_without_tls": "auth_require_tls auth_required",
        "max_message_size": "size max_size size_limit data_size_limit message_size_limit",
        "max_line": "max_line_length line_length_limit max_command command_size_limit",
        "client_dialect": "dialect protocol lmtp",
        "ehlo_name": "hostname domain fqdn helo",
        "accept_xclient": "xclient",
        "accept_xforward": "xforward",
        "send_client": "proxy_protocol",
    }.items()
    for name in names.split()
}
"""A name that other programs have for a setting, or that is a word of SMTP → its name here."""
_OF_SOCKETS: Final = (
    "address",
    "host",
    "port",
    "timeout",
    "certificate",
    "cert",
    "key",
    "context",
    "ssl_context",
)


def _no_setting(name: str, names: Iterable[str]) -> TypeError:
    hint = did_you_mean(_KNOWN_AS.get(name, name), names)
    if name in _OF_SOCKETS:
        hint = "; addresses, timeouts and certificates are for the code that has the sockets"
    return TypeError(f"Config has no setting {name!r}{hint}")


@attrs.frozen(kw_only=True, cache_hash=True)
class Config:
    """Limits and choices of one session. All sizes are octets. A choice may be given by its value:
    ``Config(tls="may", max_message_size=25_000_000)``.

    Raises ValueError for what a setting cannot be, and TypeError for a name that is no setting."""

    bare_newline: BareNewline = attrs.field(default=BareNewline.NORMALIZE, converter=BareNewline)
    nul: Nul = attrs.field(default=Nul.PASS, converter=Nul)
    addresses: Addresses = attrs.field(default=Addresses.STRICT, converter=Addresses)
    tap: Tap = attrs.field(default=Tap.OFF, converter=Tap)
    trace: bool = attrs.field(default=False, validator=_flag)
    """True: `Received` events show what arrived, secrets masked, for transcripts."""
    account: bool = attrs.field(default=False, validator=_flag)
    """True: `CommandRefused` events, and the content of `MessageAnswered`, for a log that says what became of
    each message."""

    case_sensitive_logins: bool = attrs.field(default=False, validator=_flag)
    """True: login names that differ in case are different names. By default they are one, as for most
    servers."""

    client_dialect: Dialect = attrs.field(default=Dialect.SMTP, converter=Dialect)
    """What clients speak."""
    upstream_dialect: Dialect = attrs.field(default=Dialect.SMTP, converter=Dialect)
    """What a server speaks for which the driver says nothing else (`Proxy.server_connected`)."""
    chunking: Chunking = attrs.field(default=Chunking.SERVER, converter=Chunking)
    """What is offered to a client that wants to send its message in chunks (BDAT)."""

    tls: ClientTls = attrs.field(default=ClientTls.NONE, converter=ClientTls)
    """What STARTTLS is to the client; the driver has to handle `StartTLS` then."""
    auth_without_tls: bool = attrs.field(default=True, validator=_flag)
    """False: AUTH is offered to a client in plain text only if it is on this machine (`ClientInfo.is_local`).
    Where `tls` is ENCRYPT, it is offered under TLS only."""
    login_mode: LoginMode = attrs.field(default=LoginMode.RELAY, converter=LoginMode)
    """Who logs in to a server. If it is the proxy, the driver has to answer each `LoginQuestion`."""
    upstream_tls: UpstreamTls = attrs.field(default=UpstreamTls.NONE, converter=UpstreamTls)
    """What TLS is to a server for which the driver says nothing else (`Proxy.server_connected`)."""
    accept_xclient: Networks = attrs.field(default=NO_NETWORKS, converter=_networks)
    """Clients that may say with XCLIENT who the client is."""
    accept_xforward: Networks = attrs.field(default=NO_NETWORKS, converter=_networks)
    """Clients that may say with XFORWARD who the client of a mail transaction is."""
    send_client: SendClient = attrs.field(default=SendClient.NONE, converter=SendClient)
    """How a server is told who the client is."""
    ehlo_name: str = attrs.field(default="localhost", validator=_host_name)
    """The name in an EHLO of our own, if the client has not said one."""

    reconnect: bool = attrs.field(default=False, validator=_flag)
    """True: the driver handles `Connect`. Then a session whose server connection was reset with a refused
    message goes on over a new connection, unless the client had authenticated."""

    keep: bool = attrs.field(default=False, validator=_flag)
    """True: the driver handles `Release`. When the client quits, the server's connection is given back for
    another client, if that one cannot notice."""
    failover: int = attrs.field(default=0, validator=_not_negative)
    """How many other servers one command of the client may be sent to, if servers fail before the client was
    promised anything; 0: the session ends with its server. It needs `reconnect`. The driver gets `Connect`
    for the same name again, and connects another server, or calls `Proxy.server_unreachable`."""

    max_message_size: int | None = attrs.field(default=None, validator=_positive_or_none)
    """Largest message, decoded; None: only the limit that the server announces (RFC 1870)."""
    headroom: int = attrs.field(default=0, validator=_not_negative)
    """Octets that rules may add to a message. The client is offered so much less than the server takes, and
    the server is told so much more in MAIL than the client has declared (RFC 1870)."""
    max_line: int = attrs.field(default=12_288, validator=_positive)
    """Longest command or AUTH line without its CRLF (RFC 4954 §4 asks for 12,288)."""
    max_reply: int = attrs.field(default=65_536, validator=_positive)
    """Longest reply, all its lines together."""
    max_pipelined: int = attrs.field(default=100, validator=_positive)
    """Largest number of commands without a reply; at this number the client is not read."""
    max_recipients: int = attrs.field(default=10_000, validator=_positive)
    """Largest number of accepted recipients in one mail transaction; one more gets 452 4.5.3."""
    max_errors: int = attrs.field(default=20, validator=_positive)
    """Largest number of lines that the proxy itself refuses; after one more the session ends with 421."""
    max_refusals: int = attrs.field(default=100, validator=_positive)
    """Largest number of replies 4xx and 5xx, of the server or of the proxy, since the last message that was
    accepted; after one more the next command gets 421 and the session ends.
    The client of a lenient `Proxy.tally` is let be."""
    soft_errors: int = attrs.field(default=10, validator=_positive)
    """The number of them from which on `Tally.slow` tells the driver to read the client slower."""
    max_junk: int = attrs.field(default=100, validator=_positive)
    """Largest number of commands that lead to no mail (NOOP, RSET, VRFY, EXPN, HELP, unknown ones), since the
    last message that was accepted; one more gets 421 and the session ends.
    The client of a lenient `Proxy.tally` is let be."""
    early_talkers: EarlyTalkers = attrs.field(default=EarlyTalkers.SERVE, converter=EarlyTalkers)
    """What becomes of a client that sends something before its greeting."""
    max_header_section: int = attrs.field(default=262_144, validator=_positive)
    """Longest header section that is kept for a HEADERS question."""
    max_body_line: int = attrs.field(default=1_048_576, validator=_positive)
    """Longest content line that is kept for a BODY_LINE question or a line tap."""
    max_held: int = attrs.field(default=33_554_432, validator=_positive)
    """Largest message that is kept whole for a MESSAGE question; a larger one is refused with 552."""
    max_chunk: int = attrs.field(default=65_536, validator=_positive)
    """Largest chunk that a server is sent; the octets of a larger one of the client leave in several."""
    read_ahead: int = attrs.field(default=65_536, validator=_positive)
    """Number of unparsed octets of one side at which that side is not read any more."""
    lane: bool = attrs.field(default=True, validator=_flag)
    """False: every input takes the general path. Events and octets are the same; it is for tests and
    comparisons."""
    relay_keywords: frozenset[str] = attrs.field(default=frozenset(), converter=_keywords)
    """EHLO keywords that are relayed besides those known to be safe. A keyword that changes the framing
    breaks the dialogue: see docs/reference/supported-smtp.md."""

    # A type checker says it by the signature of ``__init__``.
    if not TYPE_CHECKING:  # pragma: no branch

        def __new__(cls, *values: object, **settings: object) -> Config:
            if values:
                raise TypeError('Config takes settings by their names, such as Config(tls="may")')
            names = attrs.fields_dict(Config)
            for name in settings:
                if name not in names:
                    raise _no_setting(name, names)
            for name, value in settings.items():
                _try(name, names[name].converter, value)
            return object.__new__(cls)
