"""Finds verdicts that a rule's phase does not accept, in the text of the rule at load. It checks the
annotation of the result, and the ``return`` statements. These do not show everything; other wrong verdicts
are found when the rule is asked.
"""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Awaitable, Coroutine, Iterator
from types import SimpleNamespace, UnionType
from typing import Any, Final, Union

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules.phases import PhaseInfo
from sansio_smtp.rules.verdicts import Reject, Verdict

from .source import UNKNOWN, Definition, Source, is_definition

__all__ = [
    "annotation_of",
    "is_awaitable",
    "is_verdict_class",
    "wrong_annotation",
    "wrong_calls",
    "wrong_returns",
]

_VERDICTS: Final = typing.get_args(Verdict)
_NO_VERDICTS: Final = (bool, str, int, float, bytearray, list, tuple, dict, set)

_NEVER_VERDICTS: Final[tuple[tuple[type[ast.expr], str], ...]] = (
    (ast.JoinedStr, "a str"),
    (ast.Compare, "a comparison"),
    (ast.Tuple, "a tuple"),
    (ast.List, "a list"),
    (ast.ListComp, "a list"),
    (ast.Set, "a set"),
    (ast.Dict, "a dict"),
    (ast.Lambda, "a function"),
)
"""Expressions whose value is never something that a rule may return."""


def annotation_of(function: Any) -> Any:
    """The annotation of a function's result; `typing.Any` if it has none, or one that cannot be resolved."""
    annotations = getattr(function, "__annotations__", {})
    # Only this annotation: others may use names that exist only for type checkers.
    carrier: Any = SimpleNamespace(__annotations__={"return": annotations.get("return", Any)})
    try:
        return typing.get_type_hints(carrier, getattr(function, "__globals__", {}))["return"]
    except Exception:  # the annotation may be any code
        return Any


def is_awaitable(annotation: Any) -> bool:
    """Returns True if it is ``Awaitable[...]`` or ``Coroutine[...]``."""
    return typing.get_origin(annotation) in (Awaitable, Coroutine)


def wrong_annotation(annotation: Any, phase: PhaseInfo) -> str:
    """Says what is wrong with the annotation of a rule of this phase; empty if nothing is."""
    wrong = [leaf for leaf in _leaves(annotation) if _is_wrong(leaf, phase)]
    if not wrong:
        return ""
    names = ", ".join(dict.fromkeys(leaf.__name__ for leaf in wrong))
    alias = f"{phase.name.partition('_')[0].title()}Verdict" if phase.verdicts else "None"
    return f'is annotated to return {names}, no verdict of phase "{phase.name}"; write -> {alias}'


def wrong_returns(source: Source, function: Definition, phase: PhaseInfo) -> Iterator[tuple[int, str]]:
    """Line and text for each ``return`` with a value that this phase does not take."""
    for value in _returned(function.body):
        text = _wrong_value(source, value, phase)
        if text:
            yield value.lineno, text


def wrong_calls(source: Source) -> Iterator[tuple[int, str]]:
    """Line and text for each verdict in the file that is made with wrong arguments."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            found = source.meaning(node.func)
            text = _wrong_call(node, found) if is_verdict_class(found) else ""
            if text:
                yield node.lineno, text


def _wrong_value(source: Source, node: ast.expr, phase: PhaseInfo) -> str:
    what = _nothing_like_it(node, phase)
    if what:
        hint = ", or None to let things go on" * bool(phase.verdicts)
        return _no_verdict(what, phase) + hint + _refusal(node, phase)
    if isinstance(node, ast.Call):
        called = source.meaning(node.func)
        return _no_verdict(called.__name__, phase) if _is_illegal(called, phase) else ""
    found = source.meaning(node)
    if _is_illegal(found, phase):
        return _no_verdict(found.__name__, phase)
    if is_verdict_class(found):
        return f"{found.__name__} is the class itself; did you mean {found.__name__}(...)?"
    made: Any = type(found)  # pyright: ignore[reportUnknownVariableType]
    return _no_verdict(made.__name__, phase) if _is_illegal(made, phase) else ""


def _nothing_like_it(node: ast.expr, phase: PhaseInfo) -> str:
    """Describes the value of an expression if no rule may return such a value; else empty."""
    if isinstance(node, ast.Constant):
        value = node.value
        return "" if value is None or (phase.octets and isinstance(value, bytes)) else f"{value!r:.40}"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return "a bool"
    return next((what for kind, what in _NEVER_VERDICTS if isinstance(node, kind)), "")


def _refusal(node: ast.expr, phase: PhaseInfo) -> str:
    """How to refuse with a text or a reply code that stands where a verdict should."""
    value = node.value if isinstance(node, ast.Constant) else None
    if Reject not in phase.verdicts or isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    written = value if isinstance(value, int) else f"550, {value!r:.40}"
    is_code = isinstance(value, int) and 400 <= value <= 599
    if isinstance(value, int) and not is_code:
        return ""
    name = "Defer" if isinstance(value, int) and value < 500 else "Reject"
    return f"; to refuse it, write return {name}({written})"


def _no_verdict(what: str, phase: PhaseInfo) -> str:
    legal = ["bytes"] * phase.octets + [verdict.__name__ for verdict in phase.verdicts]
    return f'{what} is no verdict of phase "{phase.name}"; legal here: {", ".join(legal) or "None only"}'


def _wrong_call(node: ast.Call, verdict: Any) -> str:
    """Makes the verdict with the arguments that are known. Returns the text of the error, if there is one."""
    keywords = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
    if len(keywords) < len(node.keywords) or any(isinstance(each, ast.Starred) for each in node.args):
        return ""
    signature = inspect.signature(verdict)
    try:
        given = signature.bind(*node.args, **keywords).arguments
    except TypeError as error:
        parameters = ", ".join(signature.parameters)
        return f"{verdict.__name__}: {error}; write {verdict.__name__}({parameters})"
    known = {name: value for name, each in given.items() if (value := _value(each)) is not UNKNOWN}
    # Unknown arguments are left to their defaults; without a default nothing can be checked.
    if any(
        signature.parameters[name].default is inspect.Parameter.empty for name in given.keys() - known.keys()
    ):
        return ""
    try:
        verdict(**known)
    except LocalProtocolError as error:
        text = str(error)
        return text if text.startswith(verdict.__name__) else f"{verdict.__name__}: {text}"
    return ""


def _value(node: ast.expr) -> Any:
    """The value of a constant; for an f-string its constant parts, with ``?`` for the others."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "?" for part in node.values)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return UNKNOWN


def _returned(body: list[ast.stmt]) -> Iterator[ast.expr]:
    """The expressions in the ``return`` statements of a function, without functions inside it."""
    nodes: list[ast.AST] = [*body]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Return) and node.value is not None:
            yield from _ends(node.value)
        elif not is_definition(node) and not isinstance(node, ast.ClassDef):
            nodes.extend(ast.iter_child_nodes(node))


def _ends(node: ast.expr) -> Iterator[ast.expr]:
    """Both sides of ``x if y else z``, and the last operand of ``and`` and ``or``: an earlier one may be
    None."""
    if isinstance(node, ast.IfExp):
        yield from _ends(node.body)
        yield from _ends(node.orelse)
    elif isinstance(node, ast.BoolOp):
        yield from _ends(node.values[-1])
    else:
        yield node


def _leaves(annotation: Any) -> Iterator[Any]:
    """The members of unions, also of unions inside awaitables; generic classes without their arguments."""
    origin = typing.get_origin(annotation)
    if origin in (Union, UnionType):
        for member in typing.get_args(annotation):
            yield from _leaves(member)
    elif is_awaitable(annotation):
        yield from _leaves(typing.get_args(annotation)[-1])
    else:
        yield origin or annotation


def _is_wrong(leaf: Any, phase: PhaseInfo) -> bool:
    if leaf is bytes:
        return not phase.octets
    return any(leaf is each for each in _NO_VERDICTS) or _is_illegal(leaf, phase)


def _is_illegal(found: object, phase: PhaseInfo) -> bool:
    return is_verdict_class(found) and not any(found is verdict for verdict in phase.verdicts)


def is_verdict_class(found: object) -> bool:
    """Returns True if it is the class of a verdict."""
    return any(found is verdict for verdict in _VERDICTS)
