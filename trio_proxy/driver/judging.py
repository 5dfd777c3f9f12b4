"""Gets the verdicts for a session, and answers questions for which a rule has failed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, cast

import trio

from sansio_smtp import Answer, Disconnect, Event, LocalProtocolError, MessageAnswered, Proxy, Reply
from sansio_smtp.questions import (
    AnyQuestion,
    AnyVerdict,
    CommandQuestion,
    Continue,
    LoginQuestion,
    ReplaceReply,
    ReplyQuestion,
)
from sansio_smtp.rules import Connection, RuleSession, RuleSet
from sansio_smtp.rules.later import Later
from trio_proxy.account.account import Account
from trio_proxy.rulebook.metered_host import make_host
from trio_proxy.text.session_log import SessionLog
from trio_proxy.text.transcript import Transcript

from .own_replies import RULE_FAILED
from .settings import Judge, Settings

if TYPE_CHECKING:  # its library is an extra
    from trio_proxy.tracing.sessions import SessionTrace

__all__ = ["Judging"]

_DISCONNECT_SECONDS: Final = 10.0


class Judging:
    """Answers the questions of one session with its rules, or with `Settings.judge`.

    If judging itself fails, the command or message must not pass without a verdict: the answer is 451, and
    the session ends. An error of the core while it takes a verdict is not a failure of a rule, so it is
    raised.
    """

    __slots__ = (
        "_account",
        "_hurries",
        "_judge",
        "_last_scope",
        "_lease",
        "_log",
        "_login",
        "_rules",
        "_ruleset",
        "_settings",
        "_trace",
    )

    def __init__(
        self, settings: Settings, log: SessionLog, account: Account, trace: SessionTrace | None = None
    ) -> None:
        self._settings = settings
        self._log = log
        self._account = account
        self._trace = trace
        self._judge: Judge | None = settings.judge
        self._login = None if settings.logins is None else settings.logins.of_session(log)
        self._rules: RuleSession | None = None
        self._last_scope: trio.CancelScope | None = None
        self._hurries = False
        # Kept without an exit stack, which takes 0.8 KB.
        self._lease: AbstractContextManager[RuleSet] | None = None
        self._ruleset: RuleSet | None = None
        if settings.rules is not None:
            lease = settings.rules()
            self._ruleset = lease.__enter__()
            self._lease = lease

    @property
    def ask(self) -> frozenset[str]:
        """The names of the questions that the rules want."""
        return self._settings.ask if self._ruleset is None else self._ruleset.ask

    @property
    def is_told_of_ends(self) -> bool:
        """True if there are rules for the beginning or the end of a session. These may have to be awaited."""
        ruleset = self._ruleset
        return ruleset is not None and bool(ruleset.by_phase["connect"] or ruleset.by_phase["disconnect"])

    @property
    def _has_login_rule(self) -> bool:
        return self._ruleset is not None and bool(self._ruleset.by_phase["login"])

    def begin(self, proxy: Proxy, number: int, transcript: Transcript | None) -> None:
        """From now on the rules answer for this dialogue."""
        if self._ruleset is None or not self._ruleset.rules:
            return
        settings = self._settings.rule_settings
        make = make_host if self._trace is None else self._trace.host
        host = make(settings, self._log, transcript, self._account)
        connection = Connection.of(proxy.client_info, f"c{number}")
        self._rules = RuleSession(
            self._ruleset,
            proxy,
            connection,
            host,
            settings.on_error,
            server_checks_logins=self._login is None or not self._login.shows_tokens,
        )
        if not self._ruleset.by_phase["delivered"]:  # these rules get events
            rules = self._rules
            proxy.ask_ahead(rules.ahead, rules.ahead_of_content, self._ruleset.unasked)

    async def connect(self) -> Reply | str | None:
        """The reply with which to refuse the client, the server to use for it, or None."""
        return None if self._rules is None else await self._rules.connect()

    def start(self, proxy: Proxy, question: AnyQuestion) -> list[Event] | Later[list[Event]]:
        """Returns the events that follow from the verdict; or an awaitable for them, if a rule must be
        awaited. Rules that need not be awaited are called at once, without a task or coroutine."""
        try:
            said: AnyVerdict | Later[AnyVerdict]
            if isinstance(question, LoginQuestion):  # rules do not decide the login at servers
                said = Later(self._log_in, question)
            elif self._rules is not None:
                said = self._rules.start(question)
            else:
                assert self._judge is not None  # without one, `ask` is empty
                said = Later(self._judge, question)
        except Exception as error:
            said = self._failed(error)
        if isinstance(said, Continue) and not said.recipients:  # nearly always, and it fits every question
            return proxy.answer(cast("Any", question), said)
        if isinstance(said, Later):
            return Later(self._wait, proxy, question, said)
        return self._answer(proxy, question, said)

    async def _wait(self, proxy: Proxy, question: AnyQuestion, said: Later[AnyVerdict]) -> list[Event]:
        try:
            verdict = await said
        except Exception as error:
            verdict = self._failed(error)
        if not isinstance(verdict, Answer):
            # A session whose time is over passes nothing on: the server would accept a message, and the
            # client would be told that it did not. What rules have already done, such as holding it, is still
            # recorded.
            await trio.lowlevel.checkpoint_if_cancelled()
        return self._answer(proxy, question, verdict)

    async def _log_in(self, question: LoginQuestion) -> AnyVerdict:
        try:
            if self._login is None:
                self._log.error("there is nothing to log in with")
            elif question.attempt is not None and self._login.shows_tokens and not self._has_login_rule:
                self._log.error(
                    "no login: no rule checks the passwords of clients, and the server does not see them"
                )
            else:
                return await self._login.answer(question)
        except Exception as error:
            self._log.error("login failed", exc_info=error)
        return Answer(question.refusal)

    def delivered(self, event: MessageAnswered) -> Later[Any] | None:
        """Tells the rules what became of a message. Returns an awaitable if a rule must be awaited."""
        return None if self._rules is None else self._rules.delivered(event)

    async def disconnect(self) -> None:
        """Tells the rules that the client is gone, whatever ended the session. They have ten seconds."""
        if self._rules is None:
            return
        with trio.CancelScope(deadline=trio.current_time() + _DISCONNECT_SECONDS, shield=True) as scope:
            self._last_scope = scope
            if self._hurries:
                self.hurry()
            await self._rules.disconnect()
        if scope.cancelled_caught:
            self._log.warning("a disconnect rule did not end")

    def hurry(self) -> None:
        """The service stops now: it does not wait for `disconnect`."""
        self._hurries = True
        if self._last_scope is not None:
            self._last_scope.cancel(reason="the service is shutting down")

    def close(self) -> None:
        """The rules are not needed any more."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.__exit__(None, None, None)

    def _answer(self, proxy: Proxy, question: AnyQuestion, verdict: AnyVerdict) -> list[Event]:
        asked: Any = question
        if isinstance(verdict, Answer) and isinstance(question, CommandQuestion):
            self._account.ruled(question.command, question.envelope, verdict.reply)
        elif isinstance(verdict, ReplaceReply) and isinstance(question, ReplyQuestion):
            self._account.replaced(question, verdict.reply)
        try:
            return proxy.answer(asked, verdict)
        except LocalProtocolError as error:
            # Either the question does not allow this verdict, and is still open; or the core has failed, and
            # answering again shows that.
            events = proxy.answer(asked, Disconnect(RULE_FAILED))
            self._failed(error)
            return events

    def _failed(self, error: Exception) -> Disconnect:
        self._log.error("rule failed, closing", exc_info=error)
        return Disconnect(RULE_FAILED)
