"""Gives up the rights of root: after binding its ports, the service becomes another user for good."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import attrs

__all__ = ["User", "UserError"]


class UserError(Exception):
    """The process cannot become this user; the text says why."""


@attrs.frozen
class User:
    """A user, and the groups of that user."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @classmethod
    def named(cls, text: str) -> User:
        """Reads ``NAME`` or ``NAME:GROUP``. Raises `UserError`."""
        name, colon, group = text.partition(":")
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            raise UserError(f"there is no user {name!r}") from None
        gid = found.pw_gid
        if colon:
            try:
                gid = grp.getgrnam(group).gr_gid
            except KeyError:
                raise UserError(f"there is no group {group!r}") from None
        return cls(name, found.pw_uid, gid, tuple(os.getgrouplist(name, gid)))

    def become(self) -> None:
        """From now on this process has the rights of this user, and cannot go back. Does nothing if it
        already has them. Raises `UserError`."""
        if os.geteuid() == self.uid:
            return
        if os.geteuid() != 0:
            raise UserError(f"only root can become {self.name}; this is user {os.geteuid()}")
        if why := self.cannot_run():
            raise UserError(why)
        os.setgroups(self.groups)
        os.setgid(self.gid)
        os.setuid(self.uid)
        if self.uid and _can_go_back():
            raise UserError(f"the rights of root could not be given up for {self.name}")

    def cannot_run(self) -> str:
        """Why this user cannot run this program, for people; empty if nothing speaks against it. Modules are
        imported, and workers started, after `become`."""
        unreadable = self.cannot_read(map(Path, (sys.executable, os.__file__, __file__)))
        if not unreadable:
            return ""
        return (
            f"{self.name} cannot read {unreadable[0]}, which is part of this program; install it with "
            "/usr/bin/python3 into a directory that all may read, such as /opt/smtp-proxy"
        )

    def own(self, path: Path) -> None:
        """This user is the owner of a file that root has made. Does nothing if this process does not run as
        root."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)

    def cannot_read(self, files: Iterable[Path]) -> list[Path]:
        """Those of these files that this user cannot read. Only root can find out; else there are none."""
        if os.geteuid() != 0 or self.uid == 0:
            return []
        return [file for file in files if not self._may_read(file)]

    def _may_read(self, file: Path) -> bool:
        ask = ["test", "-r", str(file.absolute())]  # a process of this user knows best
        try:
            asked = subprocess.run(
                ask, cwd="/", user=self.uid, group=self.gid, extra_groups=self.groups, check=False
            )
        except OSError:
            return True  # there is no such program: nothing is known
        return asked.returncode == 0


def _can_go_back() -> bool:
    try:
        os.setuid(0)
    except OSError:
        return False
    return True
