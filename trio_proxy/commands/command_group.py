"""Commands that explain what is wrong with an unknown option or word, and say what to write instead."""

from __future__ import annotations

import difflib
from typing import Final

import click

__all__ = ["ExplainingCommand", "SuggestingGroup"]

_LISTEN: Final = "Use --listen to say where the proxy listens, such as --listen 127.0.0.1:2525."
_UPSTREAM: Final = "Use --upstream mail.example.net:25 to name the server that gets the mail."
_CERTIFICATE: Final = "Use --tls-cert FILE and --tls-key FILE for a certificate."
_RULES: Final = "Use --rules FILE.py for a file with rules."
_CONFIG: Final = "Use --config FILE.toml for a settings file."
_CAPTURE: Final = "Use --capture DIR to name the directory where messages are kept."
_VERBOSE: Final = "Use -v to log more, and -vv to log everything."
_FOREGROUND: Final = "It runs in the foreground; a service manager such as systemd keeps it running."
_OTHER_OPTIONS: Final = {
    **dict.fromkeys(("--port", "--host", "--bind", "--address", "--listen-port", "-p"), _LISTEN),
    **dict.fromkeys(("--server", "--relay", "--relayhost", "--smarthost", "--backend"), _UPSTREAM),
    **dict.fromkeys(("--cert", "--certificate"), _CERTIFICATE),
    **dict.fromkeys(("--rule", "--script", "--filter", "--plugin"), _RULES),
    **dict.fromkeys(("--conf", "--settings", "--configuration"), _CONFIG),
    **dict.fromkeys(("--output", "--dir", "--directory", "--maildir", "--save", "--store"), _CAPTURE),
    **dict.fromkeys(("--debug", "--log-level"), _VERBOSE),
    **dict.fromkeys(("--daemon", "--background", "--detach"), _FOREGROUND),
}
"""What other programs call their options → what to write here."""

_START: Final = "To start the service, give no command: smtp-proxy --listen 127.0.0.1:2525"
_STOP: Final = "Press Ctrl-C to stop the service, or send it the signal TERM."
_OTHER_WORDS: Final = {
    **dict.fromkeys(("run", "start", "serve", "server", "listen", "up", "proxy"), _START),
    **dict.fromkeys(("stop", "quit", "down"), _STOP),
    "status": "Write smtp-proxy reload --status.",
    "restart": "Write smtp-proxy reload.",
    "help": "Write smtp-proxy --help.",
    "version": "Write smtp-proxy --version.",
    "validate": "Write smtp-proxy check.",
    "lint": "Write smtp-proxy check.",
    "try": "Write smtp-proxy test.",
}
_OPTION_OF_FILE: Final = {
    ".py": "Is it a file with rules? Write --rules {}.",
    ".toml": "Is it a settings file? Write --config {}.",
    ".eml": "Is it a message? Write smtp-proxy test --rules FILE.py {}.",
}
"""The end of a file's name → what to write in place of the bare name."""


class ExplainingCommand(click.Command):
    """A command that explains an unknown option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = _other_option(error, ctx)
            if not hint:
                raise
            raise click.NoSuchOption(error.option_name, f"{error.message} {hint}", ctx=ctx) from None


class SuggestingGroup(ExplainingCommand, click.Group):
    """A group of commands; the error for an unknown one suggests what was meant, or lists all."""

    command_class = ExplainingCommand

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        names = self.list_commands(ctx)
        if name and name not in names:
            raise click.UsageError(f"No such command {name!r}. {_other_command(name, names)}", ctx)
        return super().resolve_command(ctx, args)


def _other_option(error: click.NoSuchOption, ctx: click.Context) -> str:
    name = error.option_name.lower()
    if name in _OTHER_OPTIONS:
        return _OTHER_OPTIONS[name]
    known = [each for param in ctx.command.params for each in (*param.opts, *param.secondary_opts)]
    written = name.replace("_", "-")
    return f"Write {written}." if written in known else ""


def _other_command(name: str, names: list[str]) -> str:
    for ending, hint in _OPTION_OF_FILE.items():
        if name.endswith(ending):
            return hint.format(name)
    if close := difflib.get_close_matches(name, (*names, *_OTHER_WORDS), 1):
        return _OTHER_WORDS.get(close[0]) or f"Did you mean {close[0]!r}?"
    return f"Commands: {', '.join(names)}."
