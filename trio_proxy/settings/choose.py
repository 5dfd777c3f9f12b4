"""Makes `Options` from the command line, the environment and the settings file, in this order of
precedence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sansio_smtp.rules.lint.problems import Problem, RuleError

from .options import CONFLICTS, SETTINGS, Options

if TYPE_CHECKING:
    from .config_file import ConfigFile
    from .place import Place

__all__ = ["choose", "reread"]


def choose(given: Mapping[str, Any], config: ConfigFile | None) -> Options:
    """Takes each setting from ``given`` (command line and environment), else the file, else its default.

    ``given``: name of a setting → value, as `Kind.read` makes it. Raises ValueError if these values
    contradict each other or the file. The file itself has already been checked.
    """
    file: Mapping[str, Any] = config.values if config else {}
    places: Mapping[str, Place] = config.places if config else {}
    for conflict in CONFLICTS:
        if conflict.name in given and (conflict.other in given or conflict.other in file):
            raise ValueError(f"{SETTINGS[conflict.name].option} {conflict.why}.")
    values: dict[str, Any] = {}
    for name, setting in SETTINGS.items():
        if said := [source[name] for source in (file, given) if name in source]:
            values[name] = setting.kind.combine(said)
    if "verbose" in given and "quiet" not in given:
        values["quiet"] = False
    values["config"] = config.path if config else None
    return Options(
        **values,
        rule_settings=config.rule_settings if config else {},
        routes=config.routes if config else (),
        given=given,
        named=frozenset((*file, *given)),
        places={name: place for name, place in places.items() if name not in given},
        unread=(config.unread if config else frozenset[str]()) - {*given},
    )


def reread(options: Options) -> Options:
    """The same options with the settings file read again. The command line and the environment still override
    it.

    Raises `RuleError` if the file cannot be used. Reads a file, so it blocks.
    """
    if options.config is None:
        return options
    from .config_file import load_config  # needed only with a file; cattrs takes 1 MB

    try:
        return choose(options.given, load_config(options.config))
    except ValueError as error:
        raise RuleError([Problem(str(options.config), 0, str(error))]) from error
