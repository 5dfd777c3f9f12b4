"""Checks settings of ready rules when they are loaded: patterns, addresses, header fields, numbers.

A pattern that fits nothing silently turns a guard off, and an address that cannot be sent fails for every
message. Each check here is a validator of an attrs field: it reports all mistakes in a setting, and what was
probably meant.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import Headers, address_to_send
from sansio_smtp.rules.lint.patterns import NULL_PATH, wrong_address_pattern

__all__ = [
    "SettingError",
    "address_patterns",
    "ascii_mailbox",
    "complain",
    "exempt_patterns",
    "field_names",
    "fields",
    "mailboxes",
    "map_targets",
    "positive",
    "said",
    "size_of_messages",
    "some_address_patterns",
    "wrong_map_key",
]

_ADDRESS_OF_IP: Final = re.compile(r"[0-9A-Fa-f:.*?]+")
_SMALLEST_MESSAGE: Final = 30
"""Octets: hardly any message is smaller. A smaller limit was probably meant in another unit."""


class SettingError(LocalProtocolError, ValueError):
    """The value of a setting makes no sense."""


# Addresses


def address_patterns(rule: object, attribute: object, patterns: Iterable[str]) -> None:
    """Raises `SettingError` if a pattern fits no address."""
    complain(
        f'"{pattern}" fits no address: {wrong}'
        for pattern in patterns
        if (wrong := wrong_address_pattern(pattern))
    )


def some_address_patterns(rule: object, attribute: object, patterns: tuple[str, ...]) -> None:
    """Like `address_patterns`; and the list must not be empty."""
    if not patterns:
        raise SettingError('the list is empty, so every address would be refused; "*" fits every address')
    address_patterns(rule, attribute, patterns)


def ascii_mailbox(rule: object, attribute: object, address: str) -> None:
    """Raises `SettingError` unless this is one address that can be sent for every message."""
    complain([said(address, _wrong_mailbox(address))])


def mailboxes(rule: object, attribute: object, addresses: Mapping[str, str]) -> None:
    """Like `ascii_mailbox`, for each value of a table."""
    complain(
        f'"{key}" leads to {text}'
        for key, address in addresses.items()
        if (text := said(address, _wrong_mailbox(address)))
    )


def map_targets(rule: object, attribute: object, entries: Mapping[str, str]) -> None:
    """Raises `SettingError` if a target is neither an address nor ``@`` and a domain, or if there is none."""
    if not entries:
        raise SettingError("the map is empty: nothing would be rewritten")
    complain(
        f'"{key}" leads to {text}'
        for key, target in entries.items()
        if (text := said(target, _wrong_target(target)))
    )


def _wrong_mailbox(address: str) -> str:
    local, _, domain = address.rpartition("@")
    try:
        address_to_send(address)
    except LocalProtocolError as error:
        if local.isascii():
            return f"not an address: {error}"
        return (
            "a part before the @ that is not ASCII can be sent for SMTPUTF8 messages alone (RFC 6531); "
            "choose an address in ASCII"
        )
    return "write an address, not a pattern" if "*" in address or "?" in domain else ""


def wrong_map_key(key: str) -> str:
    """Says why this key fits no recipient, and which key was probably meant; empty if it is right."""
    if key == "*":
        return ""
    if key.startswith("*@") and not re.search(r"[*?]", key[2:]):
        return f'a pattern is not possible here; did you mean "{key[1:]}"?'
    if re.search(r"[*?]", key):
        return 'a key cannot be a pattern; it is an address, "@" and a domain, or "*"'
    if "@" not in key and "." in key.strip("."):
        return f'every address has a domain; did you mean "@{key.strip(".")}"?'
    return wrong_address_pattern(f"x{key}" if key.startswith("@") else key)


def _wrong_target(target: str) -> str:
    if target.startswith("*@"):
        return f'a pattern is not possible here; did you mean "{target[1:]}"?'
    wrong = _wrong_mailbox(f"postmaster{target}" if target.startswith("@") else target)
    if wrong.startswith("not an address") or target == "@":
        return 'neither an address nor "@" and a domain'
    return wrong


# Clients


def exempt_patterns(rule: Any, attribute: object, patterns: Iterable[str]) -> None:
    """Raises `SettingError` if a pattern for clients of a rate limit fits no client."""
    complain(said(pattern, _wrong_client(rule.per, pattern)) for pattern in patterns)


def _wrong_client(per: str, pattern: str) -> str:
    if not pattern or pattern != pattern.strip():
        return "blanks around a pattern, or no pattern at all"
    if re.fullmatch(r"[0-9A-Fa-f:.]+/[0-9]{1,3}", pattern):
        return f"a network is not possible here, only a pattern for texts{_network_hint(pattern)}"
    try:
        canonical = str(ipaddress.ip_address(pattern))
    except ValueError:
        canonical = pattern
    if canonical != pattern:
        return f'this IP address is written otherwise; did you mean "{canonical}"?'
    if _ADDRESS_OF_IP.fullmatch(pattern) or per == "login":
        return ""
    if per == "ip":
        return 'per = "ip" counts IP addresses, and none fits; did you mean per = "login" or "sender"?'
    if pattern == NULL_PATH:
        return "the null reverse-path is counted by the IP address"
    return wrong_address_pattern(pattern)


def _network_hint(pattern: str) -> str:
    base, _, length = pattern.partition("/")
    octets = base.split(".")
    if length not in ("8", "16", "24") or len(octets) != 4:
        return ""
    return f'; did you mean "{".".join(octets[: int(length) // 8])}.*"?'


# Header fields


def field_names(rule: object, attribute: object, names: Iterable[str]) -> None:
    """Raises `SettingError` if one of them is not the name of a header field."""
    complain(said(name, _wrong_field_name(name)) for name in names)


def fields(rule: object, attribute: object, values: Mapping[str, str]) -> None:
    """Raises `SettingError` if one of these names and values cannot be a header field."""
    field_names(rule, attribute, values)
    complain(_wrong_field(name, value) for name, value in values.items())


def _wrong_field_name(name: str) -> str:
    if re.search("[*?]", name):
        return "a pattern is not possible here; write the name of each header field"
    bare = name.strip().rstrip(":")
    try:
        Headers(b"").remove(bare)
    except LocalProtocolError:
        return "a name is printable ASCII without blanks and colon"
    return "" if bare == name else f'write a name without blanks and colon; did you mean "{bare}"?'


def _wrong_field(name: str, value: str) -> str:
    try:
        Headers(b"").add(name, value)
    except LocalProtocolError as error:
        return str(error)
    return ""


# Numbers and texts


def positive(rule: object, attribute: object, seconds: float) -> None:
    """Raises `SettingError` if the time is not above 0."""
    if seconds <= 0:
        raise SettingError("expected a time above 0: in no time nothing is asked")


def size_of_messages(rule: object, attribute: Any, size: int | None) -> None:
    """Raises `SettingError` for a limit that is smaller than any message: another unit was probably meant."""
    if size is not None and size < _SMALLEST_MESSAGE:
        raise SettingError(
            f'{size} octets are fewer than any message has; did you mean {attribute.name} = "{size}M"?'
        )


def said(value: str, wrong: str) -> str:
    """Names the value, and says what is wrong with it; empty if nothing is."""
    return f'"{value}": {wrong}' if wrong else ""


def complain(wrong: Iterable[str]) -> None:
    """Raises `SettingError` with all texts that are not empty, if there are any."""
    if texts := [text for text in wrong if text]:
        raise SettingError("; ".join(texts))
