"""The provider of access tokens that the settings name, and how ``smtp-proxy check`` tries it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.settings.in_file import of_settings
from trio_proxy.settings.options import OAUTH, SETTINGS, Options

from .findings import Findings

if TYPE_CHECKING:
    from trio_proxy.login.oauth2 import OAuth2

__all__ = ["CLIENT_SECRET", "REFRESH_TOKEN", "accounts_of", "check_tokens", "provider_or_problems"]

CLIENT_SECRET: Final = "SMTP_PROXY_OAUTH_CLIENT_SECRET"
REFRESH_TOKEN: Final = "SMTP_PROXY_OAUTH_REFRESH_TOKEN"
"""Environment variables with a secret, in place of a file."""

_MOST_CHECKED: Final = 10
_NAMES: Final = [setting.name for setting in SETTINGS.values() if setting.table == OAUTH]


def provider_or_problems(
    options: Options, *, config_is_wrong: bool = False
) -> tuple[OAuth2 | None, list[Problem]]:
    """The provider, None if there is none, and all mistakes in its settings and files. ``config_is_wrong``:
    the settings file has mistakes, so a setting that seems to be missing may be in it. Reads files, so it
    blocks."""
    if options.oauth_url is None or options.oauth_client_id is None:
        return None, [] if config_is_wrong else [of_settings(options, text) for text in _lacking(options)]
    from trio_proxy.login.secret_files import RefreshTokens, SecretError, read_secret

    problems: list[Problem] = []
    if find_spec("httpx2") is None:
        text = f"--oauth-url {options.oauth_url} needs httpx2: pip install 'sansio-smtp[login]'"
        problems.append(of_settings(options, text))
    secret = os.environ.get(CLIENT_SECRET) or None
    if options.oauth_client_secret_file is not None:
        try:
            secret = read_secret(options.oauth_client_secret_file)
        except SecretError as error:
            problems.append(of_settings(options, f"--oauth-client-secret-file {error}"))
    file, given = options.oauth_refresh_token_file, os.environ.get(REFRESH_TOKEN) or None
    tokens = RefreshTokens(file, given) if file is not None or given is not None else None
    if file is not None:
        try:
            _try_tokens(file)
        except SecretError as error:
            problems.append(of_settings(options, f"--oauth-refresh-token-file {error}"))
    if tokens is None and secret is None and not (problems or config_is_wrong):
        problems.append(
            of_settings(
                options,
                "--oauth-url gives no token for a client id alone: give --oauth-refresh-token-file FILE, or "
                "--oauth-client-secret-file FILE for the grant of client credentials",
            )
        )
    if problems:
        return None, problems
    from trio_proxy.login.oauth2 import OAuth2

    provider = OAuth2(
        url=options.oauth_url,
        client_id=options.oauth_client_id,
        client_secret=secret,
        scope=options.oauth_scope or "",
        refresh_tokens=tokens,
        timeout=options.oauth_timeout,
    )
    return provider, []


def _lacking(options: Options) -> Iterator[str]:
    given = [SETTINGS[name].option for name in _NAMES if name in options.named]
    if given and options.oauth_url is None:
        yield (
            f"{given[0]} is for a provider of tokens, but none is set: give --oauth-url URL, or leave it out"
        )
    elif given:
        yield (
            f"--oauth-url {options.oauth_url} needs the name that the application has there: give "
            "--oauth-client-id TEXT"
        )


def _try_tokens(path: Path) -> None:
    """Raises `SecretError` if there is no refresh token, or one that cannot be read."""
    from trio_proxy.login.secret_files import SecretError, read_secret

    if not path.is_dir():
        read_secret(path)
        return
    names = accounts_of(path)
    if not names:
        raise SecretError(
            f"{path} has no file; put a refresh token into a file that has the name of an account"
        )
    for name in names:
        read_secret(path / name)


def accounts_of(directory: Path) -> list[str]:
    """The accounts that have a refresh token in a directory, sorted."""
    try:
        return sorted(name for name in os.listdir(directory) if not name.startswith("."))
    except OSError:
        return []


async def check_tokens(provider: OAuth2, account: str | None, options: Options, found: Findings) -> bool:
    """Gets a token for the ``account`` that the proxy logs in with, else for each account that has a file,
    and reports the result. Returns True if every account got a token."""
    from trio_proxy.login.tokens import TokenError

    path = options.oauth_refresh_token_file
    accounts = [account] if account is not None else []
    if not accounts and path is not None and path.is_dir():
        accounts = accounts_of(path)
    all_good = True
    for name in accounts[:_MOST_CHECKED] or [""]:
        whose = f"token of {name}" if name else "token"
        try:
            token = await provider.fetch(name)
        except TokenError as error:
            all_good = False
            found.unreached(f"{whose}: {error}")
        else:
            left = token.expires - trio.current_time()
            lasts = f"lasts {left / 60:.0f} min" if left < float("inf") else "does not say how long it lasts"
            found.good("token", f"{provider.url}: {whose} {lasts}")
    if len(accounts) > _MOST_CHECKED:
        found.warn(f"tokens of {len(accounts) - _MOST_CHECKED} more accounts were not tried")
    return all_good
