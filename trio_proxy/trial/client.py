"""The client of a trial: sends the commands for one message, and notes the replies and the outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from sansio_smtp.config import ClientTls, Config, SendClient, UpstreamTls
from sansio_smtp.rules import RuleSet
from sansio_smtp.testing import AsyncSession, willing_server
from sansio_smtp.testing.steps import client_at
from sansio_smtp.wire.commands import Command
from trio_proxy.settings.core_config import core_config
from trio_proxy.settings.options import Options

from .host import TrialHost
from .model import HELO, Named, Step, Trial

__all__ = ["TrialClient"]

_NO_LIMIT: Final = 2**40
"""In octets: larger than any message."""


class TrialClient:
    """Sends the commands of a client that has one message, and fills in the `Trial`."""

    def __init__(self, trial: Trial, rules: RuleSet, host: TrialHost, options: Options) -> None:
        self._trial = trial
        self._case = trial.case
        self._envelope = trial.envelope
        self._host = host
        self._session = AsyncSession(
            rules, client_at(trial.case.ip), willing_server, host, _config(options), options.on_rule_error
        )

    async def converse(self) -> None:
        if await self._introduce():
            await self._submit()
        await self._step("disconnect", "QUIT" if not self._session.closed else "", self._session.quit)
        self._sum_up()

    async def _introduce(self) -> bool:
        session, case = self._session, self._case
        await self._step("connect", "", session.connect)
        if session.ok:
            helo = case.helo or HELO
            await self._step("helo", f"EHLO {helo}", partial(session.helo, helo))
        if session.ok and case.login is not None:
            await self._step("auth", f"AUTH PLAIN, as {case.login}", partial(session.auth, case.login))
        return session.ok

    async def _submit(self) -> None:
        session, trial = self._session, self._trial
        await self._command("mail", f"MAIL FROM:<{self._envelope.sender}>{self._parameters()}")
        if not session.ok:
            return
        for address in self._envelope.recipients:
            step = await self._command("rcpt", f"RCPT TO:<{address}>")
            assert step.reply is not None
            sent = _recipients(step)
            trial.recipient_named(Named(address, step.reply, sent[-1] if sent else None))
            if session.closed:
                return
        if any(named.reply.severity == 2 for named in trial.named):
            said = f"DATA, {len(trial.content):,} octets"
            step = await self._step("message", said, partial(session.message, trial.content))
            trial.recipients_added(_recipients(step))

    async def _command(self, phase: str, line: str) -> Step:
        return await self._step(
            phase, line, partial(self._session.command, line.encode("utf-8", "surrogateescape"))
        )

    async def _step(self, phase: str, said: str, take: Callable[[], Awaitable[Any]]) -> Step:
        session = self._session
        replies = len(session.replies)
        lines = {id(server): len(server.commands) for _, server in session.servers}
        await take()
        forwarded = [
            line for _, server in session.servers for line in server.commands[lines.get(id(server), 0) :]
        ]
        step = Step(phase, said, self._host.take(), session.replies[replies:], forwarded)
        self._trial.step_taken(step)
        return step

    def _parameters(self) -> str:
        """The parameters of MAIL: those that were kept, and those that describe the message."""
        content = self._trial.content
        kept = self._case.parameters
        parameters = [f"SIZE={len(content)}", *kept]
        keywords = {parameter.partition("=")[0].upper() for parameter in kept}
        if not content.isascii() and "BODY" not in keywords:
            parameters.append("BODY=8BITMIME")
        addresses = "".join((self._envelope.sender, *self._envelope.recipients))
        is_ascii = addresses.isascii() and content.partition(b"\r\n\r\n")[0].isascii()
        if not is_ascii and "SMTPUTF8" not in keywords:
            parameters.append("SMTPUTF8")
        return "".join(f" {parameter}" for parameter in parameters)

    def _sum_up(self) -> None:
        session = self._session
        upstream, delivered = None, None
        for name, server in session.servers:
            if server.accepted:
                upstream, delivered = name, server.accepted[-1]
        self._trial.settle(
            upstream=upstream,
            delivered=delivered,
            held=session.held[-1] if session.held else None,
            broken=session.completed[-1].broken if delivered is not None else (),
        )


def _config(options: Options) -> Config:
    """The client has done what it must before it may send mail: there is no TLS here to be asked for."""
    asked_for: dict[str, Any] = {
        "tls": ClientTls.NONE,
        "auth_without_tls": True,
        "upstream_tls": UpstreamTls.NONE,
        "send_client": SendClient.NONE,
    }
    if options.spool is not None:
        asked_for["max_held"] = _NO_LIMIT  # here all is in memory anyway
    return core_config(options, reconnect=True, **asked_for)


def _recipients(step: Step) -> list[str]:
    """The addresses of the RCPT commands that servers received in this step."""
    commands = (Command.parse(line) for line in step.forwarded if line[:4].upper() == b"RCPT")
    return [command.path.address for command in commands if command.path is not None]
