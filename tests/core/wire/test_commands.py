from __future__ import annotations

import pytest
from each import each
from hypothesis.vendor.pretty import pretty

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.verbs import VERBS, Kind
from sansio_smtp.wire.commands import (
    END_OF_DATA,
    Command,
    Parameter,
    Path,
    auth_line,
    chunk_command,
    chunk_size,
)


@each(
    ("raw", "verb", "kind"),
    [
        (b"MAIL FROM:<a@b>", b"MAIL", Kind.GROUP),
        (b"rcpt to:<a@b>", b"RCPT", Kind.GROUP),
        (b"RsEt", b"RSET", Kind.GROUP),
        (b"EHLO me", b"EHLO", Kind.HELLO),
        (b"helo me", b"HELO", Kind.HELLO),
        (b"DATA", b"DATA", Kind.DATA),
        (b"DATA  \t ", b"DATA", Kind.DATA),
        (b"data\tx", b"DATA", Kind.DATA),
        (b"AUTH LOGIN", b"AUTH", Kind.AUTH),
        (b"quit ", b"QUIT", Kind.QUIT),
        (b"NOOP", b"NOOP", Kind.PLAIN),
        (b"X-ODD one", b"X-ODD", Kind.PLAIN),
        (b"A1 two", b"A1", Kind.PLAIN),
        # No verb: it does not begin with one, or what begins does not end as a verb does.
        (b"", b"", Kind.PLAIN),
        (b" NOOP", b"", Kind.PLAIN),
        (b"\tDATA", b"", Kind.PLAIN),
        (b".", b"", Kind.PLAIN),
        (b"1DATA", b"", Kind.PLAIN),
        (b"-DATA", b"", Kind.PLAIN),
        (b"Subject: hello", b"", Kind.PLAIN),
        (b"DATA.", b"", Kind.PLAIN),
        (b"DATA\r", b"", Kind.PLAIN),
        (b"DATA\n", b"", Kind.PLAIN),
        (b"DATA\0", b"", Kind.PLAIN),
        (b"DATA\x0b", b"", Kind.PLAIN),
        (b"DATA\xa0", b"", Kind.PLAIN),
        ("ДАТА".encode(), b"", Kind.PLAIN),
        # U+017F and U+212A are folded into ASCII letters by a matcher that ignores the case of text.
        ("R\u017fET".encode(), b"", Kind.PLAIN),
    ],
)
def test_parse(raw: bytes, verb: bytes, kind: Kind) -> None:
    command = Command.parse(raw)
    assert (command.verb, command.kind) == (verb, kind)
    assert command.raw is raw


@each("verb", VERBS)
def test_every_verb_of_the_table_in_any_case(verb: bytes) -> None:
    for raw in (verb, verb.lower(), verb.title() + b" x"):
        command = Command.parse(raw)
        assert (command.verb, command.kind) == (verb, VERBS[verb].kind)


@each(
    ("raw", "shown"),
    [
        (b"AUTH PLAIN AGEAYg==", b"AUTH PLAIN ********"),
        (b"auth plain AGEAYg== x", b"auth plain ********"),
        (b"AUTH\tPLAIN\tAGEAYg==", b"AUTH PLAIN ********"),
        (b"AUTH PLAIN\rAGEAYg==", b"AUTH PLAIN ********"),
        (b"AUTH LOGIN", b"AUTH LOGIN"),
        (b"AUTH", b"AUTH"),
        (b"AUTH PLAIN ", b"AUTH PLAIN "),
        (b"auth xoauth2", b"auth xoauth2"),
        # Lines that meant to be AUTH.
        (b"AUTH PLAIN=AGEAYg==", b"AUTH ********"),
        (b"AUTH AGFubgBodW50ZXIy", b"AUTH ********"),
        (b"AUTH AGFubgBodW50ZXIyaHVudGVyMg== x", b"AUTH ********"),
        (b"AUTHPLAIN AGEAYg==", b"********"),
        (b" AUTH PLAIN AGEAYg==", b"********"),
        (b"auth: PLAIN AGEAYg==", b"********"),
        (b"XAUTH PLAIN AGEAYg==", b"********"),
        # And lines that did not.
        (b"NOOP AUTH PLAIN x", b"NOOP AUTH PLAIN x"),
        (b"MAIL FROM:<a@b> AUTH=<>", b"MAIL FROM:<a@b> AUTH=<>"),
        (b"junk!", b"junk!"),
    ],
)
def test_a_credential_is_shown_nowhere(raw: bytes, shown: bytes) -> None:
    command = Command.parse(raw)
    assert command.shown == shown
    assert repr(command) == f"Command({shown!r})"
    assert str(command) == shown.decode()
    assert pretty(command) == f"Command.parse({shown!r})"


@each(
    ("command", "secrets"),
    [
        (Command.parse(b"AUTH PLAIN AGEAYg== more"), [b"AGEAYg==", b"more"]),
        (Command.parse(b"AUTH PLAIN ="), []),
        (Command.parse(b"AUTH CRAM-MD5"), []),
        (Command.parse(b"AUTH PLAIN=AGEAYg== x"), [b"PLAIN=AGEAYg=="]),
        (Command.parse(b"MAIL FROM:<a@me>"), []),
        (Command.parse(b"xauth PLAIN AGEAYg=="), [b"xauth", b"PLAIN", b"AGEAYg=="]),
        (auth_line(b"AGEAYg=="), [b"AGEAYg=="]),
        (auth_line(b"*"), []),
    ],
)
def test_secrets_are_words_that_tell_something(command: Command, secrets: list[bytes]) -> None:
    """Masking every octet that equals a cancelling ``*`` would mask the dialogue."""
    assert command.secrets == secrets


def test_str_of_octets_that_are_not_utf8() -> None:
    assert str(Command.parse(b"NOOP \xff\xc3\xa9")) == "NOOP \\xffé"


def test_hypothesis_writes_a_call_that_makes_the_command_again() -> None:
    command = Command.parse(b"rcpt to:<b'\xff@mx> NOTIFY=NEVER")
    assert eval(pretty(command), {"Command": Command}).raw == command.raw


def test_auth_line_is_opaque_and_secret() -> None:
    """RFC 4954 §4: whatever it looks like, it is no command."""
    command = auth_line(b"QUIT")
    assert (command.verb, command.kind, command.raw) == (b"", Kind.AUTH_LINE, b"QUIT")
    assert "QUIT" not in repr(command) + str(command)


def test_end_of_data_is_no_command_line() -> None:
    assert (END_OF_DATA.verb, END_OF_DATA.kind, END_OF_DATA.raw) == (b"", Kind.END_OF_DATA, b".")


def test_commands_are_compared_by_identity() -> None:
    """Two RCPT lines of the same text are two commands, each with its reply."""
    assert Command.parse(b"RSET") != Command.parse(b"RSET")


@pytest.mark.parametrize("line", ["RCPT TO:<bücher@x>", "RCPT TO:<bücher@x>".encode()])
def test_of_takes_text_and_octets(line: str | bytes) -> None:
    assert Command.of(line).raw == "RCPT TO:<bücher@x>".encode()


@each("line", ["NOOP\r\nDATA", "NOOP\n", "NOOP x\r", b"NOOP \0", "", "  ", ".", "554 no", b"\x16\x03"])
def test_of_refuses_what_is_not_one_command_line(line: str | bytes) -> None:
    with pytest.raises(LocalProtocolError):
        Command.of(line)


def test_of_does_not_tell_a_secret_in_its_error() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Command.of("AUTH PLAIN AGEAYg==\r\n")
    assert "AGEAYg" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "argument"),
    [(b"NOOP", b""), (b"NOOP ", b""), (b"NOOP  x ", b" x "), (b"vrfy\tA b", b"A b")],
)
def test_argument(raw: bytes, argument: bytes) -> None:
    assert Command.parse(raw).argument == argument


@each(
    ("raw", "address", "parameters"),
    [
        (b"MAIL FROM:<a@b>", "a@b", ()),
        (b"mail from:<>", "", ()),
        (b"MAIL FROM: <a@b>", "a@b", ()),
        (b"MAIL  FROM:\t<a@b> \t", "a@b", ()),
        (b"RCPT TO:a@b", "a@b", ()),
        (b"RCPT TO:a@b>", "a@b", ()),
        (b"RCPT TO:<@r1,@r2:a@b>", "@r1,@r2:a@b", ()),
        (b'RCPT TO:<"a b"@c>', '"a b"@c', ()),
        (b"MAIL FROM:<a@b> size=10 BODY=8bitmime", "a@b", (("SIZE", "10"), ("BODY", "8bitmime"))),
        (b"MAIL FROM:<a@b>\tSMTPUTF8  X=", "a@b", (("SMTPUTF8", None), ("X", ""))),
        (b"MAIL FROM:<a@b> AUTH=a=b", "a@b", (("AUTH", "a=b"),)),
        ("MAIL FROM:<é@b>".encode(), "é@b", ()),
        (b"MAIL FROM:<\xff@b>", "\udcff@b", ()),
    ],
)
def test_path(raw: bytes, address: str, parameters: tuple[tuple[str, str | None], ...]) -> None:
    assert Command.parse(raw).path == Path(address, tuple(Parameter(*pair) for pair in parameters))


@each(
    "raw",
    [
        b"MAIL",
        b"MAIL FROM",
        b"MAIL FROM:",
        b"MAIL FROM: ",
        b"MAIL <a@b>",
        b"MAIL FROM:<a@b",
        b"MAIL FROM:<a@b>SIZE=1",
        b"MAIL FROM:<a>b@c>",
        b"MAIL FROM:<a\0@b>",
    ],
)
def test_no_path_to_be_read(raw: bytes) -> None:
    assert Command.parse(raw).path is None
    assert Command.parse(raw).declared_size == 0


def test_parameter_of_a_path() -> None:
    path = Command.parse(b"MAIL FROM:<a> size=1 SMTPUTF8 SIZE=2").path
    assert path is not None
    assert path.parameter("SIZE") == "1"
    assert path.parameter("SMTPUTF8") == ""
    assert path.parameter("BODY") is None


@each(
    ("value", "size"),
    [
        ("0", 0),
        ("1000", 1000),
        ("007", 7),
        ("9" * 20, int("9" * 20)),
        ("", 0),
        ("+5", 0),
        ("-5", 0),
        ("5_0", 0),
        ("0x10", 0),
        ("5.", 0),
        ("٣", 0),  # an Arabic digit: int() would take it
        ("²", 0),
        ("9" * 21, 0),
        ("9" * 5000, 0),  # int() of more than 4300 digits raises
    ],
)
def test_declared_size(value: str, size: int) -> None:
    """RFC 1870 §6: digits, nothing else."""
    assert Command.parse(f"MAIL FROM:<a@b> SIZE={value}".encode()).declared_size == size


def test_declared_size_not_given() -> None:
    assert Command.parse(b"MAIL FROM:<a@b> BODY=8BITMIME").declared_size == 0
    assert Command.parse(b"MAIL FROM:<a@b> SIZE").declared_size == 0


@each(
    ("raw", "size"),
    [
        (b"BDAT 0", 0),
        (b"BDAT 86", 86),
        (b"bdat 86 last", 86),
        (b"BDAT  007  LAST \t", 7),
        (b"BDAT 9223372036854775807", 2**63 - 1),
        (b"BDAT 9223372036854775808", None),
        (b"BDAT 99999999999999999999", None),
        (b"BDAT", None),
        (b"BDAT ", None),
        (b"BDAT LAST", None),
        (b"BDAT\t5", None),
        (b"BDAT +5", None),
        (b"BDAT -5", None),
        (b"BDAT 5_0", None),
        (b"BDAT 0x5", None),
        (b"BDAT 5.0", None),
        (b"BDAT 5 6", None),
        (b"BDAT 5 LASTX", None),
        (b"BDAT 5 LAST LAST", None),
        (b"BDAT 5 LAST\r", None),
        (b"BDAT 00000000000000000005", None),
        (b"BDAT 5LAST", None),
        (b"BDAT 5\n", None),
        (b"BDAT 5\0", None),
        ("BDAT ٣".encode(), None),
    ],
)
def test_chunk_size(raw: bytes, size: int | None) -> None:
    """RFC 3030 §2. A count that two receivers could read differently is no count."""
    assert chunk_size(Command.parse(raw)) == size


@pytest.mark.parametrize(("last", "kind"), [(False, Kind.CHUNK), (True, Kind.LAST_CHUNK)])
@pytest.mark.parametrize("size", [0, 86, 2**63 - 1])
def test_a_chunk_of_our_own_is_read_as_it_was_meant(size: int, last: bool, kind: Kind) -> None:
    command = chunk_command(size, last=last)
    read = Command.parse(command.raw)
    assert (read.verb, read.kind, chunk_size(read)) == (command.verb, kind, size)
    assert command.kind is kind


def test_a_chunk_of_no_message_keeps_its_count() -> None:
    dropped = Command.parse(b"BDAT 86 LAST").as_dropped()
    assert (dropped.kind, dropped.shown, chunk_size(dropped)) == (Kind.DROPPED_CHUNK, b"BDAT 86 LAST", 86)


def test_the_same_line_taken_for_something_else() -> None:
    """The octets stay, as a log and the server have to see them."""
    command = Command.parse(b"QUIT c2VjcmV0")
    secret, plain = command.as_secret(), command.as_plain()
    assert (secret.raw, secret.kind, secret.shown) == (command.raw, Kind.QUIT, b"********")
    assert (plain.raw, plain.kind, plain.secret) == (command.raw, Kind.PLAIN, False)


def test_a_path_is_read_once() -> None:
    command = Command.of("MAIL FROM:<a@b>")
    assert command.path is command.path


def test_a_command_may_be_text_octets_or_a_command() -> None:
    command = Command.of("NOOP")
    assert Command.of(command) is command
    assert Command.of(b"NOOP").raw == command.raw


def test_the_address_of_a_path_goes_back_as_it_came() -> None:
    path = Command.parse(b"RCPT TO:<\xff@mx.example>").path
    assert path is not None
    assert Command.of(f"RCPT TO:<{path.address}>").raw == b"RCPT TO:<\xff@mx.example>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "a command is a str, bytes or Command, not int"),
        (None, "not None"),
        (Command, "not the class Command"),
    ],
)
def test_what_is_no_command_line(value: object, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        Command.of(value)  # type: ignore[arg-type]


def test_what_comes_from_a_peer_is_octets() -> None:
    with pytest.raises(TypeError, match=r"Command.of takes the whole line as one text, such as "):
        Command.of("RCPT", "TO:<ann@example.com>")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Command.parse takes bytes, not str; Command.of takes text"):
        Command.parse("NOOP")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("NOOP\r\n", "send each line by itself, without its CRLF"),
        ("NOOP \0", "must not hold CR, LF or NUL: b'NOOP .x00'$"),
        ("", "a command begins with a verb, such as NOOP"),
    ],
)
def test_an_error_says_how_a_command_is_written(line: str, text: str) -> None:
    with pytest.raises(LocalProtocolError, match=text):
        Command.of(line)


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("RCPT TO:<Ann@OLD.example>", "Ann@old.example"),
        ("rcpt to:<ann@old.example> NOTIFY=NEVER", "ann@old.example"),
        ('MAIL FROM:<"ann"@old.example> SIZE=5', "ann@old.example"),
        ("RCPT TO:<@a.example:ann@old.example>", "ann@old.example"),
        ("MAIL FROM:<>", ""),
        ("RCPT TO:<Postmaster>", "postmaster"),
        ("RCPT TO:<j\u00f6rg@b\u00fccher.example>", "j\u00f6rg@xn--bcher-kva.example"),
    ],
)
def test_the_mailbox_of_a_path(line: str, address: str) -> None:
    mailbox = Command.of(line).mailbox
    assert mailbox is not None
    assert mailbox.address == address


@pytest.mark.parametrize(
    "line",
    [
        "RCPT garbage",
        "RCPT",
        "RCPT TO:<>",
        "RCPT TO:<a@b(c)>",
        "RCPT TO:<a@b> no parameter!",
        "NOOP TO:<a@b>",
    ],
)
def test_a_command_without_a_mailbox(line: str) -> None:
    assert Command.of(line).mailbox is None
