"""Reads sizes and durations as people write them: ``25M``, ``30s``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import attrs

__all__ = [
    "A_DURATION",
    "A_SIZE",
    "Duration",
    "Reads",
    "Size",
    "parse_duration",
    "parse_size",
    "rounded_size",
    "size_text",
]

_SIZE: Final = re.compile(r"([0-9]{1,18}) ?([KMG]?)(I?)B?", re.IGNORECASE)
_STEP: Final = 1000
_POWERS: Final = {"": 0, "K": 1, "M": 2, "G": 3}
_BASES: Final = (("", 1000), ("i", 1024))
_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?) ?(ms|s|m|h|d|)", re.IGNORECASE)
_SECONDS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@attrs.frozen
class Reads:
    """In an annotation, ``Annotated[T, Reads(...)]``: how a value in a settings file becomes a T."""

    expected: str
    """A description of such a value, to follow "expected"."""
    parse: Callable[[Any], Any]
    """Takes a value of TOML; raises ValueError with a text for the user."""
    below: Callable[[Any, Path], Any] | None = None
    """Takes the result of ``parse`` and the folder of the settings file, to which paths are relative."""


def parse_size(value: Any) -> int:
    """Octets, at least one: ``25000000``, ``"25M"``, ``"24MiB"``. K, M and G are powers of 1000, Ki, Mi
    and Gi of 1024. Raises ValueError."""
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        if found and (found[2] or not found[3]):
            value = int(found[1]) * (1024 if found[3] else 1000) ** _POWERS[found[2].upper()]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise ValueError(f"expected {A_SIZE.expected}")
    return value


def parse_duration(value: Any) -> float:
    """Seconds, 0 or more and finite: ``30``, ``0.5``, ``"30s"``, ``"5m"``, ``"2h"``, ``"1d"``, ``"250ms"``.
    Raises ValueError."""
    if isinstance(value, str) and (found := _DURATION.fullmatch(value.strip())):
        return float(found[1]) * _SECONDS[found[2].lower()]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
        raise ValueError(f"expected {A_DURATION.expected}")
    return float(value)


def size_text(octets: int) -> str:
    """The text for a number of octets, in the largest unit that fits, for `parse_size`: ``"32MiB"``."""
    units = {
        f"{unit}{form}B": base**power for unit, power in _POWERS.items() if unit for form, base in _BASES
    }
    for unit, factor in sorted(units.items(), key=lambda item: -item[1]):
        if octets % factor == 0:
            return f"{octets // factor}{unit}"
    return str(octets)


def rounded_size(octets: int) -> str:
    """The number of octets with at most one place after the point: ``"556 B"``, ``"2.1 kB"``."""
    if octets < _STEP:
        return f"{octets} B"
    size = octets / _STEP
    for unit in ("kB", "MB"):
        if round(size, 1) < _STEP:
            return f"{size:.1f} {unit}"
        size /= _STEP
    return f"{size:.1f} GB"


A_SIZE: Final = Reads('a number of bytes or a size such as "25M"', parse_size)
A_DURATION: Final = Reads('a number of seconds or a time such as "30s" or "5m"', parse_duration)

Size: TypeAlias = Annotated[int, A_SIZE]
"""A size in octets. In a settings file a number, or a text such as ``"25M"``."""
Duration: TypeAlias = Annotated[float, A_DURATION]
"""A time in seconds. In a settings file a number, or a text such as ``"30s"`` or ``"5m"``."""
