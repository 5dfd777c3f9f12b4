"""ready:header_fields"""

from __future__ import annotations

import re

import pytest
from harness import configured, mistakes, sent

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import Connection, Headers, Transaction
from trio_proxy.ready.header_fields import HeaderFields

SECTION = (
    b"Received: from a\r\n\tby b\r\n"
    b"X-Originating-IP: 192.0.2.1\r\n"
    b"Subject:  =?utf-8?q?=5Bl=C3=BC_1=5D?= news\r\n"
    b"x-originating-ip: 192.0.2.2\r\n"
    b"Organization: One\r\n"
    b"To:bob@example.com\r\n"
    b"Organization: Two\r\n"
    b"\r\n"
)


def edited(rule: HeaderFields, section: bytes = SECTION) -> bytes:
    headers = Headers(section)
    rule.headers(Transaction(Connection()), headers)
    return headers.raw


def test_nothing_asked_nothing_changed() -> None:
    assert edited(HeaderFields(remove=("X-Other",))) == SECTION


def test_fields_are_removed_replaced_set_and_added_in_this_order() -> None:
    s = configured(
        r"""
        [rules.header_fields]
        remove = ["X-Originating-IP", "Not-There"]
        replace = { Subject = ['^\[(\S+) \d\]', '(\1)'], To = ['@example\.com$', '@example.org'] }
        set = { Organization = "Example Ltd", X-Set = "1" }
        add = { X-Env = "stäging", X-Set = "2" }
        """
    )
    content = sent(s, SECTION + b"body\r\n")
    assert content is not None
    assert content.isascii()
    assert content.startswith(b"Received: from a\r\n\tby b\r\n")
    assert content.endswith(b"\r\n\r\nbody\r\n")
    assert [str(field) for field in Headers(content.partition(b"\r\n\r\n")[0])][1:] == [
        "Subject: (lü) news",
        "Organization: Example Ltd",
        "To: bob@example.org",
        "X-Set: 1",
        "X-Env: stäging",
        "X-Set: 2",
    ]


def test_what_an_expression_leaves_alone_keeps_its_octets() -> None:
    rule = HeaderFields(replace={"Subject": (re.compile("spam"), "ham"), "to": (re.compile("$^"), "x")})
    assert edited(rule) == SECTION


def test_a_replacement_may_take_out_what_a_header_cannot_hold() -> None:
    rule = HeaderFields(replace={"Subject": (re.compile("news"), "a\\nb")})
    with pytest.raises(LocalProtocolError, match="CR, LF"):
        edited(rule)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('add = { "X Env" = "a" }', "without blanks and colon"),
        ('set = { X-Env = "a\\nb" }', "CR, LF and NUL"),
        ("replace = { Subject = ['(', 'x'] }", "Subject"),
        ("replace = { Subject = ['a', '\\1'] }", 'the replacement for "Subject" does not fit its expression'),
        ("replace = { Subject = 'a' }", "Subject"),
        ("remove = 'Subject'", "remove"),
        ("ad = { X-Env = 'a' }", 'did you mean "add"?'),
    ],
)
def test_wrong_settings_are_found_at_load(settings: str, said: str) -> None:
    assert said in mistakes(f"[rules.header_fields]\n{settings}")
