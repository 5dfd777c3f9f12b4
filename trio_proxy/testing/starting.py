"""What the fixture ``smtp_proxy`` gives a test: it starts proxies, and finds rule files beside the test."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NoReturn, cast

import attrs

from sansio_smtp.config import Config
from sansio_smtp.rules.lint.problems import Problem, RuleError, did_you_mean

from .running import RunningProxy

__all__ = ["Starter"]

_OPTIONS: Final = tuple(inspect.signature(RunningProxy).parameters)[1:]
_CONFIG: Final = tuple(field.name for field in attrs.fields(Config))


class Starter:
    """Called as ``smtp_proxy(rules, **options)``, it makes a `RunningProxy` and starts it.

    A relative name of a rule file is looked for in several folders.
    """

    def __init__(self, stack: ExitStack, place: Path, folders: Sequence[Path]) -> None:
        """``stack`` stops the proxies; ``place``: where each gets a directory; ``folders``: where rule files
        are, the first that has one counts."""
        self._stack = stack
        self._place = place
        self._folders = tuple(dict.fromkeys(folders))
        self.proxies: list[RunningProxy] = []
        """Those that were made, also if they have not started."""

    def __call__(self, rules: object = (), **options: Any) -> RunningProxy:
        for name in options:
            if name not in _OPTIONS:
                raise TypeError(_no_option(name))
        options.setdefault("directory", self._place / f"smtp-proxy-{len(self.proxies) + 1}")
        proxy = RunningProxy(self._found(rules), **options)
        self.proxies.append(proxy)
        return self._stack.enter_context(proxy)

    def transcripts(self) -> list[tuple[str, str]]:
        """The dialogues of each proxy so far, with a title."""
        return [
            (
                f"Dialogues of smtp_proxy{'' if len(self.proxies) == 1 else f' {number}'}",
                "\n".join(proxy.transcript),
            )
            for number, proxy in enumerate(self.proxies, 1)
            if proxy.transcript
        ]

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f'smtp_proxy has no {name}: it starts proxies. Call it first: proxy = smtp_proxy("my_rules.py"); '
            f"then write proxy.{name}"
        )

    def _found(self, rules: object) -> object:
        if isinstance(rules, list | tuple):
            return [self._found(each) for each in cast("list[object]", rules)]
        if not isinstance(rules, str | Path) or str(rules).startswith("ready:") or Path(rules).is_absolute():
            return rules
        files = [folder / rules for folder in self._folders]
        for file in files:
            if file.exists():
                return rules if file == Path.cwd() / rules else str(file)
        others = {each.name for file in files for each in file.parent.glob("*.py")}
        hint = did_you_mean(files[0].name, [name for name in sorted(others) if not _is_test(name)])
        text = f"there is no such file in {_in_words(self._folders)}{hint}"
        raise RuleError([Problem(str(rules), 0, text)])


def _is_test(name: str) -> bool:
    return name == "conftest.py" or name.startswith("test_") or name.endswith("_test.py")


def _in_words(folders: Sequence[Path]) -> str:
    *most, last = map(str, folders)
    return f"{', '.join(most)} and {last}" if most else last


def _no_option(name: str) -> str:
    if hint := did_you_mean(name, _OPTIONS):
        return f"smtp_proxy() has no option {name}{hint}"
    if close := difflib.get_close_matches(name, _CONFIG, 1, 0.8):
        hint = f"write config=Config({close[0]}=...), with sansio_smtp.Config"
    else:
        hint = f"its options are {', '.join(_OPTIONS)}"
    return f"smtp_proxy() has no option {name}; {hint}"
