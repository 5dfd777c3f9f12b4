"""A dialogue in which rules are asked, driven as a driver does it: those that wait are gone on with when the
schedule says so."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import attrs

from sansio_smtp import Connect, Event, MessageAnswered, Reply
from sansio_smtp.rules import Connection, Hold, Host, Rule, RuleSession, RuleSet, Transaction
from sansio_smtp.rules.decorators import OnError

from .harness import World
from .promises import Account, number_of
from .rules_drawn import HELD, Drawn
from .scripts import tells_dialogue

__all__ = ["RulesWorld", "assert_truth_of_rules", "world_of"]


class DrawnHost(Host):
    """A driver whose quarantine takes its time, and may be full."""

    waits = True

    def __init__(self, full: bool) -> None:
        super().__init__()
        self.full = full

    def failed(self, rule: Rule, error: BaseException) -> str:
        """The name is the same each time: how often rules fail in lines of the body that nobody gets to see
        depends on the cuts."""
        super().failed(rule, error)
        return "1"

    async def hold(self, tx: Transaction, message: bytes, verdict: Hold) -> None:
        if self.full:
            raise OSError("no room")
        await super().hold(tx, bytes(message), verdict)


@attrs.define
class RulesWorld(World):
    """``ask`` and ``judge`` are those of the rules."""

    rules: RuleSet = attrs.field(factory=RuleSet)
    on_error: OnError = "defer"
    full: bool = False
    """True if the quarantine is."""

    host: DrawnHost = attrs.field(init=False)
    session: RuleSession = attrs.field(init=False)
    disconnected: bool = attrs.field(default=False, init=False)
    _waiting: Coroutine[Any, Any, Any] | None = attrs.field(default=None, init=False)
    connected: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.ask = self.rules.ask
        super().__attrs_post_init__()
        self.host = DrawnHost(self.full)
        conn = Connection("192.0.2.1:4000", "c1")
        self.session = RuleSession(self.rules, self.proxy, conn, self.host, self.on_error)

    @property
    def edited(self) -> bool:
        return any(rule.name != "let pass" for rule in self.rules.rules)

    def run(self) -> RulesWorld:
        super().run()
        self.finish()
        return self

    def finish(self) -> None:
        """The connection is over; a rule that is still waited for is not waited for any longer."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
        done = self._go_on(self.session.disconnect)
        while not done:
            done = self._go_on(self.session.disconnect)
        self.disconnected = True

    def take(self, events: list[Event]) -> None:
        super().take(events)
        for event in events:
            if isinstance(event, MessageAnswered):
                self.session.delivered(event)
        while self.question is not None and not self.session.waits_for(self.question):
            question, self.question = self.question, None
            verdict = self.session.judge_now(question)
            self.log.judged(verdict, question)
            super().take(self.proxy.answer(question, verdict))

    def answer(self, _: int) -> list[Event]:
        question = self.question
        assert question is not None
        done = self._go_on(lambda: self.session.judge(question))
        if not done:
            return []
        self.question = None
        self.log.judged(done[0], question)
        return self.proxy.answer(question, done[0])

    def ask_to_connect(self, _: int) -> list[Event]:
        """The rules are asked before there is a server."""
        done = self._go_on(self.session.connect)
        if not done:
            return []
        self.connected = True
        if isinstance(done[0], Reply):
            return self.proxy.refuse(done[0])
        self.upstreams = [done[0]]
        return []

    def _options(self) -> list[Callable[[int], list[Event]]]:
        return super()._options() if self.connected else [self.ask_to_connect]

    def _go_on(self, begin: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[Any] | None:
        """The result, or None if a rule waits again."""
        if self._waiting is None:
            self._waiting = begin()
        try:
            self._waiting.send(None)
        except StopIteration as done:
            self._waiting = None
            return (done.value,)
        return None

    @property
    def reconnects(self) -> bool:
        return any(isinstance(event, Connect) for event in self.events)


def world_of(rules: tuple[Drawn, ...], *arguments: Any, **more: Any) -> RulesWorld:
    """A world with these rules; what follows is for `World`."""
    return RulesWorld(*arguments, rules=RuleSet([drawn.rule() for drawn in rules]), **more)


@tells_dialogue
def assert_truth_of_rules(world: World) -> None:
    """P8: a message is accepted by the server; or a rule has eaten it, or it is kept."""
    assert isinstance(world, RulesWorld)
    account = Account.of(world)
    kept = 0
    told: list[bytes] = []
    for item, reply in zip(account.items, account.replies, strict=False):
        number = number_of(reply)
        verb = item.data[:4].upper() if item.kind == "command" else b""
        if verb == b"MAIL" and reply.startswith(b"2"):
            told = []
        elif verb == b"RCPT" and reply.startswith(b"2"):
            told.append(reply)
        elif item.kind != "message" or not reply.startswith(b"2"):
            continue
        elif number is not None:
            assert world.arrived_as(number).kind == "message"
            assert 200 <= world.code_of(number) <= 299
        elif HELD.encode() in reply:
            kept += 1
        else:
            nowhere = all(b"rule eats it" in answer for answer in told)
            assert b"rule eats it" in reply or (nowhere and reply == b"250 2.0.0 ok\r\n"), reply
    assert kept <= sum(held.verdict.text == HELD for held in world.host.held)
