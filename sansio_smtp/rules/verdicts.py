"""The verdicts that rules may return, by phase. A verdict is a value that a rule returns; None means to
continue. Each phase accepts only the verdicts that make sense there: the aliases at the end tell that to a
type checker, and `sansio_smtp.rules.phases` checks it at load.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any, Final, TypeAlias

import attrs

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.wire.replies import Origin, Reply

__all__ = [
    "Accept",
    "AuthVerdict",
    "BodyVerdict",
    "Close",
    "CommandVerdict",
    "ConnectVerdict",
    "DataVerdict",
    "Defer",
    "Discard",
    "HeadersVerdict",
    "HeloVerdict",
    "Hold",
    "LoginVerdict",
    "MailVerdict",
    "MessageVerdict",
    "RcptVerdict",
    "Redirect",
    "Reject",
    "ReplyVerdict",
    "Verdict",
]


_FORBIDDEN: Final = re.compile(rb"[\r\n\0]")


@attrs.frozen
class Accept:
    """Continue, and ask no further rule in this phase."""


@attrs.frozen
class Reject:
    """Refuse for good: a 5xx reply. ``text`` may begin with an enhanced status code (RFC 3463)."""

    code: int = 550
    text: str = "5.7.1 refused by policy"

    def __attrs_post_init__(self) -> None:
        _check(type(self).__name__, self.code, self.text, 5)

    @property
    def reply(self) -> Reply:
        return Reply.of(self.code, self.text, origin=Origin.RULE)


@attrs.frozen
class Defer:
    """Refuse for now: a 4xx reply. The client will try again."""

    code: int = 451
    text: str = "4.7.1 try again later"

    def __attrs_post_init__(self) -> None:
        _check(type(self).__name__, self.code, self.text, 4)

    @property
    def reply(self) -> Reply:
        return Reply.of(self.code, self.text, origin=Origin.RULE)


@attrs.frozen
class Discard:
    """Tell the client 250 and deliver nothing: not to this recipient (``rcpt``), or not this message."""

    text: str = "2.0.0 ok"

    def __attrs_post_init__(self) -> None:
        _check(type(self).__name__, self.code, self.text, 2)

    @property
    def code(self) -> int:
        return 250

    @property
    def reply(self) -> Reply:
        return Reply.of(250, self.text, origin=Origin.RULE)


@attrs.frozen
class Hold:
    """Keep the message in quarantine with its envelope, deliver nothing, and answer the client with ``code``
    and ``text`` when the message is on disk. ``reason`` is kept with it, for the operator."""

    reason: str = ""
    code: int = 250
    text: str = "2.0.0 ok"

    def __attrs_post_init__(self) -> None:
        _check(type(self).__name__, self.code, self.text, 2, 4, 5)
        if not isinstance(self.reason, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise LocalProtocolError(f"Hold: the reason is a str, not {self.reason!r}")

    @property
    def reply(self) -> Reply:
        return Reply.of(self.code, self.text, origin=Origin.RULE)


@attrs.frozen
class Close:
    """Answer with a 4xx or 5xx reply and end the session on both sides."""

    code: int = 421
    text: str = "4.7.0 closing the connection"

    def __attrs_post_init__(self) -> None:
        _check(type(self).__name__, self.code, self.text, 4, 5)

    @property
    def reply(self) -> Reply:
        return Reply.of(self.code, self.text, origin=Origin.RULE)


@attrs.frozen
class Redirect:
    """Use another server: ``"smtp://host:port"``, ``"host:port"`` or ``"unix:/path"``.

    In ``connect``, ``helo`` and ``auth`` it is valid for the session; in ``mail`` and ``rcpt`` for this mail
    transaction. In ``rcpt``, a recipient for another server than the recipients before it is answered 452
    4.5.3, so that the client sends it in a separate transaction.
    """

    upstream: str

    def __attrs_post_init__(self) -> None:
        if not _is_word(self.upstream):
            raise LocalProtocolError(f"Redirect: an address such as 'host:25', not {self.upstream!r}")


_OTHERS: Final = {2: "Accept() lets it pass", 4: "Defer is for 4xx", 5: "Reject is for 5xx"}


def _check(name: str, code: Any, text: Any, *severities: int) -> None:
    """Raises `LocalProtocolError` unless the verdict may have this reply. Checked when the verdict is made,
    so that the traceback shows the rule's own line."""
    if not isinstance(code, int) or isinstance(code, bool) or code // 100 not in severities:
        digits = " or ".join(f"{digit}xx" for digit in severities)
        raise LocalProtocolError(
            f"{name}: the reply code is an int, {digits}, not {code!r}{_meant(name, code, severities)}"
        )
    if not isinstance(text, str):
        raise LocalProtocolError(f"{name}: the text is a str, not {text!r}")
    if _FORBIDDEN.search(octets := text.encode()):
        raise LocalProtocolError(f"a reply line must not hold CR, LF or NUL: {octets!r}")


def _meant(name: str, code: Any, severities: tuple[int, ...]) -> str:
    """What was probably meant by a code that this verdict does not have; empty if that is not clear."""
    if isinstance(code, int):
        return f"; {_OTHERS[code // 100]}" if code // 100 in _OTHERS else ""
    if not isinstance(code, str):
        return ""
    if code.isdecimal() and len(code) == 3:
        return f"; write it without quotes: {code}"
    return f"; write {name}({severities[0]}50, {code!r:.40})"


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value) and " " not in value


Refusal: TypeAlias = Reject | Defer | Discard | Hold | Close
"""A verdict with its own reply."""
Verdict: TypeAlias = Accept | Reject | Defer | Discard | Hold | Close | Redirect

ConnectVerdict: TypeAlias = Accept | Reject | Defer | Close | Redirect | None
HeloVerdict: TypeAlias = Accept | Reject | Defer | Close | Redirect | None
AuthVerdict: TypeAlias = Accept | Reject | Defer | Close | Redirect | None
LoginVerdict: TypeAlias = Accept | Reject | Defer | Close | None
MailVerdict: TypeAlias = Accept | Reject | Defer | Discard | Hold | Close | Redirect | None
RcptVerdict: TypeAlias = Accept | Reject | Defer | Discard | Hold | Close | Redirect | None
DataVerdict: TypeAlias = Accept | Reject | Defer | Discard | Hold | Close | None
HeadersVerdict: TypeAlias = Accept | Reject | Defer | Discard | Close | None
BodyVerdict: TypeAlias = bytes | Accept | Reject | Defer | Discard | Close | None
"""The results of ``body`` and ``body_line``. Octets replace the piece or line."""
MessageVerdict: TypeAlias = Accept | Reject | Defer | Discard | Hold | Close | None
ReplyVerdict: TypeAlias = Accept | Close | None
CommandVerdict: TypeAlias = Accept | Reject | Defer | Close | None

ConnectResult: TypeAlias = ConnectVerdict | Awaitable[ConnectVerdict]
HeloResult: TypeAlias = HeloVerdict | Awaitable[HeloVerdict]
AuthResult: TypeAlias = AuthVerdict | Awaitable[AuthVerdict]
LoginResult: TypeAlias = LoginVerdict | Awaitable[LoginVerdict]
MailResult: TypeAlias = MailVerdict | Awaitable[MailVerdict]
RcptResult: TypeAlias = RcptVerdict | Awaitable[RcptVerdict]
DataResult: TypeAlias = DataVerdict | Awaitable[DataVerdict]
HeadersResult: TypeAlias = HeadersVerdict | Awaitable[HeadersVerdict]
BodyResult: TypeAlias = BodyVerdict | Awaitable[BodyVerdict]
MessageResult: TypeAlias = MessageVerdict | Awaitable[MessageVerdict]
ReplyResult: TypeAlias = ReplyVerdict | Awaitable[ReplyVerdict]
CommandResult: TypeAlias = CommandVerdict | Awaitable[CommandVerdict]
DeliveredResult: TypeAlias = Awaitable[None] | None
DisconnectResult: TypeAlias = Awaitable[None] | None
