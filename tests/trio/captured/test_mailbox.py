"""The Maildir of captured mail as others leave it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mailboxes import ENVELOPE, HELLO, keep

from trio_proxy.captured.mailbox import NO_MESSAGE, Mailbox, MailboxError


def names(directory: Path) -> list[str]:
    return [stored.path.name for stored in Mailbox(directory).messages()]


def test_oldest_first_and_numbered(tmp_path: Path) -> None:
    kept = [keep(tmp_path) for _ in range(12)]
    messages = Mailbox(tmp_path).messages()
    assert [stored.path for stored in messages] == kept
    assert [stored.number for stored in messages] == [*range(1, 13)]
    assert Mailbox(tmp_path).message(3).path == kept[2]
    assert Mailbox(tmp_path).message(None).path == kept[-1]


def test_messages_that_began_in_one_moment(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    order = ["7.5.P1Q9.vm.eml", "7.5.P1Q10.vm.eml", "7.6.P1Q2.vm.eml", "8.M1P1.other", "10.1.P1Q3.vm.eml"]
    for name in reversed(order):
        (tmp_path / "new" / name).touch()
    assert names(tmp_path) == order


def test_names_of_other_programs(tmp_path: Path) -> None:
    (tmp_path / "cur").mkdir()
    for name, seconds in (("b", 3), ("a", 5)):
        (tmp_path / "cur" / name).touch()
        os.utime(tmp_path / "cur" / name, (seconds, seconds))
    (tmp_path / "cur" / ".hidden").touch()
    (tmp_path / "cur" / "folder").mkdir()
    (tmp_path / "cur" / "link").symlink_to("/etc/passwd")
    (tmp_path / "cur" / "4.P1Q1.vm.eml:2,S").touch()
    assert names(tmp_path) == ["b", "4.P1Q1.vm.eml:2,S", "a"]


def test_a_summary(tmp_path: Path) -> None:
    keep(tmp_path)
    mailbox = Mailbox(tmp_path)
    summary = mailbox.summary(mailbox.message(1))
    assert (summary.sender, summary.recipients) == ("ann@me.example", ("bob@mx.example", "carol@mx.example"))
    assert (summary.subject, summary.size, summary.envelope) == ("Grüße", len(HELLO), ENVELOPE)
    assert abs((summary.received - datetime.now(UTC)).total_seconds()) < 60
    assert mailbox.content(summary.stored) == HELLO


def test_a_message_that_a_reader_has_moved_has_its_envelope(tmp_path: Path) -> None:
    path = keep(tmp_path)
    path.rename(tmp_path / "cur" / f"{path.name}:2,RS")
    mailbox = Mailbox(tmp_path)
    (stored,) = mailbox.messages()
    assert stored.file == f"cur/{path.name}:2,RS"
    assert mailbox.summary(stored).envelope == ENVELOPE


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '{"mail_from": "x"}', '{"rcpt_to": 7}', "[" * 99_999])
def test_without_an_envelope_header_fields_serve(text: str | None, tmp_path: Path) -> None:
    path = keep(tmp_path, b"From: a@x\r\nTo: b@y\r\n\r\n")
    beside = tmp_path / "envelopes" / f"{path.name}.json"
    if text is None:
        beside.unlink()
    else:
        beside.write_text(text)
    mailbox = Mailbox(tmp_path)
    summary = mailbox.summary(mailbox.message(1))
    assert (summary.sender, summary.recipients, summary.envelope) == ("a@x", ("b@y",), {})


@pytest.mark.parametrize(("sender", "shown"), [(None, ""), ("", ""), (7, "7")])
def test_odd_senders(sender: Any, shown: str, tmp_path: Path) -> None:
    keep(tmp_path, HELLO, {"mail_from": sender, "rcpt_to": []})
    mailbox = Mailbox(tmp_path)
    summary = mailbox.summary(mailbox.message(1))
    assert (summary.sender, summary.recipients) == (shown, ())


# What cannot be shown


def why(directory: Path, number: int | None = None) -> str:
    with pytest.raises(MailboxError) as error:
        Mailbox(directory).message(number)
    return str(error.value)


def test_no_directory(tmp_path: Path) -> None:
    assert why(tmp_path / "x").startswith(f"there is no directory {tmp_path}/x: no mail was kept here yet")
    assert "--capture DIR" in why(tmp_path / "x")


def test_no_maildir(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path, tmp_path / "file"):
        assert why(directory).startswith(f"{directory} is no Maildir: there is no directory 'new' in it")


def test_a_maildir_whose_directories_were_removed(tmp_path: Path) -> None:
    """All of them, or those with messages."""
    assert why(tmp_path).startswith(f"{tmp_path} is empty: its messages were removed, or ")
    for name in ("tmp", "envelopes"):
        (tmp_path / name).mkdir()
    (tmp_path / "certificate.pem").touch()
    assert why(tmp_path).startswith(f"{tmp_path} is empty: ")


def test_a_directory_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", scandir)
    assert why(tmp_path) == f"{tmp_path}/new cannot be read: Permission denied"


def test_no_such_message(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert why(tmp_path, 1) == f"{tmp_path} {NO_MESSAGE}"
    keep(tmp_path)
    assert why(tmp_path, 2).startswith(f"there is no message 2: {tmp_path} holds one message; --last shows")
    keep(tmp_path)
    assert f"{tmp_path} holds 2 messages" in why(tmp_path, 3)


def test_a_file_that_vanishes(tmp_path: Path) -> None:
    path = keep(tmp_path)
    mailbox = Mailbox(tmp_path)
    (stored,) = mailbox.messages()
    path.unlink()
    for read in (mailbox.summary, mailbox.content):
        with pytest.raises(
            MailboxError, match=r"^message 1 is gone: another program has moved or removed .*"
        ):
            read(stored)
    path.mkdir()
    for read in (mailbox.summary, mailbox.content):
        with pytest.raises(MailboxError, match=r" cannot be read: Is a directory$"):
            read(stored)
