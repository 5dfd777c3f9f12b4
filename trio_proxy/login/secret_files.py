"""Reads secrets from files, and writes the refresh tokens that a provider replaces.

A secret is never the value of an option, because every user of a machine can see options, and never in a
settings file.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs
import structlog

from trio_proxy.text.missing import unreadable

__all__ = ["RefreshTokens", "SecretError", "read_secret"]

log = structlog.stdlib.get_logger("smtp_proxy")

_LARGEST: Final = 65_536


class SecretError(Exception):
    """A secret cannot be read. The text says why, and holds no part of the secret."""


def read_secret(file: Path) -> str:
    """The text of a file without white space around it. Raises `SecretError`."""
    try:
        with file.open("rb") as opened:
            octets = opened.read(_LARGEST + 1)
    except OSError as error:
        raise SecretError(f"{file}: {unreadable(file, error)}") from error
    if len(octets) > _LARGEST:
        raise SecretError(f"{file} is larger than {_LARGEST:,} bytes; is it a file with a secret?")
    try:
        text = octets.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise SecretError(f"{file} is not UTF-8; is it a file with a secret?") from None
    if not text or not text.isprintable():
        raise SecretError(f"{file} {'has more than one line' if text else 'is empty'}; it is one secret")
    return text


@attrs.define(eq=False)
class RefreshTokens:
    """The refresh tokens: one file for all accounts, or a directory with one file for each account, named
    after it."""

    path: Path | None = None
    given: str | None = attrs.field(default=None, repr=False)
    """A token that was given in another way; it is used if there is no ``path``."""
    _replaced: dict[str, tuple[str, str]] = attrs.field(
        factory=dict[str, tuple[str, str]], init=False, repr=False
    )
    """For files that cannot be written: account → the token in the file, and the new token of the
    provider."""

    def of(self, account: str) -> str:
        """The refresh token of an account. Raises `SecretError`. Reads a file."""
        text = self.given if self.path is None else read_secret(self._file(account))
        if text is None:
            raise SecretError("there is no refresh token")
        old, new = self._replaced.get(account, ("", ""))
        return new if text == old else text

    def replace(self, account: str, new: str) -> None:
        """The provider has given a new refresh token; the old one may be invalid from now on (RFC 6749 §6).
        Writes a file; if it cannot be written, the token is kept in memory, and the log says so."""
        if self.path is None:
            self._replaced[account] = (self.given or "", new)
            log.warning(
                "the provider has replaced the refresh token; write the new one to a file: a restart loses it"
            )
            return
        try:
            file = self._file(account).resolve()
            self._replaced[account] = (read_secret(file), new)
            _write(file, new)
        except (OSError, SecretError) as error:
            why = str(error)
            log.error(
                "a new refresh token cannot be written: a restart loses it", file=str(self.path), error=why
            )
        else:
            del self._replaced[account]

    def _file(self, account: str) -> Path:
        assert self.path is not None
        if not self.path.is_dir():
            return self.path
        # The name comes from a client: it is only compared with existing files, and never used as a path.
        if account.startswith(".") or account not in _names(self.path):
            raise SecretError(f"{self.path} has no file for this account")
        return self.path / account


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError as error:
        raise SecretError(f"{directory}: {unreadable(directory, error)}") from error


def _write(file: Path, text: str) -> None:
    """Replaces a file as a whole: a crash leaves the old or the new one, with the same owner and mode. Raises
    OSError."""
    before = file.stat()
    number, name = tempfile.mkstemp(dir=file.parent, prefix=".")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as opened:
            os.fchmod(number, stat.S_IMODE(before.st_mode))
            with suppress(PermissionError):  # only root may change the owner
                os.fchown(number, before.st_uid, before.st_gid)
            opened.write(text + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(name, file)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
