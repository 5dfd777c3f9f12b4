"""Configures the log of the service, as its settings say."""

from __future__ import annotations

import os
from typing import Final, Literal

import attrs
import structlog

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.login.secret_files import SecretError, read_secret
from trio_proxy.settings.options import Options
from trio_proxy.text import logs
from trio_proxy.text.hiding import Hide, hashing, leaving_out

__all__ = ["ServiceLog", "log_problems", "make_key"]

log = structlog.stdlib.get_logger("smtp_proxy")


@attrs.define(eq=False)
class ServiceLog:
    """The log of the service: how much it says can change while the service runs."""

    _form: Literal["text", "json", "auto"]
    _hide: Hide | None
    _verbosity: int
    problems: list[Problem]
    """What keeps the service from being started: until then addresses are left out."""

    @classmethod
    def configured(cls, options: Options, key: bytes | None = None) -> ServiceLog:
        """The log is as these options say from now on. ``key`` is that of hashes, if no file has it; None:
        one is made."""
        hide, problems = _hide(options, key)
        made = cls(options.log_format, hide, options.verbosity, problems)
        made._configure()
        return made

    def be_as_verbose_as(self, options: Options) -> None:
        """From now on as much is logged as these options say; the rest of them does not count. Sessions that
        have logged something already stay as they are."""
        before, self._verbosity = self._verbosity, options.verbosity
        if before == self._verbosity:
            return
        if before > self._verbosity:  # else the line might be one of those that are not logged any more
            self._say()
        self._configure()
        if before < self._verbosity:
            self._say()

    def _say(self) -> None:
        log.warning("log level reloaded", verbosity=_NAMES.get(self._verbosity, "-vv"))

    def _configure(self) -> None:
        logs.configure(self._verbosity, form=self._form, hide=self._hide)


_NAMES: Final = {-1: "--quiet", 0: "default", 1: "--verbose"}
_REMEDY: Final = (
    "it has to hold a key in one line, such as openssl rand -hex 32 makes, and this user has to be able to "
    "read it"
)


def make_key() -> bytes:
    """A key of hashes, which nobody knows."""
    return os.urandom(32)


def log_problems(options: Options) -> list[Problem]:
    """What keeps the log from being written as these options say. Reads a file, so it blocks."""
    return _hide(options)[1]


def _hide(options: Options, key: bytes | None = None) -> tuple[Hide | None, list[Problem]]:
    """What stands in the place of addresses in log lines, or None if that is the addresses; and what is wrong
    with it."""
    if options.log_addresses == "full":
        return None, []
    if options.log_addresses == "none":
        return leaving_out, []
    if options.log_key_file is None:
        return hashing(key or make_key()), []
    try:
        return hashing(read_secret(options.log_key_file).encode()), []
    except SecretError as error:
        text = f"--log-key-file: {error}; {_REMEDY}"
        return leaving_out, [Problem("", 0, text)]
