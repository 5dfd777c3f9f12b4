"""The milter protocol in the role of the mail server, against kilter.protocol's filter side."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio
import trio.testing
from kilter.protocol import messages as m
from milters import Filter, RawFilter

from trio_proxy.services.milter_client import Envelope, MilterError, Outcome, converse

P, A = m.ProtocolFlags, m.ActionFlags
ENVELOPE = Envelope(
    ip="192.0.2.7",
    port=4711,
    helo="client.example",
    sender=b"<a@me.example>",
    sender_parameters=(b"SIZE=10",),
    recipients=((b"<b@mx.example>", ()), (b"<c@mx.example>", (b"NOTIFY=NEVER",))),
    macros={"j": "mx.example", "i": "c7", "{auth_authen}": "alice"},
)
FIELDS = [(b"Subject", b" hi"), (b"X-Folded", b" one\r\n\ttwo"), (b"X-None", b"")]
BODY = b"text\r\n"
ALL = [
    "Negotiate",
    "Connect",
    "Helo",
    "EnvelopeFrom",
    "EnvelopeRecipient",
    "EnvelopeRecipient",
    "Data",
    "Header",
    "Header",
    "Header",
    "EndOfHeaders",
    "Body",
    "EndOfMessage",
    "Abort",
    "Close",
]


async def told(
    peer: Filter | RawFilter,
    envelope: Envelope = ENVELOPE,
    fields: list[tuple[bytes, bytes]] = FIELDS,
    body: bytes = BODY,
) -> Outcome:
    outcome: Outcome | None = None
    ours, theirs = trio.testing.memory_stream_pair()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.serve, theirs)
            async with ours:
                outcome = await converse(ours, envelope, fields, body)
    assert outcome is not None
    return outcome


async def test_everything_in_its_order() -> None:
    peer = Filter()
    assert await told(peer) == Outcome("accept")
    assert peer.steps() == ALL
    connect = peer.all(m.Connect)[0]
    assert (connect.hostname, str(connect.address), connect.port) == ("[192.0.2.7]", "192.0.2.7", 4711)
    assert peer.all(m.Negotiate)[0].version == 6
    assert [(r.recipient, r.arguments) for r in peer.all(m.EnvelopeRecipient)] == [
        (b"<b@mx.example>", []),
        (b"<c@mx.example>", [b"NOTIFY=NEVER"]),
    ]
    sender = peer.all(m.EnvelopeFrom)[0]
    assert (sender.sender, sender.arguments) == (b"<a@me.example>", [b"SIZE=10"])
    assert [body.content for body in peer.all(m.Body)] == [BODY]


async def test_only_what_can_be_done_is_on_offer() -> None:
    peer = Filter()
    await told(peer)
    assert peer.offered is not None
    assert not peer.offered.action_flags & (A.CHANGE_FROM | A.DELETE_RECIPIENT)
    assert peer.offered.action_flags & A.ADD_HEADERS
    assert not peer.offered.protocol_flags & (P.REJECTED_RECIPIENT | P.MDS_1M | P.MDS_256K)


async def test_macros_go_ahead_of_their_step() -> None:
    peer = Filter()
    await told(peer)
    pairs = itertools.pairwise(peer.seen)
    before = {type(step).__name__: macro.macros for macro, step in pairs if isinstance(macro, m.Macro)}
    assert before == {
        "Connect": {"j": "mx.example"},
        "EnvelopeFrom": {"i": "c7", "{auth_authen}": "alice", "{mail_addr}": "a@me.example"},
        "EnvelopeRecipient": {"i": "c7", "{rcpt_addr}": "c@mx.example"},
        "Data": {"i": "c7"},
        "EndOfHeaders": {"i": "c7"},
        "EndOfMessage": {"i": "c7"},
    }
    stages = {chr(message.stage) for message in peer.all(m.Macro)}
    assert stages == set("CMRTNE")


async def test_a_filter_may_name_the_macros_it_wants() -> None:
    peer = Filter(actions=A.SETSYMLIST, macros={m.Stage.CONNECT: ["i", "_"], m.Stage.DATA: []})
    await told(peer)
    macros = {chr(message.stage): message.macros for message in peer.all(m.Macro)}
    assert macros["C"] == {"i": "c7"}
    assert "T" not in macros
    assert macros["E"] == {"i": "c7"}


NO = {
    "Connect": P.NO_CONNECT,
    "Helo": P.NO_HELO,
    "EnvelopeFrom": P.NO_SENDER,
    "EnvelopeRecipient": P.NO_RECIPIENT,
    "Data": P.NO_DATA,
    "Header": P.NO_HEADERS,
    "EndOfHeaders": P.NO_END_OF_HEADERS,
    "Body": P.NO_BODY,
}


@pytest.mark.parametrize(("step", "flag"), NO.items())
async def test_a_step_that_is_not_wanted_is_left_out(step: str, flag: m.ProtocolFlags) -> None:
    peer = Filter(flags=flag)
    await told(peer)
    assert peer.steps() == [name for name in ALL if name != step]


NR = {
    "Connect": P.NR_CONNECT,
    "Helo": P.NR_HELO,
    "EnvelopeFrom": P.NR_SENDER,
    "EnvelopeRecipient": P.NR_RECIPIENT,
    "Data": P.NR_DATA,
    "Header": P.NR_HEADER,
    "EndOfHeaders": P.NR_END_OF_HEADERS,
    "Body": P.NR_BODY,
}


@pytest.mark.parametrize("flag", NR.values(), ids=NR.keys())
async def test_a_step_that_is_not_answered_is_not_waited_for(flag: m.ProtocolFlags) -> None:
    peer = Filter(flags=flag)
    assert await told(peer) == Outcome("accept")
    assert peer.steps() == ALL


async def test_an_old_filter_is_not_told_of_data() -> None:
    peer = Filter(version=2)
    await told(peer)
    assert peer.steps() == [name for name in ALL if name != "Data"]


# Header fields


async def test_a_leading_space_is_part_of_the_value_only_if_the_filter_says_so() -> None:
    plain, spaced = Filter(), Filter(flags=P.HEADER_LEADING_SPACE)
    await told(plain)
    await told(spaced)
    assert [(h.name, h.value) for h in plain.all(m.Header)] == [
        ("Subject", b"hi"),
        ("X-Folded", b"one\n\ttwo"),
        ("X-None", b""),
    ]
    assert [h.value for h in spaced.all(m.Header)] == [b" hi", b" one\n\ttwo", b""]


async def test_fields_as_no_one_should_write_them() -> None:
    """Nothing of it may break the packet or the talk."""
    peer = Filter()
    fields = [(b"Sub\xffject", b" \xff\0hidden"), (b"X-Long", b" " + b"x" * 500_000)]
    await told(peer, fields=fields)
    assert [(h.name, len(h.value)) for h in peer.all(m.Header)] == [("Sub?ject", 7), ("X-Long", 500_000)]


async def test_what_kilters_own_packets_cannot_hold() -> None:
    """A client may say anything of itself."""
    peer = RawFilter()
    macros = {"{auth_authen}": "j\u00fcrgen\0x"}
    sender = "<j\u00fcrgen@me.example>".encode()
    await told(peer, Envelope(ip="2001:db8::1%eth0", helo="a..b\udcff\0", sender=sender, macros=macros))
    assert peer.packets[1] == b"C[2001:db8::1]\0" + b"6\0\0" + b"2001:db8::1\0"
    assert peer.packets[2] == b"Ha..b\xff\0"
    assert peer.packets[3] == "DM{auth_authen}\0j\u00fcrgenx\0{mail_addr}\0j\u00fcrgen@me.example\0".encode()
    assert peer.packets[4] == b"M" + sender + b"\0"


@pytest.mark.parametrize(("name", "told_as"), [("", "unknown"), ("localhost", "localhost")])
async def test_a_client_without_an_address(name: str, told_as: str) -> None:
    peer = Filter()
    await told(peer, Envelope(helo="x", name=name))
    connect = peer.all(m.Connect)[0]
    assert (connect.hostname, connect.address) == (told_as, None)


async def test_a_client_with_a_name() -> None:
    peer = Filter()
    await told(peer, Envelope(ip="192.0.2.1", name="out.example"))
    connect = peer.all(m.Connect)[0]
    assert (connect.hostname, str(connect.address)) == ("out.example", "192.0.2.1")


# The body


async def test_a_large_body_goes_in_pieces() -> None:
    peer = Filter()
    body = bytes(range(256)) * 1_000
    await told(peer, body=body)
    pieces = [bytes(piece.content) for piece in peer.all(m.Body)]
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) == 65_535


async def test_a_filter_that_has_seen_enough_of_the_body() -> None:
    peer = Filter(flags=P.SKIP, answers=lambda step: m.Skip() if isinstance(step, m.Body) else None)
    assert await told(peer, body=b"x" * 200_000) == Outcome("accept")
    assert len(peer.all(m.Body)) == 1
    assert len(peer.all(m.EndOfMessage)) == 1


# What the filter says

FINAL = [
    (m.Accept(), Outcome("accept")),
    (m.Reject(), Outcome("reject")),
    (m.TemporaryFailure(), Outcome("defer")),
    (m.Discard(), Outcome("discard")),
    (m.ReplyCode(b"550 5.7.1 no\0"), Outcome("reply", 550, "5.7.1 no")),
]


@pytest.mark.parametrize(("answer", "outcome"), FINAL, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("step", [m.EnvelopeRecipient, m.Header, m.EndOfHeaders, m.Body, m.EndOfMessage])
async def test_a_decision_ends_the_talk(step: type[m.Message], answer: m.Message, outcome: Outcome) -> None:
    peer = Filter(answers=lambda message: answer if type(message) is step else None)
    assert await told(peer) == outcome
    steps = peer.steps()
    assert steps[-3:] == [step.__name__, "Abort", "Close"]
    assert steps.count(step.__name__) == 1


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (b"451 4.7.1 Greylisted, 50%% sure", Outcome("reply", 451, "4.7.1 Greylisted, 50% sure")),
        (b"550-5.7.1 one\r\n550 5.7.1 two\0", Outcome("reply", 550, "5.7.1 one 5.7.1 two")),
        (b"421 gone\0", Outcome("reply", 421, "gone")),
        (b"550\0", Outcome("reply", 550, "")),
        (b"550 caf\xc3\xa9 \x07\0", Outcome("reply", 550, "caf?? ?")),
    ],
)
async def test_replies_of_the_filters_own(content: bytes, outcome: Outcome) -> None:
    peer = Filter(answers=lambda step: m.ReplyCode(content) if isinstance(step, m.Helo) else None)
    assert await told(peer) == outcome


async def test_edits_are_collected_until_the_filter_has_decided() -> None:
    edits: list[Any] = [
        m.AddHeader("X-One", b"1"),
        m.InsertHeader(0, "X-Two", b"a;\n\tb\r\nc\n\n"),
        m.ChangeHeader(1, "Subject", b""),
        m.AddRecipient("<d@mx.example>"),
        m.AddRecipientPar("<e@mx.example>", "NOTIFY=NEVER"),
        m.ReplaceBody(b"new "),
        m.ReplaceBody(b"body"),
        m.Quarantine("odd"),
    ]
    sequence = [*edits[:2], m.Progress(), *edits[2:], m.Continue()]

    def answers(message: Any) -> Any:
        return sequence if isinstance(message, m.EndOfMessage) else None

    for spaced, one in ((P.NONE, b" 1"), (P.HEADER_LEADING_SPACE, b"1")):
        outcome = await told(
            Filter(flags=spaced, actions=A.ALL & ~(A.CHANGE_FROM | A.DELETE_RECIPIENT), answers=answers)
        )
        assert outcome.action == "accept"
        assert [type(edit) for edit in outcome.edits] == [type(edit) for edit in edits]
        add, insert, change, *_ = outcome.edits
        assert isinstance(add, m.AddHeader)
        assert add.value == one
        assert isinstance(insert, m.InsertHeader)
        assert insert.value == one[:-1] + b"a;\r\n\tb\r\n\tc"
        assert isinstance(change, m.ChangeHeader)
        assert change.value == b""


async def test_edits_of_a_message_that_is_refused_are_nothing() -> None:
    sequence = [m.AddHeader("X-One", b"1"), m.Reject()]
    peer = Filter(
        actions=A.ADD_HEADERS, answers=lambda s: sequence if isinstance(s, m.EndOfMessage) else None
    )
    assert await told(peer) == Outcome("reject")


# Filters that are none


@pytest.mark.parametrize(
    "replies",
    [
        {b"O": b""},  # it hangs up
        {b"O": b"\0\0\0\1c"},
        {b"O": b"\0\0\0\x0dO" + b"\0\0\0\1" + bytes(8)},  # version 1
        {b"O": b"\0\0\0\x0dO" + b"\0\0\0\7" + bytes(8)},
        {b"O": b"\0\0\0\0"},  # no octet at all
        {b"O": b"HTTP/1.1 400 Bad Request\r\n"},
        {b"C": b"\0\0\0\1?"},
        {b"C": b"\0\0\0\1O"},
        {b"C": b"\0\0\0\5hX\0y\0"},  # an edit, before the end of the message
        {b"C": b"\0\0\0\1s"},
        {b"C": b"\0\0\0\4y123"},
        {b"C": b"\0\0\0\1y"},
        {b"E": b"\0\0\0\3hX\0"},
        {b"E": b"\0\0\0\5h\xff\0y\0"},
        {b"E": b"\0\0\0\2mX"},
    ],
)
async def test_what_is_no_milter_is_an_error(replies: dict[bytes, bytes]) -> None:
    with pytest.RaisesGroup(MilterError, flatten_subgroups=True):
        await told(RawFilter(replies))


async def test_a_peer_that_takes_no_leave() -> None:
    """What it has decided stands."""
    peer = RawFilter({b"C": b"\0\0\0\1a"}, last=b"C")
    assert await told(peer) == Outcome("accept")


async def test_answers_in_single_octets() -> None:
    peer = RawFilter({b"E": b"\0\0\0\5hX\0y\0\0\0\0\1a"}, at_once=1)
    outcome = await told(peer)
    assert [type(edit).__name__ for edit in outcome.edits] == ["AddHeader"]
