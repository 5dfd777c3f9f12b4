"""The API pages: every public name of a package stands on the page of the module that defines it."""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import ModuleType

__all__ = ["PACKAGES", "PAGES", "REGIONS", "aliases", "public_names"]

ROOT = Path(__file__).parent.parent

PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "proxy": ("sansio_smtp", ("proxy.proxy", "proxy.message_store", "joint_states")),
    "events": ("sansio_smtp", ("events",)),
    "questions": ("sansio_smtp", ("questions", "sasl_client")),
    "ends": ("sansio_smtp", ("ends.server", "ends.client", "ends.received", "ends.transaction")),
    "config": ("sansio_smtp", ("config", "networks", "client_info")),
    "states": ("sansio_smtp", ("states", "verbs")),
    "wire": (
        "sansio_smtp",
        ("wire.commands", "wire.replies", "wire.reply_reader", "wire.content"),
    ),
    "errors": ("sansio_smtp", ("errors", "wire.violations")),
    "rules": (
        "sansio_smtp.rules",
        (
            "verdicts",
            "connection",
            "views",
            "paths",
            "headers",
            "fields",
            "message",
            "data",
            "decorators",
            "session",
            "ruleset",
            "host",
            "lint.problems",
        ),
    ),
    "testing-rules": ("sansio_smtp.testing", ("rules", "steps")),
    "testing-dialogues": (
        "sansio_smtp.testing",
        ("script", "player", "peers", "conversation", "dialogue", "chunks"),
    ),
    "testing-proxy": ("trio_proxy.testing", ("running", "captured")),
}
"""Each page with its package, and the modules whose public names it has."""

PACKAGES = tuple(dict.fromkeys(package for package, _ in PAGES.values()))

_NOT_FOR_CALLERS = {"Proxy": "answered, make_parts, place, take_up, rehearse, replay"}
"""Methods that parts of the library call."""


def public_names(package: str) -> dict[str, str]:
    """The public names of a package, each with the module that defines it."""
    module = importlib.import_module(package)
    assert module.__file__
    origins: dict[str, str] = {}
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            parent = f"{package}." if node.level else ""
            origins |= {alias.asname or alias.name: f"{parent}{node.module}" for alias in node.names}
    names: list[str] = module.__all__
    things = {name: getattr(module, name) for name in names}
    return {
        name: thing.__module__ if inspect.isclass(thing) or inspect.isfunction(thing) else origins[name]
        for name, thing in things.items()
    }


def aliases(package: str) -> list[str]:
    """The public names of a package that stand for a union or another type."""
    return [
        name for name, module in public_names(package).items() if _definitions(module)[name].startswith("=")
    ]


def page(package: str, modules: tuple[str, ...]) -> str:
    """The directives for autodoc, in the order in which the names are defined."""
    names = public_names(package)
    blocks = [f".. currentmodule:: {package}"]
    for short in modules:
        defined = _definitions(f"{package}.{short}")
        public = [name for name in defined if names.get(name) == f"{package}.{short}"]
        blocks += [_directive(package, name, defined[name]) for name in public]
    return "\n".join(["```{eval-rst}", "\n\n".join(blocks), "```"])


def _directive(package: str, name: str, doc: str) -> str:
    thing = getattr(importlib.import_module(package), name)
    if inspect.isfunction(thing):
        return f".. autofunction:: {name}"
    if not inspect.isclass(thing):
        value = f"   :value: {thing!r}\n\n" if isinstance(thing, str) and not doc.startswith("=") else "\n"
        return f".. py:data:: {name}\n{value}{_indented(doc.removeprefix('='))}".rstrip()
    lines = [f".. autoclass:: {name}", "   :members:", "   :undoc-members:"]
    if not issubclass(thing, enum.Enum | Exception):
        lines.append("   :inherited-members:")
    if name in _NOT_FOR_CALLERS:
        lines.append(f"   :exclude-members: {_NOT_FOR_CALLERS[name]}")
    return "\n".join(lines)


def _indented(doc: str) -> str:
    return "\n".join(f"   {line.strip()}" if line else "" for line in doc.splitlines())


@cache
def _definitions(module: str) -> dict[str, str]:
    """What a module defines, with the string after a constant; after ``=``, what an alias stands for."""
    file = inspect.getsourcefile(_module(module))
    assert file
    body = ast.parse(Path(file).read_text(encoding="utf-8")).body
    found = {}
    for node, following in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = ""
        elif (assigned := _assigned(node)) is not None:
            name, meaning = assigned
            about = following.value if isinstance(following, ast.Expr) else None
            found[name] = meaning + (str(about.value) if isinstance(about, ast.Constant) else "")
    return found


def _assigned(node: ast.stmt) -> tuple[str, str] | None:
    """The name of a constant or alias, and what the alias stands for."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        alias = ast.unparse(node.annotation) == "TypeAlias"
        return node.target.id, f"=``{ast.unparse(node.value)}``\n\n" if alias else ""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, f"=``{ast.unparse(node.value)}``\n\n"
    return None


def _module(name: str) -> ModuleType:
    return importlib.import_module(name)


REGIONS: dict[str, Callable[[], str]] = {
    f"api-{name}": partial(page, package, modules) for name, (package, modules) in PAGES.items()
}
