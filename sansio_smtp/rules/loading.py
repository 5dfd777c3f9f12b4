"""Makes rules from the names in a rule file, and finds every mistake that can be found before mail comes.

Nothing here opens a file: the caller has read and executed it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final, cast

import attrs

from sansio_smtp import rules
from sansio_smtp.rules.lint.effects import without_effect
from sansio_smtp.rules.lint.given_texts import texts_for_lists
from sansio_smtp.rules.lint.own_attributes import unknown_on_self
from sansio_smtp.rules.lint.problems import Problem, RuleError, did_you_mean
from sansio_smtp.rules.lint.signatures import Found, fits, phase_meant, rules_and_problems, underlying
from sansio_smtp.rules.lint.source import Definition, Source, marks_on, wrong_definitions
from sansio_smtp.rules.lint.undefined import undefined_names
from sansio_smtp.rules.lint.verdict_types import wrong_calls

from .decorators import Mark, is_threaded, marks_of
from .phases import PHASES
from .ruleset import Rule, RuleSet

__all__ = ["Collected", "Make", "collect", "plainly_made", "rules_of"]

Make = Callable[[Any, str, int], tuple[Any, Sequence[Problem]]]
"""Takes an entry of the list ``rules``, a class or an instance, with its file and line. Returns the instance
whose methods are rules, or None and all mistakes."""

_API: Final = rules.__all__
_NEARLY_GUARDS: Final = ("guard", "is_guard", "guarding", "gaurds")
_FUNCTIONS: Final[tuple[Any, ...]] = (FunctionType, BuiltinFunctionType, MethodType, functools.partial)
_METHODS: Final[tuple[Any, ...]] = (FunctionType, staticmethod, classmethod, functools.partialmethod)
_NO_OBJECTS: Final[tuple[Any, ...]] = (
    ModuleType,
    str,
    bytes,
    int,
    float,
    list,
    tuple,
    dict,
    set,
    frozenset,
    type(None),
)


@attrs.frozen
class Collected:
    """The result for one file. ``rules`` and ``objects`` may be used only if there are no problems."""

    rules: tuple[Rule, ...]
    objects: tuple[Any, ...]
    """The instances whose methods are rules, each once."""
    problems: tuple[Problem, ...]
    """Sorted by file and line."""


def collect(
    namespace: Mapping[str, Any],
    *,
    file: str,
    source: str | bytes | None = None,
    make: Make | None = None,
) -> Collected:
    """The rules among the names of an executed module.

    First the functions that are named after a phase or marked with ``@on``, in their order; then the entries
    of the list ``rules``, in its order: classes (``make`` makes their instances), instances, and functions,
    which then are asked only at this place.

    ``file`` is its name in problems. Without ``source`` fewer mistakes are found.
    """
    return _Collector(namespace, file, source, make or plainly_made).collect()


def rules_of(*things: object) -> RuleSet:
    """The rules of modules, functions, rule classes, instances, and lists of these, in this order.

    Raises `RuleError`.
    """
    rules: list[Rule] = []
    problems: list[Problem] = []
    for thing in things:
        if isinstance(thing, ModuleType):
            found = collect(vars(thing), file=getattr(thing, "__file__", None) or thing.__name__)
        else:
            found = collect({"rules": thing if isinstance(thing, list | tuple) else [thing]}, file="")
        rules += found.rules
        problems += found.problems
    if problems:
        raise RuleError(problems)
    return RuleSet(tuple(rules))


def plainly_made(entry: Any, file: str, line: int) -> tuple[Any, Sequence[Problem]]:
    """See `Make`: without settings."""
    if not isinstance(entry, type):
        return entry, ()
    try:
        return entry(), ()
    except Exception as error:
        text = f"rules: {entry.__name__} cannot be made: {error}{_instance_of(entry)}"
        return None, [Problem(file, line, text)]


def _instance_of(cls: type) -> str:
    """How an instance is written, if the class must be given something; else empty."""
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return ""
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    needed = [each.name for each in parameters if each.default is each.empty and each.kind in kinds]
    given = ", ".join(f"{name}=..." for name in needed)
    return f"; give an instance: {cls.__name__}({given})" if given else ""


class _Collector:
    def __init__(
        self, namespace: Mapping[str, Any], file: str, source: str | bytes | None, make: Make
    ) -> None:
        self._namespace = namespace
        self._module = namespace.get("__name__")
        self._file = file
        self._code_files = (file, namespace.get("__file__"))
        self._source = Source(source, namespace) if source is not None else None
        self._text = source
        self._make = make
        self._listed: Sequence[Any] = ()
        self._rules: list[Rule] = []
        self._objects: list[Any] = []
        self._problems: list[Problem] = []

    def collect(self) -> Collected:
        if self._source is not None and self._text is not None:
            for line, text in (
                *wrong_calls(self._source),
                *without_effect(self._source),
                *wrong_definitions(self._source, self._namespace),
                *undefined_names(self._text, self._namespace, _API),
            ):
                self._complain(line, text)
        self._listed = self._list()
        listed = {id(entry) for entry in self._listed if callable(entry)}
        for name, value in self._namespace.items():
            if id(value) not in listed:
                self._see_name(name, value)
        for number, entry in enumerate(self._listed):
            self._see_entry(entry, self._line_of_entry(number))
        for value in self._namespace.values():
            if isinstance(value, type) and value.__module__ == self._module:
                self._see_class(value)
        problems = sorted(set(self._problems), key=lambda each: (each.file, each.line, each.text))
        return Collected(tuple(self._rules), tuple(self._objects), tuple(problems))

    # Names

    def _list(self) -> Sequence[Any]:
        listed: Any = self._namespace.get("rules", ())
        if isinstance(listed, (list, tuple)):
            return cast(Sequence[Any], listed)
        if isinstance(listed, ModuleType):  # such as after ``from sansio_smtp import rules``
            return ()
        cls: Any = listed if isinstance(listed, type) else type(listed)
        is_one = cls.__module__ == self._module  # a rule in place of a list
        made = "" if listed is cls else "(...)"
        example = f"write rules = [{cls.__name__}{made}]" if is_one else "as in: rules = [Greylist]"
        self._complain(self._line_of("rules"), f"rules must be a list{'; ' if is_one else ', '}{example}")
        return [listed] if is_one else ()

    def _see_name(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType | type):
            if name in PHASES and isinstance(value, type):
                text = f"{name} is a class; a phase is a function: {_definition(name)}"
                self._complain(self._line_of(name), text)
        elif isinstance(value, _FUNCTIONS) or (name in PHASES and callable(value)):
            if name in PHASES or marks_of(value):
                self._take_function(value, name)
            elif getattr(value, "__module__", None) == self._module:
                self._is_misspelt(name, value)
        elif name in PHASES:
            what = type(value).__name__
            text = f"{name} is a phase, but here of type {what}; rename it, or write {_definition(name)}"
            self._complain(self._line_of(name), text)

    def _take_function(self, function: Any, name: str) -> None:
        file, line, definition = self._place(function)
        module = getattr(underlying(function), "__module__", None) or "rules"
        self._add(
            Found(
                function=function,
                name=name,
                owner=_stem(file) if file == self._file and file else module.rpartition(".")[2],
                file=file,
                line=line or self._line_of(name),
                marks=marks_of(function) or (Mark(phase=name),),
                threaded=is_threaded(function),
                source=self._source,
                definition=definition,
            )
        )

    def _is_misspelt(self, name: str, function: Any, bound: Any = None) -> bool:
        """Adds a problem and returns True if the name is a misspelt phase."""
        phase = phase_meant(name, bound or function)
        if phase:
            file, line, _ = self._place(function)
            helper = "if it is a helper, let its name begin with _"
            self._complain(line, f'{name}() is no phase; did you mean "{phase}"? ({helper})', file)
        return bool(phase)

    # Entries of the list

    def _see_entry(self, entry: Any, line: int) -> None:
        if isinstance(entry, type):
            self._see_object(entry, entry, line)
        elif isinstance(entry, _FUNCTIONS) or (callable(entry) and marks_of(entry)):
            name = str(getattr(underlying(entry), "__name__", type(entry).__name__))
            if name in PHASES or marks_of(entry):
                self._take_function(entry, name)
            else:
                hint = did_you_mean(name, PHASES) or f'; mark it, as in @on("rcpt") def {name}(tx, to)'
                self._complain(line, f"rules: {name}() is no phase{hint}")
        elif isinstance(entry, _NO_OBJECTS):
            what = getattr(entry, "__name__", f"{entry!r:.60}")
            is_file = isinstance(entry, str) and entry.endswith(".py")
            hint = "; import the file, and give the module" if is_file else ""
            self._complain(line, f"rules: {what} is no rule ({type(entry).__name__}){hint}")
        else:
            self._see_object(entry, type(entry), line)

    def _see_object(self, entry: Any, cls: Any, line: int) -> None:
        methods = _methods_of(cls)
        misspelt = [
            self._is_misspelt(name, raw, raw.__get__(_NOBODY, cls))
            for name, raw in methods.items()
            if not _is_rule(name, raw) and getattr(raw, "__module__", None) == cls.__module__
        ]
        taken = [name for name, raw in methods.items() if _is_rule(name, raw)]
        if not taken:
            if not any(misspelt):
                hint = f"name a method after one: {_definition('rcpt', 'self')}"
                self._complain(line, f"rules: {cls.__name__} has no phase; {hint}")
            return
        if self._source is not None and cls.__module__ == self._module:
            for place, text in unknown_on_self(self._source, cls, entry):
                self._complain(place, text)
        self._see_running(methods.get("running"))
        self._see_guards(cls, line)
        instance, problems = self._make(entry, self._file, line)
        self._problems += problems
        if instance is None:
            instance = _NOBODY  # its methods are checked anyway
        elif not any(instance is each for each in self._objects):
            self._objects.append(instance)
            names_of_module = getattr(underlying(methods[taken[0]]), "__globals__", {})
            for text in texts_for_lists(instance, names_of_module):
                self._complain(line, f"rules: {text}")
        for name in taken:
            self._take_method(instance, cls, name, methods[name])

    def _take_method(self, instance: Any, cls: type, name: str, raw: Any) -> None:
        bound = raw.__get__(instance, cls)
        file, line, definition = self._place(raw)
        self._add(
            Found(
                function=bound,
                name=name,
                owner=cls.__name__,
                file=file,
                line=line,
                marks=marks_on(raw) or (Mark(phase=name),),
                threaded=is_threaded(raw) or is_threaded(bound),
                takes_self=isinstance(raw, FunctionType),
                instance=instance,
                source=self._source,
                definition=definition,
            )
        )

    def _see_running(self, raw: Any) -> None:
        if inspect.isasyncgenfunction(raw) or inspect.iscoroutinefunction(raw):
            file, line, _ = self._place(raw)
            self._complain(
                line, "running() must return a context manager: write @asynccontextmanager above", file
            )

    def _see_guards(self, cls: type, line: int) -> None:
        """Adds a problem if the class seems to be a guard but is not."""
        value = inspect.getattr_static(cls, "guards", False)
        if isinstance(value, str | int) and not isinstance(value, bool):
            self._complain(line, f"rules: {cls.__name__}.guards is True or False, not {value!r}")
        for name in _NEARLY_GUARDS:
            if inspect.getattr_static(cls, name, None) is True:
                text = f'rules: {cls.__name__}.{name} = True means nothing; did you mean "guards"?'
                self._complain(line, text)

    def _see_class(self, cls: type) -> None:
        """Adds a problem if a class of the file holds rules that would never be asked."""
        name, methods = cls.__name__, _methods_of(cls)
        if marks_of(cls):
            self._complain(self._line_of(name), f"{name}: write @on before a function, not before a class")
        elif not name.startswith("_") and not any(cls in _classes_of(each) for each in self._listed):
            marked = any(marks_on(raw) for raw in methods.values())
            named = not self._rules and any(
                name in PHASES and fits(raw.__get__(_NOBODY, cls), PHASES[name])
                for name, raw in methods.items()
            )
            if marked or named:
                text = f"{name} has rules, but is in no list; write rules = [{name}]"
                self._complain(self._line_of(name), text)

    def _add(self, found: Found) -> None:
        rules, problems = rules_and_problems(found)
        self._rules += rules
        self._problems += problems

    # Places

    def _place(self, function: Any) -> tuple[str, int, Definition | None]:
        """The file, line and definition of a function."""
        code = getattr(underlying(function), "__code__", None)
        if code is None:
            return self._file, 0, None
        if code.co_filename not in self._code_files:
            return code.co_filename, code.co_firstlineno, None
        node = self._source.definition(code.co_name, code.co_firstlineno) if self._source else None
        return self._file, node.lineno if node else code.co_firstlineno, node

    def _line_of(self, name: str) -> int:
        return self._source.line_of(name) if self._source else 0

    def _line_of_entry(self, number: int) -> int:
        return self._source.line_of_item("rules", number, len(self._listed)) if self._source else 0

    def _complain(self, line: int, text: str, file: str | None = None) -> None:
        self._problems.append(Problem(self._file if file is None else file, line, text))


class _Nobody:
    """A placeholder for a missing instance: it has every attribute."""

    def __getattr__(self, name: str) -> bool:
        return False


_NOBODY: Final = _Nobody()


def _methods_of(cls: type) -> Mapping[str, Any]:
    """The attributes that a class and its base classes define, unbound; the last base class first."""
    names = {name: None for above in reversed(cls.__mro__[:-1]) for name in vars(above)}
    found = ((name, inspect.getattr_static(cls, name)) for name in names)
    return {name: raw for name, raw in found if isinstance(raw, _METHODS)}


def _classes_of(entry: Any) -> tuple[type, ...]:
    # Not issubclass, which some classes do not support, such as typed dictionaries.
    cls: Any = entry if isinstance(entry, type) else type(entry)
    return tuple(cls.__mro__)


def _is_rule(name: str, raw: Any) -> bool:
    return name in PHASES or bool(marks_on(raw))


def _definition(phase: str, *before: str) -> str:
    return f"def {phase}({', '.join((*before, *PHASES[phase].parameters))})"


def _stem(file: str) -> str:
    return file.rpartition("/")[2].removesuffix(".py")
