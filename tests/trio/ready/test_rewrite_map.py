"""ready:rewrite_map"""

from __future__ import annotations

import pytest
from each import each
from harness import configured, mistakes, sent

from sansio_smtp.rules import Connection, Recipient, Transaction
from trio_proxy.ready.rewrite_map import RewriteMap

TOML = """
[rules.rewrite_map.map]
"@old.example" = "@new.example"
"Ann@Old.Example" = "ann.smith@new.example"
"@shop.example" = "orders@new.example"
"postmaster" = "admin@new.example"
"""
MAP = {
    "@old.example": "@new.example",
    "Ann@Old.Example": "ann.smith@new.example",
    "@shop.example": "orders@new.example",
    "postmaster": "admin@new.example",
}


@each(
    ("address", "rewritten"),
    [
        ("ann@old.example", "ann.smith@new.example"),
        ("ANN@OLD.EXAMPLE", "ann.smith@new.example"),
        ("Bob@old.example", "Bob@new.example"),
        ('"odd one"@OLD.example', '"odd one"@new.example'),
        ("any@shop.example", "orders@new.example"),
        ("Postmaster", "admin@new.example"),
        ("bob@elsewhere.example", "bob@elsewhere.example"),
        ("bob@sub.old.example", "bob@sub.old.example"),
    ],
)
def test_the_address_goes_before_its_domain(address: str, rewritten: str) -> None:
    s = configured(TOML)
    s.mail("ann@example.com", "BODY=8BITMIME")
    s.rcpt(address, "NOTIFY=NEVER")
    assert s.servers[0][1].commands[-1] == f"RCPT TO:<{rewritten}> NOTIFY=NEVER".encode()


def test_a_star_is_for_all_that_is_not_in_the_map() -> None:
    rule = RewriteMap({**MAP, "*": "catchall@new.example"})
    to = Recipient.of("x@nowhere.example")
    rule.rcpt(_tx(), to)
    assert to.address == "catchall@new.example"
    to = Recipient.of("x@old.example")
    rule.rcpt(_tx(), to)
    assert to.address == "x@new.example"
    to = Recipient.of("x@old.example")
    RewriteMap({"*": "@new.example"}).rcpt(_tx(), to)
    assert to.address == "x@new.example"


def test_what_was_found_is_not_looked_up_again() -> None:
    to = Recipient.of("a@one.example")
    RewriteMap({"@one.example": "@two.example", "@two.example": "@three.example"}).rcpt(_tx(), to)
    assert to.address == "a@two.example"


def test_the_message_goes_to_the_new_address_unchanged() -> None:
    s = configured(TOML)
    assert (
        sent(s, b"To: ann@old.example\r\n\r\nhello\r\n", "ann@old.example")
        == b"To: ann@old.example\r\n\r\nhello\r\n"
    )
    assert s.delivered[0].recipients == ("ann.smith@new.example",)


@pytest.mark.parametrize("target", ["", "a b@c", "@", "a@b>\r\nDATA", "<a@b>", "@new example"])
def test_what_is_no_address_is_found_at_load(target: str) -> None:
    with pytest.raises(ValueError, match="leads to"):
        RewriteMap({"@old.example": target})


def test_mistakes_in_settings_are_said_with_the_key() -> None:
    assert '"@old.example" leads to "no one"' in mistakes(
        '[rules.rewrite_map.map]\n"@old.example" = "no one"'
    )


def _tx() -> Transaction:
    return Transaction(Connection())
