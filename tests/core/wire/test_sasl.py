"""Who a client says it is, for each mechanism that sends it in clear."""

from __future__ import annotations

from binascii import b2a_base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.wire.commands import Command, auth_line
from sansio_smtp.wire.sasl import identity


def base64(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False)


def said(mechanism: str, *answers: bytes, initial: bool = False) -> str | None:
    """The identity, if the answers are sent after the command, or the first of them with it."""
    words = [mechanism.encode()]
    if initial:
        words.append(base64(answers[0]))
    lines = [auth_line(base64(answer)) for answer in answers[initial:]]
    return identity([Command.parse(b"AUTH " + b" ".join(words)), *lines])


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize(
    ("mechanism", "answers", "who"),
    [
        ("PLAIN", (b"\0ann\0secret",), "ann"),
        ("plain", (b"boss\0ann\0secret",), "ann"),
        ("PLAIN", (b"boss\0\0secret",), None),
        ("PLAIN", (b"ann secret",), None),
        ("PLAIN", (b"\0ann\0secret\0more",), None),
        ("LOGIN", (b"ann", b"secret"), "ann"),
        ("LOGIN", (b"ann",), "ann"),
        ("EXTERNAL", (b"ann",), "ann"),
        ("EXTERNAL", (b"",), None),
        ("XOAUTH2", (b"user=ann@me.example\1auth=Bearer x\1\1",), "ann@me.example"),
        ("XOAUTH2", (b"auth=Bearer x\1\1",), None),
        ("OAUTHBEARER", (b"n,a=ann@me.example,\1host=mx\1\1",), "ann@me.example"),
        ("OAUTHBEARER", (b"n,,\1host=mx\1\1",), None),
        ("OAUTHBEARER", (b"nonsense",), None),
        ("SCRAM-SHA-256", (b"n,,n=ann,r=nonce", b"c=biws,r=nonce,p=proof"), "ann"),
        ("SCRAM-SHA-1-PLUS", (b"p=tls-unique,a=boss,n=ann,r=nonce",), "ann"),
        ("SCRAM-SHA-256", (b"nonsense",), None),
        ("GSSAPI", (b"\x60\x82",), None),
        ("PLAIN", ("\0ü@me.example\0s".encode(),), "ü@me.example"),
        ("PLAIN", (b"\0a\xffb\0s",), "a\ufffdb"),
        ("PLAIN", (b"\0a\nb\0s",), None),
        ("PLAIN", (b"\0\x1b[31m\0s",), None),
    ],
)
def test_identity(mechanism: str, answers: tuple[bytes, ...], who: str | None, initial: bool) -> None:
    assert said(mechanism, *answers, initial=initial) == who


def test_a_mechanism_whose_first_word_is_the_servers() -> None:
    """RFC 2195 §2: the identity may hold blanks; the digest does not."""
    assert said("CRAM-MD5", b"ann lee b913a602c7eda7a495b4e6e7334d3890") == "ann lee"
    assert said("CRAM-MD5", b"nonsense") is None


@pytest.mark.parametrize(
    "lines",
    [
        (b"AUTH",),
        (b"AUTH PLAIN",),
        (b"AUTH PLAIN ?",),
        (b"AUTH PLAIN =",),
        (b"AUTH LOGIN", b"*"),
        (b"", b""),
    ],
)
def test_what_names_nobody(lines: tuple[bytes, ...]) -> None:
    command, *answers = lines
    assert identity([Command.parse(command), *map(auth_line, answers)]) is None


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_any_octets_give_an_identity_or_none(lines: list[bytes]) -> None:
    for mechanism in (b"PLAIN", b"LOGIN", b"CRAM-MD5", b"XOAUTH2", b"OAUTHBEARER", b"SCRAM-SHA-1", lines[0]):
        who = identity([Command.parse(b"AUTH " + mechanism + b" " + lines[0]), *map(auth_line, lines[1:])])
        assert who is None or (who.isprintable() and who)
