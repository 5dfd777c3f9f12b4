"""What is explored: how the proxy is made, and which dialogues.

All kinds of lines with all kinds of verdicts, all at once, would be too many states. So each configuration
takes a part of them.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from sansio_smtp import BODY_LINE, COMMAND, HEADERS, IN_TURN, MESSAGE, REPLY, Config
from sansio_smtp.config import Chunking, ClientTls, Dialect, LoginMode, SendClient, UpstreamTls
from sansio_smtp.networks import Networks

from .peers import STRANGER
from .world import Configuration

__all__ = ["CONFIGURATIONS"]

_MAIL: Final = ("MAIL FROM:<m>", "RCPT TO:<r>", "DATA", "RSET")
_HELLO_MAIL: Final = ("EHLO c", *_MAIL)
_MAIL_QUIT: Final = (*_MAIL, "QUIT")
_RECONNECT: Final = Config(reconnect=True)
_FAILOVER: Final = Config(reconnect=True, failover=1)
_GREETED: Final = ("S: 220 s greeting",)
_HELLO: Final = (*_GREETED, "C: EHLO c", "S: 250 s EHLO c")
_PIPELINING: Final = (*_GREETED, "C: EHLO c", r"S: 250-s EHLO c\r\n250 PIPELINING")
_LMTP: Final = Config(client_dialect=Dialect.LMTP, upstream_dialect=Dialect.LMTP)
_CHUNKING: Final = (*_GREETED, "C: EHLO c", r"S: 250-s EHLO c\r\n250 CHUNKING")
_CHUNKING_GROUPS: Final = (*_GREETED, "C: EHLO c", r"S: 250-s EHLO c\r\n250-CHUNKING\r\n250 PIPELINING")
_CHUNKS: Final = ("MAIL FROM:<m>", "RCPT TO:<r>", "BDAT 6", "BDAT 6 LAST", "RSET")
_AMONG_CHUNKS: Final = ("EHLO c", "NOOP", "DATA", "QUIT")
_HOME_B: Final = ("home", "b")
_TRUSTED: Final = Networks.parse(["192.0.2.0/24"])
_SOME: Final = ("continue", "answer", "route")


def _two(hello: str, heard: str, *more: str) -> tuple[str, ...]:
    """A transaction with two recipients. ``heard`` is what the server hears of ``hello``."""
    said = ("MAIL FROM:<m>", "RCPT TO:<r1>", "RCPT TO:<r2>")
    transaction = [text for line in said for text in (f"C: {line}", f"S: 250 s {line}")]
    return (*_GREETED, f"C: {hello} c", rf"S: 250-s {heard} c\r\n250 PIPELINING", *transaction, *more)


def _configuration(name: str, *places: str, **values: Any) -> Configuration:
    """One recipient and no signals, if nothing else is said: most of what can happen does not need them."""
    usual: dict[str, Any] = {"recipients": 1, "signals": False, "servers": ("",)}
    return attrs.evolve(Configuration(name, frozenset(places)), **usual | values)


CONFIGURATIONS: Final = {
    configuration.name: configuration
    for configuration in (
        # Nothing is asked.
        _configuration("lines", signals=True),
        _configuration("lines-pipelined", in_flight=2),
        _configuration("hello", lines=_HELLO_MAIL, in_flight=2, servers=("", "PIPELINING")),
        _configuration("pipelined", start=_PIPELINING, lines=_MAIL_QUIT, in_flight=3, recipients=2),
        _configuration("pipelined-ends", start=_PIPELINING, lines=_MAIL, in_flight=2, signals=True),
        _configuration("serial-ends", start=_GREETED, lines=_MAIL[:3], in_flight=2, signals=True),
        _configuration(
            "limits",
            config=Config(max_errors=1, max_pipelined=2, max_recipients=1),
            lines=("EHLO c", "STARTTLS", "GET /", "MAIL FROM:<m>", "RCPT TO:<r>", "QUIT"),
            recipients=2,
            in_flight=4,
        ),
        # Commands are asked about.
        _configuration("commands", COMMAND, lines=_HELLO_MAIL, signals=True),
        _configuration("commands-lines", COMMAND),
        _configuration("commands-in-turn", COMMAND, IN_TURN, start=_GREETED, lines=_HELLO_MAIL, in_flight=2),
        _configuration("data", "DATA", IN_TURN, start=_GREETED, lines=_MAIL, signals=True),
        _configuration("data-narrow", "DATA", start=_GREETED, lines=_MAIL),
        _configuration(
            "data-inspect", "DATA", start=_GREETED, lines=_MAIL[:3], verdicts=("continue", "inspect")
        ),
        _configuration("data-pipelined", "DATA", start=_PIPELINING, lines=_MAIL, in_flight=3),
        _configuration("data-pipelined-narrow", "DATA", start=_PIPELINING, lines=_MAIL[:3]),
        # Other servers.
        _configuration("routes", "MAIL", "RCPT", lines=_HELLO_MAIL, routes=_HOME_B, recipients=2),
        _configuration("routes-narrow", "MAIL", "RCPT", lines=_MAIL, verdicts=_SOME, routes=_HOME_B),
        _configuration(
            "routes-greeted", "MAIL", "RCPT", start=_HELLO, lines=_MAIL, verdicts=_SOME, routes=("b",)
        ),
        _configuration(
            "routes-in-turn",
            "MAIL",
            "RCPT",
            IN_TURN,
            start=_PIPELINING,
            lines=_MAIL,
            in_flight=3,
            recipients=2,
            routes=("b",),
        ),
        _configuration(
            "routes-hello",
            "EHLO",
            "HELO",
            "MAIL",
            lines=("EHLO c", "HELO c", "MAIL FROM:<m>", "RCPT TO:<r>"),
            routes=_HOME_B,
        ),
        _configuration(
            "routes-hello-narrow",
            "EHLO",
            "RSET",
            lines=("EHLO c", "MAIL FROM:<m>", "RCPT TO:<r>", "RSET"),
            verdicts=_SOME,
            routes=("b",),
            in_flight=2,
        ),
        _configuration(
            "routes-auth",
            "MAIL",
            "AUTH",
            config=_RECONNECT,
            start=_GREETED,
            routes=_HOME_B,
            lines=("AUTH PLAIN AGA", "MAIL FROM:<m>", "RCPT TO:<r>", "DATA", "QUIT"),
        ),
        _configuration(
            "routes-ends",
            "MAIL",
            "RCPT",
            config=_RECONNECT,
            lines=("EHLO c", "MAIL FROM:<m>", "RCPT TO:<r>"),
            routes=("b",),
            verdicts=("continue", "route"),
            in_flight=2,
            signals=True,
        ),
        _configuration(
            "routes-data",
            "DATA",
            "RCPT",
            IN_TURN,
            config=_RECONNECT,
            start=_PIPELINING,
            lines=_HELLO_MAIL,
            routes=("b",),
            in_flight=2,
        ),
        # Servers that fail while others take over, and connections that are kept.
        _configuration(
            "failover",
            config=_FAILOVER,
            lines=("EHLO c", "AUTH PLAIN AGA", *_MAIL[:3]),
            in_flight=2,
            most=4_000,
        ),
        _configuration(
            "failover-message", config=_FAILOVER, start=_PIPELINING, lines=_MAIL[:3], in_flight=3, most=4_000
        ),
        _configuration(
            "failover-in-turn",
            "RCPT",
            IN_TURN,
            config=_FAILOVER,
            start=_PIPELINING,
            lines=_MAIL[:3],
            verdicts=_SOME,
            routes=("b",),
            in_flight=2,
            most=4_000,
        ),
        _configuration(
            "keep", config=Config(keep=True), start=_HELLO, lines=_MAIL_QUIT, in_flight=2, most=4_000
        ),
        # Peers that do not behave, and reads that come late.
        _configuration(
            "lenient-servers",
            "MAIL",
            "RCPT",
            "DATA",
            start=_GREETED,
            lines=_MAIL,
            verdicts=(*_SOME, "swallow"),
            routes=("b",),
            honest=False,
            signals=True,
        ),
        _configuration(
            "late-reads",
            "MAIL",
            "DATA",
            HEADERS,
            lines=("MAIL FROM:<m>", "RCPT TO:<r>", "DATA", "AUTH LOGIN"),
            verdicts=_SOME,
            routes=("b",),
            in_flight=2,
            late=True,
        ),
        # TLS, and who the client is.
        _configuration(
            "tls-client",
            config=Config(tls=ClientTls.MAY),
            lines=("EHLO c", "STARTTLS", "MAIL FROM:<m>", "RCPT TO:<r>", "AUTH PLAIN AGA"),
            in_flight=2,
            signals=True,
        ),
        _configuration(
            "tls-client-pipelined",
            config=Config(tls=ClientTls.MAY),
            start=_PIPELINING,
            lines=("STARTTLS", "MAIL FROM:<m>", "RCPT TO:<r>", "DATA", "RSET"),
            in_flight=3,
        ),
        _configuration(
            "tls-encrypt",
            config=Config(tls=ClientTls.ENCRYPT, max_errors=2),
            lines=("EHLO c", "NOOP", "STARTTLS", "STARTTLS x", "MAIL FROM:<m>", "RSET", "BDAT 6", "QUIT"),
            in_flight=2,
        ),
        _configuration(
            "tls-asked",
            COMMAND,
            MESSAGE,
            IN_TURN,
            config=Config(tls=ClientTls.MAY, reconnect=True),
            start=_GREETED,
            lines=("STARTTLS", "MAIL FROM:<m>", "RCPT TO:<r>", "DATA"),
            routes=("b",),
            in_flight=2,
        ),
        _configuration(
            "tls-server",
            "MAIL",
            config=Config(upstream_tls=UpstreamTls.MAY),
            lines=("EHLO c", "HELO c", "MAIL FROM:<m>", "NOOP", "QUIT"),
            servers=("", "STARTTLS"),
            routes=("b",),
            verdicts=("continue", "route"),
            in_flight=2,
            signals=True,
        ),
        _configuration(
            "tls-server-encrypt",
            "RCPT",
            config=Config(upstream_tls=UpstreamTls.ENCRYPT, reconnect=True),
            lines=("EHLO c", "HELO c", "MAIL FROM:<m>", "RCPT TO:<r>", "QUIT"),
            servers=("PIPELINING", "STARTTLS;PIPELINING"),
            routes=_HOME_B,
            verdicts=_SOME,
            in_flight=2,
        ),
        _configuration(
            "tls-both",
            config=Config(tls=ClientTls.MAY, upstream_tls=UpstreamTls.VERIFY),
            lines=("EHLO c", "STARTTLS", "MAIL FROM:<m>", "AUTH PLAIN AGA", "QUIT"),
            servers=("STARTTLS",),
            in_flight=2,
            signals=True,
        ),
        _configuration(
            "identity-in",
            "CLIENT_CHANGED",
            config=Config(
                tls=ClientTls.MAY, accept_xclient=_TRUSTED, accept_xforward=_TRUSTED, reconnect=True
            ),
            lines=(
                *("EHLO c", "XCLIENT ADDR=192.0.2.2", f"XCLIENT ADDR={STRANGER}", "XFORWARD ADDR=1.2.3.4"),
                *("XCLIENT FOO=x", "MAIL FROM:<m>", "AUTH PLAIN AGA", "STARTTLS"),
            ),
            routes=("b",),
            in_flight=2,
        ),
        _configuration(
            "identity-out",
            "MAIL",
            config=Config(
                tls=ClientTls.MAY,
                upstream_tls=UpstreamTls.MAY,
                send_client=SendClient.XCLIENT,
                accept_xclient=_TRUSTED,
            ),
            lines=("EHLO c", "HELO c", "MAIL FROM:<m>", "RSET", "XCLIENT ADDR=192.0.2.2 LOGIN=a", "STARTTLS"),
            servers=("STARTTLS;XCLIENT ADDR LOGIN", "XCLIENT ADDR LOGIN"),
            routes=("b",),
            verdicts=_SOME,
            in_flight=2,
        ),
        _configuration(
            "identity-login",
            config=Config(tls=ClientTls.MAY, send_client=SendClient.XCLIENT, accept_xclient=_TRUSTED),
            start=_GREETED,
            lines=("EHLO c", "XCLIENT ADDR=192.0.2.2 LOGIN=a", "STARTTLS", "MAIL FROM:<m>"),
            servers=("XCLIENT ADDR LOGIN",),
        ),
        _configuration(
            "identity-forwarded",
            "RCPT",
            MESSAGE,
            config=Config(send_client=SendClient.XFORWARD, accept_xforward=_TRUSTED),
            start=(*_GREETED, "C: EHLO c", r"S: 250-s EHLO c\r\n250-XFORWARD ADDR\r\n250 PIPELINING"),
            lines=("EHLO c", "HELO c", *_MAIL, "MAIL FROM:<m> REQUIRETLS", "XFORWARD ADDR=1.2.3.4"),
            servers=("XFORWARD ADDR;PIPELINING",),
            routes=("b",),
            verdicts=_SOME,
            in_flight=3,
        ),
        # The proxy logs in by itself.
        _configuration(
            "login-inject",
            config=Config(login_mode=LoginMode.INJECT),
            lines=("EHLO c", "HELO c", "MAIL FROM:<m>", "NOOP", "RSET", "QUIT"),
            servers=("AUTH PLAIN",),
            in_flight=2,
            signals=True,
        ),
        _configuration(
            "login-inject-routes",
            "RCPT",
            "NOOP",
            config=Config(login_mode=LoginMode.INJECT, reconnect=True),
            start=_GREETED,
            lines=("EHLO c", "MAIL FROM:<m>", "RCPT TO:<r>", "NOOP"),
            servers=("AUTH PLAIN;PIPELINING",),
            routes=("b",),
            verdicts=("continue", "route", "login"),
            in_flight=2,
        ),
        # A reply to a message for each recipient.
        _configuration("lmtp-lines", config=_LMTP, lines=("LHLO c", "EHLO c", *_MAIL[:3]), signals=True),
        _configuration("lmtp", config=_LMTP, start=_two("LHLO", "LHLO"), lines=_MAIL_QUIT, signals=True),
        _configuration(
            "lmtp-pipelined",
            config=_LMTP,
            start=_two("LHLO", "LHLO", "C: DATA", "S: 354 s DATA", "C: a: b"),
            lines=_MAIL,
            in_flight=4,
            recipients=2,
        ),
        _configuration(
            "lmtp-asked",
            "RCPT",
            "DATA",
            MESSAGE,
            config=_LMTP,
            start=(
                *(*_two("LHLO", "LHLO")[:5], "C: RCPT TO:<r1>", "! answer 250 v RCPT TO:<r1>"),
                *("C: RCPT TO:<r2>", "! continue", "S: 250 s RCPT TO:<r2>"),
            ),
            lines=_MAIL[:3],
            verdicts=("continue", "answer", "swallow", "add"),
            recipients=2,
        ),
        _configuration(
            "lmtp-client",
            "DATA",
            config=Config(client_dialect=Dialect.LMTP),
            start=_two("LHLO", "EHLO"),
            lines=_MAIL[:3],
            signals=True,
        ),
        _configuration(
            "lmtp-server",
            "DATA",
            config=Config(upstream_dialect=Dialect.LMTP),
            start=_two("EHLO", "LHLO"),
            lines=_MAIL[:3],
            signals=True,
        ),
        # Replies.
        _configuration("replies", REPLY, lines=_HELLO_MAIL, in_flight=2, signals=True),
        _configuration("replies-lines", REPLY),
        _configuration("replies-routes", REPLY, "RCPT", lines=_MAIL, verdicts=_SOME, routes=_HOME_B),
        # Content.
        _configuration("headers", HEADERS, lines=(*_HELLO_MAIL, "QUIT"), signals=True),
        _configuration(
            "headers-auth",
            HEADERS,
            config=_RECONNECT,
            start=_GREETED,
            lines=("AUTH PLAIN AGA", *_MAIL[:3], "QUIT"),
        ),
        _configuration(
            "headers-reconnect", HEADERS, config=_RECONNECT, start=_PIPELINING, lines=_MAIL_QUIT, in_flight=3
        ),
        _configuration(
            "body", HEADERS, BODY_LINE, start=_GREETED, lines=_MAIL_QUIT, in_flight=2, signals=True
        ),
        _configuration(
            "body-reconnect",
            BODY_LINE,
            "MAIL",
            "RCPT",
            config=_RECONNECT,
            start=_GREETED,
            lines=_MAIL,
            verdicts=_SOME,
            routes=_HOME_B,
        ),
        _configuration("message", MESSAGE, start=_GREETED, lines=_MAIL_QUIT, in_flight=2, signals=True),
        _configuration("message-narrow", MESSAGE, start=_GREETED, lines=_MAIL),
        _configuration("message-pipelined", MESSAGE, start=_PIPELINING, lines=_MAIL, in_flight=3),
        _configuration(
            "message-headers", HEADERS, MESSAGE, REPLY, config=_RECONNECT, lines=_MAIL, signals=True
        ),
        _configuration(
            "message-routes", MESSAGE, "RCPT", start=_GREETED, lines=_MAIL, routes=_HOME_B, in_flight=2
        ),
        _configuration(
            "message-spool",
            MESSAGE,
            config=Config(max_held=3, reconnect=True),
            spool=True,
            lines=_MAIL,
            in_flight=2,
            signals=True,
        ),
        # Chunks.
        _configuration("chunks", start=_CHUNKING, lines=_CHUNKS, servers=("CHUNKING",), signals=True),
        _configuration(
            "chunks-lock-step", start=_CHUNKING, lines=_CHUNKS, servers=("CHUNKING",), in_flight=3
        ),
        _configuration("chunks-pipelined", start=_CHUNKING_GROUPS, lines=_CHUNKS, in_flight=3),
        _configuration(
            "chunks-commands", start=_CHUNKING_GROUPS, lines=(*_CHUNKS, *_AMONG_CHUNKS), in_flight=2
        ),
        _configuration("chunks-asked", "DATA", start=_CHUNKING_GROUPS, lines=_CHUNKS, in_flight=2),
        _configuration("chunks-headers", HEADERS, start=_CHUNKING_GROUPS, lines=_CHUNKS, in_flight=2),
        _configuration("chunks-body", BODY_LINE, start=_CHUNKING_GROUPS, lines=_CHUNKS, in_flight=2),
        _configuration("chunks-kept", MESSAGE, start=_CHUNKING_GROUPS, lines=_CHUNKS, in_flight=2),
        _configuration(
            "chunks-converted",
            config=Config(chunking=Chunking.ALWAYS),
            start=_PIPELINING,
            lines=_CHUNKS,
            in_flight=3,
            signals=True,
        ),
        _configuration(
            "chunks-routes",
            "RCPT",
            "MAIL",
            start=_CHUNKING_GROUPS,
            lines=_CHUNKS,
            routes=("b",),
            verdicts=_SOME,
            servers=("", "CHUNKING"),
            in_flight=2,
        ),
        _configuration("chunks-lenient", start=_CHUNKING, lines=_CHUNKS, honest=False, in_flight=2),
    )
}
