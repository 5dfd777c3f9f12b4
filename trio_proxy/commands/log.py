"""Configures the log of the service, as its settings say."""

from __future__ import annotations

import secrets
from typing import Literal

import attrs
import click
import structlog

from trio_proxy.login.secret_files import SecretError, read_secret
from trio_proxy.settings.options import Options
from trio_proxy.text import logs
from trio_proxy.text.hiding import Hide, hashing, leaving_out

__all__ = ["ServiceLog"]

log = structlog.stdlib.get_logger("smtp_proxy")


@attrs.define(eq=False)
class ServiceLog:
    """The log of the service: how much it says can change while the service runs."""

    _form: Literal["text", "json", "auto"]
    _hide: Hide | None
    _verbosity: int

    @classmethod
    def configured(cls, options: Options) -> ServiceLog:
        """The log is as these options say from now on. Raises `click.BadParameter` if the key of hashes
        cannot be read."""
        made = cls(options.log_format, _hide(options), options.verbosity)
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


_NAMES = {-1: "--quiet", 0: "default", 1: "--verbose"}


def _hide(options: Options) -> Hide | None:
    """What stands in the place of addresses in log lines; None if that is the addresses."""
    if options.log_addresses == "full":
        return None
    if options.log_addresses == "none":
        return leaving_out
    if options.log_key_file is None:
        return hashing(secrets.token_bytes(32))
    try:
        return hashing(read_secret(options.log_key_file).encode())
    except SecretError as error:
        raise click.BadParameter(str(error), param_hint="'--log-key-file'") from None
