"""Reads and writes the attributes of XCLIENT and XFORWARD, with which a relay names the client, as Postfix
defines them (its XCLIENT_README and XFORWARD_README)::

    XCLIENT NAME=mx.example.net ADDR=IPV6:2001:db8::1 HELO=[UNAVAILABLE]

A value is xtext (RFC 3461 §4). Values chosen by clients, such as the argument of EHLO, go through here into
the proxy's own commands, and values from a relay go through here into rules and logs. So values that are read
hold only printable ASCII, and values that are written can never end a line or begin an attribute.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from ipaddress import ip_address
from typing import Final

__all__ = [
    "LONGEST_VALUE",
    "XCLIENT",
    "XFORWARD",
    "AttributeProblem",
    "offered_attributes",
    "read_attributes",
    "write_attributes",
]

XCLIENT: Final = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT")
XFORWARD: Final = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
LONGEST_VALUE: Final = 255
"""The most octets of a value, decoded."""

_ORDER: Final = tuple(dict.fromkeys((*XCLIENT, *XFORWARD)))
_FORWARDED: Final = frozenset(XFORWARD) - frozenset(XCLIENT)
"""Attributes that only XFORWARD has."""
_UNAVAILABLE: Final = b"[UNAVAILABLE]"
_UNKNOWN: Final = frozenset({_UNAVAILABLE, b"[TEMPUNAVAIL]"})
_IPV6: Final = "IPV6:"

_XTEXT: Final = re.compile(rb"(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})+")
_ESCAPED: Final = re.compile(rb"\+(..)")
_PRINTABLE: Final = re.compile(rb"[ -~]*")
_NOT_PRINTABLE: Final = re.compile(r"[^ -~]")
_TO_ESCAPE: Final = re.compile(r"[^!-*,-<>-~]")
_NAME: Final = re.compile(rb"[A-Za-z0-9-]{1,20}")
_PROTOCOL: Final = re.compile(r"[A-Z0-9][A-Z0-9.-]{0,63}")


class AttributeProblem(ValueError):
    """An attribute is wrong. The text says which and why, in printable ASCII, so that it can be used in a
    reply."""


def offered_attributes(text: str) -> frozenset[str]:
    """The attributes after an EHLO keyword: both for ``"NAME ADDR"``."""
    return frozenset(text.upper().split())


def read_attributes(argument: bytes, known: Collection[str]) -> dict[str, str]:
    """Name → value, from the argument of a command with the attributes ``known``; empty if the sender does
    not know a value. An address is in its usual form, without ``IPV6:``, and IPv4 if it is IPv4-mapped.

    Raises `AttributeProblem` if an attribute is wrong; then the whole line is ignored.
    """
    values: dict[str, str] = {}
    for word in argument.split(b" "):
        if word:
            name, value = _read(word, known)
            if name in values:
                raise AttributeProblem(f"{name} is repeated")
            values[name] = value
    if not values:
        raise AttributeProblem("No attribute; write NAME=value")
    return values


def write_attributes(values: Mapping[str, str], offered: Collection[str]) -> bytes:
    """The argument of a command for a server that has offered these attributes. Other attributes are left
    out; it is empty if none is left. A value that is empty, too long or wrong is written as unavailable. A
    character that is not printable ASCII becomes a question mark."""
    words = [
        name.encode() + b"=" + _written(name, values[name], offered)
        for name in _ORDER
        if name in values and name in offered
    ]
    return b" ".join(words)


def _read(word: bytes, known: Collection[str]) -> tuple[str, str]:
    octets, equals, value = word.partition(b"=")
    name = octets.upper().decode() if _NAME.fullmatch(octets) else ""
    if name not in known:
        raise AttributeProblem(f"Unknown attribute {name}".rstrip())
    if not equals or not value:
        raise AttributeProblem(f"{name} has no value; write {name}=value")
    if value.upper() in _UNKNOWN:
        return name, ""
    return name, _checked(name, _decoded(name, value), known)


def _decoded(name: str, value: bytes) -> str:
    if not _XTEXT.fullmatch(value):
        raise AttributeProblem(f"The value of {name} is not xtext (RFC 3461)")
    octets = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), value)
    if not _PRINTABLE.fullmatch(octets):
        raise AttributeProblem(f"The value of {name} holds octets that are not printable ASCII")
    if len(octets) > LONGEST_VALUE:
        raise AttributeProblem(f"The value of {name} is longer than {LONGEST_VALUE} octets")
    return octets.decode()


def _checked(name: str, value: str, attributes: Collection[str]) -> str:
    """The value in its usual form. Only XFORWARD may name another protocol than SMTP: the message may have
    come to the relay by QMQP."""
    if name == "PROTO" and not _FORWARDED.isdisjoint(attributes):
        return _other_protocol(value)
    check = _CHECKS.get(name)
    return check(name, value) if check else value


def _address(name: str, value: str) -> str:
    prefixed = value[: len(_IPV6)].upper() == _IPV6
    text = value[len(_IPV6) :] if prefixed else value
    try:
        found = ip_address(text)
    except ValueError:
        raise AttributeProblem(f"The value of {name} is no IP address") from None
    if "%" in text or (prefixed and found.version != 6):  # a zone has a meaning on one machine only
        raise AttributeProblem(f"The value of {name} is no IP address")
    return str(getattr(found, "ipv4_mapped", None) or found)


def _port(name: str, value: str) -> str:
    if not value.isdecimal() or len(value) > 5 or int(value) > 65535:
        raise AttributeProblem(f"The value of {name} is no port; write 0 to 65535")
    return str(int(value))


def _one_of(*words: str) -> Callable[[str, str], str]:
    def check(name: str, value: str) -> str:
        if value.upper() not in words:
            raise AttributeProblem(f"The value of {name} is neither {' nor '.join(words)}")
        return value.upper()

    return check


def _other_protocol(value: str) -> str:
    if not _PROTOCOL.fullmatch(value.upper()):
        raise AttributeProblem("The value of PROTO is no name of a protocol")
    return value.upper()


_CHECKS: Final[Mapping[str, Callable[[str, str], str]]] = {
    "ADDR": _address,
    "PORT": _port,
    "PROTO": _one_of("SMTP", "ESMTP"),
    "SOURCE": _one_of("LOCAL", "REMOTE"),
    "DESTADDR": _address,
    "DESTPORT": _port,
}


def _written(name: str, value: str, offered: Collection[str]) -> bytes:
    printable = _NOT_PRINTABLE.sub("?", value)
    try:
        usual = _checked(name, printable, offered)
    except AttributeProblem:
        return _UNAVAILABLE
    if not usual or len(usual) > LONGEST_VALUE or usual.upper().encode() in _UNKNOWN:
        return _UNAVAILABLE
    prefix = _IPV6 if _CHECKS.get(name) is _address and ":" in usual else ""
    return _TO_ESCAPE.sub(lambda found: f"+{ord(found[0]):02X}", prefix + usual).encode()
