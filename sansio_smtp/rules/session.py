"""`RuleSession`: answers the questions of one `sansio_smtp.Proxy` with rules, in any driver.

It is used like this::

    session = RuleSession(ruleset, proxy)
    for event in proxy.receive_from(side, octets):
        if isinstance(event, Ask):
            verdict = session.judge_now(event.question)      # or: await session.judge(event.question)
            events += proxy.answer(event.question, verdict)

A question of the core is about a place in the dialogue; a rule is about a phase. One question may ask the
rules of several phases, and a verdict of a rule may take effect at a later question::

    question           phases that are asked             effect of a verdict
    CommandQuestion    command; helo, auth, mail, rcpt   the reply to the command; Discard of mail and
                                                         Hold are kept for DATA (`RuleTransaction`)
    … about DATA       command; data                     the reply, or how this message is treated:
                                                         Inspect at some places, or Swallow
    HeadersQuestion    headers                           the reply to the message, or another section
    BodyQuestion       body_line, body                   the same for the body: see the module `body`
    MessageQuestion    message                           the same; Hold: into the quarantine
    ClientQuestion     connect, again                    the end of the session, or another server
    ReplyQuestion      reply                             the end of the session, or another reply

What must never happen is that a message goes on which a rule wanted to refuse: so a rule that fails counts as
a refusal unless its ``on_error`` says otherwise; a path that servers may read in different ways is refused,
since rules cannot say whom it names; and so is RCPT or DATA without a transaction that rules have seen begin,
as the server may know a command that begins one. A rule never sees a credential.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final, TypeAlias

from sansio_smtp import questions
from sansio_smtp.config import Addresses
from sansio_smtp.proxy import own_replies
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import (
    Answer,
    AnyQuestion,
    AnyVerdict,
    BodyQuestion,
    ClientQuestion,
    CommandQuestion,
    Continue,
    Disconnect,
    HeadersQuestion,
    Inspect,
    MessageQuestion,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    ReplyQuestion,
    Route,
    Swallow,
)
from sansio_smtp.verbs import VERBS
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import identity

from .body import BodyStream
from .connection import Connection
from .decorators import OnError
from .headers import Headers
from .host import Host
from .message import Message, header_section_end
from .ruleset import Rule, RuleSet, meant
from .run_phase import Asker, run_at_once
from .transactions import Transactions
from .verdicts import Accept, Close, Discard, Hold, Redirect, Refusal, Verdict
from .views import (
    AuthAttempt,
    ClientCommand,
    Editable,
    Recipient,
    Sender,
    ServerReply,
    Transaction,
)

__all__ = ["RuleSession"]

Asked: TypeAlias = Refusal | Redirect | None
"""The result of asking the rules of a phase. None: they let it pass (so does `Accept`)."""

_PASS: Final = Continue()
_GREETING: Final = Command(b"", b"")


class RuleSession:
    """The rules of one connection.

    ``proxy`` asks the questions; it is made with ``ask=rules.ask``. ``on_error`` applies to rules that do not
    have their own. Make a new session for each connection. Nothing here waits, except for a rule or a `Host`.
    """

    def __init__(
        self,
        rules: RuleSet,
        proxy: Proxy,
        conn: Connection | None = None,
        host: Host | None = None,
        on_error: OnError = "defer",
    ) -> None:
        self.rules = rules
        self.conn = conn or Connection.of(proxy.client_info)
        self._proxy = proxy
        self._host = host or Host()
        self._asker = Asker(self._host, on_error)
        self._transactions = Transactions(self.conn)
        self._body: BodyStream | None = None
        self._changes = -1
        self.conn.follow(proxy.identity)

    # Which way to go

    def waits_for(self, question: AnyQuestion) -> bool:
        """Returns True if `judge` may wait for a rule, so that `judge_now` cannot be used."""
        if isinstance(question, MessageQuestion) and self._host.waits:
            return True  # a rule may say Hold
        return any(rule.waits for phase in _phases_of(question) for rule in self.rules.by_phase[phase])

    def judge_now(self, question: AnyQuestion) -> AnyVerdict:
        """The verdict for `Proxy.answer`, if no rule has to be awaited. Raises `LocalProtocolError` if one
        has."""
        verdict: AnyVerdict = run_at_once(self.judge(question))
        return verdict

    async def judge(self, question: AnyQuestion) -> AnyVerdict:
        """The verdict for `Proxy.answer`. An exception in a rule does not come out of it."""
        self.learn()
        if isinstance(question, CommandQuestion):
            return await self._command(question)
        if isinstance(question, ReplyQuestion):
            return await self._reply(question)
        if isinstance(question, HeadersQuestion):
            return await self._headers(question)
        if isinstance(question, BodyQuestion):
            return await self._body_piece(question)
        if isinstance(question, ClientQuestion):
            return await self._client_changed()
        return await self._message(question)

    # The connection

    def learn(self) -> None:
        """Brings `conn` up to date: who the client is, what it calls itself, and who has logged in."""
        proxy = self._proxy
        changes = proxy.client_changes
        if changes == self._changes:
            return
        self._changes = changes
        self.conn.learn(proxy.hello, proxy.accepted_login, proxy.identity, proxy.forwarded, proxy.server_tls)

    async def connect(self) -> Reply | str | None:
        """Asks the rules about a client that has just connected, before there is a server. Returns the reply
        that refuses it (for `Proxy.refuse`), or the address of the server to use, or None."""
        verdict = await self._ask("connect", self.conn)
        if isinstance(verdict, Redirect):
            return verdict.upstream
        return None if verdict is None else verdict.reply

    async def _client_changed(self) -> AnyVerdict:
        """Asks the same rules about the client that XCLIENT has named. A refusal ends the session, as for one
        that has just connected."""
        verdict = await self._ask("connect", self.conn)
        if isinstance(verdict, Redirect):
            return Route(verdict.upstream)
        return _PASS if verdict is None else Disconnect(verdict.reply)

    async def disconnect(self) -> None:
        """Tells the rules that the connection is over."""
        self.learn()
        await self._asker.first_verdict(self.rules.by_phase["disconnect"], self.conn, fails_open=True)

    # Commands

    async def _command(self, question: CommandQuestion) -> AnyVerdict:
        command = question.command
        if self.rules.by_phase["command"]:
            given = ClientCommand(command)
            verdict = await self._ask("command", self.conn, subject=given)
            if verdict is not None:
                return _refusal(verdict)
            command = given.replacement or command
        phase = _PHASES.get(command.verb)
        if phase is None:
            if command.verb not in VERBS and self.rules.sees_transactions and question.envelope.mail:
                return Answer(own_replies.UNKNOWN_VERB)  # it could add a recipient that no rule sees
            return self._passed(question, command)
        if command is question.command and not self._sees(phase):
            return _PASS
        return await self._asks[phase](self, question, command)

    def _sees(self, phase: str) -> bool:
        """Returns True if a command of this phase concerns some rule. Commands of the envelope concern each
        rule that sees a mail transaction, whatever its phase."""
        return bool(self.rules.by_phase[phase]) or (phase in _ENVELOPE and self.rules.sees_transactions)

    async def _helo(self, question: CommandQuestion, command: Command) -> AnyVerdict:
        name = command.argument.decode("utf-8", "backslashreplace").strip()
        return self._passed(question, command, await self._ask("helo", self.conn, name))

    async def _auth(self, question: CommandQuestion, command: Command) -> AnyVerdict:
        mechanism = command.argument.split(b" ")[0].upper().decode("ascii", "backslashreplace")
        sensitive = self._proxy.config.case_sensitive_logins
        attempt = AuthAttempt(mechanism, identity([command], case_sensitive=sensitive))
        return self._passed(question, command, await self._ask("auth", self.conn, attempt))

    async def _mail(self, question: CommandQuestion, command: Command) -> AnyVerdict:
        sender = Sender(command)
        mail = self._transactions.begin(question.command, sender)
        if self._is_refused(sender):
            return Answer(own_replies.bad_reverse_path(sender.problem))
        rules = self.rules.by_phase["mail"]
        verdict = await self._asker.first_verdict(
            rules, mail.tx, subject=sender, fits=lambda rule: rule.fits(sender.address)
        )
        sent = sender.finish()
        mail.note(verdict)
        mail.told(sent)
        return self._passed(question, sent, verdict)

    async def _rcpt(self, question: CommandQuestion, command: Command) -> AnyVerdict:
        mail = self._transactions.of(question.envelope)
        if mail is None:
            # If the server has begun a transaction, then by a command that no rule was asked about.
            return Answer(own_replies.NO_TRANSACTION)
        to = Recipient(command, utf8=mail.tx.utf8)
        if self._is_refused(to):
            return Answer(own_replies.bad_forward_path(to.problem))
        if mail.count >= self._proxy.config.max_recipients:
            return Answer(own_replies.TOO_MANY_RECIPIENTS)
        rules = self.rules.by_phase["rcpt"]
        verdict = await self._asker.first_verdict(
            rules, mail.tx, subject=to, fits=lambda rule: rule.fits(to.address)
        )
        sent = to.finish()
        if isinstance(verdict, Discard):
            mail.dropped(question.command)
            return Answer(verdict.reply)
        if verdict is not None and not isinstance(verdict, Hold | Redirect):
            return _refusal(verdict)
        mail.named(question.command, to)
        mail.note(verdict)
        return self._passed(question, sent, verdict)

    def _is_refused(self, path: Sender | Recipient) -> bool:
        """Returns True for a path in which servers may read another mailbox than the rules."""
        strict = self._proxy.config.addresses is Addresses.STRICT
        return bool(path.problem) and (strict or path.path is None)

    def _passed(self, question: CommandQuestion, command: Command, verdict: Asked = None) -> AnyVerdict:
        """The verdict for the core on a command, as the rules have left it."""
        replaced = command is not question.command
        if isinstance(verdict, Redirect):
            return Route(verdict.upstream, command if replaced else None)
        if verdict is not None and not isinstance(verdict, Hold | Discard):
            return _refusal(verdict)
        return ReplaceCommand(command) if replaced else _PASS

    async def _data(self, question: CommandQuestion, command: Command) -> AnyVerdict:
        self._body = None
        mail = self._transactions.of(question.envelope)
        if mail is None:
            return Answer(own_replies.NO_TRANSACTION)
        if not question.envelope.recipients:
            return Answer(own_replies.NO_RECIPIENT)
        for_server = mail.settle(question.envelope.recipients)
        tx = mail.tx
        tx.allow_adding(True)
        verdict = await self._ask_meant("data", tx)
        tx.allow_adding(False)
        mail.note(verdict)
        if verdict is not None and not isinstance(verdict, Hold | Discard):
            return _refusal(verdict)
        if isinstance(mail.fate, Discard):
            return Swallow(mail.fate.reply)
        if isinstance(mail.fate, Hold):
            return Inspect(frozenset((questions.MESSAGE,)))
        if not for_server:
            return Swallow(Discard().reply)
        places = self.rules.content_places(to.address for to in tx.rcpts)
        return Inspect(places, mail.take_added())

    _asks: ClassVar[dict[str, Callable[[RuleSession, CommandQuestion, Command], Awaitable[AnyVerdict]]]] = {
        "helo": _helo,
        "auth": _auth,
        "mail": _mail,
        "rcpt": _rcpt,
        "data": _data,
    }
    """phase of a command → the method that asks its rules."""

    # Content

    async def _headers(self, question: HeadersQuestion) -> AnyVerdict:
        tx = self._transactions.current(question.envelope)
        headers = Headers(question.data, utf8=tx.utf8)
        verdict = await self._ask_meant("headers", tx, subject=headers)
        if verdict is not None:
            return _refusal(verdict)
        return Replace(headers.raw) if headers.edited else _PASS

    async def _body_piece(self, question: BodyQuestion) -> AnyVerdict:
        if self._body is None:
            tx = self._transactions.current(question.envelope)
            rules = [
                rule for rule in self.rules.rules if rule.phase in ("body", "body_line") and _meant(rule, tx)
            ]
            self._body = BodyStream(self._asker, tx, rules, self._proxy.config.max_body_line)
        left = await self._body.feed(question.data, last=question.last)
        if isinstance(left, bytes):
            return _PASS if left == question.data else Replace(left)
        return _refusal(left)

    async def _message(self, question: MessageQuestion) -> AnyVerdict:
        mail = self._transactions.of(question.envelope)
        tx = self._transactions.current(question.envelope)
        limit = self._proxy.config.max_header_section
        if header_section_end(question.data) > limit:
            return Answer(own_replies.header_section_too_large(limit))
        message = Message(question.data, utf8=tx.utf8)
        hold = mail.fate if mail and isinstance(mail.fate, Hold) else None
        if hold is None:
            tx.allow_adding(True)
            verdict = await self._ask_meant("message", tx, subject=message)
            tx.allow_adding(False)
            if isinstance(verdict, Hold):
                hold = verdict
            elif verdict is not None:
                return _refusal(verdict)
        if hold is not None:
            return await self._keep(tx, message, hold)
        added = mail.take_added() if mail else ()
        if not message.edited:
            return Continue(added)
        if message.body_edited:
            return Replace(message.raw, added)
        return Replace(message.section, added, rest=message.body_start)

    async def _keep(self, tx: Transaction, message: Message, hold: Hold) -> AnyVerdict:
        try:
            await self._host.hold(tx, message.raw, hold)
        except OSError:
            return Answer(own_replies.NOT_KEPT)
        return Answer(hold.reply)

    # Replies

    async def _reply(self, question: ReplyQuestion) -> AnyVerdict:
        answer = ServerReply(question.reply)
        tx = self._transactions.current(question.envelope, question.command)
        command = ClientCommand(question.command or _GREETING)
        # The reply says what the server has done. A rule that fails must not hide that.
        verdict = await self._asker.first_verdict(
            self.rules.by_phase["reply"], tx, command, subject=answer, fails_open=True
        )
        if isinstance(verdict, Close):
            return Disconnect(verdict.reply)
        return ReplaceReply(answer.replacement) if answer.replacement is not None else _PASS

    # Asking

    async def _ask(self, phase: str, *arguments: Any, subject: Editable | None = None) -> Asked:
        return await self._asker.first_verdict(self.rules.by_phase[phase], *arguments, subject=subject)

    async def _ask_meant(self, phase: str, tx: Transaction, subject: Editable | None = None) -> Asked:
        """Asks the rules of a phase that apply to a message to these recipients."""
        rules = self.rules.by_phase[phase]
        return await self._asker.first_verdict(rules, tx, subject=subject, fits=lambda rule: _meant(rule, tx))


def _meant(rule: Rule, tx: Transaction) -> bool:
    return meant(rule, [to.address for to in tx.rcpts])


def _refusal(verdict: Verdict) -> AnyVerdict:
    assert not isinstance(verdict, Accept | Redirect)  # no phase that comes here takes Redirect
    return Disconnect(verdict.reply) if isinstance(verdict, Close) else Answer(verdict.reply)


def _phases_of(question: AnyQuestion) -> tuple[str, ...]:
    if isinstance(question, CommandQuestion):
        return "command", _PHASES.get(question.command.verb, "command")
    return _OTHER_PHASES[type(question)]


_PHASES: Final = {name: verb.phase for name, verb in VERBS.items() if verb.phase is not None}
_ENVELOPE: Final = ("mail", "rcpt", "data")
_OTHER_PHASES: Final[dict[type, tuple[str, ...]]] = {
    HeadersQuestion: ("headers",),
    BodyQuestion: ("body_line", "body"),
    MessageQuestion: ("message",),
    ReplyQuestion: ("reply",),
    ClientQuestion: ("connect",),
}
