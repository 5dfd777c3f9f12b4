"""What an object really keeps, counted without its help."""

from __future__ import annotations

import gc
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

_SKIPPED = (type, ModuleType, BuiltinFunctionType)


def kept_octets(*roots: object, apart_from: set[int] | None = None) -> int:
    """All octets in all `bytes` and `bytearray` that can be reached, each object counted once."""
    known = apart_from or set()
    return sum(
        len(found)
        for found in _reachable(*roots)
        if isinstance(found, bytes | bytearray) and id(found) not in known
    )


def constants(*roots: object) -> set[int]:
    """The ids of what is reachable now: for what should not be counted later."""
    return {id(found) for found in _reachable(*roots)}


def _reachable(*roots: object) -> list[object]:
    seen: dict[int, object] = {}
    left: list[object] = list(roots)
    while left:
        found = left.pop()
        if id(found) in seen or isinstance(found, _SKIPPED):
            continue
        seen[id(found)] = found
        if isinstance(found, FunctionType):
            left += [cell.cell_contents for cell in found.__closure__ or ()]
        elif isinstance(found, MethodType):
            left.append(found.__self__)
        else:
            left += gc.get_referents(found)
    return list(seen.values())
