"""Runs the setup of a server: sends one step after the other, and decides by the replies.
`server_setup.next_step` returns the next step; this module handles its reply::

    greeted, or READY and lacking ──> next step ──> its reply ─┬─ 2xx      the next step, until none is left
                                       ^    ^                  └─ refused  go on without it, or answer the
                                       │    └──────────────────┘           client's command, or end the
                                       └── tls_started <── StartTLS        session

Meanwhile one command of the client waits. What must never happen is that the setup is abandoned and this
command goes to a server without a required step.
"""

from __future__ import annotations

from typing import Final

from sansio_smtp.client_info import TlsInfo
from sansio_smtp.config import Config, LoginMode, UpstreamTls
from sansio_smtp.events import SERVER, Event, ServerUnusable, StartTLS
from sansio_smtp.members import KIND_HELLO, KIND_STARTTLS, UPSTREAM_CONNECTING
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .downstream import Downstream
from .failover import Failover
from .forwarding import Forwarding
from .login_flow import LoginFlow
from .server_setup import LOG_IN, Lack, begins_transaction, next_step, requires_tls

__all__ = ["SetupFlow"]

_TLS_REFUSED: Final = Lack("it refused STARTTLS, which is required", own_replies.TLS_FAILED)


class SetupFlow:
    """Sets up the server that is connected."""

    __slots__ = ("_config", "_downstream", "_failover", "_forwarding", "_out", "login")

    def __init__(
        self,
        config: Config,
        downstream: Downstream,
        forwarding: Forwarding,
        out: list[Event],
        failover: Failover | None = None,
    ) -> None:
        self._failover = failover
        self._config = config
        self._downstream = downstream
        self._forwarding = forwarding
        self._out = out
        self.login: LoginFlow | None = None
        """The login of the proxy; None if it never logs in."""
        if config.login_mode is not LoginMode.RELAY:
            self.login = LoginFlow(downstream, forwarding, out)
            self.login.call(on_login=self.go_on, on_unusable=self._cannot_use)
        forwarding.call(on_prepare=self.go_on)

    def not_greeted(self, reply: Reply) -> None:
        """A replacement server has refused in its greeting."""
        self._cannot_use(Lack(f"its greeting was {reply}", own_replies.UNREACHABLE))

    def not_reset(self, reply: Reply) -> None:
        """The server has refused RSET: it may keep the old envelope, and add the next recipients to it."""
        self._cannot_use(Lack(f"it refused RSET: {reply}", own_replies.NOT_RESET))

    def greeted(self) -> None:
        """The server has greeted: starts its setup for the oldest errand. For the first connection the setup
        is empty, because the client has sent nothing yet."""
        self._forwarding.leg.greeted()
        self.go_on()

    def go_on(self) -> None:
        """Sends the next step; if none is left, the server is READY."""
        forwarding, config = self._forwarding, self._config
        leg, errand = forwarding.leg, forwarding.oldest
        step = None if errand is None else next_step(config, leg, self._downstream, errand.command)
        if isinstance(step, Lack):
            self._cannot_use(step)
        elif step is None:
            forwarding.set_up()
        elif step is LOG_IN:
            assert self.login is not None  # else no step is one
            self.login.begin()
        elif requires_tls(step) and not leg.may_require_tls:
            forwarding.answer_oldest(own_replies.TLS_REQUIRED)
        else:
            if step.kind is KIND_HELLO:
                leg.introduce()
            forwarding.send_setup(step)

    def answered(self, step: Command, reply: Reply) -> None:
        """Takes the reply to a step."""
        if reply.code == 421:
            self._cannot_use(Lack(f"it said {reply} to {step}", own_replies.UNREACHABLE))
        elif reply.code < 300:
            self._accepted(step)
        else:
            self._refused(step, reply)

    def tls_started(self, info: TlsInfo) -> None:
        """TLS has begun with the server. Raises `LocalProtocolError` if none was due."""
        leg = self._forwarding.leg
        self._forwarding.tls_started(info)
        if leg.level is UpstreamTls.VERIFY and not info.verified:
            self.tls_failed("its certificate was not verified")
        elif leg.state is not UPSTREAM_CONNECTING:
            self.go_on()

    def tls_failed(self, why: str) -> None:
        """TLS with the server has failed. The server is not used in plain text."""
        self._cannot_use(Lack(why, own_replies.TLS_FAILED))

    def _accepted(self, step: Command) -> None:
        forwarding = self._forwarding
        leg, verb, errand = forwarding.leg, step.verb, forwarding.oldest
        if step.kind is KIND_STARTTLS:
            # Octets that came with the reply are a violation, which is detected next.
            if not leg.end.buffered:
                self._out.append(StartTLS(SERVER))
            return
        if verb == b"XCLIENT":
            leg.take_name()
        elif verb == b"XFORWARD":
            assert errand is not None  # the step was for it
            leg.take_forwarded(errand.command)
        elif begins_transaction(step):
            leg.taken_over()
        self.go_on()

    def _refused(self, step: Command, reply: Reply) -> None:
        forwarding = self._forwarding
        leg, errand = forwarding.leg, forwarding.oldest
        if step.kind is KIND_STARTTLS:
            if leg.level.required:
                self._cannot_use(_TLS_REFUSED)
            else:
                leg.refuse_tls()
                self.go_on()
        elif step.kind is KIND_HELLO:
            if errand is not None and errand.command.kind is KIND_HELLO:
                self.go_on()  # the client's own command follows, and gets its reply
            else:
                self._cannot_use(Lack(f"it refused {step}: {reply}", own_replies.UNREACHABLE))
        elif step.verb == b"XCLIENT":
            self._cannot_use(Lack(f"it refused XCLIENT: {reply}", own_replies.CLIENT_UNKNOWN))
        elif step.verb == b"XFORWARD":
            self._out.append(ServerUnusable(f"it refused XFORWARD: {reply}"))
            forwarding.answer_oldest(own_replies.NOT_FORWARDED)
        else:
            # MAIL was sent again for the client's RCPT. So its refusal is the reply to RCPT.
            forwarding.answer_oldest(reply)

    def _cannot_use(self, lack: Lack) -> None:
        if self._failover is not None and self._failover.takes(lack.why, lack.reply):
            return
        self._out.append(ServerUnusable(lack.why))
        self._downstream.fail(lack.reply)
