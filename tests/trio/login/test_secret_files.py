"""Files with secrets: what is wrong with them, and how a provider's new refresh token gets into one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog.testing

from trio_proxy.login import secret_files
from trio_proxy.login.secret_files import RefreshTokens, SecretError, read_secret


def test_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"\xef\xbb\xbf  s3cr\xc3\xa9t \r\n\n")
    assert read_secret(file) == "s3cr\u00e9t"


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"s3cret\ns3cret", "more than one line"),
        (b"s3cret\0", "more than one line"),
        (b"s3cret\xff", "not UTF-8"),
        (b"s3cret" * 20_000, "larger than 65,536 bytes"),
    ],
    ids=["empty", "blank", "lines", "nul", "octets", "large"],
)
def test_what_is_no_secret(octets: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(octets)
    with pytest.raises(SecretError, match=why) as caught:
        read_secret(file)
    assert str(file) in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match=": cannot be read: there is no such file; correct the path"):
        read_secret(tmp_path / "secret")
    with pytest.raises(SecretError, match="Is a directory"):
        read_secret(tmp_path)


def test_one_file_is_for_everybody(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("r1\n")
    tokens = RefreshTokens(file)
    assert tokens.of("ann") == tokens.of("bob") == "r1"


def test_a_directory_has_a_file_for_each(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "ann@example.com").write_text("r1")
    (tmp_path / "dir" / ".hidden").write_text("h")
    (tmp_path / "secret").write_text("s")
    tokens = RefreshTokens(tmp_path / "dir")
    assert tokens.of("ann@example.com") == "r1"
    for name in ("bob", "../secret", "/etc/hostname", ".", "..", "", ".hidden", "ann@example.com/", "a\0"):
        with pytest.raises(SecretError, match="no file for this account"):
            tokens.of(name)


def test_one_that_was_given_otherwise() -> None:
    tokens = RefreshTokens(given="r1")
    assert tokens.of("ann") == "r1"
    with structlog.testing.capture_logs() as logs:
        tokens.replace("ann", "r2")
    assert tokens.of("ann") == "r2"
    assert "a restart loses it" in logs[0]["event"]
    assert "r2" not in str(logs)
    with pytest.raises(SecretError, match="no refresh token"):
        RefreshTokens().of("ann")


def test_a_new_one_is_written(tmp_path: Path) -> None:
    file, link = tmp_path / "token", tmp_path / "link"
    file.write_text("r1\n")
    link.symlink_to(file)
    tokens = RefreshTokens(link)
    tokens.replace("ann", "r2")
    assert tokens.of("ann") == "r2"
    assert file.read_text() == "r2\n"
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "token"]


def test_a_file_keeps_its_owner_and_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that ``check``, started by root, does not take it away from the service."""
    file = tmp_path / "token"
    file.write_text("r1\n")
    file.chmod(0o640)
    owners: list[tuple[int, int]] = []

    def note(number: int, user: int, group: int) -> None:
        owners.append((user, group))
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(secret_files.os, "fchown", note)
    RefreshTokens(file).replace("ann", "r2")
    assert file.read_text() == "r2\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert owners == [(file.stat().st_uid, file.stat().st_gid)]


def test_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("r1\n")
    tokens = RefreshTokens(file)

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(secret_files.os, "replace", fail)
    with structlog.testing.capture_logs() as logs:
        tokens.replace("ann", "r2")
    assert "a restart loses it" in logs[0]["event"]
    assert "r2" not in str(logs)
    assert tokens.of("ann") == "r2"
    assert os.listdir(tmp_path) == ["token"]
    file.write_text("r3\n")  # somebody has written another one: that counts
    assert tokens.of("ann") == "r3"


def test_nothing_shows_a_secret(tmp_path: Path) -> None:
    tokens = RefreshTokens(given="S3cret")
    tokens.replace("ann", "S3cret2")
    assert "S3cret" not in repr(tokens)
