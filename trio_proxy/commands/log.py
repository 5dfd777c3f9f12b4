"""Configures the log of the service, as its settings say."""

from __future__ import annotations

import secrets

import click

from trio_proxy.login.secret_files import SecretError, read_secret
from trio_proxy.settings.options import Options
from trio_proxy.text import logs
from trio_proxy.text.hiding import Hide, hashing, leaving_out

__all__ = ["configure_log"]


def configure_log(options: Options) -> None:
    """Raises `click.BadParameter` if the key of hashes cannot be read."""
    logs.configure(options.verbosity, form=options.log_format, hide=_hide(options))


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
