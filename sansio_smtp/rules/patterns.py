"""Matches addresses against patterns, both in normal form, so that all spellings of a mailbox match alike.

A pattern with an ``@`` is compared in two halves: its local-part with the local-part of the address, without
quotes, and its domain with the domain. A pattern without an ``@`` is compared with the whole. ``*`` is any
text, ``?`` one character; case does not matter. A domain may be written in upper case, with a dot at its end,
or as U-label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import lru_cache
from typing import Final
from unicodedata import normalize

import attrs

from sansio_smtp.errors import MailboxError
from sansio_smtp.wire.domains import normal_domain, normal_label
from sansio_smtp.wire.paths import local_of

__all__ = ["NULL_PATH", "AddressPatterns", "patterns_of"]

NULL_PATH: Final = "<>"
"""The pattern that fits only the null reverse-path."""
_WILDCARDS: Final = re.compile(r"[*?]")
_CLASSES: Final = re.compile(r"[*?\[]")
_ANY: Final = "*"


@attrs.define
class AddressPatterns:
    """A set of patterns: an address fits if one of them fits. Made by `patterns_of`."""

    classes: bool = False
    """True: ``[ab]`` is one of these characters, as in the shell. False: brackets are literal."""
    _mailboxes: set[tuple[str, str]] = attrs.field(factory=set[tuple[str, str]], init=False)
    _domains: set[str] = attrs.field(factory=set[str], init=False)
    """Domains for which any local-part fits."""
    _halves: list[tuple[re.Pattern[str], re.Pattern[str]]] = attrs.field(
        factory=list[tuple[re.Pattern[str], re.Pattern[str]]], init=False
    )
    _wholes: list[re.Pattern[str]] = attrs.field(factory=list[re.Pattern[str]], init=False)

    def fits(self, address: str) -> bool:
        """Returns True if a pattern fits this address, which is in normal form; ``""`` is the null path."""
        local, domain = _split(address)
        if domain in self._domains or (local, domain) in self._mailboxes:
            return True
        whole = f"{local}@{domain}" if domain else local
        return any(each.match(whole) for each in self._wholes) or (
            bool(domain)
            and any(of_domain.match(domain) and of_local.match(local) for of_local, of_domain in self._halves)
        )

    def add(self, pattern: str) -> None:
        """Adds a pattern. Raises `MailboxError` if it fits no address."""
        local, at, domain = pattern.rpartition("@")
        if pattern == NULL_PATH:
            self._mailboxes.add(("", ""))
        elif not at:
            self._add_whole(pattern)
        elif not local or not domain:
            raise MailboxError("one side of the @ is empty; write * for any, as in *@example.com")
        else:
            self._add_halves(_local(local), domain.removesuffix("."))

    def _add_whole(self, pattern: str) -> None:
        if pattern.lower() == "postmaster":
            self._mailboxes.add(("postmaster", ""))
        elif not self._is_wild(pattern):
            raise MailboxError("neither @ nor * is in it; for all of a domain write *@example.com")
        elif not pattern.isascii():
            raise MailboxError("without @ it has to be in ASCII; write *@ and the domain")
        else:
            self._wholes.append(self._expression(pattern))

    def _add_halves(self, local: str, domain: str) -> None:
        normal = self._normal_domain(domain)
        if normal is not None and local == _ANY:
            self._domains.add(normal)
        elif normal is not None and not self._is_wild(local):
            self._mailboxes.add((local, normal))
        else:
            of_domain = (
                re.compile(re.escape(normal) + r"\Z") if normal else self._expression(self._wild(domain))
            )
            self._halves.append((self._expression(local), of_domain))

    def _normal_domain(self, text: str) -> str | None:
        """The normal form of a domain; None if it has wildcards. A domain in brackets is an address literal,
        if possible."""
        try:
            return normal_domain(text)
        except MailboxError:
            if self._is_wild(text):
                return None
            raise

    def _wild(self, domain: str) -> str:
        return ".".join(each if each.isascii() else self._label(each) for each in domain.split("."))

    def _label(self, label: str) -> str:
        if self._is_wild(label):
            raise MailboxError("a label with * or ? has to be in ASCII, as in xn--bcher-*")
        return normal_label(label)

    def _is_wild(self, text: str) -> bool:
        return (_CLASSES if self.classes else _WILDCARDS).search(text) is not None

    def _expression(self, text: str) -> re.Pattern[str]:
        return re.compile(translate((text if self.classes else text.replace("[", "[[]")).lower()))


@lru_cache(maxsize=1_000)
def patterns_of(patterns: Iterable[str], *, classes: bool = False) -> AddressPatterns:
    """The patterns of a setting, a tuple. Raises `MailboxError`, which names the pattern, if one of them fits
    no address."""
    made = AddressPatterns(classes)
    for pattern in patterns:
        try:
            made.add(pattern)
        except MailboxError as error:
            raise MailboxError(f'"{pattern}" fits no address: {error}') from None
    return made


def _local(text: str) -> str:
    """A local-part, or a pattern for local-parts, in lower case and without quotes."""
    if text.startswith('"') and text.endswith('"'):
        text = local_of(text)
    return normalize("NFKC", text).lower()


def _split(address: str) -> tuple[str, str]:
    """The local-part, in lower case and without quotes, and the domain."""
    local, at, domain = address.lower().rpartition("@")
    if not at:
        return domain, ""
    if local.startswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1], flags=re.DOTALL)
    return local, domain
