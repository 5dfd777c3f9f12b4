"""Rewrites recipients by a map from addresses to addresses."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sansio_smtp.errors import MailboxError
from sansio_smtp.rules import Recipient, Transaction
from sansio_smtp.wire.domains import normal_domain
from sansio_smtp.wire.paths import parse_mailbox

from ._settings import complain, map_targets, wrong_map_key

__all__ = ["RewriteMap", "rules"]


def _normal(entries: Mapping[str, str]) -> dict[str, str]:
    """The map with its keys as `RewriteMap` looks them up."""
    complain(wrong for key in entries if (wrong := _wrong(key)))
    normal = {_key(key): target for key, target in entries.items()}
    if len(normal) < len(entries):
        raise ValueError("two keys are the same address, written in two ways")
    return normal


def _wrong(key: str) -> str:
    if wrong := wrong_map_key(key):
        return f'"{key}" fits no address: {wrong}'
    try:
        _key(key)
    except MailboxError as error:
        return f'"{key}" fits no address: {error}'
    return ""


def _key(text: str) -> str:
    if text == "*":
        return text
    if text.startswith("@"):
        return f"@{normal_domain(text[1:].removesuffix('.'))}"
    return parse_mailbox(text.removesuffix(".")).address.lower()


@attrs.frozen
class RewriteMap:
    """Rewrites recipients. ::

        [rules.rewrite_map.map]
        "ann@old.example" = "ann.smith@new.example"   # one address
        "@old.example" = "@new.example"               # a domain: the part before the @ stays
        "@shop.example" = "orders@new.example"        # a domain, all of it to one address
        "*" = "catchall@new.example"                  # all that is not in the map

    The address is looked up first, then its domain, then ``"*"``; the order in the file does not matter, nor
    does case, nor the spelling of a mailbox. The result is not looked up again. The client is not told, and
    the message does not change. This rule is not a guard: if the part before the @ stays,
    ``bob%evil.example`` stays too (see `AllowList`).
    """

    map: dict[str, str] = attrs.field(converter=_normal, validator=map_targets)

    def rcpt(self, tx: Transaction, to: Recipient) -> None:
        for key in (to.address.lower(), f"@{to.domain}", "*"):
            if target := self.map.get(key):
                to.rewrite(to.local + target if target.startswith("@") else target)
                return


rules = [RewriteMap]
