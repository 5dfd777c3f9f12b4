"""The promises as invariants of a machine whose steps are drawn one by one: no script, no plan."""

from __future__ import annotations

import attrs
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sansio_smtp import CLIENT, SERVER, Config, Continue, Violation, WaitingFor
from sansio_smtp.testing.strategies.octets import PIECES

from .dialogues import SECRET, Dialogue, configs
from .harness import World, bound
from .peers import Style
from .promises import assert_conservation, assert_not_smuggled, assert_order, assert_truncated, assert_truth
from .transactions import assert_envelopes_as_told, assert_legal_order, assert_said_again
from .verdicts import ASKS, legal_verdicts

SEGMENT = 1 << 16
_LINES = st.sampled_from(
    [
        b"MAIL FROM:<a@x>", b"RCPT TO:<b@x>", b"RCPT TO:<c@x>", b"DATA", b"DATA", b"RSET", b"NOOP",
        b"EHLO again", b"QUIT", b"NOOP x\rQUIT", b"VRFY \0x",
        b"AUTH PLAIN " + SECRET, b"AUTH LOGIN", b"XODD", b"BDAT 4\r\nQUIT", b"", b"GET /",
        b"STARTTLS", b"HELO x",
    ]
)  # fmt: skip
_SIZES = st.sampled_from([1, 2, 3, 10, 100, SEGMENT])
PIECE = st.sampled_from(PIECES)


class Machine(RuleBasedStateMachine):
    world: World

    @initialize(
        config=configs(),
        ask=ASKS,
        choices=st.lists(st.sampled_from([*(0,) * 20, 1, 2, 3, 4, 5, 6, 7, 8, 9]), max_size=20),
        pipelining=st.booleans(),
        greeted=st.booleans(),
    )
    def connect(
        self, config: Config, ask: frozenset[str], choices: list[int], pipelining: bool, greeted: bool
    ) -> None:
        config = attrs.evolve(config, max_pipelined=5, read_ahead=2000)
        self.world = World(
            Dialogue([], Style.EAGER, choices, pipelining, b"", config), ask=ask, judge=lambda _: Continue()
        )
        self.begin(greeted)

    def begin(self, greeted: bool) -> None:
        self._say(b"EHLO c.example\r\n")
        if greeted:  # most dialogues should get further than the first line
            for _ in range(3):
                self._arrive(SEGMENT, CLIENT)
                self._arrive(SEGMENT, SERVER)
                if self.world.question is not None:
                    self.world.take(self.world.answer(0))

    def _say(self, data: bytes) -> None:
        self.world.client.sent += data
        self.world.client.pending += data

    def _arrive(self, size: int, side: object) -> None:
        world = self.world
        readable = world.proxy.may_read - world.eof
        if side is SERVER and world.connecting:
            world.take(world.connect(0))
        elif side is CLIENT and CLIENT in readable and world.client.pending:
            world.take(world.from_client(size))
        elif side is SERVER and SERVER in readable and (world.server.pending or world.server.closed):
            world.take(world.from_server(size))

    def _settle(self) -> None:
        """Everything arrives and is answered, until nothing moves."""
        world, progress = self.world, -1
        while progress != world.proxy.progress:
            progress = world.proxy.progress
            self._arrive(SEGMENT, CLIENT)
            self._arrive(SEGMENT, SERVER)
            while world.question is not None:
                world.take(world.answer(0))
            while world.proxy.has_more:
                world.take(world.proxy.more())

    @rule(line=_LINES)
    def client_says(self, line: bytes) -> None:
        self._say(line + b"\r\n")

    @rule(piece=PIECE)
    def client_says_a_piece(self, piece: bytes) -> None:
        self._say(piece)

    @rule(decoded=st.lists(PIECE, max_size=4).map(b"".join))
    def client_says_a_message(self, decoded: bytes) -> None:
        self._say(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n")
        for side in (CLIENT, SERVER) * 6:
            self._arrive(SEGMENT, side)
        if "CONTENT" in self.world.proxy.states[0].name:
            self._say(decoded + b"\r\n.\r\n")

    @rule(size=_SIZES)
    def from_client(self, size: int) -> None:
        self._arrive(size, CLIENT)

    @rule(size=_SIZES)
    def from_server(self, size: int) -> None:
        self._arrive(size, SERVER)

    @rule()
    def everything_arrives(self) -> None:
        for side in (CLIENT, SERVER) * 4:
            self._arrive(SEGMENT, side)

    @precondition(lambda self: self.world.question is not None)
    @rule(choice=st.integers(0, 30))
    def answer(self, choice: int) -> None:
        world = self.world
        question, world.question = world.question, None
        assert question is not None
        verdicts = legal_verdicts(question, world.ask)
        verdict = verdicts[choice if choice < len(verdicts) else 0]
        world.log.judged(verdict, question)
        world.take(world.proxy.answer(question, verdict))

    @precondition(lambda self: CLIENT not in self.world.eof and not self.world.client.pending)
    @rule(luck=st.integers(0, 3))
    def client_eof(self, luck: int) -> None:
        if not luck and CLIENT in self.world.proxy.may_read:
            self.world.take(self.world.client_eof(0))

    @precondition(lambda self: SERVER in self.world.proxy.may_read - self.world.eof)
    @rule(
        luck=st.integers(0, 5),
        text=st.sampled_from([b"", b"421 bye\r\n", b"250 what\r\n", b"354 x\r\n", b"?\r\n"]),
    )
    def server_misbehaves(self, luck: int, text: bytes) -> None:
        """It goes away or speaks unasked, once all that it owed has arrived."""
        world = self.world
        if luck or world.connecting or world.server.pending or world.proxy.awaiting is not None:
            return
        if text:
            world.server.spoke_unasked = True
            world.log.arrives(SERVER, text)
            world.take(world.proxy.receive_from(SERVER, text))
            broken = [
                event for event in world.events if isinstance(event, Violation) and event.side is SERVER
            ]
            assert broken or text.startswith(b"421") or world.question is not None
        else:
            world.server.closed = True
            world.take(world.from_server(1))

    @rule(luck=st.integers(0, 7), how=st.sampled_from(["timeout", "shutdown", "now"]))
    def service_ends(self, luck: int, how: str) -> None:
        if not luck:
            self.world.stop(how)

    @invariant()
    def promises_hold(self) -> None:
        world = self.world
        assert_conservation(world)
        assert_order(world)
        self.assert_truth(world)
        assert_truncated(world)
        assert_not_smuggled(world)
        proxy = world.proxy
        assert proxy.buffered <= bound(proxy.config, SEGMENT)
        assert isinstance(proxy.waiting_for, WaitingFor)
        assert proxy.envelope is not None

    def assert_truth(self, world: World) -> None:
        assert_truth(world)

    def teardown(self) -> None:
        """However it stands, it ends when everybody goes; then there is silence."""
        if not hasattr(self, "world"):
            return
        world = self.world
        note(world.log)
        self._settle()
        if not world.proxy.closed and CLIENT not in world.eof:
            world.take(world.client_eof(0))
        self._settle()
        if not world.proxy.closed:
            world.server.closed = True
            self._settle()
        self.promises_hold()
        assert_legal_order(world)
        assert_said_again(world)
        assert_envelopes_as_told(world)
        assert world.proxy.closed
        assert world.proxy.receive_from(CLIENT, b"NOOP\r\n") == world.proxy.eof_from(SERVER) == []


TestMachine = Machine.TestCase
TestMachine.settings = settings(stateful_step_count=40)
