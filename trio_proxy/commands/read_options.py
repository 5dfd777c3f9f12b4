"""Reads the `Options` of a command from the command line, the environment and the settings file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from trio_proxy.settings.options import SETTINGS, Options

if TYPE_CHECKING:
    from sansio_smtp.rules.lint.problems import Problem

__all__ = ["read_options"]


def read_options(ctx: click.Context) -> tuple[Options, list[Problem]]:
    """The options that a command was given, and what is wrong in the settings file.

    Of a file with mistakes the part that could be read is used. Raises `click.UsageError`.
    """
    # Only now: --help has no use for them, and they take long to import.
    from trio_proxy.settings.choose import choose
    from trio_proxy.settings.config_file import read_config

    given = _given(ctx)
    config, problems = read_config(given["config"]) if "config" in given else (None, [])
    try:
        return choose(given, config), problems
    except ValueError as error:
        raise click.UsageError(str(error), ctx) from None


def _given(ctx: click.Context) -> dict[str, Any]:
    """Name of the setting → value, for what stands on the command line or in the environment.

    What stands after the name of a command wins over what stands before it; items of lists add up.
    """
    typed: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    for level in reversed(list(_levels(ctx))):
        for name in SETTINGS.keys() & level.params.keys():
            value, source = level.params[name], level.get_parameter_source(name)
            if source is ParameterSource.COMMANDLINE:
                is_list = SETTINGS[name].kind.shape == "list"
                typed[name] = (*typed.get(name, ()), *value) if is_list else value
            elif source is ParameterSource.ENVIRONMENT:
                environment[name] = value
    return environment | typed


def _levels(ctx: click.Context | None) -> Iterator[click.Context]:
    while ctx is not None:
        yield ctx
        ctx = ctx.parent
