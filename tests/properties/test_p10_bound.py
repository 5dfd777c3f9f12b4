"""P10 bound: what is kept never exceeds what the configuration allows, whatever the peers do."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twins import Twins

from sansio_smtp import CLIENT, SERVER, Ask, Config, Continue, Event, Proxy, Side, Tap
from sansio_smtp.questions import BODY_CHUNK, BODY_LINE, COMMAND, HEADERS, MESSAGE, REPLY, AnyQuestion

from .budget import FEW
from .harness import bound
from .memory import constants, kept_octets

SEGMENT = 200
SMALL = Config(
    max_line=64,
    max_reply=300,
    max_pipelined=4,
    max_recipients=5,
    max_header_section=150,
    max_body_line=100,
    max_held=500,
    read_ahead=80,
)
FLOODS = st.sampled_from(
    [
        b"NOOP\r\n" * 30, b"RCPT TO:<a@x>\r\n" * 12, b"x" * SEGMENT, b"\n" * SEGMENT, b"\r\n.x" * 50,
        b"\r" * SEGMENT,
        b"\0" * SEGMENT, b"A: b\r\n" * 30, b".\r\n" * 60, b"\r\n.\r\n", b"a" * 64 + b"\r\n",
        b"MAIL FROM:<a@x>\r\n",
        b"DATA\r\n", b"RSET\r\n", b"NOOP " + b"y" * 50, b"AUTH LOGIN\r\n", b"BDAT 100000\r\n", b"\n.\n" * 60,
    ]
)  # fmt: skip
_REPLIES = st.sampled_from(
    [b"250 ok\r\n"] * 4
    + [b"354 go\r\n"] * 2
    + [b"250-" + b"y" * 100 + b"\r\n", b"550 no\r\n", b"z" * SEGMENT, b"334 \r\n"]
)
_ASKS = st.frozensets(st.sampled_from([HEADERS, BODY_CHUNK, BODY_LINE, MESSAGE, COMMAND, REPLY]), max_size=3)
START = (
    (SERVER, b"220 x\r\n"),
    (CLIENT, b"EHLO c\r\n"),
    (SERVER, b"250-x\r\n250 PIPELINING\r\n"),
    (CLIENT, b"MAIL FROM:<a@x>\r\n"),
    (SERVER, b"250 ok\r\n"),
    (CLIENT, b"RCPT TO:<a@x>\r\n"),
    (SERVER, b"250 ok\r\n"),
)
IN_CONTENT = (*START, (CLIENT, b"DATA\r\n"), (SERVER, b"354 go\r\n"))


@attrs.define
class Flood:
    """A proxy between peers that never stop, and a rule that takes its time."""

    proxy: Proxy | Twins
    limit: int
    """What may be reachable, questions and the envelope included."""
    question: AnyQuestion | None = None
    constant: set[int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.constant = constants(*self.roots)

    @property
    def roots(self) -> tuple[object, ...]:
        """What is looked through for octets."""
        return (self.proxy.quick if isinstance(self.proxy, Twins) else self.proxy,)

    def take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Ask):
                self.question = event.question
        config = self.proxy.config
        assert self.proxy.buffered <= bound(config, SEGMENT)
        assert self.proxy.closed or self.proxy.may_read or self.question is not None  # P11 as well
        assert kept_octets(*self.roots, apart_from=self.constant) <= self.limit

    def start(self, dialogue: tuple[tuple[Side, bytes], ...]) -> None:
        for side, data in dialogue:
            if data.startswith(b"354") and self.proxy.awaiting is None:
                continue  # the message is held, the server has not seen DATA
            self.take(self.proxy.receive_from(side, data))
            while self.question is not None:
                self.answer()
        assert not self.proxy.closed

    def answer(self) -> None:
        question, self.question = self.question, None
        if question is not None:
            self.take(self.proxy.answer(question, Continue()))


def reachable_bound(config: Config) -> int:
    """Beside what is buffered: the question that is open (a copy of what is held, at the most), the
    envelope, and replies that wait for their turn."""
    asked = max(config.max_held, config.max_header_section, config.max_body_line) + 2 * (
        config.read_ahead + SEGMENT
    )
    envelope = (config.max_recipients + 1) * config.max_line
    replies = (config.max_pipelined + 1) * config.max_reply
    return bound(config, SEGMENT) + asked + envelope + replies + config.max_line


@given(
    st.sampled_from([(), START, IN_CONTENT, IN_CONTENT]),
    st.lists(
        st.tuples(st.sampled_from([CLIENT, CLIENT, CLIENT, SERVER]), FLOODS, _REPLIES, st.booleans()),
        max_size=40,
    ),
    _ASKS,
    st.sampled_from(Tap),
)
def test_p10_bound(
    start: tuple[tuple[Side, bytes], ...],
    steps: list[tuple[Side, bytes, bytes, bool]],
    ask: frozenset[str],
    tap: Tap,
) -> None:
    config = attrs.evolve(SMALL, tap=tap)
    flood = Flood(Twins(config, ask), reachable_bound(config))
    flood.start(start)
    for side, flooded, reply, answered in steps:
        if side in flood.proxy.may_read:
            flood.take(flood.proxy.receive_from(side, (flooded if side is CLIENT else reply)[:SEGMENT]))
        if answered:
            flood.answer()


@FEW
@given(
    st.sampled_from([START, IN_CONTENT]),
    _ASKS,
    st.sampled_from(Tap),
    FLOODS,
)
def test_p10_without_end(
    start: tuple[tuple[Side, bytes], ...], ask: frozenset[str], tap: Tap, data: bytes
) -> None:
    """One sort of line or content without end, in every mode; the server says nothing any more."""
    config = attrs.evolve(SMALL, tap=tap)
    flood = Flood(Twins(config, ask), reachable_bound(config))
    flood.start(start)
    for _ in range(150):
        if CLIENT in flood.proxy.may_read:
            flood.take(flood.proxy.receive_from(CLIENT, data[:SEGMENT]))
        else:
            flood.answer()
