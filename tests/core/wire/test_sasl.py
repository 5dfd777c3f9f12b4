"""Who a client says it is: read as lenient servers read it, or unknown."""

from __future__ import annotations

from binascii import b2a_base64

from each import each
from hypothesis import given
from hypothesis import strategies as st
from neighbours.logins import Exchange, exchanges

from sansio_smtp.wire.commands import Command, auth_line
from sansio_smtp.wire.login_names import prepared
from sansio_smtp.wire.sasl import LONGEST_EXCHANGE, UNKNOWN_LOGIN, Login, identity, read_login

CRAM = b" b913a602c7eda7a495b4e6e7334d3890"


def base64(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False) or b"="


def said(mechanism: str, *answers: bytes, initial: bool = False) -> str | None:
    """The name, if the answers are sent after the command, or the first of them with it."""
    words = [mechanism.encode()]
    if initial:
        words.append(base64(answers[0]))
    lines = [auth_line(base64(answer)) for answer in answers[initial:]]
    return identity([Command.parse(b"AUTH " + b" ".join(words)), *lines])


@each("initial", [False, True])
@each(
    ("mechanism", "answers", "who"),
    [
        ("PLAIN", (b"\0ann\0secret",), "ann"),
        ("plain", (b"ann\0Ann\0secret",), "ann"),
        ("PLAIN", (b"boss\0ann\0secret",), None),
        ("PLAIN", (b"boss\0\0secret",), None),
        ("PLAIN", (b"ann secret",), None),
        ("PLAIN", (b"\0ann\0secret\0more",), None),
        ("PLAIN", (b"\0ann\0secret", b"\0bob\0secret"), None),
        ("PLAIN", (b"\0ann\0secret", b""), "ann"),
        ("LOGIN", (b"ann", b"secret"), "ann"),
        ("LOGIN", (b"ann",), "ann"),
        ("LOGIN", (b"ann\0secret",), None),
        ("EXTERNAL", (b"ann",), "ann"),
        ("EXTERNAL", (b"",), None),
        ("XOAUTH2", (b"user=ann@me.example\1auth=Bearer x\1\1",), "ann@me.example"),
        ("XOAUTH2", (b"auth=Bearer x\1user=ann\1\1",), "ann"),
        ("XOAUTH2", (b"user=ann\1user=bob\1auth=Bearer x\1\1",), None),
        ("XOAUTH2", (b"auth=Bearer x\1\1",), None),
        ("OAUTHBEARER", (b"n,a=ann@me.example,\1host=mx\1\1",), "ann@me.example"),
        ("OAUTHBEARER", (b"n,a=ann=2Cb=3Dc,\1host=mx\1\1",), "ann,b=c"),
        ("OAUTHBEARER", (b"n,,\1host=mx\1\1",), None),
        ("OAUTHBEARER", (b"nonsense",), None),
        ("SCRAM-SHA-256", (b"n,,n=Ann,r=nonce", b"c=biws,r=nonce,p=proof", b""), "ann"),
        ("SCRAM-SHA-256", (b"n,,n=a=2Cb=3Dc,r=nonce", b"c=biws,r=nonce,p=proof"), "a,b=c"),
        ("SCRAM-SHA-256", (b"n,,n=a=2cb,r=nonce", b"c=biws,r=nonce,p=proof"), None),
        ("SCRAM-SHA-256", (b"n,,n=a=,r=nonce", b"c=biws,r=nonce,p=proof"), None),
        ("SCRAM-SHA-1-PLUS", (b"p=tls-unique,a=ann,n=ann,r=nonce",), "ann"),
        ("SCRAM-SHA-1-PLUS", (b"p=tls-unique,a=boss,n=ann,r=nonce",), None),
        ("SCRAM-SHA-256", (b"n,,m=x,n=ann,r=nonce",), None),
        ("SCRAM-SHA-256", (b"nonsense",), None),
        ("DIGEST-MD5", (b'username="a\\"nn",realm="",nonce="x"', b""), 'a"nn'),
        ("DIGEST-MD5", (b'charset=utf-8, username="Ann" ,nonce="a,b",authzid="ann"', b""), "ann"),
        ("DIGEST-MD5", (b'username="ann",authzid="boss"', b""), None),
        ("DIGEST-MD5", (b'username="ann",realm="mx.example"', b""), None),
        ("DIGEST-MD5", (b'username="ann",username="bob"', b""), None),
        ("DIGEST-MD5", (b"nonce=x", b""), None),
        ("DIGEST-MD5", (b"nonsense", b""), None),
        ("CRAM-MD5", (b"ann lee" + CRAM,), "ann lee"),
        ("CRAM-MD5", (b"nonsense",), None),
        ("GSSAPI", (b"\x60\x82",), None),
        ("NTLM", (b"NTLMSSP\0\1",), None),
        ("PLAIN", ("\0Ü@me.example\0s".encode(),), "ü@me.example"),
        ("PLAIN", (b"\0a\xffb\0s",), None),
        ("PLAIN", (b"\0a\nb\0s",), None),
        ("PLAIN", (b"\0\x1b[31m\0s",), None),
        ("PLAIN", ("\0Sc\u00adan\u200bner\0s".encode(),), "scanner"),
    ],
)
def test_identity(mechanism: str, answers: tuple[bytes, ...], who: str | None, initial: bool) -> None:
    assert said(mechanism, *answers, initial=initial) == who


@each(
    ("lines", "who"),
    [
        ((b"AUTH LOGIN =", b"U2Nhbm5lcg==", b"cHc="), "scanner"),
        ((b"AUTH LOGIN =", b"U2Nhbm5lcg", b"cHc"), "scanner"),
        ((b"AUTH LOGIN", b"U2Nh bm5lcg== ", b"cHc="), "scanner"),
        ((b"AUTH LOGIN U2Nhbm5lcg", b"cHc="), "scanner"),
        ((b"AUTH LOGIN U2Nhbm5lcg", b"!"), "scanner"),
        ((b"AUTH LOGIN U2Nh bm5lcg", b"cHc="), "scanner"),
        # Some servers ignore the initial response, and ask for the name.
        ((b"AUTH LOGIN YW5u", b"Ym9i", b"cHc="), None),
        ((b"AUTH LOGIN YW5u", b"QU5O", b"cHc="), "ann"),
        ((b"AUTH LOGIN YW5u", b"QU5O", b"cHc=", b"cHc="), None),
        # The answer may be the password to the empty name.
        ((b"AUTH LOGIN =", b"cHc="), None),
        ((b"AUTH LOGIN", b"U2Nhbm5lcg===", b"cHc="), "scanner"),
        ((b"AUTH LOGIN", b"U2Nhbm5lc", b"cHc="), None),
        ((b"AUTH LOGIN", b"U2Nh=bm5lcg", b"cHc="), None),
        ((b"AUTH LOGIN", b"U2Nh-m5lcg", b"cHc="), None),
        ((b"AUTH LOGIN", b"*"), None),
        ((b"AUTH",), None),
        ((b"AUTH PLAIN",), None),
        ((b"AUTH PLAIN ?",), None),
        ((b"AUTH PLAIN =",), None),
        ((b"AUTH PLAIN =", b"AGFubgBz"), "ann"),
        ((b"auth\tplain\tAGFubgBz",), "ann"),
        ((b"XAUTH PLAIN AGFubgBz",), None),
        ((b"", b""), None),
        ((), None),
    ],
)
def test_exchanges_as_they_are_on_the_wire(lines: tuple[bytes, ...], who: str | None) -> None:
    commands = [Command.parse(line) if number == 0 else auth_line(line) for number, line in enumerate(lines)]
    assert identity(commands) == who


def test_a_login_has_the_name_for_comparing_and_the_name_as_it_was_given() -> None:
    lines = [Command.parse(b"AUTH PLAIN AFNjYW5uZXIAcw==")]
    assert read_login(lines) == Login("scanner", "Scanner")
    assert read_login(lines, case_sensitive=True) == Login("Scanner", "Scanner", case_sensitive=True)
    assert read_login([Command.parse(b"AUTH GSSAPI")]) == UNKNOWN_LOGIN


def test_a_name_is_not_looked_for_in_an_endless_exchange() -> None:
    lines = [Command.parse(b"AUTH PLAIN AGFubgBz"), *[auth_line(b"AGFubgBz")] * (LONGEST_EXCHANGE - 1)]
    assert identity(lines) == "ann"
    assert identity([*lines, auth_line(b"")]) is None


@given(exchanges())
def test_a_neighbour_has_its_own_name_or_none(exchange: Exchange) -> None:
    """A decoy, a password, or half a name is never read."""
    who = identity(exchange.said(len(exchange.answers), [b""] * len(exchange.answers)))
    assert who in (None, prepared(exchange.name.decode("utf-8", "replace")))


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_any_octets_give_a_name_or_none(lines: list[bytes]) -> None:
    for mechanism in (b"PLAIN", b"LOGIN", b"CRAM-MD5", b"XOAUTH2", b"DIGEST-MD5", b"SCRAM-SHA-1", lines[0]):
        who = identity([Command.parse(b"AUTH " + mechanism + b" " + lines[0]), *map(auth_line, lines[1:])])
        assert who is None or prepared(who) == who
