"""Where is my mail? The lines of the log for each fate of a message, over sockets."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import attrs
import pytest
from tcp_peers import TcpRunning, over_tcp
from trio.testing import MockClock

from sansio_smtp import Config, Dialect
from sansio_smtp.rules import (
    Accept,
    ClientCommand,
    Discard,
    Headers,
    Hold,
    Recipient,
    Reject,
    Sender,
    ServerReply,
    Transaction,
    on,
)
from sansio_smtp.rules.loading import rules_of
from trio_proxy.account.kept import BUILT_IN, Kept, KeptMail
from trio_proxy.account.records import MessageRecord, Record, RefusalRecord
from trio_proxy.rulebook.host import RuleSettings
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.storage.quarantine import Quarantine
from trio_proxy.text.transcript import printable

Logs = list[MutableMapping[str, Any]]

ACCOUNT = Config(account=True)
TEXT = b"Message-ID: <1@me.example>\r\nSubject: hi\r\n\r\n..one\r\n"
SIZE = len(TEXT) - 1
KEPT = b"250 2.0.0 Ok: queued as 4F1B2"
UPSTREAM = "mx.example:25"
LINE: dict[str, Any] = {
    "conn": "c1",
    "peer": "peer",
    "from": "a@me.example",
    "to": [{"address": "b@mx.example", "fate": "relayed"}],
    "by": "server",
    "upstream": UPSTREAM,
    "message_id": "<1@me.example>",
    "size": SIZE,
    "log_level": "info",
}


def rcpt(tx: Transaction, to: Recipient) -> Any:
    local = to.address.partition("@")[0]
    if local == "new":
        to.rewrite("old@mx.example")
    return {"drop": Discard(), "no": Reject(550, "5.1.1 not here"), "odd": Hold("odd")}.get(local)


def data(tx: Transaction) -> Any:
    return {"mad@me.example": Reject(), "dull@me.example": Discard("2.0.0 yes")}.get(tx.mail_from.address)


async def said(run: TcpRunning, line: bytes, reply: bytes, *, here: bool = False) -> None:
    """A command of the client, and its reply: of the server, unless it is answered here."""
    await run.client.send(line)
    if not here:
        await run.server.expect(line)
        await run.server.send(reply)
    await run.client.expect(reply)


async def opened(run: TcpRunning, *to: bytes, sender: bytes = b"a") -> None:
    await run.hello()
    await said(run, b"MAIL FROM:<%s@me.example>" % sender, b"250 ok")
    for name in to or (b"b",):
        await said(run, b"RCPT TO:<%s@mx.example>" % name, b"250 ok")


async def sent(run: TcpRunning, *replies: bytes) -> None:
    await said(run, b"DATA", b"354 go")
    await run.client.raw(TEXT + b".\r\n")
    await run.server.expect(*TEXT.splitlines(), b".")
    await run.server.send(*replies)
    await run.client.expect(*replies)


async def over(run: TcpRunning) -> None:
    run.client.close()
    await run.server.rest()


def messages(logs: Logs) -> Logs:
    return [entry for entry in logs if entry["event"].startswith("message ") and "to" in entry]


def untimed(line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Without the times, whose sum is the whole."""
    parts = [line.pop(f"{who}_seconds", 0) for who in ("client", "rule", "server")]
    assert line.pop("seconds", 0) == pytest.approx(sum(parts), abs=0.002)
    return line


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (KEPT, {"event": "message relayed", "queue_id": "4F1B2"}),
        (
            b"552 5.2.2 full",
            {"event": "message refused", "to": [{"address": "b@mx.example", "fate": "refused"}]},
        ),
    ],
)
async def test_what_the_server_says(
    mock_clock: MockClock, logs: Logs, reply: bytes, line: dict[str, Any]
) -> None:
    """Of two messages, of which the second one begins in another state."""
    records: list[Record] = []
    async with over_tcp(mock_clock, config=ACCOUNT, upstream_name=UPSTREAM, tell=records.append) as run:
        await opened(run)
        await sent(run, reply)
        for command in (b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>"):
            await said(run, command, b"250 ok")
        await sent(run, reply)
        await over(run)
    assert [untimed(line) for line in messages(logs)] == [LINE | {"reply": reply.decode()} | line] * 2
    assert [type(record) for record in records] == [MessageRecord] * 2


@pytest.mark.parametrize(("name", "event"), [(UPSTREAM, "message relayed"), (BUILT_IN, "message kept")])
async def test_only_the_built_in_server_keeps_mail(
    name: str, event: str, mock_clock: MockClock, logs: Logs
) -> None:
    """Another server, to which a rule redirects, may give the queue id of a message that was kept here."""
    kept = KeptMail()
    kept.add("4F1B2", Kept("new/1.eml", "x@y", "Other"))
    async with over_tcp(mock_clock, config=ACCOUNT, upstream_name=name, kept=kept) as run:
        await opened(run)
        await sent(run, KEPT)
        await over(run)
    assert [line["event"] for line in messages(logs)] == [event]


async def lmtp_envelope(run: TcpRunning, domain: bytes = b"") -> None:
    await run.server.send(b"220 mx")
    await run.client.expect(b"220 mx")
    await run.client.send(b"LHLO me.example")
    await run.server.expect(b"LHLO me.example")
    await run.server.send(b"250 mx")
    while (await run.client.line())[3:4] == b"-":
        pass
    await said(run, b"MAIL FROM:<>", b"250 ok")
    for name in (b"b", b"c"):
        await said(run, b"RCPT TO:<%s%s>" % (name, domain), b"250 ok")


async def test_each_recipient_of_an_lmtp_server(mock_clock: MockClock, logs: Logs) -> None:
    config = attrs.evolve(ACCOUNT, client_dialect=Dialect.LMTP, upstream_dialect=Dialect.LMTP)
    async with over_tcp(mock_clock, config=config) as run:
        await lmtp_envelope(run)
        await sent(run, KEPT, b"552 5.2.2 full")
        await over(run)
    (line,) = messages(logs)
    assert (line["event"], line["from"]) == ("message split", "<>")
    assert repr(line["to"]) == f"[b relayed ({KEPT.decode()}), c refused (552 5.2.2 full)]"
    assert [each.get("queue_id") for each in line["to"]] == ["4F1B2", None]


async def test_recipients_with_replies_of_their_own(mock_clock: MockClock, logs: Logs) -> None:
    """That of the other recipient is in the line."""
    config = attrs.evolve(ACCOUNT, client_dialect=Dialect.LMTP, upstream_dialect=Dialect.LMTP)
    async with over_tcp(mock_clock, config=config) as run:
        await lmtp_envelope(run)
        await sent(run, b"250 2.0.0 <b@mx.example> aaaaa Saved", b"250 2.0.0 <c@mx.example> bbbbb Saved")
        await over(run)
    (line,) = messages(logs)
    assert line["event"] == "message relayed"
    ids = {each.get("queue_id", line["queue_id"]) for each in line["to"]}
    assert ids == {"aaaaa", "bbbbb"}
    assert "bbbbb Saved" in repr(line["to"]) + line["reply"]
    assert "aaaaa Saved" in repr(line["to"]) + line["reply"]


async def test_refused_commands(mock_clock: MockClock, logs: Logs) -> None:
    records: list[Record] = []
    rules = rules_of(rcpt)
    async with over_tcp(
        mock_clock, config=ACCOUNT, rules=lambda: nullcontext(rules), tell=records.append
    ) as run:
        await run.hello()
        await said(run, b"MAIL FROM:<x@me.example>", b"550 5.7.1 not you")
        await said(run, b"MAIL FROM:<a@me.example>", b"250 ok")
        await said(run, b"RCPT TO:<c@mx.example>", b"451 later")
        await said(run, b"RCPT TO:<no@mx.example>", b"550 5.1.1 not here", here=True)
        await said(run, b"RCPT TO:<a@b@mx.example>", b"501 5.1.3 ...", here=True)
        await said(run, b"RCPT TO:<b@mx.example>", b"250 ok")
        await said(run, b"DATA", b"451 4.3.0 no room")
        await over(run)
    lines = [entry for entry in logs if "refused" in entry["event"]]
    assert [(line["event"], line["from"], line["by"], line["reply"]) for line in lines] == [
        ("MAIL refused", "x@me.example", "server", "550 5.7.1 not you"),
        ("RCPT refused", "a@me.example", "server", "451 later"),
        ("RCPT refused", "a@me.example", "rule:test_fates.rcpt", "550 5.1.1 not here"),
        ("RCPT refused", "a@me.example", "proxy", lines[3]["reply"]),
        ("message refused", "a@me.example", "server", "451 4.3.0 no room"),
    ]
    assert [line.get("to") for line in lines[:3]] == [
        None,
        [{"address": "c@mx.example", "fate": "refused"}],
        [{"address": "no@mx.example", "fate": "refused"}],
    ]
    assert (lines[4]["command"], lines[4]["to"]) == ("DATA", [{"address": "b@mx.example", "fate": "refused"}])
    assert [type(record) for record in records] == [RefusalRecord] * 4 + [MessageRecord]


async def discarded_for_one(run: TcpRunning) -> None:
    await opened(run)
    await said(run, b"RCPT TO:<drop@mx.example>", b"250 2.0.0 ok", here=True)
    await sent(run, KEPT)


async def discarded_for_all(run: TcpRunning) -> None:
    await run.hello()
    await said(run, b"MAIL FROM:<a@me.example>", b"250 ok")
    await said(run, b"RCPT TO:<drop@mx.example>", b"250 2.0.0 ok", here=True)
    await swallowed(run, b"250 2.0.0 ok")


async def swallowed(run: TcpRunning, reply: bytes) -> None:
    await run.client.send(b"DATA")
    await run.client.expect(b"354 end data with <CR><LF>.<CR><LF>")
    await run.client.raw(TEXT + b".\r\n")
    await run.client.expect(reply)


async def discarded_at_data(run: TcpRunning) -> None:
    await opened(run, sender=b"dull")
    await swallowed(run, b"250 2.0.0 yes")


async def refused_at_data(run: TcpRunning) -> None:
    await opened(run, sender=b"mad")
    await said(run, b"DATA", b"550 5.7.1 refused by policy", here=True)


async def held(run: TcpRunning) -> None:
    await opened(run, b"odd")
    await swallowed(run, b"250 2.0.0 ok")


async def rewritten(run: TcpRunning) -> None:
    await run.hello()
    await said(run, b"MAIL FROM:<a@me.example>", b"250 ok")
    await run.client.send(b"RCPT TO:<new@mx.example>")
    await run.server.expect(b"RCPT TO:<old@mx.example>")
    await run.server.send(b"250 ok")
    await run.client.expect(b"250 ok")
    await sent(run, KEPT)


DROP = {"address": "drop@mx.example"}
BY_RCPT = {"by": "rule:test_fates.rcpt", "reply": "250 2.0.0 ok"}
RELAYED = {"event": "message relayed", "reply": KEPT.decode(), "queue_id": "4F1B2"}


@pytest.mark.parametrize(
    ("talk", "line"),
    [
        (
            discarded_for_one,
            RELAYED
            | {
                "event": "message split",
                "to": [
                    {"address": "b@mx.example", "fate": "relayed"},
                    DROP | {"fate": "discarded", **BY_RCPT},
                ],
            },
        ),
        (discarded_for_all, {"event": "message discarded", "to": [DROP | {"fate": "discarded"}], **BY_RCPT}),
        (
            discarded_at_data,
            {
                "event": "message discarded",
                "to": [{"address": "b@mx.example", "fate": "discarded"}],
                "from": "dull@me.example",
                "by": "rule:test_fates.data",
                "reply": "250 2.0.0 yes",
            },
        ),
        (
            refused_at_data,
            {
                "event": "message refused",
                "to": [{"address": "b@mx.example", "fate": "refused"}],
                "from": "mad@me.example",
                "by": "rule:test_fates.data",
                "reply": "550 5.7.1 refused by policy",
                "command": "DATA",
                "message_id": None,
                "size": None,
            },
        ),
        (
            held,
            {
                "event": "message held",
                "to": [{"address": "odd@mx.example", "fate": "held"}],
                "reason": "odd",
                "held_as": "FILE",
                **BY_RCPT,
            },
        ),
        (
            rewritten,
            RELAYED | {"to": [{"address": "new@mx.example", "fate": "relayed", "sent_as": "old@mx.example"}]},
        ),
    ],
)
async def test_what_rules_say(
    mock_clock: MockClock,
    logs: Logs,
    tmp_path: Path,
    talk: Callable[[TcpRunning], Any],
    line: dict[str, Any],
) -> None:
    rules = rules_of(rcpt, data)
    settings = RuleSettings(quarantine=Quarantine(tmp_path))
    async with over_tcp(
        mock_clock,
        config=ACCOUNT,
        upstream_name=UPSTREAM,
        rules=lambda: nullcontext(rules),
        rule_settings=settings,
    ) as run:
        await talk(run)
        await over(run)
    (came,) = messages(logs)[-1:]
    if "held_as" in came:
        (kept,) = (tmp_path / "new").iterdir()
        assert came["held_as"] == str(kept)
        came["held_as"] = "FILE"
    assert untimed(came) == {name: value for name, value in (LINE | line).items() if value is not None}


def reply(tx: Transaction | None, command: ClientCommand, answer: ServerReply) -> None:
    if command.verb == ".":
        answer.replace(250, "2.0.0 thanks")


async def test_a_message_whose_reply_a_rule_replaces(mock_clock: MockClock, logs: Logs) -> None:
    """The server has it all the same, and its queue id is that of the server's own reply."""
    rules = rules_of(reply)
    async with over_tcp(
        mock_clock, config=ACCOUNT, upstream_name=UPSTREAM, rules=lambda: nullcontext(rules)
    ) as run:
        await opened(run)
        for name in (b"4F1B2", b"4F1B3"):
            await said(run, b"DATA", b"354 go")
            await run.client.raw(TEXT + b".\r\n")
            await run.server.expect(*TEXT.splitlines(), b".")
            await run.server.send(b"250 2.0.0 Ok: queued as %s" % name)
            await run.client.expect(b"250 2.0.0 thanks")
            if name == b"4F1B2":
                for command in (b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>"):
                    await said(run, command, b"250 ok")
        await over(run)
    thanks = LINE | {"event": "message relayed", "by": "rule", "reply": "250 2.0.0 thanks"}
    assert [untimed(line) for line in messages(logs)] == [
        thanks | {"queue_id": "4F1B2"},
        thanks | {"queue_id": "4F1B3"},
    ]


async def test_an_lmtp_server_whose_replies_a_rule_replaces(mock_clock: MockClock, logs: Logs) -> None:
    config = attrs.evolve(ACCOUNT, client_dialect=Dialect.LMTP, upstream_dialect=Dialect.LMTP)
    rules = rules_of(reply_to_some)
    async with over_tcp(mock_clock, config=config, rules=lambda: nullcontext(rules)) as run:
        await lmtp_envelope(run, b"@mx.example")
        await said(run, b"DATA", b"354 go")
        await run.client.raw(TEXT + b".\r\n")
        await run.server.expect(*TEXT.splitlines(), b".")
        await run.server.send(KEPT, b"552 5.2.2 full")
        await run.client.expect(b"250 2.0.0 thanks", b"552 5.2.2 full")
        await over(run)
    (line,) = messages(logs)
    assert line["event"] == "message split"
    assert [(each["fate"], each.get("queue_id")) for each in line["to"]] == [
        ("relayed", "4F1B2"),
        ("refused", None),
    ]


@on("reply")
def reply_to_some(tx: Transaction | None, command: ClientCommand, answer: ServerReply) -> None:
    if answer.code == 250:
        reply(tx, command, answer)


# Sessions


def sessions(logs: Logs) -> Logs:
    return [entry for entry in logs if entry["event"] in ("session without mail", "message not completed")]


async def test_a_session_without_mail(mock_clock: MockClock, logs: Logs) -> None:
    async with over_tcp(mock_clock, config=ACCOUNT, upstream_name=UPSTREAM) as run:
        await run.hello()
        await said(run, b"QUIT", b"221 bye")
        await over(run)
    (line,) = sessions(logs)
    assert (line["helo"], line["upstream"], "reply" in line) == ("me.example", UPSTREAM, False)


async def test_a_server_that_refuses_the_session(mock_clock: MockClock, logs: Logs) -> None:
    """It is named with its reply, in the log and in the transcript."""
    lines: list[str] = []
    config = attrs.evolve(ACCOUNT, trace=True)
    async with over_tcp(
        mock_clock, config=config, upstream_name=UPSTREAM, write_transcript=lines.append
    ) as run:
        await run.server.send(b"554 5.3.2 not now")
        await run.client.expect(b"554 5.3.2 not now")
        await over(run)
    (line,) = sessions(logs)
    assert (line["by"], line["reply"], line["upstream"]) == ("server", "554 5.3.2 not now", UPSTREAM)
    assert [each for each in lines if f" *** upstream server {UPSTREAM} has said: 554 5.3.2 not now" in each]


async def test_a_server_that_cannot_be_reached(mock_clock: MockClock, logs: Logs) -> None:
    lines: list[str] = []

    async def refused(_: object) -> Any:
        raise OSError("Connection refused")

    async with over_tcp(
        mock_clock,
        connect=refused,
        config=ACCOUNT,
        upstream_name=UPSTREAM,
        write_transcript=lines.append,
    ) as run:
        await run.client.expect(b"421 4.4.1 ...")
        run.client.close()
    (line,) = [entry for entry in logs if entry["event"] == "upstream server cannot be reached"]
    assert (line["upstream"], line["error"]) == (UPSTREAM, "Connection refused")
    assert any(
        f"*** upstream server {UPSTREAM} cannot be reached: Connection refused" in each for each in lines
    )
    (line,) = sessions(logs)
    assert (line["by"], line["reply"][:9]) == ("proxy", "421 4.4.1")


@pytest.mark.parametrize("how", ["stop", "client"])
async def test_a_message_that_is_cut_off_is_found_by_its_id(
    mock_clock: MockClock, logs: Logs, how: str
) -> None:
    async with over_tcp(mock_clock, config=ACCOUNT) as run:
        await opened(run)
        await said(run, b"DATA", b"354 go")
        await run.client.raw(b"Message-ID: <cut@me.example>\r\n\r\nhalf of")
        await run.server.expect(b"Message-ID: <cut@me.example>", b"")
        if how == "stop":
            run.session.shutdown(now=True)
        await over(run)
    (line,) = sessions(logs)
    assert (line["event"], line["message_id"]) == ("message not completed", "<cut@me.example>")


async def test_a_message_that_does_not_end(mock_clock: MockClock, logs: Logs) -> None:
    async with over_tcp(mock_clock, config=ACCOUNT) as run:
        await opened(run, b"b", b"c")
        await said(run, b"DATA", b"354 go")
        await run.client.raw(b"half of")
        await over(run)
    (line,) = sessions(logs)
    assert (line["event"], line["from"]) == ("message not completed", "a@me.example")
    assert [to["address"] for to in line["to"]] == ["b@mx.example", "c@mx.example"]
    assert "message_id" not in line


@pytest.mark.parametrize("how", ["timeout", "client closed the connection in mid-message"])
@pytest.mark.parametrize(
    ("text", "octets", "hint"),
    [
        (b"a\r\nb", 4, None),
        (b"a\nb\r\n", 6, "the client sends lines that end in LF without CR"),
        (b"Subject: x\n\na\n.\n", 19, "a line of one dot ended in LF, so it did not end the message"),
    ],
)
async def test_the_log_says_why_a_message_does_not_end(
    mock_clock: MockClock, logs: Logs, how: str, text: bytes, octets: int, hint: str | None
) -> None:
    transcript: list[str] = []
    times = Timeouts(content=5)  # each of these seconds takes a moment: see `tcp_peers.QUIET`
    async with over_tcp(
        mock_clock, config=ACCOUNT, timeouts=times, write_transcript=transcript.append
    ) as run:
        await opened(run)
        await said(run, b"DATA", b"354 go")
        await run.client.raw(text)
        if how == "timeout":
            await run.client.expect(b"421 4.4.2 timeout: mail data not ended by <CR><LF>.<CR><LF>, closing")
        await over(run)
    (line,) = [entry for entry in logs if entry["event"] == how]
    assert line["octets"] == octets
    assert line.get("hint", "None").startswith(str(hint))
    why = f"; {line['hint']}" if hint else ""
    (note,) = [said for said in transcript if " *** " in said]
    assert note.endswith(f" *** {how}: {octets} octets of the message have come{why}")


async def test_lines_in_lf_that_were_put_right(mock_clock: MockClock, logs: Logs) -> None:
    async with over_tcp(mock_clock, config=ACCOUNT) as run:
        for text, noted in ((b"a\nb\r\n", "normalised"), (b"a\r\nb\r\n", None)):
            await (opened(run) if noted else again(run))
            await said(run, b"DATA", b"354 go")
            await run.client.raw(text + b".\r\n")
            await run.server.expect(b"a", b"b", b".")
            await run.server.send(KEPT)
            await run.client.expect(KEPT)
            assert messages(logs)[-1].get("bare_lf") == noted
        await over(run)


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        (b"Subject: x\n\nHi\n", b"Subject: x\n\nHi\n"),
        (b"\nx\n", b"\nx\n"),
        (b"a\r\nb\r\nc\n", b"a\r\nb\r\nc\n"),
    ],
)
async def test_lines_in_lf_that_were_refused(
    mock_clock: MockClock, logs: Logs, text: bytes, octets: bytes
) -> None:
    """Only octets that the client has sent are shown, without the line end of DATA before them."""
    config = attrs.evolve(ACCOUNT, bare_newline="reject")
    async with over_tcp(mock_clock, config=config) as run:
        await opened(run)
        await said(run, b"DATA", b"354 go")
        await run.client.raw(text + b".\r\n.\r\n")
        await run.client.expect(b"550 5.5.2 message holds a bare LF; ...")
        await over(run)
    (line,) = messages(logs)
    assert (line["event"], line["bare_lf"]) == ("message refused", "refused")
    (violation,) = [entry for entry in logs if entry["event"] == "protocol violation"]
    assert violation["octets"].startswith(printable(octets)[:16])


async def test_a_verdict_and_a_failure_say_of_which_mail_they_are(mock_clock: MockClock, logs: Logs) -> None:
    def mail(tx: Transaction, sender: Sender) -> Any:
        return Accept()

    def headers(tx: Transaction, headers: Headers) -> Any:
        raise ValueError("no")

    rules = rules_of(mail, rcpt, headers)
    async with over_tcp(mock_clock, config=ACCOUNT, rules=lambda: nullcontext(rules)) as run:
        await opened(run, b"b", b"c", sender=b"A")
        await said(run, b"RCPT TO:<drop@mx.example>", b"250 2.0.0 ok", here=True)
        await said(run, b"DATA", b"354 go")
        await run.client.raw(TEXT + b".\r\n")
        await run.client.expect(b"451 4.3.0 a rule of this proxy failed, try again later ...")
        await over(run)
    told = [entry for entry in logs if entry["event"] in ("rule decided", "rule failed")]
    names = {"event", "rule", "phase", "from", "to", "verdict", "error"}
    both = [{"address": "b@mx.example"}, {"address": "c@mx.example"}]
    assert [{name: entry[name] for name in names & entry.keys()} for entry in told] == [
        {
            "event": "rule decided",
            "rule": "test_fates.mail",
            "phase": "mail",
            "verdict": "accept",
            "from": "A@me.example",
        },
        {
            "event": "rule decided",
            "rule": "test_fates.rcpt",
            "phase": "rcpt",
            "verdict": "discard 250 2.0.0 ok",
            "from": "A@me.example",
            "to": [{"address": "drop@mx.example"}],
        },
        {
            "event": "rule failed",
            "rule": "test_fates.headers",
            "phase": "headers",
            "error": "ValueError: no",
            "from": "A@me.example",
            "to": both,
        },
    ]
    assert all("test_fates.py:" in entry["where"] for entry in told)


async def again(run: TcpRunning) -> None:
    await said(run, b"MAIL FROM:<a@me.example>", b"250 ok")
    await said(run, b"RCPT TO:<b@mx.example>", b"250 ok")


async def test_lines_about_mail_name_the_login(mock_clock: MockClock, logs: Logs) -> None:
    async with over_tcp(mock_clock, config=ACCOUNT) as run:
        await run.hello()
        await said(run, b"AUTH PLAIN AGFubgBzZWNyZXQ=", b"235 2.7.0 ok")
        await said(run, b"MAIL FROM:<x@me.example>", b"550 5.7.1 not you")
        await again(run)
        await said(run, b"RCPT TO:<c@mx.example>", b"451 later")
        await sent(run, KEPT)
        await again(run)
        await said(run, b"DATA", b"451 4.3.0 no room")
        await over(run)
    named = [entry for entry in logs if "by" in entry]
    assert [entry["event"].split()[-1] for entry in named] == ["refused", "refused", "relayed", "refused"]
    assert [entry["login"] for entry in named] == ["ann"] * 4


async def test_a_server_that_closes_is_named(mock_clock: MockClock, logs: Logs) -> None:
    async with over_tcp(mock_clock, config=ACCOUNT, upstream_name=UPSTREAM) as run:
        await run.hello()
        run.server.close()
        await run.client.expect(b"421 4.4.2 upstream server closed the connection")
        run.client.close()
    (line,) = [entry for entry in logs if entry["event"] == "upstream server closed the connection"]
    assert (line["upstream"], line["waiting_for"]) == (UPSTREAM, "command")


async def test_sessions_with_mail_have_no_line_of_their_own(mock_clock: MockClock, logs: Logs) -> None:
    async with over_tcp(mock_clock, config=ACCOUNT) as run:
        await opened(run)
        await sent(run, KEPT)
        await said(run, b"QUIT", b"221 bye")
        await over(run)
    assert sessions(logs) == []
