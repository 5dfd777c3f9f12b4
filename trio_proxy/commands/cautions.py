"""Warnings before the service starts: the settings can be used, but may not be what was meant."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from sansio_smtp import ClientTls, Networks
from sansio_smtp.rules.lint.problems import Problem, did_you_mean
from trio_proxy.settings.core_config import client_access
from trio_proxy.settings.in_file import is_certain, of_settings
from trio_proxy.settings.options import SETTINGS, Options
from trio_proxy.text.masking import is_list
from trio_proxy.workers.seat import VARIABLE

from .logins import PASSWORD
from .oauth import CLIENT_SECRET, REFRESH_TOKEN
from .open_relay import exposed_listeners, is_on_this_machine

__all__ = ["cautions", "hidden_auth", "silenced"]

_PREFIX: Final = "SMTP_PROXY_"
_NO_SETTINGS: Final = frozenset((VARIABLE, PASSWORD, CLIENT_SECRET, REFRESH_TOKEN))
"""Variables that are read and are no settings."""


def cautions(options: Options, *, config_is_wrong: bool = False) -> list[str]:
    """One text for each warning. Looks up the names of hosts, so it blocks.

    ``config_is_wrong``: the settings file has mistakes, so only those are returned that no setting in the
    part which could not be read would prevent.
    """
    return [
        str(of_settings(options, text))
        for find in _FINDERS
        for text in find(options)
        if not config_is_wrong or is_certain(options, text)
    ]


def hidden_auth(options: Options) -> str:
    """Returns the reason why some clients cannot log in; empty if all can. Looks up the names of hosts, so it
    blocks."""
    access = client_access(options)
    if access["auth_without_tls"] or access["tls"] is not ClientTls.NONE:
        return ""
    if all(address.tls for address in exposed_listeners(options)):
        return ""
    return (
        "hidden from clients on other machines that do not use TLS; give a certificate (--tls-cert, "
        "--tls-key) to offer it with TLS, or --auth-without-tls to offer it always"
    )


def _unknown_variables(options: Options) -> Iterator[str]:
    """Variables that are none of ours. ``options``: not needed."""
    known = {setting.variable for setting in SETTINGS.values()} | _NO_SETTINGS
    for name in sorted(os.environ):
        if name.startswith(_PREFIX) and name not in known:
            yield f"{name} in the environment is no setting{did_you_mean(name, known) or '; it is ignored'}"


def _mistaken_client(options: Options) -> Iterator[str]:
    if options.send_client != "none" or "send_client" in options.named:
        return
    elsewhere = [str(each.address) for each in options.upstream if not is_on_this_machine(each.address)]
    if elsewhere:
        yield (
            f"the server {' or '.join(elsewhere)} is not on this machine, and sees this proxy as the "
            "client of all mail, in its log, its limits and its checks; tell it who the client is with "
            "--send-client, or say --send-client none if that is meant"
        )


def _unchecked_certificate(options: Options) -> Iterator[str]:
    addresses, level = [each.address for each in options.upstream], options.upstream_tls
    if options.upstream_ca is None or level in ("none", "verify"):
        return
    if level is None and all(address.tls or address.is_local for address in addresses):
        return
    yield (
        f"--upstream-ca {options.upstream_ca} is not used: with --upstream-tls {level or 'may'} the "
        "certificate of the server is not checked; say --upstream-tls verify"
    )


def _trusts_all(options: Options) -> Iterator[str]:
    given = {
        "--accept-proxy": options.accept_proxy,
        "--accept-xclient": options.accept_xclient,
        "--accept-xforward": options.accept_xforward,
    }
    for option, texts in given.items():
        for network in Networks.parse(texts).networks:
            if network.prefixlen == 0:
                yield (
                    f"{option} {network}: any client can claim another address, and so pass all checks of "
                    "addresses; name only the proxies in front of this one"
                )


def _exposed_pages(options: Options) -> Iterator[str]:
    address = options.admin
    if address is not None and address.path is None and not (address.host and address.is_local):
        yield (
            f"--admin {address}: the pages have no password, and can be read from other machines; let only "
            "the monitoring reach that port"
        )


def _useless_rules(options: Options) -> Iterator[str]:
    for (name, key), effect in _FIT_ALL.items():
        rule = options.rule_settings.get(name)
        if rule is None:
            continue
        patterns: object = rule.table.get(key)
        if patterns == "*" or (is_list(patterns) and "*" in patterns):
            place = Problem(rule.file, rule.lines.get(key, 0), f'[rules.{name}] {key} = ["*"]: {effect}')
            yield str(place)


_FIT_ALL: Final = {
    ("rate_limit", "exempt"): "every client is exempt, so the rule limits nobody",
    ("shared_rate_limit", "exempt"): "every client is exempt, so the rule limits nobody",
    ("allow_list", "recipients"): "every recipient is on the list, so the rule refuses none",
}
"""Rule and key whose pattern ``*`` makes the rule useless → what happens then."""


def _without_effect(options: Options) -> Iterator[str]:
    found: dict[str, bool] = {
        "--auth-without-tls has no effect at --tls encrypt: without TLS no login is possible": (
            options.tls == "encrypt" and bool(options.auth_without_tls)
        ),
        "--tls none offers no STARTTLS, and no --listen begins with TLS: the certificate of --tls-cert is "
        "not used; leave out --tls none": (
            options.tls == "none"
            and bool(options.tls_cert)
            and not any(address.tls for address in options.listen)
        ),
    }
    return (text for text, is_so in found.items() if is_so)


def _never_slow(options: Options) -> Iterator[str]:
    soft, most = options.soft_errors, options.max_refusals
    if soft > most:
        yield (
            f"--soft-errors {soft} has no effect: a session ends after --max-refusals {most}, which counts "
            "the same replies; choose a smaller --soft-errors"
        )


def silenced(options: Options) -> list[str]:
    """The warning that the log itself would leave out, which has to be said all the same."""
    if not (options.quiet and options.verbose > 0):
        return []
    text = "--quiet and --verbose contradict each other: only errors are logged; leave out one of them"
    return [str(of_settings(options, text))]


_FINDERS: Final[tuple[Callable[[Options], Iterable[str]], ...]] = (
    _unknown_variables,
    _mistaken_client,
    _unchecked_certificate,
    _trusts_all,
    _exposed_pages,
    _useless_rules,
    _without_effect,
    _never_slow,
    silenced,
)
