"""Reads domains and address literals, and gives each one form for comparing.

RFC 5321 §4.1.2 and §4.1.3, RFC 6531 for U-labels. Two spellings of one domain have the same normal form::

    Example.COM             example.com
    bücher.example          xn--bcher-kva.example      (RFC 5890: the A-label)
    192.0.2.1               [192.0.2.1]                (as servers that take it read it)
    [IPv6:2001:DB8:0::1]    [ipv6:2001:db8::1]

Text that servers read in different ways has no normal form, and is refused: a label that IDNA 2003, IDNA 2008
and UTS 46 do not map to the same octets (``ß``, full-width letters, ignorable characters), a dot that is not
U+002E, a number as the last label (``0x7f.1``), and an IPv4 address in another form (``010.0.0.1``,
``::ffff:192.0.2.1``). An underscore is accepted, because old devices have it in their host names and all
servers read it alike.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final
from unicodedata import category, normalize

from sansio_smtp.errors import MailboxError

__all__ = ["normal_domain", "normal_label"]

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_ASCII_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_ORDINARY: Final = re.compile(rf"(?>(?:{_ASCII_LABEL}\.)*)(?=[A-Za-z_]){_ASCII_LABEL}")
"""Matches almost all domains; the last label is not a number."""
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_QUAD: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_LETTERS: Final = frozenset(("Ll", "Lo", "Lm", "Mn", "Mc", "Nd"))
"""The general categories of characters in a U-label (RFC 5892 §2.1); upper case is mapped before."""
_IGNORABLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that UTS 46 drops, and IDNA 2008 refuses (Default_Ignorable_Code_Point)."""
_MAX_LABEL: Final = 63
_MAX_DOMAIN: Final = 255


def normal_domain(text: str) -> str:
    """The normal form of a domain or an address literal. Raises `MailboxError` if it has none."""
    if len(text) <= _MAX_DOMAIN and _ORDINARY.fullmatch(text):
        return text.lower()
    if text.startswith("["):
        return _literal(text)
    if len(text.encode("utf-8", "surrogateescape")) > _MAX_DOMAIN:
        raise MailboxError(f"the domain is longer than {_MAX_DOMAIN} octets")
    labels = [normal_label(label) for label in text.split(".")]
    domain = ".".join(labels)
    if len(domain) > _MAX_DOMAIN:
        raise MailboxError(f"the domain is longer than {_MAX_DOMAIN} octets")
    if not _NUMBER.fullmatch(labels[-1]):
        return domain
    if not _QUAD.fullmatch(domain):
        raise MailboxError("the domain ends in a number and is no IPv4 address")
    return f"[{domain}]"


def normal_label(label: str) -> str:
    """The normal form of one label: in lower case, a U-label as A-label. Raises `MailboxError`."""
    if not label:
        raise MailboxError("an empty label in the domain, or a dot at its start or end")
    normal = label.lower() if label.isascii() else _a_label(label)
    if len(normal) > _MAX_LABEL:
        raise MailboxError(f"a label of the domain is longer than {_MAX_LABEL} octets")
    if not _LABEL.fullmatch(normal):
        raise MailboxError(
            "the domain holds a character that no domain holds, or a label begins or ends in -"
        )
    return normal


def _a_label(label: str) -> str:
    normal = normalize("NFC", label.lower())
    mapped = normalize("NFKC", normalize("NFKC", label).casefold())
    if normal != mapped or _IGNORABLE.search(normal):
        raise MailboxError("a label of the domain holds a character that servers map in different ways")
    if normal.isascii():
        return normal
    if any(category(each) not in _LETTERS for each in normal if not each.isascii()):
        raise MailboxError("the domain holds a character that no domain holds")
    if category(normal[0]).startswith("M") or normal[2:4] == "--" or not _ends(normal):
        raise MailboxError("a label of the domain is no U-label (RFC 5891 4.2.3)")
    return "xn--" + normal.encode("punycode").decode("ascii")


def _ends(label: str) -> bool:
    return not (label.startswith("-") or label.endswith("-"))


def _literal(text: str) -> str:
    inner = text[1:-1].lower()
    if text.endswith("]") and _QUAD.fullmatch(inner):
        return f"[{inner}]"
    if text.endswith("]") and inner.startswith("ipv6:"):
        try:
            address = IPv6Address(inner.removeprefix("ipv6:"))
        except AddressValueError:
            pass
        else:
            if address.scope_id is None and address.ipv4_mapped is None and inner.isascii():
                return f"[ipv6:{address.compressed}]"
    raise MailboxError("the address literal is neither [192.0.2.1] nor [IPv6:2001:db8::1]")
