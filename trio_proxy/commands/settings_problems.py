"""Finds what is wrong with the settings of a service and with the files that they name, apart from TLS,
logins and rules. The start and ``smtp-proxy check`` report the same."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import attrs

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.settings.in_file import of_settings
from trio_proxy.settings.options import Options
from trio_proxy.settings.route_tables import route_problems

from .admin import admin_problems
from .log import log_problems
from .loops import leads_to, route_loops
from .tracing import tracing_problems

__all__ = ["obstacle", "settings_problems", "used_directories"]


def settings_problems(options: Options, *, config_is_wrong: bool = False) -> list[Problem]:
    """All of them. ``config_is_wrong``: the settings file has mistakes, so the addresses for clients may be
    in a part that could not be read. Reads files and looks names up, so it blocks."""
    if config_is_wrong and "listen" not in options.named:
        options = attrs.evolve(options, listen=())
    return [
        *_routes(options, config_is_wrong=config_is_wrong),
        *_loops(options),
        *admin_problems(options),
        *log_problems(options),
        *tracing_problems(options),
        *_directories(options),
    ]


def _routes(options: Options, *, config_is_wrong: bool) -> list[Problem]:
    is_known = bool(options.listen)
    if not is_known:
        return []
    has_certificate = options.has_certificate or config_is_wrong
    return [
        *route_problems(options.routes, options.listen, has_certificate=has_certificate),
        *route_loops(options.routes, options.listen),
    ]


def _loops(options: Options) -> list[Problem]:
    return [
        of_settings(
            options,
            f"--upstream {each} is where this proxy listens itself: it cannot be its upstream server; "
            "name the server that mail goes to",
        )
        for each in options.upstream
        if any(leads_to(each.address, listener) for listener in options.listen)
    ]


# Directories


def used_directories(options: Options) -> dict[str, Path]:
    """Name of the setting → the directory to which the service writes."""
    used = {
        "capture": None if options.upstream else options.capture,
        "quarantine": options.quarantine if options.rules else None,
        "spool": options.spool if options.rules else None,
    }
    return {name: path for name, path in used.items() if path is not None}


def _directories(options: Options) -> list[Problem]:
    return [
        of_settings(options, f"--{name} {path}: {why}; choose a directory that can be made and written")
        for name, path in used_directories(options).items()
        if (why := obstacle(path))
    ]


def obstacle(directory: Path) -> str:
    """Returns the reason why no file can be written in this directory, which may not exist yet; else ""."""
    for path in (directory, *directory.parents):
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            if path.is_symlink():
                return f"{path} is a link that leads nowhere"
            continue
        except OSError as error:
            return error.strerror or str(error)
        if not stat.S_ISDIR(mode):
            return f"{path} is no directory"
        return "" if os.access(path, os.W_OK | os.X_OK) else f"no permission to write in {path}"
    return ""
