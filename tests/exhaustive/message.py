"""One message: where it is to be asked about, what verdicts have said of it, and what a log is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from sansio_smtp import (
    BODY_CHUNK,
    BODY_LINE,
    BODY_LINES,
    HEADERS,
    MESSAGE,
    Answer,
    BodyQuestion,
    Command,
    CommandQuestion,
    HeadersQuestion,
    Inspect,
    Kind,
    MessageQuestion,
    Replace,
    Swallow,
)
from sansio_smtp.questions import AnyQuestion, AnyVerdict

from .peers import require

__all__ = ["MessageWatch", "worst"]

_BODY: Final = frozenset((BODY_CHUNK, BODY_LINE, BODY_LINES))
_CONTENT: Final = _BODY | {HEADERS, MESSAGE}


@attrs.define
class MessageWatch:
    """Follows the message in flight, or the next. ``ask`` is what the proxy was made with."""

    ask: frozenset[str]
    places: frozenset[str] = attrs.field(init=False)
    """Where this message is to be asked about."""
    asked: bool = attrs.field(default=False, init=False)
    judged: bool = attrs.field(default=False, init=False)
    """True if a verdict says how it is answered."""
    edited: bool = attrs.field(default=False, init=False)
    account: int | None = attrs.field(default=None, init=False)
    """The code that `MessageAnswered` has given, until the client is told."""
    codes: list[int] = attrs.field(factory=list[int])
    """The replies to this message that the client was told."""

    def __attrs_post_init__(self) -> None:
        self.places = self.ask & _CONTENT

    def question(self, question: AnyQuestion) -> None:
        """A question is opened."""
        place = _places(question)
        if place:
            require(place & self.places, "places", f"{type(question).__name__}, which is not asked for")
            self.asked = True

    def verdict(self, question: AnyQuestion, verdict: AnyVerdict) -> None:
        """A question is answered."""
        if isinstance(question, CommandQuestion) and _is_data(question.command):
            self.places = verdict.places if isinstance(verdict, Inspect) else self.ask & _CONTENT
            self.judged = isinstance(verdict, Swallow)
        elif _places(question):
            self.judged |= isinstance(verdict, Answer)
            self.edited |= isinstance(verdict, Replace)

    def ends_at_server(self) -> None:
        """The server is sent the end of it."""
        require(self.asked or not self.places, "places", "a message passes that was to be asked about")
        require(not self.judged, "P8", "a message passes that a verdict has answered")

    def accounted(self, code: int) -> None:
        """A log is told how it is answered."""
        require(self.account is None, "P8", "two accounts of one message")
        self.account = code

    def answered(self, code: int, text: str, *, last: bool = True) -> None:
        """The client is told how it is answered. ``last``: it gets no more replies to it."""
        # A verdict may refuse a message of which the server has refused a chunk meanwhile.
        fair = self.judged or code >= 400 or text[:3] != "v ."
        require(fair, "P8", f"{code} {text}, but no verdict has said so")
        self.codes.append(code)
        if not last:
            return
        account = self.account
        fits = account == code if len(self.codes) == 1 else account and account // 100 == worst(self.codes)
        require(fits, "P8", f"{self.codes} to a message; the account of it says {account}")
        self.codes = []
        self.asked = self.judged = self.edited = False
        self.account = None


def worst(codes: Iterable[int]) -> int:
    """The first digit of the one reply that says the truth of all."""
    return max((code // 100 for code in codes), key=(2, 5, 4).index, default=2)


def _is_data(command: Command) -> bool:
    return command.kind in (Kind.DATA, Kind.CHUNK, Kind.LAST_CHUNK)


def _places(question: AnyQuestion) -> frozenset[str]:
    """The places that a question about content may belong to."""
    if isinstance(question, BodyQuestion):
        return _BODY
    if isinstance(question, HeadersQuestion):
        return frozenset((HEADERS,))
    return frozenset((MESSAGE,)) if isinstance(question, MessageQuestion) else frozenset()
