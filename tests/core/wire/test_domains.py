"""Domains and address literals in normal form."""

from __future__ import annotations

import re

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.errors import MailboxError
from sansio_smtp.wire.domains import normal_domain, normal_label


@each(
    ("text", "normal"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.Com", "example.com"),
        ("localhost", "localhost"),
        ("my_host.local", "my_host.local"),
        ("_x.example", "_x.example"),
        ("1.example", "1.example"),
        ("a--b.example", "a--b.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("\u212aelvin.example", "kelvin.example"),
        ("192.0.2.1", "[192.0.2.1]"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("[IPv6:2001:DB8:0::1]", "[ipv6:2001:db8::1]"),
        ("[ipv6:2001:db8::0.0.0.1]", "[ipv6:2001:db8::1]"),
        (".".join(["a" * 63] * 3), ".".join(["a" * 63] * 3)),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    assert normal_domain(text) == normal
    assert normal_domain(normal) == normal


@each(
    ("text", "why"),
    [
        ("", "empty label"),
        ("example.com.", "empty label"),
        (".example.com", "empty label"),
        ("a..b", "empty label"),
        ("-a.example", "begins or ends in -"),
        ("a-.example", "begins or ends in -"),
        ("a b", "no domain holds"),
        ("a,b", "no domain holds"),
        ("exam\\ple", "no domain holds"),
        ("a\0", "no domain holds"),
        ("a" * 64, "longer than 63"),
        ("ü" * 60, "longer than 63"),
        (".".join(["a" * 60] * 5), "longer than 255"),
        (".".join(["ü"] * 60), "longer than 255"),
        # Numbers, as inet_aton(3) reads them.
        ("0x7f.1", "ends in a number"),
        ("127.1", "ends in a number"),
        ("2130706433", "ends in a number"),
        ("a.0x", "ends in a number"),
        ("010.0.0.1", "ends in a number"),
        ("1.2.3.256", "ends in a number"),
        # What servers map in different ways.
        ("straße.example", "different ways"),
        ("βόλος.example", "different ways"),
        ("\uff45xample.com", "different ways"),
        ("ﬀ.example", "different ways"),
        ("a\u3164b", "different ways"),
        ("bü\ufe0fcher.example", "different ways"),
        ("example\u3002com", "no domain holds"),
        ("example\uff0ecom", "different ways"),
        ("bü\u00adcher", "no domain holds"),
        ("bü\u200dcher", "no domain holds"),
        ("❤.example", "no domain holds"),
        ("\u0300a.example", "no U-label"),
        ("-ü.example", "no U-label"),
        ("ü-.example", "no U-label"),
        ("ab--ü.example", "no U-label"),
        ("ü@b", "no domain holds"),
        ("[]", "literal"),
        ("[192.0.2.1", "literal"),
        ("[192.0.2]", "literal"),
        ("[192.0.2.01]", "literal"),
        ("[mx.example]", "literal"),
        ("[IPv6:]", "literal"),
        ("[IPv6:fe80::1%eth0]", "literal"),
        ("[IPv6:::ffff:192.0.2.1]", "literal"),
        ("[2001:db8::1]", "literal"),
        ("[X400:a]", "literal"),
        ("\udcff.example", "no domain holds"),
    ],
)
def test_what_has_none(text: str, why: str) -> None:
    with pytest.raises(MailboxError, match=why):
        normal_domain(text)


@given(st.text(max_size=12))
def test_a_normal_form_is_its_own(text: str) -> None:
    try:
        normal = normal_domain(text)
    except MailboxError:
        return
    assert normal.isascii()
    assert normal == normal.lower()
    assert normal_domain(normal) == normal


def test_one_label() -> None:
    assert normal_label("Bücher") == "xn--bcher-kva"
    with pytest.raises(MailboxError):
        normal_label("a.b")


@given(st.text("aZ0_-.", max_size=12) | st.sampled_from(["a" * 63 + ".b", "a" * 64 + ".b", "a.0x1", "a.b-"]))
def test_ordinary_domains_are_read_as_all_others(text: str) -> None:
    """They are recognised as a whole; label by label gives the same."""
    try:
        expected = ".".join(normal_label(label) for label in text.split("."))
    except MailboxError:
        expected = ""
    try:
        found = normal_domain(text)
    except MailboxError:
        found = ""
    if not found.startswith("[") and not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", expected.rpartition(".")[2]):
        assert found == expected
