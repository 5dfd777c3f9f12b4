"""Rewrites recipients by a map from addresses to addresses."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import Recipient, Transaction

__all__ = ["RewriteMap", "rules"]


def _lower(entries: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): target for key, target in entries.items()}


def _check(rule: object, attribute: object, entries: dict[str, str]) -> None:
    for key, target in entries.items():
        try:
            Recipient.of(f"postmaster{target}" if target.startswith("@") else target)
            Recipient.of(target.removeprefix("@"))
        except LocalProtocolError as error:
            raise ValueError(
                f'"{key}" leads to "{target}": neither an address nor "@" and a domain'
            ) from error


@attrs.frozen
class RewriteMap:
    """Rewrites recipients. ::

        [rules.rewrite_map.map]
        "ann@old.example" = "ann.smith@new.example"   # one address
        "@old.example" = "@new.example"               # a domain: the part before the @ stays
        "@shop.example" = "orders@new.example"        # a domain, all of it to one address
        "*" = "catchall@new.example"                  # whatever is not in the map

    The address is looked up first, then its domain, then ``"*"``; the order in the file does not matter, nor
    does case. What was found is not looked up again. The client is not told, and the message stays as it is.
    """

    map: dict[str, str] = attrs.field(converter=_lower, validator=_check)

    def rcpt(self, tx: Transaction, to: Recipient) -> None:
        for key in (to.address.lower(), f"@{to.domain}", "*"):
            if target := self.map.get(key):
                to.rewrite(to.local + target if target.startswith("@") else target)
                return


rules = [RewriteMap]
