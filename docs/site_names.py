"""An extension of Sphinx: names in docstrings lead to their pages, signatures say unions by their names."""

from __future__ import annotations

import enum
import importlib
import inspect
from typing import Any

from api_tables import PACKAGES, aliases
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import stringify_annotation

_UNIONS = {
    stringify_annotation(getattr(importlib.import_module(package), name), "smart"): f"~{package}.{name}"
    for package in PACKAGES
    for name in aliases(package)
}
"""What autodoc writes for an alias, and its name."""


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    if node.get("refdomain") == "py":
        name = node["reftarget"]
        for full in (name, *(f"{package}.{name}" for package in PACKAGES)):
            found = env.domains.python_domain.resolve_xref(
                env, node["refdoc"], app.builder, "obj", full, node, content
            )
            if found is not None:
                return found
    return None


def _named(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    if inspect.isclass(thing) and issubclass(thing, enum.Enum):
        return "", None  # its members are listed, and nobody calls it
    signature = signature and signature.replace("= NOTHING", "= ...")  # attrs makes a default of its own
    for union, alias in _UNIONS.items():
        signature = signature and signature.replace(union, alias)
        returns = returns and returns.replace(union, alias)
    return signature, returns


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("missing-reference", _resolve)
    app.connect("autodoc-process-signature", _named)
    return {"parallel_read_safe": True}
