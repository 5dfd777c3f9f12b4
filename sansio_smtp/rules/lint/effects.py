"""Finds statements of a rule file that do not do what they seem to do: a verdict that is made and not
returned, a verdict that is raised, a coroutine that is not awaited."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

from .source import Source
from .verdict_types import is_verdict_class

__all__ = ["without_effect"]


def without_effect(source: Source) -> Iterator[tuple[int, str]]:
    """Line and text for each such statement."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Raise) and node.exc is not None and _is_verdict(source, node.exc):
            yield node.lineno, f"a verdict is returned, not raised; write return {_written(node.exc)}"
        elif not isinstance(node, ast.Expr):
            continue
        elif _is_verdict(source, node.value):
            written = _written(node.value)
            yield node.lineno, f"{written} by itself does nothing; write return {written}"
        elif isinstance(node.value, ast.Call) and inspect.iscoroutinefunction(
            source.meaning(node.value.func)
        ):
            written = _written(node.value)
            yield node.lineno, f"{written} does nothing before it is awaited; write await {written}"


def _is_verdict(source: Source, node: ast.expr) -> bool:
    return is_verdict_class(source.meaning(node.func if isinstance(node, ast.Call) else node))


def _written(node: ast.expr) -> str:
    """The expression; long arguments are left out."""
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text.partition('(')[0]}(...)"
