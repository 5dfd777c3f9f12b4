"""Reads the `Options` of a command from the command line, the environment and the settings file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
from click.core import ParameterSource

from trio_proxy.settings.options import SETTINGS, Options

from .setting_options import Mistaken

if TYPE_CHECKING:
    from sansio_smtp.rules.lint.problems import Problem
    from trio_proxy.settings.config_file import ConfigFile

__all__ = ["read_control", "read_options"]


def read_options(ctx: click.Context) -> tuple[Options, list[Problem]]:
    """The options of a command, and the mistakes in the settings file.

    If the file has mistakes, the part that could be read is used. Raises `click.UsageError`.
    """
    # Imported here because --help does not need them, and they take long to import.
    from trio_proxy.settings.choose import choose

    given = _given(ctx)
    mistaken = [name for name, value in given.items() if isinstance(value, Mistaken)]
    wrong = [given.pop(name).error(ctx) for name in mistaken]
    config, problems = _config(given["config"]) if "config" in given else (None, [])
    try:
        options = choose(given, config)
    except ValueError as error:
        raise _together(ctx, [*wrong, click.UsageError(str(error), ctx)], problems) from None
    if wrong:
        from .all_problems import all_problems

        options = attrs.evolve(options, unread=options.unread | {*mistaken})
        raise _together(ctx, wrong, [*problems, *all_problems(options)])
    return options, problems


def read_control(ctx: click.Context) -> tuple[Path | None, list[Problem]]:
    """The control socket of a running service, and why it cannot be read from the settings file. None if it
    is not set.

    Other mistakes in the file do not matter: the service judges the file, and only the service has its
    credentials. Raises `click.UsageError`.
    """
    given = _given(ctx)
    for name in ("control", "config"):
        if isinstance(said := given.get(name), Mistaken):
            raise said.error(ctx)
    if "control" in given or "config" not in given:
        return given.get("control"), []
    config, problems = _config(given["config"])
    if config is None:
        return None, problems
    return config.values.get("control"), [each for each in problems if "[server] control" in each.text]


def _config(path: Path) -> tuple[ConfigFile | None, list[Problem]]:
    from trio_proxy.settings.config_file import read_config  # needed only with a file; cattrs takes 1 MB

    return read_config(path)


def _together(
    ctx: click.Context, wrong: list[click.UsageError], problems: Iterable[Problem]
) -> click.UsageError:
    """One error with all mistakes in the options, and then in the files."""
    if len(wrong) == 1 and not problems:
        return wrong[0]
    from trio_proxy.text.masking import plain

    from .problem_order import in_order

    files = (plain(str(problem)) for problem in in_order(problems))
    return click.UsageError("\n".join([*(each.format_message() for each in wrong), *files]), ctx)


def _given(ctx: click.Context) -> dict[str, Any]:
    """Name of the setting → value, for all that the command line and the environment give.

    An option after the name of the command overrides the same option before it; items of lists add up.
    """
    typed: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    for level in reversed(list(_levels(ctx))):
        for name in SETTINGS.keys() & level.params.keys():
            value, source = level.params[name], level.get_parameter_source(name)
            if source is ParameterSource.COMMANDLINE:
                is_list = SETTINGS[name].kind.shape == "list"
                before = typed.get(name, ())
                if is_list and not isinstance(value, Mistaken) and not isinstance(before, Mistaken):
                    value = (*before, *value)
                typed[name] = before if isinstance(before, Mistaken) else value
            elif source is ParameterSource.ENVIRONMENT:
                environment[name] = value
    return environment | typed


def _levels(ctx: click.Context | None) -> Iterator[click.Context]:
    while ctx is not None:
        yield ctx
        ctx = ctx.parent
