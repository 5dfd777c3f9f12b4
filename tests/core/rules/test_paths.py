"""A path as rules see it: by the mailbox that it names, in any spelling; and as they rewrite it."""

from __future__ import annotations

from typing import Any

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules.paths import Recipient, Sender, address_to_send
from sansio_smtp.wire.commands import Command


@each(
    ("line", "address", "local", "domain", "original"),
    [
        ("RCPT TO:<Bob@MX.Example>", "Bob@mx.example", "Bob", "mx.example", "Bob@MX.Example"),
        ("rcpt to: <bob@mx> NOTIFY=NEVER", "bob@mx", "bob", "mx", "bob@mx"),
        ("RCPT TO:bob@mx", "bob@mx", "bob", "mx", "bob@mx"),
        ("RCPT TO:<POSTMASTER>", "postmaster", "postmaster", "", "POSTMASTER"),
        ("RCPT TO:<@relay:bob@mx>", "bob@mx", "bob", "mx", "@relay:bob@mx"),
        ('RCPT TO:<"a b@c"@mx>', '"a b@c"@mx', '"a b@c"', "mx", '"a b@c"@mx'),
        ('RCPT TO:<"b\\ob"@mx>', "bob@mx", "bob", "mx", '"b\\ob"@mx'),
        ('RCPT TO:<"a\\">b"@mx> X=1', '"a\\">b"@mx', '"a\\">b"', "mx", '"a\\">b"@mx'),
        ("MAIL FROM:<>", "", "", "", ""),
        ("SOML FROM:<ann@ME.example>", "ann@me.example", "ann", "me.example", "ann@ME.example"),
    ],
)
def test_what_a_path_says(line: str, address: str, local: str, domain: str, original: str) -> None:
    path = (Recipient if "TO:" in line.upper() else Sender)(Command.parse(line.encode()))
    assert (path.address, path.original, str(path)) == (address, original, address)
    assert (path.local, path.domain) == (local, domain)
    assert (path.problem, path.is_clear, path.rewritten) == ("", True, None)


@each(
    ("line", "guess", "problem"),
    [
        ("RCPT TO:<>", "", "the recipient is empty"),
        ("RCPT TO:<bob@mx", "", "no closing bracket"),
        ("RCPT TO :<bob@mx>", "", "write RCPT TO:"),
        ("RCPT", "", "write RCPT TO:"),
        ("RCPT TO:<bob@evil.example(@mx>", "bob@evil.example", "comment"),
        ("RCPT TO:<bob@mx.>", "bob@mx", "dot at its start or end"),
        ("RCPT TO:<b\udcff@mx>", "b\udcff@mx", "not in UTF-8"),
        ("RCPT TO:<grüße@mx>", "grüße@mx", "has not declared SMTPUTF8"),
    ],
)
def test_what_cannot_be_read_in_one_way(line: str, guess: str, problem: str) -> None:
    to = Recipient(Command.parse(line.encode("utf-8", "surrogateescape")))
    assert problem in to.problem
    assert not to.is_clear
    assert to.address == guess
    to.rewrite("bob@mx")
    assert (to.is_clear, to.address, to.problem != "") == (True, "bob@mx", True)
    assert to.rewritten is not None
    assert to.rewritten.raw == b"RCPT TO:<bob@mx>"


@pytest.mark.parametrize(
    ("address", "routes"),
    [("bob@mx", False), ("bob%evil@mx", True), ("@evil:bob@mx", True), ("bob+x@mx", False)],
)
def test_paths_that_lead_to_others(address: str, routes: bool) -> None:
    to = Recipient(Command.parse(f"RCPT TO:<{address}>".encode()))
    assert (to.routes, to.is_clear) == (routes, True)
    to.rewrite("bob@mx")
    assert not to.routes


def test_parameters() -> None:
    sender = Sender(Command.of("MAIL FROM:<a@me> SIZE=12 BODY=8bitmime SMTPUTF8"))
    assert [parameter.keyword for parameter in sender.parameters] == ["SIZE", "BODY", "SMTPUTF8"]
    assert sender.parameter("body") == "8bitmime"
    assert sender.parameter("SMTPUTF8") == ""
    assert sender.parameter("RET") is None
    unread = Sender(Command.of("MAIL"))
    assert (unread.parameters, unread.parameter("SIZE"), unread.path) == ((), None, None)


@each(
    ("line", "new", "sent"),
    [
        ("RCPT TO:<b@mx>", "c@mx", "RCPT TO:<c@mx>"),
        ("rcpt  to: \t<b@mx>  NOTIFY=NEVER  X", "c@mx", "rcpt  to: \t<c@mx>  NOTIFY=NEVER  X"),
        ("RCPT TO:b@mx NOTIFY=NEVER", "c@mx", "RCPT TO:<c@mx> NOTIFY=NEVER"),
        ('RCPT TO:<"a>b"@mx> X=1', "c@mx", "RCPT TO:<c@mx> X=1"),
        ("RCPT TO:<b@mx>", '"a>b"@mx', 'RCPT TO:<"a>b"@mx>'),
        ("RCPT TO:<>", "c@mx", "RCPT TO:<c@mx>"),
        ("RCPT TO:<b@mx>", "c@bücher.example", "RCPT TO:<c@xn--bcher-kva.example>"),
        ("RCPT TO:<b@mx> <c@mx> X=1 =2 NOTIFY=NEVER", "c@mx", "RCPT TO:<c@mx> X=1 NOTIFY=NEVER"),
        ("RCPT TO :<b@mx> X", "c@mx", "RCPT TO:<c@mx>"),
        ("RCPT", "c@mx", "RCPT TO:<c@mx>"),
    ],
)
def test_a_recipient_rewritten(line: str, new: str, sent: str) -> None:
    """It is never sent as it was, readable or not; what follows the path stays."""
    to = Recipient(Command.of(line))
    to.rewrite(new)
    assert to.rewritten is not None
    assert to.rewritten.raw == sent.encode()
    assert to.address == Recipient(to.rewritten).address
    assert to.original != new


def test_a_sender_rewritten() -> None:
    sender = Sender(Command.of("MAIL FROM:<> SIZE=3"))
    sender.rewrite("a@me")
    assert sender.rewritten is not None
    assert sender.rewritten.raw == b"MAIL FROM:<a@me> SIZE=3"
    again = Sender(Command.of("MAIL FROM:<>"))
    again.rewrite("a@me")
    again.rewrite("")
    assert again.rewritten is None
    unread = Sender(Command.of("MAIL what"))
    unread.rewrite("a@me")
    assert unread.rewritten is not None
    assert unread.rewritten.raw == b"MAIL FROM:<a@me>"


@each(
    "address",
    [
        "a@mx\r\nDATA",
        "a@mx\n",
        "a\0@mx",
        "a b@mx",
        "a@mx> SIZE=1",
        "<a@mx>",
        '"a',
        '"a\r"@mx',
        "\x7f@mx",
        None,
        b"a@mx",
        5,
    ],
)
@each("kind", [Sender, Recipient])
def test_what_cannot_stand_between_angle_brackets(kind: Any, address: Any) -> None:
    path = kind.of("b@mx")
    with pytest.raises(LocalProtocolError, match="not an address"):
        path.rewrite(address)
    with pytest.raises(LocalProtocolError, match="not an address"):
        kind.of(address)
    assert path.rewritten is None


def test_a_recipient_has_an_address_and_a_sender_need_not() -> None:
    with pytest.raises(LocalProtocolError):
        Recipient.of("b@mx").rewrite("")
    with pytest.raises(LocalProtocolError):
        Recipient.of("")
    assert Sender.of("").command.raw == b"MAIL FROM:<>"
    assert Recipient.of("b@mx", "NOTIFY=NEVER").command.raw == b"RCPT TO:<b@mx> NOTIFY=NEVER"


def test_parameters_cannot_hold_a_second_line() -> None:
    with pytest.raises(LocalProtocolError):
        Recipient.of("b@mx", "X=1\r\nDATA")


@given(
    st.sampled_from(["RCPT TO:", "rcpt To:  ", "RCPT TO:\t"]),
    st.sampled_from(["<b@mx>", "b@mx", "<>", '<"a> b"@mx>', "<@r:b@mx>", "<b@mx(>"]),
    st.sampled_from(["", " X=1", "  NOTIFY=NEVER ORCPT=rfc822;b@mx"]),
    st.sampled_from(["c@mx", '"x>y"@mx', "postmaster", "ü@mx"]),
)
def test_whatever_is_rewritten_reads_as_it_was_meant(verb: str, path: str, tail: str, new: str) -> None:
    to = Recipient(Command.of(verb + path + tail), utf8=True)
    assert to.path is not None
    to.rewrite(new)
    assert to.rewritten is not None
    read = Recipient(to.rewritten, utf8=True)
    assert read.is_clear
    assert read.address == new
    assert read.parameters == to.parameters


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (Recipient(Command.of("RCPT TO:<b@mx>")), False),
        (Recipient(Command.of("RCPT TO:<b@mx>"), utf8=True), True),
        (Sender(Command.of("MAIL FROM:<a@me>")), False),
        (Sender(Command.of("MAIL FROM:<a@me> SMTPUTF8")), True),
    ],
)
def test_more_than_ascii_is_declared(path: Sender | Recipient, allowed: bool) -> None:
    """RFC 6531 §3.1."""
    if allowed:
        path.rewrite("grüße@mx")
        assert path.address == "grüße@mx"
    else:
        with pytest.raises(LocalProtocolError, match="SMTPUTF8"):
            path.rewrite("grüße@mx")


def test_an_edit_of_a_path_can_be_taken_back_and_told() -> None:
    to = Recipient.of("b@mx")
    before = to.snapshot()
    assert to.changes_since(before) == []
    to.rewrite("c@mx")
    assert to.changes_since(before) == ["<b@mx> -> <c@mx>"]
    to.restore(before)
    assert (to.address, to.rewritten) == ("b@mx", None)


def test_an_address_to_send() -> None:
    assert address_to_send("Bob@MX.example") == "Bob@MX.example"
    assert address_to_send("bob@bücher.example") == "bob@xn--bcher-kva.example"
    assert address_to_send("jürgen@bücher.example", utf8=True) == "jürgen@bücher.example"
    with pytest.raises(LocalProtocolError, match="SMTPUTF8"):
        address_to_send("jürgen@example.com")
    with pytest.raises(LocalProtocolError, match=r"not an address: 'bob@mx\.': an empty label"):
        address_to_send("bob@mx.")


def test_postmaster_is_a_recipient_and_no_sender() -> None:
    assert Recipient.of("postmaster").command.raw == b"RCPT TO:<postmaster>"
    with pytest.raises(LocalProtocolError, match="no domain"):
        Sender.of("postmaster")


def test_what_is_sent() -> None:
    to = Recipient(Command.parse(b'RCPT TO:<"b"@MX>'))
    assert to.finish() is to.command, "the client's octets, if no rule has rewritten them"
    with pytest.raises(LocalProtocolError, match="the server has been told 'b@mx' already"):
        to.rewrite("c@mx")
    to = Recipient(Command.parse(b'RCPT TO:<"b"@MX>'))
    to.rewrite(to.address)
    assert to.finish().raw == b"RCPT TO:<b@mx>"
    to = Recipient(Command.parse(b"RCPT TO:<b@MX>"))
    to.rewrite("b@MX")
    assert to.finish() is to.command
