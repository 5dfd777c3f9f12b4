"""The targets of fuzz/ find nothing in a few dialogues, and find planted faults; no search is run."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import pytest

from sansio_smtp import CLIENT, SERVER, Close, Config, Event, Proxy, Release, SendToClient, SendToServer, Side

sys.path.append(str(Path(__file__).parents[1]))

from fuzz import delivery, ends, proxies, tape
from fuzz.findings import Findings
from fuzz.target import Target
from fuzz.targets import NAMES, target

CHEAP = [name for name in NAMES if name != "drawn"]  # whose tests are tests already


class Spoilt(Proxy):
    def gives(self, event: Event) -> list[Event]:
        return [event]

    def reads(self, data: bytes) -> bytes:
        return data

    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        return [each for event in super().receive_from(side, self.reads(data)) for each in self.gives(event)]


class SendsALoneDot(Spoilt):
    def gives(self, event: Event) -> list[Event]:
        if isinstance(event, SendToServer):
            return [SendToServer(event.data.replace(b"\n..", b"\n."), event.shown)]
        return [event]


class TakesTheMessageItself(Spoilt):
    def gives(self, event: Event) -> list[Event]:
        if isinstance(event, SendToClient) and event.data.startswith((b"4", b"5")):
            return [SendToClient(b"250 taken\r\n", None)]
        return [event]


class SpeaksAfterClose(Spoilt):
    def gives(self, event: Event) -> list[Event]:
        is_end = isinstance(event, Close) and event.side is CLIENT
        return [event, SendToClient(b"221 bye\r\n", None)] if is_end else [event]


class GivesBackByChance(Spoilt):
    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        events = super().receive_from(side, data)
        is_whole = len(data) > 2
        return [Close(SERVER) if isinstance(event, Release) and is_whole else event for event in events]


class LooksAtTheCuts(Spoilt):
    def reads(self, data: bytes) -> bytes:
        return data.upper() if len(data) < 3 else data


def dialogue(*said: bytes) -> bytes:
    """A tape of the plainest settings."""
    return b"\0\0\1" + b"".join(tape.MARK + each for each in said)


MESSAGE = dialogue(
    *(
        b"s220 x\r\n",
        b"cEHLO x\r\n",
        b"s250 x\r\n",
        b"cMAIL FROM:<a@x>\r\n",
        b"s250 x\r\n",
        b"cRCPT TO:<b@x>\r\n",
    ),
    *(
        b"s250 x\r\n",
        b"cDATA\r\n",
        b"s354 x\r\n",
        b"ca: b\r\n\r\nx\r\n..\r\nNOOP\r\n..y\r\n.\r\n",
        b"s554 no\r\n",
    ),
    *(b"cQUIT\r\n", b"s221 x\r\n"),
)


@pytest.mark.parametrize("name", CHEAP)
def test_nothing_is_found_in_some_dialogues(name: str) -> None:
    chosen = target(name)
    assert all(word for word in chosen.words)
    assert sum(chosen.try_octets(data) is not False for data in islice(chosen.seeds(), 6)) > 2


@pytest.mark.parametrize("make", [SendsALoneDot, TakesTheMessageItself, SpeaksAfterClose, LooksAtTheCuts])
def test_what_is_planted_is_found(make: type[Proxy], monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxies.OCTETS.try_octets(MESSAGE)
    monkeypatch.setattr(proxies, "Proxy", make)
    with pytest.raises(AssertionError):
        proxies.OCTETS.try_octets(MESSAGE)


def settings_of(config: Config) -> bytes:
    """The first octets of a tape with these settings."""
    (number,) = (
        number
        for number, known in enumerate(tape.settings())
        if (known.config, known.ask, known.client, known.whole_only) == (config, frozenset(), None, False)
    )
    return number.to_bytes(2, "big")


@pytest.mark.parametrize(
    "said",
    [
        (b"cNOOP\r\n", b"s220 x\r\n421 x\r\n"),
        (b"cEHLO x\r\nMAIL FROM:<a@x>\r\n", b"s220 x\r\n250 x\r\n421 x\r\n"),
        (b"cHELO x\r\nDATA\r\nx\r\n.\r\n", b"s220 x\r\n", b"s250 x\r\n", b"s354 x\r\n421 x\r\n"),
        (b"c\0\nNOOP\r\n", b"s220 x\r\n421 x\r\n"),  # a line that cannot be sent
        (b"cEHLO x\r\nAUTH LOGIN\r\nx\r\n", b"s220 x\r\n", b"s250 x\r\n", b"s334 x\r\n421 x\r\n"),
    ],
)
def test_a_421_may_come_with_the_reply_before_it(said: tuple[bytes, ...]) -> None:
    for cuts in range(4):
        octets = b"\0\0" + bytes((cuts,)) + b"".join(tape.MARK + each for each in said)
        assert proxies.OCTETS.try_octets(octets)
        assert ends.CLIENT_END.try_octets(octets)


KEPT = (b"s220 x\r\n", b"cEHLO x\r\n", b"s250 x\r\n", b"cQUIT\r\n", b"s250 x\r\n")


@pytest.mark.parametrize("more", [b"", b"250 x\r\n", b"2"])
def test_a_server_may_say_more_before_its_connection_is_given_back(more: bytes) -> None:
    said = b"".join(tape.MARK + each for each in KEPT)
    assert proxies.OCTETS.try_octets(settings_of(Config(keep=True)) + b"\0" + said + more)


def test_a_connection_that_is_given_back_by_chance_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = settings_of(Config(keep=True)) + b"\0" + b"".join(tape.MARK + each for each in KEPT)
    assert proxies.OCTETS.try_octets(octets)
    monkeypatch.setattr(proxies, "Proxy", GivesBackByChance)
    with pytest.raises(AssertionError, match="given back"):
        proxies.OCTETS.try_octets(octets)


def test_a_line_with_a_blank_before_bdat_is_no_chunk() -> None:
    """The proxy refuses it, and continues to read after it."""
    for line in (b" BDAT 3\r\n", b"\tbdat 3 LAST\r\n"):
        said = b"cMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\n" + line + b"NOOP\r\nQUIT\r\n"
        assert delivery.DELIVERY.try_octets(dialogue(b"cEHLO x\r\n", said))


def test_what_two_servers_read_differently_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = dialogue(
        b"cEHLO x\r\n", b"cMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n", b"cx\r\n..\r\nRSET\r\n.\r\n"
    )
    assert delivery.DELIVERY.try_octets(octets)
    monkeypatch.setattr(delivery.deliver, "__defaults__", (SendsALoneDot, delivery.Aiosmtpd))
    with pytest.raises(AssertionError):
        delivery.DELIVERY.try_octets(octets)


def test_the_models_of_postfix_take_what_it_takes() -> None:
    """CVE-2023-51764: in versions up to 3.8 a message ends at a place where 3.9 finds no end."""
    for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n"):
        found = []
        for strict in (False, True):
            reader = delivery.PostfixReceiver(lambda _: 354, strict=strict)
            reader.feed(b"DATA\r\nx" + end + b"y\r\n.\r\n")
            found.append([item.data for item in reader.items if item.kind == "message"])
        older, newer = found
        assert older == [b"x\r\n"]
        assert [b"y" in message for message in newer] == [True]


def test_every_dialogue_is_a_tape() -> None:
    """The tape of a script has the same inputs as the script."""
    for script, text in islice(tape.scripts(), 0, None, 20):
        read = tape.Tape.read(tape.tape_of(script, text))
        assert (read.settings.config, read.settings.ask) == (script.config, script.ask)
        assert len(read.records) == sum(not hasattr(item, "place") for item in _happening(script))


def _happening(script: tape.Script) -> list[object]:
    from sansio_smtp.testing.script import HAPPENS, Verdict

    return [item for item in script.items if isinstance(item, HAPPENS | Verdict)]


def test_a_finding_is_written_once_with_its_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "Proxy", SpeaksAfterClose)
    findings = Findings(tmp_path, proxies.OCTETS)
    for octets in (MESSAGE + tape.MARK + b"cmore", MESSAGE):
        with pytest.raises(AssertionError) as raised:
            proxies.OCTETS.try_octets(octets)
        findings.add(raised.value, octets)
    (text,) = tmp_path.glob("*.txt")
    assert "C: EHLO x" in text.read_text()
    assert "sent after close" in text.read_text()
    assert text.with_suffix(".octets").read_bytes() == MESSAGE


def test_targets_have_their_names() -> None:
    chosen = [target(name) for name in CHEAP]
    assert [each.name for each in chosen] == CHEAP
    assert all(isinstance(each, Target) for each in chosen)
