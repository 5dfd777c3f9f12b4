"""Domains of settings: their normal form, and what people write in place of a domain."""

from __future__ import annotations

import pytest
from each import each

from sansio_smtp.errors import MailboxError
from sansio_smtp.rules.domains import normal_domain


@each(
    ("text", "normal"),
    [("Old.Example", "old.example"), ("bücher.example", "xn--bcher-kva.example"), ("[192.0.2.1]",) * 2],
)
def test_a_domain_gets_its_normal_form(text: str, normal: str) -> None:
    assert normal_domain(text) == normal


@each(
    ("text", "said"),
    [
        ("old example", "a blank is in no domain"),
        ("old#.example", '"#" is in no domain'),
        ("user@old.example", "this is an address; its domain is old.example"),
        ("@old.example", "a domain has no @; write old.example"),
        (
            "*.old.example",
            '"*" is in no domain; a pattern is one of addresses, written in the rule: '
            '@on("rcpt", match="*@*.example.com")',
        ),
        (
            ".",
            "a dot alone is no domain; if it is a letter of a text that stands in place of a list, "
            'write ("old.example",)',
        ),
        ("old..example", "an empty label in the domain, or a dot at its start or end"),
        ("[192.0.2]", "the address literal is neither [192.0.2.1] nor [IPv6:2001:db8::1]"),
    ],
)
def test_what_is_no_domain(text: str, said: str) -> None:
    with pytest.raises(MailboxError) as caught:
        normal_domain(text)
    assert str(caught.value) == said
