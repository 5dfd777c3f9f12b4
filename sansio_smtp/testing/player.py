"""Plays a dialogue script against a `Proxy` and compares what leaves with what the script says.

What is sent to one side is merged, and compared at the points where the script turns to something
that happens. How the input is cut, and how late a question is answered, must make no difference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from difflib import ndiff
from functools import partial
from typing import Any, Final, NoReturn, TypeVar, cast

import attrs

from sansio_smtp.config import Config
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    Ask,
    BodyChunk,
    Close,
    Connect,
    Event,
    Release,
    SendToClient,
    SendToServer,
    Side,
    StartTLS,
)
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import MESSAGE, REPLY, AnyQuestion, Question
from sansio_smtp.verbs import VERBS

from .chunks import Chunker, whole
from .script import (
    Asked,
    Eof,
    Feed,
    Handshake,
    Item,
    Level,
    Script,
    Signal,
    Verdict,
    groups,
    parse,
)
from .verdicts import verdict_for
from .written import Step, asks, ending, lines_of, matches, shown, wanted

__all__ = ["Played", "play"]

T = TypeVar("T")
_VERDICT_LINE: Final = "a line with a verdict, such as '! continue'"


@attrs.define
class Played:
    """The octets and events of a whole dialogue."""

    to_client: bytearray = attrs.field(factory=bytearray)
    to_server: bytearray = attrs.field(factory=bytearray)
    events: list[Event] = attrs.field(factory=list[Event])


def play(
    script: Script | str,
    *,
    cut: Chunker = whole,
    late: bool = False,
    proxy: Callable[..., Proxy] = Proxy,
) -> Played:
    """Plays a script, raising `AssertionError` with a diff where the proxy does something else. It asks no
    rules: the verdicts are in the script. To play rules, use `session`.

    ``cut`` cuts what arrives into segments. With ``late``, each question is answered as late as possible:
    when a peer could notice that it has not been answered. A side is fed only while the proxy may read it;
    until then its octets wait, as they would in a socket. ``proxy`` makes the proxy; it is called with
    ``client`` as well, if the script says who the client is.
    """
    player = _Player(parse(script) if isinstance(script, str) else script, cut, late, proxy)
    player.play()
    return player.played


@attrs.define
class _Player:
    script: Script
    cut: Chunker
    late: bool
    make: Callable[[Config, Collection[str]], Proxy]

    played: Played = attrs.field(factory=Played, init=False)
    proxy: Proxy = attrs.field(init=False)
    waiting: dict[Side, deque[bytes | None]] = attrs.field(init=False)
    gone: set[Side] = attrs.field(factory=set[Side], init=False)
    shaking: set[Side] = attrs.field(factory=set[Side], init=False)
    """The sides in a TLS handshake."""
    question: AnyQuestion | None = attrs.field(default=None, init=False)
    latest: AnyQuestion | None = attrs.field(default=None, init=False)
    """The last question of the proxy so far, also if it is answered or the dialogue has ended meanwhile."""
    withheld: Verdict | None = attrs.field(default=None, init=False)
    actual: Step = attrs.field(factory=Step, init=False)
    expected: Step = attrs.field(factory=Step, init=False)
    expectations: list[Item] = attrs.field(factory=list[Item], init=False)
    questions: list[AnyQuestion] = attrs.field(factory=list[AnyQuestion], init=False)
    asked: Asked | None = attrs.field(default=None, init=False)
    """The last question of the script so far."""
    line: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        config = (
            attrs.evolve(self.script.config, trace=True) if self._shows("received") else self.script.config
        )
        client = self.script.client
        known = {} if client is None else {"client": client}
        self.proxy = self.make(config, self.script.ask, **known)
        self.waiting = {CLIENT: deque(), SERVER: deque()}

    def play(self) -> None:
        for happens, follows in groups(self.script.items):
            if self.withheld is not None and self._needs_verdict(happens[-1]):
                self._release()
            if self.withheld is None:
                self._check_question(happens[0])
                self._compare()
            for item in happens:
                self.line = item.line
                self._happens(item)
            self._expect(follows)
        if self.withheld is not None:
            self._release()
        self._compare()
        if self.question is not None:
            self._fail(self._unanswered() or "the script ends, but a question is open")
        for side, queue in self.waiting.items():
            if queue:
                self._fail(f"the script ends, but the {side.value} may not be read and has more to say")

    # What happens

    def _happens(self, item: Item) -> None:
        if isinstance(item, Feed):
            for piece in self.cut(item.data):
                self._offer(item.side, piece)
        elif isinstance(item, Eof):
            self._offer(item.side, None)
        elif isinstance(item, Handshake):
            self._handshake(item)
        elif isinstance(item, Level):
            self._as_caller(partial(self.proxy.server_connected, item.level, kept=item.kept))
        elif isinstance(item, Signal):
            self._signal(item.name)
        elif isinstance(item, Verdict):
            self._check_question(item)
            self.withheld = item
            if not self.late:
                self._release()

    def _check_question(self, item: Item) -> None:
        """Fails if the item is a verdict that answers nothing, and says what the script lacks."""
        if not isinstance(item, Verdict) or self.question is not None:
            return
        self.line = item.line
        ask = self.script.ask
        fed = [item for item in self.script.items if isinstance(item, Feed) and item.line < self.line]
        place = MESSAGE
        if fed and fed[-1].side is SERVER:
            place = REPLY
        elif fed and (verb := fed[-1].data.split(b"\r\n")[-2].partition(b" ")[0].upper()) in VERBS:
            place = verb.decode()
        if place in ask:
            self._fail(f"a verdict, but no question is open: none about {place} is left to answer")
        places = ", ".join(sorted({*ask, place}))
        self._fail(f"a verdict, but no question is open; add '# ask: {places}' at the top of the script")

    def _offer(self, side: Side, data: bytes | None) -> None:
        self.waiting[side].append(data)
        self._pump()

    def _pump(self) -> None:
        """Feeds what waits, as far as the proxy may read it."""
        moved = True
        while moved:
            moved = False
            for side, queue in self.waiting.items():
                if side in self.gone:
                    queue.clear()  # a connection that is closed is not read
                elif queue and (side in self.proxy.may_read or (side in self.shaking and queue[0] is None)):
                    data = queue.popleft()
                    if data is None:
                        self._take(self.proxy.eof_from(side))
                    else:
                        self._take(self.proxy.receive_from(side, data))
                    moved = True

    def _signal(self, name: str) -> None:
        if name == "timeout":
            self._take(self.proxy.timed_out())
        elif name == "unreachable":
            self._take(self.proxy.server_unreachable())
        elif name == "client lost":
            self.waiting[CLIENT].clear()
            self._take(self.proxy.client_lost())
        else:
            self._take(self.proxy.shutdown(now=name == "shutdown now"))
        self._pump()

    def _handshake(self, item: Handshake) -> None:
        side = item.side
        self.shaking.discard(side)
        if isinstance(item.end, str):
            self.waiting[side].clear()  # what came meanwhile was taken for the handshake
            self._take(self.proxy.tls_failed(side, item.end))
        elif self.waiting[side]:
            self._fail(f"the {side.value} has sent octets in its handshake that are none of it")
        else:
            self._take(self._as_caller(partial(self.proxy.tls_started, side, item.end)))
        self._pump()

    def _as_caller(self, call: Callable[[], T]) -> T:
        """The result of an input that the script may give where it is not due."""
        try:
            return call()
        except LocalProtocolError as error:
            self._fail(str(error))

    def _needs_verdict(self, item: Item) -> bool:
        """Returns True if the withheld verdict must be given before this happens. A peer may go on as long as
        it has seen all that it had seen in the script by then; only octets are moved before a verdict."""
        if not isinstance(item, Feed):
            return True
        return self.actual.seen_by(item.side) != self.expected.seen_by(item.side)

    def _release(self) -> None:
        item, self.withheld = self.withheld, None
        question, self.question = self.question, None
        assert item is not None
        if question is None:
            return  # the dialogue ended meanwhile
        try:
            verdict = verdict_for(question, item.verdict)
            self._take(self.proxy.answer(cast("Question[Any]", question), verdict))
        except LocalProtocolError as error:
            self.line = item.line
            self._fail(f"the verdict is not possible: {error}")
        self._pump()

    # What follows

    def _take(self, events: list[Event]) -> None:
        self.played.events += events
        for event in events:
            self._took(event)
        if self.proxy.closed and self.gone != {CLIENT, SERVER}:
            self._fail("the proxy says that it is closed, but has not closed both sides")
        may_go_on = self.question is not None or self.shaking or self.proxy.may_read
        if not self.proxy.closed and not may_go_on:
            self._fail("stalled: no side may be read, no question is open, nothing is closed")

    def _took(self, event: Event) -> None:
        if isinstance(event, SendToClient):
            self._sent(CLIENT, event.data)
            self.played.to_client += event.data
        elif isinstance(event, SendToServer):
            self._sent(SERVER, event.data)
            self.played.to_server += event.data
        elif isinstance(event, Close | Release):
            if event.side in self.gone:
                self._fail(f"the {event.side.value} is closed twice")
            self.gone.add(event.side)
            self.shaking.discard(event.side)
            self.actual.add_closed(event.side, ending(event))
            if self.gone == {CLIENT, SERVER}:
                self.question = None
        elif isinstance(event, StartTLS):
            self.shaking.add(event.side)
            self.actual.add_tls_due(event.side)
        elif isinstance(event, Connect):
            if SERVER not in self.gone:
                self._fail("a server is asked for while one is connected")
            self.gone.discard(SERVER)
            self.waiting[SERVER].clear()  # the one that was left is not heard any more
            self.actual.add_connected(event.upstream)
        elif isinstance(event, Ask):
            if self.question is not None:
                self._fail("a second question is asked while one is open")
            self.question = self.latest = event.question
            self.questions.append(event.question)
            self.actual.add_asked(asks(event.question, self.proxy.ask))
        elif isinstance(event, BodyChunk):
            if self._shows("chunk"):
                self.actual.add_chunk(event.data)
        elif (kind_and_text := shown(event)) and self._shows(kind_and_text[0]):
            self.actual.add_shown(kind_and_text[1])

    def _sent(self, side: Side, data: bytes) -> None:
        if side in self.gone:
            self._fail(f"octets are sent to the {side.value} after it was closed: {data!r}")
        if side in self.shaking:
            self._fail(f"octets are sent to the {side.value} in its TLS handshake: {data!r}")
        if not data:
            self._fail(f"an empty send to the {side.value}")
        self.actual.add_sent(side, data)

    def _expect(self, items: list[Item]) -> None:
        self.expectations += items
        for item in items:
            self.expected.add_expected(item)
            if isinstance(item, Asked):
                self.asked = item

    def _compare(self) -> None:
        patterns = [item for item in self.expectations if isinstance(item, Asked)]
        for i, pattern in enumerate(patterns):
            question = self.questions[i] if i < len(self.questions) else None
            matched = question is not None and matches(pattern, question, self.proxy.ask)
            self.expected.add_asked(self.actual.asked[i] if matched else wanted(pattern))
        expected, actual = self.expected.notation(), self.actual.notation()
        if expected != actual:
            self._mismatch(expected, actual)
        self.expected, self.actual = Step(), Step()
        self.expectations, self.questions = [], []

    def _mismatch(self, expected: list[str], actual: list[str]) -> NoReturn:
        diff = [line for line in ndiff(expected, actual) if not line.startswith("?")]
        missing = next((line[2:] for line in diff if line.startswith("-")), None)
        for item in self.expectations:
            if missing is not None and missing in lines_of(item):
                self.line = item.line
                break
        what = "- is in the script and did not happen, + happened and is not in the script"
        told = [what, *(f"    {line}" for line in diff)]
        unknown = [line[2:] for line in diff if line.startswith("+ ?")]
        if hint := self._unanswered():
            told.append(hint)
        elif unknown and not any(line.startswith("- ?") for line in diff):
            told.append(
                f"the proxy asks: this question needs the line '{unknown[0]}', and below it {_VERDICT_LINE}"
            )
        self._fail("\n".join(told))

    def _unanswered(self) -> str:
        """What to say if the script has the last question of the proxy, and no verdict for it."""
        asked, question = self.asked, self.latest
        if asked is None or question is None or not matches(asked, question, self.proxy.ask):
            return ""
        items = self.script.items
        for item in items[items.index(asked) + 1 :]:
            if isinstance(item, Verdict):
                return ""
            if isinstance(item, Asked):
                break
        return (
            f"no verdict ('! …') follows the question of line {asked.line}: {wanted(asked)}; "
            f"this question needs {_VERDICT_LINE}"
        )

    def _fail(self, what: str) -> NoReturn:
        raise AssertionError(f"{self.script.name}:{self.line}: {what}") from None

    # Small things

    def _shows(self, kind: str) -> bool:
        return kind in self.script.show
