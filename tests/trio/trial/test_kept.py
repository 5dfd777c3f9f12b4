"""``smtp-proxy test`` with messages that the proxy has kept: the envelopes are those that were kept."""

from __future__ import annotations

import json
import smtplib
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from trio_proxy.commands.cli import cli
from trio_proxy.storage.maildir import Maildir
from trio_proxy.testing.running import RunningProxy
from trio_proxy.trial.kept import with_kept
from trio_proxy.trial.model import Case

RULES = """
def rcpt(tx, to):
    if to.local == "kim":
        raise ValueError(f"{tx.conn.helo} {tx.conn.login} {tx.mail_from.address}")
"""
CONTENT = b"From: Ann <ann@example.com>\r\nTo: bob@example.com\r\nSubject: hi\r\n\r\nHello\r\n"
RECORD = {
    "mail_from": "bounce@example.com",
    "mail_parameters": {"SIZE": "999", "BODY": "8BITMIME"},
    "rcpt_to": ["bob@example.com", "kim@example.org"],
    "helo": "laptop.example",
    "login": "ann",
}
UNSAID = Case(mail_from=None, rcpt_to=(), ip="192.0.2.1", helo=None, login=None, expectations=())


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rules.py").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trio_proxy.text.logs.configure", lambda verbosity: None)
    return tmp_path


def keep(record: dict[str, Any]) -> str:
    """Keeps the message in the Maildir ``trouble``; returns its file."""
    maildir = Maildir(Path("trouble"))
    name, file = maildir.create()
    file.write(CONTENT)
    maildir.keep(name, file, record)
    return f"trouble/new/{name}"


def trial(*arguments: str) -> str:
    return CliRunner().invoke(cli, ["test", "--rules", "rules.py", *arguments]).stdout


@pytest.mark.parametrize("in_cur", [False, True])
@pytest.mark.parametrize("as_file", [False, True])
def test_the_kept_envelope_is_that_of_the_trial(as_file: bool, in_cur: bool) -> None:
    file = keep(RECORD)
    if in_cur:
        file = str(Path(file).rename(f"{file.replace('new', 'cur')}:2,S"))
    said = trial(file if as_file else "trouble")
    assert said.splitlines()[2:9] == [
        f"{file}, {len(CONTENT)} octets",
        "from the kept envelope: sender, recipients, HELO laptop.example, login ann",
        "AUTH PLAIN, as ann",
        "  -> 235 2.7.0 authenticated",
        f"MAIL FROM:<bounce@example.com> SIZE={len(CONTENT)} BODY=8BITMIME",
        "  -> 250 2.0.0 ok",
        "RCPT TO:<bob@example.com>",
    ]
    assert "FAILED ValueError: laptop.example ann bounce@example.com" in said


def test_what_the_command_line_says_counts() -> None:
    file = keep(RECORD)
    said = trial(
        file, "--from", "a@b.example", "--to", "kim@c.example", "--helo", "me.example", "--user", "x"
    )
    assert "kept envelope" not in said
    assert "FAILED ValueError: me.example x a@b.example" in said
    assert f"MAIL FROM:<a@b.example> SIZE={len(CONTENT)}\n" in said
    said = trial(file, "--to", "kim@c.example")
    assert "\nfrom the kept envelope: sender, HELO laptop.example, login ann\n" in said
    said = trial(keep({"rcpt_to": ["kim@example.org"]}))
    assert "\nfrom the kept envelope: recipients; from the message's own fields: sender (From)\n" in said
    assert "FAILED ValueError: client.example None ann@example.com" in said


def test_a_message_of_another_program_has_its_own_fields() -> None:
    Path(keep(RECORD)).with_name("1").write_bytes(CONTENT)
    Path("trouble", "mail").mkdir()
    outside = Path("trouble", "mail", "x.eml")
    outside.write_bytes(CONTENT)
    Path("trouble", "envelopes", "x.eml.json").write_text(json.dumps(RECORD))
    for file in ("trouble/new/1", str(outside)):
        assert "\nfrom the message's own fields: sender (From), recipients (To)\n" in trial(file)
    assert ", 1 with a rule that failed, 1 with the kept envelope\n" in trial("trouble")


def test_as_json() -> None:
    (told,) = json.loads(trial(keep(RECORD), "--json"))["trials"]
    assert told["kept_envelope"] == ["sender", "recipients", "HELO laptop.example", "login ann"]


def test_nothing_is_missing_that_the_envelope_says(place: Path) -> None:
    file = Path(keep(RECORD))
    file.write_bytes(b"Subject: hi\r\n\r\nHello\r\n")
    assert "delivered from <bounce@example.com>" in trial(str(file))


def test_a_message_that_the_proxy_has_kept(tmp_path: Path) -> None:
    """The recipient is in no field, as of Bcc; the sender is the null path."""
    with (
        RunningProxy(directory=tmp_path / "kept") as proxy,
        smtplib.SMTP(proxy.host, proxy.port, local_hostname="laptop.example", timeout=30) as client,
    ):
        client.login("ann", "secret")
        client.sendmail("", ["kim@example.org"], CONTENT, ["BODY=8BITMIME", "RET=HDRS"])
    said = trial("kept/messages")
    assert "\nfrom the kept envelope: sender, recipients, HELO laptop.example, login ann\n" in said
    assert f"\nMAIL FROM:<> SIZE={len(CONTENT)} BODY=8BITMIME RET=HDRS\n  -> 250" in said
    assert "FAILED ValueError: laptop.example ann\n" in said


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"mail_from": None, "rcpt_to": [], "helo": "", "login": None, "mail_parameters": {"X": "y"}},
        {"mail_from": 1, "rcpt_to": {"a@b": 1}, "helo": ["x"], "login": True},
        {"mail_from": "a\nb", "rcpt_to": ["a@b", "a\0b"], "helo": "\ud800", "login": "x\r"},
        {"rcpt_to": ["a@b", ""]},
    ],
)
def test_what_does_not_fit_in_a_record_is_ignored(record: dict[str, Any]) -> None:
    assert with_kept(UNSAID, record) == (UNSAID, ())


@pytest.mark.parametrize(
    ("parameters", "kept"),
    [
        ({"size": "1", "BODY": "7bit", "SMTPUTF8": None}, ("BODY=7bit", "SMTPUTF8")),
        ({"BODY": "BINARYMIME", "ENVID": "a\r\nb"}, ()),
        ({"BODY": None}, ()),
        (["RET"], ()),
        (None, ()),
    ],
)
def test_the_parameters_of_mail(parameters: object, kept: tuple[str, ...]) -> None:
    record = {"mail_from": "", "mail_parameters": parameters}
    assert with_kept(UNSAID, record) == (attrs.evolve(UNSAID, mail_from="", parameters=kept), ("sender",))


def test_what_the_message_needs_is_declared_once() -> None:
    file = Path(keep(RECORD | {"mail_parameters": {"BODY": "8BITMIME", "SMTPUTF8": None}}))
    file.write_bytes("Subject: ü\r\n\r\nü\r\n".encode())
    assert " BODY=8BITMIME SMTPUTF8\n" in trial(str(file))
