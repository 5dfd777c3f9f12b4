"""The group of commands that suggests a command for one that does not exist."""

from __future__ import annotations

import difflib

import click

__all__ = ["SuggestingGroup"]


class SuggestingGroup(click.Group):
    """A group of commands; the error for an unknown one suggests the most similar command, or lists all."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        names = self.list_commands(ctx)
        if name and name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Commands: {', '.join(names)}."
            raise click.UsageError(f"No such command {name!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)
