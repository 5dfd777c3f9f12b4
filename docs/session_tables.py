"""What commands print, made by running them."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

from click.testing import CliRunner

from trio_proxy.commands.cli import cli

__all__ = ["REGIONS"]

ROOT = Path(__file__).parent.parent

SESSIONS: dict[str, tuple[str, ...]] = {
    "session-test": (
        "test --rules examples/my_rules.py examples/hello.eml",
        "--from ann@example.com --to bob@old.example --to bob@example.net",
    ),
}
"""The lines of each command, after ``smtp-proxy``."""


def session(lines: tuple[str, ...]) -> str:
    with contextlib.chdir(ROOT):
        done = CliRunner().invoke(cli, shlex.split(" ".join(lines)), prog_name="smtp-proxy", color=False)
    if done.exit_code:
        raise RuntimeError(f"smtp-proxy {' '.join(lines)}: exit status {done.exit_code}: {done.output}")
    command = " \\\n    ".join(lines)
    # Times are never the same, and may be longer or shorter by a digit.
    printed = re.sub(r" *\d+[.]\d+ ms\b", lambda time: "0.01 ms".rjust(len(time[0])), done.output).rstrip()
    return f"```console\n$ smtp-proxy {command}\n{printed}\n```"


REGIONS: dict[str, Callable[[], str]] = {name: partial(session, lines) for name, lines in SESSIONS.items()}
