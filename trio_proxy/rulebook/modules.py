"""Executes rule files as modules, again at each loading. Removes them when their rules are no longer used.

A rule file can import modules from its own folder, which are executed again with it; packages are not.
"""

from __future__ import annotations

import importlib
import itertools
import re
import sys
import weakref
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final

from sansio_smtp import rules
from sansio_smtp.rules.lint.problems import Problem, RuleError, did_you_mean
from sansio_smtp.rules.phases import PHASES
from trio_proxy.text.missing import REMEDY, unreadable

__all__ = ["KeptModules", "RuleModules"]

_numbers: Final = itertools.count(1)
_beside: Final[set[str]] = set()
"""Names of modules that rule files have imported from their own folders."""
_OURS: Final = ("sansio_smtp", "trio_proxy")
_NOT_OURS: Final = ("smtp_proxy", "rules")
"""Modules that do not exist, and that people try in place of ours."""
_CANNOT_IMPORT: Final = re.compile(r"cannot import name '(\w+)'")


class KeptModules:
    """Keeps modules in ``sys.modules`` while this object lives, because ``typing.get_type_hints`` and others
    look for them there. Then they are removed to free memory."""

    def __init__(self, names: Iterable[str]) -> None:
        weakref.finalize(self, _forget, tuple(names))


class RuleModules:
    """A context in which rule files are executed. An exception that leaves it restores ``sys.modules``."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._files: list[Path] = []
        self._folders: set[Path] = set()

    def __enter__(self) -> RuleModules:
        self._old = {name: sys.modules.pop(name) for name in _beside & sys.modules.keys()}
        self._others = frozenset(sys.modules)
        # No compiled copies: Python would use one although the file has changed within the same second.
        self._wrote_copies, sys.dont_write_bytecode = not sys.dont_write_bytecode, True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.dont_write_bytecode = not self._wrote_copies
        found = self._imported_from_beside()
        if error is None:
            _beside.update(found)
        else:
            _forget((*self._names, *found))
            sys.modules.update(self._old)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that were executed: the rule files, and those that they imported from their folders."""
        return (*self._files, *self._imported_from_beside().values())

    def kept(self) -> KeptModules:
        """See `KeptModules`."""
        return KeptModules(self._names)

    def execute(self, name: str) -> tuple[dict[str, Any], bytes]:
        """Executes a file. Returns its namespace and its text. Raises `RuleError`."""
        path = Path(name).absolute()
        source = _read(name, path)
        self._files.append(path)
        try:
            code = compile(source, name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:  # ValueError: the file holds NUL
            raise _error(error, name, path.parent) from None
        module = ModuleType(f"{path.stem}@{next(_numbers)}")
        module.__file__ = str(path)
        sys.modules[module.__name__] = module
        self._names.append(module.__name__)
        self._let_import_from(path.parent)
        importlib.invalidate_caches()  # there may be new files beside it
        try:
            exec(code, module.__dict__)
        except (Exception, SystemExit) as error:
            raise _error(error, name, path.parent) from error
        return module.__dict__, source

    def _let_import_from(self, folder: Path) -> None:
        """Puts the folder at the end of ``sys.path``, so that no file in it hides another module. The folder
        is never removed, because a rule may import something later."""
        self._folders.add(folder)
        if str(folder) not in sys.path:
            sys.path.append(str(folder))

    def _imported_from_beside(self) -> dict[str, Path]:
        files = {
            name: Path(file)
            for name in sys.modules.keys() - self._others - set(self._names)
            if "." not in name and (file := getattr(sys.modules[name], "__file__", None))
        }
        return {
            name: file
            for name, file in files.items()
            if file.parent in self._folders and file.name != "__init__.py"
        }


def _read(name: str, path: Path) -> bytes:
    if path.suffix != ".py":
        hint = _meant(name, path) or '; rules are in files such as "my_rules.py", or "ready:NAME"'
        text = "is no Python file" + hint
        raise RuleError([Problem(name, 0, text)])
    try:
        return path.read_bytes()
    except OSError as error:
        others = [each.name for each in path.parent.glob("*.py")] if path.parent.is_dir() else []
        remedy = did_you_mean(path.name, others) or REMEDY
        raise RuleError([Problem(name, 0, unreadable(Path(name), error, remedy))]) from None


def _meant(name: str, path: Path) -> str:
    """What may have been meant by a name that does not end in .py; empty if that is not clear."""
    if path.is_dir():
        files = sorted(each.name for each in path.glob("*.py"))
        return f"; it is a directory: name a file in it{f', such as {name}/{files[0]}' if files else ''}"
    if path.suffix == ".toml":
        return "; a settings file is given with --config"
    for other in (f"{name}.py", f"{name.replace('.', '/')}.py"):
        if Path(other).is_file():
            return f'; did you mean "{other}"?'
    return ""


def _error(error: BaseException, name: str, folder: Path) -> RuleError:
    """The error with its place: the innermost frame in the rule file or in a file of the same folder."""
    file, line = name, 0
    trace = error.__traceback__
    while trace is not None:
        code_file = trace.tb_frame.f_code.co_filename
        if code_file == name or Path(code_file).parent == folder:
            file, line = code_file, trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        if error.filename == name or Path(error.filename).parent == folder:
            file, line = error.filename, error.lineno or 0
        return RuleError([Problem(_shown(file, name), line, f"syntax error: {error.msg}")])
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return RuleError([Problem(_shown(file, name), line, text + _hint(error))])


def _shown(file: str, name: str) -> str:
    """The path of a file in the folder of the rule file, as the user would write it."""
    return file if file == name else str(Path(name).with_name(Path(file).name))


def _hint(error: BaseException) -> str:
    if isinstance(error, NameError) and error.name in PHASES:
        return f'; the name of a phase stands in quotes, as in @on("{error.name}")'
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        package = error.name.partition(".")[0]
        if package in _NOT_OURS:
            return "; write from sansio_smtp.rules import Reject"
        if hint := did_you_mean(package, _OURS):
            return hint
        return f"; it must be installed for the Python that runs smtp-proxy, {sys.executable}"
    found = _CANNOT_IMPORT.match(str(error))
    if not isinstance(error, ImportError) or found is None:
        return ""
    if found[1] in rules.__all__ and error.name != rules.__name__:
        return f"; write from sansio_smtp.rules import {found[1]}"
    return did_you_mean(found[1], dir(sys.modules.get(error.name or "")))


def _forget(names: Iterable[str]) -> None:
    for name in names:
        sys.modules.pop(name, None)
