"""Attachments as files: no name leads out of the directory, and no file is overwritten."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from each import each

from trio_proxy.captured.contents import Attachment
from trio_proxy.captured.saving import save_attachments


def saved(directory: Path, *names: str) -> list[str]:
    attachments = [
        (Attachment(name, "text/csv", 2), f"{place}\n".encode()) for place, name in enumerate(names)
    ]
    return [str(path.relative_to(directory)) for path in save_attachments(attachments, directory)]


@each(
    ("given", "file"),
    [
        ("figures.csv", "figures.csv"),
        ("Grüße an alle.txt", "Grüße an alle.txt"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Windows\\win.ini", "win.ini"),
        ("..", "_."),
        (".", "_"),
        (".bashrc", "_bashrc"),
        ("-rf", "_rf"),
        ("~root", "_root"),
        ("", "attachment"),
        ("a/", "attachment"),
        ("  ", "attachment"),
        ("a\0b\n\x1b[2J\u202e.txt", "a_b__[2J_.txt"),
        ("\udcff.txt", "_.txt"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
        ("ü" * 300, "ü" * 100),
        ("x." + "y" * 300, "x." + "y" * 198),
    ],
)
def test_names(tmp_path: Path, given: str, file: str) -> None:
    with TemporaryDirectory(dir=tmp_path) as folder:
        directory = Path(folder, "new", "saved")
        assert saved(directory, given) == [file]
        assert (directory / file).read_bytes() == b"0\n"


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")
    (tmp_path / "b.csv").symlink_to(tmp_path / "elsewhere")
    names = saved(tmp_path, "a.csv", "b.csv", "a.csv", "x/a.csv", "")
    assert names == ["a-2.csv", "b-2.csv", "a-3.csv", "a-4.csv", "attachment"]
    assert (tmp_path / "a.csv").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()
    assert [(tmp_path / name).read_text() for name in names] == [f"{place}\n" for place in range(5)]


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        saved(tmp_path / "file", "a")
