"""Finds settings for servers, TLS, logins and the client's identity that need another setting or contradict
it. No file is read here. Messages name each setting by its option, even if its value comes from a variable or
the settings file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import distinct

from .options import Options

__all__ = ["contradictions", "listens_twice"]

_GET_ONE: Final = "give --tls-cert FILE and --tls-key FILE, or --self-signed for development"


def contradictions(options: Options) -> list[str]:
    """The problems: each text says what is wrong and what to do."""
    return [text for find in _FINDERS for text in find(options)]


def _pairs(options: Options) -> Iterator[str]:
    certificates, keys = options.tls_cert, options.tls_key
    if len(certificates) != len(keys):
        yield (
            f"{_count(certificates, '--tls-cert')}, but {_count(keys, '--tls-key')}: give one key for each "
            "certificate, in the same order; a file that holds both is given to both options"
        )
    if certificates and options.self_signed:
        yield "--self-signed makes a certificate, and --tls-cert gives one: leave out one of them"


def _count(files: Iterable[Path], option: str) -> str:
    given = [str(file) for file in files]
    names = f" ({', '.join(given)})" if given else ""
    return f"{option} is {_TIMES.get(len(given), f'given {len(given)} times')}{names}"


_TIMES: Final = {0: "not given", 1: "given once", 2: "given twice"}


def _no_certificate(options: Options) -> Iterator[str]:
    if options.has_certificate:
        return
    if options.tls in ("may", "encrypt") and not options.makes_certificate:
        yield f"--tls {options.tls} needs a certificate: {_GET_ONE}"
    for address in options.listen:
        if address.tls:
            plain = (
                f"; for plain text on this port write smtp://{address.host}:465"
                if _means_tls(address)
                else ""
            )
            yield f"--listen {address} begins with TLS, which needs a certificate: {_GET_ONE}{plain}"
    if options.tls_client_ca is not None and not options.tls_key:
        yield (
            f"--tls-client-ca {options.tls_client_ca} asks clients for certificates under TLS, which needs "
            f"one of this service: {_GET_ONE}"
        )


def _means_tls(address: Address) -> bool:
    """True if TLS may have been chosen only because of the port."""
    return address.path is None and address.port == 465


def listens_twice(options: Options) -> Iterator[str]:
    """The same for listeners alone: of those that overlap, only one could be opened."""
    before: list[Address] = []
    for address in options.listen:
        if (same := next((each for each in before if _overlap(each, address)), None)) is None:
            before.append(address)
        elif same.where.lower() == address.where.lower():
            yield f"--listen names {address} twice; leave out one of them"
        else:
            meant = {_EVERY[each.host] for each in (same, address) if each.host in _EVERY}
            why = f", as {meant.pop()} of this machine" if len(meant) == 1 else ""
            yield f"--listen names {same} and {address}, which overlap{why}; leave out one of them"


def _pages_among_mail(options: Options) -> Iterator[str]:
    if options.admin is None:
        return
    same = next((each for each in options.listen if _overlap(options.admin, each)), None)
    if same is not None:
        yield f"--admin {options.admin} overlaps with --listen {same}: choose another address for the pages"


def _overlap(one: Address, other: Address) -> bool:
    """True if one socket would stand in the way of the other, as far as is known without looking up names."""
    if one.path is not None or other.path is not None:
        return one.path == other.path
    if one.port == 0 or one.port != other.port:  # each 0 is another free port
        return False
    return any(_covers(a, b) or _covers(b, a) for a in _hosts(one) for b in _hosts(other))


def _hosts(address: Address) -> set[str]:
    host = address.host.lower()
    return {"127.0.0.1", "::1"} if host == "localhost" else {host}


def _covers(host: str, other: str) -> bool:
    if host == other or (_ONE_FOR_ALL and not host):
        return True
    try:
        ours, theirs = ip_address(host), ip_address(other)
    except ValueError:
        return False
    is_for_all = _ONE_FOR_ALL and ours.is_unspecified and ours.version == theirs.version
    return ours == theirs or is_for_all


_ONE_FOR_ALL: Final = sys.platform == "linux"
"""True if a socket on all addresses stands in the way of one on a single address."""
_EVERY: Final = {
    "": "an address without a host means every address",
    "0.0.0.0": "0.0.0.0 means every IPv4 address",
    "::": "[::] means every IPv6 address",
}
"""Host of a listener on all addresses → what it means."""


def _log_key(options: Options) -> Iterator[str]:
    if options.log_key_file is not None and options.log_addresses != "hashed":
        yield (
            f"--log-key-file {options.log_key_file} is the key of hashes, but addresses are not hashed: "
            "add --log-addresses hashed, or leave out --log-key-file"
        )


def _upstream_pair(options: Options) -> Iterator[str]:
    certificate, key = options.upstream_cert, options.upstream_key
    if certificate is not None and key is None:
        yield f"--upstream-cert {certificate} has no key: give --upstream-key FILE; it may be the same file"
    if key is not None and certificate is None:
        yield f"--upstream-key {key} has no certificate: give --upstream-cert FILE; it may be the same file"


def _twice(options: Options) -> Iterator[str]:
    if options.upstream:
        try:
            distinct(options.upstream)
        except ValueError as error:
            yield f"--upstream {error}"


def _upstream_without_tls(options: Options) -> Iterator[str]:
    addresses, level = [each.address for each in options.upstream], options.upstream_tls
    encrypted = [address for address in addresses if address.tls]
    if encrypted and level == "none":
        for address in encrypted:
            yield (
                f"--upstream {address} begins with TLS, and --upstream-tls none forbids it: leave out "
                "--upstream-tls, or write smtp:// for plain text"
            )
    elif level == "none" or (
        level is None and addresses and all(each.is_local and not each.tls for each in addresses)
    ):
        where = " and ".join(map(str, addresses))
        why = (
            "--upstream-tls none turns off TLS to the server"
            if level
            else f"without --upstream-tls there is no TLS to {where}, on this machine"
        )
        for option, value in _of_upstream_tls(options):
            yield f"{option} {value} has no effect: {why}; write --upstream-tls verify, or leave out {option}"


def _of_upstream_tls(options: Options) -> Iterator[tuple[str, object]]:
    given = {
        "--upstream-ca": options.upstream_ca,
        "--upstream-tls-name": options.upstream_tls_name,
        "--upstream-cert": options.upstream_cert,
    }
    return ((option, value) for option, value in given.items() if value is not None)


def _client_for_nobody(options: Options) -> Iterator[str]:
    if not options.upstream and options.send_client not in ("none", "auto"):
        yield (
            f"--send-client {options.send_client} tells a server who the client is, and the built-in server "
            "does not listen to it: give --upstream ADDRESS, or leave out --send-client"
        )


def _logins(options: Options) -> Iterator[str]:
    mode, servers = options.login_mode, [each.address for each in options.upstream]
    given = {
        "--upstream-user": options.upstream_user,
        "--upstream-password-file": options.upstream_password_file,
    }
    if mode != "inject":
        who = "the client says who it is" if mode == "translate" else "the client logs in itself"
        for option, value in given.items():
            if value is not None:
                yield f"{option} {value} is for --login inject; at --login {mode} {who}"
    elif options.upstream_user is None:
        yield "--login inject logs in to the server: give --upstream-user NAME"
    if mode == "relay":
        return
    if not servers:
        yield f"--login {mode} logs in to an upstream server, but none is set: give --upstream ADDRESS"
        return
    level = options.upstream_tls
    plain = [
        str(each)
        for each in servers
        if level == "may" or (level is None and not each.tls and not each.is_local)
    ]
    if plain:
        yield (
            f"--login {mode} sends a secret to {' and '.join(plain)}, at --upstream-tls may maybe in plain "
            "text: say --upstream-tls verify, or encrypt; or none, if that is meant"
        )


def _kept_for_nobody(options: Options) -> Iterator[str]:
    if not options.upstream_keep:
        for name in ("upstream_keep_time", "upstream_keep_uses"):
            if name in options.named:
                option = f"--{name.replace('_', '-')}"
                yield f"{option} is for connections that are kept: give --upstream-keep N, or leave it out"
        return
    if options.login_mode != "relay":
        yield (
            f"--login {options.login_mode} logs in on each connection to the server, and --upstream-keep "
            "keeps none that is logged in: leave out --upstream-keep"
        )
    if options.send_client not in ("none", "auto"):
        yield (
            f"--send-client {options.send_client} tells a server on each connection who the client is, so "
            "none can be kept for another: leave out --upstream-keep or --send-client"
        )


def _workers(options: Options) -> Iterator[str]:
    if options.workers is None:
        if options.control is not None:
            yield f"--control {options.control} is for workers: give --workers N, or leave it out"
    elif options.self_signed:
        yield (
            "--self-signed makes another certificate in each of the --workers: give --tls-cert FILE and "
            "--tls-key FILE"
        )


_FINDERS: Final[tuple[Callable[[Options], Iterable[str]], ...]] = (
    listens_twice,
    _pages_among_mail,
    _pairs,
    _no_certificate,
    _twice,
    _upstream_pair,
    _upstream_without_tls,
    _client_for_nobody,
    _logins,
    _kept_for_nobody,
    _workers,
    _log_key,
)
