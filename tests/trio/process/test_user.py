"""Users that the service may become."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from trio_proxy.process.user import User, UserError

SELF = pwd.getpwuid(os.geteuid())


def test_who_is_meant() -> None:
    user = User.named(SELF.pw_name)
    assert (user.uid, user.gid) == (SELF.pw_uid, SELF.pw_gid)
    group = grp.getgrgid(SELF.pw_gid).gr_name
    assert User.named(f"{SELF.pw_name}:{group}") == user
    user.become()  # which it is
    assert os.geteuid() == SELF.pw_uid


@pytest.mark.parametrize(
    ("text", "why"),
    [("no-such-user", "no user 'no-such-user'"), (f"{SELF.pw_name}:no-such", "no group 'no-such'")],
)
def test_who_does_not_exist(text: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        User.named(text)


def test_only_root_becomes_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(UserError, match="only root can become"):
        User("other", 4712, 4712, ()).become()


@pytest.mark.parametrize(("runs", "owns"), [(0, [("/run/control", 4712, 4713)]), (4711, [])])
def test_what_root_has_made_belongs_to_the_user(
    runs: int, owns: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    monkeypatch.setattr(os, "geteuid", lambda: runs)
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.append((str(path), uid, gid)))
    User("other", 4712, 4713, ()).own(Path("/run/control"))
    assert given == owns


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as another user")
def test_files_that_another_user_cannot_read(tmp_path: Path) -> None:
    stranger = User("other", 4712, 4713, ())
    with TemporaryDirectory() as name:
        file, missing = Path(name, "rules.py"), Path(name, "missing.py")
        file.write_text("")
        assert stranger.cannot_read([file]) == [file]
        assert User("root", 0, 0, ()).cannot_read([file]) == []
        Path(name).chmod(0o755)
        file.chmod(0o644)
        assert stranger.cannot_read([file, missing]) == [missing]
        file.chmod(0o640)
        assert stranger.cannot_read([file]) == [file]
        os.chown(file, 0, 4713)
        assert stranger.cannot_read([file]) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as another user")
def test_a_python_that_another_user_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before the rights are given up: later, an import would fail with a traceback."""
    stranger = User("other", 4712, 4713, ())
    hidden = tmp_path / "os.py"
    hidden.write_text("")
    hidden.chmod(0o600)
    monkeypatch.setattr(os, "__file__", str(hidden))
    monkeypatch.setattr(os, "setgroups", lambda _: pytest.fail("too late"))
    monkeypatch.setattr(User, "_may_read", lambda _, file: file != hidden)
    with pytest.raises(UserError, match=r"^other cannot read .*/os.py, which is part of this"):
        stranger.become()
    monkeypatch.setattr(User, "_may_read", lambda *_: True)
    assert stranger.cannot_run() == ""


def test_files_of_another_user_if_nobody_can_find_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = User("other", 4712, 4713, ())
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert stranger.cannot_read([tmp_path / "missing.py"]) == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert stranger.cannot_read([tmp_path / "missing.py"]) == []
