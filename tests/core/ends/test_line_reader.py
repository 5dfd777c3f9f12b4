"""What the lines of a client are, before the server's end takes them."""

from __future__ import annotations

from typing import Any

import pytest
from each import each

from core.scene import every_cut, few_cuts
from core.server_ends import REJECT
from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import BareNewline, ClientTls, Config, Dialect
from sansio_smtp.ends.access import ANYBODY, Access, access_of
from sansio_smtp.ends.line_reader import Doubt, LineReader
from sansio_smtp.ends.received import Refused
from sansio_smtp.networks import Networks
from sansio_smtp.verbs import VERBS, Kind, Support
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.inbox import Inbox
from sansio_smtp.wire.replies import Reply

REMOTE = ClientInfo(address="192.0.2.1:50000")
NO = Reply.of(535, "no")


def read(
    *pieces: bytes,
    config: Config | None = None,
    access: Access = ANYBODY,
    in_login: bool = False,
    reader: LineReader | None = None,
) -> list[Any]:
    """The lines of some segments, and the number of octets that are left. Nothing is read after a
    violation, as the session ends."""
    inbox, reader, lines = Inbox(), reader or LineReader(config or Config()), list[Any]()
    for piece in pieces:
        inbox.feed(piece)
        while (line := reader.next_line(inbox, access, in_login=in_login)) is not None:
            lines.append(line)
            if isinstance(line, Refused) and line.command.kind is Kind.VIOLATION:
                return lines
    return [*lines, len(inbox)]


def violation(lines: list[Any]) -> tuple[int, str]:
    """The code and the text, if all that was read is a violation."""
    (line,) = lines
    assert (line.command.kind, line.expected) == (Kind.VIOLATION, False)
    assert line.error.reply_hint.lines[-1].endswith(b"; closing")
    return line.error.reply_hint.code, str(line.error)


def supported(support: Support) -> list[bytes]:
    return [name for name, verb in VERBS.items() if verb.support is support]


def test_lines_in_any_cut() -> None:
    for pieces in few_cuts(b"noop x\r\nBDAT 4 LAST\r\nX y\r\nRS"):
        *commands, left = read(*pieces)
        assert [(command.raw, command.kind) for command in commands] == [
            (b"noop x", Kind.PLAIN),
            (b"BDAT 4 LAST", Kind.LAST_CHUNK),
            (b"X y", Kind.PLAIN),
        ]
        assert left == 2


# Lines that are none


@pytest.mark.parametrize("line", [b"\x16\x03\x01\r\nNOOP\r\n", b"\x16\n", b"\x16"])
def test_a_tls_handshake(line: bytes) -> None:
    for pieces in every_cut(line):
        assert violation(read(*pieces)) == (500, "TLS on a plain-text port")


def test_a_bare_lf() -> None:
    command, _ = read(b"NOOP x\n")
    assert command.raw == b"NOOP x"
    assert violation(read(b"NOOP x\n", config=REJECT)) == (
        500,
        "line ended by a bare LF, not CRLF: b'NOOP x'",
    )


@pytest.mark.parametrize(
    "config", [Config(max_line=10), Config(max_line=10, bare_newline=BareNewline.REJECT)]
)
@pytest.mark.parametrize("end_of_line", [b"\r\n", b"\n", b""])
def test_a_line_that_is_too_long(config: Config, end_of_line: bytes) -> None:
    """RFC 5321 §4.5.3.1.4, whatever the cuts."""
    for pieces in few_cuts(b"NOOP 67890ab" + end_of_line):
        lines = read(*pieces, config=config)
        code, text = violation(lines)
        assert (code, text.startswith("line too long: b'NOOP 67890")) == (500, True)
        assert lines[0].error.limit == "max_line"


@pytest.mark.parametrize("end_of_line", [b"\r\n", b"\n"])
def test_the_longest_line(end_of_line: bytes) -> None:
    for pieces in few_cuts(b"NOOP 67890" + end_of_line):
        command, _ = read(*pieces, config=Config(max_line=10))
        assert command.raw == b"NOOP 67890"


@pytest.mark.parametrize("line", [b"BDAT", b"BDAT x", b"BDAT 1\0"])
def test_a_chunk_of_no_size(line: bytes) -> None:
    code, text = violation(read(line + b"\r\n"))
    assert (code, text.startswith("BDAT without a valid octet count")) == (501, True)


# Lines of a login


@each("line", [b"QUIT", b"*", b"", b"\x16\xff", b"BDAT x"])
def test_a_line_of_a_login_is_no_command(line: bytes) -> None:
    command, _ = read(line + b"\r\n", in_login=True)
    assert (command.raw, command.kind, command.secret) == (line, Kind.AUTH_LINE, True)


@each("line", [b"c2VjcmV0\0\r\n", b"c2VjcmV0\rx\r\n", b"c2VjcmV0" * 2000 + b"\r\n", b"c2VjcmV0" * 2000])
def test_a_wrong_line_of_a_login_is_not_shown(line: bytes) -> None:
    code, text = violation(read(line, in_login=True))
    assert (code, "c2VjcmV0" in text) == (500, False)


def test_a_bare_lf_in_a_login() -> None:
    assert violation(read(b"c2VjcmV0\n", config=REJECT, in_login=True)) == (
        500,
        "line ended by a bare LF, not CRLF",
    )


# Lines that are no commands


@each("line", [b"", b" ", b"!", b"Subject: x", b"NOOP a\0b", b"QUIT a\rb", b"DATA \0", b"AUTH\0"])
def test_what_is_no_command(line: bytes) -> None:
    refused, command, _ = read(line + b"\r\nNOOP\r\n")
    assert isinstance(refused, Refused)
    assert (refused.command.raw, refused.command.kind, refused.expected) == (line, Kind.PLAIN, False)
    assert refused.error.reply_hint.code == 500
    assert command.raw == b"NOOP"


@each("verb", supported(Support.FOREIGN))
def test_a_request_of_http(verb: bytes) -> None:
    """A forged request of a browser; the header fields after it might be commands."""
    code, text = violation(read(verb + b" / HTTP/1.1\r\nMAIL FROM:<a>\r\n"))
    assert (code, text.startswith("this is an SMTP server, not HTTP")) == (500, True)


# Commands that this client may not send now


def refusal(line: bytes, access: Access = ANYBODY, config: Config | None = None) -> tuple[int, bool]:
    """The code, and True for a command that may come in good faith."""
    refused, _ = read(line + b"\r\n", access=access, config=config)
    assert isinstance(refused, Refused)
    assert b"AGEAYg" not in refused.error.evidence
    assert str(refused.error).startswith(refused.error.reply_hint.lines[0].decode().split(" ", 1)[1])
    return refused.error.reply_hint.code, refused.expected


def allowed(level: ClientTls = ClientTls.MAY, *, client: ClientInfo = REMOTE, **more: Any) -> Access:
    return access_of(Config(tls=level, **more), client)


@each("verb", [*supported(Support.REFUSED), *supported(Support.OWN), b"LHLO"])
def test_what_is_not_known_here(verb: bytes) -> None:
    assert refusal(verb.lower() + b" x") == (502, False)


@each(
    "line",
    [b"MAIL FROM:<a>", b"RSET", b"HELP", b"VRFY a", b"X-ANY", b"ETRN x", b"AUTH PLAIN AGEAYg", b"DATA"],
)
def test_what_waits_for_tls(line: bytes) -> None:
    assert refusal(line, allowed(ClientTls.ENCRYPT)) == (530, True)


@each("line", [b"EHLO me", b"HELO me", b"NOOP", b"STARTTLS", b"QUIT"])
def test_what_does_not_wait_for_tls(line: bytes) -> None:
    command, _ = read(line + b"\r\n", access=allowed(ClientTls.ENCRYPT))
    assert (type(command), command.raw) == (Command, line)


def test_the_octets_of_a_chunk_that_waits_for_tls_are_dropped() -> None:
    """RFC 3030 §2."""
    refused, _ = read(b"BDAT 6 LAST\r\n", access=allowed(ClientTls.ENCRYPT))
    assert (refused.command.kind, refused.command.raw) == (Kind.DROPPED_CHUNK, b"BDAT 6 LAST")


def test_a_login_in_plain_text() -> None:
    access = allowed(auth_without_tls=False)
    assert refusal(b"AUTH PLAIN AGEAYg==", access) == (538, True)
    command, _ = read(b"MAIL FROM:<a>\r\n", access=access)
    assert command.verb == b"MAIL"


def test_tls_after_tls() -> None:
    access = allowed(client=ClientInfo(tls=TlsInfo(version="TLS")))
    assert refusal(b"STARTTLS", access) == (503, False)


def test_a_stranger_does_not_say_who_the_client_is() -> None:
    trusted = Networks.parse(["127.0.0.1"])
    assert refusal(b"XCLIENT ADDR=192.0.2.9", allowed(accept_xclient=trusted)) == (550, False)
    assert refusal(b"XFORWARD ADDR=192.0.2.9", allowed(accept_xclient=trusted)) == (502, False)


def test_the_greeting_command_of_lmtp() -> None:
    """RFC 2033 §4.1."""
    config = Config(client_dialect=Dialect.LMTP)
    for line in (b"EHLO me", b"HELO me"):
        assert refusal(line, config=config) == (500, False)
    lhlo, _ = read(b"LHLO me\r\n", config=config)
    assert lhlo.raw == b"LHLO me"


# Lines that may be no commands


def in_doubt(doubt: Doubt) -> LineReader:
    reader = LineReader(Config())
    if doubt in (Doubt.CONTENT, Doubt.LATE_CONTENT):
        reader.data_refused(early=doubt is Doubt.CONTENT)
    else:
        reader.login_answered(NO, ours=doubt is Doubt.OUR_CREDENTIAL)
    assert reader.doubt is doubt
    return reader


@each("line", [b"NOOP\r\n", b"dear all\r\n", b"x"])
def test_octets_that_came_before_data_was_refused(line: bytes) -> None:
    """RFC 2920 §3.1: they may be mail data, and mail data must never be read as commands."""
    assert violation(read(line, reader=in_doubt(Doubt.CONTENT))) == (
        503,
        "mail data sent without waiting for 354",
    )


@each("line", [b"dear all", b"Subject: x", b"", b"GET / HTTP/1.1"])
def test_mail_data_after_data_was_refused(line: bytes) -> None:
    code, text = violation(read(line + b"\r\n", reader=in_doubt(Doubt.LATE_CONTENT)))
    assert (code, text.startswith("mail data sent without waiting for 354")) == (503, True)


def test_a_command_after_data_was_refused() -> None:
    reader = in_doubt(Doubt.LATE_CONTENT)
    noop, unknown, _ = read(b"NOOP\r\nX-ANY\r\n", reader=reader)
    assert (noop.raw, unknown.raw, reader.doubt) == (b"NOOP", b"X-ANY", None)


@each("line", [b"c2VjcmV0", b"c2VjcmV0 x", b"BDAT secret", b"", b"ETRN secret", b"GET secret"])
@pytest.mark.parametrize("doubt", [Doubt.CREDENTIAL, Doubt.OUR_CREDENTIAL])
def test_a_credential_after_the_login(doubt: Doubt, line: bytes) -> None:
    """No log shows it. Where AUTH is answered here, no server is to see it."""
    reader = in_doubt(doubt)
    event, *_ = read(line + b"\r\n", reader=reader)
    command = event.command if isinstance(event, Refused) else event
    assert command.secret or command.kind is Kind.VIOLATION
    assert not line or line not in command.shown
    assert reader.doubt is doubt, "more may come"
    if doubt is Doubt.OUR_CREDENTIAL:
        assert (type(event), event.error.reply_hint.code, command.kind) == (Refused, 500, Kind.PLAIN)


def test_a_wrong_line_after_the_login_is_not_shown() -> None:
    code, text = violation(read(b"c2VjcmV0" * 2000, reader=in_doubt(Doubt.CREDENTIAL)))
    assert (code, text) == (500, "line too long")


@each("line", [b"NOOP", b"AUTH PLAIN", b"BDAT 4"])
@pytest.mark.parametrize("doubt", [Doubt.CREDENTIAL, Doubt.OUR_CREDENTIAL])
def test_a_command_ends_the_doubt_after_a_login(doubt: Doubt, line: bytes) -> None:
    reader = in_doubt(doubt)
    command, _ = read(line + b"\r\n", reader=reader)
    assert (command.raw, command.secret, reader.doubt) == (line, False, None)


def test_a_challenge_and_tls_leave_no_doubt() -> None:
    reader = in_doubt(Doubt.CREDENTIAL)
    reader.login_answered(Reply.of(334), ours=True)
    assert reader.doubt is None
    reader = in_doubt(Doubt.CREDENTIAL)
    reader.begin_anew()
    command, _ = read(b"x-secret word\r\n", reader=reader)
    assert command.shown == b"x-secret word"
