"""A dialogue whose questions are answered by rules, spoken to in lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.scene import Scene
from sansio_smtp.config import Config
from sansio_smtp.proxy.message_store import Spool
from sansio_smtp.questions import AnyVerdict
from sansio_smtp.rules.connection import Connection
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.host import Host
from sansio_smtp.rules.ruleset import Rule, RuleSet
from sansio_smtp.rules.session import RuleSession


class Talk:
    """Each step gives the spelling of what came of it, without the questions."""

    def __init__(
        self,
        *rules: Rule,
        host: Host | None = None,
        on_error: OnError = "defer",
        config: Config | None = None,
        make_spool: Callable[[], Spool] | None = None,
    ) -> None:
        ruleset = RuleSet(rules)
        self.scene = Scene(*ruleset.ask, config=config, make_spool=make_spool)
        self.host = host or Host()
        self.conn = Connection("192.0.2.1:49152", "c1")
        self.session = RuleSession(ruleset, self.scene.proxy, self.conn, self.host, on_error)
        self.verdicts: list[AnyVerdict] = []

    def client(self, *lines: str) -> list[str]:
        return self._judged(self.scene.client(*lines))

    def server(self, *lines: str) -> list[str]:
        return self._judged(self.scene.server(*lines))

    def _judged(self, shown: list[str]) -> list[str]:
        while self.scene.proxy.waiting_for.value == "verdict":
            verdict = self.session.judge_now(self.scene.question)
            self.verdicts.append(verdict)
            shown += self.scene.answer(verdict)
        return [text for text in shown if not text.startswith("? ")]

    def greeted(self) -> Talk:
        """After EHLO."""
        self.server("220 mx")
        self.client("EHLO me")
        self.server("250-mx", "250 PIPELINING")
        return self

    def said(self, *pairs: tuple[str, str]) -> Talk:
        """Lines of the client, each with the reply of the server, if it sees the line."""
        for line, reply in pairs:
            self.client(line)
            if self.scene.proxy.awaiting is not None or self.scene.proxy.waiting_for.value == "greeting":
                self.server(reply)
        return self

    def with_recipient(self, mail: str = "MAIL FROM:<a@me>", *more: str) -> Talk:
        """After RCPT."""
        lines = [mail, "RCPT TO:<b@mx>", *more]
        return self.greeted().said(*((line, "250 ok") for line in lines))

    def in_content(self, mail: str = "MAIL FROM:<a@me>", *more: str) -> Talk:
        """After 354."""
        self.with_recipient(mail, *more)
        self.client("DATA")
        if self.scene.proxy.waiting_for.value == "reply":
            self.server("354 go")
        return self

    @property
    def last(self) -> Any:
        """The last verdict."""
        return self.verdicts[-1]
