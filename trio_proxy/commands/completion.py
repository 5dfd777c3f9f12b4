"""``smtp-proxy completion``: prints what makes a shell complete commands, options and files."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

__all__ = ["SHELLS", "completion_script"]

SHELLS: Final = ("bash", "zsh", "fish")
_PROGRAM: Final = "smtp-proxy"
_VARIABLE: Final = "_SMTP_PROXY_COMPLETE"
"""The shell asks the program by this variable."""


def completion_script(command: click.Command, shell: str) -> str:
    """A program for one of `SHELLS`, which it runs in itself. Nothing else has to be installed."""
    made = get_completion_class(shell)
    assert made is not None  # click knows these shells
    # Not `source()`: for bash that starts bash, to complain about versions of before 2014.
    completes = made(command, {}, _PROGRAM, _VARIABLE)
    return completes.source_template % completes.source_vars()
