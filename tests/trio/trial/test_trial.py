"""``smtp-proxy test``: what rules would do with a message, without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import forking
import pytest
from click.testing import CliRunner, Result
from commands import environment, once

from sansio_smtp.wire.replies import Origin, Reply
from trio_proxy.commands.cli import cli
from trio_proxy.trial.diff import differences
from trio_proxy.trial.envelope import Envelope
from trio_proxy.trial.expectations import Expectation, Happened, happened
from trio_proxy.trial.model import Case, Step, Trial
from trio_proxy.trial.report import coloured
from trio_proxy.trial.results import no_rule_said

RULES = """
from sansio_smtp.rules import Discard, Hold, Reject


def rcpt(tx, to):
    if to.domain == "old.example":
        return Reject(550, "5.1.1 That domain has moved")
    if to.domain == "gone.example":
        return Discard()
    if to.local == "sales":
        to.rewrite("team@example.com")


async def message(tx, msg):
    msg.headers.add("X-Scanned-By", "smtp-proxy")
    tx.add_rcpt("archive@example.com")
    if b"HOLD" in msg.body:
        return Hold("suspicious")


def body_line(tx, line):
    return line.replace(b"cat", b"dog")
"""
HELLO = b"From: ann@example.com\nSubject: Hi\n\nHello Bob,\nthe cat is well.\n"
ANN_TO_BOB = ("--from", "ann@example.com", "--to", "bob@example.com")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with rules and a message, in which commands are run; the tests' logging stays as it is."""
    (tmp_path / "my_rules.py").write_text(RULES)
    (tmp_path / "hello.eml").write_bytes(HELLO)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trio_proxy.text.logs.configure", lambda verbosity: None)
    before = sorted(tmp_path.rglob("*"))
    yield tmp_path
    made = {path.name for path in set(tmp_path.rglob("*")) - set(before)}
    assert not made & {"quarantine", "captured-mail", "new", "tmp"}, "a trial keeps nothing"


def trial(*arguments: str, rules: str | None = None, message: bytes | None = None) -> Result:
    """Runs it; ``rules`` are the text of a file, after the names that every rule needs."""
    file = "my_rules.py"
    if rules is not None:
        file = "rules.py"
        text = "import time, trio, attrs\nfrom sansio_smtp.rules import *\n" + dedent(rules)
        Path(file).write_text(text)
    if message is not None:
        Path("hello.eml").write_bytes(message)
    return CliRunner().invoke(cli, ["test", "--rules", file, "hello.eml", *arguments])


def timeless(text: str) -> str:
    return re.sub(r" +[0-9.]+ ms", " N ms", text)


# What it says


def test_the_whole_of_it() -> None:
    result = trial(
        *("--from", "ann@example.com", "--to", "bob@old.example", "--to", "bob@example.com"),
        *("--to", "sales@example.com", "--to", "x@gone.example"),
        *("--expect", "rcpt=reject:550", "--expect", "message=accept"),
    )
    assert result.stderr == ""
    expected = dedent("""\
        rules  my_rules.py (rcpt, body_line, message)

        hello.eml, 68 octets
        MAIL FROM:<ann@example.com> SIZE=68
          -> 250 2.0.0 ok
        RCPT TO:<bob@old.example>
          rcpt N ms  my_rules.rcpt       my_rules.py:5   Reject 550 5.1.1 That domain has moved
          -> 550 5.1.1 That domain has moved
        RCPT TO:<bob@example.com>
          rcpt N ms  my_rules.rcpt       my_rules.py:5   -
          -> 250 2.0.0 ok
        RCPT TO:<sales@example.com>
          rcpt N ms  my_rules.rcpt       my_rules.py:5   <sales@example.com> -> <team@example.com>
          -> 250 2.0.0 ok
        RCPT TO:<x@gone.example>
          rcpt N ms  my_rules.rcpt       my_rules.py:5   Discard 250 2.0.0 ok
          -> 250 2.0.0 ok
        DATA, 68 octets
          body_line N ms  my_rules.body_line  my_rules.py:21  1 of 2 lines replaced
          message N ms  my_rules.message    my_rules.py:14  + X-Scanned-By: smtp-proxy
          -> 250 2.0.0 ok

        delivered from <ann@example.com>
          not to <bob@old.example>, 550 5.1.1 That domain has moved
          to <bob@example.com>
          to <team@example.com>, rewritten from <sales@example.com>
          not to <x@gone.example>, discarded
          to <archive@example.com>, added
        --- hello.eml
        +++ delivered
        @@ -1,5 +1,6 @@
         From: ann@example.com
         Subject: Hi
        +X-Scanned-By: smtp-proxy
         
         Hello Bob,
        -the cat is well.
        +the dog is well.
        expected rcpt=reject:550: met
        expected message=accept: met
        """)  # noqa: W293
    expected = expected.replace("smtp-proxy\n\n Hello", "smtp-proxy\n \n Hello")  # dedent clears such lines
    assert timeless(result.stdout) == expected
    assert result.exit_code == 0


def test_as_json() -> None:
    result = trial(*ANN_TO_BOB, "--to", "x@gone.example", "--expect", "accept", "--json")
    assert result.exit_code == 1  # one was discarded
    whole = json.loads(result.stdout)
    assert (whole["rules"], whole["ok"]) == ("my_rules.py (rcpt, body_line, message)", False)
    [told] = whole["trials"]
    assert whole["warning"] is None
    assert whole["summary"] == dict.fromkeys(
        ("refused", "deferred", "held", "discarded", "not_tried", "rule_failed"), 0
    ) | dict.fromkeys(("messages", "delivered", "not_to_all_recipients", "changed", "not_as_expected"), 1)
    assert {**told, "steps": None, "diff": None} == {
        "message": "hello.eml",
        "size": 68,
        "ok": False,
        "outcome": "delivered",
        "kept_envelope": [],
        "own_fields": {"mail_from": None, "rcpt_to": []},
        "result": "delivered from <ann@example.com>",
        "steps": None,
        "mail_from": "ann@example.com",
        "recipients": [
            {
                "address": "bob@example.com",
                "reply": "250 2.0.0 ok",
                "sent_as": "bob@example.com",
                "discarded": False,
            },
            {"address": "x@gone.example", "reply": "250 2.0.0 ok", "sent_as": None, "discarded": True},
        ],
        "added": ["archive@example.com"],
        "delivered": True,
        "upstream": None,
        "held": None,
        "discarded": False,
        "diff": None,
        "warnings": {},
        "expected": {"accept": False},
    }
    assert "+X-Scanned-By: smtp-proxy" in told["diff"]
    assert [step["phase"] for step in told["steps"]] == [
        *("connect", "helo", "mail", "rcpt", "rcpt", "message", "disconnect"),
    ]
    [asked] = told["steps"][4]["rules"]
    assert asked.pop("milliseconds") >= 0
    assert asked == {
        "phase": "rcpt",
        "rule": "my_rules.rcpt",
        "file": "my_rules.py",
        "line": 5,
        "verdict": {"kind": "discard", "code": 250, "text": "2.0.0 ok"},
        "changes": [],
        "failure": None,
        "traceback": None,
    }


def test_quiet_says_only_what_is_not_as_expected() -> None:
    result = trial(*ANN_TO_BOB, "--expect", "accept", "-q")
    assert (result.exit_code, result.output) == (0, "")
    result = trial(*ANN_TO_BOB, "--expect", "reject", "-q")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "hello.eml: expected reject; delivered from <ann@example.com>\n"


@pytest.mark.parametrize(
    ("expectation", "is_met"),
    [("rcpt=reject", True), ("reject", True), ("rcpt=accept", False), ("accept", False), ("defer", False)],
)
def test_expectations_about_several_recipients(expectation: str, is_met: bool) -> None:
    result = trial(*ANN_TO_BOB, "--to", "x@old.example", "--expect", expectation, "-q")
    said = (
        f"hello.eml: expected {expectation}; delivered to 1 of 2 recipients, "
        "not to <x@old.example> (550 5.1.1 That domain has moved)\n"
    )
    assert result.exit_code == (0 if is_met else 1)
    assert result.stderr == ("" if is_met else said)


def test_three_recipients_are_named_to_which_a_message_was_not_delivered() -> None:
    moved = [argument for name in "abcde" for argument in ("--to", f"{name}@old.example")]
    result = trial(*ANN_TO_BOB, *moved, "--expect", "accept", "-q")
    assert "delivered to 1 of 6 recipients, not to <a@old.example> (550 " in result.stderr
    assert ", <c@old.example> (550 5.1.1 That domain has moved) and 2 more\n" in result.stderr


def test_a_recipient_that_was_discarded_was_not_as_expected() -> None:
    result = trial(*ANN_TO_BOB, "--to", "x@gone.example", "--expect", "accept", "-q")
    left_out = "delivered to 1 of 2 recipients, not to <x@gone.example> (discarded)"
    assert result.stderr == f"hello.eml: expected accept; {left_out}\n"


def test_what_rules_print_is_not_in_the_report() -> None:
    rules = "def mail(tx, sender):\n    print('here I am')"
    result = trial(*ANN_TO_BOB, "--json", rules=rules)
    assert json.loads(result.stdout)["ok"]
    assert result.stderr == "here I am\n"


def test_colours_are_for_terminals() -> None:
    assert coloured("+++ delivered") == "\x1b[1m+++ delivered\x1b[0m"
    assert coloured("+X: y") == "\x1b[32m+X: y\x1b[0m"
    assert coloured("-X: y") == "\x1b[31m-X: y\x1b[0m"
    assert coloured("expected accept: NOT MET").startswith("\x1b[31m")
    assert coloured("DATA, 68 octets") == "DATA, 68 octets"
    assert "\x1b" not in trial(*ANN_TO_BOB).output


def test_what_a_terminal_would_obey_is_escaped() -> None:
    rules = "def headers(tx, headers):\n    headers.set('Subject', b'\\x1b[31m')"
    result = trial(*ANN_TO_BOB, rules=rules, message=b"Subject: \x1b[2J\n\n\x1b[0m\n")
    assert "\x1b" not in result.output
    assert "+Subject: \\x1b[31m" in result.output


# Every end


@pytest.mark.parametrize(
    ("rules", "expectation", "ending"),
    [
        ("def connect(conn): return Reject(554, '5.7.1 no')", "connect=reject:554", "not delivered: connect"),
        ("def helo(conn, name): return Defer(450, '4.7.1 no')", "helo=defer:450", "not delivered: helo"),
        ("def auth(conn, attempt): return Reject(535, '5.7.8 no')", "auth=reject:535", "not delivered: auth"),
        ("def mail(tx, sender): return Close(421, '4.7.0 no')", "mail=close:421", "not delivered: mail"),
        ("def rcpt(tx, to): return Defer(451, '4.7.1 no')", "rcpt=defer:451", "not delivered: rcpt"),
        ("def rcpt(tx, to): return Close(550, '5.7.0 no')", "close:550", "not delivered: rcpt"),
        ("def data(tx): return Reject(554, '5.7.1 no')", "data=reject:554", "not delivered: message"),
        ("def headers(tx, headers): return Reject(554)", "headers=reject", "not delivered: message"),
        ("def body(tx, chunk): return Defer(451)", "message=defer:451", "not delivered: message"),
        ("def body_line(tx, line): return Close(421)", "body_line=close", "not delivered: message"),
        ("def command(conn, cmd): return Reject(500, 'no') if cmd.verb == 'MAIL' else None",
         "command=reject:500", "not delivered: mail was answered 500 no"),
        ("def rcpt(tx, to): return Discard()", "discard", "discarded: nothing is delivered"),
        ("def mail(tx, sender): return Discard()", "mail=discard", "discarded: nothing is delivered"),
        ("def message(tx, msg): return Discard()", "message=discard", "discarded: nothing is delivered"),
        ("def message(tx, msg): return Hold('odd')", "hold", "held (odd) from <ann@example.com>"),
        ("def rcpt(tx, to): return Hold('', 550, '5.7.1 x')", "hold:550", "held from <ann@example.com>"),
        ("def mail(tx, sender): sender.rewrite('x@y')", "accept",
         "delivered from <x@y>, rewritten from <ann@example.com>"),
        ("def mail(tx, sender): return Redirect('b.example:24')", "redirect:b.example",
         "delivered through b.example:24 from <ann@example.com>"),
        ("def rcpt(tx, to): return Redirect('smtp://b.example')", "rcpt=redirect:b.example:25",
         "delivered through smtp://b.example from"),
        ("def connect(conn): return Redirect('unix:/run/x')", "redirect:unix:/run/x",
         "delivered through unix:/run/x from"),
        ("def rcpt(tx, to): return Accept()", "accept", "delivered from <ann@example.com>"),
        ("def disconnect(conn): pass", "rcpt=accept", "delivered from <ann@example.com>"),
    ],
)  # fmt: skip
def test_verdicts(rules: str, expectation: str, ending: str) -> None:
    result = trial(*ANN_TO_BOB, "--user", "ann", "--expect", expectation, rules=rules)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert f"\nexpected {expectation}: met\n" in result.stdout
    assert f"\n{ending}" in result.stdout
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("rules", "expectation"),
    [
        ("def rcpt(tx, to): return Reject(550)", "accept"),
        ("def rcpt(tx, to): return Reject(550)", "reject:551"),
        ("def rcpt(tx, to): return Reject(550)", "mail=reject"),
        ("def rcpt(tx, to): return Reject(550)", "message=accept"),  # there is no message
        ("def rcpt(tx, to): return Discard()", "accept"),
        ("def message(tx, msg): return Hold()", "message=accept"),
        ("def message(tx, msg): return Hold()", "hold:451"),
        ("def mail(tx, sender): return Redirect('b.example:24')", "redirect:b.example:25"),
        ("def mail(tx, sender): return Redirect('b.example:24')", "redirect:c.example"),
        ("def mail(tx, sender): return Redirect('b')", "reject"),
        ("def disconnect(conn): pass", "redirect"),
    ],
)
def test_expectations_that_are_not_met(rules: str, expectation: str) -> None:
    result = trial(*ANN_TO_BOB, "--expect", expectation, rules=rules)
    assert f"\nexpected {expectation}: NOT MET\n" in result.stdout
    assert result.exit_code == 1


def test_all_expectations_must_be_met() -> None:
    expected = ("--expect", "accept", "--expect", "reject")
    assert trial(*ANN_TO_BOB, *expected).exit_code == 1


def test_a_refusal_of_the_proxy_itself() -> None:
    """It meets no expectation: those are about rules."""
    given = (*ANN_TO_BOB, "--max-message-size", "10", "--expect", "reject:552")
    result = trial(*given)
    assert result.exit_code == 1
    assert "SIZE=68\n  -> 552 " in result.stdout
    why = "no rule said so: the proxy itself answered mail with 552 "
    assert f"\nexpected reject:552: NOT MET; {why}" in result.stdout
    assert trial(*given, "-q").stderr.startswith(f"hello.eml: expected reject:552; {why}")
    assert f"\n    expected reject:552: NOT MET; {why}" in trial("hello.eml", *given).stdout


def test_a_refusal_of_the_proxy_and_one_of_a_rule() -> None:
    both = (*ANN_TO_BOB, "--to", "a b@c.example", "--to", "x@old.example")
    assert trial(*both, "--expect", "rcpt=reject:550").exit_code == 0
    assert trial(*both, "--expect", "rcpt=reject:501").exit_code == 1
    assert (
        "expected rcpt=accept: NOT MET\n" in trial(*ANN_TO_BOB, *both[-2:], "--expect", "rcpt=accept").stdout
    )
    reply = Reply.of(550, "no", origin=Origin.SERVER)
    assert no_rule_said(answered_by(reply), Expectation.parse("rcpt=reject")) == (
        "no rule said so: the server answered rcpt with 550 no"
    )


def answered_by(reply: Reply) -> Trial:
    given = Trial(
        "x.eml",
        b"",
        Case(mail_from=None, rcpt_to=(), ip="192.0.2.1", helo=None, login=None, expectations=()),
        Envelope(),
    )
    given.step_taken(Step("rcpt", "RCPT TO:<b@example.com>", replies=[reply]))
    return given


def test_messages_that_are_held_whole_have_a_limit() -> None:
    assert "not delivered: message was answered 552" in trial(*ANN_TO_BOB, "--max-held", "50").stdout
    Path("proxy.toml").write_text('[rules]\nmax_held = 50\nspool = "spool"\n')
    assert "\ndelivered from" in trial(*ANN_TO_BOB, "-c", "proxy.toml").stdout


# What the client says


def test_the_client() -> None:
    rules = """
        def mail(tx, sender):
            conn = tx.conn
            print(conn.ip, conn.helo, conn.login, repr(sender.address), [str(p) for p in sender.parameters])
    """
    said = ("--ip", "2001:DB8::1", "--helo", "mx.example", "--user", "ann")
    result = trial("--from", "", "--to", "b@example.com", *said, rules=rules)
    assert result.stderr.startswith("2001:db8::1 mx.example ann '' [")
    assert "\nAUTH PLAIN, as ann\n  -> 235 " in result.stdout
    assert "\nMAIL FROM:<> SIZE=68\n" in result.stdout


@pytest.mark.parametrize(
    ("message", "to", "declared"),
    [
        (b"A: b\n\nx\n", "b@d", "SIZE=11"),
        (b"A: b\n\n\xc3\xa4\n", "b@d", "SIZE=12 BODY=8BITMIME"),
        (b"A: \xc3\xa4\n\nx\n", "b@d", "SIZE=12 BODY=8BITMIME SMTPUTF8"),
        (b"A: b\n\nx", "b\u00fc@d", "SIZE=11 SMTPUTF8"),
        (b"", "b@d", "SIZE=0"),
    ],
)
def test_what_it_declares(message: bytes, to: str, declared: str) -> None:
    result = trial("--from", "a@b", "--to", to, rules="def rcpt(tx, to): pass", message=message)
    assert f"\nMAIL FROM:<a@b> {declared}\n" in result.stdout
    assert "\ndelivered from <a@b>\n" in result.stdout
    assert "warning" not in result.stdout
    assert "+++" not in result.stdout


def test_declarations_that_edits_make_untrue() -> None:
    rules = """
        def message(tx, msg):
            msg.headers.add_raw(b"X-A: \\xc3\\xa4")
    """
    result = trial(*ANN_TO_BOB, "--json", rules=rules)
    assert list(json.loads(result.stdout)["trials"][0]["warnings"]) == ["8BITMIME", "SMTPUTF8"]


@pytest.mark.parametrize(
    ("before", "added", "warns"),
    [(100, 4000, False), (100, 5000, True), (100_000, 5000, False), (100_000, 20_000, True)],
)
def test_a_size_that_edits_make_untrue_matters_if_the_message_has_grown_much(
    before: int, added: int, warns: bool
) -> None:
    rules = f"def message(tx, msg): msg.body += b'x' * {added}"
    message = b"A: b\n\n" + b"y" * before + b"\n"
    result = trial(*ANN_TO_BOB, rules=rules, message=message)
    size = before + 10
    now = size + added + 2
    told = f"\nwarning: SIZE: the message has {now:,} octets now, and MAIL declared {size:,}; a server"
    assert (told in result.stdout) == warns
    assert ("warning" in result.stdout) == warns


def test_signatures_that_edits_break() -> None:
    signed = b"DKIM-Signature: v=1; h=subject; b=x\n" + HELLO
    rules = "def headers(tx, headers): headers.set('Subject', 'other')"
    result = trial(*ANN_TO_BOB, rules=rules, message=signed)
    assert "\nwarning: the edit breaks a signature that the message came with\n" in result.stdout
    rules = "def headers(tx, headers): headers.prepend('Received', 'by me')"
    assert "signature that" not in trial(*ANN_TO_BOB, rules=rules, message=signed).stdout


def test_servers_that_cannot_be() -> None:
    result = trial(*ANN_TO_BOB, rules="def mail(tx, sender): return Redirect('b.example:99999')")
    assert "\nwarning: this server cannot be used: 'b.example:99999': '99999' is no port" in result.stdout


def test_messages_in_their_order_each_with_a_connection_of_its_own() -> None:
    rules = """
        seen = []
        def mail(tx, sender):
            seen.append(tx.conn.data)
            return Defer() if len(set(map(id, seen))) > 1 else None
    """
    result = CliRunner().invoke(cli, ["test", "hello.eml", "-", *ANN_TO_BOB, "--rules", "r.py"], input=HELLO)
    assert result.exit_code == 78  # no such file yet
    Path("r.py").write_text("from sansio_smtp.rules import *\n" + dedent(rules))
    arguments = ["test", "hello.eml", "-", *ANN_TO_BOB, "--rules", "r.py", "-v"]
    result = CliRunner().invoke(cli, arguments, input=HELLO)
    first, second = result.stdout.split("\n\nstdin, 68 octets\n")
    assert first.endswith("\ndelivered from <ann@example.com>\n  to <bob@example.com>")
    assert "not delivered: mail was answered 451 4.7.1 try again later" in second
    assert result.exit_code == 0


# Rules that fail


def test_a_rule_that_raises() -> None:
    rules = """
        def helper(to):
            return 1 / 0

        def rcpt(tx, to):
            helper(to)
    """
    result = trial(*ANN_TO_BOB, rules=rules)
    assert result.exit_code == 1
    assert "FAILED ZeroDivisionError: division by zero\n" in result.stdout
    trace = re.findall(r'^ +File "(.*)", line \d+, in (\w+)$', result.stdout, re.M)
    assert trace == [("rules.py", "rcpt"), ("rules.py", "helper")]
    assert "-> 451 4.3.0 a rule of this proxy failed, try again later (incident trial-1)\n" in result.stdout
    assert trial(*ANN_TO_BOB, "--expect", "defer:451", rules=rules).exit_code == 1
    result = trial(*ANN_TO_BOB, "--on-rule-error", "accept", "-q", rules=rules)
    assert result.exit_code == 1
    assert result.stderr == "hello.eml: rules.py:5 rules.rcpt failed: ZeroDivisionError: division by zero\n"


def test_a_rule_that_returns_nonsense() -> None:
    result = trial(*ANN_TO_BOB, rules="def rcpt(tx, to): return to.domain")
    assert result.exit_code == 1
    assert "FAILED LocalProtocolError: rules.rcpt returned 'example.com'; rcpt takes None, " in result.stdout
    assert "Traceback" not in result.stdout  # the rule itself raised nothing


def test_a_file_without_rules_is_warned_of() -> None:
    warning = (
        "warning: there are no rules to be asked; a rule is a function that is named after a phase, such"
    )
    result = trial(*ANN_TO_BOB, rules="x = 1")
    assert result.stdout.startswith(f"rules  rules.py (no rules)\n{warning} as def rcpt(tx, to)\n\n")
    assert trial(*ANN_TO_BOB, "-q", rules="x = 1").stderr.startswith(warning)
    told = json.loads(trial(*ANN_TO_BOB, "--json", rules="x = 1").stdout)
    assert told["warning"].startswith("there are no rules to be asked")
    assert result.exit_code == 0


def test_a_failure_says_what_to_write() -> None:
    result = trial(*ANN_TO_BOB, rules="def message(tx, msg): msg['Subject'] = 'x'")
    assert "does not support item assignment; a header field is changed by headers.set(" in result.stdout


def test_rules_that_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_proxy.rulebook.host._BLOCKING_SECONDS", 0.1)
    rules = """
        async def mail(tx, sender):
            await trio.sleep_forever()

        def data(tx):
            time.sleep(60)
    """
    result = trial(*ANN_TO_BOB, "--rule-timeout", "0.2", "--on-rule-error", "accept", rules=rules)
    assert result.exit_code == 1
    assert "FAILED TimeoutError: no verdict within 0.2 s\n" in result.stdout
    assert "FAILED Blocked: it has blocked the service for 0.1 s; mark it @threaded, or make" in result.stdout
    assert "\ndelivered from" in result.stdout


def test_async_and_threaded_rules_and_contexts_work_as_in_the_proxy() -> None:
    rules = """
        import contextlib, threading

        @attrs.define
        class Both:
            name: str = "x"
            channel: object = attrs.field(default=None, init=False)

            @contextlib.asynccontextmanager
            async def running(self):
                send, self.channel = trio.open_memory_channel(0)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send.send, self.name)
                    yield
                print("left")

            async def mail(self, tx, sender):
                print("got", await self.channel.receive())

            @threaded
            def rcpt(self, tx, to):
                print("main" if threading.current_thread() is threading.main_thread() else "thread")

        rules = [Both]
    """
    Path("proxy.toml").write_text('[rules.both]\nname = "from the settings"\n')
    result = trial(*ANN_TO_BOB, "--config", "proxy.toml", rules=rules)
    assert result.exit_code == 0
    assert result.stderr == "got from the settings\nthread\nleft\n"
    milliseconds = [float(found) for found in re.findall(r" ([0-9.]+) ms ", result.stdout)]
    assert len(milliseconds) == 2
    assert all(0 < found < 30_000 for found in milliseconds)


# Bodies


def test_bodies_in_pieces() -> None:
    rules = """
        async def body(tx, chunk):
            return b"the end\\r\\n" if not chunk else None

        @threaded
        def body_line(tx, line):
            return b"" if line.startswith(b"Hello") else None
    """
    result = trial(*ANN_TO_BOB, rules=rules)
    assert "1 of 2 pieces replaced\n" in result.stdout
    assert "1 of 3 lines replaced\n" in result.stdout
    assert "-Hello Bob,\n the cat is well.\n+the end\n" in result.stdout


def test_a_rule_that_fails_in_the_body() -> None:
    result = trial(*ANN_TO_BOB, rules="def body_line(tx, line):\n    return line + 'x'")
    assert result.exit_code == 1
    assert (
        "FAILED TypeError: can't concat str to bytes; the body and its lines are octets (bytes); "
        in result.stdout
    )
    assert 'File "rules.py", line 4, in body_line\n' in result.stdout


NAMES = ("a", "b")
HEAD = b"A: 1\r\nB: 2\r\n\r\n"


def test_messages_that_are_equal_have_no_difference() -> None:
    assert differences(HEAD + b"x", HEAD + b"x", NAMES) == []


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (b"\0" * 10, b"\0" * 9 + b"x", "(binary): 10 octets, now 10; they differ from octet 9 on"),
        (bytes(range(1, 255)), b"", "(binary): 254 octets, now 0; they differ from octet 0 on"),
        (
            b"x" * 300_000,
            b"x" * 300_001,
            "(too large to show): 300,000 octets, now 300,001; they differ from",
        ),
    ],
)
def test_bodies_that_nobody_would_read_are_told_in_a_line(before: bytes, after: bytes, why: str) -> None:
    told = differences(HEAD + before, HEAD.replace(b"2", b"3") + after, NAMES)
    assert told[:3] == ["--- a", "+++ b", "@@ -1,3 +1,3 @@"]
    assert {"-B: 2", "+B: 3"} < set(told)
    assert why in told[-1]
    told = differences(HEAD + before, HEAD + after, NAMES)
    assert told[:2] == ["--- a", "+++ b"]
    assert why in told[2]
    assert differences(HEAD + before, HEAD.replace(b"2", b"3") + before, NAMES)[-1] == " "


def test_text_in_other_charsets_is_shown() -> None:
    assert "+\\xfcber" in differences(HEAD + b"a\r\n", HEAD + b"\xfcber\r\n", NAMES)
    assert "+\u6f22\u5b57" in differences(HEAD, HEAD + "\u6f22\u5b57\r\n".encode(), NAMES)


# Wrong usage, wrong rules


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([*ANN_TO_BOB, "--expect", "rejct"], "'rejct': no verdict 'rejct'; did you mean \"reject\"?"),
        ([*ANN_TO_BOB, "--expect", "550"], "'550': write reject:550\n"),
        ([*ANN_TO_BOB, "--expect", "reject=550"], "'reject=550': write reject:550\n"),
        ([*ANN_TO_BOB, "--expect", "rcpt=450"], "'rcpt=450': write rcpt=defer:450\n"),
        ([*ANN_TO_BOB, "--expect", "reject=rcpt"], "'reject=rcpt': write rcpt=reject\n"),
        ([*ANN_TO_BOB, "--expect", "reject:550=rcpt"], "'reject:550=rcpt': write rcpt=reject:550\n"),
        ([*ANN_TO_BOB, "--expect", "rcpt:reject"], "'rcpt:reject': write rcpt=reject\n"),
        ([*ANN_TO_BOB, "--expect", "rcpt:reject:550"], "'rcpt:reject:550': write rcpt=reject:550\n"),
        ([*ANN_TO_BOB, "--expect", "250"], "'250': write accept\n"),
        ([*ANN_TO_BOB, "--expect", "xyz"], "'xyz': no verdict 'xyz'; there are accept, reject, defer"),
        ([*ANN_TO_BOB, "--expect", "rctp=reject"], "no phase 'rctp'; did you mean \"rcpt\"?"),
        ([*ANN_TO_BOB, "--expect", "disconnect=reject"], "no phase 'disconnect'"),
        ([*ANN_TO_BOB, "--expect", "connect=hold"], "a rule in connect cannot say hold"),
        (
            [*ANN_TO_BOB, "--expect", "reject:450"],
            "the reply code of reject is a number from 500 to 599, such",
        ),
        (
            [*ANN_TO_BOB, "--expect", "rcpt=reject:5xx"],
            "'rcpt=reject:5xx': the reply code of reject is a number from 500 to 599, such as "
            "rcpt=reject:550; without it, any is meant\n",
        ),
        ([*ANN_TO_BOB, "--expect", "reject:5.1.6"], "such as reject:550; without it"),
        ([*ANN_TO_BOB, "--expect", "defer:45"], "of defer is a number from 400 to 499, such as defer:450"),
        (
            [*ANN_TO_BOB, "--expect", "hold:354"],
            "is a number from 200 to 299 or from 400 to 499 or from 500 to 599",
        ),
        ([*ANN_TO_BOB, "--expect", "accept:250"], "accept has no reply code; write accept"),
        ([*ANN_TO_BOB, "--expect", "redirect:::1"], "an IPv6 address needs brackets"),
        ([*ANN_TO_BOB, "--ip", "1.2.3"], "'1.2.3' is no IP address, such as 192.0.2.1"),
        ([*ANN_TO_BOB, "--to", "x\ny"], "must not hold CR, LF or NUL"),
        ([*ANN_TO_BOB, "--to", ""], "not an address: ''"),
        ([*ANN_TO_BOB, "--helo", "x\r\ny"], "CR"),
        ([*ANN_TO_BOB, "-", "-"], "Standard input can be read once only: - is given twice."),
        ([*ANN_TO_BOB, "none.eml"], "none.eml: No such file or directory"),
        ([*ANN_TO_BOB, "/proc/self/mem"], "/proc/self/mem: Input/output error"),
    ],
)
def test_wrong_usage(arguments: list[str], complaint: str) -> None:
    result = trial(*arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert result.stdout == ""


def test_rules_are_needed() -> None:
    result = CliRunner().invoke(cli, ["test", "hello.eml", *ANN_TO_BOB])
    assert result.exit_code == 2
    assert result.stderr.endswith(
        "Error: Missing:\n  --rules FILE.py (or --config FILE.toml, a settings file that names rules)\n"
    )


def test_all_that_is_missing_is_said_at_once() -> None:
    Path("hello.eml").write_bytes(b"To: undisclosed-recipients:;\n\nHello\n")
    result = CliRunner().invoke(cli, ["test", "hello.eml"])
    assert result.exit_code == 2
    assert result.stderr.partition("Error: ")[2] == dedent("""\
        Missing:
          --rules FILE.py (or --config FILE.toml, a settings file that names rules)
          --from ADDRESS (the message has none in Return-Path, Sender or From)
          --to ADDRESS (the message has none in To, Cc or Bcc)
        """)
    result = CliRunner().invoke(cli, ["test"])
    assert result.stderr.partition("Error: ")[2] == dedent("""\
        Missing:
          --rules FILE.py (or --config FILE.toml, a settings file that names rules)
          MSG.eml (a message, or a directory, a Maildir or an mbox file of messages)
        """)
    result = CliRunner().invoke(cli, ["test", "my_rules.py", "hello.eml", *ANN_TO_BOB])
    assert result.stderr.endswith("Missing:\n  --rules in front of my_rules.py: --rules my_rules.py\n")
    Path("empty").mkdir()
    result = CliRunner().invoke(cli, ["test", "none.eml", "empty"])
    assert result.stderr.partition("Error: ")[2].splitlines() == [
        "none.eml: No such file or directory",
        "empty: no messages in this directory. Messages are files that end in .eml or .mbox, or in new and "
        "cur of a Maildir",
        "Missing:",
        "  --rules FILE.py (or --config FILE.toml, a settings file that names rules)",
    ]


@pytest.mark.parametrize(
    ("rules", "settings", "complaint"),
    [
        ("def rctp(tx, to): pass", "", 'rules.py:3: rctp() is no phase; did you mean "rcpt"?'),
        ("rules = [1]", "", "rules.py:3: rules: 1 is no rule (int)"),
        ("def rcpt(tx, to): pass", "[rules.x]\ny = 1\n", "proxy.toml:1: [rules.x] no rule class takes"),
        ("def rcpt(tx, to): pass", "[server]\nlissten = 1\n", 'key "lissten"; did you mean "listen"?'),
        ("""
         from contextlib import asynccontextmanager
         class Late:
             @asynccontextmanager
             async def running(self):
                 raise OSError("nobody there")
                 yield
             def mail(self, tx, sender): pass
         rules = [Late]
         """, "", "Late: running() failed: OSError: nobody there"),
    ],
)  # fmt: skip
def test_rules_and_settings_that_are_wrong(rules: str, settings: str, complaint: str) -> None:
    Path("proxy.toml").write_text(settings)
    result = trial(*ANN_TO_BOB, "-c", "proxy.toml", rules=rules)
    assert complaint in result.stderr
    assert (result.exit_code, result.stdout) == (78, "")


def test_the_settings_file_names_rules_too() -> None:
    Path("proxy.toml").write_text('[rules]\nfiles = ["my_rules.py"]\n')
    result = CliRunner().invoke(cli, ["test", "-c", "proxy.toml", "hello.eml", *ANN_TO_BOB])
    assert result.stdout.startswith("rules  my_rules.py (rcpt, body_line, message)\n")


# Expectations by themselves


def test_what_happened() -> None:
    from sansio_smtp.rules import Accept, Discard, Redirect

    assert happened("mail", Accept()) is None
    assert happened("mail", Reply.of(250, "ok")) is None
    assert happened("mail", Reply.of(452, "no", origin=Origin.RULE)) == Happened("mail", "defer", 452)
    assert happened("mail", Reply.of(452, "no")) == Happened("mail", "defer", 452, by_rule=False)
    assert happened("rcpt", Discard()) == Happened("rcpt", "discard", 250)
    assert happened("rcpt", Redirect("x")) == Happened("rcpt", "redirect", upstream="x")


def test_a_server_that_cannot_be_read_as_an_address() -> None:
    expectation = Expectation.parse("redirect:host:24")
    assert not expectation.met_by([Happened("mail", "redirect", upstream="a:b:c")], ["mail"], delivered=True)


# The executable


def test_odd_addresses_are_sent_as_they_are(place: Path) -> None:
    odd = ["--from", "a@me.example", "--to", "bob@evil.example(@example.com", "--to", "b\udcff@example.com"]
    result = trial(*odd, "--expect", "rcpt=reject:501", rules="def rcpt(tx, to): pass")
    assert "RCPT TO:<bob@evil.example(@example.com>\n  -> 501 5.1.3 a path holds no comment" in result.stdout
    assert "501 5.1.3 the path is not in UTF-8" in result.stdout


def test_as_a_process(place: Path) -> None:
    result = once(
        "test", "-r", "my_rules.py", "hello.eml", *ANN_TO_BOB, "--expect", "accept", directory=place
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("expected accept: met\n")


def test_options_may_stand_before_the_word(place: Path) -> None:
    result = once("-r", "my_rules.py", "test", "hello.eml", *ANN_TO_BOB, "-q", directory=place)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_environment_says_nothing_but_what_it_says_to_the_service(place: Path) -> None:
    variables: dict[str, Any] = {"SMTP_PROXY_RULES": "my_rules.py", "SMTP_PROXY_TO": "nobody@example.com"}
    result = once("test", "hello.eml", *ANN_TO_BOB, directory=place, **variables)
    assert "RCPT TO:<bob@example.com>" in result.stdout
    assert "nobody" not in result.stdout
    assert result.returncode == 0


def test_help_is_fast_and_complete() -> None:
    result = once("test", "--help")
    assert result.returncode == 0
    for option in ("--from", "--to", "--ip", "--helo", "--user", "--expect", "--json", "--quiet", "--rules"):
        assert option in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


PROGRAM = """
import sys
calls = []
sys.addaudithook(lambda event, _: calls.append(event) if event.startswith("socket.") else None)
from trio_proxy.commands.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
sys.exit(sorted({"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"} & set(calls)) or 0)
"""


def test_there_is_no_network(place: Path) -> None:
    (place / "r.py").write_text(
        "from sansio_smtp.rules import Redirect\ndef mail(tx, sender): return Redirect('b.example:24')\n"
    )
    arguments = ["-c", PROGRAM, "test", "-r", "r.py", "hello.eml", *ANN_TO_BOB]
    result = forking.run(arguments, cwd=place, env=environment(), timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert "delivered through b.example:24" in result.stdout
