"""Credentials that a server says back are masked, however it writes them."""

from __future__ import annotations

import time
from binascii import b2a_base64
from urllib.parse import quote

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.wire.commands import Command, auth_line
from sansio_smtp.wire.credentials import Credentials

PASSWORD = b'hunt er2/%"'


def base64(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False)


def plain() -> Credentials:
    credentials = Credentials()
    credentials.keep(Command.parse(b"AUTH PLAIN " + base64(b"\0scanner\0" + PASSWORD)))
    return credentials


@each(
    ("reply", "shown"),
    [
        (b'535 hunt er2/%" is wrong\r\n', b"535 ******** is wrong\r\n"),
        (b'535 \0scanner\0hunt er2/%"\r\n', b"535 ********\r\n"),
        (b'535 scannerhunt er2/%"\r\n', b"535 ********\r\n"),
        (b'535 hunt er2/%\\"\r\n', b"535 ********\r\n"),
        (b"535 hunt er2/%\\x22\r\n", b"535 ********\r\n"),
        (b"535 hunt er2/%\\042\r\n", b"535 ********\r\n"),
        (b"535 hunt er2/%+22\r\n", b"535 ********\r\n"),
        (b"535 " + quote(PASSWORD, safe="").encode() + b"\r\n", b"535 ********\r\n"),
        (b"535 " + quote(PASSWORD, safe="").lower().encode() + b"\r\n", b"535 ********\r\n"),
        (b"535 " + base64(PASSWORD) + b" x\r\n", b"535 ******** x\r\n"),
        (b"535 " + base64(b"\0scanner\0" + PASSWORD).rstrip(b"=") + b"\r\n", b"535 ********\r\n"),
        (b'535-hunt e\r\n535 r2/%" x\r\n', b"535-******** x\r\n"),
        (b'535-hunt\r\n535-er2/%"\r\n535 x\r\n', b"535-********\r\n535 x\r\n"),
        (b"250-mx\r\n250 PIPELINING\r\n", b"250-mx\r\n250 PIPELINING\r\n"),
    ],
)
def test_what_is_masked(reply: bytes, shown: bytes) -> None:
    assert plain().masked(reply) == shown


def test_the_name_is_shown_when_its_login_was_accepted() -> None:
    credentials = plain()
    assert credentials.masked(b"535 scanner\r\n") == b"535 ********\r\n", "it may be a password"
    credentials.accepted("scanner")
    assert credentials.masked(b"250 scanner\r\n") == b"250 scanner\r\n"
    assert credentials.masked(b"250 %b\r\n" % base64(b"scanner")) == b"250 ********\r\n"
    assert credentials.masked(b'250 hunt er2/%"\r\n') == b"250 ********\r\n"
    credentials.accepted(None)
    assert credentials.masked(b"250 scanner\r\n") == b"250 ********\r\n"


def test_tokens() -> None:
    credentials = Credentials()
    credentials.keep(Command.parse(b"AUTH XOAUTH2 " + base64(b"user=ann\1auth=Bearer ya29.x\1\1")))
    assert credentials.masked(b"535 ya29.x user=ann ann\r\n") == b"535 ******** ******** ann\r\n"


@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz"])
def test_what_is_in_the_base64_of_a_longer_text(before: bytes) -> None:
    """As in a challenge of a server that puts together what it has heard."""
    shown = plain().masked(b"334 " + base64(before + PASSWORD + b" is wrong") + b"\r\n")
    assert b"********" in shown
    assert all(part not in shown for part in (b"bnQgZX", b"dW50IG", b"W50IGV"))


def test_short_texts_destroy_nothing() -> None:
    credentials = Credentials()
    credentials.keep(auth_line(base64(b"pw1")))
    credentials.keep(auth_line(b"*"))
    credentials.keep(auth_line(b"="))
    assert credentials.masked(b"250 pw1 * = ok\r\n") == b"250 pw1 * = ok\r\n"
    assert credentials.masked(b"250 cHcx\r\n") == b"250 ********\r\n"


def test_what_is_no_base64_is_masked_as_it_was_sent() -> None:
    credentials = Credentials()
    credentials.keep(auth_line(b"hunter2!"))
    assert credentials.masked(b"535 hunter2! no\r\n") == b"535 ******** no\r\n"


def test_nothing_is_kept_of_what_holds_no_credential() -> None:
    credentials = Credentials()
    credentials.keep(Command.parse(b"NOOP"))
    assert credentials.masked(b"250 NOOP\r\n") == b"250 NOOP\r\n"


@given(st.binary(min_size=4, max_size=40).filter(lambda octets: b"\r" not in octets and b"\n" not in octets))
def test_no_password_is_left_whole(password: bytes) -> None:
    credentials = Credentials()
    credentials.keep(auth_line(base64(password)))
    for reply in (b"535 %b\r\n" % password, b"535-%b\r\n535 %b\r\n" % (password[:2], password[2:])):
        shown = credentials.masked(reply).replace(b"********", b"\r\n")
        assert password not in shown or password in b"535 \r\n535-"


def test_time_and_memory_are_bounded() -> None:
    credentials = Credentials()
    began = time.process_time()
    for number in range(30):
        credentials.keep(auth_line(base64(b"\0\xff%d" % number * 2_000)))
    reply = b"".join(b"250-%b\r\n" % (b"x" * 500) for _ in range(120))
    for _ in range(5):
        assert credentials.masked(reply) == reply
    assert time.process_time() - began < 5
