"""Addresses as people type them, with and without a scheme."""

from __future__ import annotations

from pathlib import Path

import pytest
from each import each

from trio_proxy.text.addresses import Address, AddressError


def secure(host: str = "", port: int = 0, path: str | None = None) -> Address:
    return Address(host, port, path, tls=True)


@each(
    ("text", "address", "shown"),
    [
        ("mx.example:25", Address("mx.example", 25), "mx.example:25"),
        ("[::1]:25", Address("::1", 25), "[::1]:25"),
        (":25", Address("", 25), ":25"),
        ("smtp://mx.example:25", Address("mx.example", 25), "mx.example:25"),
        ("SMTP://mx.example:25/", Address("mx.example", 25), "mx.example:25"),
        ("smtps://mx.example:2465", secure("mx.example", 2465), "smtps://mx.example:2465"),
        ("SMTPS://mx.example:465/", secure("mx.example", 465), "smtps://mx.example:465"),
        ("smtps://mx.example", secure("mx.example", 465), "smtps://mx.example:465"),
        ("smtps://[::1]", secure("::1", 465), "smtps://[::1]:465"),
        ("smtps://:465", secure("", 465), "smtps://:465"),
        ("mx.example:465", secure("mx.example", 465), "smtps://mx.example:465"),
        ("[::1]:465", secure("::1", 465), "smtps://[::1]:465"),
        ("smtp://mx.example:465", Address("mx.example", 465), "smtp://mx.example:465"),
        ("unix:/run/x", Address(path="/run/x"), "unix:/run/x"),
        ("smtp+unix:/run/x", Address(path="/run/x"), "unix:/run/x"),
        ("smtps+unix:/run/x", secure(path="/run/x"), "smtps+unix:/run/x"),
        ("SMTPS+UNIX:run/x:465", secure(path="run/x:465"), "smtps+unix:run/x:465"),
        ("lmtp://mx.example:24", Address("mx.example", 24, lmtp=True), "lmtp://mx.example:24"),
        ("LMTP://[::1]/", Address("::1", 24, lmtp=True), "lmtp://[::1]:24"),
        ("lmtp://mx.example:465", Address("mx.example", 465, lmtp=True), "lmtp://mx.example:465"),
        ("lmtps://h:2424", Address("h", 2424, tls=True, lmtp=True), "lmtps://h:2424"),
        ("lmtp+unix:/run/x", Address(path="/run/x", lmtp=True), "lmtp+unix:/run/x"),
        ("lmtps+unix:x", Address(path="x", tls=True, lmtp=True), "lmtps+unix:x"),
        ("unix:smtps://x", Address(path="smtps://x"), "unix:smtps://x"),
    ],
)
def test_what_it_means_and_how_it_is_shown(text: str, address: Address, shown: str) -> None:
    assert Address.parse(text) == address
    assert str(address) == shown
    assert Address.parse(shown) == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mx.example", Address("mx.example", 25)),
        ("smtp://mx.example", Address("mx.example", 25)),
        ("smtps://mx.example", secure("mx.example", 465)),
        ("lmtp://mx.example", Address("mx.example", 24, lmtp=True)),
    ],
)
def test_a_server_needs_no_port(text: str, address: Address) -> None:
    assert Address.parse(text, default_port=25) == address


def test_the_default_port_is_in_the_hint() -> None:
    with pytest.raises(AddressError, match=r"needs brackets: \[2001:db8::1\]:25$"):
        Address.parse("2001:db8::1", default_port=25)


def test_the_port_of_a_default_means_no_tls() -> None:
    assert Address.parse("smtp://mx.example", default_port=465) == Address("mx.example", 465)


@each(
    ("text", "complaint"),
    [
        ("mx.example", "has no port; write HOST:PORT, such as mx.example:2525"),
        ("smtp://mx.example", "has no port; write HOST:PORT, such as mx.example:2525"),
        ("smtps://mx.example:x", "'x' is no port number (0 to 65535)"),
        ("smtps+unix:", "names no path; write smtps+unix:/run/smtp-proxy.sock"),
        ("lmtps://mx.example", "has no port; write HOST:PORT, such as mx.example:2525"),
        ("lmtp://mx.example:25", "port 25 is never for LMTP (RFC 2033, 5); use another, such as 24"),
        (
            "lmpt://mx.example",
            "unknown scheme 'lmpt'; use smtp://HOST:PORT, smtps://HOST:PORT, lmtp://HOST:PORT",
        ),
        ("::1:25", "an IPv6 address needs brackets: [::1]:25 or [::1:25]:2525"),
        ("2001:db8::1", "an IPv6 address needs brackets: [2001:db8::1]:2525"),
        ("1:2:3:4:5:6:7:8:25", "an IPv6 address needs brackets: [1:2:3:4:5:6:7:8]:25"),
        ("a:b:c", "an IPv6 address needs brackets: [::1]:2525"),
        ("/run/in.sock", "no host name holds a /; a unix socket is written unix:/run/in.sock"),
        ("./in.sock", "no host name holds a /; a unix socket is written unix:./in.sock"),
        ("mx.example/25", "no host name holds a /; write HOST:PORT, such as mail.example.net:25"),
        ("tls://mx.example", "the scheme for TLS from the first octet is smtps; use smtp://HOST:PORT, smtps"),
        ("submissions://mx.example", "write smtps://HOST; use"),
        ("http://mx.example", "unknown scheme 'http'; use smtp://HOST:PORT, smtps://HOST:PORT"),
    ],
)
def test_what_is_wrong_with_it(text: str, complaint: str) -> None:
    with pytest.raises(AddressError) as caught:
        Address.parse(text)
    assert str(caught.value).startswith(f"{text!r}")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("text", ["unix:in.sock", "smtps+unix:in.sock"])
def test_a_relative_socket_belongs_to_a_folder(text: str) -> None:
    below = Address.parse(text).below(Path("/run"))
    assert str(below) == text.replace("in.sock", "/run/in.sock")
    assert secure("h", 1).below(Path("/run")) == secure("h", 1)


def test_one_place_is_one_whatever_is_spoken_there() -> None:
    assert Address.parse("h:465").endpoint == Address.parse("smtp://h:465").endpoint
    assert Address.parse("lmtp://h:26").endpoint == Address.parse("h:26").endpoint
    assert Address.parse("h:465").endpoint != Address.parse("h:25").endpoint


@each(
    ("text", "is_local"),
    [
        ("unix:x", True), ("smtps+unix:x", True),
        ("127.0.0.1:1", True), ("127.9.9.9:1", True),
        ("[::1]:1", True), ("localhost:1", True), ("LOCALHOST.:1", True), ("mx.localhost:1", True),
        (":1", True),
        ("192.0.2.1:1", False), ("[2001:db8::1]:1", False), ("mx.example:1", False), ("0.0.0.0:1", False),
        ("notlocalhost:1", False),
    ],
)  # fmt: skip
def test_what_is_on_this_machine_for_certain(text: str, is_local: bool) -> None:
    assert Address.parse(text).is_local is is_local


@pytest.mark.parametrize(
    "text", ["h:465", "smtps://h:465", "smtp://h:465", "unix:x", "smtps+unix:x", "[::1]:25"]
)
def test_where_it_is_in_short(text: str) -> None:
    expected = text.removeprefix("smtps+").removeprefix("smtps://").removeprefix("smtp://")
    assert Address.parse(text).where == expected
