"""The machine of `test_machine`, with rules: some slow, some wrong, gone on with at any step."""

from __future__ import annotations

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from sansio_smtp import Config
from sansio_smtp.rules import RuleSet

from .dialogues import Dialogue, Later, configs
from .harness import World
from .peers import Style
from .rules_world import RulesWorld, assert_truth_of_rules
from .seeded import SEEDS, Seeded
from .test_machine import Machine


class RulesMachine(Machine):
    @initialize(
        config=configs(),
        seeded=SEEDS,
        choices=st.lists(st.sampled_from([*(0,) * 20, 1, 2, 3, 4, 5, 6, 7, 8, 9]), max_size=20),
        later=st.lists(
            st.sampled_from([Later(), Later(), Later([0, 0, 6]), Later(reachable=False)]), max_size=3
        ),
        pipelining=st.booleans(),
        greeted=st.booleans(),
    )
    def connect(  # type: ignore[override]
        self,
        config: Config,
        seeded: Seeded,
        choices: list[int],
        later: list[Later],
        pipelining: bool,
        greeted: bool,
    ) -> None:
        config = attrs.evolve(config, max_pipelined=5, read_ahead=2000, max_held=100)
        dialogue = Dialogue([], Style.EAGER, choices, pipelining, b"", config, later)
        rules = RuleSet([drawn.rule() for drawn in seeded.rules()])
        self.world = RulesWorld(dialogue, rules=rules, full=not seeded.seed % 7, **seeded.spool())
        while not self.world.connected:
            self.world.take(self.world.ask_to_connect(0))
        self.begin(greeted)

    @precondition(lambda self: self.world.question is not None)
    @rule()
    def answer(self) -> None:  # type: ignore[override]
        """The rule that is waited for goes on: to its end, or to where it waits again."""
        self.world.take(self.world.answer(0))

    @precondition(lambda self: self.world.proxy.has_more)
    @rule()
    def send_more(self) -> None:
        """Of a message that is in a spool: the server has taken what was sent of it."""
        self.world.take(self.world.proxy.more())

    def assert_truth(self, world: World) -> None:
        assert_truth_of_rules(world)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "world"):
            assert isinstance(self.world, RulesWorld)
            self.world.finish()
            assert self.world.disconnected


TestRulesMachine = RulesMachine.TestCase
TestRulesMachine.settings = settings(stateful_step_count=40)
