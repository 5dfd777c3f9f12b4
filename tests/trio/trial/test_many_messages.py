"""``smtp-proxy test`` with what a message says itself, and with many messages."""

from __future__ import annotations

import io
import json
import mailbox
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner, Result

from trio_proxy.commands.cli import cli
from trio_proxy.trial.envelope import envelope_of
from trio_proxy.trial.letters import LettersError, find_letters
from trio_proxy.trial.summary import Tally

RULES = """
from sansio_smtp.rules import *


def rcpt(tx, to):
    if to.local == "moved":
        return Reject(550, "5.1.6 Moved")
    if to.local == "later":
        return Defer(451, "4.7.1 Later")
    if to.local == "broken":
        return 1 / 0


def message(tx, msg):
    if "spam" in msg.headers.get("Subject", ""):
        return Discard()
    if "odd" in msg.headers.get("Subject", ""):
        return Hold("it is odd")
    if "grow" in msg.headers.get("Subject", ""):
        msg.body += b"x" * 5000
"""


def eml(to: str, subject: str = "Hi") -> bytes:
    return f"From: Ann <ann@example.com>\nTo: {to}\nSubject: {subject}\n\nHello\n".encode()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rules.py").write_text(RULES)
    (tmp_path / "mail").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trio_proxy.text.logs.configure", lambda verbosity: None)
    return tmp_path


def keep(**messages: bytes) -> None:
    for name, octets in messages.items():
        Path("mail", f"{name}.eml").write_bytes(octets)


def trial(*arguments: str, given: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["test", "--rules", "rules.py", *arguments], input=given)


# The message's own fields


@pytest.mark.parametrize(
    ("head", "sender", "field"),
    [
        ("From: Ann <ann@example.com>, bob@example.com", "ann@example.com", "From"),
        ("From: Ann <ann@example.com>\nSender: sec@example.com", "sec@example.com", "Sender"),
        ("From: a@b\nreturn-path: <list-7@example.com>\nSender: c@d", "list-7@example.com", "Return-Path"),
        ("From: a@b\nReturn-Path: <>", "", "Return-Path"),
        ("From: nobody\nReturn-Path: odd", "", ""),
        ("From: =?utf-8?q?M=C3=BCller?=\n <m@example.com>", "m@example.com", "From"),
        ("From: <x\0@y>", "", ""),
    ],
)  # fmt: skip
def test_the_sender(head: str, sender: str, field: str) -> None:
    envelope = envelope_of(head.encode() + b"\n\nFrom: no@example.com\n", None, ["b@c"])
    assert (envelope.sender, envelope.sender_field) == (sender, field)
    assert (envelope.missing == ()) == bool(field)
    assert envelope.recipient_fields == ()


def test_the_recipients() -> None:
    head = b"Bcc: c@d\r\nTo: Bob <b@d>, Team: <t@d>, b@d;\r\nCc: undisclosed:;\r\n\r\n"
    envelope = envelope_of(head, "", [])
    assert envelope.recipients == ("b@d", "t@d", "c@d")
    assert envelope.recipient_fields == ("To", "Bcc")
    assert envelope.origin == "from the message's own fields: recipients (To, Bcc)"
    assert envelope_of(head, "a@b", ["c@d"]).origin == ""


def test_the_report_says_what_is_from_the_message() -> None:
    keep(a=eml("bob@example.com"))
    result = trial("mail/a.eml", "--expect", "accept")
    assert result.exit_code == 0
    assert "\nfrom the message's own fields: sender (From), recipients (To)\nMAIL FROM:<ann@" in result.stdout
    assert "\nRCPT TO:<bob@example.com>\n" in result.stdout
    result = trial("mail/a.eml", "--to", "x@example.com")
    assert "\nfrom the message's own fields: sender (From)\n" in result.stdout
    assert "bob@" not in result.stdout
    own = json.loads(trial("mail/a.eml", "--from", "", "--json").stdout)["trials"][0]["own_fields"]
    assert own == {"mail_from": None, "rcpt_to": ["To"]}


# Where messages are


def names(*paths: str) -> list[str]:
    with ExitStack() as files:
        letters = find_letters(paths, files)
        assert all(letter.read() for letter in letters)
        return [letter.name for letter in letters]


def test_messages_of_a_directory() -> None:
    keep(b=eml("b@c"), a=eml("b@c"))
    for other in ("notes.txt", ".hidden.eml", "rules.py"):
        Path("mail", other).write_text("no message")
    Path("mail/more/deep").mkdir(parents=True)
    Path("mail/more/deep/C.EML").write_bytes(eml("b@c"))
    assert names("mail") == ["mail/a.eml", "mail/b.eml", "mail/more/deep/C.EML"]


def test_messages_of_a_maildir() -> None:
    box = mailbox.Maildir("box")
    box.add(eml("b@c"))
    seen = mailbox.MaildirMessage(eml("b@c"))
    seen.set_subdir("cur")
    box.add(seen)
    Path("box/envelopes").mkdir()
    Path("box/envelopes/1.json").write_text("{}")
    Path("box/tmp/half.eml").write_bytes(eml("b@c"))
    assert sorted(name.rpartition("/")[0] for name in names("box")) == ["box/cur", "box/new"]
    assert len(names(".")) == 2


def test_messages_of_an_mbox_file() -> None:
    box = mailbox.mbox("in.mbox")
    for number in range(3):
        box.add(eml(f"b{number}@c"))
    box.close()
    assert names("in.mbox") == ["in.mbox#1", "in.mbox#2", "in.mbox#3"]
    result = trial("-", "-v", given=Path("in.mbox").read_bytes())
    assert [f"stdin#{n}, 61 octets" in result.stdout for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert "RCPT TO:<b2@c>" in result.stdout
    Path("one.eml").write_bytes(b"From ann Thu Jan  1 00:00:00 2026\n" + eml("b@c"))
    assert names("one.eml") == ["one.eml"]
    assert "From ann" not in trial("one.eml").stdout


def test_all_that_cannot_be_read_is_said() -> None:
    Path("empty").mkdir()
    with ExitStack() as files, pytest.raises(LettersError) as caught:
        find_letters(["none.eml", "empty", "none.eml"], files)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == ["none.eml", "empty"]


# Many messages


def test_a_line_for_each_and_a_summary() -> None:
    keep(
        a=eml("bob@example.com"),
        b=eml("bob@example.com, moved@example.com"),
        c=eml("moved@example.com"),
        d=eml("later@example.com"),
        e=eml("bob@example.com", "spam"),
        f=eml("bob@example.com", "odd"),
        g=eml("bob@example.com", "grow"),
        h=b"Subject: x\n\n",
    )
    result = trial("mail", "--ip", "192.0.2.9")
    grew = (
        "SIZE: the message has 5,076 octets now, and MAIL declared 74; a server may refuse it (RFC 1870, "
        "6.3). With --headroom the proxy declares more"
    )
    counts = (
        "3 delivered (1 not to all recipients), 1 refused, 1 deferred, 1 held, 1 discarded, 1 not tried, "
        "1 changed"
    )
    left_out = "to 1 of 2 recipients, not to <moved@example.com> (550 5.1.6 Moved)"
    missing = (
        "missing --from ADDRESS (the message has none in Return-Path, Sender or From), missing --to ADDRESS "
        "(the message has none in To, Cc or Bcc)"
    )
    assert result.stdout == dedent(f"""\
        rules  rules.py (rcpt, message)

        delivered           mail/a.eml
        delivered           mail/b.eml  {left_out}
        refused             mail/c.eml  rcpt was answered 550 5.1.6 Moved
        deferred            mail/d.eml  rcpt was answered 451 4.7.1 Later
        discarded           mail/e.eml
        held                mail/f.eml  it is odd
        delivered, changed  mail/g.eml
            warning: {grew}
        not tried           mail/h.eml  {missing}

        8 messages: {counts}
          not to all recipients: mail/b.eml
          refused: mail/c.eml
          deferred: mail/d.eml
          held: mail/f.eml
          discarded: mail/e.eml
          not tried: mail/h.eml
        """)
    assert result.exit_code == 1  # for the last one


def test_what_fails_and_what_is_not_as_expected() -> None:
    keep(a=eml("bob@example.com"), b=eml("broken@example.com"))
    result = trial("mail", "--expect", "accept")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[2:] == [
        "delivered           mail/a.eml",
        "deferred            mail/b.eml  rcpt was answered 451 4.3.0 a rule of this proxy failed, try again "
        "later (incident trial-1)",
        "    rules.py:11 rules.rcpt failed: ZeroDivisionError: division by zero",
        "    expected accept: NOT MET",
        "",
        "2 messages: 1 delivered, 1 deferred, 1 with a rule that failed, 1 as expected, 1 not as expected",
        "  deferred: mail/b.eml",
        "  with a rule that failed: mail/b.eml",
        "  not as expected: mail/b.eml",
    ]
    result = trial("mail", "-q", "--expect", "accept")
    assert (result.exit_code, result.stdout) == (1, "")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["mail/b.eml"] * 2


def test_quiet_says_what_was_not_tried() -> None:
    keep(a=eml("bob@example.com"), b=b"From: a@b\n\n")
    result = trial("mail", "-q")
    assert result.exit_code == 1
    assert result.stderr == (
        "mail/b.eml: not tried: missing --to ADDRESS (the message has none in To, Cc or Bcc)\n"
    )


def test_the_numbers_as_json() -> None:
    keep(a=eml("bob@example.com, moved@example.com"), b=eml("moved@example.com"), c=b"From: a@b\n\n")
    whole = json.loads(trial("mail", "--json").stdout)
    assert whole["ok"] is False
    assert {name: count for name, count in whole["summary"].items() if count} == {
        "messages": 3,
        "delivered": 1,
        "refused": 1,
        "not_tried": 1,
        "not_to_all_recipients": 1,
    }
    assert [each["outcome"] for each in whole["trials"]] == ["delivered", "refused", "not tried"]
    assert whole["trials"][2]["steps"] == []


def test_of_many_names_ten_are_said() -> None:
    keep(**{f"m{number:02}": eml("moved@example.com") for number in range(13)})
    result = trial("mail")
    assert result.exit_code == 0
    assert result.stdout.endswith("mail/m08.eml, mail/m09.eml and 3 more\n")


def test_a_message_that_is_gone_when_its_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(a=eml("bob@example.com"), b=eml("bob@example.com"))
    begin = Tally.add

    def remove(self: Tally, trial: object) -> None:
        Path("mail/b.eml").unlink(missing_ok=True)
        begin(self, trial)  # type: ignore[arg-type]

    monkeypatch.setattr(Tally, "add", remove)
    result = trial("mail")
    assert "\nnot tried           mail/b.eml  cannot be read: No such file or directory\n" in result.stdout
    assert result.exit_code == 1


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A process that was started in the background may ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_with_the_numbers_so_far() -> None:
    (Path("rules.py")).write_text(
        "import os, signal\n"
        "def rcpt(tx, to):\n    if to.local == 'now': os.kill(os.getpid(), signal.SIGINT)\n"
    )
    keep(a=eml("bob@example.com"), b=eml("now@example.com"), c=eml("bob@example.com"))
    result = trial("mail")
    assert result.exit_code == 130
    assert result.stderr == "interrupted: 1 of 3 messages were tried\n"
    assert result.stdout.endswith("\n1 message: 1 delivered\n")


# Progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("how", "shows"), [(["-q"], True), (["--json"], True), ([], False)])
def test_progress_is_shown_on_a_terminal_that_shows_nothing_else(
    how: list[str], shows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(a=eml("bob@example.com"), b=eml("bob@example.com"))
    out, err = _Terminal(), _Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    with pytest.raises(SystemExit):
        cli(["test", "-r", "rules.py", "mail", *how], prog_name="smtp-proxy")
    assert ("2/2" in err.getvalue()) == shows
    assert "2/2" not in out.getvalue()


def test_no_progress_elsewhere() -> None:
    keep(a=eml("bob@example.com"), b=eml("bob@example.com"))
    assert trial("mail", "-q").output == ""
