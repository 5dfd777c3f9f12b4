"""The API pages: every public name of a package stands on the page of the module that defines it."""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import attrs

__all__ = ["PACKAGES", "PAGES", "REGIONS", "aliases", "public_names"]

ROOT = Path(__file__).parent.parent

PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "proxy": ("sansio_smtp", ("proxy.proxy", "proxy.message_store", "joint_states", "*")),
    "events": ("sansio_smtp", ("events",)),
    "questions": ("sansio_smtp", ("questions", "sasl_client")),
    "ends": (
        "sansio_smtp",
        ("ends.server", "ends.client", "ends.received", "ends.access", "ends.transaction"),
    ),
    "config": ("sansio_smtp", ("config", "networks", "client_info")),
    "states": ("sansio_smtp", ("states", "verbs")),
    "wire": (
        "sansio_smtp",
        ("wire.commands", "wire.paths", "wire.replies", "wire.reply_reader", "wire.content"),
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
            "*",
        ),
    ),
    "testing-rules": ("sansio_smtp.testing", ("rules", "steps")),
    "testing-dialogues": (
        "sansio_smtp.testing",
        ("script", "player", "peers", "conversation", "chunks", "*"),
    ),
    "testing-strategies": ("sansio_smtp.testing.strategies", ("*",)),
    "testing-proxy": ("trio_proxy.testing", ("running", "captured", "*")),
}
"""Each page with its package, and the modules whose public names it has; ``*`` is all other modules."""

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
    return [name for name, module in public_names(package).items() if _definitions(module)[name].alias]


def page(package: str, modules: tuple[str, ...]) -> str:
    """The directives for autodoc, in the order in which the names are defined."""
    names = public_names(package)
    named = {f"{each}.{short}" for each, listed in PAGES.values() for short in listed}
    others = [module for module in dict.fromkeys(names.values()) if module not in named]
    blocks = [f".. currentmodule:: {package}"]
    for short in modules:
        for module in others if short == "*" else [f"{package}.{short}"]:
            defined = _definitions(module)
            public = [name for name in defined if names.get(name) == module]
            blocks += [_directive(package, name, defined[name]) for name in public]
    return "\n".join(["```{eval-rst}", "\n\n".join(blocks), "```"])


def _directive(package: str, name: str, definition: Definition) -> str:
    thing = getattr(importlib.import_module(package), name)
    if inspect.isfunction(thing):
        return f".. autofunction:: {name}"
    if not inspect.isclass(thing):
        head = "" if definition.alias else f"   :value: {definition.value}\n"
        stands_for = f"``{definition.value}``\n\n" if definition.alias else ""
        return f".. py:data:: {name}\n{head}\n{_indented(stands_for + definition.about)}".rstrip()
    lines = [f".. autoclass:: {name}", "   :members:", "   :undoc-members:"]
    if not issubclass(thing, enum.Enum | Exception):
        lines.append("   :inherited-members:")
    if name in _NOT_FOR_CALLERS:
        lines.append(f"   :exclude-members: {_NOT_FOR_CALLERS[name]}")
    return "\n".join(lines)


def _indented(doc: str) -> str:
    return "\n".join(f"   {line.strip()}" if line else "" for line in doc.splitlines())


@attrs.frozen
class Definition:
    """What a module says of a name."""

    value: str = ""
    """Of a constant or an alias."""
    alias: bool = False
    about: str = ""
    """The string after a constant or an alias."""


@cache
def _definitions(module: str) -> dict[str, Definition]:
    """What a module defines, in its order."""
    file = inspect.getsourcefile(importlib.import_module(module))
    assert file
    body = ast.parse(Path(file).read_text(encoding="utf-8")).body
    found = {}
    for node, following in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = Definition()
        elif isinstance(node, ast.AnnAssign | ast.Assign) and node.value:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            alias = isinstance(node, ast.Assign) or ast.unparse(node.annotation) == "TypeAlias"
            said = following.value if isinstance(following, ast.Expr) else None
            about = str(said.value) if isinstance(said, ast.Constant) else ""
            if isinstance(target, ast.Name):
                found[target.id] = Definition(ast.unparse(node.value), alias, about)
    return found


REGIONS: dict[str, Callable[[], str]] = {
    f"api-{name}": partial(page, package, modules) for name, (package, modules) in PAGES.items()
}
