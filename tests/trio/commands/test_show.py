"""``smtp-proxy show``: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from commands import COMMAND, environment, once

from trio_proxy.captured.mailbox import NO_MESSAGE
from trio_proxy.commands.show import run_save, run_show
from trio_proxy.storage.maildir import Maildir

Said = pytest.CaptureFixture[str]
MESSAGE = b"From: a@me.example\r\nSubject: one\r\n\r\n\x1b[2J\xff\r\n"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with two messages, in that which is current."""
    monkeypatch.chdir(tmp_path)
    for message in (MESSAGE, b"Subject: two\r\n\r\nhello\r\n"):
        maildir = Maildir(Path("captured-mail"))
        name, file = maildir.create()
        file.write(message)
        maildir.keep(name, file, {"mail_from": "a@me.example", "rcpt_to": ["b@mx.example"]})
    return Path("captured-mail")


def test_the_list(kept: Path, capsys: Said) -> None:
    assert run_show(kept, "all", "text") == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in said] == ["subject", "one", "two"]
    assert run_show(kept, "all", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(each["number"], each["subject"], each["to"]) for each in found] == [
        (1, "one", ["b@mx.example"]),
        (2, "two", ["b@mx.example"]),
    ]
    assert all(Path(each["file"]).is_file() for each in found)


def test_the_list_of_a_recipient(tmp_path: Path, capsys: Said) -> None:
    maildir = Maildir(tmp_path)
    for subject, to in ((b"one", ["ann@mx.example", "Kim@mx.example"]), (b"two", ["bob@mx.example"])):
        name, file = maildir.create()
        file.write(b"Subject: %s\r\n\r\n" % subject)
        maildir.keep(name, file, {"mail_from": "a@me.example", "rcpt_to": to})
    assert run_show(tmp_path, "all", "json", "kim@MX.example") == 0
    assert [each["subject"] for each in json.loads(capsys.readouterr().out)] == ["one"]
    assert run_show(tmp_path, "all", "text", "bob@mx.example") == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["subject", "two"]
    assert run_show(tmp_path, "all", "text", "im@mx.example") == 0
    assert capsys.readouterr().out == f"{tmp_path} holds no message to im@mx.example\n"


def test_one(kept: Path, capsys: Said) -> None:
    assert run_show(kept, "last", "text") == 0
    assert capsys.readouterr().out.endswith("\nSubject: two\n\nhello\n")
    assert run_show(kept, 1, "json") == 0
    said = capsys.readouterr().out
    assert said.isascii()
    found = json.loads(said)
    assert found["envelope"] == {"mail_from": "a@me.example", "rcpt_to": ["b@mx.example"]}
    assert found["fields"] == [
        {"name": "From", "value": "a@me.example"},
        {"name": "Subject", "value": "one"},
    ]
    assert (found["text"], found["html"], found["attachments"]) == (
        "\x1b[2J\xff\n".replace("\xff", "ÿ"),
        "",
        [],
    )


def test_as_it_was_sent(kept: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run_show(kept, 1, "raw") == 0
    assert capfdbinary.readouterr().out == MESSAGE


def test_an_empty_directory(tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "new").mkdir()
    assert run_show(tmp_path, "all", "text") == 0
    assert capsys.readouterr().out == f"{tmp_path} {NO_MESSAGE}\n"
    assert run_show(tmp_path, "all", "json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run_show(tmp_path, "last", "text") == 1
    assert capsys.readouterr().err == f"smtp-proxy: {tmp_path} {NO_MESSAGE}\n"


@pytest.mark.parametrize("how", ["text", "json"])
def test_a_file_that_vanishes_is_left_out_of_the_list(
    kept: Path, capsys: Said, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir
    first = min((kept / "new").iterdir())

    def scan(path: Path) -> object:
        if path.name == "cur":  # the names in new are known by now
            first.unlink()
        return scandir(path)

    monkeypatch.setattr("os.scandir", scan)
    assert run_show(kept, "all", how) == 0  # type: ignore[arg-type]
    said = capsys.readouterr()
    assert said.err.startswith("smtp-proxy: message 1 is gone")
    assert "two" in said.out
    assert "one" not in said.out


# The executable


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 1, "there is no directory captured-mail: no mail was kept here yet"),
        (["--last", "--capture", "."], 1, ". is empty: its messages were removed, or"),
        (["0"], 2, "'0' is no number of a message"),
        (["one"], 2, "'one' is no number of a message"),
        (["1", "--last"], 2, "'N' and '--last' name two messages"),
        (["1", "--json", "--raw"], 2, "'--json' and '--raw' are two forms"),
        (["--raw"], 2, "'--raw' shows one message"),
        (["--to", "b@mx.example", "1"], 2, "'--to' lists messages"),
        (["--to", "b@mx.example", "--last"], 2, "'--to' lists messages"),
        (["--config", "missing.toml"], 78, "missing.toml"),
    ],
)
def test_mistakes(arguments: list[str], status: int, text: str, tmp_path: Path) -> None:
    result = once("show", *arguments, directory=tmp_path)
    assert (result.returncode, result.stdout) == (status, "")
    assert text in result.stderr
    assert "Traceback" not in result.stderr


def test_the_directory_may_stand_in_the_settings_file(kept: Path) -> None:
    kept.rename("mail")
    Path("proxy.toml").write_text('[server]\ncapture = "mail"\n')
    result = once("show", "-c", "proxy.toml", directory=Path.cwd())
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 3


def test_the_directory_may_be_that_of_a_quarantine(kept: Path) -> None:
    """Of a service with a server, which keeps no mail."""
    Path("proxy.toml").write_text('[server]\nupstream = "h"\n')
    arguments = ("show", "-c", "proxy.toml", "--capture", str(kept), "--last", "--json")
    result = once(*arguments, directory=Path.cwd(), SMTP_PROXY_UPSTREAM="h")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["subject"] == "two"


@pytest.mark.parametrize("arguments", [["1"], ["1", "--raw"]])
def test_a_terminal_gets_no_control_character(kept: Path, arguments: list[str]) -> None:
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as screen:
        command, variables = [*COMMAND, "show", *arguments], environment(PYTHONUTF8="1")
        subprocess.run(command, stdout=theirs, env=variables, check=True, timeout=60)
        os.close(theirs)
        said = b""
        while True:
            try:
                said += screen.read(65_536)
            except OSError:  # as Linux says that there is no more
                break
    assert b"one" in said
    assert all(line.isprintable() for line in said.decode().split("\r\n"))


WITH_FILES = b"""Subject: files\r
Content-Type: multipart/mixed; boundary=x\r
\r
--x\r
\r
text\r
--x\r
Content-Type: text/csv\r
Content-Disposition: attachment; filename="../figures.csv"\r
\r
1;2\r
--x--\r
"""


def test_attachments_are_saved(kept: Path, capsys: Said) -> None:
    maildir = Maildir(kept)
    name, file = maildir.create()
    file.write(WITH_FILES)
    maildir.keep(name, file, {})
    assert run_save(kept, None, Path("saved")) == 0
    assert capsys.readouterr().out == "saved saved/figures.csv\n"
    assert Path("saved/figures.csv").read_bytes() == b"1;2"
    assert run_save(kept, 2, Path("saved")) == 0
    assert capsys.readouterr().out == "This message has no attachments.\n"
    assert run_save(kept, 9, Path("saved")) == 1
    assert "message" in capsys.readouterr().err
    assert run_save(kept, 3, Path("saved/figures.csv")) == 1
    assert capsys.readouterr().err.startswith(
        "smtp-proxy: nothing can be saved in saved/figures.csv: File exists"
    )


def test_save_is_for_one_message(kept: Path) -> None:
    del kept
    assert "'--save' is for one message" in once("show", "--save", "x").stderr
    assert "'--save' writes files" in once("show", "1", "--raw", "--save", "x").stderr
    assert once("show", "2", "--save", "x").stdout == "This message has no attachments.\n"
