"""Configures the log of the service, as its settings say."""

from __future__ import annotations

import os
from typing import Final, Literal

import attrs
import structlog

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.login.secret_files import SecretError, read_secret
from trio_proxy.settings.in_file import of_settings
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
    """The reasons why the service cannot start. Until it starts, log lines leave addresses out."""
    _keeps_mail: bool = False
    """True if messages are kept here."""

    @classmethod
    def configured(cls, options: Options, key: bytes | None = None) -> ServiceLog:
        """Configures the log by these options. ``key`` is the key of hashes, used if no file is named; None:
        a key is made."""
        hide, problems = _hide(options, key)
        made = cls(options.log_format, hide, options.verbosity, problems)
        made._configure()
        return made

    def be_as_verbose_as(self, options: Options) -> None:
        """Changes only how much is logged. Sessions that have already logged something do not change."""
        before, self._verbosity = self._verbosity, options.verbosity
        if before == self._verbosity:
            return
        if before > self._verbosity:  # otherwise this line itself might not be logged any more
            self._say()
        self._configure()
        if before < self._verbosity:
            self._say()

    def warn_anyway(self, text: str) -> None:
        """Logs a warning, even if only errors are logged."""
        logs.configure(0, form=self._form, hide=self._hide)
        log.warning(text)
        self._configure()

    def tells_of_capture(self) -> None:
        """Messages are kept here: from now on the line about each has a form for people."""
        self._keeps_mail = True
        self._configure()

    def _say(self) -> None:
        log.warning("log level reloaded", verbosity=_NAMES.get(self._verbosity, "-vv"))

    def _configure(self) -> None:
        lines: logs.OwnLines = {}
        if self._keeps_mail:
            from trio_proxy.captured.kept_line import lines_of_capture  # few need it

            lines = lines_of_capture(says_all=self._verbosity > 0)
        logs.configure(self._verbosity, form=self._form, hide=self._hide, lines=lines)


_NAMES: Final = {-1: "--quiet", 0: "default", 1: "--verbose"}
_REMEDY: Final = (
    "it has to hold a key in one line, such as openssl rand -hex 32 makes, and this user has to be able to "
    "read it"
)


def make_key() -> bytes:
    """A random key of hashes."""
    return os.urandom(32)


def log_problems(options: Options) -> list[Problem]:
    """The reasons why the log cannot be written as these options say. Reads a file, so it blocks."""
    return _hide(options)[1]


def _hide(options: Options, key: bytes | None = None) -> tuple[Hide | None, list[Problem]]:
    """Returns what replaces addresses in log lines, or None if they are logged as they are; and the problems
    found."""
    if options.log_addresses == "full":
        return None, []
    if options.log_addresses == "none":
        return leaving_out, []
    if options.log_key_file is None:
        return hashing(key or make_key()), []
    try:
        return hashing(read_secret(options.log_key_file).encode()), []
    except SecretError as error:
        text = f"--log-key-file {error}; {_REMEDY}"
        return leaving_out, [of_settings(options, text)]
