"""A Maildir: names that nobody else uses, and nothing left of a message that was dropped."""

from __future__ import annotations

import json
import mailbox
from pathlib import Path

import pytest

from trio_proxy.storage.maildir import Maildir


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_a_message_is_kept_with_its_envelope(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path)
    name, file = maildir.create()
    file.write(b"Subject: hi\r\n\r\n.one\r\n")
    assert files(tmp_path) == [f"tmp/{name}"]
    maildir.keep(name, file, {"mail_from": "a@me.example"})
    assert files(tmp_path) == [f"envelopes/{name}.json", f"new/{name}"]
    assert (tmp_path / "new" / name).read_bytes() == b"Subject: hi\r\n\r\n.one\r\n"
    assert json.loads((tmp_path / "envelopes" / f"{name}.json").read_text()) == {"mail_from": "a@me.example"}


@pytest.mark.parametrize("obstacle", ["", "new"])
def test_a_directory_that_cannot_be_made(obstacle: str, tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    target = tmp_path / "mail" / obstacle if obstacle else tmp_path / "mail" / "file"
    target.write_text("")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        Maildir(tmp_path / "mail" if obstacle else target / "maildir")


def test_names_are_unique(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path)
    made = [maildir.create() for _ in range(100)]
    assert len({name for name, _ in made}) == 100
    for name, file in made:
        maildir.drop(name, file)
        maildir.drop(name, file)
    assert files(tmp_path) == []


def test_mail_readers_know_the_files_and_may_move_them(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path)
    name, file = maildir.create()
    file.write(b"Subject: hi\r\n\r\none\r\n")
    maildir.keep(name, file, {"mail_from": "a@me.example"})
    assert name.endswith(".eml")
    reader = mailbox.Maildir(tmp_path, create=False)
    ((key, message),) = reader.items()
    assert (key, message["Subject"], message.get_subdir()) == (name, "hi", "new")
    message.set_subdir("cur")
    message.add_flag("S")
    reader[key] = message
    assert files(tmp_path) == [f"cur/{name}:2,S", f"envelopes/{name}.json"]


def test_a_host_whose_name_cannot_stand_in_a_file_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "a/b:c")
    name, file = Maildir(tmp_path).create()
    file.close()
    assert name.endswith(".a_b_c.eml")
