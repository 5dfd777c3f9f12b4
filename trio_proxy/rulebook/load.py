"""From names such as ``my_rules.py`` and ``ready:staging`` to rules, or to all that is wrong with them."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import getattr_static, isroutine
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

import attrs

from sansio_smtp.names import closest
from sansio_smtp.rules.lint.problems import Problem, RuleError, did_you_mean
from sansio_smtp.rules.loading import collect, plainly_made
from sansio_smtp.rules.phases import PHASES
from sansio_smtp.rules.ruleset import Rule, RuleSet
from trio_proxy.settings.file_schema import SETTINGS_BY_KEY, other_place
from trio_proxy.settings.ready_names import READY_RULES, ready_names
from trio_proxy.settings.rule_table import RuleTable

from .modules import RuleModules
from .token_rule import NAME, TokenRule, token_rules

__all__ = ["NO_RULE", "LoadedRules", "Part", "load"]

NO_RULE: Final = "a rule is a function that is named after a phase, such as def rcpt(tx, to)"
"""What a file lacks that has no rule."""

_READY: Final = "ready:"
_PACKAGE: Final = READY_RULES
_NEW_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@attrs.frozen(eq=False)
class Part:
    """The rules of one file."""

    spec: str
    """The name of the file, as the user wrote it."""
    rules: tuple[Rule, ...]
    gives_tokens: bool = False
    """True if it has a function ``access_token``."""

    @property
    def phases(self) -> tuple[str, ...]:
        """In the order of a dialogue; ``access_token`` last."""
        return (*RuleSet(self.rules).phases, *[NAME] * self.gives_tokens)

    def __str__(self) -> str:
        """As in ``my_rules.py (rcpt, message)``."""
        return f"{self.spec} ({', '.join(self.phases) or 'no rules'})"


@attrs.frozen(eq=False)
class LoadedRules:
    """Rules that can be used, with the files and objects that belong to them."""

    ruleset: RuleSet
    parts: tuple[Part, ...] = ()
    """In the order in which they are asked."""
    files: tuple[Path, ...] = ()
    """The files that were executed. If one of them changes, the rules may change."""
    objects: tuple[Any, ...] = ()
    """The rule objects with ``running()``, which must be entered before their rules are asked."""
    token_rules: tuple[TokenRule, ...] = ()
    """What gives access tokens, in the order in which it is asked."""
    origin: object = None
    """What their caller made them of."""
    modules: object = attrs.field(default=None, repr=False)
    """Keeps the modules of the rules in ``sys.modules`` as long as it lives."""

    @property
    def guards(self) -> tuple[str, ...]:
        """The files, as the user wrote them, that have a rule which guards: see `Rule.guards`."""
        return tuple(part.spec for part in self.parts if any(rule.guards for rule in part.rules))

    @property
    def limit_recipients(self) -> bool:
        """True if a rule object says that its rules let mail pass to some recipients only, by an attribute
        ``limits_recipients`` that is True, as `AllowList` and `Staging` have it."""
        owners = (getattr(rule.function, "__self__", None) for rule in self.ruleset.rules)
        return any(_attribute(owner, "limits_recipients") is True for owner in owners)

    @property
    def summary(self) -> str:
        """As in ``my_rules.py (rcpt, message), ready:footer (message)``."""
        return ", ".join(map(str, self.parts))


def _where_in_file(name: str, _: Sequence[str]) -> str:
    """Where the settings of a rule class go that has none, if they are read from a file."""
    return f"write it in the table [rules.{name}] of a settings file: --config FILE"


def load(
    specs: Sequence[object],
    settings: Mapping[str, RuleTable] | None = None,
    *,
    where_settings_go: Callable[[str, Sequence[str]], str] = _where_in_file,
) -> LoadedRules:
    """Loads the rules of each ``FILE.py`` or ``ready:NAME``, in this order, and makes the rule classes.
    A test may give modules, functions, rule classes, instances and lists of these as well.

    ``settings``: the tables of rule classes, by the name of the class in snake_case. The folder of a rule
    file is put at the end of ``sys.path``. Raises `RuleError` with everything that is wrong.

    ``where_settings_go``: from the name of a class in snake_case, and the settings that it needs, to what is
    said if it has no table.
    """
    with RuleModules() as modules:
        loader = _Loader(modules, settings or {}, where_settings_go)
        for spec in specs:
            if isinstance(spec, str):
                loader.add(spec)
            else:
                loader.add_given(spec)
        return loader.result()


class _Loader:
    def __init__(
        self,
        modules: RuleModules,
        settings: Mapping[str, RuleTable],
        where_settings_go: Callable[[str, Sequence[str]], str],
    ) -> None:
        self._modules = modules
        self._settings = settings
        self._where_settings_go = where_settings_go
        self._seen: set[str] = set()
        self._class_names: list[str] = []
        self._all_seen = True
        """True if every file could be executed, so that the names of all rule classes are known."""
        self._parts: list[Part] = []
        self._rules: list[Rule] = []
        self._objects: list[Any] = []
        self._token_rules: list[TokenRule] = []
        self._problems: list[Problem] = []
        self._without_table: dict[str, Sequence[Problem]] = {}
        """Rule class that has no table of settings → what is wrong because of that."""

    def add(self, spec: str) -> None:
        is_ready = spec.startswith(_READY)
        identity = spec.replace("-", "_") if is_ready else str(Path(spec).absolute())
        if identity in self._seen:
            self._problems.append(Problem(spec, 0, "is named twice: its rules would be asked twice"))
            return
        self._seen.add(identity)
        try:
            namespace, source = _import_ready(spec) if is_ready else self._modules.execute(spec)
        except RuleError as error:
            is_name = not is_ready and spec.replace("-", "_") in _ready_names()
            meant = [Problem(spec, 0, f'is no Python file; did you mean "{_READY}{spec}"?')]
            self._problems += meant if is_name else error.problems
            self._problems += self._in_table_of_meant(spec)
            self._all_seen = False
            return
        found = collect(namespace, file=spec, source=source, make=self._make)
        tokens, mistakes = token_rules(namespace, found.objects, spec)
        self._parts.append(Part(spec, found.rules, bool(tokens)))
        self._rules += found.rules
        self._objects += [each for each in found.objects if _attribute(each, "running")]
        self._token_rules += tokens
        self._problems += (*found.problems, *mistakes)
        if not (found.rules or found.problems or tokens or mistakes) and (name := _own_function(namespace)):
            text = (
                f"no rule in it: {name} is not the name of a phase. A rule is named after the phase in which "
                f'it is asked, as in def rcpt(tx, to), or marked, as in @on("rcpt"); phases: '
                f"{', '.join(PHASES)}"
            )
            self._problems.append(Problem(spec, 0, text))

    def _in_table_of_meant(self, spec: str) -> Iterator[Problem]:
        """The mistakes in the settings of the ready rule whose name is like this one."""
        name = closest(spec.removeprefix(_READY).replace("-", "_"), _ready_names())
        if name not in self._settings:
            return
        with suppress(RuleError):
            for cls in _import_ready(_READY + name)[0]["rules"]:
                yield from self._make(cls, spec, 0)[1]

    def add_given(self, given: object) -> None:
        """Adds the rules of a module, function, rule class, instance, or list of these."""
        if isinstance(given, ModuleType):
            file = getattr(given, "__file__", None) or given.__name__
            found = collect(vars(given), file=file, make=self._make_given)
        else:
            listed = cast("Sequence[object]", given) if isinstance(given, list | tuple) else [given]
            found = collect({"rules": listed}, file="", make=self._make_given)
        self._rules += found.rules
        self._objects += [each for each in found.objects if _attribute(each, "running")]
        self._problems += found.problems

    def result(self) -> LoadedRules:
        if self._all_seen:
            unused = list(self._unused_settings())
            self._problems += unused
        if self._problems:
            raise RuleError(self._problems)
        return LoadedRules(
            ruleset=RuleSet(tuple(self._rules)),
            parts=tuple(self._parts),
            files=self._modules.files,
            objects=tuple(self._objects),
            token_rules=tuple(self._token_rules),
            modules=self._modules.kept(),
        )

    def _make(self, entry: Any, file: str, line: int) -> tuple[Any, Sequence[Problem]]:
        cls = entry if isinstance(entry, type) else type(entry)
        name = _snake_case(cls.__name__)
        self._class_names.append(name)
        table = self._settings.get(name)
        if not attrs.has(cls) and table is not None:
            text = f"[rules.{name}] {cls.__name__} takes no settings: it is no attrs class"
            return None, [Problem(table.file, table.lines.get("", 0), text)]
        if not attrs.has(cls) or (table is None and entry is not cls):
            return plainly_made(entry, file, line)
        from trio_proxy.settings.tables import structure  # most rules are functions, and cattrs takes 1 MB

        given = table or RuleTable({}, {"": line}, file)
        made, problems = structure(
            cls,
            given.table,
            file=given.file,
            table_name=f"rules.{name}",
            lines=given.lines,
            base=None if entry is cls else entry,
            other_place=other_place,
        )
        if table is None and (keys := _needed(cls)):
            where = self._where_settings_go(name, keys)
            problems = [attrs.evolve(each, text=f"{each.text}; {where}") for each in problems]
            self._without_table[name] = problems
        return made, problems

    def _make_given(self, entry: Any, file: str, line: int) -> tuple[Any, Sequence[Problem]]:
        name = _snake_case((entry if isinstance(entry, type) else type(entry)).__name__)
        if name in self._settings:
            return self._make(entry, file, line)
        self._class_names.append(name)
        return plainly_made(entry, file, line)

    def _unused_settings(self) -> Iterator[Problem]:
        """What is wrong with each table that no class takes. What a class lacks that the table was meant for
        is not a second mistake."""
        for name, table in self._settings.items():
            if name in self._class_names:
                continue
            if meant := self._without_table.get(closest(name, self._class_names)):
                self._problems = [each for each in self._problems if each not in meant]
            hint = did_you_mean(name, self._class_names)
            if not hint and name in _ready_names():
                hint = f'; add "{_READY}{name}" to files in [rules], or give --rules {_READY}{name}'
            elif not hint and name in SETTINGS_BY_KEY:
                hint = f"; did you mean [{name}]?"
            elif not hint and (ready := closest(name, _ready_names())):
                hint = f'; did you mean [rules.{ready}]? Then add "{_READY}{ready}" to files in [rules]'
            text = f"[rules.{name}] no rule class takes these settings{hint}"
            yield Problem(table.file, table.lines.get("", 0), text)


def _needed(cls: type) -> list[str]:
    """The settings without which a rule class cannot be made."""
    fields = (field for field in attrs.fields(cls) if field.init and field.default is attrs.NOTHING)
    return [field.alias or field.name for field in fields]


def _import_ready(spec: str) -> tuple[dict[str, Any], None]:
    name = spec.removeprefix(_READY).replace("-", "_")
    names = _ready_names()
    if name not in names:
        hint = did_you_mean(name, names) or f"; there are: {', '.join(names)}"
        raise RuleError([Problem(spec, 0, f"there is no such rule{hint}")])
    try:
        return vars(importlib.import_module(f"{_PACKAGE}.{name}")), None
    except ImportError as error:
        extra = _extra_of(f"{_PACKAGE}.{name}")
        text = f"needs {error.name}: pip install 'sansio-smtp[{extra}]'" if extra else str(error)
        raise RuleError([Problem(spec, 0, text)]) from error


def _ready_names() -> list[str]:
    return ready_names(_PACKAGE)


def _extra_of(module: str) -> str:
    """What ``__extra__`` says in a module that may not be importable."""
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    for node in ast.parse(Path(found.origin).read_bytes()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__extra__":
            return str(ast.literal_eval(node.value))
    return ""


def _snake_case(name: str) -> str:
    """``SharedRateLimit`` → ``shared_rate_limit``, ``DKIMSign`` → ``dkim_sign``"""
    return _NEW_WORD.sub("_", name).lower()


def _attribute(thing: Any, name: str) -> Any:
    """The attribute, or None, without calling a ``__getattr__`` that somebody wrote, which may raise."""
    return None if getattr_static(thing, name, None) is None else getattr(thing, name)


def _own_function(namespace: Mapping[str, Any]) -> str:
    """The first function that a file defines, if its name does not begin with _; empty if there is none."""
    module = namespace.get("__name__")
    own = (name for name, value in namespace.items() if isroutine(value) and value.__module__ == module)
    return next((name for name in own if not name.startswith("_")), "")
