"""The strategies of sansio_smtp.testing draw what they say: the ordinary cases and the hostile ones."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from sansio_smtp import Command, Envelope, RemoteProtocolError
from sansio_smtp.rules import Reject, on
from sansio_smtp.rules.message import Message
from sansio_smtp.testing import Dialogue, Session, Sizes, Turn, bytewise, play, session, strategies
from sansio_smtp.wire.content import is_canonical
from sansio_smtp.wire.paths import parse_mailbox
from sansio_smtp.wire.reply_reader import ReplyReader

T = TypeVar("T")
LIMIT = 65_536
BOTH = ["old.example", "new.example"]


DRAWS = settings(
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    deadline=None,
)


def drawn(strategy: st.SearchStrategy[T], count: int = 40) -> list[T]:
    """The same ones each time."""
    found: list[T] = []

    @settings(DRAWS, max_examples=count)
    @given(strategy)
    def collect(each: T) -> None:
        found.append(each)

    collect()
    return found


def reaches(strategy: st.SearchStrategy[T], *wanted: Callable[[T], object]) -> None:
    """Each kind that is wanted is drawn."""
    missing = [*wanted]

    def was_the_last(drawn: T) -> bool:
        missing[:] = [kind for kind in missing if not kind(drawn)]
        return not missing

    find(strategy, was_the_last, settings=settings(DRAWS, max_examples=3000))


def holds(what: bytes) -> Callable[[bytes], bool]:
    return lambda octets: what in octets


def usual_and_hostile(strategy: Callable[..., st.SearchStrategy[T]], is_usual: Callable[[T], bool]) -> None:
    """All usual ones are usual, some hostile ones are not, and without ``hostile`` there are both."""

    def is_not(each: T) -> bool:
        return not is_usual(each)

    assert all(map(is_usual, drawn(strategy(hostile=False))))
    reaches(strategy(hostile=True), is_not)
    reaches(strategy(), is_usual, is_not)


# Envelopes


def can_be_read(command: Command) -> bool:
    path = command.path
    try:
        return path is not None and (not path.address or parse_mailbox(path.address) is not None)
    except ValueError:
        return False


def has_parameter(keyword: str) -> Callable[[Command], bool]:
    return lambda command: command.path is not None and command.path.parameter(keyword) is not None


def test_senders() -> None:
    usual_and_hostile(strategies.senders, lambda each: each.verb == b"MAIL" and can_be_read(each))
    keywords = ("SIZE", "BODY", "RET", "ENVID", "SMTPUTF8")
    reaches(
        strategies.senders(hostile=False),
        lambda each: each.path and each.path.address == "",
        *map(has_parameter, keywords),
    )


def test_recipients() -> None:
    def is_plain(command: Command) -> bool:
        assert command.verb == b"RCPT"
        return can_be_read(command) and str(command.path and command.path.address).endswith(tuple(BOTH))

    strategy = partial(strategies.recipients, BOTH)
    usual_and_hostile(strategy, is_plain)
    reaches(
        strategy(hostile=False),
        *(lambda each, domain=domain: each.path.address.endswith(domain) for domain in BOTH),
        has_parameter("NOTIFY"),
        has_parameter("ORCPT"),
    )
    reaches(
        strategy(hostile=True).map(lambda each: each.raw),
        holds(b"OLD.EXAMPLE"),
        holds(b'"'),
        lambda raw: b"old.example" in raw and b"new.example" in raw,
        lambda raw: raw == b"RCPT TO:<>",
    )


def test_recipients_are_somewhere() -> None:
    with pytest.raises(ValueError, match=r"empty: name the domains of the recipients, as in \['mx"):
        strategies.recipients([])


def test_envelopes() -> None:
    def is_plain(envelope: Envelope) -> bool:
        assert envelope.mail is not None
        return all(map(can_be_read, [envelope.mail, *envelope.recipients]))

    def has(count: int) -> Callable[[Envelope], bool]:
        return lambda envelope: len(envelope.recipients) == count

    usual_and_hostile(strategies.envelopes, is_plain)
    assert not any(map(has(0), drawn(strategies.envelopes(hostile=False))))
    reaches(strategies.envelopes(hostile=False), has(1), has(4))
    reaches(strategies.envelopes(hostile=True), has(0))
    many = [f"mx{number}.example" for number in range(6)]
    for strategy in (strategies.envelopes(BOTH), strategies.envelopes(many, hostile=False)):
        assert all(len(each.recipients) <= 4 for each in drawn(strategy))


def test_an_envelope_has_hostile_recipients_among_ordinary_ones() -> None:
    def is_mixed(envelope: Envelope) -> bool:
        read = [can_be_read(each) for each in envelope.recipients]
        return True in read[:-1] and False in read[:-1]

    reaches(strategies.envelopes(BOTH), is_mixed)


def test_an_envelope_may_name_each_domain() -> None:
    def named(order: list[str]) -> Callable[[Envelope], bool]:
        return lambda each: [path.address.partition("@")[2] for path in each.forward_paths] == order

    reaches(strategies.envelopes(BOTH, hostile=False), named(BOTH), named(BOTH[::-1]))


# Messages


def has_fields_only(section: bytes) -> bool:
    lines = section.split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines]
    return (
        is_canonical(section)
        and b"\0" not in section
        and names.count(b"subject") == names.count(b"from") == 1
        and all(line[:1] in b" \t" or b":" in line for line in lines)
        and max(map(len, lines)) < 998
    )


def test_header_sections() -> None:
    usual_and_hostile(strategies.header_sections, has_fields_only)
    reaches(
        strategies.header_sections(hostile=False),
        *map(holds, (b"\r\n ", b"=?utf-8?q?", "grüße".encode(), b"Received: ")),
    )
    reaches(
        strategies.header_sections(hostile=True),
        *map(holds, (b"\0", b"a\nBcc", b"a\rBcc", b"no field\r\n", b"x" * 2000, b"\xff")),
    )


def test_messages() -> None:
    def is_plain(content: bytes) -> bool:
        header, end, _ = content.partition(b"\r\n\r\n")
        return is_canonical(content) and bool(end) and has_fields_only(header + b"\r\n")

    usual_and_hostile(strategies.messages, is_plain)
    reaches(strategies.messages(hostile=False), holds(b"\r\n."), holds(b"multipart/"))
    reaches(
        strategies.messages(hostile=True),
        lambda content: content == b"",
        lambda content: b"\r\n\r\n" not in content,
        lambda content: not is_canonical(content),
        holds(b"multipart/"),
    )


def test_mime_messages() -> None:
    strategy = strategies.mime_messages(hostile=False)
    for content in drawn(strategy):
        parsed = Message(content).parsed()
        assert parsed.is_multipart()
        assert not parsed.defects
    names = (b"text/plain", b"text/html", b"application/pdf", b"message/rfc822", b'boundary="inner"')
    reaches(strategy, *map(holds, names))
    reaches(
        strategies.mime_messages(hostile=True),
        holds(strategies.FILE.encode()),
        lambda content: strategies.FILE.encode() not in content,
    )


def test_hidden_files_and_secrets() -> None:
    for strategy, what in (
        (strategies.hidden_files(), strategies.FILE.encode()),
        (strategies.hidden_secrets(), base64.b64encode(strategies.SECRET)[:8]),
    ):
        reaches(strategy, holds(what), lambda content, what=what: what not in content)


def test_contents() -> None:
    usual_and_hostile(strategies.contents, lambda each: is_canonical(each) and b"\0" not in each)
    reaches(strategies.contents(hostile=False), holds(b"\r\n."), holds(b"\xff"), lambda each: len(each) > 998)
    reaches(strategies.contents(hostile=True), *map(holds, (b"MAIL FROM:", b"\0", b"\n.\n")))


# What is said


def test_commands() -> None:
    def is_plain(line: bytes) -> bool:
        verb = Command.parse(line).verb
        return not {*line} & {*b"\r\n\0\xff"} and bool(verb) and len(line) < 512 and verb != b"BDAT"

    usual_and_hostile(strategies.commands, is_plain)
    verbs = (b"EHLO", b"MAIL", b"RCPT", b"DATA", b"QUIT", b"AUTH")
    reaches(strategies.commands(hostile=False), *map(holds, verbs))
    reaches(
        strategies.commands(hostile=True),
        *map(holds, (b"\n", b"\r", b"\0", b"\xff", b"BDAT", b"HTTP")),
        lambda line: len(line) > 2048,
    )


def test_replies() -> None:
    usual_and_hostile(
        strategies.replies, lambda each: each.enhanced is not None or each.code in (250, 354, 554)
    )
    for hostile in (False, True):
        for reply in drawn(strategies.replies(hostile=hostile)):
            reader = ReplyReader(LIMIT * 8)
            reader.feed(reply.raw)
            assert reader.next_reply() == reply
    reaches(
        strategies.replies(hostile=False),
        *(lambda each, digit=digit: each.severity == digit for digit in (2, 3, 4, 5)),
        lambda each: len(each.lines) == 3,
    )
    reaches(
        strategies.replies(hostile=True),
        *(lambda each, code=code: each.code == code for code in (299, 599, 421)),
        lambda each: len(each.lines) == 100,
    )


def test_broken_replies() -> None:
    found = {*drawn(strategies.broken_replies())}
    assert len(found) > 10
    for octets in found:
        reader = ReplyReader(LIMIT)
        reader.feed(octets)
        with pytest.raises(RemoteProtocolError):
            reader.next_reply()


def test_cuts() -> None:
    data = bytes(range(256)) * 3
    for cut in drawn(strategies.cuts()):
        assert b"".join(cut(data)) == data
        assert all(cut(data))
    reaches(
        strategies.cuts(),
        lambda cut: cut == Sizes(()),
        lambda cut: cut == Sizes((1,)),
        lambda cut: len({*cut.sizes}) > 2,
    )


def test_sizes() -> None:
    assert [*Sizes((1, 3))(b"abcdefg")] == [b"a", b"bcd", b"e", b"fg"]
    assert [*Sizes()(b"abc")] == [b"abc"]
    assert [*Sizes()(b"")] == []
    assert [*Sizes((1,))(b"abc")] == [*bytewise(b"abc")]
    with pytest.raises(ValueError, match="size must be positive, not 0"):
        Sizes((1, 0))


# Dialogues


def verbs_of(dialogue: Dialogue) -> list[bytes]:
    return [Command.parse(turn.line).verb for turn in dialogue.turns]


def has_odd_lines(dialogue: Dialogue) -> bool:
    return any(b"\n" in turn.line or b"\0" in turn.line for turn in dialogue.turns)


def test_dialogues() -> None:
    strategy = strategies.dialogues
    for each in drawn(strategy(hostile=False)):
        verbs = verbs_of(each)
        assert each.waits
        assert verbs.index(b"MAIL") < verbs.index(b"RCPT") < verbs.index(b"DATA")
        assert b"QUIT" not in verbs[:-1]
    reaches(
        strategy(hostile=False),
        lambda each: verbs_of(each).count(b"DATA") == 3,
        lambda each: verbs_of(each)[-1] == b"QUIT",
        lambda each: verbs_of(each)[-1] == b"DATA",
        lambda each: b"RSET" in verbs_of(each),
    )
    for hostile in (True, None):
        reaches(
            strategy(["old.example"], hostile=hostile),
            lambda each: not each.waits,
            has_odd_lines,
            lambda each: b"MAIL" not in verbs_of(each)[:1],
            lambda each: b"@old.example" in each.octets,
        )


def test_what_a_dialogue_is_on_the_wire() -> None:
    dialogue = Dialogue((Turn(b"DATA", b".a\r\n.b\n.c"), Turn(b"QUIT")))
    assert dialogue.octets == b"DATA\r\n..a\r\n..b\n.c\r\n.\r\nQUIT\r\n"
    assert Dialogue((Turn(b"DATA", b""),)).octets == b"DATA\r\n.\r\n"
    assert repr(dialogue) == (r"Dialogue(turns=(Turn(b'DATA', b'.a\r\n.b\n.c'), Turn(b'QUIT')), waits=True)")


# In sessions


def rcpt(tx: Any, to: Any) -> Reject | None:
    return Reject(550, "5.1.6 That domain has moved") if to.domain == "old.example" else None


@on("rcpt")
def forgetful(tx: Any, to: Any) -> Reject | None:
    """As `rcpt`, but it compares what the client has written."""
    return Reject(550, "5.1.6 no") if to.address.endswith("@new.example") else None


def old_ones(s: Session) -> list[str]:
    every = (to for message in s.delivered for to in message.recipients)
    return [to for to in every if to.lower().endswith("@old.example")]


@settings(max_examples=16)
@given(strategies.envelopes(BOTH), strategies.messages())
def test_a_rule_holds_for_every_envelope_and_message(envelope: Envelope, message: bytes) -> None:
    with session(rcpt) as s:
        s.send(envelope, message)
        assert old_ones(s) == []


@settings(max_examples=16)
@given(strategies.dialogues(BOTH), strategies.cuts())
def test_a_rule_holds_in_every_dialogue_and_its_script_plays(dialogue: Dialogue, cut: Sizes) -> None:
    with session(rcpt, cut=cut) as s:
        s.say(dialogue)
        assert old_ones(s) == []
    play(s.script)


@pytest.mark.parametrize("hostile", [None, False])
def test_most_messages_arrive_if_a_rule_refuses_one_domain(hostile: bool | None) -> None:
    arrived = 0
    for envelope in drawn(strategies.envelopes(BOTH, hostile=hostile)):
        with session(rcpt) as s:
            s.send(envelope, b"Subject: hi\r\n\r\n")
            arrived += len(s.delivered)
    assert arrived > 20  # of 40


def test_messages_arrive_in_sessions() -> None:
    def arrives(count: int) -> Callable[[Dialogue], bool]:
        def says(dialogue: Dialogue) -> bool:
            with session(rcpt) as s:
                s.say(dialogue)
            return len(s.delivered) == count

        return says

    reaches(strategies.dialogues(BOTH), *map(arrives, (0, 1, 2)))


def pasted(example: str) -> dict[str, Any]:
    """The arguments of a failed case, evaluated with the names that a test imports."""
    arguments = example[example.index("(") :]
    names = {"Command": Command, "Envelope": Envelope, "Dialogue": Dialogue, "Sizes": Sizes, "Turn": Turn}
    case: dict[str, Any] = eval(f"dict{arguments[: arguments.rindex(')') + 1]}", names)
    return case


def test_a_property_that_fails_shows_a_short_dialogue() -> None:
    @settings(database=None, derandomize=True, max_examples=200, phases=[Phase.generate, Phase.shrink])
    @given(strategies.dialogues(BOTH), strategies.cuts())
    def never_reaches_old(dialogue: Dialogue, cut: Sizes) -> None:
        with session(forgetful, cut=cut) as s:
            s.say(dialogue)
            assert old_ones(s) == []

    with pytest.raises(AssertionError) as failed:
        never_reaches_old()
    dialogue, example = failed.value.__notes__[:2]
    script = dialogue.partition(":\n\n")[2]
    assert [line for line in script.splitlines() if line.startswith("C:")] == [
        "C: EHLO client.example",
        "C: MAIL FROM:<ann@me.example>",
        "C: RCPT TO:<bob@old.example>",
        "C: DATA",
        "C: From: ann@me.example",
        "C: Subject: hi",
        "C:",
        "C: .",
    ]
    play(script)
    assert "Turn(b'RCPT TO:<bob@old.example>')" in example
    case = pasted(example)
    assert case["dialogue"].octets.startswith(b"MAIL FROM:<ann@me.example>\r\nRCPT TO:<bob@old.example>\r\n")
    assert case["cut"] == Sizes(())


def test_an_envelope_that_fails_can_be_pasted_into_a_test() -> None:
    @settings(database=None, derandomize=True, max_examples=20, phases=[Phase.generate, Phase.shrink])
    @given(strategies.envelopes(["old.example"]))
    def has_no_recipient(envelope: Envelope) -> None:
        assert not envelope.recipients

    with pytest.raises(AssertionError) as failed:
        has_no_recipient()
    envelope = pasted(failed.value.__notes__[0])["envelope"]
    assert envelope.mail.raw == b"MAIL FROM:<ann@me.example>"
    assert [each.raw for each in envelope.recipients] == [b"RCPT TO:<bob@old.example>"]


# Without Hypothesis

WITHOUT = """
import sys
sys.modules["hypothesis"] = None
import sansio_smtp.testing
try:
    from sansio_smtp.testing import strategies
except ImportError as error:
    print(error)
"""


def test_hypothesis_is_asked_for_where_it_is_needed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == (
        "sansio_smtp.testing.strategies needs Hypothesis, which is not installed: pip install hypothesis\n"
    )


def test_testing_alone_does_not_load_hypothesis() -> None:
    code = "import sys, sansio_smtp.testing; print('hypothesis' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
