"""What becomes of a message as a milter says; the protocol itself is tested with its client."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

import pytest
import trio
from fakes import TEXT, in_memory, message, transaction
from kilter.protocol import messages as m
from milters import Filter, RawFilter
from trio.testing import MockClock

from sansio_smtp.client_info import ClientInfo
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import Close, Connection, Defer, Discard, Hold, Reject, Sender, Transaction
from sansio_smtp.rules.message import Message
from trio_proxy.ready import milter
from trio_proxy.ready.milter import Milter

LATER = Defer(451, "4.3.0 a service that checks mail is not available, try again later")
HEAD = b"Received: from x by y\r\nX-One: 1\r\nSubject: hi\r\nX-One: 2\r\n"
MAIL = HEAD + b"\r\nhello\r\n"


async def judged(
    monkeypatch: pytest.MonkeyPatch,
    peer: Filter | RawFilter,
    msg: Message | None = None,
    tx: Transaction | None = None,
    **settings: Any,
) -> Any:
    with trio.fail_after(20):
        async with in_memory(peer.serve) as open_stream:
            monkeypatch.setattr(milter, "open_stream", open_stream)
            rule = Milter(**{"address": "unix:/run/m.sock", "name": "mx.example", **settings})
            return await rule.message(tx or transaction(), msg or message())


def saying(*edits: m.Message, last: m.Message | None = None) -> Filter:
    """A filter with all rights that says this at the end of the message."""
    answers = [*edits, last or m.Continue()]
    rights = m.ActionFlags.ALL & ~(m.ActionFlags.CHANGE_FROM | m.ActionFlags.DELETE_RECIPIENT)
    return Filter(actions=rights, answers=lambda step: answers if isinstance(step, m.EndOfMessage) else None)


@pytest.mark.parametrize(
    ("client", "name"),
    [(ClientInfo(address="unix"), "localhost"), (ClientInfo(address="unknown"), "unknown")],
)
async def test_a_client_that_nobody_knows_is_not_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, client: ClientInfo, name: str
) -> None:
    """A milter may sign, or let pass, what comes from localhost."""
    peer = Filter()
    tx = Transaction(Connection.of(client), Sender.of("a@me.example"))
    assert await judged(monkeypatch, peer, message(MAIL), tx) is None
    assert peer.all(m.Connect)[0].hostname == name


async def test_what_the_milter_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Filter(flags=m.ProtocolFlags.HEADER_LEADING_SPACE)
    tx = transaction("b@mx.example", "c@mx.example", login="alice", helo="[192.0.2.7]")
    msg = message(b"From mbox\r\n" + MAIL)
    assert await judged(monkeypatch, peer, msg, tx) is None
    connect = peer.all(m.Connect)[0]
    assert (str(connect.address), connect.port) == ("192.0.2.7", 4711)
    assert peer.all(m.Helo)[0].hostname == "[192.0.2.7]"
    assert peer.all(m.EnvelopeFrom)[0].sender == b"<a@me.example>"
    assert [r.recipient for r in peer.all(m.EnvelopeRecipient)] == [b"<b@mx.example>", b"<c@mx.example>"]
    assert [(h.name, h.value) for h in peer.all(m.Header)] == [
        ("Received", b" from x by y"),
        ("X-One", b" 1"),
        ("Subject", b" hi"),
        ("X-One", b" 2"),
    ]
    assert [b.content for b in peer.all(m.Body)] == [b"hello\r\n"]
    macros: dict[str, str] = {}
    for macro in peer.all(m.Macro):
        macros |= macro.macros
    assert macros == {
        "j": "mx.example",
        "{daemon_name}": "smtp-proxy",
        "i": "c7",
        "{auth_authen}": "alice",
        "{mail_addr}": "a@me.example",
        "{rcpt_addr}": "c@mx.example",
    }


async def test_parameters_go_along(monkeypatch: pytest.MonkeyPatch) -> None:
    from sansio_smtp.rules import Recipient, Sender

    tx = transaction(peer="unix")
    tx.mail_from = Sender.of("", "BODY=8BITMIME SMTPUTF8")
    tx.rcpts = [Recipient.of("b@mx.example", "NOTIFY=NEVER")]
    peer = Filter()
    assert await judged(monkeypatch, peer, tx=tx) is None
    assert peer.all(m.Connect)[0].address is None
    sender, to = peer.all(m.EnvelopeFrom)[0], peer.all(m.EnvelopeRecipient)[0]
    assert (sender.sender, sender.arguments) == (b"<>", [b"BODY=8BITMIME", b"SMTPUTF8"])
    assert to.arguments == [b"NOTIFY=NEVER"]


VERDICTS = [
    (m.Accept(), None),
    (m.Continue(), None),
    (m.Reject(), Reject(550, "5.7.1 message refused by a filter")),
    (m.TemporaryFailure(), Defer(451, "4.7.1 a filter asks to try again later")),
    (m.Discard(), Discard()),
    (m.ReplyCode(b"554 5.7.1 no\0"), Reject(554, "5.7.1 no")),
    (m.ReplyCode(b"452 4.2.2 full\0"), Defer(452, "4.2.2 full")),
    (m.ReplyCode(b"421 4.7.0 bye\0"), Close(421, "4.7.0 bye")),
    (m.ReplyCode(b"550\0"), Reject(550, "")),
]


@pytest.mark.parametrize(("answer", "verdict"), VERDICTS, ids=lambda value: type(value).__name__)
async def test_verdicts(monkeypatch: pytest.MonkeyPatch, answer: m.Message, verdict: Any) -> None:
    msg = message()
    assert await judged(monkeypatch, saying(last=answer), msg) == verdict
    assert msg.raw == TEXT


async def test_a_recipient_that_is_refused_ends_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(step: Any) -> m.Message | None:
        refused = isinstance(step, m.EnvelopeRecipient) and step.recipient == b"<c@mx.example>"
        return m.ReplyCode(b"550 5.1.1 who\0") if refused else None

    tx = transaction("b@mx.example", "c@mx.example", "d@mx.example")
    peer = Filter(answers=answers)
    assert await judged(monkeypatch, peer, tx=tx) == Reject(550, "5.1.1 who")
    assert len(peer.all(m.EnvelopeRecipient)) == 2


async def test_quarantine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await judged(monkeypatch, saying(m.Quarantine("odd"))) == Hold("milter: odd")


EDITS: list[tuple[list[m.Message], bytes]] = [
    ([m.AddHeader("X-New", b"a\n\tb")], HEAD + b"X-New: a\r\n\tb\r\n"),
    ([m.InsertHeader(0, "X-New", b"a")], b"X-New: a\r\n" + HEAD),
    (
        [m.InsertHeader(1, "X-New", b"a")],
        HEAD.replace(b"X-One: 1", b"X-New: a\r\nX-One: 1"),
    ),
    ([m.InsertHeader(99, "X-New", b"a")], HEAD + b"X-New: a\r\n"),
    (
        [m.InsertHeader(0, "X-A", b"a"), m.InsertHeader(1, "X-B", b"b")],
        b"X-A: a\r\nX-B: b\r\n" + HEAD,
    ),
    ([m.ChangeHeader(1, "x-one", b"new")], HEAD.replace(b"X-One: 1", b"x-one: new")),
    ([m.ChangeHeader(2, "X-One", b"new")], HEAD.replace(b"X-One: 2", b"X-One: new")),
    ([m.ChangeHeader(0, "X-One", b"new")], HEAD.replace(b"X-One: 1", b"X-One: new")),
    ([m.ChangeHeader(3, "X-One", b"new")], HEAD + b"X-One: new\r\n"),
    ([m.ChangeHeader(2, "X-One", b"")], HEAD.replace(b"X-One: 2\r\n", b"")),
    ([m.ChangeHeader(3, "X-One", b"")], HEAD),
    (
        [m.ChangeHeader(2, "X-One", b""), m.ChangeHeader(1, "X-One", b""), m.AddHeader("X-One", b"3")],
        HEAD.replace(b"X-One: 2\r\n", b"").replace(b"X-One: 1\r\n", b"") + b"X-One: 3\r\n",
    ),
]


@pytest.mark.parametrize(("edits", "head"), EDITS)
async def test_header_fields_are_edited(
    monkeypatch: pytest.MonkeyPatch, edits: Iterable[m.Message], head: bytes
) -> None:
    msg = message(MAIL)
    assert await judged(monkeypatch, saying(*edits), msg) is None
    assert msg.raw == head + b"\r\nhello\r\n"


async def test_a_header_section_without_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    msg = message(HEAD)
    assert await judged(monkeypatch, saying(m.ChangeHeader(1, "Subject", b"")), msg) is None
    assert msg.raw == HEAD.replace(b"Subject: hi\r\n", b"")


async def test_the_body_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    msg = message(MAIL)
    assert await judged(monkeypatch, saying(m.ReplaceBody(b"new "), m.ReplaceBody(b"body\r\n")), msg) is None
    assert msg.raw == HEAD + b"\r\nnew body\r\n"


async def test_recipients_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    tx = transaction()
    tx.may_add = True
    peer = saying(m.AddRecipient("<d@mx.example>"), m.AddRecipientPar("<e@mx.example>", "NOTIFY=NEVER"))
    assert await judged(monkeypatch, peer, tx=tx) is None
    assert [command.raw for command in tx.added] == [
        b"RCPT TO:<d@mx.example>",
        b"RCPT TO:<e@mx.example> NOTIFY=NEVER",
    ]


async def test_what_cannot_be_done_any_more_is_logged(
    monkeypatch: pytest.MonkeyPatch, logs: list[MutableMapping[str, Any]]
) -> None:
    """A milter that asks all the same, though it was not on offer."""
    edits = b"\0\0\0\6e<x@y\0" + b"\0\0\0\6-<b@m\0" + b"\0\0\0\1c"
    assert await judged(monkeypatch, RawFilter({b"E": edits})) is None
    assert [(line["conn"], line["edit"]) for line in logs] == [
        ("c7", "ChangeSender(address='<x@y', args=None)"),
        ("c7", "RemoveRecipient(address='<b@m')"),
    ]


async def test_a_field_that_is_none_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for edit in (m.AddHeader("X Y", b"a"), m.ChangeHeader(1, "Subject", b"a\n" + b"x" * 999)):
        msg = message(MAIL)
        with pytest.RaisesGroup(LocalProtocolError, flatten_subgroups=True):
            await judged(monkeypatch, saying(edit), msg)
        assert msg.raw == MAIL


async def test_outages(monkeypatch: pytest.MonkeyPatch, logs: list[MutableMapping[str, Any]]) -> None:
    rule = Milter(address="unix:/nowhere/m.sock", name="mx.example")
    for _ in range(2):
        assert await rule.message(transaction(), message()) == LATER
    async with in_memory(Filter().serve) as open_stream:
        monkeypatch.setattr(milter, "open_stream", open_stream)
        assert await rule.message(transaction(), message()) is None
    assert await judged(monkeypatch, RawFilter({b"O": b""}), on_down="accept") is None
    assert await judged(monkeypatch, RawFilter({b"E": b""})) == LATER
    assert [line["event"] for line in logs] == [
        "milter unix:/nowhere/m.sock cannot be asked, mail is deferred",
        "milter unix:/nowhere/m.sock answers again",
        "milter unix:/run/m.sock cannot be asked, mail goes on without it",
        "milter unix:/run/m.sock cannot be asked, mail is deferred",
    ]


async def test_a_milter_that_hangs(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async def hang(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    before = trio.current_time()
    async with in_memory(hang) as open_stream:
        monkeypatch.setattr(milter, "open_stream", open_stream)
        rule = Milter(address="unix:/run/m.sock", timeout=7)
        assert await rule.message(transaction(), message()) == LATER
    assert trio.current_time() - before == 7


def test_an_address_that_is_none_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ValueError, match="no port"):
        Milter(address="localhost")
