"""`RuleSession`: answers the questions of one `sansio_smtp.Proxy` with rules, in any driver.

It is used like this::

    session = RuleSession(ruleset, proxy)
    for event in proxy.receive_from(side, octets):
        if isinstance(event, Ask):
            verdict = session.judge_now(event.question)      # or: await session.judge(event.question)
            events += proxy.answer(event.question, verdict)

A question of the core belongs to a place in the dialogue; a rule belongs to a phase. One question may ask the
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
    AttemptQuestion    login                             the reply to the client's login
    ReplyQuestion      reply                             the end of the session, or another reply

What must never happen is that a message passes that a rule wanted to refuse. So a rule that fails counts as a
refusal unless its ``on_error`` says otherwise. A path that servers may read in different ways is refused,
because rules cannot know its mailbox. RCPT and DATA are refused without a transaction whose beginning rules
have seen, because the server may know another command that begins one. A rule sees no credentials, except for
a password in phase ``login`` that it asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from sansio_smtp import questions
from sansio_smtp.config import Addresses, Dialect, LoginMode
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import MessageAnswered
from sansio_smtp.proxy import own_replies
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import (
    Answer,
    AnyQuestion,
    AnyVerdict,
    AttemptQuestion,
    BodyQuestion,
    ClientQuestion,
    CommandQuestion,
    Continue,
    HeadersQuestion,
    Inspect,
    LoginQuestion,
    MessageQuestion,
    Replace,
    ReplyQuestion,
    Swallow,
)
from sansio_smtp.verbs import VERBS
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import identity

from . import outcomes
from .body import BodyStream
from .connection import Connection
from .decorators import OnError
from .headers import Headers
from .host import Host
from .later import Later, Soon, awaited, then
from .message import Message
from .ruleset import ENVELOPE_PHASES, Rule, RuleSet, meant
from .run_phase import Asked, Asker
from .transactions import RuleTransaction, Transactions
from .verdicts import Discard, Hold, Redirect
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

_GREETING: Final = Command(b"", b"")


class RuleSession:
    """The rules of one connection.

    ``proxy`` asks the questions; make it with ``ask=rules.ask``. ``on_error`` applies to rules without their
    own. ``server_checks_logins`` is False if the server to which the proxy logs in never gets the client's
    password: then a rule must accept the client. Make a new session for each connection. Nothing here waits,
    except for a rule or a `Host`.
    """

    def __init__(
        self,
        rules: RuleSet,
        proxy: Proxy,
        conn: Connection | None = None,
        host: Host | None = None,
        on_error: OnError = "defer",
        *,
        server_checks_logins: bool = True,
    ) -> None:
        self.rules = rules
        self.conn = conn or Connection.of(proxy.client_info)
        self._proxy = proxy
        self._tally = proxy.tally
        self._max_recipients = proxy.config.max_recipients
        self._host = host or Host()
        self._server_decides = server_checks_logins and proxy.config.login_mode is LoginMode.TRANSLATE
        self._asker = Asker(self._host, on_error)
        self._transactions = Transactions(self.conn)
        self._body: BodyStream | None = None
        asked = rules.by_phase["data"] or rules.by_phase["command"]
        self._inspection = None if asked else rules.usual_inspection
        self._changes = -1
        self._known: tuple[AnyQuestion, Soon[AnyVerdict]] | None = None
        self.conn.follow(proxy.identity)

    # Finding the verdict

    def ahead(self, question: AnyQuestion) -> AnyVerdict | None:
        """For `Proxy.ask_ahead`: like `start`, but before the question is asked. None if something must be
        awaited, or has failed. If the question is then asked, `start` returns the same verdict."""
        self._known = None
        try:
            if self._tally.client_changes != self._changes:
                self.learn()
            if type(question) is CommandQuestion and question.command.verb == b"RCPT":  # saves calls
                said = self._rcpt(question, question.command)
            elif type(question) is HeadersQuestion:
                said = self._headers(question)
            else:
                said = self._ask(question)
        except Exception:
            return None  # the question comes again, and raises the error again
        self._known = question, said
        return None if isinstance(said, Later) else said

    def ahead_of_content(self, envelope: Envelope) -> Inspect | None:
        """For `Proxy.ask_ahead`: the verdict on DATA for this envelope, which has recipients, if it is the
        usual one; None if the question must be asked."""
        usual = self._inspection
        if usual is None:
            return None
        self._known = None
        mail = self._transactions.of(envelope)
        if mail is None or mail.fate is not None or mail.tx.added or not mail.settle(envelope.recipients):
            return None
        self._body = None
        return usual

    def start(self, question: AnyQuestion) -> Soon[AnyVerdict]:
        """The verdict for `Proxy.answer`; or an awaitable for it, if a rule or the host must be awaited.
        Rules that need not be awaited have then been called. Exceptions in rules are not raised."""
        if self._known is not None:
            (before, said), self._known = self._known, None
            if _is_same(before, question):
                return said
        return self._ask(question)

    def _ask(self, question: AnyQuestion) -> Soon[AnyVerdict]:
        if self._proxy.client_changes != self._changes:
            self.learn()
        if type(question) is CommandQuestion:
            phase = self.rules.phase_of_verb.get(question.command.verb)
            if phase is not None:
                return self._asks_of_phase[phase](self, question, question.command)
        return self._asks[type(question)](self, question)

    def waits_for(self, question: AnyQuestion) -> bool:
        """Returns True if `judge` may wait for a rule, so that `judge_now` cannot be used."""
        if isinstance(question, MessageQuestion) and self._host.waits:
            return True  # a rule may return Hold
        return any(rule.waits for phase in _phases_of(question) for rule in self.rules.by_phase[phase])

    def judge_now(self, question: AnyQuestion) -> AnyVerdict:
        """The verdict for `Proxy.answer`, if no rule must be awaited. Raises `LocalProtocolError` if one
        must."""
        said = self.start(question)
        return said.at_once() if isinstance(said, Later) else said

    async def judge(self, question: AnyQuestion) -> AnyVerdict:
        """The verdict for `Proxy.answer`. Exceptions in rules are not raised."""
        said = self.start(question)
        if isinstance(said, Later):
            return await said
        return said

    # The connection

    def learn(self) -> None:
        """Updates `conn`: the client, its EHLO name, and its login."""
        proxy = self._proxy
        changes = proxy.client_changes
        if changes == self._changes:
            return
        self._changes = changes
        self.conn.learn(proxy.hello, proxy.accepted_login, proxy.identity, proxy.forwarded, proxy.server_tls)

    async def connect(self) -> Reply | str | None:
        """Asks the rules about a client that has just connected, before there is a server. Returns the reply
        that refuses it (for `Proxy.refuse`), or the address of the server to use, or None."""
        verdict = await awaited(self._asker.first_verdict(self.rules.by_phase["connect"], self.conn))
        if isinstance(verdict, Redirect):
            return verdict.upstream
        return None if verdict is None else verdict.reply

    def _client_changed(self, question: ClientQuestion) -> Soon[AnyVerdict]:
        """Asks the same rules about the client that XCLIENT has named. A refusal ends the session, as for a
        client that has just connected."""
        return then(self._asker.first_verdict(self.rules.by_phase["connect"], self.conn), outcomes.of_client)

    async def disconnect(self) -> None:
        """Tells the rules that the connection is over."""
        self.learn()
        rules = self.rules.by_phase["disconnect"]
        await awaited(self._asker.first_verdict(rules, self.conn, fails_open=True))

    # Commands

    def _command(self, question: CommandQuestion) -> Soon[AnyVerdict]:
        rules = self.rules.by_phase["command"]
        if not rules:
            return self._of_verb(question, question.command)
        given = ClientCommand(question.command)
        said = self._asker.first_verdict(rules, self.conn, subject=given)
        return then(said, self._commanded, question, given)

    def _commanded(self, verdict: Asked, question: CommandQuestion, given: ClientCommand) -> Soon[AnyVerdict]:
        if verdict is not None:
            return outcomes.refusal(verdict)
        return self._of_verb(question, given.replacement or question.command)

    def _of_verb(self, question: CommandQuestion, command: Command) -> Soon[AnyVerdict]:
        """Asks the rules of this command's phase. ``command`` is the result of the rules of phase
        ``command``."""
        phase = _PHASES.get(command.verb)
        rules = self.rules
        if phase is None:
            if command.verb not in VERBS and rules.sees_transactions and question.envelope.mail:
                return Answer(own_replies.UNKNOWN_VERB)  # it could add a recipient that rules do not see
            return outcomes.of_command(None, question, command)
        # Commands of the envelope matter to each rule that sees a mail transaction, in any phase.
        sees = rules.by_phase[phase] or (rules.sees_transactions and phase in ENVELOPE_PHASES)
        if not sees and command is question.command:
            return outcomes.PASS
        return self._asks_of_phase[phase](self, question, command)

    def _helo(self, question: CommandQuestion, command: Command) -> Soon[AnyVerdict]:
        name = command.argument.decode("utf-8", "backslashreplace").strip()
        said = self._asker.first_verdict(self.rules.by_phase["helo"], self.conn, name)
        return then(said, outcomes.of_command, question, command)

    def _auth(self, question: CommandQuestion, command: Command) -> Soon[AnyVerdict]:
        mechanism = command.argument.split(b" ")[0].upper().decode("ascii", "backslashreplace")
        sensitive = self._proxy.config.case_sensitive_logins
        attempt = AuthAttempt(mechanism, identity([command], case_sensitive=sensitive))
        said = self._asker.first_verdict(self.rules.by_phase["auth"], self.conn, attempt)
        return then(said, outcomes.of_command, question, command)

    def _login(self, question: AttemptQuestion) -> Soon[AnyVerdict]:
        rules = self.rules.by_phase["login"]
        said = self._asker.first_verdict(rules, self.conn, question.attempt, keeps_accept=True)
        return then(said, outcomes.of_attempt, self._server_decides)

    def _server_login(self, question: LoginQuestion) -> Soon[AnyVerdict]:
        """Refuses: rules cannot provide a login."""
        return Answer(question.refusal)

    def _mail(self, question: CommandQuestion, command: Command) -> Soon[AnyVerdict]:
        sender = Sender(command)
        mail = self._transactions.begin(question.command, sender)
        if sender.problem and self._is_refused(sender):
            return Answer(own_replies.bad_reverse_path(sender.problem))
        rules = self.rules.by_phase["mail"]
        if not rules:
            mail.told(sender.finish())
            return outcomes.of_command(None, question, command)
        said = self._asker.first_verdict(
            rules, mail.tx, subject=sender, fits=lambda rule: rule.fits(sender.address)
        )
        return then(said, self._mail_judged, question, mail, sender)

    def _mail_judged(
        self, verdict: Asked, question: CommandQuestion, mail: RuleTransaction, sender: Sender
    ) -> AnyVerdict:
        sent = sender.finish()
        if verdict is not None:
            mail.note(verdict)
        mail.told(sent)
        return outcomes.of_command(verdict, question, sent)

    def _rcpt(self, question: CommandQuestion, command: Command) -> Soon[AnyVerdict]:
        mail = self._transactions.of(question.envelope)
        if mail is None:
            # If the server has begun a transaction, a command that rules have not seen began it.
            return Answer(own_replies.NO_TRANSACTION)
        tx = mail.tx
        to = Recipient(command, utf8=mail.utf8)
        if to.problem and self._is_refused(to):
            return Answer(own_replies.bad_forward_path(to.problem))
        most = self._max_recipients  # rules may not have seen all RCPTs of an envelope
        if mail.count >= most or len(question.envelope.recipients) >= most:
            return Answer(own_replies.TOO_MANY_RECIPIENTS)
        rules = self.rules.by_phase["rcpt"]
        if not rules:
            return self._rcpt_judged(None, question, mail, to)
        said = self._asker.first_verdict(rules, tx, subject=to, fits=lambda rule: rule.fits(to.address))
        if said is None and to.finish() is question.command:  # nearly always
            mail.named(command, to)
            return outcomes.PASS
        return then(said, self._rcpt_judged, question, mail, to)

    def _rcpt_judged(
        self, verdict: Asked, question: CommandQuestion, mail: RuleTransaction, to: Recipient
    ) -> AnyVerdict:
        sent = to.finish()
        if isinstance(verdict, Discard):
            mail.dropped(question.command)
            return Answer(verdict.reply)
        if verdict is not None and not isinstance(verdict, Hold | Redirect):
            return outcomes.refusal(verdict)
        mail.note(verdict)
        mail.named(question.command, to)
        return outcomes.of_command(verdict, question, sent)

    def _is_refused(self, path: Sender | Recipient) -> bool:
        """Returns True if the path has a problem and must not be sent: servers may read another mailbox in it
        than the rules."""
        return self._proxy.config.addresses is Addresses.STRICT or path.path is None

    def _data(self, question: CommandQuestion, command: Command) -> Soon[AnyVerdict]:
        self._body = None
        mail = self._transactions.of(question.envelope)
        if mail is None:
            return Answer(own_replies.NO_TRANSACTION)
        accepted = question.envelope.recipients
        if not accepted:
            is_lmtp = self._proxy.config.client_dialect is Dialect.LMTP
            return Answer(own_replies.NO_RECIPIENT_LMTP if is_lmtp else own_replies.NO_RECIPIENT)
        for_server = mail.settle(accepted)
        rules = self.rules.by_phase["data"]
        if not rules:
            usual = self.rules.usual_inspection
            if usual is not None and mail.fate is None and for_server and not mail.tx.added:
                return usual
            return self._data_judged(None, mail, for_server)
        mail.tx.allow_adding(True)
        return then(self._ask_meant(rules, mail.tx), self._data_judged, mail, for_server)

    def _data_judged(self, verdict: Asked, mail: RuleTransaction, for_server: bool) -> AnyVerdict:
        tx = mail.tx
        if verdict is not None:
            mail.note(verdict)
        tx.allow_adding(False)
        if verdict is not None and not isinstance(verdict, Hold | Discard):
            return outcomes.refusal(verdict)
        if isinstance(mail.fate, Discard):
            return Swallow(mail.fate.reply)
        if isinstance(mail.fate, Hold):
            return Inspect(frozenset((questions.MESSAGE,)))
        if not for_server:
            return Swallow(Discard().reply)
        return self.rules.inspection((to.address for to in tx.rcpts), mail.take_added())

    # Content

    def _headers(self, question: HeadersQuestion) -> Soon[AnyVerdict]:
        mail = self._transactions.of(question.envelope)
        tx = Transaction(self.conn) if mail is None else mail.tx
        headers = Headers(question.data, utf8=mail is not None and mail.utf8)
        said = self._asker.first_verdict(
            self.rules.by_phase["headers"], tx, subject=headers, fits=lambda rule: _meant(rule, tx)
        )
        if said is None and not headers.revision:  # nearly always
            return outcomes.PASS
        return then(said, outcomes.of_headers, headers)

    def _body_piece(self, question: BodyQuestion) -> Soon[AnyVerdict]:
        if self._body is None:
            tx = self._transactions.current(question.envelope)
            rules = [
                rule for rule in self.rules.rules if rule.phase in ("body", "body_line") and _meant(rule, tx)
            ]
            self._body = BodyStream(self._asker, tx, rules, self._proxy.config.max_body_line)
        return then(self._body.feed(question.data, last=question.last), outcomes.of_body, question)

    def _message(self, question: MessageQuestion) -> Soon[AnyVerdict]:
        mail = self._transactions.of(question.envelope)
        tx = self._transactions.current(question.envelope)
        limit = self._proxy.config.max_header_section
        message = Message(question.data, utf8=tx.utf8)
        if message.body_start > limit:
            return Answer(own_replies.header_section_too_large(limit))
        if mail is not None and isinstance(mail.fate, Hold):
            return Later(self._keep, tx, message, mail.fate)
        tx.allow_adding(True)
        said = self._ask_meant(self.rules.by_phase["message"], tx, subject=message)
        return then(said, self._message_judged, mail, tx, message)

    def _message_judged(
        self, verdict: Asked, mail: RuleTransaction | None, tx: Transaction, message: Message
    ) -> Soon[AnyVerdict]:
        tx.allow_adding(False)
        if isinstance(verdict, Hold):
            return Later(self._keep, tx, message, verdict)
        if verdict is not None:
            return outcomes.refusal(verdict)
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

    def _reply(self, question: ReplyQuestion) -> Soon[AnyVerdict]:
        to = question.recipient
        mail = None if to is None else self._transactions.of(question.envelope)
        answer = ServerReply(question.reply, None if mail is None or to is None else mail.recipient(to))
        tx = self._transactions.current(question.envelope, question.command)
        command = ClientCommand(question.command or _GREETING)
        # The reply tells what the server has done. A failing rule must not hide that.
        said = self._asker.first_verdict(
            self.rules.by_phase["reply"], tx, command, subject=answer, fails_open=True
        )
        return then(said, outcomes.of_reply, answer)

    def delivered(self, answered: MessageAnswered) -> Later[Asked] | None:
        """Tells the rules the result of a message. Call it for each such event, in order. Returns an
        awaitable if a rule must still be awaited; that can be done at any time."""
        rules = self.rules.by_phase["delivered"]
        mail = self._transactions.of(answered.envelope) if rules else None
        if mail is None:
            return None
        tx, results = mail.tx, mail.results(answered)
        said = self._asker.first_verdict(
            rules, tx, results, fits=lambda rule: _meant(rule, tx), fails_open=True
        )
        return said if isinstance(said, Later) else None

    # Asking

    def _ask_meant(
        self, rules: Sequence[Rule], tx: Transaction, subject: Editable | None = None
    ) -> Soon[Asked]:
        """Asks the rules of a phase that apply to a message to these recipients."""
        return self._asker.first_verdict(rules, tx, subject=subject, fits=lambda rule: _meant(rule, tx))

    _asks: ClassVar[dict[type, Callable[[RuleSession, Any], Soon[AnyVerdict]]]] = {
        CommandQuestion: _command,
        ReplyQuestion: _reply,
        HeadersQuestion: _headers,
        BodyQuestion: _body_piece,
        MessageQuestion: _message,
        ClientQuestion: _client_changed,
        AttemptQuestion: _login,
        LoginQuestion: _server_login,
    }
    """Type of a question → the method that asks the rules about it."""
    _asks_of_phase: ClassVar[
        dict[str, Callable[[RuleSession, CommandQuestion, Command], Soon[AnyVerdict]]]
    ] = {"helo": _helo, "auth": _auth, "mail": _mail, "rcpt": _rcpt, "data": _data}
    """Phase of a command → the method that asks its rules."""


def _meant(rule: Rule, tx: Transaction) -> bool:
    return meant(rule, [to.address for to in tx.rcpts])


def _is_same(before: AnyQuestion, question: AnyQuestion) -> bool:
    """Returns True if this question is the one that was asked ahead."""
    if isinstance(question, CommandQuestion):
        return isinstance(before, CommandQuestion) and before.command is question.command
    return (
        isinstance(question, HeadersQuestion)
        and isinstance(before, HeadersQuestion)
        and before.data == question.data
    )


def _phases_of(question: AnyQuestion) -> tuple[str, ...]:
    if isinstance(question, CommandQuestion):
        return "command", _PHASES.get(question.command.verb, "command")
    return _OTHER_PHASES[type(question)]


_PHASES: Final = {name: verb.phase for name, verb in VERBS.items() if verb.phase is not None}
_OTHER_PHASES: Final[dict[type, tuple[str, ...]]] = {
    HeadersQuestion: ("headers",),
    BodyQuestion: ("body_line", "body"),
    MessageQuestion: ("message",),
    ReplyQuestion: ("reply",),
    ClientQuestion: ("connect",),
    AttemptQuestion: ("login",),
    LoginQuestion: (),
}
