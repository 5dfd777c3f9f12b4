"""Rules in a unit test: `sansio_smtp.testing.session` and `async_session`."""

from __future__ import annotations

import doctest
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
import trio
from each import each

from sansio_smtp import (
    BareNewline,
    ClientInfo,
    Command,
    Config,
    Envelope,
    LocalProtocolError,
    Origin,
    Reply,
    TlsInfo,
)
from sansio_smtp.rules import (
    Accept,
    Close,
    Connection,
    Defer,
    Discard,
    Hold,
    Host,
    Message,
    Recipient,
    Redirect,
    Reject,
    Rule,
    RuleError,
    RuleSet,
    Sender,
    Transaction,
    on,
    threaded,
)
from sansio_smtp.testing import (
    Accepted,
    AsyncSession,
    Dialogue,
    FakeServer,
    Session,
    Turn,
    async_session,
    fixed,
    play,
    rules,
    session,
    willing_server,
)

CONTENT = b"Subject: hi\r\n\r\nhello\r\n"
MOVED = Reject(550, "5.1.1 That domain has moved")


def rcpt(tx: Transaction, to: Recipient) -> Reject | None:
    return MOVED if to.domain == "old.example" else None


def message(tx: Transaction, msg: Message) -> None:
    msg.headers.add("X-Scanned-By", "smtp-proxy")


def texts(made: Session | AsyncSession) -> list[str]:
    return [str(reply) for reply in made.replies]


def lines(server: FakeServer) -> list[str]:
    return [line.decode() for line in server.commands]


# A whole dialogue


def test_the_example_in_the_module() -> None:
    """The example is the same as in the docstring."""
    assert rules.__doc__ is not None
    example = textwrap.dedent(rules.__doc__.partition("\n\n")[2].partition("\n\nEach step")[0])
    assert example.startswith("s = session(my_rules)")
    names: dict[str, Any] = {"session": session, "Reject": Reject, "my_rules": [rcpt, message]}
    exec(compile(example, "example", "exec"), names)
    assert names["s"].delivered[0].recipients == ("bob@example.com",)


def test_it_has_no_prompts_to_be_run() -> None:
    assert doctest.DocTestFinder().find(rules)[0].examples == []


def test_what_the_client_is_told_and_what_the_server_gets() -> None:
    s = session(rcpt, message)
    assert s.mail("ann@example.com", "SIZE=23 BODY=8BITMIME") is None
    assert s.rcpt("bob@old.example") == MOVED
    assert (s.ok, str(s.reply)) == (False, "550 5.1.1 That domain has moved")
    assert s.rcpt("bob@example.com", "NOTIFY=NEVER") is None
    assert s.ok
    assert s.message(CONTENT) is None
    assert s.quit() is None
    assert s.closed
    [(name, server)] = s.servers
    assert name is None
    assert lines(server) == [
        "EHLO client.example",
        "MAIL FROM:<ann@example.com> SIZE=23 BODY=8BITMIME",
        "RCPT TO:<bob@example.com> NOTIFY=NEVER",
        "DATA",
        "QUIT",
    ]
    [delivered] = s.delivered
    assert delivered.sender == "ann@example.com"
    assert delivered.content == b"Subject: hi\r\nX-Scanned-By: smtp-proxy\r\n\r\nhello\r\n"
    [completed] = s.completed
    assert (completed.size, completed.edited, completed.broken) == (48, True, ("SIZE",))
    assert [text[:3] for text in texts(s)] == ["220", "250", "250", "550", "250", "354", "250", "221"]


def test_a_reply_says_who_has_decided_it() -> None:
    s = session(rcpt)
    s.mail("ann@example.com")
    for address in ("bob@old.example", "b c@example.com", "bob@example.com"):
        s.rcpt(address)
    assert [reply.origin for reply in s.replies[-3:]] == [Origin.RULE, Origin.PROXY, Origin.SERVER]


def test_content_with_bare_newlines_and_dots_arrives_as_a_client_would_send_it() -> None:
    s = session(message)
    s.mail("a@b")
    s.rcpt("c@d")
    s.message(b"A: b\n\n.\n..x\nend", pieces=1)
    assert s.delivered[0].content == b"A: b\r\nX-Scanned-By: smtp-proxy\r\n\r\n.\r\n..x\r\nend\r\n"


def test_modules_classes_lists_and_rulesets() -> None:
    @attrs.define
    class Local:
        name: str = "bob"

        def rcpt(self, tx: Transaction, to: Recipient) -> Defer | None:
            return Defer() if to.local == self.name else None

    module = types.ModuleType("my_rules")
    module.rcpt = rcpt  # type: ignore[attr-defined]
    for things in ([module, Local("cy")], [[rcpt, Local("cy")]], [RuleSet((*ruleset_of(rcpt), *cy(Local)))]):
        s = session(*things)
        s.mail("a@b")
        assert s.rcpt("bob@old.example") == MOVED
        assert s.rcpt("bob@b") is None
        assert s.rcpt("cy@b") == Defer()


def ruleset_of(function: Callable[..., Any]) -> tuple[Rule, ...]:
    return (Rule(function.__name__, function, function.__name__),)


def cy(cls: Callable[[str], Any]) -> tuple[Rule, ...]:
    return (Rule("rcpt", cls("cy").rcpt, "Local.rcpt"),)


def test_rules_that_cannot_be_used() -> None:
    with pytest.raises(RuleError, match=r"rctp\(\) is no phase"):
        session(lambda: None, types.FunctionType(rcpt.__code__, globals(), "rctp"))


# The client


def test_the_connection_that_rules_see() -> None:
    seen: list[tuple[str, str, str, str | None]] = []

    def mail(tx: Transaction, sender: Sender) -> None:
        seen.append((tx.conn.peer, tx.conn.ip, tx.conn.helo, tx.conn.login))

    made = [
        session(mail),
        session(mail, ip="2001:db8::1", helo="mx.example", login="ann"),
        session(mail, ip=""),
    ]
    for s in made:
        s.mail("a@b")
    assert seen == [
        ("192.0.2.1:49152", "192.0.2.1", "client.example", None),
        ("[2001:db8::1]:49152", "2001:db8::1", "mx.example", "ann"),
        ("unix", "", "client.example", None),
    ]
    assert made[0].conn.id == "test"


def test_helo_and_logins_that_rules_refuse() -> None:
    def helo(conn: Connection, name: str) -> Reject | None:
        return Reject(550, "5.7.1 not you") if name == "bad.example" else None

    @on("auth")
    def login(conn: Connection, attempt: Any) -> Reject | None:
        return Reject(535, "5.7.8 no") if attempt.identity == "eve" else None

    s = session(helo, login, helo="bad.example", login="eve")
    assert texts(s)[1:] == ["550 5.7.1 not you"]  # no login is tried
    assert s.helo("good.example", "HELO") is None
    assert s.helo("good.example") is None
    assert s.auth("eve") == Reject(535, "5.7.8 no")
    assert s.auth("eve", mechanism="XOAUTH2") is None  # what names nobody in this way is not known
    assert s.auth("ann", "other") is None
    assert s.helo("good.example") is None
    assert s.conn.login == "ann"


def test_any_command() -> None:
    s = session(rcpt)
    assert s.command("NOOP") is None
    assert s.command(b"VRFY ann") is None
    assert lines(s.servers[0][1]) == ["EHLO client.example", "NOOP", "VRFY ann"]
    with pytest.raises(LocalProtocolError, match="CR"):
        s.command("NOOP\r\nQUIT")


# Verdicts


def test_a_client_that_is_refused_when_it_connects() -> None:
    def connect(conn: Connection) -> Reject:
        return Reject(554, "5.7.1 go away")

    over: list[str] = []

    def disconnect(conn: Connection) -> None:
        over.append(conn.id)

    s = session(connect, disconnect, login="ann")
    assert (texts(s), s.closed, s.ok, s.servers) == (["554 5.7.1 go away"], True, False, [])
    with pytest.raises(LocalProtocolError, match=r"connection is closed; .* 554 5\.7\.1 go away"):
        s.mail("a@b")
    with pytest.raises(LocalProtocolError, match="connection is closed"):
        s.message(CONTENT)
    with pytest.raises(LocalProtocolError, match="connection is closed"):
        s.disconnect()
    assert over == []
    s.quit()
    s.quit()
    assert over == ["test"]
    assert len(s.replies) == 1


def test_redirect() -> None:
    def connect(conn: Connection) -> Redirect:
        return Redirect("first.example")

    def rcpt(tx: Transaction, to: Recipient) -> Redirect | None:
        return Redirect("lists.example:24") if to.domain == "lists.example" else None

    s = session(connect, rcpt)
    s.mail("a@b")
    assert s.rcpt("c@lists.example") == Redirect("lists.example:24")
    assert s.rcpt("c@elsewhere.example") is None
    assert str(s.reply)[:9] == "452 4.5.3"  # in a transaction of its own
    s.message(CONTENT)
    assert [name for name, _ in s.servers] == ["first.example", "lists.example:24"]
    assert [len(server.accepted) for _, server in s.servers] == [0, 1]
    assert lines(s.servers[0][1])[-1] == "QUIT"
    s.mail("a@b")
    s.rcpt("c@elsewhere.example")
    assert [name for name, _ in s.servers][-1] == "first.example"


def test_discard_and_hold() -> None:
    def mail(tx: Transaction, sender: Sender) -> Discard | None:
        return Discard("2.0.0 thanks") if sender.local == "spam" else None

    def message(tx: Transaction, msg: Message) -> Hold | None:
        msg.headers.add("X-Why", "held")
        return Hold("odd", 550, "5.7.1 held")

    s = session(mail, message)
    assert s.mail("spam@b") == Discard("2.0.0 thanks")
    s.rcpt("c@d")
    assert s.message(CONTENT) is None  # it was said before
    assert str(s.reply) == "250 2.0.0 thanks"
    s.mail("a@b")
    s.rcpt("c@d")
    assert s.message(CONTENT) == Hold("odd", 550, "5.7.1 held")
    assert str(s.reply) == "550 5.7.1 held"
    [held] = s.held
    assert held.message == b"Subject: hi\r\nX-Why: held\r\n\r\nhello\r\n"
    assert [to.address for to in held.tx.rcpts] == ["c@d"]
    assert (s.delivered, s.completed) == ([], [])


def test_close_in_the_middle_of_a_message() -> None:
    def body_line(tx: Transaction, line: bytes) -> Close | None:
        return Close(421, "4.7.0 enough") if b"secret" in line else None

    s = session(body_line)
    s.mail("a@b")
    s.rcpt("c@d")
    content = b"A: b\r\n\r\n" + b"x" * 70 + b"\r\nsecret\r\n" + b"y\r\n" * 100_000
    assert s.message(content, pieces=100) == Close(421, "4.7.0 enough")
    assert s.closed
    assert s.servers[0][1].aborted
    assert s.delivered == []


def test_a_refusal_counts_more_than_accept() -> None:
    def headers(tx: Transaction, headers: Any) -> Accept:
        return Accept()

    def body(tx: Transaction, chunk: bytes) -> Reject | None:
        return Reject(554, "5.6.0 no") if b"no" in chunk else None

    s = session(headers, body)
    for content, verdict in ((b"A: b\r\n\r\nno\r\n", Reject(554, "5.6.0 no")), (CONTENT, Accept())):
        s.mail("a@b")
        s.rcpt("c@d")
        assert s.message(content) == verdict
    assert len(s.delivered) == 1


def test_after_a_refusal_in_mid_message_there_is_another_connection() -> None:
    def body(tx: Transaction, chunk: bytes) -> Reject | None:
        return Reject() if b"no" in chunk else None

    s = session(body)
    for content in (b"A: b\r\n\r\nno\r\n", CONTENT):
        s.mail("a@b")
        s.rcpt("c@d")
        s.message(content)
    assert [name for name, _ in s.servers] == [None, None]
    assert [len(server.accepted) for _, server in s.servers] == [0, 1]


def test_what_data_is_answered_without_a_transaction() -> None:
    s = session(message)
    assert s.message(CONTENT) is None
    assert str(s.reply)[:3] in ("503", "554")


# The end


def test_quit_and_going_away_are_told_to_rules_once() -> None:
    over: list[str] = []

    def disconnect(conn: Connection) -> None:
        over.append(conn.ip)

    s = session(disconnect, ip="192.0.2.1")
    s.quit()
    assert str(s.reply) == "221 2.0.0 bye"
    s.quit()
    s = session(disconnect, ip="192.0.2.2")
    s.mail("a@b")
    s.disconnect()
    assert s.closed
    assert over == ["192.0.2.1", "192.0.2.2"]


# Servers and settings


def test_another_server() -> None:
    def refuses(command: Command) -> Reply | None:
        return Reply.of(550, "nobody", enhanced="5.1.1") if command.verb == b"RCPT" else None

    s = session(rcpt, server=lambda: FakeServer(judge=refuses))
    s.mail("a@b")
    assert s.rcpt("c@d") is None
    assert str(s.reply) == "550 5.1.1 nobody"
    assert "250 8BITMIME" in texts(s)[1].replace("-", " ")


def test_the_usual_server_takes_everything() -> None:
    server = willing_server()
    server.receive(b"EHLO me\r\n")
    assert b"SMTPUTF8" in server.take()
    server.receive(b"AUTH PLAIN AGEAYg==\r\n")
    assert server.take().startswith(b"235 ")


def test_settings_of_the_core() -> None:
    s = session(message, config=Config(max_message_size=10))
    s.mail("a@b")
    s.rcpt("c@d")
    s.message(CONTENT)
    assert str(s.reply)[:3] == "552"


# Rules that fail


@on("mail")
def broken(tx: Transaction, sender: Sender) -> None:
    raise ZeroDivisionError(sender.address)


def test_what_a_rule_raises_is_raised_in_the_test() -> None:
    s = session(broken)
    with pytest.raises(ZeroDivisionError, match="a@b"):
        s.mail("a@b")
    assert str(s.reply)[:9] == "451 4.3.0"
    assert [str(failure.error) for failure in s.failures] == ["a@b"]
    with pytest.raises(ZeroDivisionError, match="c@d"):  # the connection goes on
        s.mail("c@d")
    s.command("NOOP")
    assert s.ok


def test_a_verdict_that_makes_no_sense() -> None:
    def reply(tx: Transaction, command: Any, answer: Any) -> Any:
        return "nonsense" if command.verb == "MAIL" else None

    s = session([reply])
    with pytest.raises(LocalProtocolError, match="returned 'nonsense'"):
        s.mail("a@b")


@pytest.mark.parametrize(("policy", "code"), [("defer", "451"), ("reject", "550"), ("accept", "250")])
def test_with_on_error_the_client_is_answered(policy: Any, code: str) -> None:
    s = session(broken, on_error=policy)
    assert s.mail("a@b") is None
    assert str(s.reply)[:3] == code
    assert len(s.failures) == 1
    assert s.failures[0].incident == "1"


def test_a_host_of_ones_own_is_told_everything() -> None:
    told: list[str] = []

    class Noting(Host):
        def enter(self, rule: Rule) -> None:
            told.append(f"enter {rule.phase}")

        def leave(self) -> None:
            told.append("leave")

        async def call(self, rule: Rule, *arguments: object) -> object:
            told.append(f"call {rule.phase}")
            return await super().call(rule, *arguments)

        def about(self, tx: Transaction | None, subject: object) -> None:
            told.append(f"about {type(tx).__name__} {type(subject).__name__}")

        def failed(self, rule: Rule, error: BaseException) -> str:
            told.append(f"failed {rule.phase}")
            return "incident-7"

        def decided(self, rule: Rule, verdict: Any) -> None:
            told.append(f"decided {rule.phase}")

        def edited(self, rule: Rule, change: str) -> None:
            told.append(f"edited {rule.phase} {change}")

        async def hold(self, tx: Transaction, message: bytes, verdict: Hold) -> None:
            if verdict.reason == "full":
                raise OSError("no space")
            told.append(f"hold {len(message)}")

    async def held(tx: Transaction, msg: Message) -> Hold:
        return Hold("full" if b"full" in msg.body else "odd")

    rule = on("message")(held)
    s = session(broken, message, rule, host=Noting(), on_error="accept")
    for content in (CONTENT, b"A: b\r\n\r\nfull\r\n"):
        s.mail("a@b")
        s.rcpt("c@d")
        s.message(content)
    one = ["enter mail", "leave", "about Transaction Sender", "failed mail"]
    two = ["enter message", "leave", "edited message + X-Scanned-By: smtp-proxy", "call message"]
    three = ["about Transaction Message", "decided message"]
    assert told == [*one, *two, *three, "hold 48", *one, *two, *three]
    assert len(s.held) == 1  # the other one is nowhere
    assert str(s.reply)[:3] in ("451", "452")
    assert s.failures[0].incident == "incident-7"


# Rules that wait


@on("mail")
async def waits(tx: Transaction, sender: Sender) -> Defer:
    await trio.lowlevel.checkpoint()
    return Defer()


@on("mail")
async def does_not_wait(tx: Transaction, sender: Sender) -> Defer:
    return Defer()


def test_async_rules_that_do_not_wait_need_nothing() -> None:
    assert session(does_not_wait).mail("a@b") == Defer()


def test_async_rules_that_wait_need_somebody_who_runs_them() -> None:
    assert session(waits, run=trio.run).mail("a@b") == Defer()
    with pytest.raises(LocalProtocolError, match="has to be awaited") as raised:
        session(waits).mail("a@b")
    assert raised.value.__notes__ == ["If a rule waits for something, use session(..., run=trio.run)."]


def test_what_cannot_even_begin_to_wait() -> None:
    @on("mail")
    async def rule(tx: Transaction, sender: Sender) -> None:
        await trio.sleep(1)

    with pytest.raises(RuntimeError, match="async context") as raised:
        session(rule).mail("a@b")
    assert "run=trio.run" in raised.value.__notes__[0]


def test_the_hint_is_for_async_rules_only() -> None:
    @on("mail")
    def rule(tx: Transaction, sender: Sender) -> None:
        raise RuntimeError("of its own")

    with pytest.raises(RuntimeError) as raised:
        session(rule).mail("a@b")
    assert not hasattr(raised.value, "__notes__")


def test_threaded_rules_are_called_as_they_are() -> None:
    @threaded
    def rcpt(tx: Transaction, to: Recipient) -> Discard:
        return Discard()

    s = session(rcpt)
    s.mail("a@b")
    assert s.rcpt("c@d") == Discard()


# Async tests


async def test_steps_that_are_awaited() -> None:
    @on("rcpt")
    async def slow(tx: Transaction, to: Recipient) -> Reject | None:
        await trio.lowlevel.checkpoint()
        return rcpt(tx, to)

    s = await async_session(slow, message, login="ann", ip="192.0.2.7", helo="me.example")
    assert (s.conn.peer, s.ok) == ("192.0.2.7:49152", True)
    await s.mail("a@b")
    assert await s.rcpt("bob@old.example") == MOVED
    assert s.conn.login == "ann"
    assert await s.rcpt("bob@example.com") is None
    assert await s.message(CONTENT) is None
    assert await s.quit() is None
    assert lines(s.servers[0][1])[0] == "EHLO me.example"
    assert len(s.delivered) == 1


async def test_an_async_client_that_is_refused() -> None:
    def connect(conn: Connection) -> Close:
        return Close(421, "4.7.0 later")

    s = await async_session(connect, login="ann")
    assert texts(s) == ["421 4.7.0 later"]
    await s.quit()


async def test_failures_in_async_tests() -> None:
    s = await async_session(broken)
    with pytest.raises(ZeroDivisionError):
        await s.mail("a@b")


def test_a_path_is_rewritten_in_its_phase_or_not_at_all() -> None:
    """Later the server has already got the path, and a rewrite would be misleading."""

    def data(tx: Transaction) -> None:
        assert tx.mail_from is not None
        for path in (tx.mail_from, *tx.rcpts):
            with pytest.raises(LocalProtocolError, match="already"):
                path.rewrite("late@example.com")

    def mail(tx: Transaction, sender: Sender) -> None:
        sender.rewrite("in.time@example.com")

    for used in ([data], [mail, data]):
        s = session(used)
        s.mail("a@example.com")
        s.rcpt("b@example.com")
        assert s.message(b"Subject: x\n\nx\n") is None
        assert s.delivered[0].recipients == ("b@example.com",)


def test_a_client_of_which_more_is_known() -> None:
    seen: list[object] = []

    def mail(tx: Transaction, sender: Sender) -> None:
        conn = tx.conn
        seen.append((conn.ip, conn.proxy_ip, conn.name, conn.tls and conn.tls.version, conn.helo))

    client = ClientInfo(
        address="192.0.2.7:25", name="out.example", proxy_ip="10.0.0.1", tls=TlsInfo(version="TLSv1.3")
    )
    s = session(mail, client=client)
    s.mail("ann@example.com")
    assert seen == [("192.0.2.7", "10.0.0.1", "out.example", "TLSv1.3", "client.example")]
    assert s.ip == "192.0.2.7"


# Envelopes, dialogues, octets


def test_a_message_with_its_envelope() -> None:
    s = session(rcpt)
    mail = Command.of("MAIL FROM:<ann@me.example> SIZE=5")
    both = [Command.of("RCPT TO:<bob@old.example>"), Command.of("RCPT TO:<bob@new.example>")]
    assert s.send(Envelope(mail, both), b".a\r\n..b\r\n") == MOVED
    assert s.send(Envelope(mail, both[1:]), b"") is None
    assert s.delivered == [
        Accepted("ann@me.example", ("bob@new.example",), b".a\r\n..b\r\n"),
        Accepted("ann@me.example", ("bob@new.example",), b""),
    ]
    assert s.send(Envelope(None, both[:1]), b"x") == MOVED
    assert lines(s.servers[0][1])[-2:] == ["MAIL FROM:<>", "RSET"]


def test_a_sender_that_is_refused_has_no_recipients() -> None:
    @on("mail")
    def refuse(tx: Transaction, sender: Sender) -> Defer:
        return Defer()

    s = session(refuse)
    assert s.send(Envelope(Command.of("MAIL FROM:<a@b>"), [Command.of("RCPT TO:<c@d>")]), b"") == Defer()
    assert lines(s.servers[0][1])[-1] == "RSET"


def test_all_that_a_client_says() -> None:
    turns = (
        Turn(b"MAIL FROM:<a@b>"),
        Turn(b"RCPT TO:<bob@old.example>"),
        Turn(b"NOOP", b"not sent"),
        Turn(b"RCPT TO:<c@d>"),
        Turn(b"DATA"),
        Turn(b"QUIT"),
        Turn(b"NOOP"),
    )
    s = session(rcpt)
    assert s.say(Dialogue(turns)) == MOVED
    assert s.delivered == [Accepted("a@b", ("c@d",), b"")]
    assert s.closed
    with pytest.raises(LocalProtocolError, match="the connection is closed"):
        s.say(Dialogue(turns))


def test_a_client_that_waits_for_nothing() -> None:
    s = session(rcpt)
    turns = (Turn(b"MAIL FROM:<a@b>"), Turn(b"RCPT TO:<c@d>"), Turn(b"DATA", b"x\r\n"), Turn(b"QUIT"))
    assert s.say(Dialogue(turns, waits=False)) is None
    assert s.delivered == [Accepted("a@b", ("c@d",), b"x\r\n")]
    assert s.closed


def test_octets_as_they_are() -> None:
    s = session(rcpt)
    s.octets(b"NOOP\n")
    assert s.ok
    s.octets(b"NO\0OP\r\nNO")
    assert texts(s)[-1].startswith("500 ")
    s.octets(b"OP\r\n")
    assert s.ok


def test_exact_content() -> None:
    s = session(config=Config(bare_newline=BareNewline.REJECT))
    for exact in (False, True):
        s.mail("a@b")
        s.rcpt("c@d")
        s.message(b"a\nb\n", exact=exact)
        assert s.ok is not exact
    assert [message.content for message in s.delivered] == [b"a\r\nb\r\n"]


def test_what_the_client_sends_is_cut() -> None:
    pieces: list[bytes] = []

    def cut(octets: bytes) -> Iterator[bytes]:
        for piece in fixed(3)(octets):
            pieces.append(piece)
            yield piece

    s = session(rcpt, cut=cut)
    s.mail("a@b")
    assert s.rcpt("bob@old.example") == MOVED
    assert b"".join(pieces).startswith(b"EHLO client.example\r\nMAIL FROM:<a@b>\r\n")
    assert max(map(len, pieces)) == 3


def test_the_dialogue_so_far_is_a_script() -> None:
    s = session(rcpt, message, helo="me.example")
    s.mail("a@b")
    s.rcpt("bob@old.example")
    s.rcpt("bob@new.example")
    s.message(CONTENT)
    s.quit()
    assert "C: EHLO me.example\n    -> S: EHLO me.example\n" in s.script
    assert "    ? RCPT bob@old.example\n    ! answer 550 5.1.1 " in s.script
    play(s.script)
    assert repr(s) == "<Session: the last reply is 221 2.0.0 bye>"


@pytest.mark.parametrize("fails", [True, False])
async def test_an_error_is_given_the_dialogue(fails: bool) -> None:
    error = None
    for s in (session(rcpt), await async_session(rcpt)):
        try:
            with s as same:
                assert same is s
                assert not fails, "of the test"
        except AssertionError as raised:
            error = raised
            (note,) = raised.__notes__
            assert note == f"The dialogue (C: the client, S: the server, ->: what leaves):\n\n{s.script}"
    assert (error is not None) is fails


@each(
    ("step", "hint"),
    [
        (lambda s: s.say("C: NOOP"), r'a Dialogue, not str; .*s\.command\("NOOP"\).*play\(text\)'),
        (lambda s: s.send("ann@example.com", b""), r"an Envelope and a message, not str; .*s\.mail"),
        (lambda s: s.send(Envelope(), "Hello"), r"is bytes, not str; .*text\.encode\(\)"),
        (lambda s: s.message("Hello"), r"is bytes, not str; .*text\.encode\(\)"),
    ],
)
def test_a_step_says_what_to_pass(step: Callable[[Any], object], hint: str) -> None:
    with session() as s, pytest.raises(TypeError, match=hint):
        step(s)
