"""``smtp-proxy completion``: what shells complete."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from commands import environment

from trio_proxy.commands.cli import cli
from trio_proxy.commands.completion import SHELLS, completion_script


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_for_each_shell(shell: str) -> None:
    script = completion_script(cli, shell)
    assert f"_SMTP_PROXY_COMPLETE={shell}_complete" in script
    assert "smtp-proxy" in script
    assert script.endswith("\n")


def test_the_command_prints_it() -> None:
    result = CliRunner().invoke(cli, ["completion", "bash"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == completion_script(cli, "bash")
    result = CliRunner().invoke(cli, ["completion", "csh"])
    assert result.exit_code == 2
    assert "'csh' is not one of 'bash', 'zsh', 'fish'." in result.stderr


def completed(words: str) -> list[str]:
    """What the last word may become, each with its kind."""
    _, *before, last = words.split(" ")
    asked = ShellComplete(cli, {}, "smtp-proxy", "_SMTP_PROXY_COMPLETE")
    return [f"{item.type},{item.value}" for item in asked.get_completions(before, last)]


def test_what_is_completed() -> None:
    assert completed("smtp-proxy ch") == ["plain,check"]
    assert completed("smtp-proxy --upstream-tls-n") == ["plain,--upstream-tls-name"]
    assert completed("smtp-proxy --upstream-tls ve") == ["plain,verify"]
    assert completed("smtp-proxy --rules ") == ["file,"]
    assert completed("smtp-proxy --capture x") == ["dir,x"]
    assert completed("smtp-proxy test --exp") == ["plain,--expect"]
    assert completed("smtp-proxy completion f") == ["plain,fish"]


BASH = """
eval "$(smtp-proxy completion bash)"
complete -p smtp-proxy
COMP_WORDS=(smtp-proxy --on-rule-error d) COMP_CWORD=2
_smtp_proxy_completion smtp-proxy d --on-rule-error
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.slow
def test_in_bash(tmp_path: Path) -> None:
    program = tmp_path / "smtp-proxy"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m trio_proxy "$@"\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "--norc", "-c", BASH],
        env=environment(PATH=path), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0].endswith("-F _smtp_proxy_completion smtp-proxy")
    assert result.stdout.splitlines()[1:] == ["defer"]
