"""Checks one function that will be a rule: its phase, its parameters, its options."""

from __future__ import annotations

import difflib
import functools
import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from sansio_smtp.errors import MailboxError
from sansio_smtp.rules.decorators import Mark, OnError
from sansio_smtp.rules.patterns import patterns_of
from sansio_smtp.rules.phases import PHASES, PhaseInfo
from sansio_smtp.rules.ruleset import Rule

from .attributes import unknown_attributes
from .comparisons import wrong_comparisons
from .patterns import wrong_address_pattern
from .problems import Problem, did_you_mean
from .source import Definition, Source
from .verdict_types import annotation_of, is_awaitable, wrong_annotation, wrong_returns

__all__ = ["Found", "fits", "phase_meant", "rules_and_problems", "underlying"]

_WITHOUT_ADDRESS: Final = ("connect", "helo", "auth", "login", "reply", "disconnect", "command")
_ON_ERROR: Final[tuple[str, ...]] = typing.get_args(OnError)
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

_OTHER_NAMES: Final = {
    "ehlo": "helo",
    "mail_from": "mail",
    "envfrom": "mail",
    "rcpt_to": "rcpt",
    "envrcpt": "rcpt",
    "eoh": "headers",
    "eom": "message",
}
"""The names of phases in SMTP and milters."""
_MAYBE: Final = {
    **dict.fromkeys(("recipient", "recipients", "rcptto", "to"), "rcpt"),
    **dict.fromkeys(("sender", "from_", "mailfrom"), "mail"),
    **dict.fromkeys(("hello", "greeting"), "helo"),
    **dict.fromkeys(("header",), "headers"),
    **dict.fromkeys(("msg", "email", "content", "mail_data"), "message"),
    **dict.fromkeys(("line", "lines", "body_lines"), "body_line"),
    **dict.fromkeys(("connection", "client"), "connect"),
}
"""What people may call the phases. A helper may have such a name too: the arguments tell."""
_CLOSE: Final = 0.75


@attrs.frozen(eq=False)
class Found:
    """A function that is named after a phase or marked, and its place."""

    function: Callable[..., Any]
    """The function; a method is bound."""
    name: str
    """Its name, such as ``"rcpt"``."""
    owner: str
    """The file or class, such as ``"my_rules"``."""
    file: str
    line: int
    marks: tuple[Mark, ...]
    """The arguments of ``@on``, or the phase in its name."""
    threaded: bool = False
    takes_self: bool = False
    instance: object = None
    """The object of a method."""
    source: Source | None = None
    definition: Definition | None = None
    """Its definition in ``source``, if it is there."""


def rules_and_problems(found: Found) -> tuple[list[Rule], list[Problem]]:
    """A rule for each phase, and all problems. No rules if there are problems."""
    plain = underlying(found.function)
    annotation = annotation_of(plain)
    is_async = any(map(inspect.iscoroutinefunction, (found.function, plain))) or is_awaitable(annotation)
    wrong = [(found.line, text) for text in _wrong_kind(found, plain, is_async=is_async)]
    for mark in found.marks:
        wrong += [(found.line, text) for text in _wrong_mark(mark, found.instance)]
        phase = PHASES.get(mark.phase)
        if phase is not None:
            wrong += [(found.line, text) for text in _wrong_for(phase, found, annotation)]
            if found.source is not None and found.definition is not None:
                wrong += wrong_returns(found.source, found.definition, phase)
                wrong += unknown_attributes(
                    found.source, found.definition, phase, takes_self=found.takes_self
                )
                wrong += wrong_comparisons(found.source, found.definition, phase, takes_self=found.takes_self)
    problems = [Problem(found.file, line, text) for line, text in dict.fromkeys(wrong)]
    wanted = (
        []
        if problems
        else [mark for mark in found.marks if mark.when is None or getattr(found.instance, mark.when)]
    )
    return [_rule(found, mark, is_async=is_async) for mark in wanted], problems


def underlying(function: Any) -> Any:
    """The original function, inside partials, methods, callable objects, and decorators that keep a reference
    to it."""
    seen: set[int] = set()
    while id(function) not in seen and (layer := _layer(function)):  # a decorator may have made a cycle
        seen.add(id(function))
        owner: Any = function.__class__ if layer == "__call__" else function
        function = getattr(owner, layer)
    return function


def phase_meant(name: str, function: Any) -> str:
    """The phase that a misspelt name probably means; empty if the name is not similar to a phase."""
    if name.startswith("_"):
        return ""
    plain = name.lower()
    for prefix in ("on_", "handle_"):
        plain = plain.removeprefix(prefix)
    if plain in PHASES or plain in _OTHER_NAMES:
        return _OTHER_NAMES.get(plain, plain)
    maybe = _MAYBE.get(plain)
    if maybe is not None and fits(function, PHASES[maybe]):
        return maybe
    for phase in difflib.get_close_matches(plain, PHASES, len(PHASES), _CLOSE):
        # A short name is quickly similar to another, such as "main": then the arguments decide.
        if difflib.SequenceMatcher(None, phase, plain).ratio() > _CLOSE or fits(function, PHASES[phase]):
            return phase
    return ""


def fits(function: Any, phase: PhaseInfo) -> bool:
    """Returns True if a function can be called with the arguments of the phase."""
    try:
        inspect.signature(function).bind(*phase.parameters)
    except (TypeError, ValueError):
        return False
    return True


def _layer(function: object) -> str:
    """Name of the attribute that holds the wrapped function; empty if the function wraps none."""
    if isinstance(function, functools.partial):
        return "func"
    for name in ("__func__", "__wrapped__"):
        if hasattr(function, name):
            return name
    if isinstance(function, type) or inspect.isroutine(function) or not callable(function):
        return ""
    return "__call__"


def _wrong_kind(found: Found, plain: Any, *, is_async: bool) -> Iterator[str]:
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        yield f"{found.name}() yields; a rule returns its verdict, once"
    elif found.threaded and is_async:
        yield f"{found.name}() is async, so it is awaited; @threaded is for functions that block"


def _wrong_for(phase: PhaseInfo, found: Found, annotation: Any) -> Iterator[str]:
    text = _wrong_signature(phase, found)
    if text:
        yield text
    text = wrong_annotation(annotation, phase)
    if text:
        yield f"{found.name}() {text}"


def _wrong_signature(phase: PhaseInfo, found: Found) -> str:
    parameters = ("self",) * found.takes_self + phase.parameters
    write = f"write {found.name}({', '.join(parameters)})"
    try:
        signature = inspect.signature(found.function)
    except (TypeError, ValueError):
        # A method without any parameter; or a function in C, whose parameters are not known.
        return f"{found.name}() takes no argument, not even self; {write}" if found.takes_self else ""
    if fits(found.function, phase):
        own = tuple(signature.parameters)
        if own != phase.parameters and sorted(own) == sorted(phase.parameters):
            return f"{found.name}({', '.join(own)}) has its arguments in another order; {write}"
        return ""
    return f"{found.name}() takes {_taken(signature)}{' besides self' * found.takes_self}; {write}"


def _taken(signature: inspect.Signature) -> str:
    parameters = signature.parameters.values()
    own = [each for each in parameters if each.kind in _POSITIONAL]
    needed, most = sum(each.default is each.empty for each in own), len(own)
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        counted = f"{needed} or more arguments"
    elif needed < most:
        counted = f"{needed} to {most} arguments"
    else:
        counted = f"{most} argument{'s' * (most != 1)}"
    keywords = [
        each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is each.empty
    ]
    return counted + "".join(f" and needs {keyword}=" for keyword in keywords)


def _wrong_mark(mark: Mark, instance: object) -> Iterator[str]:
    # Only a type checker ensures the types: the value may be anything.
    match: Any = mark.match
    timeout: Any = mark.timeout
    if mark.phase not in PHASES:
        hint = did_you_mean(mark.phase, PHASES) or f"; phases: {', '.join(PHASES)}"
        yield f'@on("{mark.phase}"): no such phase{hint}'
    elif match is not None and mark.phase in _WITHOUT_ADDRESS:
        yield f'@on("{mark.phase}", match=...): this phase has no address that could match'
    if match is not None and not isinstance(match, str):
        yield f'match is a pattern for addresses, as in "*@example.com", not {match!r}'
    elif match is not None:
        yield from _wrong_match(match)
    if timeout is not None and not (isinstance(timeout, int | float) and timeout is not True and timeout > 0):
        yield f"timeout is a number of seconds above 0, not {timeout!r}"
    if mark.on_error is not None and mark.on_error not in _ON_ERROR:
        hint = did_you_mean(str(mark.on_error), _ON_ERROR)
        yield f"on_error is one of {', '.join(_ON_ERROR)}, not {mark.on_error!r}{hint}"
    if mark.on_error == "accept" and _guards(instance):
        yield 'on_error="accept" lets mail pass a rule that fails; guards = True forbids that'
    if mark.when is not None:
        yield from _wrong_when(mark.when, instance)


def _wrong_match(match: str) -> Iterator[str]:
    if hint := wrong_address_pattern(match):
        yield f'match="{match}": {hint}'
        return
    try:
        patterns_of((match,), classes=True)
    except MailboxError as error:
        yield f"match: {error}"


def _wrong_when(when: Any, instance: object) -> Iterator[str]:
    if instance is None:
        yield f"when={when!r} names an attribute of a rule class; this is a function by itself"
        return
    try:
        getattr(instance, str(when))
    except AttributeError:
        hint = did_you_mean(str(when), (name for name in dir(instance) if not name.startswith("_")))
        yield f"when={when!r}: {type(instance).__name__} has no such attribute{hint}"
    except Exception as error:  # the rule's own property may raise
        yield f"when={when!r}: {type(error).__name__}: {error}"


def _rule(found: Found, mark: Mark, *, is_async: bool) -> Rule:
    return Rule(
        phase=mark.phase,
        function=found.function,
        name=f"{found.owner}.{found.name}",
        file=found.file,
        line=found.line,
        is_async=is_async,
        threaded=found.threaded,
        match=mark.match.lower() if mark.match is not None else None,
        timeout=mark.timeout,
        on_error=mark.on_error,
        guards=_guards(found.instance),
    )


def _guards(instance: Any) -> bool:
    # Not read if only a __getattr__ provides it, which may raise anything.
    return inspect.getattr_static(instance, "guards", None) is not None and instance.guards is True
