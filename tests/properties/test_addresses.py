"""Rules and servers mean the same mailbox, whatever spelling a client draws up for it."""

from __future__ import annotations

from typing import Any

from aiosmtpd.smtp import SMTP
from hypothesis import event, example, given
from hypothesis import strategies as st

from sansio_smtp import Addresses, Config
from sansio_smtp.errors import MailboxError
from sansio_smtp.rules import Recipient
from sansio_smtp.rules.patterns import patterns_of
from sansio_smtp.testing import Session, session
from sansio_smtp.testing.strategies.spellings import LookAlike, look_alikes, spellings
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.paths import Mailbox, parse_mailbox, read_path
from trio_proxy.ready.allow_list import AllowList
from trio_proxy.ready.rewrite_map import RewriteMap

ANY_PATHS = st.one_of(
    spellings(),
    spellings("jürgen", "xn--bcher-kva.example", "bücher.example"),
    look_alikes().map(lambda drawn: drawn.argument),
    st.text(st.sampled_from('ab.@%!"\\(),:;<>[] \té\u3002'), max_size=20).map("TO:<{}>".format),
    st.sampled_from((250, 254, 300)).map(lambda size: f"TO:<{'a' * size}@b>"),
)


def read(argument: str) -> Mailbox | None:
    try:
        return read_path(argument.encode("utf-8", "surrogateescape"), forward=True, utf8=True)
    except MailboxError:
        return None


def asked(argument: str, *rules: Any, addresses: Addresses = Addresses.STRICT) -> Session:
    """A session in which the client has named this recipient."""
    s = session(*rules, config=Config(reconnect=True, addresses=addresses))
    s.mail("ann@example.com", "SMTPUTF8")
    s.command(Command.parse(f"RCPT {argument}".encode()).raw)
    return s


@given(ANY_PATHS)
def test_what_is_taken_has_one_normal_form(argument: str) -> None:
    mailbox = read(argument)
    event("taken" if mailbox else "not taken")
    if mailbox is None:
        return
    assert parse_mailbox(mailbox.address) == mailbox, "and that is its own normal form"
    assert read(f"TO:<{mailbox.address}>") == mailbox, "as it is if a rule sends it"
    assert patterns_of((mailbox.address,)).fits(mailbox.address)


@given(ANY_PATHS, st.sampled_from(["new@mx.example", '"n w"@mx.example', "jürgen@bücher.example"]))
def test_what_a_rule_sends_is_read_as_it_was_meant(argument: str, new: str) -> None:
    to = Recipient(Command.parse(f"RCPT {argument}".encode("utf-8", "surrogateescape")), utf8=True)
    to.rewrite(new)
    sent = to.finish()
    assert read(sent.argument.decode()) == parse_mailbox(new)


def as_aiosmtpd_reads(argument: str) -> str | None:
    """The address that another server reads, which is built on Python's email package; None: it refuses."""
    server = SMTP.__new__(SMTP)
    try:
        address, _ = server._getaddr(argument[3:].strip())
    except Exception:
        return None
    return address


@given(ANY_PATHS)
@example("TO:<bob@evil.example(@example.com>")
@example('TO:<"bob"@example.com>')
def test_another_server_reads_the_same(argument: str) -> None:
    mailbox = read(argument)
    if mailbox is None or mailbox.has_route or not mailbox.domain:
        return  # the route is in what aiosmtpd hands on; Postmaster may stand alone
    theirs = as_aiosmtpd_reads(argument)
    event("both" if theirs else "only ours")
    if theirs:
        assert parse_mailbox(theirs) == mailbox


@given(spellings())
def test_no_spelling_of_a_mailbox_escapes_a_rule(argument: str) -> None:
    s = asked(argument, RewriteMap({"boss@old.example": "new@new.example"}))
    assert s.reply is not None
    event(str(s.reply.code))
    if s.reply.code == 501:
        return
    assert s.ok
    sent = s.servers[0][1].commands[-1].removeprefix(b"RCPT ").decode()
    assert read(sent) == Mailbox("new", "new.example")


@given(look_alikes(), st.sampled_from(Addresses))
def test_no_look_alike_is_on_the_list(drawn: LookAlike, addresses: Addresses) -> None:
    s = asked(drawn.argument, AllowList(("*@example.com",)), addresses=addresses)
    assert s.reply is not None
    event(str(s.reply.code))
    if not s.ok:
        return
    sent = s.servers[0][1].commands[-1].removeprefix(b"RCPT ").decode()
    mailbox = read(sent)
    assert mailbox is not None, "what is permitted is read in one way"
    assert mailbox.domain == "example.com"
    assert not mailbox.routes
    theirs = as_aiosmtpd_reads(sent)
    assert theirs is None or theirs.endswith("@example.com")
