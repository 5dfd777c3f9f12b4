"""``smtp-proxy check``: reports everything that would go wrong, before the service starts."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from shlex import quote
from typing import Final

import trio

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.driver.listening import ListenError, listening
from trio_proxy.process.user import User, UserError
from trio_proxy.rulebook.load import NO_RULE, LoadedRules
from trio_proxy.settings.credentials import missing_credential
from trio_proxy.settings.in_file import is_certain, of_settings
from trio_proxy.settings.options import Options
from trio_proxy.text.addresses import Address
from trio_proxy.text.output import write_line
from trio_proxy.workers.asking import ask

from . import exit_status
from .banner import TRANSCRIPT
from .cautions import cautions, hidden_auth
from .check_certificates import check_certificates
from .check_upstream import check_upstream
from .findings import Findings
from .logins import LoginRules, logins_or_problems
from .oauth import check_tokens, provider_or_problems
from .open_relay import open_relay_warning
from .rate_cautions import nobody_logs_in, rate_cautions
from .rule_problems import load_or_problems
from .security import security_or_problems
from .settings_problems import obstacle, settings_problems, used_directories

__all__ = ["run_check"]

_MAYBE_BY_US: Final = "which is right if this service is running; else stop what listens there"
_STATUS_SECONDS: Final = 5.0


def run_check(options: Options, problems: Iterable[Problem]) -> int:
    """Reports what is right and what is wrong. Returns 78 if options or rules are wrong, else 69 if the
    upstream server cannot be used, else 0. ``problems`` were found in the settings file."""
    problems = list(problems)
    found = Findings(
        config_is_wrong=bool(problems)
    )  # without credentials, options that need them are missing
    credentials = [name for each in problems if (name := missing_credential(each.text)) is not None]
    problems = [each for each in problems if missing_credential(each.text) is None]
    with ExitStack() as stack:
        _check_all(options, problems, credentials, found, stack)
    if found.wrong:
        return exit_status.CONFIG
    return exit_status.UNAVAILABLE if found.unavailable else 0


def _say_credentials(options: Options, names: Iterable[str], found: Findings) -> None:
    """Only the service has its credentials: that they are missing here is no mistake in the settings."""
    if not (names := list(dict.fromkeys(names))):
        return
    found.good("credentials", f"not checked, as only the service has them: {', '.join(names)}; as root:")
    load = " ".join(f"-p LoadCredential={name}:FILE" for name in names)
    program = Path(sys.argv[0])
    command = str(program.absolute()) if program.name == "smtp-proxy" else "smtp-proxy"
    checked = f"check --config {quote(str(options.config))}"
    write_line(f"    systemd-run --pipe --wait --same-dir {load} {command} {checked}")
    write_line("    checks them too; FILE is what LoadCredential= in the unit names")


def _check_all(
    options: Options,
    problems: list[Problem],
    credentials: list[str],
    found: Findings,
    stack: ExitStack,
) -> None:
    is_wrong = found.config_is_wrong
    security, of_tls = security_or_problems(options, stack, config_is_wrong=is_wrong)
    loaded, of_rules = load_or_problems(options, config_is_wrong=is_wrong)
    provider, _ = provider_or_problems(options, config_is_wrong=is_wrong)
    rules = None if loaded is None else LoginRules.of(loaded, options.rule_timeout)
    logins, of_logins = logins_or_problems(options, rules, config_is_wrong=is_wrong)
    others = settings_problems(options, config_is_wrong=is_wrong)
    of_user = _of_user(options, loaded)
    found.problems([*problems, *others, *of_tls, *of_rules, *of_logins, *of_user])
    if options.config is not None and not found.wrong:
        found.good("config", f"{options.config} ok")
    _say_credentials(options, credentials, found)
    _say_rules(options, loaded, found)
    _check_listeners(options, found)
    _say_directories(options, found)
    if options.transcript:
        found.good("transcript", TRANSCRIPT)
    if options.admin is not None:
        _check_listener(options, "admin", options.admin, found)
    if options.user is None:
        for file in _only_for_root(options, loaded):
            found.warn(f"{file}: only root can read it; let the user of the service read it too")
    check_certificates(security, found)
    # A setting that prevents this may be in a part that could not be read.
    if not is_wrong and (why := hidden_auth(options)):
        found.good("AUTH", why)
    for text in cautions(options, config_is_wrong=is_wrong):
        found.warn(text)
    if loaded is not None:
        for text in rate_cautions(options, loaded.ruleset):
            found.warn(text)
    if provider is not None and not trio.run(check_tokens, provider, options.upstream_user, options, found):
        logins = None  # without a token no login is possible
    if security.can_connect:
        offers_no_auth = trio.run(check_upstream, options, security, logins, found)
        if offers_no_auth and loaded is not None and options.login_mode == "relay":
            for text in nobody_logs_in(options, loaded.ruleset, "the server offers no AUTH"):
                found.warn(text)


def _of_user(options: Options, loaded: LoadedRules | None) -> list[Problem]:
    """What prevents the service from becoming the user that it is to run as, or this user from reading the
    rules."""
    if options.user is None:
        return []
    try:
        user = User.named(options.user)
    except UserError as error:
        return [of_settings(options, f"--user {options.user}: {error}")]
    why = user.cannot_run()
    program = [of_settings(options, f"--user {options.user}: {why}")] if why else []
    return [*program, *_unreadable(user, loaded)]


def _unreadable(user: User, loaded: LoadedRules | None) -> list[Problem]:
    """The files of rules that this user, which the service becomes before it reads them, cannot read."""
    files = () if loaded is None else loaded.files
    text = f"cannot be read by the user {user.name}, as whom the service runs"
    return [Problem(str(file), 0, text) for file in user.cannot_read(files)]


def _only_for_root(options: Options, loaded: LoadedRules | None) -> list[Path]:
    """The files of settings and rules of which root, who runs this, may not notice that the service cannot
    read them. Not the keys: they are for root alone, if the service gets them as credentials."""
    if os.geteuid():
        return []
    files = [] if loaded is None else [*loaded.files]
    if options.config is not None:
        files.append(options.config)
    return [file for file in dict.fromkeys(files) if _is_only_for_root(file)]


def _is_only_for_root(file: Path) -> bool:
    try:
        found = file.stat()
    except OSError:  # reported elsewhere
        return False
    others = stat.S_IROTH | (stat.S_IRGRP if found.st_gid else 0)
    return found.st_uid == 0 and not found.st_mode & others


def _say_rules(options: Options, loaded: LoadedRules | None, found: Findings) -> None:
    warning = open_relay_warning(options, loaded)
    if warning and (not found.config_is_wrong or is_certain(options, warning)):
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
    for address in dict.fromkeys(options.listen):
        _check_listener(options, "listen", address, found)


def _check_listener(options: Options, name: str, address: Address, found: Findings) -> None:
    try:
        with listening(address):
            pass
    except ListenError as error:
        if error.is_in_use:
            if str(address) in _addresses_now(options):
                found.good(name, f"{address} is in use by this service, which is running")
            else:
                found.warn(f"{address} is in use, {_MAYBE_BY_US}")
        elif isinstance(error.__cause__, PermissionError):
            found.warn(str(error))
        else:
            found.problems([of_settings(options, f"--{name}: {error}")])
    else:
        found.good(name, f"{address} is free")


def _addresses_now(options: Options) -> Sequence[str]:
    """Where the service of these settings listens now; empty if it does not run, or cannot be asked: that
    needs workers, `control`, and its user or root."""
    if options.control is None:
        return ()
    try:
        answer = ask(options.control, "status", _STATUS_SECONDS)
    except (OSError, ValueError):
        return ()
    addresses: Sequence[str] = answer.get("listen", ())  # a parent of an older version tells none
    return addresses


# Directories


def _say_directories(options: Options, found: Findings) -> None:
    """What is wrong with them is among the problems of the settings."""
    for name, path in used_directories(options).items():
        if name in options.named and not obstacle(path):
            found.good(name, f"{path} can be written")
    if options.control is not None:
        _check_control(options.control, found)


def _check_control(path: Path, found: Findings) -> None:
    """The service makes the socket, but not its directory."""
    directory = path.absolute().parent
    if not directory.exists():
        found.warn(
            f"--control {path}: there is no directory {directory}, and without it the service does not "
            "start; with systemd, RuntimeDirectory= in the unit makes it"
        )
    elif why := obstacle(directory):
        found.warn(f"--control {path}: {why}; the user of the service needs it")
    else:
        found.good("control", f"{path} can be made")
