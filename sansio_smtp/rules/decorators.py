"""The decorators of rules: ``@on`` (phase and options) and ``@threaded`` (called in a worker thread)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypedDict, TypeVar, Unpack, overload

import attrs

from sansio_smtp.errors import LocalProtocolError

from .verdicts import (
    AuthResult,
    BodyResult,
    CommandResult,
    ConnectResult,
    DataResult,
    DeliveredResult,
    DisconnectResult,
    HeadersResult,
    HeloResult,
    LoginResult,
    MailResult,
    MessageResult,
    RcptResult,
    ReplyResult,
)

__all__ = ["Mark", "OnError", "is_threaded", "marks_of", "on", "threaded"]

OnError = Literal["defer", "reject", "accept"]
"""What happens with a command or message whose rule has failed: 451, 550, or it continues as if the rule had
returned None."""

_MARKS: Final = "__smtp_marks__"
_THREADED: Final = "__smtp_threaded__"

Connect = TypeVar("Connect", bound=Callable[..., ConnectResult])
Helo = TypeVar("Helo", bound=Callable[..., HeloResult])
Auth = TypeVar("Auth", bound=Callable[..., AuthResult])
Login = TypeVar("Login", bound=Callable[..., LoginResult])
Mail = TypeVar("Mail", bound=Callable[..., MailResult])
Rcpt = TypeVar("Rcpt", bound=Callable[..., RcptResult])
Data = TypeVar("Data", bound=Callable[..., DataResult])
Headers = TypeVar("Headers", bound=Callable[..., HeadersResult])
Body = TypeVar("Body", bound=Callable[..., BodyResult])
Message = TypeVar("Message", bound=Callable[..., MessageResult])
Reply = TypeVar("Reply", bound=Callable[..., ReplyResult])
Delivered = TypeVar("Delivered", bound=Callable[..., DeliveredResult])
Disconnect = TypeVar("Disconnect", bound=Callable[..., DisconnectResult])
Command = TypeVar("Command", bound=Callable[..., CommandResult])
F = TypeVar("F", bound=Callable[..., object])


class Options(TypedDict, total=False):
    """The options of ``@on``, besides the phase."""

    match: str | None
    """The rule is only for addresses that the pattern fits, such as ``"*@example.com"``; case does not
    matter. It is compared with the sender in ``mail``, the recipient in ``rcpt``, and any recipient from
    ``data`` on. A message that fits no rule is not examined."""
    when: str | None
    """In a class: the rule is used only if the attribute of this name is true when the rules are loaded."""
    timeout: float | None
    """The time limit of one call, in seconds."""
    on_error: OnError | None


@attrs.frozen(kw_only=True)
class Mark:
    """The arguments of ``@on`` for a rule; see `Options`."""

    phase: str
    match: str | None = None
    when: str | None = None
    timeout: float | None = None
    on_error: OnError | None = None


@overload
def on(phase: Literal["connect"], **options: Unpack[Options]) -> Callable[[Connect], Connect]: ...
@overload
def on(phase: Literal["helo"], **options: Unpack[Options]) -> Callable[[Helo], Helo]: ...
@overload
def on(phase: Literal["auth"], **options: Unpack[Options]) -> Callable[[Auth], Auth]: ...
@overload
def on(phase: Literal["login"], **options: Unpack[Options]) -> Callable[[Login], Login]: ...
@overload
def on(phase: Literal["mail"], **options: Unpack[Options]) -> Callable[[Mail], Mail]: ...
@overload
def on(phase: Literal["rcpt"], **options: Unpack[Options]) -> Callable[[Rcpt], Rcpt]: ...
@overload
def on(phase: Literal["data"], **options: Unpack[Options]) -> Callable[[Data], Data]: ...
@overload
def on(phase: Literal["headers"], **options: Unpack[Options]) -> Callable[[Headers], Headers]: ...
@overload
def on(phase: Literal["body", "body_line"], **options: Unpack[Options]) -> Callable[[Body], Body]: ...
@overload
def on(phase: Literal["message"], **options: Unpack[Options]) -> Callable[[Message], Message]: ...
@overload
def on(phase: Literal["reply"], **options: Unpack[Options]) -> Callable[[Reply], Reply]: ...
@overload
def on(phase: Literal["delivered"], **options: Unpack[Options]) -> Callable[[Delivered], Delivered]: ...
@overload
def on(phase: Literal["disconnect"], **options: Unpack[Options]) -> Callable[[Disconnect], Disconnect]: ...
@overload
def on(phase: Literal["command"], **options: Unpack[Options]) -> Callable[[Command], Command]: ...
def on(phase: str, **options: Unpack[Options]) -> Callable[[Any], Any]:
    """Makes a function or method a rule of ``phase``, whatever its name; may be repeated for more phases.
    ``options``: see `Options`."""
    if not _is_text(phase):
        raise LocalProtocolError('@on needs a phase: @on("rcpt")')

    def mark(function: Any) -> Any:
        setattr(function, _MARKS, (*marks_of(function), Mark(phase=phase, **options)))
        return function

    return mark


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def threaded(function: F) -> F:
    """Marks a rule that blocks: the driver calls it in a worker thread. It must not be ``async``."""
    if not callable(function):
        raise LocalProtocolError("write @threaded before a function, without parentheses")
    setattr(function, _THREADED, True)
    return function


def marks_of(function: object) -> tuple[Mark, ...]:
    """The marks that ``@on`` has put on a function or method."""
    found: tuple[Mark, ...] = getattr(function, _MARKS, ())
    return found


def is_threaded(function: object) -> bool:
    """Returns True if a function or method has ``@threaded``."""
    return bool(getattr(function, _THREADED, False))
