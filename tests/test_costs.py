"""The cost of a message grows with the number of its recipients and header fields, not with the square. The
tests count the executed lines of Python (`steps`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from steps import steps

from sansio_smtp.rules import Discard, Headers, Recipient, Transaction, on
from sansio_smtp.testing import session
from trio_proxy.ready.allow_list import AllowList
from trio_proxy.ready.archive import Archive
from trio_proxy.ready.rate_limit import RateLimit
from trio_proxy.ready.rewrite_map import RewriteMap
from trio_proxy.ready.staging import Staging

FEW, MANY = 20, 160
MOST = 1.2
"""The highest ratio of the cost of one among many to one among a few."""


def assert_linear(message: Callable[[int], Any]) -> None:
    message(1)  # makes what is made only once
    one, few, many = (steps(lambda count=count: message(count)) for count in (1, FEW, MANY))
    assert (many - one) / (MANY - 1) < MOST * (few - one) / (FEW - 1)


@on("rcpt")
def discard(tx: Transaction, to: Recipient) -> Discard:
    return Discard()


@on("rcpt")
def rewrite(tx: Transaction, to: Recipient) -> None:
    to.rewrite(f"x{to.address}")


@on("data")
def add(tx: Transaction) -> None:
    for number in range(len(tx.rcpts)):
        tx.add_rcpt(f"more{number}@example.com")


@on("data", match="*@nowhere.example")
def not_meant(tx: Transaction) -> None: ...


RULES: dict[str, tuple[Any, ...]] = {
    "none": (),
    "discard": (discard,),
    "rewrite": (rewrite,),
    "add": (add,),
    "match": (not_meant,),
    "staging": (Staging("box@example.com"),),
    "archive": (Archive("archive@example.com", recipients=("*@nowhere.example",)),),
    "allow_list": (AllowList(recipients=("*@example.com",)),),
    "rate_limit": (RateLimit(recipients={"day": 1_000}),),
    "rewrite_map": (RewriteMap(map={"@example.com": "@new.example"}),),
}


@pytest.mark.parametrize("name", RULES)
def test_recipients(name: str) -> None:
    def message_to(count: int) -> None:
        s = session(*RULES[name])
        s.mail("ann@example.com")
        for number in range(count):
            s.rcpt(f"user{number}@example.com")
        s.message(b"Subject: hi\r\n\r\nhello\r\n")

    assert_linear(message_to)


def all_fields(headers: Headers, edit: Callable[[Headers, str], Any]) -> None:
    for field in headers:
        if field.name:
            edit(headers, field.name)


EDITS: dict[str, Callable[[Headers, str], Any]] = {
    "get": Headers.get,
    "in": lambda headers, name: name in headers,
    "add": lambda headers, name: headers.add("X-New", name),
    "prepend": lambda headers, name: headers.prepend("X-New", name),
    "set": lambda headers, name: headers.set(name, "new"),
    "replace": lambda headers, name: headers.replace(name, "new"),
    "remove": Headers.remove,
    "remove and add": lambda headers, name: (headers.remove(name), headers.add(name, "new")),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize(("first", "last"), [(b"", b""), (b"From ann\r\n", b"no field\r\n")])
def test_header_fields(name: str, first: bytes, last: bytes) -> None:
    @on("headers")
    def edit(tx: Transaction, headers: Headers) -> None:
        all_fields(headers, EDITS[name])

    def message_with(count: int) -> None:
        s = session(edit)
        s.mail("ann@example.com")
        s.rcpt("bob@example.com")
        fields = b"".join(b"X-%d: text\r\n" % number for number in range(count))
        assert s.message(first + fields + last + b"\r\nhello\r\n") is None

    assert_linear(message_with)
