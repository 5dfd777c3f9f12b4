"""The names of the ready rules, without loading them."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

__all__ = ["READY_RULES", "ready_names"]

READY_RULES: Final = "trio_proxy.ready"
"""The package whose public modules are the rules."""


def ready_names(package: str = READY_RULES) -> list[str]:
    """As in ``ready:rate_limit``, without the prefix; sorted."""
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return sorted(module.name for module in found if not module.name.startswith("_"))
