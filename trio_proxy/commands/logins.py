"""How the proxy logs in to servers, as the settings say it, and what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from sansio_smtp import LoginMode
from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.settings.options import Options

from .oauth import provider_or_problems
from .security import server_named

if TYPE_CHECKING:
    from trio_proxy.login.logins import Logins

__all__ = ["PASSWORD", "logins_or_problems"]

PASSWORD: Final = "SMTP_PROXY_UPSTREAM_PASSWORD"
"""Environment variable with the password, in place of a file."""


def logins_or_problems(
    options: Options, *, config_is_wrong: bool = False
) -> tuple[Logins | None, list[Problem]]:
    """The logins; None if the proxy logs in nowhere, or cannot; and all that is wrong with their settings and
    files. ``config_is_wrong``: the settings file has mistakes, so what seems to lack may stand in it. Reads
    files, so it blocks."""
    provider, problems = provider_or_problems(options, config_is_wrong=config_is_wrong)
    mode = LoginMode(options.login_mode)
    if mode is LoginMode.RELAY:
        return None, problems
    from trio_proxy.login.logins import Logins
    from trio_proxy.login.tokens import TokenCache

    read_password: Callable[[], str] | None = None
    if mode is LoginMode.INJECT and provider is None:
        read_password, mistakes = _password(options, config_is_wrong=config_is_wrong or bool(problems))
        problems = problems + mistakes
    if problems:
        return None, problems
    logins = Logins(
        mode=mode,
        account=options.upstream_user,
        read_password=read_password,
        tokens=None if provider is None else TokenCache(provider),
        may_be_plain=partial(_may_be_plain, options),
    )
    return logins, []


def _password(options: Options, *, config_is_wrong: bool) -> tuple[Callable[[], str] | None, list[Problem]]:
    from trio_proxy.login.secret_files import SecretError, read_secret

    file, given = options.upstream_password_file, os.environ.get(PASSWORD)
    if file is not None:
        try:
            read_secret(file)
        except SecretError as error:
            return None, [Problem("", 0, f"--upstream-password-file {error}")]
        return partial(read_secret, file), []
    if given:
        return lambda: given, []
    if config_is_wrong:
        return None, []
    text = (
        f"--login inject needs a password: give --upstream-password-file FILE, or the variable {PASSWORD}; "
        "or for access tokens --oauth-url URL"
    )
    return None, [Problem("", 0, text)]


def _may_be_plain(options: Options, upstream: str | None) -> bool:
    """Returns True if a secret may go to this server without TLS: the settings say so, or it is on this
    machine."""
    if options.upstream_tls == "none":
        return True
    address = options.upstream if upstream is None else server_named(upstream)
    return address is not None and address.is_local
