"""How the proxy logs in to servers by the settings, and the mistakes in these settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import structlog

from sansio_smtp import LoginMode
from sansio_smtp.rules import Host
from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.rulebook.host import RuleHost, RuleSettings
from trio_proxy.rulebook.load import LoadedRules
from trio_proxy.rulebook.token_rule import TokenRule
from trio_proxy.settings.in_file import of_settings
from trio_proxy.settings.options import Options

from .oauth import provider_or_problems
from .security import server_named

if TYPE_CHECKING:
    from trio_proxy.login.logins import Logins
    from trio_proxy.login.oauth2 import OAuth2
    from trio_proxy.login.tokens import TokenCache

__all__ = ["PASSWORD", "LoginRules", "logins_or_problems", "may_be_plain"]

log = structlog.stdlib.get_logger("smtp_proxy")

PASSWORD: Final = "SMTP_PROXY_UPSTREAM_PASSWORD"
"""Environment variable with the password, in place of a file."""
_UNCHECKED: Final = (
    "--login translate with access tokens: the server never sees the passwords of clients, and there is no "
    "rule login(conn, attempt) that checks them; write one that says Accept()"
)


@attrs.frozen
class LoginRules:
    """The rules that take part in logins."""

    token_rules: Callable[[], Sequence[TokenRule]]
    """Gives the rules that are in use."""
    check_clients: bool
    """True if there is a rule of phase ``login``."""
    host: Callable[[], Host]
    """Gives what calls the token rules."""

    @classmethod
    def of(cls, loaded: LoadedRules, seconds: float) -> LoginRules:
        """The same for rules that are not reloaded and are called outside a service, each for at most
        ``seconds``."""
        host = RuleHost(RuleSettings(timeout=seconds), log, None)
        return cls(lambda: loaded.token_rules, bool(loaded.ruleset.by_phase["login"]), lambda: host)


_NO_RULES: Final = LoginRules(tuple, False, Host)


def logins_or_problems(
    options: Options, rules: LoginRules | None = _NO_RULES, *, config_is_wrong: bool = False
) -> tuple[Logins | None, list[Problem]]:
    """The logins; None if the proxy logs in nowhere, or cannot; and all mistakes in their settings and files.
    ``rules`` are None if they could not be loaded. ``config_is_wrong``: the settings file has mistakes, so a
    setting that seems to be missing may be in it. Reads files, so it blocks."""
    provider, problems = provider_or_problems(options, config_is_wrong=config_is_wrong)
    mode = LoginMode(options.login_mode)
    if mode is LoginMode.RELAY:
        return None, problems
    from trio_proxy.login.logins import Logins

    read_password: Callable[[], str] | None = None
    tokens: TokenCache | None = None
    if provider is not None or (rules is not None and rules.token_rules()):
        tokens = _tokens(provider, rules)
        if mode is LoginMode.TRANSLATE and rules is not None and not rules.check_clients:
            problems = [*problems, of_settings(options, _UNCHECKED)]
    elif mode is LoginMode.INJECT and rules is not None:
        read_password, mistakes = _password(options, config_is_wrong=config_is_wrong or bool(problems))
        problems = problems + mistakes
    if problems:
        return None, problems
    logins = Logins(
        mode=mode,
        account=options.upstream_user,
        read_password=read_password,
        tokens=tokens,
        may_be_plain=partial(may_be_plain, options),
    )
    return logins, []


def _tokens(provider: OAuth2 | None, rules: LoginRules | None) -> TokenCache:
    from trio_proxy.login.rule_tokens import RuleTokens
    from trio_proxy.login.tokens import TokenCache

    if rules is None:
        rules = _NO_RULES
    return TokenCache(RuleTokens(rules.token_rules, provider, rules.host))


def _password(options: Options, *, config_is_wrong: bool) -> tuple[Callable[[], str] | None, list[Problem]]:
    from trio_proxy.login.secret_files import SecretError, read_secret

    file, given = options.upstream_password_file, os.environ.get(PASSWORD)
    if file is not None:
        try:
            read_secret(file)
        except SecretError as error:
            return None, [of_settings(options, f"--upstream-password-file {error}")]
        return partial(read_secret, file), []
    if given:
        return lambda: given, []
    if config_is_wrong:
        return None, []
    text = (
        f"--login inject needs a password: give --upstream-password-file FILE, or the variable {PASSWORD}; "
        "or for access tokens --oauth-url URL"
    )
    return None, [of_settings(options, text)]


def may_be_plain(options: Options, upstream: str | None) -> bool:
    """Returns True if a secret may go without TLS to the usual server, or to one that is named: the settings
    say so, or it is on this machine, and so are all servers of a list."""
    if options.upstream_tls == "none":
        return True
    servers = options.upstream if upstream is None else options.servers_of(upstream)
    if servers is None:
        return server_named(upstream or "").is_local
    return bool(servers) and all(each.address.is_local for each in servers)
