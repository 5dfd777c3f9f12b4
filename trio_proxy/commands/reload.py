"""Asks a running service to restart its workers: ``smtp-proxy reload``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from trio_proxy.workers.asking import ask

from . import exit_status

__all__ = ["run_reload"]

_SECONDS: Final = 300.0


def run_reload(control: Path, topic: str) -> int:
    """Asks the parent through this socket, and prints its answer. Returns the exit status."""
    try:
        answer = ask(control, topic, _SECONDS)
    except OSError as error:
        why = error.strerror or str(error)
        click.echo(f"smtp-proxy: {control}: {why}; is a service with this --control running?", err=True)
        return exit_status.UNAVAILABLE
    if why_not := str(answer.get("why_not", "")):
        click.echo(f"smtp-proxy: not done: {why_not}", err=True)
        return exit_status.FAILED
    click.echo(str(answer.get("status") or _DONE.get(topic, "done")))
    if not_applied := str(answer.get("not_applied", "")):
        click.echo(f"not applied: {not_applied}")
    return 0


_DONE: Final = {
    "restart": "all workers are new",
    "reload": "all workers have read settings, rules and certificates again",
}
