"""`Twins` notice a faulty lane: some dialogue shows each fault that is planted here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from core.spools import MemorySpool
from exhaustive.configurations import CONFIGURATIONS
from exhaustive.peers import Broken
from exhaustive.search import explore, replayed
from properties.harness import World
from properties.seeded import Seeded
from twins import Differs, Twins

from sansio_smtp import (
    CLIENT,
    SERVER,
    AwaitReply,
    Config,
    Event,
    MessageAnswered,
    Proxy,
    SendToClient,
    SendToServer,
    Side,
)
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import InternalError, LocalProtocolError
from sansio_smtp.proxy.passing_asked import Ahead
from sansio_smtp.questions import Answer, AnyQuestion, AnyVerdict, Continue
from sansio_smtp.testing import Script, parse, play

DIALOGUES: Final = Path(__file__).parent / "dialogues"
MANY: Final = 1 << 60


class Spoilt(Proxy):
    """A proxy with a lane that reads or gives something else."""

    def reads(self, data: bytes) -> bytes:
        return data

    def gives(self, data: bytes, events: list[Event]) -> list[Event]:
        return events

    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        return self.gives(data, super().receive_from(side, self.reads(data)))


class DoesNotSeeNul(Spoilt):
    def reads(self, data: bytes) -> bytes:
        return data.replace(b"\0", b" ")


class DoesNotSeeBareLf(Spoilt):
    def reads(self, data: bytes) -> bytes:
        return data.replace(b"\n", b"\r\n").replace(b"\r\r\n", b"\r\n")


class DoesNotSeeBareCr(Spoilt):
    def reads(self, data: bytes) -> bytes:
        return data.replace(b"\r\n", b"\n").replace(b"\r", b" ").replace(b"\n", b"\r\n")


class DoesNotSeeThatTheServerLeaves(Spoilt):
    def reads(self, data: bytes) -> bytes:
        return data.replace(b"421 ", b"451 ")


class DoesNotWaitBeforeData(Spoilt):
    """DATA goes to the server while it owes a reply."""

    def gives(self, data: bytes, events: list[Event]) -> list[Event]:
        late = data.endswith(b"\r\nDATA\r\n") and not any(
            isinstance(event, SendToServer) and b"DATA" in event.data for event in events
        )
        return [*events, SendToServer(b"DATA\r\n", b"DATA\r\n")] if late else events


class AwaitsNothing(Spoilt):
    def gives(self, data: bytes, events: list[Event]) -> list[Event]:
        return [event for event in events if not isinstance(event, AwaitReply)]


class ShowsSecrets(Spoilt):
    def gives(self, data: bytes, events: list[Event]) -> list[Event]:
        return [
            SendToServer(event.data, event.data)
            if isinstance(event, SendToServer) and b"****" in (event.shown or b"")
            else event
            for event in events
        ]


class SendsOtherOctets(Spoilt):
    def gives(self, data: bytes, events: list[Event]) -> list[Event]:
        return [
            SendToServer(event.data.replace(b"\r\n..", b"\r\n."), event.shown)
            if isinstance(event, SendToServer)
            else event
            for event in events
        ]


class RepliesInPieces(Spoilt):
    def gives(self, data: bytes, events: list[Event]) -> list[Event]:
        return [
            part
            for event in events
            for part in (
                (SendToClient(event.data[:3]), SendToClient(event.data[3:]))
                if isinstance(event, SendToClient)
                else (event,)
            )
        ]


class CountsNoProgress(Spoilt):
    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        before = self.progress
        events = super().receive_from(side, data)
        self.progress = before
        return events


class ReadsOn(Spoilt):
    @property
    def may_read(self) -> frozenset[Side]:
        return super().may_read | {CLIENT}


class Breaks(Spoilt):
    def gives(self, data: bytes, events: list[Event]) -> list[Event]:
        if data.upper().startswith(b"RSET"):
            raise InternalError("not foreseen")
        return events


class PassesNul(Proxy):
    def pass_on(self, side: Side, data: bytes) -> bytes | None:
        return super().pass_on(side, data.replace(b"\0", b" "))


class PassesOnThatTheServerLeaves(Proxy):
    def pass_on(self, side: Side, data: bytes) -> bytes | None:
        return super().pass_on(side, data.replace(b"421 ", b"251 "))


class PassesOtherOctets(Proxy):
    def pass_on(self, side: Side, data: bytes) -> bytes | None:
        octets = super().pass_on(side, data)
        return None if octets is None else octets.replace(b"RCPT", b"rcpt")


class TellsNobodyOfMessages(Proxy):
    def take_answered(self) -> MessageAnswered | None:
        return None


class PassesOnToNowhere(Proxy):
    """A fault: the input that passes does not move the state."""

    def pass_on(self, side: Side, data: bytes) -> bytes | None:
        return data if data.startswith(b"RSET\r\n") else super().pass_on(side, data)


class PassesWhatIsRefused(Proxy):
    """A fault: an input with a question ahead passes with any verdict."""

    def ask_ahead(self, ahead: Ahead) -> None:
        def deaf(question: AnyQuestion) -> AnyVerdict:
            verdict = ahead(question)
            return Continue() if isinstance(verdict, Answer) else verdict or Continue()

        super().ask_ahead(deaf)


class AsksAboutOthers(Proxy):
    """A fault: the envelope of questions ahead is always empty."""

    def ask_ahead(self, ahead: Ahead) -> None:
        super().ask_ahead(lambda question: ahead(attrs.evolve(question, envelope=Envelope())))


def without_limit(name: str) -> Callable[..., Proxy]:
    """A lane that ignores one limit."""

    def make(config: Any, *others: Any) -> Proxy:
        return Proxy(attrs.evolve(config, **{name: MANY}), *others)

    make.__name__ = f"without_{name}"
    return make


def without_questions(config: Any, ask: Any, *others: Any) -> Proxy:
    """A lane that asks no questions."""
    return Proxy(config, (), *others)


FAULTS: Final[dict[Callable[..., Proxy], str]] = {
    DoesNotSeeNul: "w11_nul_*",
    DoesNotSeeBareLf: "w11_*",
    DoesNotSeeBareCr: "w11_*",
    DoesNotSeeThatTheServerLeaves: "w09_421_*",
    DoesNotWaitBeforeData: "w0[27]_*",
    AwaitsNothing: "w01_*",
    ShowsSecrets: "w04_*",
    SendsOtherOctets: "w12_*",
    RepliesInPieces: "w01_*",
    CountsNoProgress: "w01_*",
    ReadsOn: "w1[45]_*",
    Breaks: "w18_*",
    PassesNul: "w*_nul_*",
    PassesOnThatTheServerLeaves: "w09_421_*",
    PassesOtherOctets: "w01_*",
    TellsNobodyOfMessages: "w01_*",
    PassesOnToNowhere: "w18_*",
    PassesWhatIsRefused: "w15_*",
    AsksAboutOthers: "inspect_*",
    without_questions: "w15_*",
    without_limit("max_recipients"): "w14_*",
    without_limit("max_line"): "w14_*",
    without_limit("max_pipelined"): "w07_*",
    without_limit("max_reply"): "w09_*",
    without_limit("max_errors"): "w14_*",
    without_limit("max_message_size"): "w1[34]_*",
}
"""Fault → scripts, one of which shows it."""


def twins(fault: Callable[..., Proxy]) -> type[Twins]:
    """Twins; one of them has the fault."""
    return type("Planted", (Twins,), {"quick_class": staticmethod(fault)})


def scripts(names: str) -> list[Script]:
    return [parse(file.read_text(encoding="utf-8"), file.name) for file in sorted(DIALOGUES.glob(names))]


def differs(run: Callable[[], object]) -> bool:
    """Returns True if the twins themselves notice the difference, not only their test."""
    try:
        run()
    except Differs:
        return True
    except AssertionError:
        pass
    return False


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_shown_by_a_script(fault: Callable[..., Proxy]) -> None:
    assert any(differs(partial(play, script, proxy=twins(fault))) for script in scripts(FAULTS[fault]))


@pytest.mark.parametrize(
    "fault",
    [DoesNotSeeBareLf, SendsOtherOctets, without_limit("max_message_size"), without_limit("max_held")],
    ids=lambda fault: fault.__name__,
)
def test_a_planted_fault_is_shown_by_a_drawn_dialogue(fault: Callable[..., Proxy]) -> None:
    def run(seeded: Seeded) -> None:
        world = World(seeded.dialogue(), seeded.schedule(), seeded.ask(), make=twins(fault), **seeded.spool())
        world.run()

    assert any(differs(partial(run, Seeded(seed))) for seed in range(200))


def test_a_planted_fault_is_found_by_the_exhaustive_check() -> None:
    strict = attrs.evolve(CONFIGURATIONS["lines"], config=Config(max_errors=1))
    (found, *_) = explore(strict, make=twins(without_limit("max_errors")), depth=4).found
    assert found.what.startswith("lane: after receive_from(CLIENT, b'"), found.what


def test_the_exhaustive_check_compares_what_nobody_can_see_yet() -> None:
    world = replayed(CONFIGURATIONS["lines"], ["S: 220 s greeting"])
    world.key()
    world.proxy.quick.receive_from(CLIENT, b"NO")
    with pytest.raises(Broken, match="lane: it has led to another state"):
        world.key()


def test_what_is_done_with_a_spool_is_compared() -> None:
    script = parse((DIALOGUES / "w15_message_replaced.txt").read_text(encoding="utf-8"))

    class KeepsMoreInMemory(Proxy):
        def __init__(self, config: Config, *others: Any) -> None:
            super().__init__(attrs.evolve(config, max_held=MANY), *others)

    def make(config: Config, ask: Any) -> Twins:
        return twins(KeepsMoreInMemory)(attrs.evolve(config, max_held=1), ask, MemorySpool)

    with pytest.raises(Differs, match="spool"):
        play(script, proxy=make)


def test_without_a_fault_the_twins_are_one_proxy() -> None:
    twins, proxy = Twins(), Proxy()
    for one in (twins, proxy):
        one.receive_from(SERVER, b"220 mx\r\n")
        with pytest.raises(LocalProtocolError, match="before the server's first octets"):
            one.prefer("b")
    assert twins.snapshot() == proxy.snapshot()
