"""LMTP on either side (RFC 2033 §4.2): as many replies as are owed, each of them true (promises P2, P8)."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twins import Twins

from sansio_smtp import (
    Answer,
    Command,
    CommandQuestion,
    Config,
    Continue,
    Dialect,
    ReplaceCommand,
    Reply,
    UpstreamTls,
)
from sansio_smtp.questions import AnyQuestion, AnyVerdict
from sansio_smtp.testing import Accepted, FakeClient, FakeServer, Message, converse, drawn

REPLIES = {"ok": Reply.of(250, "ok"), "later": Reply.of(451, "later"), "never": Reply.of(550, "never")}
NOBODY = Reply.of(550, "nobody")

addresses = st.tuples(
    st.sampled_from(("accepted", "refused", "taken", "replaced")), st.sampled_from(sorted(REPLIES))
).map("-".join)
"""What becomes of its RCPT, and an LMTP server's reply to its message."""


def fate(address: str) -> tuple[str, str]:
    becomes, _, reply = address.removesuffix("@mx").partition("-")
    return becomes, reply


def judge(question: AnyQuestion) -> AnyVerdict:
    """A rule accepts some recipients in place of the server, and replaces others."""
    assert isinstance(question, CommandQuestion)
    assert question.command.path
    becomes, reply = fate(question.command.path.address)
    if becomes == "taken":
        return Answer(Reply.of(250, "by a rule"))
    if becomes == "replaced":
        return ReplaceCommand(Command.of(f"RCPT TO:<another-{reply}@mx>"))
    return Continue()


def judge_command(command: Command) -> Reply | None:
    return NOBODY if command.raw.startswith(b"RCPT TO:<refused-") else None


def judge_message(message: Accepted) -> Reply:
    """For one recipient; an SMTP server goes by the first."""
    return REPLIES[fate(message.recipients[0])[1]]


@given(
    st.lists(st.lists(addresses, min_size=1, max_size=5), min_size=1, max_size=3),
    st.sampled_from(Dialect),
    st.sampled_from(Dialect),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_each_reply_is_true(
    messages: list[list[str]], client: Dialect, server: Dialect, pipelined: bool, seed: int
) -> None:
    sent = [Message("a@me", tuple(f"{to}@mx" for to in recipients), b"x\r\n") for recipients in messages]
    talker = FakeClient(sent, pipelined, "LHLO me" if client is Dialect.LMTP else "EHLO me")
    peer = FakeServer(judge=judge_command, judge_message=judge_message, dialect=server)
    proxy = Twins(Config(client_dialect=client), {"RCPT"})
    proxy.server_connected(UpstreamTls.NONE, server)
    converse(talker, peer, proxy, cut=drawn(Random(seed)), judge=judge)  # type: ignore[arg-type]
    assert talker.finished
    for recipients, outcome in zip(messages, talker.outcomes, strict=True):
        told = [to for to in recipients if not to.startswith("refused")]
        assert [reply.severity == 2 for reply in outcome.recipients] == [to in told for to in recipients]
        known = [to for to in told if not to.startswith("taken")]
        if not known:
            assert not outcome.finals, "the server has refused DATA"
            continue
        by_server = [fate(to)[1] if server is Dialect.LMTP else fate(known[0])[1] for to in known]
        replies = iter(by_server)
        expected = [
            REPLIES["ok"].code if to.startswith("taken") else REPLIES[next(replies)].code for to in told
        ]
        codes = [reply.code for reply in outcome.finals]
        if client is Dialect.LMTP:
            assert codes == expected
        elif server is Dialect.LMTP:
            assert codes == [max(expected, key=(250, 550, 451).index)]
        else:
            assert codes == [REPLIES[by_server[0]].code]
