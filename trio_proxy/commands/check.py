"""``smtp-proxy check``: reports everything that would go wrong, before the service starts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import trio

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.driver.listening import ListenError, listening
from trio_proxy.process.user import User, UserError
from trio_proxy.rulebook.load import NO_RULE, LoadedRules
from trio_proxy.settings.options import Options
from trio_proxy.settings.route_tables import route_problems
from trio_proxy.text.addresses import Address

from . import exit_status
from .admin import admin_problems
from .cautions import cautions, hidden_auth
from .check_certificates import check_certificates
from .check_upstream import check_upstream
from .findings import Findings
from .log import log_problems
from .logins import LoginRules, logins_or_problems
from .loops import leads_to, route_loops
from .oauth import check_tokens, provider_or_problems
from .open_relay import open_relay_warning
from .rule_problems import load_or_problems
from .security import security_or_problems
from .tracing import tracing_problems

__all__ = ["run_check"]


def run_check(options: Options, problems: Iterable[Problem]) -> int:
    """Reports what is right and what is wrong. Returns 78 if options or rules are wrong, else 69 if the
    upstream server cannot be used, else 0. ``problems`` were found in the settings file."""
    problems = tuple(problems)
    found = Findings(config_is_wrong=bool(problems))
    found.problems(problems)
    loaded, rule_problems = load_or_problems(options, config_is_wrong=found.config_is_wrong)
    others = (
        *route_problems(options.routes, options.listen, has_certificate=options.has_certificate),
        *route_loops(options.routes, options.listen),
    )
    if options.config is not None and not _are_in((*problems, *rule_problems, *others), options.config):
        found.good("config", f"{options.config} ok")
    found.problems(others)
    with ExitStack() as stack:
        _check_all(options, found, stack, loaded, rule_problems)
    if found.wrong:
        return exit_status.CONFIG
    return exit_status.UNAVAILABLE if found.unavailable else 0


def _are_in(problems: Iterable[Problem], file: Path) -> bool:
    return any(problem.file == str(file) for problem in problems)


def _check_all(
    options: Options,
    found: Findings,
    stack: ExitStack,
    loaded: LoadedRules | None,
    rule_problems: list[Problem],
) -> None:
    security, mistakes = security_or_problems(options, stack, config_is_wrong=found.config_is_wrong)
    found.problems(mistakes)
    found.problems(rule_problems)
    _say_rules(options, loaded, found)
    _check_listeners(options, found)
    found.problems(admin_problems(options))
    found.problems(log_problems(options))
    found.problems(tracing_problems(options))
    if options.admin is not None:
        _check_listener("admin", options.admin, found)
    _check_directories(options, found)
    if options.user is not None:
        try:
            User.named(options.user)
        except UserError as error:
            found.problems([Problem("", 0, f"--user {options.user}: {error}")])
    check_certificates(security, found)
    if not found.config_is_wrong:  # a setting that prevents this may be in a part that could not be read
        if why := hidden_auth(options):
            found.good("AUTH", why)
        for text in cautions(options):
            found.warn(text)
    provider, _ = provider_or_problems(options, config_is_wrong=found.config_is_wrong)
    rules = None if loaded is None else LoginRules.of(loaded, options.rule_timeout)
    logins, mistakes = logins_or_problems(options, rules, config_is_wrong=found.config_is_wrong)
    found.problems(mistakes)
    if provider is not None and not trio.run(check_tokens, provider, options.upstream_user, options, found):
        logins = None  # without a token no login is possible
    if security.can_connect:
        trio.run(check_upstream, options, security, logins, found)


def _say_rules(options: Options, loaded: LoadedRules | None, found: Findings) -> None:
    if warning := open_relay_warning(options, loaded):
        found.warn(warning)
    if loaded is None:
        return
    for part in loaded.parts:
        if part.phases:
            found.good("rules", f"{part.spec}: {', '.join(part.phases)}")
        else:
            found.warn(f"{part.spec}: there is no rule in it; {NO_RULE}")
    if options.on_rule_error == "accept" and loaded.guards:
        guards = ", ".join(loaded.guards)
        found.good("on_error", f'"accept", but "defer" for rules that guard: {guards}')


def _check_listeners(options: Options, found: Findings) -> None:
    if found.config_is_wrong and "listen" not in options.named:
        return
    for address in options.listen:
        _check_listener("listen", address, found)
        if any(leads_to(each.address, address) for each in options.upstream):
            found.problems(
                [
                    Problem(
                        "",
                        0,
                        f"{address} is where this proxy listens itself: it cannot be its upstream server",
                    )
                ]
            )


def _check_listener(name: str, address: Address, found: Findings) -> None:
    try:
        with listening(address):
            pass
    except ListenError as error:
        if error.is_in_use:
            found.warn(f"{address} is in use, maybe by this service; two cannot listen there")
        elif isinstance(error.__cause__, PermissionError):
            found.warn(str(error))
        else:
            found.problems([Problem("", 0, str(error))])
    else:
        found.good(name, f"{address} is free")


# Directories


def _check_directories(options: Options, found: Findings) -> None:
    directories = {
        "capture": None if options.upstream else options.capture,
        "quarantine": options.quarantine if options.rules else None,
        "spool": options.spool if options.rules else None,
    }
    for name, path in directories.items():
        if path is not None and (obstacle := _obstacle(path)):
            text = f"--{name} {path}: {obstacle}; choose a directory that can be made and written"
            found.problems([Problem("", 0, text)])


def _obstacle(directory: Path) -> str:
    """Returns the reason why no file can be written in this directory, which may not exist yet; else ""."""
    for path in (directory, *directory.parents):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            if path.is_symlink():
                return f"{path} is a link that leads nowhere"
            continue
        except OSError as error:
            return error.strerror or str(error)
        if not stat.S_ISDIR(mode):
            return f"{path} is no directory"
        return "" if os.access(path, os.W_OK | os.X_OK) else f"no permission to write in {path}"
    return ""
