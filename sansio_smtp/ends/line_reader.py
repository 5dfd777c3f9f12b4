"""Reads the lines of a client as commands, and finds what is wrong with them. `ServerConnection` takes each
line that it returns: it moves the phase and owes the reply. The reader knows nothing of either::

    line ──> is it a line?                no: too long, a bare LF, a TLS handshake    the session ends
             what else may it be?         mail data or a credential: see `Doubt`
             is it a command?             no: it has no verb, or holds NUL or CR      500
             may this client send it now? no: see `Access`                            502, 530, 538, …
         ──> a command

What must never happen is that mail data is read as commands, or that a credential is shown or sent to a
server that is not to see it. A client that does not wait for replies sends the message right after DATA, and
the credential right after AUTH. If the reply refuses them, the next line is in *doubt*, until one comes that
is surely a command.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs

from sansio_smtp.config import BareNewline, Config
from sansio_smtp.members import DIALECT_LMTP, KIND_AUTH, KIND_CHUNK, KIND_HELLO, SUPPORT_FORWARDED
from sansio_smtp.verbs import UNKNOWN, VERBS, Kind, Support, Verb
from sansio_smtp.wire.commands import Command, auth_line, chunk_size
from sansio_smtp.wire.inbox import Inbox
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.violations import RemoteProtocolError

from .access import Access
from .received import Refused

__all__ = ["Doubt", "LineReader"]

_HANDSHAKE: Final = b"\x16"
"""The type of a TLS handshake record (RFC 8446 §5.1); no command begins with it."""
_TLS: Final = "TLS on a plain-text port"
_EARLY: Final = "mail data sent without waiting for 354"
_SAY_LHLO: Final = Reply.of(500, "this is LMTP, say LHLO", enhanced="5.5.1")  # RFC 2033 §4.1
_TAKEN: Final = (Support.FORWARDED, Support.OWN)


class Doubt(Enum):
    """What the next line may be instead of a command, because the client did not wait for a reply."""

    __hash__ = object.__hash__

    CONTENT = "mail data that was sent before DATA was refused"
    LATE_CONTENT = "mail data that was sent when DATA had been refused"
    CREDENTIAL = "a credential that was sent after AUTH had been answered"
    OUR_CREDENTIAL = "a credential that was sent after AUTH had been refused here; no server is to see it"


_CREDENTIALS: Final = (Doubt.CREDENTIAL, Doubt.OUR_CREDENTIAL)


@attrs.define(eq=False)
class LineReader:
    """Reads the lines of one client."""

    config: Config
    doubt: Doubt | None = attrs.field(default=None, init=False)
    """None if the next line is a command."""

    def next_line(self, inbox: Inbox, access: Access, *, in_login: bool) -> Command | Refused | None:
        """Takes the next line, of a client that may do what ``access`` says; None if it has not come yet.
        ``in_login``: after 334 the line is not a command, but the next message of a login."""
        if self.doubt is Doubt.CONTENT:
            # RFC 2920 §3.1: DATA ends a group. Octets that were sent before DATA was refused may be mail
            # data, and mail data must never be read as commands.
            return self._violation(_EARLY, 503, "5.5.1")
        line = inbox.next_line()
        if line is None:
            return None if inbox.empty else self._no_line(inbox, in_login)
        bare = line[-2:-1] != b"\r"
        raw = line[:-1] if bare else line[:-2]
        if raw[:1] == _HANDSHAKE and not in_login:
            return self._violation(_TLS, 500, "5.5.1")
        if len(raw) > self.config.max_line:
            return self._too_long(raw, in_login)
        if bare and self.config.bare_newline is BareNewline.REJECT:
            why = "line ended by a bare LF, not CRLF"
            return self._violation(why, 500, "5.5.2", b"" if in_login else raw)
        if not in_login:
            return self._command(raw, access)
        if b"\0" in raw or b"\r" in raw:
            return self._violation("AUTH line holds NUL or a bare CR", 500, "5.5.2")
        return auth_line(raw)

    def data_refused(self, *, early: bool) -> None:
        """DATA is answered, and no mail data is to come. ``early``: octets had come before that."""
        self.doubt = Doubt.CONTENT if early else Doubt.LATE_CONTENT

    def login_answered(self, reply: Reply, *, ours: bool) -> None:
        """AUTH or a line of the login is answered. ``ours``: not by a server; no server is to see it."""
        if reply.severity == 3:
            self.doubt = None
        else:
            self.doubt = Doubt.OUR_CREDENTIAL if ours else Doubt.CREDENTIAL

    def begin_anew(self) -> None:
        """TLS has begun: what came before it says nothing of the next line."""
        self.doubt = None

    def _command(self, raw: bytes, access: Access) -> Command | Refused:
        command = Command.parse(raw)
        verb = VERBS.get(command.verb)
        if self.doubt is not None:
            doubt, self.doubt = self.doubt, None
            known = verb is not None and verb.support is not Support.FOREIGN
            if command.verb == b"BDAT" and chunk_size(command) is None:
                verb = None  # it may be a word of a credential
            if doubt is Doubt.LATE_CONTENT and not known:
                return self._violation(_EARLY, 503, "5.5.1", raw)
            if doubt in _CREDENTIALS and (verb is None or verb.support not in _TAKEN):
                # A client that did not wait, or that took the reply for a challenge. More may come.
                command = command.as_secret()
                self.doubt = doubt
                if doubt is Doubt.OUR_CREDENTIAL:
                    return _not_a_command(command.as_plain())
        if command.verb == b"BDAT" and chunk_size(command) is None:
            # It is not known how many octets follow: nothing after this line can be parsed safely.
            return self._violation("BDAT without a valid octet count", 501, "5.5.4", command.shown)
        if b"\0" in raw or b"\r" in raw:
            return _not_a_command(command.as_plain(), "command holds NUL or a bare CR")
        if not command.verb:
            return _not_a_command(command)
        verb = verb or UNKNOWN
        if verb.support is not SUPPORT_FORWARDED or access.restricts or verb.kind is KIND_HELLO:
            return self._not_allowed(command, verb, access) or command
        return command

    def _not_allowed(self, command: Command, verb: Verb, access: Access) -> Refused | None:
        """The refusal of a command that is not known here, or that this client may not send now; or None."""
        support = verb.support
        if verb.kind is KIND_HELLO:
            says_lhlo = command.verb == b"LHLO"
            if says_lhlo is not (self.config.client_dialect is DIALECT_LMTP):
                return _refused(command, _not_here(command) if says_lhlo else _SAY_LHLO)
        if support is Support.FOREIGN:
            return self._violation("this is an SMTP server, not HTTP", 500, "5.5.1", command.shown)
        if access.tls_first is not None and not verb.before_tls:
            # The octets that BDAT counts are dropped (RFC 3030 §2).
            command = command.as_dropped() if verb.kind is KIND_CHUNK else command
            return _refused(command, access.tls_first, expected=True)
        if verb.kind is KIND_AUTH and access.no_login is not None:
            return _refused(command, access.no_login, expected=True)
        if support is SUPPORT_FORWARDED or command.verb in access.own:
            return None
        return _refused(command, access.refusals.get(command.verb) or _not_here(command))

    def _no_line(self, inbox: Inbox, in_login: bool) -> Refused | None:
        if not in_login and inbox.head()[:1] == _HANDSHAKE:
            return self._violation(_TLS, 500, "5.5.1")
        if len(inbox) > self.config.max_line + 1:
            return self._too_long(inbox.head(), in_login)
        return None

    def _too_long(self, raw: bytes, in_login: bool) -> Refused:
        return self._violation("line too long", 500, "5.5.6", b"" if in_login else raw, "max_line")

    def _violation(
        self, why: str, code: int, enhanced: str, evidence: bytes = b"", limit: str = ""
    ) -> Refused:
        """After this the octets of the client cannot be read safely."""
        shown = b"" if self.doubt in _CREDENTIALS else Command.parse(evidence[:64]).shown
        reply = Reply.of(code, f"{why}; closing", enhanced=enhanced)
        return Refused(Command(b"", b"", Kind.VIOLATION), RemoteProtocolError(why, reply, shown, limit))


def _refused(command: Command, reply: Reply, *, expected: bool = False) -> Refused:
    why = reply.lines[0].decode("ascii", "backslashreplace").partition(" ")[2]  # after the enhanced code
    return Refused(command, RemoteProtocolError(why, reply, command.shown), expected)


def _not_a_command(command: Command, why: str = "not a command") -> Refused:
    return _refused(command, Reply.of(500, why, enhanced="5.5.2"))


def _not_here(command: Command) -> Reply:
    """The reply to a command that is not known here."""
    return Reply.of(502, f"{command.verb.decode()} is not supported here", enhanced="5.5.1")
