"""Matches names and addresses against patterns in settings, and tells if a pattern may permit an address."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache

from sansio_smtp.rules import Recipient, Sender
from sansio_smtp.rules.patterns import patterns_of
from sansio_smtp.wire.paths import parse_mailbox

__all__ = ["check_addresses", "fits", "fits_address", "may_permit", "normal_address"]


def fits(text: str, patterns: Sequence[str]) -> bool:
    """Returns True if one of the patterns fits. ``*`` is any number of characters, ``?`` is one; all others,
    also brackets, are literal. Case does not matter."""
    return bool(patterns) and _expression(tuple(patterns)).match(text.lower()) is not None


def fits_address(address: str, patterns: Sequence[str]) -> bool:
    """Returns True if one of the patterns fits an address in normal form; ``""`` is the null reverse-path,
    which ``"<>"`` fits. For rules that act on an address; rules that permit an address use `may_permit`."""
    return patterns_of(tuple(patterns)).fits(address)


def may_permit(path: Sender | Recipient, patterns: Sequence[str], *, routing: bool = False) -> bool:
    """Returns True if one of the patterns fits, and no server can read another mailbox in this address.

    A path that servers may read in different ways is never permitted. One that names another mailbox in its
    local-part or in a source route (``bob%evil.example@mx``) is permitted only if ``routing`` is True: the
    server must then be known not to forward mail to that mailbox.
    """
    return path.is_clear and (routing or not path.routes) and fits_address(path.address, patterns)


@lru_cache(maxsize=1_000)
def normal_address(address: str) -> str:
    """The normal form of an address in a setting, as in ``to.address``. Raises ValueError if it is none."""
    return parse_mailbox(address).address


def check_addresses(*settings: Sequence[str]) -> None:
    """Raises ValueError if a pattern fits no address."""
    for patterns in settings:
        patterns_of(tuple(patterns))


@lru_cache(maxsize=1_000)
def _expression(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern.lower().replace("[", "[[]")) for pattern in patterns))
