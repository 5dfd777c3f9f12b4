"""Talks to the upstream server as a session does at its start: connection, TLS, and the extensions on
offer."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

import attrs
import trio

from sansio_smtp import (
    ClientConnection,
    ClientInfo,
    Command,
    Dialect,
    Pause,
    RemoteProtocolError,
    Reply,
    ReplyReceived,
    TlsInfo,
    UpstreamTls,
)
from trio_proxy.driver.streams import Stream, connect
from trio_proxy.settings.options import Options
from trio_proxy.text.addresses import Address
from trio_proxy.text.masking import plain

from .check_certificates import say_certificate
from .check_login import TriedLogin, try_login
from .findings import Findings
from .security import Security

if TYPE_CHECKING:
    from trio_proxy.login.logins import Logins
    from trio_proxy.tls.upstream import Leg

__all__ = ["check_upstream"]

_SECONDS: Final = 10.0
_GOODBYE_SECONDS: Final = 1.0
_REMEDY: Final = (
    ". If it is right, name its authority with --upstream-ca, or its name with --upstream-tls-name"
)
_PROXY_VERSIONS: Final[dict[str, Literal[1, 2]]] = {"proxy": 1, "proxy2": 2}
"""Value of ``--send-client`` → version of the PROXY header."""
_NOT_OFFERED: Final = {
    "xclient": ("XCLIENT",),
    "xforward": ("XFORWARD",),
    "auto": ("XCLIENT", "XFORWARD"),
}
"""Value of ``--send-client`` → keywords; the server must offer one of them."""
_BEGINNING_OF_HTTP: Final = "b'H'"
"""The reader of replies stops at the first octet that is wrong."""
_NOT_KNOWN: Final = (500, 502)
"""Replies to a command that a server does not know (RFC 5321 §4.2.2)."""
_OTHER_DIALECT: Final = {
    "EHLO": "does it speak LMTP? Then write lmtp:// before its address",
    "LHLO": "does it speak SMTP? Then write its address without lmtp",
}


async def check_upstream(
    options: Options, security: Security, logins: Logins | None, found: Findings
) -> bool:
    """Reports what each server offers and if it accepts the login of the proxy, or why it cannot be used.
    That is only a warning if each list that names the server has another one that can be used. Returns True
    if it is certain that no server offers AUTH."""
    if not options.upstream and not found.config_is_wrong:
        found.good("upstream", f"none: messages are kept in {options.capture}")
    servers = (options.upstream, *(route.upstream for route in options.routes))
    lists = [[each.address for each in those] for those in servers]
    failures: dict[Address, list[str]] = {}
    offers: list[bool] = []
    for address in dict.fromkeys(itertools.chain(*lists)):
        if address in lists[0] and address.tls and options.upstream_tls == "none":
            continue  # it is not known how TLS would be used: see `contradictions`
        with found.holding() as failures[address]:
            offers.append(await _check_server(options, address, security, logins, found))
    for address, failed in failures.items():
        is_needed = any(address in those and all(map(failures.get, those)) for those in lists)
        for text in failed:
            if is_needed:
                found.unreached(text)
            else:
                found.warn(f"others of its list are used: {text}")
    return bool(offers) and not any(offers)


async def _check_server(
    options: Options, address: Address, security: Security, logins: Logins | None, found: Findings
) -> bool:
    """Returns False if the server offers no AUTH; True if it does, or if that is not known."""
    where = f"upstream {address}"
    leg = security.leg(str(address))
    seconds = min(_SECONDS, options.timeouts.greeting)
    try:
        with trio.fail_after(seconds):
            said = await _introduction(address, leg, _PROXY_VERSIONS.get(options.send_client), logins)
    except trio.TooSlowError:
        found.unreached(f"{where}: no answer within {seconds:g} s; {_what_it_may_be(address)}")
    except RemoteProtocolError as error:
        found.unreached(f"{where}: does not speak SMTP: {plain(str(error))}; {_what_speaks(error, options)}")
    except _Refused as error:
        found.unreached(f"{where}: {plain(str(error))}")
    except OSError as error:
        # A server that closes before it has read what we sent resets the connection.
        is_closed = isinstance(error, ConnectionResetError | BrokenPipeError)
        why = "it closed the connection" if is_closed else error.strerror or str(error)
        found.unreached(f"{where}: cannot be reached: {why}; is it running, and the address right?")
    else:
        found.good("upstream", f"{address}: {said.text}")
        _say_tls(address, leg, said, found)
        _say_identity(options, address, said, found)
        if said.login is not None:
            said.login.say(f"upstream {address}", found)
        return "AUTH" in said.keywords
    return True


def _what_speaks(error: RemoteProtocolError, options: Options) -> str:
    if str(error).endswith(_BEGINNING_OF_HTTP):
        return "a web server answers so (HTTP/1.1 400); is the port right?"
    if options.send_client in _PROXY_VERSIONS:
        said = f"as --send-client {options.send_client} says"
        return f"does it expect a PROXY header, {said}, and is the port right?"
    return "is the port right?"


def _what_it_may_be(address: Address) -> str:
    if address.tls:
        return "does it speak TLS from the first octet? If not, write smtp:// before its address"
    if address.port == 465:
        return "is it a port for TLS from the first octet? Then write smtps:// before its address"
    return "is it an SMTP server?"


class _Refused(Exception):
    """The server cannot be used; the text says why, and what clients would see."""


@attrs.frozen
class _Tls:
    info: TlsInfo
    chain: tuple[bytes, ...]


@attrs.frozen(kw_only=True)
class _Said:
    """What a server has told about itself."""

    greeting: Reply
    keywords: Mapping[str, str]
    tls: _Tls | None
    refusal: Reply | None
    """Its reply to STARTTLS, if it offers that and refuses it."""
    login: TriedLogin | None = None
    """The result of the login of the proxy; None if no login was tried."""

    @property
    def text(self) -> str:
        named = [
            each for each in self.keywords.items() if each[0]
        ]  # the last line of smtp-sink has no keyword
        offers = ", ".join(f"{name} {value}".strip() for name, value in named)
        return f"{_first_line(self.greeting)}; {offers or 'no extensions'}"


async def _introduction(
    address: Address, leg: Leg | None, proxy: Literal[1, 2] | None = None, logins: Logins | None = None
) -> _Said:
    """The greeting and the keywords of the server, and the outcome of a login. ``proxy``: the version of the
    PROXY header that it expects. Raises OSError, `RemoteProtocolError`, `_Refused`."""
    socket_stream = await connect(address)
    name = _our_name(socket_stream.sock)
    stream: Stream = socket_stream
    tls: _Tls | None = None
    refusal: Reply | None = None
    try:
        if proxy is not None:
            await _send(stream, _header(socket_stream.sock, proxy))
        if leg is not None and leg.implicit:
            stream, tls = await _handshake(stream, leg)
        connection = ClientConnection()
        if address.lmtp:
            connection.speak(Dialect.LMTP)
        greeting = await _reply(stream, connection)
        if greeting.severity != 2:
            raise _Refused(f"greets with {_first_line(greeting)}; it would refuse the clients too")
        await _hello(stream, connection, name)
        if leg is not None and not leg.implicit:
            refusal = await _starttls(stream, connection, leg)
            if refusal is not None and refusal.severity == 2:
                stream, tls = await _handshake(stream, leg)
                connection.tls_started()
                await _hello(stream, connection, name)
                refusal = None
        keywords = connection.keywords
        login: TriedLogin | None = None
        if logins is not None and logins.account is not None:

            async def ask(line: Command) -> Reply:
                await _send(stream, connection.send_command(line))
                return await _reply(stream, connection)

            login = await try_login(logins, connection.keywords, None if tls is None else tls.info, ask)
        await _say_goodbye(stream, connection)
    finally:
        stream.close()
    return _Said(greeting=greeting, keywords=keywords, tls=tls, refusal=refusal, login=login)


async def _hello(stream: Stream, connection: ClientConnection, name: str) -> None:
    verb = "LHLO" if connection.dialect is Dialect.LMTP else "EHLO"
    reply = await _ask(stream, connection, f"{verb} {name}")
    if reply.severity != 2:
        hint = _OTHER_DIALECT[verb] if reply.code in _NOT_KNOWN else "it would refuse the clients too"
        raise _Refused(f"answers {verb} with {_first_line(reply)}; {hint}")


async def _starttls(stream: Stream, connection: ClientConnection, leg: Leg) -> Reply | None:
    """The server's reply to STARTTLS; None if it does not offer STARTTLS. Raises `_Refused` if TLS is
    required."""
    if "STARTTLS" not in connection.keywords:
        if leg.level.required:
            raise _Refused(
                f"offers no STARTTLS, which --upstream-tls {leg.level.value} demands; clients would get 421"
            )
        return None
    reply = await _ask(stream, connection, "STARTTLS")
    if reply.severity != 2 and leg.level.required:
        raise _Refused(f"answers STARTTLS with {_first_line(reply)}; clients would get 421")
    return reply


async def _handshake(raw: Stream, leg: Leg) -> tuple[Stream, _Tls]:
    """Raises `_Refused` if it fails."""
    from trio_proxy.driver.tls_stream import HandshakeError, TlsStream

    stream = TlsStream(raw, leg.context, server_hostname=leg.server_name)
    try:
        info = await stream.handshake()
    except HandshakeError as error:
        remedy = _REMEDY if leg.level is UpstreamTls.VERIFY else ""
        raise _Refused(f"the TLS handshake has failed: {error.why}; clients would get 421{remedy}") from error
    return stream, _Tls(info, stream.peer_chain)


async def _say_goodbye(stream: Stream, connection: ClientConnection) -> None:
    """Sends QUIT. Errors are ignored: the result is already known."""
    with trio.move_on_after(_GOODBYE_SECONDS):
        try:
            await _ask(stream, connection, "QUIT")
        except (OSError, RemoteProtocolError):
            return


async def _ask(stream: Stream, connection: ClientConnection, line: str) -> Reply:
    await _send(stream, connection.send_command(Command.of(line)))
    return await _reply(stream, connection)


async def _send(stream: Stream, octets: bytes) -> None:
    rest = memoryview(octets)
    while rest:
        rest = rest[await stream.send_some(rest) :]


async def _reply(stream: Stream, connection: ClientConnection) -> Reply:
    while True:
        event = connection.next_event()
        if isinstance(event, ReplyReceived):
            return event.reply
        if isinstance(event, RemoteProtocolError):
            raise event
        if event is Pause.END_OF_INPUT:
            raise OSError("it closed the connection")
        if data := await stream.receive():
            connection.receive_data(data)
        else:
            connection.receive_eof()


def _header(sock: socket.socket, version: Literal[1, 2]) -> bytes:
    """A PROXY header that names this program as the client."""
    from trio_proxy.driver.proxy_header import header_for

    if sock.family == socket.AF_UNIX:
        return header_for(ClientInfo(unix=True), version)
    (ip, port, *_), (local_ip, local_port, *_) = sock.getsockname(), sock.getpeername()
    return header_for(ClientInfo(ip=ip, port=port, local_ip=local_ip, local_port=local_port), version)


def _our_name(sock: socket.socket) -> str:
    """An address literal (RFC 5321 §4.1.3), because looking up a name may take longer than the whole
    check."""
    if sock.family == socket.AF_UNIX:
        return "localhost"
    host = str(sock.getsockname()[0])
    return f"[IPv6:{host}]" if ":" in host else f"[{host}]"


def _first_line(reply: Reply) -> str:
    return reply.raw.split(b"\r\n", 1)[0].decode("utf-8", "backslashreplace")


# The report


def _say_tls(address: Address, leg: Leg | None, said: _Said, found: Findings) -> None:
    if leg is None:
        return
    if said.tls is None:
        why = "it offers no STARTTLS"
        if said.refusal is not None:
            why = f"it answers STARTTLS with {_first_line(said.refusal)}"
        found.good("TLS", f"none, mail goes in plain text: {why}")
        return
    info, chain = said.tls.info, said.tls.chain
    checked = leg.level is UpstreamTls.VERIFY
    right = f"right for {leg.server_name}" if checked else f"not checked at --upstream-tls {leg.level.value}"
    found.good("TLS", f"{info.version}, {info.cipher}; the certificate is {right}")
    if chain:
        say_certificate(f"the certificate of {address}", chain, found, name=leg.server_name)


def _say_identity(options: Options, address: Address, said: _Said, found: Findings) -> None:
    wanted = _NOT_OFFERED.get(options.send_client, ())
    if not wanted or any(keyword in said.keywords for keyword in wanted):
        return
    offers_none = f"upstream {address}: offers no {' and no '.join(wanted)}"
    if options.send_client == "auto":
        found.warn(f"{offers_none}, so it is not told who the client is; does it allow that to this address?")
    else:
        found.unreached(
            f"{offers_none}, which --send-client {options.send_client} needs; clients would get 421. Does it "
            "allow that to this address (in Postfix smtpd_authorized_"
            f"{options.send_client}_hosts)?"
        )
